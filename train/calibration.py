"""Fits calibrations (margin -> probability) and applies them with the formulas of BUNDLE.md."""
import bisect
import math

import numpy as np

from vectors import InputError

MAX_KNOTS = 256
KINDS = ("platt", "beta", "isotonic", "none")


def short(x):
    """Twelve digits: what the fit knows, without the last bits that differ from one processor's exp to another's."""
    return float(f"{x:.12g}")


def fit(kind, margin, score, y, weight):
    """margin and score are the model's own."""
    if kind == "none":
        return {"format": 1, "kind": "identity"}
    if not (y == 1).any() or not (y == 0).any():
        raise InputError("the held-out rows have one label only: nothing can be calibrated on them")
    if kind == "platt":
        return platt(margin, y, weight)
    if kind == "beta":
        return beta(score, y, weight)
    return isotonic(margin, y, weight)


def choose(margin, score, y, weight):
    """The kind whose fit on the earlier half of the rows has the least log loss on the later half, and all log losses. Of
    equal ones the first of KINDS; a kind that cannot be fitted is none."""
    half = len(y) // 2
    early, late = slice(None, half), slice(half, None)
    if len(np.unique(y[early])) < 2 or len(np.unique(y[late])) < 2:
        raise InputError("--calibration auto: one half of the held-out rows has one label only; name a kind")
    losses = {}
    for kind in KINDS:
        try:
            c = fit(kind, margin[early], score[early], y[early], weight[early])
        except InputError:
            continue
        p = np.array([apply(c, float(m), float(s)) for m, s in zip(margin[late], score[late])])
        p = np.clip(p, 1e-15, 1 - 1e-15)
        losses[kind] = float(-(weight[late] * np.where(y[late] == 1, np.log(p), np.log1p(-p))).sum() / weight[late].sum())
    return min(losses, key=losses.get), {k: float(f"{v:.6g}") for k, v in losses.items()}


def smoothed(y, weight):
    """Platt's targets instead of 0 and 1, and the log-odds that they begin from."""
    positive, negative = weight[y == 1].sum(), weight[y == 0].sum()
    return np.where(y == 1, (positive + 1) / (positive + 2), 1 / (negative + 2)), math.log((positive + 1) / (negative + 1))


def beta(score, y, weight):
    """1/(1+exp(-(a*ln(s) - b*ln(1-s) + c))) (Kull, Silva Filho and Flach 2017): a logistic regression on ln(s) and -ln(1-s); of a
    and b that come out negative the more negative is 0, and the other is fitted again."""
    s = np.clip(score, 2.0**-60, 1 - 2.0**-53)
    columns = np.column_stack([np.log(s), -np.log1p(-s), np.ones(len(s))])
    target, start = smoothed(y, weight)
    used = [0, 1, 2]
    while True:
        w = newton(columns[:, used], target, weight, np.array([0.0] * (len(used) - 1) + [start]))
        full = np.zeros(3)
        full[used] = w
        if (full[:2] >= 0).all():
            break
        used.remove(int(np.argmin(full[:2])))
    a, b, c = (short(float(v)) for v in full)
    if not a + b > 0:
        raise InputError("on the held-out rows fraud does not rise with the score: this model is of no use")
    return {"format": 1, "kind": "beta", "a": a, "b": b, "c": c}


def newton(columns, target, weight, w):
    """The weights of a logistic regression by Newton's method with steps that are halved until they help."""
    def loss(w):
        z = columns @ w
        return float((weight * (np.logaddexp(0, z) - target * z)).sum())

    now = loss(w)
    for _ in range(100):
        p = 1 / (1 + np.exp(-np.clip(columns @ w, -700, 700)))
        gradient = columns.T @ (weight * (p - target))
        hessian = columns.T @ (columns * (weight * p * (1 - p))[:, None]) + 1e-12 * np.eye(len(w))
        if np.abs(gradient).sum() < 1e-9 * max(1.0, weight.sum()):
            break
        direction, step = np.linalg.solve(hessian, gradient), 1.0
        while step > 1e-10 and loss(w - step * direction) > now:
            step /= 2
        if step <= 1e-10:
            break
        w = w - step * direction
        now = loss(w)
    return w


def platt(margin, y, weight):
    """1/(1+exp(-(a*margin+b))) by Newton's method, with Platt's targets instead of 0 and 1 (Lin, Lin and Weng 2007)."""
    target, b = smoothed(y, weight)
    a = 0.0

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
    if c["kind"] == "beta":
        z = c["c"]
        if c["a"] != 0:
            z += c["a"] * (math.log(score) if score > 0 else -math.inf)
        if c["b"] != 0:
            z -= c["b"] * (math.log(1 - score) if score < 1 else -math.inf)
        return 1 / (1 + math.exp(-z)) if z > -700 else math.exp(z)
    xs, ys = c["x"], c["y"]
    i = bisect.bisect_left(xs, margin)
    if i == 0:
        return ys[0]
    if i == len(xs):
        return ys[-1]
    share = (margin / 2 - xs[i - 1] / 2) / (xs[i] / 2 - xs[i - 1] / 2)
    return min(max(ys[i - 1] + share * (ys[i] - ys[i - 1]), ys[i - 1]), ys[i])
