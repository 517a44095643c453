"""Writes calibration.json: what calibrations give, to 60 digits and then rounded once, at and beside their knots and at the ends of
what a float64 can hold.    python3 gen_calibration.py    (Python's own packages only)
"""
import json
import math
import os
import sys
from decimal import Decimal, getcontext

getcontext().prec = 60
getcontext().Emax, getcontext().Emin = 10**15, -(10**15)

CALIBRATIONS = [
    {"format": 1, "kind": "identity"},
    {"format": 1, "kind": "platt", "a": 0.9, "b": -0.05},
    {"format": 1, "kind": "platt", "a": 1e-3, "b": 12.5},
    {"format": 1, "kind": "beta", "a": 1.1, "b": 0.8, "c": 0.1},
    {"format": 1, "kind": "beta", "a": 0.0, "b": 2.5, "c": -3.0},
    {"format": 1, "kind": "beta", "a": 0.3, "b": 0.0, "c": 1.5},
    {"format": 1, "kind": "isotonic", "x": [-4.5, -1.0, 0.25, 0.5, 7.0], "y": [0.001, 0.001, 0.2, 0.75, 0.999]},
    {"format": 1, "kind": "isotonic", "x": [0.0], "y": [0.5]},
]
MARGINS = [0.0, -0.0, 5e-324, 1e-300, 0.1, -0.1, 0.25, 0.375, 0.5, math.nextafter(0.5, 1), 1.0, -1.0, -4.5, -4.6, 7.0, 7.1, 3.3, -3.3, 17.0, -17.0,
           36.7, -36.7, 40.0, -40.0, 700.0, -700.0, 745.5, -745.5, 1e5, -1e5, 1e308, -1e308]


def logistic(z):
    if z > 10**6:  # 1 to more digits than there are
        return Decimal(1)
    if z < -(10**6):
        return Decimal(0)
    return 1 / (1 + (-z).exp())


def apply(c, margin, score):
    m, s = Decimal(margin), Decimal(score)
    if c["kind"] == "identity":
        return s
    if c["kind"] == "platt":
        return logistic(Decimal(c["a"]) * m + Decimal(c["b"]))
    if c["kind"] == "beta":
        a, b = Decimal(c["a"]), Decimal(c["b"])
        if s == 0 and a > 0:
            return Decimal(0)
        if s == 1 and b > 0:
            return Decimal(1)
        z = Decimal(c["c"]) + (a * s.ln() if a else 0) - (b * (1 - s).ln() if b else 0)
        return logistic(z)
    xs, ys = [Decimal(x) for x in c["x"]], [Decimal(y) for y in c["y"]]
    if m <= xs[0]:
        return ys[0]
    for x0, y0, x1, y1 in zip(xs, ys, xs[1:], ys[1:]):
        if m <= x1:
            return y0 + (m - x0) / (x1 - x0) * (y1 - y0)
    return ys[-1]


def main():
    out = []
    for c in CALIBRATIONS:
        rows = []
        for m in MARGINS:
            score = float(logistic(Decimal(m)))  # the model's own, as a float64
            rows.append([m, score, float(apply(c, m, score))])
        out.append({"calibration": c, "rows": rows})
    path = os.path.join(os.path.dirname(os.path.abspath(__file__)), "calibration.json")
    with open(path, "w") as f:
        f.write("[\n" + ",\n".join(json.dumps(x) for x in out) + "\n]\n")


if __name__ == "__main__":
    sys.exit(main())
