"""What a bundle keeps of its training rows: the reference profile and the reference sample of BUNDLE.md."""
import csv
import io
import json
import math

import numpy as np

MAX_POINTS = 256
MAX_ROWS = 1000


def profile(features, x):
    """How the values of each feature are distributed: all distinct ones where there are at most MAX_POINTS, else those at ranks that
    are evenly spread. Counts are of rows, whatever their weight."""
    columns = []
    for j, name in enumerate(features):
        values = np.sort(x[~np.isnan(x[:, j]), j] + 0.0)  # no -0
        points = np.unique(values)
        if len(points) > MAX_POINTS:
            points = np.unique(values[np.linspace(0, len(values) - 1, MAX_POINTS).round().astype(int)])
        columns.append({"name": name, "missing": int(len(x) - len(values)), "x": [float(v) for v in points],
                        "below": np.searchsorted(values, points, side="left").tolist(),
                        "at_most": np.searchsorted(values, points, side="right").tolist()})
    return {"format": 1, "rows": len(x), "features": columns}


def profile_json(p):
    """One line for each feature."""
    lines = ",\n".join(json.dumps(c, separators=(",", ":")) for c in p["features"])
    return f'{{"format":{p["format"]},"rows":{p["rows"]},"features":[\n{lines}\n]}}\n'.encode()


def reference(x, count):
    """count rows, evenly spread: rows are in the order of time."""
    picked = np.unique(np.linspace(0, len(x) - 1, min(count, len(x))).round().astype(int))
    return x[picked]


def reference_csv(features, x):
    out = io.StringIO()
    w = csv.writer(out, lineterminator="\n")  # it writes a row of one empty cell as "", which is no empty line
    w.writerow(features)
    w.writerows([["" if math.isnan(v) else repr(float(v)) for v in row] for row in x])
    return out.getvalue().encode()
