#!/usr/bin/env python3
"""Writes oracle_prox.json: proximal operators by the project's float64 / 50-digit oracle.

    python3 oracle_prox.py path/to/oracle.py > oracle_prox.json

Needs numpy, scipy and mpmath. The oracle is a separate program that shares no code with this crate; its *_exact
functions agree with brute-force minimisation in 50 digits (its --selftest). The step size t given to it is
step * lambda, except for SCAD and MCP, which take the step and their own lambda.

One entry holds the penalty in text form, step, lambda, and the lists x and y. The numbers are texts: a JSON reader may
round a number to a neighbour of the nearest float64, and near a double root that shows. The x lie around the threshold (from 4
ULP of float64 off it), at the ends of the range, and at random; the generator's seed is fixed.
"""
import importlib.util
import json
import math
import sys

import numpy as np

spec = importlib.util.spec_from_file_location("oracle", sys.argv[1])
O = importlib.util.module_from_spec(spec)
sys.modules["oracle"] = O
spec.loader.exec_module(O)


def log_switch(g):
    return math.log1p(g) / g**2


def pwl(x, t, *p):
    return O.prox_learned_exact(x, *O.learned_scale(t, *p))


# text form, threshold(t, lambda), prox(x, t, lambda), switches of t (SCAD, MCP: of the step), own lambda
CASES = [
    ("l1", lambda t, l: t * l, lambda x, t, l: O.prox_l1_exact(x, t * l), [], 0),
    ("l0", lambda t, l: O.thr_l0(t * l), lambda x, t, l: O.prox_l0_exact(x, t * l), [], 0),
    ("l2sq", lambda t, l: 1.0, lambda x, t, l: O.prox_l2sq_exact(x, t * l / 2), [], 0),
]
for a in (0.0, 0.5, 0.9):
    CASES.append((f"elastic-net(mix={a!r})", lambda t, l, a=a: t * l * a or 1.0,
                  lambda x, t, l, a=a: O.prox_enet_exact(x, t * l, a), [], 0))
for a in (1.01, 2.0, 3.7):
    CASES.append((f"scad(a={a!r})", lambda t, l, a=a: t * l if t <= a + 1 else l * math.sqrt(t * (a + 1)),
                  lambda x, t, l, a=a: O.prox_scad_exact(x, t, l, a), [a - 1, a + 1], 1))
for g in (0.3, 3.0):
    CASES.append((f"mcp(gamma={g!r})", lambda t, l, g=g: t * l if t < g else l * math.sqrt(t * g),
                  lambda x, t, l, g=g: O.prox_mcp_exact(x, t, l, g), [g], 1))
for a in (0.01, 1.0, 100.0):
    CASES.append((f"tl1(a={a!r})", lambda t, l, a=a: O.thr_tl1(t * l, a)[0],
                  lambda x, t, l, a=a: O.prox_tl1_exact(x, t * l, a), [a * a / (2 * (a + 1))], 0))
    CASES.append((f"capped-l1(a={a!r})", lambda t, l, a=a: t * l if t * l < 2 * a else math.sqrt(2 * t * l * a),
                  lambda x, t, l, a=a: O.prox_capped_l1_exact(x, t * l, a), [2 * a], 0))
    CASES.append((f"geman(gamma={a!r})", lambda t, l, a=a: O.thr_geman(t * l, a)[0],
                  lambda x, t, l, a=a: O.prox_geman_exact(x, t * l, a), [a * a / 2], 0))
    CASES.append((f"laplace(gamma={a!r})", lambda t, l, a=a: O.thr_laplace(t * l, a)[0],
                  lambda x, t, l, a=a: O.prox_laplace_exact(x, t * l, a), [a * a], 0))
for g in (0.001, 1.0, 1e4):
    CASES.append((f"log(gamma={g!r})", lambda t, l, g=g: O.thr_log(t * l, g)[0],
                  lambda x, t, l, g=g: O.prox_log_exact(x, t * l, g), [log_switch(g)], 0))
for g in (0.01, 1.0, 60.0):
    CASES.append((f"etp(gamma={g!r})", lambda t, l, g=g: float(O.thr_etp(t * l, g)[0]),
                  lambda x, t, l, g=g: O.prox_etp_exact(x, t * l, g), [-math.expm1(-g) / g**2], 0))
for p in (0.001, 0.1, 0.5, 0.95, 0.999):
    CASES.append((f"lp(p={p!r})", lambda t, l, p=p: O.thr_lp(t * l, p)[0],
                  lambda x, t, l, p=p: O.prox_lp_exact(x, t * l, p), [], 0))
for e in ((1.0, 1.0, 1.0, 2.0), (2.0, 0.5, 0.45, 1.0), (0.4, 0.02, 0.1, 2.0), (1.5, 1.0, 0.7, 1.3)):
    CASES.append(("pwl(eta1=%r,eta2=%r,delta1=%r,delta2=%r)" % e, lambda t, l, e=e: t * l * e[2],
                  lambda x, t, l, e=e: pwl(x, t * l, *e), [e[0] / (e[0] - 1)] if e[0] > 1 else [], 0))


def main():
    rng = np.random.default_rng(20)
    entries = []
    for text, threshold, prox, switches, own in CASES:
        for lam in (1.0, 0.03):
            if lam != 1.0 and not own and text not in ("tl1(a=1.0)", "log(gamma=1.0)"):
                continue  # only step * lambda matters
            steps = [1e-8, 1e-2, 1.0, 1e5]
            for s in switches:
                s = s if own else s / lam
                steps += [s * f for f in (0.5, 1 - 1e-9, 1 + 1e-9, 1 + 1e-4, 2.0)]
            for step in steps:
                if not 1e-12 <= step <= 1e6:
                    continue
                if text.startswith("pwl") and switches and step * lam >= 0.999 * switches[0]:
                    continue  # the oracle's rescaling ends there
                at = float(threshold(step, lam))
                near = [at * (1 + k * 2.0**-52) for k in (-400, 400)]
                near += [at * (1 + s * 10.0**k) for k in (-9, -6, -3) for s in (-1, 1)]
                x = near + [0.0, 1e-38, 1e30]
                x += list(at * (1 + 10 ** rng.uniform(-4, 4, 9))) + list(10 ** rng.uniform(-5, 5, 6))
                # short decimals where the last digits do not matter
                x = np.array(near + [float("%.6g" % v) for v in x[len(near):]])
                x *= np.where(rng.random(len(x)) < 0.3, -1.0, 1.0)
                y = np.asarray(prox(x, step, lam), float)
                x, y = (" ".join(repr(v) for v in a.tolist()) for a in (x, y))
                entries.append({"penalty": text, "step": repr(step), "lambda": repr(lam), "x": x, "y": y})
    print("[" + ",\n".join(json.dumps(e, separators=(",", ":")) for e in entries) + "]")


if __name__ == "__main__":
    main()
