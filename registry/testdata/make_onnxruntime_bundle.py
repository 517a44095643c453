"""Writes the bundle of a neural network in ONNX that the tests of registry, decide and audit use: registry/testdata/onnxruntime. The
same simulated rows, features, thresholds and reasons as make_bundle.py's.

    python3 registry/testdata/make_onnxruntime_bundle.py registry/testdata/onnxruntime

Python 3.11, onnxruntime 1.27.0, onnx 1.23.2, skl2onnx 1.20.0, scikit-learn 1.9.1, numpy 2.4.6; and lightgbm 4.6.0, which
make_bundle.py imports. Scores are those of Python's own onnxruntime.
"""

import csv
import hashlib
import io
import json
import math
import pathlib
import platform
import sys
import warnings

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from skl2onnx.common.data_types import FloatTensorType
from sklearn.impute import SimpleImputer
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

import make_bundle as tiny

warnings.simplefilter("ignore")


def golden(raw, x, a, b):
    model = onnx.load_from_string(raw)
    margin = next(n.input[0] for n in model.graph.node if n.op_type == "Sigmoid")
    model.graph.output.append(onnx.ValueInfoProto(name=margin))
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    out = io.StringIO()
    w = csv.writer(out, lineterminator="\n")
    w.writerow(tiny.MODEL_FEATURES + ["margin", "score"])
    for row in x:
        m = float(session.run([margin], {"X": row.astype(np.float32).reshape(1, -1)})[0].reshape(-1)[0])
        w.writerow([tiny.number(v) for v in row] + [tiny.number(m), tiny.number(1 / (1 + math.exp(-(a * m + b))))])
    return out.getvalue()


def main(target):
    x, y = tiny.simulate()
    net = make_pipeline(SimpleImputer(), StandardScaler(), MLPClassifier(hidden_layer_sizes=(12,), max_iter=60, random_state=tiny.SEED)).fit(x, y)
    model = skl2onnx.to_onnx(net, initial_types=[("X", FloatTensorType([None, x.shape[1]]))], target_opset=17, options={id(net[-1]): {"zipmap": False}})
    raw = model.SerializeToString()
    a, b = 0.9, -0.05
    files = {
        "model.onnx": raw,
        "features.yaml": tiny.FEATURES_YAML.encode(),
        "calibration.json": (json.dumps({"format": 1, "kind": "platt", "a": a, "b": b}) + "\n").encode(),
        "thresholds.yaml": tiny.THRESHOLDS_YAML.encode(),
        "reasons.yaml": tiny.REASONS_YAML.encode(),
        "golden.csv": golden(raw, np.concatenate([x[y == 1][:12], x[y == 0][:12]]), a, b).encode(),
    }
    lines = ["format: 1", "name: tinynet", 'version: "1"',
             "model:", "  file: model.onnx", "  format: onnx", "  backend: onnxruntime", "  columns: [%s]" % ", ".join(tiny.MODEL_FEATURES),
             "allow_unexplained: true", "features: {file: features.yaml}",
             "calibration: {file: calibration.json}", "thresholds: {file: thresholds.yaml}",
             "reasons: {file: reasons.yaml}", "golden: {file: golden.csv, rows: 24}", "files:"]
    for name, text in sorted(files.items()):
        lines.append(f'  - {{name: {name}, size: {len(text)}, sha256: "{hashlib.sha256(text).hexdigest()}"}}')
    lines += ["created_from:", "  note: simulated by registry/testdata/make_onnxruntime_bundle.py", f"  seed: {tiny.SEED}",
              f"  rows: {tiny.ROWS}", "libraries: {python: %s, onnxruntime: %s, skl2onnx: %s, scikit-learn: %s, numpy: %s}" % (
                  platform.python_version(), onnxruntime.__version__, skl2onnx.__version__, sklearn.__version__, np.__version__)]
    files["bundle.yaml"] = ("\n".join(lines) + "\n").encode()
    target = pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (target / name).write_bytes(text)


if __name__ == "__main__":
    main(sys.argv[1])
