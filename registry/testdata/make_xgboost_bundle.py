"""Writes the bundle of an XGBoost model that the tests of registry and decide use: registry/testdata/xgboost. The same
simulated rows, features, thresholds and reasons as make_bundle.py's.

    python3 registry/testdata/make_xgboost_bundle.py registry/testdata/xgboost

Python 3.11, xgboost-cpu 3.2.0, numpy 2.4.6; and lightgbm 4.6.0, which make_bundle.py imports.
"""

import csv
import hashlib
import io
import json
import math
import pathlib
import platform
import sys
import tempfile

import numpy as np
import xgboost

import make_bundle as tiny


def golden(model, x, a, b):
    d = xgboost.DMatrix(x, feature_names=tiny.MODEL_FEATURES, nthread=1)
    margin = model.predict(d, output_margin=True)
    contributions = model.predict(d, pred_contribs=True)
    out = io.StringIO()
    w = csv.writer(out, lineterminator="\n")
    w.writerow(tiny.MODEL_FEATURES + ["margin", "score", "base"] + ["contrib_" + f for f in tiny.MODEL_FEATURES])
    for i in range(len(x)):
        score = 1 / (1 + math.exp(-(a * float(margin[i]) + b)))
        w.writerow([tiny.number(v) for v in x[i]] + [tiny.number(margin[i]), tiny.number(score), tiny.number(contributions[i][-1])]
                   + [tiny.number(v) for v in contributions[i][:-1]])
    return out.getvalue()


def main(target):
    x, y = tiny.simulate()
    params = {"objective": "binary:logistic", "max_depth": 4, "eta": 0.2, "seed": tiny.SEED, "nthread": 1, "tree_method": "hist"}
    model = xgboost.train(params, xgboost.DMatrix(x, y, feature_names=tiny.MODEL_FEATURES, nthread=1), 20)
    with tempfile.TemporaryDirectory() as d:
        model.save_model(d + "/model.ubj")
        # what predicts is what the file says
        model, raw = xgboost.Booster(model_file=d + "/model.ubj"), pathlib.Path(d, "model.ubj").read_bytes()
    a, b = 0.9, -0.05
    files = {
        "model.ubj": raw,
        "features.yaml": tiny.FEATURES_YAML.encode(),
        "calibration.json": (json.dumps({"format": 1, "kind": "platt", "a": a, "b": b}) + "\n").encode(),
        "thresholds.yaml": tiny.THRESHOLDS_YAML.encode(),
        "reasons.yaml": tiny.REASONS_YAML.encode(),
        "golden.csv": golden(model, np.concatenate([x[y == 1][:12], x[y == 0][:12]]), a, b).encode(),
    }
    lines = ["format: 1", "name: tinyxgb", 'version: "1"',
             "model: {file: model.ubj, format: xgboost}", "features: {file: features.yaml}",
             "calibration: {file: calibration.json}", "thresholds: {file: thresholds.yaml}",
             "reasons: {file: reasons.yaml}", "golden: {file: golden.csv, rows: 24}", "files:"]
    for name, text in sorted(files.items()):
        lines.append(f'  - {{name: {name}, size: {len(text)}, sha256: "{hashlib.sha256(text).hexdigest()}"}}')
    lines += ["created_from:", "  note: simulated by registry/testdata/make_xgboost_bundle.py", f"  seed: {tiny.SEED}",
              f"  rows: {tiny.ROWS}", "libraries: {python: %s, xgboost: %s, numpy: %s}" % (
                  platform.python_version(), xgboost.__version__, np.__version__)]
    files["bundle.yaml"] = ("\n".join(lines) + "\n").encode()
    target = pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (target / name).write_bytes(text)


if __name__ == "__main__":
    main(sys.argv[1])
