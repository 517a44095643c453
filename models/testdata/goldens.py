"""What the generators of goldens share: simulated rows, and how a golden is written."""
import numpy as np


def data(n, f=6, seed=1, nan=0.0, cats=()):
    """n rows of f features of several shapes, and what a model can learn of them; cats are columns with their number of categories."""
    g = np.random.Generator(np.random.PCG64(seed))
    x = g.standard_normal((n, f))
    x[:, ::3] = np.exp(x[:, ::3])
    if f > 1:
        x[:, 1] = np.round(np.abs(x[:, 1]) * 4)
    if f > 4:
        x[g.random(n) < 0.5, 4] = 0.0
    for j, k in cats:
        x[:, j] = g.integers(0, k, n)
    z = np.tanh(x) @ np.linspace(1.5, -1, f) + (0.8 * np.tanh(x[:, 0] * x[:, 2 % f]))
    for j, k in cats:
        z = z + np.sin(x[:, j] * 2.3)
    y = z + 0.7 * g.standard_normal(n)
    if nan:
        for j in range(0, f, 2):
            x[g.random(n) < nan, j] = np.nan
    return x, y


def cell(v):
    return "" if np.isnan(v) else repr(float(v))


def heads(f, k, contributions=True):
    """The columns of a golden: x, margins, scores, and per output the contributions with their base."""
    head = ["x%d" % j for j in range(f)] + ["margin%d" % i for i in range(k)] + ["score%d" % i for i in range(k)]
    if contributions:
        head += [h for i in range(k) for h in ["c%d_%d" % (i, j) for j in range(f)] + ["b%d" % i]]
    return head


def text(head, table):
    """Floats as the shortest that read back the same, nothing for NaN."""
    return ",".join(head) + "\n" + "".join(",".join(map(cell, r)) + "\n" for r in table)
