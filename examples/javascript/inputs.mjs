// node inputs.mjs W.npy G.npy [N]: weights and a gradient that are the same everywhere. Most are ordinary; a
// few are what a kernel must be careful with.

import { write } from './npy.mjs';

const [weights, gradient, count = '100003'] = process.argv.slice(2);
const n = Number(count);
if (!gradient || !Number.isInteger(n) || n < 64) {
  console.error('usage: node inputs.mjs W.npy G.npy [N, at least 64]');
  process.exit(2);
}

// 32 bits at a time, by Mulberry32
let state = 20240229;
function random() {
  state = (state + 0x6d2b79f5) | 0;
  let t = Math.imul(state ^ (state >>> 15), 1 | state);
  t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
  return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
}

const draw = () => Float32Array.from({ length: n }, () => 2 * random() - 1);
const [w, g] = [draw(), draw()];
// over many powers of two as well
for (let k = 0; k < n; k += 5) w[k] *= 2 ** Math.floor(-30 * random());
const strange = [0, -0, 1e-40, -1e-45, 1.17549435e-38, 3.4e38, -3.4e38, Infinity, -Infinity, NaN];
strange.forEach((x, k) => {
  w[3 + 2 * k] = x;
  g[30 + 2 * k] = x;
});
write(weights, w);
write(gradient, g);
