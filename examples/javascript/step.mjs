// node step.mjs MODULES W.npy G.npy Y.npy [EXPECTED.npy]
//
// One step of gradient descent and the prox of tl1 behind it, W <- prox(W - rate G), on Dawn. What it knows
// of the kernel comes from the folder MODULES that `maf-srl wgsl` has written: module, bindings, layouts. The
// rules by which the tables are made are those of `rules` there. Prints the zeros and a checksum; with
// EXPECTED compares bit by bit.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { create, globals } from 'webgpu';
import { read, write } from './npy.mjs';

Object.assign(globalThis, globals);

const RATE = 0.1;
const LAMBDA = 0.5;
const A = 0.5;

// The most workgroups side by side where a device allows more: so that a small tensor shows the fold into two
// dimensions.
const ACROSS = Number(process.env.MAF_SRL_ACROSS ?? Infinity);

// A module and what stands beside it.
function load(folder, kernel, variant) {
  const index = JSON.parse(readFileSync(join(folder, 'index.json'), 'utf8'));
  const place = index.kernels.find((k) => k.name === kernel)?.variants.find((v) => v.name === variant);
  if (!place) throw new Error(`${folder}: index.json has no ${kernel}/${variant}`);
  const about = JSON.parse(readFileSync(join(folder, place.about), 'utf8'));
  return { ...about, code: readFileSync(join(folder, place.module), 'utf8') };
}

// The struct of a name in `view` from `at` on, from numbers by the names of its members. Members without a
// number stay 0.
function put(module, name, view, at, values) {
  const struct = module.structs.find((s) => s.name === name);
  if (!struct) throw new Error(`${module.variant}: no layout of ${name}`);
  for (const [key, value] of Object.entries(values)) {
    const member = struct.members.find((m) => m.name === key);
    if (!member) throw new Error(`${module.variant}: ${name} has no member ${key}`);
    const place = at + member.offset;
    if (member.type === 'f32') view.setFloat32(place, value, true);
    else if (member.type === 'u32') view.setUint32(place, value, true);
    else put(module, member.type, view, place, value);
  }
}

const size = (module, name) => module.structs.find((s) => s.name === name).size;
const binding = (module, name) => module.bindings.find((b) => b.name === name);

// What the host computes in float64, from numbers rounded to f32, for the rows: src/penalty/tl1.rs says the
// formulas.
function row() {
  const [rate, lambda, a] = [RATE, LAMBDA, A].map(Math.fround);
  const t = rate * lambda;
  const jumps = t > (a * a) / (2 * (a + 1));
  const threshold = jumps ? Math.sqrt(2 * t * (a + 1)) - a / 2 : (t * (a + 1)) / a;
  return { base: { rate }, prox: { threshold, a, c: t * a * (a + 1), t } };
}

function buffer(device, data, usage) {
  const made = device.createBuffer({ size: Math.max(16, data.byteLength), usage, mappedAtCreation: true });
  new Uint8Array(made.getMappedRange()).set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength));
  made.unmap();
  return made;
}

// Records the step of numbers `from` to `to` of a tensor by one variant.
function record(device, pass, module, buffers, from, to) {
  if (from === to) return;
  const { limits } = device;
  const per = binding(module, 'w').stride / 4; // numbers of a word
  const [invocations] = module.workgroup_size;
  // Bound from the largest multiple of the alignment below. Larger tensors than a binding would take several
  // dispatches.
  const alignment = Math.max(16, limits.minStorageBufferOffsetAlignment);
  const offset = Math.floor((4 * from) / alignment) * alignment;
  const bytes = 4 * to - offset;
  if (bytes > limits.maxStorageBufferBindingSize) {
    throw new Error(`${bytes} bytes, a binding has at most ${limits.maxStorageBufferBindingSize}`);
  }
  const first = (from - offset / 4) / per;
  const words = (to - from) / per;

  // a tile per workgroup, folded into two dimensions; those that fill the last row have no work
  const count = Math.ceil(words / invocations);
  const most = Math.min(limits.maxComputeWorkgroupsPerDimension, ACROSS);
  const y = Math.max(1, Math.ceil(count / most));
  const x = Math.ceil(count / y);
  const tile = size(module, 'Tile');
  const table = new DataView(new ArrayBuffer(tile * x * y));
  for (let k = 0; k < count; k += 1) {
    const start = k * invocations;
    const length = Math.min(invocations, words - start);
    put(module, 'Tile', table, k * tile, { w: first + start, g: first + start, length, row: 0, tensor: 0 });
  }
  const rows = new DataView(new ArrayBuffer(size(module, 'Row')));
  put(module, 'Row', rows, 0, row());

  const part = (whole) => ({ buffer: whole, offset, size: bytes });
  const bound = {
    tiles: { buffer: buffer(device, table, GPUBufferUsage.STORAGE) },
    rows: { buffer: buffer(device, rows, GPUBufferUsage.STORAGE) },
    status: { buffer: buffers.status },
    w: part(buffers.w),
    g: part(buffers.g),
  };
  const layout = device.createBindGroupLayout({
    entries: module.bindings.map((b) => ({
      binding: b.binding,
      visibility: GPUShaderStage.COMPUTE,
      buffer: { type: b.buffer_type },
    })),
  });
  const constants = Object.fromEntries(module.overrides.map((o) => [o.name, o.value]));
  const pipeline = device.createComputePipeline({
    layout: device.createPipelineLayout({ bindGroupLayouts: [layout] }),
    compute: {
      module: device.createShaderModule({ code: module.code }),
      entryPoint: module.entry_point,
      constants,
    },
  });
  const entries = module.bindings.map((b) => ({ binding: b.binding, resource: bound[b.name] }));
  pass.setPipeline(pipeline);
  pass.setBindGroup(module.bindings[0].group, device.createBindGroup({ layout, entries }));
  pass.dispatchWorkgroups(x, y);
}

async function main() {
  const [folder, weights, gradient, output, expected] = process.argv.slice(2);
  if (!output) throw new Error('usage: node step.mjs MODULES W.npy G.npy Y.npy [EXPECTED.npy]');
  const [w, g] = [read(weights), read(gradient)];
  if (w.length !== g.length) throw new Error(`${gradient}: ${g.length} values, expected ${w.length}`);

  // MAF_SRL_DAWN has options of Dawn, such as backend=vulkan or adapter=NAME
  const gpu = create((process.env.MAF_SRL_DAWN ?? '').split(' ').filter(Boolean));
  const adapter = await gpu.requestAdapter();
  if (!adapter) throw new Error('Dawn found no adapter');
  const device = await adapter.requestDevice();
  console.log(`adapter: ${[adapter.info.vendor, adapter.info.device, adapter.info.description].join(', ')}`);

  const { STORAGE, COPY_SRC, COPY_DST, MAP_READ } = GPUBufferUsage;
  const status = new Uint32Array(1);
  const buffers = {
    w: buffer(device, w, STORAGE | COPY_SRC),
    g: buffer(device, g, STORAGE),
    status: buffer(device, status, STORAGE | COPY_SRC),
  };
  const back = device.createBuffer({ size: w.byteLength + 4, usage: COPY_DST | MAP_READ });

  device.pushErrorScope('validation');
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  // both arrays start at number 0: whole words of four, and the up to three numbers behind
  const whole = w.length - (w.length % 4);
  record(device, pass, load(folder, 'step', 'gradient/tl1/vec4'), buffers, 0, whole);
  record(device, pass, load(folder, 'step', 'gradient/tl1/scalar'), buffers, whole, w.length);
  pass.end();
  encoder.copyBufferToBuffer(buffers.w, 0, back, 0, w.byteLength);
  encoder.copyBufferToBuffer(buffers.status, 0, back, w.byteLength, 4);
  device.queue.submit([encoder.finish()]);
  const refused = await device.popErrorScope();
  if (refused) throw new Error(refused.message);
  await back.mapAsync(GPUMapMode.READ);
  const bits = new Uint32Array(back.getMappedRange().slice(0));
  const nonfinite = bits[w.length];
  const y = bits.subarray(0, w.length);
  write(output, y);
  device.destroy();

  let [zeros, checksum] = [0, 0x811c9dc5];
  for (const word of y) {
    zeros += Number(word === 0);
    checksum = Math.imul(checksum ^ word, 0x01000193) >>> 0; // FNV-1a, a word at a time
  }
  const counts = `${w.length} numbers, ${zeros} zeros, ${nonfinite} not finite`;
  console.log(`${counts}, checksum ${checksum.toString(16)}`);

  if (expected) {
    const values = read(expected);
    const wanted = new Uint32Array(values.buffer, values.byteOffset, values.length);
    const differing = y.length === wanted.length ? y.findIndex((word, k) => word !== wanted[k]) : 0;
    if (differing >= 0) {
      const hex = (word) => `0x${(word ?? 0).toString(16)}`;
      const [ours, theirs] = [hex(y[differing]), hex(wanted[differing])];
      throw new Error(`number ${differing} is ${ours}, ${expected} has ${theirs}`);
    }
    console.log(`every bit is that of ${expected}`);
  }
}

main().catch((error) => {
  console.error(`step.mjs: ${error.message}`);
  process.exitCode = 1;
});
