"""Writes onnxruntime/: small graphs that only ONNX Runtime runs (pipelines, linear models, neural networks), with rows and what
Python's own onnxruntime answers.

    python3.11 -m venv V && V/bin/pip install onnxruntime==1.27.0 onnx==1.23.2 skl2onnx==1.20.0 scikit-learn==1.9.1 numpy==2.4.6
    V/bin/python gen_onnxruntime.py

Per model: NAME.onnx and NAME.csv: x0…, then p0… (the output that pitboss takes, of maps their values in the order of classes), then
m0… where the graph has margins, which are then made an output of a copy. An empty cell is NaN. versions.json names the libraries.
"""
import csv
import json
import os
import warnings

import numpy as np
import onnx
import onnxruntime
import skl2onnx
import sklearn
from onnx import TensorProto, helper, numpy_helper
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

warnings.simplefilter("ignore")
HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnxruntime")
F, SEED = 5, 7


def data(n=600, nan=0.0):
    g = np.random.Generator(np.random.PCG64(SEED))
    x = g.standard_normal((n, F)) * [1, 10, 100, 1, 0.01] + [0, 5, -50, 0, 0]
    z = x[:, 0] - x[:, 1] / 10 + np.tanh(x[:, 2] / 50) + 0.5 * g.standard_normal(n)
    if nan:
        x[g.random(x.shape) < nan] = np.nan
    return x, (z > 0).astype(int), np.digitize(z, [-1, 1]), z


def rows_of(x):
    rows = [r for r in x[:12]]
    for v in (0.0, -0.0, 1e-30, 1e4, -1e4, 16777217.0):
        rows.append(np.full(F, v))
    return np.array(rows)


def run(model, rows, output):
    """The named output, one row at a time, as pitboss asks: an array of rows x columns."""
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    out = []
    for r in rows:
        feed = {}
        for k, i in enumerate(session.get_inputs()):
            kind = np.float64 if "double" in i.type else np.float32
            feed[i.name] = r.astype(kind).reshape(1, -1) if len(session.get_inputs()) == 1 else r[k:k + 1].astype(kind).reshape(1, 1)
        v = session.run([output], feed)[0]
        out.append([float(v[0][c]) for c in sorted(v[0])] if isinstance(v, list) else np.asarray(v).reshape(-1).astype(float).tolist())
    return np.array(out)


def write(name, model, rows, output, margin=None):
    model = onnx.load_from_string(model.SerializeToString())
    del model.metadata_props[:]
    onnx.checker.check_model(model)
    p = run(model, rows, output)
    columns = [("x", rows), ("p", p)]
    if margin:
        shown = onnx.load_from_string(model.SerializeToString())
        shown.graph.output.append(onnx.ValueInfoProto(name=margin))
        columns.append(("m", run(shown, rows, margin)))
    with open(os.path.join(HERE, name + ".onnx"), "wb") as f:
        f.write(model.SerializeToString())
    with open(os.path.join(HERE, name + ".csv"), "w", newline="") as f:
        w = csv.writer(f, lineterminator="\n")
        w.writerow([f"{k}{j}" for k, v in columns for j in range(v.shape[1])])
        for i in range(len(rows)):
            w.writerow(["" if np.isnan(c) else repr(float(c)) for _, v in columns for c in v[i]])


def sk(model, x, kind=FloatTensorType, columns=False, **options):
    types = [("in_%d" % j, kind([None, 1])) for j in range(F)] if columns else [("X", kind([None, x.shape[1]]))]
    last = model[-1] if hasattr(model, "steps") else model
    if columns:
        return skl2onnx.convert_sklearn(model, initial_types=types, target_opset=17, options={id(last): options})
    return skl2onnx.to_onnx(model, initial_types=types, target_opset=17, options={id(last): options} if options else None)


def net(link, outputs, kind=np.float32, seed=3):
    """Gemm, Relu, Gemm and a link, as PyTorch exports it."""
    g = np.random.Generator(np.random.PCG64(seed))
    t = TensorProto.FLOAT if kind is np.float32 else TensorProto.DOUBLE
    inits = [numpy_helper.from_array((g.standard_normal(s) * scale).astype(kind), n) for n, s, scale in
             (("w1", (16, F), 0.3), ("b1", (16,), 0.1), ("w2", (outputs, 16), 0.3), ("b2", (outputs,), 0.1))]
    scale = numpy_helper.from_array(np.array([1, 0.1, 0.01, 1, 100], kind), "scale")
    nodes = [helper.make_node("Mul", ["input", "scale"], ["scaled"]), helper.make_node("Gemm", ["scaled", "w1", "b1"], ["h"], transB=1),
             helper.make_node("Relu", ["h"], ["a"]), helper.make_node("Gemm", ["a", "w2", "b2"], ["logits" if link else "output"], transB=1)]
    if link:
        nodes.append(helper.make_node(link, ["logits"], ["output"], **({"axis": -1} if link == "Softmax" else {})))
    graph = helper.make_graph(nodes, "net", [helper.make_tensor_value_info("input", t, ["batch", F])],
                              [helper.make_tensor_value_info("output", t, ["batch", outputs])], inits + [scale])
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def main():
    os.makedirs(HERE, exist_ok=True)
    x, y, y3, z = data()
    rows = rows_of(x)
    logistic = make_pipeline(StandardScaler(), LogisticRegression()).fit(x.astype(np.float32), y)
    write("logistic_zipmap", sk(logistic, x), rows, "output_probability")
    write("logistic_tensor", sk(logistic, x, zipmap=False), rows, "probabilities")
    write("logistic_columns", sk(logistic, x, columns=True, zipmap=False), rows, "probabilities")
    mlp = make_pipeline(StandardScaler(), MLPClassifier(hidden_layer_sizes=(8,), max_iter=200, random_state=SEED)).fit(x, y)
    write("mlp_binary", sk(mlp, x, zipmap=False), rows, "probabilities")
    mlp3 = make_pipeline(StandardScaler(), MLPClassifier(hidden_layer_sizes=(8,), max_iter=200, random_state=SEED)).fit(x, y3)
    write("mlp_three", sk(mlp3, x), rows, "output_probability")
    reg = make_pipeline(StandardScaler(), MLPRegressor(hidden_layer_sizes=(8,), max_iter=200, random_state=SEED)).fit(x, z)
    write("mlp_regressor", sk(reg, x), rows, "variable")
    write("mlp_double", sk(reg, x, kind=DoubleTensorType), rows, "variable")
    xn, yn, _, _ = data(nan=0.2)
    imputed = make_pipeline(SimpleImputer(), StandardScaler(), SVC(probability=True, random_state=SEED)).fit(xn[:80], yn[:80])
    write("svm_imputed", sk(imputed, xn, zipmap=False), rows_of(xn), "probabilities")
    write("net_sigmoid", net("Sigmoid", 1), rows, "output", "logits")
    write("net_softmax", net("Softmax", 2), rows, "output", "logits")
    write("net_softmax3", net("Softmax", 3), rows, "output", "logits")
    write("net_double", net("Sigmoid", 1, np.float64), rows, "output", "logits")
    write("net_logits", net(None, 1), rows, "output")
    with open(os.path.join(HERE, "versions.json"), "w") as f:
        json.dump({m.__name__: m.__version__ for m in (np, onnx, onnxruntime, skl2onnx, sklearn)}, f, indent=1, sort_keys=True)
        f.write("\n")


if __name__ == "__main__":
    main()
