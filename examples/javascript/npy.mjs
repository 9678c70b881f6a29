// One-dimensional float32 arrays as .npy files, version 1.0.

import { readFileSync, writeFileSync } from 'node:fs';

export function read(path) {
  const bytes = readFileSync(path);
  if (bytes.length < 10 || bytes.toString('latin1', 0, 6) !== '\x93NUMPY' || bytes[6] !== 1) {
    throw new Error(`${path}: expected a .npy file of version 1`);
  }
  const start = 10 + bytes.readUInt16LE(8);
  const head = bytes.toString('latin1', 10, start);
  const length = /'descr': '<f4'.*'shape': \((\d+),\)/.exec(head)?.[1];
  if (length === undefined) {
    throw new Error(`${path}: expected one axis of '<f4', found ${head.trim()}`);
  }
  if (bytes.length !== start + 4 * Number(length)) {
    throw new Error(`${path}: ${bytes.length - start} bytes of values, expected ${4 * Number(length)}`);
  }
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset + start, bytes.byteOffset + bytes.length));
}

// `values` is a typed array of 4 bytes per element; its bits go into the file as they are.
export function write(path, values) {
  const head = `{'descr': '<f4', 'fortran_order': False, 'shape': (${values.length},), }`;
  const padded = head.padEnd(118 - 1 + 64 * Math.ceil(Math.max(0, head.length - 117) / 64)) + '\n';
  const start = Buffer.alloc(10);
  start.write('\x93NUMPY\x01\x00', 'latin1');
  start.writeUInt16LE(padded.length, 8);
  const data = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  writeFileSync(path, Buffer.concat([start, Buffer.from(padded, 'latin1'), data]));
}
