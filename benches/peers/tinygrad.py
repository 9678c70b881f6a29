"""One step of SGD with l1 or tl1 by tinygrad's generated WGSL and by maf-srl, on the same adapter, in turns.

    python3 -m venv peers && peers/bin/pip install numpy tinygrad dawn-python
    VK_ICD_FILENAMES=.../vk_swiftshader_icd.json MAF_SRL_DEVICE=swiftshader peers/bin/python benches/peers/tinygrad.py

Results are compared with float64 and with each other before anything is timed. tinygrad runs through Dawn, maf-srl through
wgpu; both on the Vulkan driver that the environment names. Nothing else in the project needs this file.
"""

import contextlib
import glob
import io
import json
import os
import pathlib
import platform
import statistics
import subprocess
import sys
import tempfile
import time

sys.path.pop(0)  # this folder, where `tinygrad` would be this file

import numpy as np  # noqa: E402
import pydawn  # noqa: E402

HERE = pathlib.Path(__file__).parent
ending = {"Darwin": "dylib", "Windows": "dll"}.get(platform.system(), "so")
library = glob.glob(str(pathlib.Path(pydawn.__file__).parent / "lib" / f"*{platform.machine()}*.{ending}"))
os.environ.setdefault("WEBGPU_PATH", library[0] if library else "")
os.environ["DEV"] = "WEBGPU"

from tinygrad import Context, Device, Tensor, TinyJit  # noqa: E402
from tinygrad.helpers import GlobalCounters  # noqa: E402

RATE, LAMBDA, A = 0.1, 0.5, 1.0  # those of benches/peers.rs
THRESHOLD = RATE * LAMBDA
REPEATS, ROUNDS = 7, 3

# penalty, tensors, elements of each
CASES = [(penalty, 1, 1 << k) for penalty in ("l1", "tl1") for k in (14, 18, 22)] + [("l1", 100, 1024)]


def l1(v):
    return v.sign() * (v.abs() - THRESHOLD).relu()


def tl1(v):
    """Zhang and Xin (2018): the largest root of a cubic, by its angle; zero up to the threshold."""
    size = v.abs()
    scale = A + size
    angle = (1 - 27 * THRESHOLD * A * (A + 1) / (2 * scale * scale * scale)).clip(-1, 1).acos()
    root = v.sign() * (2 / 3 * scale * (angle / 3).cos() - 2 * A / 3 + size / 3)
    return (size > tl1_threshold()).where(root, 0)


def tl1_threshold():
    if THRESHOLD <= A * A / (2 * (A + 1)):
        return THRESHOLD * (A + 1) / A
    return (2 * THRESHOLD * (A + 1)) ** 0.5 - A / 2


def exact(penalty, v):
    size = np.abs(v)
    if penalty == "l1":
        return np.sign(v) * np.maximum(size - THRESHOLD, 0)
    angle = np.arccos(np.clip(1 - 27 * THRESHOLD * A * (A + 1) / (2 * (A + size) ** 3), -1, 1))
    root = 2 / 3 * (A + size) * np.cos(angle / 3) - 2 * A / 3 + size / 3
    return np.where(size > tl1_threshold(), np.sign(v) * root, 0)


class Theirs:
    """The step as a user of tinygrad writes it: captured once, replayed."""

    def __init__(self, penalty, weights, gradients):
        on = [[Tensor(x, device="WEBGPU").realize() for x in list(all)] for all in (weights, gradients)]
        self.weights, prox = on[0], {"l1": l1, "tl1": tl1}[penalty]

        def step():
            Tensor.realize(*(w.assign(prox(w - RATE * g)) for w, g in zip(*on)))

        step()
        self.first = np.stack([w.numpy() for w in self.weights])
        self.step = TinyJit(step)
        for _ in range(4):  # captures, and warms up
            self.step()
        Device["WEBGPU"].synchronize()

    def times(self):
        steps, kernels = [], []
        for _ in range(REPEATS):
            start = time.perf_counter()
            self.step()
            Device["WEBGPU"].synchronize()
            steps.append(time.perf_counter() - start)
            GlobalCounters.reset()
            with Context(DEBUG=2), contextlib.redirect_stdout(io.StringIO()):
                self.step()
            kernels.append(GlobalCounters.time_sum_s)
        return statistics.median(kernels), statistics.median(steps)


def ours(folder, penalty, tensors, elements):
    name = {"l1": "l1", "tl1": f"tl1(a={A:g})"}[penalty]
    command = ["cargo", "bench", "--quiet", "--bench", "peers", "--", folder, name, tensors, elements, REPEATS]
    run = subprocess.run(list(map(str, command)), cwd=HERE, capture_output=True, text=True)
    if run.returncode:
        raise SystemExit(run.stderr)
    figures = json.loads(run.stdout.strip().splitlines()[-1])
    return figures["adapter"], (figures["kernel_ns"] or float("nan")) / 1e9, figures["step_ns"] / 1e9


def agree(got, want, v, what, allowed=2e-5):
    # rounding of v and of the result, and of the angle near the jump; a zero may be one only next to the threshold
    near = np.abs(np.abs(v) - (THRESHOLD if what.endswith(" l1") else tl1_threshold())) < 1e-5
    wrong = ~near & ~((got == 0) == (want == 0)) | ~near & (np.abs(got - want) > allowed * (1 + np.abs(want)))
    if wrong.any():
        k = int(np.flatnonzero(wrong)[0])
        raise SystemExit(f"{what}: {wrong.sum()} differ, the first {got[k]} for {want[k]} at {v[k]}")


def main():
    print("| penalty | tensors | elements | kernel, tinygrad | maf-srl | ratio | step, tinygrad | maf-srl | ratio |")
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|")
    adapter = None
    for penalty, tensors, elements in CASES:
        random = np.random.default_rng(7)
        weights, gradients = (random.standard_normal((tensors, elements)).astype(np.float32) for _ in range(2))
        v = weights.astype(np.float64) - RATE * gradients.astype(np.float64)
        want = exact(penalty, v).ravel()
        theirs = Theirs(penalty, weights, gradients)
        # its arc cosine is a polynomial that is right to some 1e-4
        agree(theirs.first.ravel(), want, v.ravel(), f"tinygrad, {penalty}", 1e-3 if penalty == "tl1" else 2e-5)
        rows = []
        with tempfile.TemporaryDirectory() as folder:
            weights.tofile(f"{folder}/weights.f32")
            gradients.tofile(f"{folder}/gradients.f32")
            for _ in range(ROUNDS):
                adapter, *own = ours(folder, penalty, tensors, elements)
                agree(np.fromfile(f"{folder}/stepped.f32", np.float32), want, v.ravel(), f"maf-srl, {penalty}")
                rows.append((*theirs.times(), *own))
        their_kernel, their_step, kernel, step = (1e3 * statistics.median(column) for column in zip(*rows))
        cells = [their_kernel, kernel, kernel / their_kernel, their_step, step, step / their_step]
        print(f"| {penalty} | {tensors} | {elements} | " + " | ".join(f"{x:.3g}" for x in cells) + " |", flush=True)
    print(f"\nmilliseconds, medians of {REPEATS} in the middle of {ROUNDS} turns; {adapter}")


if __name__ == "__main__":
    main()
