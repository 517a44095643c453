"""Writes the bundle of a model in ONNX that the tests of registry use, registry/testdata/onnx, and models that are converted wrongly,
registry/testdata/onnx_wrong. The same simulated rows, features, thresholds and reasons as make_bundle.py's.

    python3 registry/testdata/make_onnx_bundle.py registry/testdata

Python 3.11 and train/requirements.txt.

The bundle's model is LightGBM's, converted by onnxmltools: golden.csv is what LightGBM itself answers, for the model before it was converted, and
reference.csv are its training rows, so that contributions are comparable. onnxmltools converts zero_as_missing, linear trees and random forests wrongly without a
word: NAME.onnx and NAME.csv, the golden rows of LightGBM, are put into the bundle by the test.
"""

import csv
import hashlib
import io
import json
import math
import pathlib
import platform
import sys

import lightgbm
import numpy as np
import onnx
import onnxmltools
from onnxmltools.convert.common.data_types import FloatTensorType

import make_bundle as tiny

COLUMNS = tiny.MODEL_FEATURES
A, B = 0.9, -0.05


def train(x, y, trees=8, **params):
    p = {"objective": "binary", "num_leaves": 8, "learning_rate": 0.2, "min_data_in_leaf": 10, "seed": tiny.SEED, "num_threads": 1, "deterministic": True,
         "force_row_wise": True, "verbose": -1}
    return lightgbm.train({**p, **params}, lightgbm.Dataset(x, y, feature_name=COLUMNS), trees)


def convert(model):
    m = onnxmltools.convert_lightgbm(model, initial_types=[("input", FloatTensorType([None, len(COLUMNS)]))])
    m.graph.name = "lightgbm"  # it is random otherwise
    return m.SerializeToString()


def probability(model, x):
    """What predict says, as the margin that pitboss has of it: the mean of a random forest, else the sum."""
    margin = model.predict(x, raw_score=True)
    return margin / model.num_trees() if model.params.get("boosting") == "rf" else margin


def golden(model, x, explain=True):
    margin = probability(model, x)
    out = io.StringIO()
    w = csv.writer(out, lineterminator="\n")
    w.writerow(COLUMNS + ["margin", "score"] + (["base"] + ["contrib_" + f for f in COLUMNS] if explain else []))
    contributions = model.predict(x, pred_contrib=True) if explain else None
    for i in range(len(x)):
        score = 1 / (1 + math.exp(-(A * float(margin[i]) + B)))
        row = [tiny.number(v) for v in x[i]] + [tiny.number(margin[i]), tiny.number(score)]
        if explain:
            row += [tiny.number(contributions[i][-1])] + [tiny.number(v) for v in contributions[i][:-1]]
        w.writerow(row)
    return out.getvalue()


def main(target):
    x, y = tiny.simulate()
    x = x.astype(np.float32).astype(float)
    x, y = np.concatenate([x[y == 1][:300], x[y == 0][:700]]), np.concatenate([np.ones(300), np.zeros(700)])
    rows = np.concatenate([x[:12], x[-12:]])
    model = train(x, y)
    sample = io.StringIO()
    w = csv.writer(sample, lineterminator="\n")
    w.writerow(COLUMNS)
    w.writerows([tiny.number(v) for v in r] for r in x)
    files = {
        "model.onnx": convert(model),
        "features.yaml": tiny.FEATURES_YAML.encode(),
        "calibration.json": (json.dumps({"format": 1, "kind": "platt", "a": A, "b": B}) + "\n").encode(),
        "thresholds.yaml": tiny.THRESHOLDS_YAML.encode(),
        "reasons.yaml": tiny.REASONS_YAML.encode(),
        "reference.csv": sample.getvalue().encode(),
        "golden.csv": golden(model, rows).encode(),
    }
    lines = ["format: 1", "name: tinyonnx", 'version: "1"', "model: {file: model.onnx, format: onnx, columns: [%s]}" % ", ".join(COLUMNS),
             "features: {file: features.yaml}", "calibration: {file: calibration.json}", "thresholds: {file: thresholds.yaml}",
             "reasons: {file: reasons.yaml}", "golden: {file: golden.csv, rows: 24}", "reference: {file: reference.csv}", "files:"]
    for name, text in sorted(files.items()):
        lines.append(f'  - {{name: {name}, size: {len(text)}, sha256: "{hashlib.sha256(text).hexdigest()}"}}')
    lines += ["created_from:", "  note: simulated by registry/testdata/make_onnx_bundle.py", f"  seed: {tiny.SEED}", "  rows: 1000",
              "libraries: {python: %s, lightgbm: %s, onnx: %s, onnxmltools: %s, numpy: %s}" % (
                  platform.python_version(), lightgbm.__version__, onnx.__version__, onnxmltools.__version__, np.__version__)]
    files["bundle.yaml"] = ("\n".join(lines) + "\n").encode()
    target = pathlib.Path(target)
    (target / "onnx").mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (target / "onnx" / name).write_bytes(text)

    wrong = target / "onnx_wrong"
    wrong.mkdir(exist_ok=True)
    zeros = x.copy()
    zeros[::3, 0] = 0.0
    zeros[::4, 9] = 0.0
    for name, model, rows, explain in [
        ("zero_as_missing", train(zeros, y, zero_as_missing=True), zeros[:24], True),
        ("linear", train(np.nan_to_num(x), y, linear_tree=True), np.nan_to_num(rows), False),
        ("forest", train(x, y, boosting="rf", bagging_fraction=0.6, bagging_freq=1), rows, True),
    ]:
        (wrong / (name + ".onnx")).write_bytes(convert(model))
        (wrong / (name + ".csv")).write_text(golden(model, rows, explain))


if __name__ == "__main__":
    main(sys.argv[1])
