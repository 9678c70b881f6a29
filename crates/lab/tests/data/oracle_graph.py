#!/usr/bin/env python3
"""Writes oracle_graph.mat: views, their graph, and variables of every kind, as SciPy stores them.

    python3 oracle_graph.py oracle_graph.mat

Needs numpy and scipy. The graph is made with direct distances and full sorting and shares no code with this crate:
3 nearest neighbours by row-wise z-scores, heat kernel with the mean distance, the larger of both directions, mean of views.
The generator's seed is fixed.
"""
import sys

import numpy as np
import scipy.io
import scipy.sparse

N, K = 14, 3


def graph(x):
    x = x.astype(float)
    z = (x - x.mean(1, keepdims=True)) / x.std(1, ddof=1, keepdims=True)
    d = np.array([[np.sum((a - b) ** 2) for b in z] for a in z])
    t = np.sqrt(d).mean()
    w = np.zeros((N, N))
    for i in range(N):
        for j in sorted((j for j in range(N) if j != i), key=lambda j: d[i, j])[:K]:
            w[i, j] = np.exp(-d[i, j] / (2 * t * t))
    return np.maximum(w, w.T)


rng = np.random.default_rng(20)
X = np.empty((1, 3), object)
X[0, 0] = rng.standard_normal((N, 5))
X[0, 1] = rng.integers(-70000, 70000, (N, 7)).astype(np.int32)
X[0, 2] = rng.integers(0, 60000, (N, 4)).astype(np.uint16)
W = sum(graph(x) for x in X[0]) / 3
Y = np.array([5, -2, 9] * 5)[:N].astype(np.int16)[:, None]
scipy.io.savemat(sys.argv[1], {
    "X": X, "Y": Y, "W": W, "S": scipy.sparse.csc_matrix(W), "row": Y.T.astype(np.uint8), "ramp": np.arange(6.0).reshape(2, 3),
    "single": np.float32([[0.5, -1.5]]), "long": np.int64([[-3, 4]]), "truth": np.array([[True, False]]), "empty": np.zeros((0, 3)),
    "complex": np.array([[1 + 2j]]), "text": "words", "record": {"a": 1.0}, "cube": np.zeros((2, 2, 2)),
    "mixed": np.array([[np.eye(2), "words"]], dtype=object),
}, do_compression=True)
