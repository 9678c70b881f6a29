#!/usr/bin/env python3
"""Writes oracle_group.json: operators on groups by the project's float64 / 60-digit oracle.

    python3 oracle_group.py path/to/oracle.py > oracle_group.json

Needs numpy, scipy and mpmath. `oracle_prox.py` says what the oracle is and why the numbers are texts.

One entry is one operator and its cases: a group x, its result y, the next x, ... With "sum" false: the prox of `penalty` (step, lambda) on every member, then
`group` with t. With "sum" true: the exact prox of step * lambda * sum p(y_i) + t |y|_2.
"""
import json
import math
import importlib.util
import sys

import numpy as np

spec = importlib.util.spec_from_file_location("oracle", sys.argv[1])
O = importlib.util.module_from_spec(spec)
sys.modules["oracle"] = O
spec.loader.exec_module(O)

rng = np.random.default_rng(33)
entries = {}


def short(x):
    return np.array([float("%.6g" % v) for v in x])


def write(v):
    return "0" if v == 0 else repr(float(v))


def add(x, y, group, t, penalty="none", step=0.0, lam=1.0, total=False):
    key = {"group": group, "t": repr(t)}
    if step:
        key |= {"penalty": penalty, "step": repr(step), "lambda": repr(lam), "sum": total}
    x, y = (" ".join(write(v) for v in np.asarray(a, float)) for a in (x, y))
    entries.setdefault(json.dumps(key), []).extend([x, y])


def plain(t):
    """Groups of every kind at the scale of t."""
    yield np.zeros(3)
    yield np.array([0.0, -0.7 * t, 0.0])
    yield np.array([2.5 * t, 2.5 * t, -2.5 * t, 2.5 * t])
    yield np.array([1e30, -1e-30, 3e29, 1.0])
    yield np.array([1e-30, -3e-30, 2e-30])
    for n in (1, 2, 4, 7):
        for spread in (0.5, 4.0):
            yield short(t * spread * rng.standard_normal(n))


def near(at, spread):
    """x of three members for which |x|_2 (spread) or the largest member is close to `at`."""
    x = np.array([0.6, -0.8, 0.0]) if spread else np.array([0.3, -1.0, 0.5])
    for k in (-9, -6, -3):
        for s in (-1, 1):
            yield x * (at * (1 + s * 10.0**k))


def groups():
    for t in (0.01, 7.0):
        for x in [*plain(t), *near(t, True)]:
            add(x, O.prox_group_exact(x, t), "lasso", t)
        for x in plain(t):
            add(x, O.prox_group_exact(x, t * math.sqrt(len(x))), "lasso(weight=sqrt-size)", t)
        for t1 in (0.3 * t, t):
            for x in plain(t):
                add(x, O.prox_sgl_exact(x, t1, t), "lasso", t, "l1", t1)
        for alpha in (1.0, 0.6, 0.0):
            for x in [*plain(t), *near(t, False), *(near((1 - alpha) * t, False) if alpha < 1 else [])]:
                add(x, O.prox_l1_al2_exact(x, t, alpha), f"l1-l2(alpha={alpha!r})", t)
    for t in (0.02, 0.3, 1e4):
        for x in plain(1.0):
            add(x, O.prox_exclusive_exact(x, t), "exclusive", t)
            if t < 1:
                add(x, O.prox_exclusive_yh(x, t), "exclusive-linear", t)
        for mu in (0.1, 0.7):
            for x in plain(1.0):
                tg, te = t * (1 - mu), t * mu
                add(x, O.prox_cges_exact(x, tg, te), f"cges(mu={mu!r})", t)
                if t < 1:
                    add(x, O.cges_yh(x, tg, te), f"cges-linear(mu={mu!r})", t)
    for scale in (1.0, 0.01):
        for ratio in (1e-3, 0.5, 3.9, 4.0, 4.0001, 6.0, 30.0, 1e4):
            t = ratio * scale
            for r in (1e-3, 0.5, 4.0, 5.2, 5.4, 20.0, 500.0):
                x = short(rng.standard_normal(2))
                x *= r * math.sqrt(scale) / np.linalg.norm(x)
                add(x, O.prox_grouplog_exact(x, t, scale), f"log(scale={scale!r})", t)
    # long groups; those of many nonzeros are shorter
    x = short(rng.standard_normal(1024))
    add(x, O.prox_exclusive_exact(x, 0.2), "exclusive", 0.2)
    add(x, O.prox_cges_exact(x, 0.3, 0.3), "cges(mu=0.5)", 0.6)
    add(x, O.prox_l1_al2_exact(x, 1.8, 1.0), "l1-l2(alpha=1.0)", 1.8)
    add(x, O.prox_sgl_exact(x, 1.5, 3.0), "lasso", 3.0, "l1", 1.5)
    add(x[:256], O.prox_group_exact(x[:256], 4.0), "lasso", 4.0)


def sums():
    penalties = [(f"tl1(a={a!r})", lambda z, t, l, a=a: O.prox_tl1_exact(z, t * l, a),
                  lambda y, l, a=a: l * O.pen_tl1(y, a)) for a in (0.1, 1.0, 10.0)]
    penalties += [
        ("scad(a=3.7)", lambda z, t, l: O.prox_scad_exact(z, t, l, 3.7), lambda y, l: O.pen_scad(y, l, 3.7)),
        ("mcp(gamma=3.0)", lambda z, t, l: O.prox_mcp_exact(z, t, l, 3.0), lambda y, l: O.pen_mcp(y, l, 3.0)),
        ("capped-l1(a=0.5)", lambda z, t, l: O.prox_capped_l1_exact(z, t * l, 0.5),
         lambda y, l: l * O.pen_capped_l1(y, 0.5)),
        ("lp(p=0.5)", lambda z, t, l: O.prox_lp_exact(z, t * l, 0.5), lambda y, l: l * O.pen_lp(y, 0.5)),
        ("l1", lambda z, t, l: O.prox_l1_exact(z, t * l), lambda y, l: l * O.pen_l1(y)),
    ]
    for text, prox, value in penalties:
        for step, lam, t in ((0.3, 1.0, 0.4), (1.0, 0.5, 0.2), (2.0, 0.3, 1.5)):
            for n in (1, 2, 5):
                for spread in (1.0, 2.5):
                    x = short(spread * rng.standard_normal(n))
                    y = O.prox_sep_plus_group_exact(x, lambda z, s: prox(z, s, lam), lambda v: value(v, lam), step, t)
                    add(x, y, "lasso", t, text, step, lam, True)
            if text.startswith("tl1"):
                a = float(text[6:-1])
                x = short(2.0 * rng.standard_normal(4))
                add(x, O.tl1_then_group(x, step * lam, t, a), "lasso", t, text, step, lam)
    for t0, t in ((0.3, 0.4), (1.0, 0.2), (0.05, 1.0)):
        for x in [*plain(1.0), np.array([1.0, 0.75])]:
            if np.max(np.abs(x)) < 1e20:
                add(x, O.prox_sgl0_exact(x, t0, t), "lasso", t, "l0", t0, 1.0, True)


groups()
sums()
lines = (json.dumps(json.loads(key) | {"cases": cases}, separators=(",", ":")) for key, cases in entries.items())
print("[" + ",\n".join(lines) + "]")
