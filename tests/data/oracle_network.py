#!/usr/bin/env python3
"""Writes oracle_network.json: the learned regulariser, layers, unfolded networks and their gradients.

    python3 oracle_network.py path/to/oracle.py > oracle_network.json

Needs numpy, scipy and mpmath. The oracle is a separate float64 program that shares no code with this crate: its gradients
agree with complex steps, its prox with the enumeration of all 5^n pieces of the objective (its --selftest).

- "activations": xi, the penalty g and the five derivatives, at the knees, near them and elsewhere.
- "regularisers": matrix, q, b; xi of points x, the minimisers found by enumeration, and G at points y.
- "networks": inputs, each layer's output, the loss, and its derivatives by everything. No |q u| lies within 1e-3 of a
  knee. "d" is null for phi = 1/2 ||x - y||^2.

Matrices are lists of rows; the numbers of Â follow the pattern, row by row. The generator's seed is fixed.
"""
import importlib.util
import json
import sys

import numpy as np

spec = importlib.util.spec_from_file_location("oracle", sys.argv[1])
O = importlib.util.module_from_spec(spec)
sys.modules["oracle"] = O
spec.loader.exec_module(O)

# eta1, eta2, delta1, delta2: learned ones, outside (26), eta2 > 1, equal knees, no dead zone
ACTIVATIONS = [(1.0, 1.0, 0.1, 0.5), (0.94, 0.085, 0.4, 0.82), (2.0, 0.5, 0.25, 1.0), (0.7, 1.6, 0.3, 0.9),
               (1.5, 0.8, 0.4, 0.4), (0.6, 0.3, 0.0, 0.7), (1.0, 1.0, 0.0, 0.0)]


def numbers(a):
    return np.asarray(a, float).tolist()


def activation(e, rng):
    d1, d2 = e[2], e[3]
    v = [s * k * f for k in {d1, d2} for s in (-1, 1) for f in (1 - 1e-9, 1.0, 1 + 1e-9)]
    v = np.array(v + [0.0] + list(np.round(rng.standard_normal(8) * 2, 6)))
    return {"activation": e, "v": numbers(v), "xi": numbers(O.xi_hat(v, *e)), "g": numbers(O.pen_learned(v, *e)),
            "partials": [numbers(p) for p in O.xi_hat_partials(v, *e)]}


def regulariser(n, e, offsets, rng):
    Ah = np.round(rng.standard_normal((n, n)) * 0.5 + np.eye(n), 4)
    q = np.round(rng.uniform(0.3, 2.0, n), 4)
    b = np.round(rng.standard_normal(n) * 0.3, 4) * offsets
    A = np.linalg.inv(Ah)
    x = np.round(rng.standard_normal((6, n)) * 10 ** rng.uniform(-1, 1, (6, 1)), 4)
    y = np.round(rng.standard_normal((6, n)) * 10 ** rng.uniform(-1, 1, (6, 1)), 4)
    least = [O.maf_prox_brute(z, A, 1 / q, b, *e) for z in x]
    assert all(convex for _, _, convex in least)
    return {"matrix": numbers(Ah), "q": numbers(q), "b": numbers(b), "activation": e, "x": numbers(x),
            "xi": [numbers(O.maf_xi(z, Ah, q, b, *e)) for z in x], "least": [numbers(z) for z, _, _ in least],
            "y": numbers(y), "g": [float(O.maf_G(z, A, 1 / q, b, *e)) for z in y]}


def network(n, m, layers, shared, linear, density, rng):
    mask = (rng.random((n, n)) < density) | np.eye(n, dtype=bool)
    while True:
        def one():
            e1, d2 = rng.uniform(0.3, 1.5), rng.uniform(0.3, 0.9)
            return {"Ah": np.where(mask, np.round(rng.standard_normal((n, n)) * 0.3 + np.eye(n), 4), 0.0),
                    "qh": np.round(rng.uniform(0.6, 1.6, n), 4), "b": np.round(rng.standard_normal(n) * 0.1, 4),
                    "e1": round(e1, 4), "e2": round(rng.uniform(0.1, 1.2), 4), "d1": round(d2 * rng.uniform(0.1, 0.9), 4),
                    "d2": round(d2, 4), "L": round(rng.uniform(1.5, 4), 4)}
        ps = [one()] * layers if shared else [one() for _ in range(layers)]
        d = np.round(rng.standard_normal((n + 1, n)) * 0.5, 4) if linear else None
        y = np.round(rng.standard_normal((n + 1 if linear else n, m)), 4)
        phi = O.Phi(y, d)
        x, target = np.round(rng.standard_normal((n, m)) * 2, 4), np.round(rng.standard_normal((n, m)), 4)
        outputs, z, far = [], x, True
        for p in ps:
            z, cache = O.maf_layer(z, phi, p)
            outputs.append(numbers(z))
            v = np.abs(cache["v"])
            far &= min(np.min(np.abs(v - p["d1"])), np.min(np.abs(v - p["d2"]))) > 1e-3
        if far:
            break
    loss, gs, bar = O.maf_net_loss_grad(x, target, phi, ps, shared)
    on = lambda p: {"values": numbers(p["Ah"][mask]), "q": numbers(p["qh"]), "b": numbers(p["b"]),
                    "activation": [float(p[k]) for k in ("e1", "e2", "d1", "d2")], "l": float(p["L"])}
    rows, columns = np.nonzero(mask)
    return {"pattern": [[int(i), int(j)] for i, j in zip(rows, columns)], "parameters": [on(p) for p in (ps[:1] if shared else ps)],
            "layers": layers, "d": numbers(d) if linear else None, "y": numbers(y), "x": numbers(x), "target": numbers(target),
            "outputs": outputs, "loss": float(loss), "gradients": [on(g) for g in ([gs] if shared else gs)], "x_bar": numbers(bar)}


def main():
    rng = np.random.default_rng(17)
    out = {"activations": [activation(e, rng) for e in ACTIVATIONS],
           "regularisers": [regulariser(n, e, offsets, rng) for n in (1, 2, 3) for e in ACTIVATIONS for offsets in (0, 1)],
           "networks": [network(n, m, layers, shared, linear, density, rng)
                        for n, m, density in ((1, 3, 1.0), (2, 1, 1.0), (5, 4, 0.4))
                        for layers, shared in ((1, True), (3, True), (3, False)) for linear in (False, True)]}
    print(json.dumps(out, separators=(",", ":")))


if __name__ == "__main__":
    main()
