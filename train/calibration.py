"""Fits calibrations (margin -> probability) and applies them with the formulas of BUNDLE.md."""
import bisect
import math

import numpy as np

from vectors import InputError

MAX_KNOTS = 256


def short(x):
    """Twelve digits: what the fit knows, without the last bits that differ from one processor's exp to another's."""
    return float(f"{x:.12g}")


def fit(kind, margin, y, weight):
    if kind == "none":
        return {"format": 1, "kind": "identity"}
    if not (y == 1).any() or not (y == 0).any():
        raise InputError("the held-out rows have one label only: nothing can be calibrated on them")
    if kind == "platt":
        return platt(margin, y, weight)
    return isotonic(margin, y, weight)


def platt(margin, y, weight):
    """1/(1+exp(-(a*margin+b))) by Newton's method, with Platt's targets instead of 0 and 1 (Lin, Lin and Weng 2007)."""
    positive, negative = weight[y == 1].sum(), weight[y == 0].sum()
    target = np.where(y == 1, (positive + 1) / (positive + 2), 1 / (negative + 2))
    a, b = 0.0, math.log((positive + 1) / (negative + 1))

    def loss(a, b):
        z = a * margin + b
        return float((weight * (np.logaddexp(0, z) - target * z)).sum())

    now = loss(a, b)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(a * margin + b, -700, 700)))
        d, h = weight * (p - target), weight * p * (1 - p)
        ga, gb = (d * margin).sum(), d.sum()
        haa, hab, hbb = (h * margin * margin).sum() + 1e-12, (h * margin).sum(), h.sum() + 1e-12
        det = haa * hbb - hab * hab
        if abs(ga) + abs(gb) < 1e-9 * max(1.0, weight.sum()) or det <= 0:
            break
        da, db = (hbb * ga - hab * gb) / det, (haa * gb - hab * ga) / det
        step = 1.0
        while step > 1e-10 and loss(a - step * da, b - step * db) > now:
            step /= 2
        if step <= 1e-10:
            break
        a, b = a - step * da, b - step * db
        now = loss(a, b)
    a, b = short(a), short(b)
    if not a > 0:
        raise InputError(f"on the held-out rows fraud does not rise with the margin (slope {a}): this model is of no use")
    return {"format": 1, "kind": "platt", "a": a, "b": b}


def isotonic(margin, y, weight):
    """Pool adjacent violators over at most MAX_KNOTS/2 bins of equal mass. Each pool is smoothed by half a row of either label, so
    that no probability is 0 or 1."""
    order = np.argsort(margin, kind="stable")
    m, y, w = margin[order], y[order], weight[order]
    bounds = np.unique(np.searchsorted(m, np.quantile(m, np.linspace(0, 1, MAX_KNOTS // 2 + 1))[1:-1], side="right"))
    pools = []  # low, high, positives, mass
    for lo, hi in zip([0, *bounds], [*bounds, len(m)]):
        if lo == hi:
            continue
        pools.append([m[lo], m[hi - 1], float((w[lo:hi] * y[lo:hi]).sum()) + 0.5, float(w[lo:hi].sum()) + 1.0])
        while len(pools) > 1 and pools[-2][2] * pools[-1][3] >= pools[-1][2] * pools[-2][3]:
            _, high, p, n = pools.pop()
            pools[-1][1], pools[-1][2], pools[-1][3] = high, pools[-1][2] + p, pools[-1][3] + n
    xs, ys = [], []
    for low, high, p, n in pools:
        for x in (low, high):
            if not xs or x > xs[-1]:
                xs.append(float(x))
                ys.append(short(p / n))
    return {"format": 1, "kind": "isotonic", "x": xs, "y": ys}


def apply(c, margin, score):
    """The calibrated probability of one row; margin and score are the model's own."""
    if c["kind"] == "identity":
        return score
    if c["kind"] == "platt":
        z = c["a"] * margin + c["b"]
        return 1 / (1 + math.exp(-z)) if z > -700 else math.exp(z)
    xs, ys = c["x"], c["y"]
    i = bisect.bisect_left(xs, margin)
    if i == 0:
        return ys[0]
    if i == len(xs):
        return ys[-1]
    share = (margin / 2 - xs[i - 1] / 2) / (xs[i] / 2 - xs[i - 1] / 2)
    return min(max(ys[i - 1] + share * (ys[i] - ys[i - 1]), ys[i - 1]), ys[i])
