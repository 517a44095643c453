"""Writes onnx/: small ONNX models of every variant with rows that hit the edges, and what ONNX Runtime answers.

    python3.11 -m venv A && A/bin/pip install -r ../../train/requirements.txt && A/bin/python gen_onnx.py

Per model: NAME.onnx as the converter (skl2onnx, onnxmltools) or onnx.helper made it; NAME.csv with x0…, margin0…, score0…,
and, where the library that trained the model or shap explains it (empty where the row may go another way there), per output c<output>_<feature>… and b<output>, which go by
the rows of reference_<data>.csv, the training rows (NAME.reference names it). An empty cell is NaN.

Scores are the graph's own, margins those of the same graph without what bends them (post_transform NONE; Sigmoid,
Softmax, Exp and Normalizer taken out); both row by row, on one thread, so that the order of sums is the file's. Of a classifier of two
classes there is the second class only, unless both have margins and are transformed together.
"""
import json
import os
import warnings

import lightgbm as lgb
import numpy as np
import onnx
import onnxruntime
import pandas as pd
import shap
import skl2onnx
import sklearn
import xgboost as xgb
from onnx import TensorProto, helper, numpy_helper
from onnxmltools import __version__ as onnxmltools_version
from onnxmltools import convert_lightgbm, convert_xgboost
from onnxmltools.convert.common.data_types import FloatTensorType as ToolsFloat
from skl2onnx.common._container import ModelComponentContainer
from skl2onnx.common.data_types import DoubleTensorType, FloatTensorType
from sklearn.compose import ColumnTransformer
from sklearn.ensemble import (ExtraTreesClassifier, ExtraTreesRegressor, GradientBoostingClassifier, GradientBoostingRegressor,
                              HistGradientBoostingClassifier, HistGradientBoostingRegressor, RandomForestClassifier,
                              RandomForestRegressor)
from sklearn.impute import SimpleImputer
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from sklearn.tree import DecisionTreeClassifier, DecisionTreeRegressor

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "onnx")
FEATURES = 5
BENDS = {"Sigmoid", "Softmax", "Exp", "Normalizer"}
TREES = {"TreeEnsembleClassifier", "TreeEnsembleRegressor", "TreeEnsemble"}
VERSIONS = {"onnx": onnx.__version__, "onnxruntime": onnxruntime.__version__, "skl2onnx": skl2onnx.__version__,
            "onnxmltools": onnxmltools_version, "sklearn": sklearn.__version__, "lightgbm": lgb.__version__,
            "xgboost": xgb.__version__, "shap": shap.__version__, "numpy": np.__version__}

# skl2onnx 1.20 hands numpy's integers and truth values of HistGradientBoosting to onnx 1.23, which takes Python's integers only.
_add_node = ModelComponentContainer.add_node


def add_node(self, *args, **attributes):
    for k, v in attributes.items():
        if isinstance(v, list):
            attributes[k] = [int(e) if isinstance(e, np.integer | np.bool_ | bool) else e for e in v]
    return _add_node(self, *args, **attributes)


ModelComponentContainer.add_node = add_node


def data(nan=0.0, cats=(), n=400, seed=1):
    g = np.random.Generator(np.random.PCG64(seed))
    x = g.standard_normal((n, FEATURES))
    x[:, ::3] = np.exp(x[:, ::3])
    x[:, 1] = np.round(np.abs(x[:, 1]) * 4)
    for j, k in cats:
        x[:, j] = g.integers(0, k, n)
    z = np.tanh(x) @ np.linspace(1.5, -1, FEATURES) + 0.8 * np.tanh(x[:, 0] * x[:, 2])
    for j, _ in cats:
        z = z + np.sin(x[:, j] * 2.3)
    y = z + 0.5 * g.standard_normal(n)
    if nan:
        for j in range(0, FEATURES, 2):
            x[g.random(n) < nan, j] = np.nan
    return np.float32(x).astype(float), y


PLAIN, MISSING, CATS = data(), data(nan=0.2, seed=2), data(cats=[(2, 12), (4, 5)], seed=4)
DATA = {"plain": PLAIN, "missing": MISSING, "categories": CATS}


def labels(y, classes):
    return np.digitize(y, [0.4] if classes == 2 else [-0.5, 0.8])


# --- rows and answers ---

def thresholds(model, leave_out=(b"LEAF",)):
    for n in model.graph.node:
        if n.op_type in TREES:
            a = {x.name: helper.get_attribute_value(x) for x in n.attribute}
            if "nodes_splits" in a:
                v = numpy_helper.to_array(a["nodes_splits"])
                return list(zip(a["nodes_featureids"], v, strict=True))
            v = a.get("nodes_values")
            v = numpy_helper.to_array(a["nodes_values_as_tensor"]) if v is None else v
            return [(f, t) for f, t, m in zip(a["nodes_featureids"], v, a["nodes_modes"], strict=True) if m not in leave_out]
    raise ValueError("no trees")


def edges(model, x, inverse=None, width=FEATURES, double=False, seed=5):
    """Rows at and beside thresholds (brought back through a scaler), around zero, missing, huge, and odd categories."""
    g = np.random.Generator(np.random.PCG64(seed))
    rows = [r.copy() for r in x[:6]]
    for v in [0.0, -0.0, 1e-36, -1e-50, np.nan, 3.4028234663852886e38, -3.4028234663852886e38, 3.7, -1.0, 16777217.0, 2.0, 5.0, 11.0, 12.0]:
        rows.append(np.full(width, v))
        r = x[g.integers(len(x))].copy()
        r[g.integers(width)] = v
        rows.append(r)
    cut = thresholds(model)
    kind = np.float64 if double else np.float32
    for i in g.permutation(len(cut))[:5]:
        j, t = cut[i]
        if inverse is not None:
            j, t = inverse(j, t)
        t = kind(t)
        near = [t]
        for _ in range(3 if inverse is not None else 1):
            near = [np.nextafter(near[0], kind(-np.inf)), *near, np.nextafter(near[-1], kind(np.inf))]
        for v in [*near, np.nextafter(float(t), np.inf), np.nextafter(float(t), -np.inf)]:
            if np.isfinite(np.float32(v)):
                r = x[g.integers(len(x))].copy()
                r[j] = v
                rows.append(r)
    return np.array(rows)


def session(model):
    o = onnxruntime.SessionOptions()
    o.intra_op_num_threads = 1
    o.log_severity_level = 3
    return onnxruntime.InferenceSession(model.SerializeToString(), o, providers=["CPUExecutionProvider"])


def run(model, x):
    """The scores of each row, one at a time."""
    s = session(model)
    types = {i.name: np.float64 if "double" in i.type else np.float32 for i in s.get_inputs()}
    wide = len(types) == 1
    out = []
    with np.errstate(over="ignore"):
        for r in x:
            feed = {n: (r if wide else r[i:i + 1]).reshape(1, -1).astype(t) for i, (n, t) in enumerate(types.items())}
            scores = [v for o, v in zip(s.get_outputs(), s.run(None, feed), strict=True) if "int64" not in o.type and "string" not in o.type or "map" in o.type]
            v = scores[-1]
            out.append(list(v[0].values()) if isinstance(v, list) else np.asarray(v, dtype=float).ravel())
    return np.array(out, dtype=float)


def straight(model):
    """The same graph up to the first node that bends scores."""
    m = onnx.ModelProto()
    m.CopyFrom(model)
    for n in m.graph.node:
        for a in n.attribute:
            if a.name == "post_transform" and n.op_type in TREES:
                if n.op_type == "TreeEnsemble":
                    a.i = 0
                else:
                    a.s = b"NONE"
    out = m.graph.output[-1]
    bent = [n for n in m.graph.node if n.op_type in BENDS or n.op_type == "ZipMap"]
    if bent:
        out.name = bent[0].input[0]
        names = [n.output[0] for n in m.graph.node]
        for n in reversed(m.graph.node[names.index(bent[0].output[0]):]):
            if any(o == p.name for o in n.output for p in m.graph.output[:-1]) or n.op_type in TREES:
                continue  # the labels
            m.graph.node.remove(n)
        out.type.CopyFrom(helper.make_tensor_type_proto(TensorProto.FLOAT, [None, None]))
    return m


def cell(v):
    return "" if np.isnan(v) else repr(float(v))


def answers(model, x, contributions=None, keep=None):
    """What the runtime answers: columns and their heads. keep are the columns of the scores that are outputs of ours."""
    margin, score = run(straight(model), x), run(model, x)
    keep = keep or ([1] if score.shape[1] == 2 else range(score.shape[1]))
    margin, score = margin if margin.shape[1] == 1 else margin[:, keep], score[:, keep]
    k = len(keep)
    head = ["x%d" % j for j in range(x.shape[1])] + ["margin%d" % i for i in range(k)] + ["score%d" % i for i in range(k)]
    cols = [x, margin, score]
    if contributions is not None:
        head += [h for i in range(k) for h in ["c%d_%d" % (i, j) for j in range(x.shape[1])] + ["b%d" % i]]
        cols.append(contributions)
    return head, np.hstack(cols)


def same_ways(model, x, contributions, trained_on, front):
    """Contributions of the rows that go the same ways, at every node, in the library that trained the model. Those at a threshold,
    which has more digits there, and those with NaN where training had none, are left empty."""
    other = np.isnan(x).any(axis=1) if not np.isnan(trained_on).any() else np.zeros(len(x), bool)
    with np.errstate(over="ignore", invalid="ignore"):
        seen = x if front is None else front(x)
        for j, t in thresholds(model, (b"LEAF", b"BRANCH_EQ")):
            other |= np.abs(np.float32(seen[:, j]) - np.float32(t)) <= (0 if front is None else 1e-6 * abs(t))
    assert other.mean() < 0.6, other.mean()
    contributions[other] = np.nan
    return contributions


def emit(name, model, x, explain=None, reference="plain", keep=None, front=None):
    model.graph.name = name  # converters make up another each time
    with open(os.path.join(HERE, name + ".onnx"), "wb") as f:
        f.write(model.SerializeToString())
    contributions = None
    if explain is not None:
        contributions = same_ways(model, x, explain(x), DATA[reference][0], front)
        with open(os.path.join(HERE, name + ".reference"), "w") as f:
            f.write("reference_%s.csv\n" % reference)
    head, table = answers(model, x, contributions, keep)
    with open(os.path.join(HERE, name + ".csv"), "w", newline="\n") as f:
        f.write(",".join(head) + "\n" + "".join(",".join(map(cell, r)) + "\n" for r in table))


def shap_of(model, front=None, output=None):
    """Path-dependent contributions of a scikit-learn model by shap, per output: features, then base."""
    explainer = shap.TreeExplainer(model, feature_perturbation="tree_path_dependent")

    def explain(x):
        with np.errstate(over="ignore"):
            t = x.astype(np.float32).astype(float)
        t = t if front is None else front(t)
        phi = np.asarray(explainer.shap_values(t, check_additivity=False))
        base = np.atleast_1d(explainer.expected_value)
        if phi.ndim == 2:
            phi = phi[:, :, None]
        outputs = range(phi.shape[2]) if output is None else output
        return np.hstack([np.hstack([phi[:, :, k], np.full((len(x), 1), base[k])]) for k in outputs])
    return explain


# --- scikit-learn ---

def no_map(model):
    return {id(model): {"zipmap": False}} if sklearn.base.is_classifier(model) else None


def convert(pipeline, options=None, double=False, **kw):
    kind = DoubleTensorType if double else FloatTensorType
    return skl2onnx.convert_sklearn(pipeline, initial_types=[("input", kind([None, FEATURES]))], options=options,
                                    target_opset={"": 18, "ai.onnx.ml": 3}, **kw)


def sk(name, model, classes=0, which="plain", front=None, explain=True, output=None, zipmap=False, keep=None, target=None, double=False):
    """Fits a model, behind a front if there is one, and emits it."""
    x, y = DATA[which]
    y = labels(y, classes) if classes else (np.abs(y) if target == "positive" else y)
    if target == "names":
        y = np.array(["fair", "fraud"])[y]
    inverse, transform = None, None
    pipeline = model
    if front is not None:
        pipeline = make_pipeline(front, model)
        pipeline.fit(x, y)
        transform = front.transform
        last = front[-1] if isinstance(front, Pipeline) else front
        if not isinstance(last, SimpleImputer):
            def inverse(j, t):
                return j, last.inverse_transform(np.full((1, FEATURES), t))[0, j]
    else:
        model.fit(x, y)
    converted = convert(pipeline, None if zipmap else no_map(model), double)
    if output is None and classes == 2:
        output = [1]
    if classes == 2 and isinstance(model, (GradientBoostingClassifier, HistGradientBoostingClassifier)):
        output = [0]
    if double:  # skl2onnx says double of what the operator gives as float, and ONNX Runtime refuses that
        converted.graph.output[0].type.tensor_type.elem_type = TensorProto.FLOAT
    emit(name, converted, edges(converted, x, inverse, double=double), shap_of(model, transform, output) if explain else None, which, keep,
         transform)
    return converted


def sklearn_models():
    forest = dict(n_estimators=4, max_depth=4, random_state=3, bootstrap=False, max_features=2)
    boosted = dict(n_estimators=5, max_depth=3, random_state=3)
    hist = dict(max_iter=5, max_leaf_nodes=7, random_state=3, early_stopping=False)
    sk("sk_forest_binary", RandomForestClassifier(**forest), 2)
    sk("sk_forest_binary_zipmap", RandomForestClassifier(**forest), 2, zipmap=True)
    sk("sk_forest_names", RandomForestClassifier(**forest), 2, zipmap=True, target="names")
    sk("sk_forest_three", RandomForestClassifier(**forest), 3)
    sk("sk_forest_three_zipmap", RandomForestClassifier(**forest), 3, zipmap=True)
    sk("sk_forest_bootstrap", RandomForestClassifier(**dict(forest, bootstrap=True)), 2, explain=False)
    sk("sk_forest_missing", RandomForestClassifier(**forest), 2, which="missing", explain=False)
    sk("sk_forest_many", RandomForestClassifier(**dict(forest, n_estimators=120, max_depth=2)), 2)
    sk("sk_forest_regression", RandomForestRegressor(**forest))
    sk("sk_extra_binary", ExtraTreesClassifier(n_estimators=4, max_depth=4, random_state=3), 2)
    sk("sk_extra_regression", ExtraTreesRegressor(n_estimators=4, max_depth=4, random_state=3))
    sk("sk_tree_binary", DecisionTreeClassifier(max_depth=4, random_state=3), 2)
    sk("sk_tree_three", DecisionTreeClassifier(max_depth=4, random_state=3), 3)
    sk("sk_tree_regression", DecisionTreeRegressor(max_depth=4, random_state=3))
    sk("sk_boosted_binary", GradientBoostingClassifier(**boosted), 2)
    sk("sk_boosted_three", GradientBoostingClassifier(**boosted), 3, explain=False)
    sk("sk_boosted_regression", GradientBoostingRegressor(**boosted))
    sk("sk_boosted_double", GradientBoostingRegressor(**boosted), double=True)
    sk("sk_hist_binary", HistGradientBoostingClassifier(**hist), 2, which="missing")
    sk("sk_hist_three", HistGradientBoostingClassifier(**hist), 3, which="missing", explain=False)
    sk("sk_hist_regression", HistGradientBoostingRegressor(**hist), which="missing")
    sk("sk_hist_poisson", HistGradientBoostingRegressor(loss="poisson", **hist), which="missing", target="positive", explain=False)
    fronts = {"standard": StandardScaler(), "minmax": MinMaxScaler(), "minmax_clip": MinMaxScaler(clip=True), "robust": RobustScaler(),
              "maxabs": MaxAbsScaler()}
    for name, front in fronts.items():
        sk("sk_%s_forest" % name, RandomForestClassifier(**forest), 2, front=front, explain=name != "minmax_clip")
    sk("sk_standard_boosted", GradientBoostingClassifier(**boosted), 2, front=StandardScaler())
    sk("sk_imputer_forest", RandomForestClassifier(**forest), 2, which="missing", front=SimpleImputer())
    sk("sk_imputer_standard_boosted", GradientBoostingClassifier(**boosted), 2, which="missing",
       front=Pipeline([("i", SimpleImputer()), ("s", StandardScaler())]))
    sk("sk_imputer_boosted", GradientBoostingRegressor(**boosted), which="missing", front=SimpleImputer(strategy="median"))
    sk("sk_standard_double", GradientBoostingRegressor(**boosted), front=StandardScaler(), double=True, explain=False)
    columns()


def columns():
    """A pipeline with one input for each column, some scaled, in another order for the trees; and the same as a matrix."""
    x, y = MISSING
    y = labels(y, 2)
    names = ["bets_1h", "amount", "hour", "age", "deposits"]
    model = RandomForestClassifier(n_estimators=4, max_depth=4, random_state=3, bootstrap=False, max_features=2)
    front = ColumnTransformer([("a", make_pipeline(SimpleImputer(), StandardScaler()), ["hour", "bets_1h"]), ("b", MinMaxScaler(), ["amount"]),
                               ("c", SimpleImputer(), ["deposits"]), ("d", "passthrough", ["age"])])
    pipeline = Pipeline([("f", front), ("m", model)]).fit(pd.DataFrame(x, columns=names), y)
    one = skl2onnx.convert_sklearn(pipeline, initial_types=[(n, FloatTensorType([None, 1])) for n in names], options=no_map(model),
                                   target_opset={"": 18, "ai.onnx.ml": 3})
    emit("sk_columns", one, edges(one, x, lambda j, t: ([2, 0, 1, 4, 3][j], t)))
    front = ColumnTransformer([("a", make_pipeline(SimpleImputer(), StandardScaler()), [2, 0]), ("b", MinMaxScaler(), [1]),
                               ("c", SimpleImputer(), [4]), ("d", "passthrough", [3])])
    wide = convert(Pipeline([("f", front), ("m", model)]).fit(x, y), no_map(model))
    emit("sk_columns_matrix", wide, edges(wide, x, lambda j, t: ([2, 0, 1, 4, 3][j], t)))


# --- LightGBM and XGBoost ---

def lightgbm(name, y, which="plain", cats="auto", contributions=True, trees=5, edit=None, zipmap=False, **params):
    x = DATA[which][0]
    p = dict(num_leaves=8, learning_rate=0.2, min_data_in_leaf=10, seed=3, verbose=-1, num_threads=1, deterministic=True, force_row_wise=True)
    p.update(params)
    m = lgb.train(p, lgb.Dataset(x, y, categorical_feature=cats), trees)
    c = convert_lightgbm(m, initial_types=[("input", ToolsFloat([None, FEATURES]))], zipmap=zipmap)

    def explain(rows):
        with np.errstate(over="ignore"):
            return np.asarray(m.predict(rows.astype(np.float32).astype(float), pred_contrib=True)).reshape(len(rows), -1)
    rows = edges(c, x)
    if which == "categories":
        rows = rows[(np.isnan(rows[:, [2, 4]]) | (rows[:, [2, 4]] == np.trunc(rows[:, [2, 4]]))).all(axis=1)]  # LightGBM truncates categories, ONNX compares them
    emit(name, c, rows, explain if contributions else None, which)


def boosters():
    y, yn, yc = PLAIN[1], MISSING[1], CATS[1]
    lightgbm("lgb_binary", labels(y, 2), objective="binary")
    lightgbm("lgb_binary_zipmap", labels(y, 2), objective="binary", zipmap=True)
    lightgbm("lgb_missing", labels(yn, 2), "missing", objective="binary")
    lightgbm("lgb_regression", y, objective="regression")
    lightgbm("lgb_poisson", np.abs(y), objective="poisson")
    lightgbm("lgb_three", labels(yn, 3), "missing", objective="multiclass", num_class=3, trees=3)
    lightgbm("lgb_ova", labels(y, 3), objective="multiclassova", num_class=3, trees=3)
    lightgbm("lgb_many", labels(y, 2), objective="binary", trees=100, num_leaves=4)
    lightgbm("lgb_categories", labels(yc, 2), "categories", cats=[2, 4], objective="binary", min_data_per_group=5, cat_smooth=1, max_cat_to_onehot=2)
    for name, which, target, params in [
        ("xgb_binary", "missing", labels(yn, 2), dict(objective="binary:logistic")),
        ("xgb_base_score", "plain", labels(y, 2), dict(objective="binary:logistic", base_score=0.3)),
        ("xgb_three", "missing", labels(yn, 3), dict(objective="multi:softprob")),
        ("xgb_regression", "missing", yn, dict(objective="reg:squarederror")),
        ("xgb_poisson", "plain", np.round(np.abs(y) * 3), dict(objective="count:poisson")),
    ]:
        x = DATA[which][0]
        kind = xgb.XGBRegressor if name in ("xgb_regression", "xgb_poisson") else xgb.XGBClassifier
        m = kind(n_estimators=5, max_depth=3, learning_rate=0.3, n_jobs=1, random_state=3, **params).fit(x, target)
        c = convert_xgboost(m, initial_types=[("input", ToolsFloat([None, FEATURES]))])

        def explain(rows, m=m):
            with np.errstate(over="ignore"):
                return m.get_booster().predict(xgb.DMatrix(rows.astype(np.float32), nthread=1), pred_contribs=True).astype(float)
        # Covers of XGBoost are hessians, which count rows only where the loss is a square.
        emit(name, c, edges(c, x), explain if name == "xgb_regression" else None, which)


# --- by hand ---

def flat(kind, trees, outputs=1, weights=None, double=False, name="scores", **attributes):
    """A TreeEnsembleClassifier or -Regressor. A tree is a nested tuple (mode, feature, value, yes, no[, missing to yes]), or a
    leaf: a number for output 0, or a dictionary {output: weight}. A node may stand in several places of a tree."""
    short = "class" if kind == "TreeEnsembleClassifier" else "target"
    a = {"nodes_" + k: [] for k in ("treeids", "nodeids", "featureids", "modes", "values", "truenodeids", "falsenodeids", "missing_value_tracks_true")}
    w = {short + "_" + k: [] for k in ("treeids", "nodeids", "ids", "weights")}
    for t, root in enumerate(trees):
        ids, todo = {}, [root]
        while todo:
            n = todo.pop()
            if id(n) in ids:
                continue
            ids[id(n)] = len(ids)
            if isinstance(n, tuple):
                todo += [n[4], n[3]]
        nodes = {}

        def visit(n, ids=ids, nodes=nodes):
            if ids[id(n)] not in nodes:
                nodes[ids[id(n)]] = n
                if isinstance(n, tuple):
                    visit(n[3])
                    visit(n[4])
        visit(root)
        for i in sorted(nodes):
            n = nodes[i]
            branch = isinstance(n, tuple)
            row = (t, i, n[1], "BRANCH_" + n[0], n[2], ids[id(n[3])], ids[id(n[4])], int(len(n) > 5 and n[5])) if branch else (t, i, 0, "LEAF", 0.0, 0, 0, 0)
            for k, v in zip(list(a), row, strict=True):
                a[k].append(v)
            if not branch:
                for o, v in (n.items() if isinstance(n, dict) else [(0, float(n))]):
                    for k, e in zip(list(w), (t, i, o, v), strict=True):
                        w[k].append(e)
    if double:
        a["nodes_values_as_tensor"] = numpy_helper.from_array(np.array(a.pop("nodes_values"), np.float64))
        w[short + "_weights_as_tensor"] = numpy_helper.from_array(np.array(w.pop(short + "_weights"), np.float64))
    if short == "class":
        attributes.setdefault("classlabels_int64s", list(range(outputs)))
    else:
        attributes["n_targets"] = outputs
    return helper.make_node(kind, ["input"], (["label"] if short == "class" else []) + [name], domain="ai.onnx.ml", **a, **w, **attributes)


def linked(nodes, leaves, roots, outputs=1, double=False, members=None, **attributes):
    """A TreeEnsemble: nodes (mode number, feature, value, yes, no[, missing to yes]), children n or ~leaf; leaves (output, weight)."""
    kind = np.float64 if double else np.float32

    def floats(v):
        return numpy_helper.from_array(np.array(v, kind))
    if members is not None:
        attributes["membership_values"] = floats(members)
    return helper.make_node(
        "TreeEnsemble", ["input"], ["scores"], domain="ai.onnx.ml", n_targets=outputs, tree_roots=roots,
        nodes_modes=numpy_helper.from_array(np.array([n[0] for n in nodes], np.uint8)), nodes_featureids=[n[1] for n in nodes],
        nodes_splits=floats([n[2] for n in nodes]), nodes_truenodeids=[n[3] if n[3] >= 0 else ~n[3] for n in nodes],
        nodes_trueleafs=[int(n[3] < 0) for n in nodes], nodes_falsenodeids=[n[4] if n[4] >= 0 else ~n[4] for n in nodes],
        nodes_falseleafs=[int(n[4] < 0) for n in nodes], nodes_missing_value_tracks_true=[int(len(n) > 5 and n[5]) for n in nodes],
        leaf_targetids=[e[0] for e in leaves], leaf_weights=floats([e[1] for e in leaves]), **attributes)


def graph(nodes, constants=(), width=3, kind=TensorProto.FLOAT, out=TensorProto.FLOAT, ml=3, output="scores"):
    label = [helper.make_tensor_value_info("label", TensorProto.INT64, [None])] if nodes[0].op_type == "TreeEnsembleClassifier" else []
    g = helper.make_graph(nodes, "g", [helper.make_tensor_value_info("input", kind, [None, width])],
                          [*label, helper.make_tensor_value_info(output, out, [None, None])], list(constants))
    return helper.make_model(g, opset_imports=[helper.make_opsetid("", 18), helper.make_opsetid("ai.onnx.ml", ml)], ir_version=9)


def by_hand(name, model, width=3, keep=None, positive=False, seed=7):
    g = np.random.Generator(np.random.PCG64(seed))
    x = np.float32(np.round(g.standard_normal((30, width)) * 4) / 2).astype(float)
    rows = edges(model, x, width=width, double=model.graph.input[0].type.tensor_type.elem_type == TensorProto.DOUBLE)
    if positive:  # a probit has scores between 0 and 1 only
        rows = rows[np.isfinite(run(model, rows)).all(axis=1)]
    emit(name, model, rows, keep=keep)


def mode_trees(mode):
    return [(mode, 0, 0.5, (mode, 1, -1.0, 0.3, -0.7, True), (mode, 0, 1.5, 1.1, (mode, 2, 0.0, -0.2, 0.9))),
            (mode, 1, 1.0, 0.25, (mode, 1, 2.0, -0.5, 0.125, True), True)]


def hand_made():
    for mode in ("LEQ", "LT", "GTE", "GT", "EQ", "NEQ"):
        by_hand("hand_" + mode.lower(), graph([flat("TreeEnsembleRegressor", mode_trees(mode), base_values=[0.1])]))
    mixed = [("LEQ", 0, 0.5, ("GT", 1, -1.0, 0.3, -0.7, True), ("EQ", 0, 1.5, 1.1, ("NEQ", 2, 0.0, -0.2, 0.9))),
             ("GTE", 1, 1.0, 0.25, ("LT", 1, 2.0, -0.5, 0.125, True), True), 0.0625]
    by_hand("hand_mixed", graph([flat("TreeEnsembleRegressor", mixed)]))
    two = [("LEQ", 0, 0.5, {0: 0.2, 1: 0.7}, ("GT", 1, -1.0, {0: 0.3, 1: 0.1}, {0: 0.9, 1: 0.4}, True)), ("LT", 2, 1.0, {0: 0.15, 1: 0.35}, {0: 0.05, 1: 0.6})]
    sparse = [("LEQ", 0, 0.5, {0: 0.2}, {1: 0.7}), ("LT", 2, 1.0, {1: 0.35}, {0: 0.05})]
    for aggregate in ("SUM", "AVERAGE", "MIN", "MAX"):
        by_hand("hand_" + aggregate.lower(), graph([flat("TreeEnsembleRegressor", mixed, aggregate_function=aggregate, base_values=[0.3])]))
        by_hand("hand_%s_two" % aggregate.lower(), graph([flat("TreeEnsembleRegressor", two, 2, aggregate_function=aggregate, base_values=[0.3, -0.1])]), keep=[0, 1])
    by_hand("hand_average_sparse", graph([flat("TreeEnsembleRegressor", sparse, 2, aggregate_function="AVERAGE")]), keep=[0, 1])
    small = [("LEQ", 0, 0.5, 0.1, ("GT", 1, -1.0, 0.3, 0.2, True)), ("LT", 2, 1.0, 0.15, 0.05)]
    signed = [("LEQ", 0, 0.5, -0.1, ("GT", 1, -1.0, 0.3, -0.2, True)), ("LT", 2, 1.0, 0.15, -0.05)]
    three = [("LEQ", 0, 0.5, {0: 0.2, 1: 0.7}, {1: 0.1, 2: 0.5}), ("LT", 2, 1.0, {2: 0.35}, {0: 0.05, 2: -0.4})]
    for post in ("NONE", "LOGISTIC", "SOFTMAX", "SOFTMAX_ZERO", "PROBIT"):
        low = post.lower()
        by_hand("hand_%s_regressor" % low, graph([flat("TreeEnsembleRegressor", small, post_transform=post)]), positive=post == "PROBIT")
        by_hand("hand_%s_regressor_two" % low, graph([flat("TreeEnsembleRegressor", two, 2, post_transform=post, base_values=[-0.2, -0.3])]),
                keep=[0, 1], positive=post == "PROBIT")
        by_hand("hand_%s_two_classes" % low, graph([flat("TreeEnsembleClassifier", two, 2, post_transform=post)]),
                keep=[0, 1] if post.startswith("SOFT") else [1], positive=post == "PROBIT")
        if post != "PROBIT":
            by_hand("hand_%s_three_classes" % low, graph([flat("TreeEnsembleClassifier", three, 3, post_transform=post, base_values=[0.1, 0.0, -0.2])]))
            by_hand("hand_%s_positive" % low, graph([flat("TreeEnsembleClassifier", small, 2, post_transform=post)]))
            by_hand("hand_%s_signed" % low, graph([flat("TreeEnsembleClassifier", signed, 2, post_transform=post, base_values=[0.05])]))
    second = [("LEQ", 0, 0.5, {1: -0.2}, {1: 0.7}), ("LT", 2, 1.0, {1: 0.35}, {1: 0.05})]
    by_hand("hand_second_class", graph([flat("TreeEnsembleClassifier", second, 2, post_transform="LOGISTIC")]))
    shared = ("GT", 1, 0.5, 0.75, -0.75)
    chain = [("EQ", 0, 1.0, shared, ("EQ", 0, 2.5, shared, ("EQ", 0, -1.0, shared, ("LEQ", 2, 0.0, shared, -0.25), True)))]
    by_hand("hand_shared_nodes", graph([flat("TreeEnsembleRegressor", chain)]))
    copies = [("EQ", 0, 1.0, ("GT", 1, 0.5, 0.75, -0.75), ("EQ", 0, 2.0, ("GT", 1, 0.5, 0.75, -0.75), 0.5))]
    by_hand("hand_copied_nodes", graph([flat("TreeEnsembleRegressor", copies)]))
    doubles = [("LEQ", 0, 0.1, 0.3, ("LT", 1, 1 / 3, -0.7, 1e-9, True)), ("EQ", 2, 0.7, 0.1, ("GTE", 2, 1e300, 5.0, -1 / 7))]
    for aggregate in ("SUM", "AVERAGE", "MAX"):
        by_hand("hand_double_" + aggregate.lower(), graph([flat("TreeEnsembleRegressor", doubles, double=True, aggregate_function=aggregate,
                                                               base_values_as_tensor=numpy_helper.from_array(np.array([0.1])))], kind=TensorProto.DOUBLE))
    by_hand("hand_double_plain", graph([flat("TreeEnsembleRegressor", mixed, base_values=[0.1])], kind=TensorProto.DOUBLE))
    linked_models()
    surroundings(small, two)


def linked_models():
    nan = float("nan")
    nodes = [(0, 0, 0.5, 1, 2), (1, 1, -1.0, ~0, ~1, True), (2, 0, 1.5, ~2, 3), (3, 2, 0.0, ~3, 4, True), (4, 1, 1.0, ~4, 5), (5, 2, 2.0, ~0, ~5),
             (6, 0, 0.0, ~1, 7), (6, 1, 0.0, ~2, ~3, True), (0, 0, 0.0, ~4, ~4)]
    leaves = [(0, 0.3), (0, -0.7), (0, 1.1), (0, -0.2), (0, 0.9), (0, 0.01)]
    members = [1.0, 2.5, nan, -1.0, 3.0, 40.0, nan]
    for name, aggregate in (("average", 0), ("sum", 1), ("min", 2), ("max", 3)):
        by_hand("linked_" + name, graph([linked(nodes, leaves, [0, 6, 8], members=members, aggregate_function=aggregate)], ml=5))
    by_hand("linked_double", graph([linked(nodes, leaves, [0, 6, 8], members=members, double=True)], ml=5, kind=TensorProto.DOUBLE, out=TensorProto.DOUBLE))
    chain = [(6, 0, 0.0, ~0, 1), (4, 0, 40.0, ~0, 2), (6, 2, 0.0, 3, ~1), (0, 1, 0.0, ~2, ~3)]
    by_hand("linked_chain", graph([linked(chain, leaves, [0], members=[1.0, 2.0, nan, -2.0, 50.0, nan])], ml=5))
    pair = [(0, 0, 0.5, ~0, ~1), (1, 1, -1.0, ~2, ~3, True)]
    for post, name in enumerate(("none", "logistic", "softmax", "softmax_zero")):  # as ONNX Runtime numbers them
        by_hand("linked_" + name, graph([linked(pair, [(0, 0.3), (0, -0.7), (1, 0.6), (1, 0.2)], [0, 1], 2, post_transform=post)], ml=5), keep=[0, 1])
    by_hand("linked_probit", graph([linked(pair, [(0, 0.3), (0, 0.2), (0, 0.1), (0, 0.2)], [0, 1], post_transform=4)], ml=5), positive=True)
    base = numpy_helper.from_array(np.float32(-0.4), "base")
    by_hand("linked_base", graph([linked(pair, [(0, 0.3), (0, -0.7), (0, 0.6), (0, 0.2)], [0, 1]), helper.make_node("Add", ["scores", "base"], ["margin"]),
                                  helper.make_node("Sigmoid", ["margin"], ["probability"])], [base], ml=5, output="probability"))


def surroundings(small, two):
    """What may stand before and behind the trees."""
    def tensor(name, v, kind=np.float32):
        return numpy_helper.from_array(np.array(v, kind), name)

    def behind(name, nodes, constants=(), trees=small, outputs=1, keep=None, **kw):
        by_hand(name, graph([flat("TreeEnsembleRegressor", trees, outputs, name="raw", **kw), *nodes], constants), keep=keep)

    def before(name, nodes, constants=(), **kw):
        trees = flat("TreeEnsembleRegressor", small, name="scores")
        trees.input[0] = "ready"
        by_hand(name, graph([*nodes, trees], constants, **kw))
    node = helper.make_node
    behind("post_linear", [node("Mul", ["raw", "a"], ["1"]), node("Sub", ["b", "1"], ["2"]), node("Neg", ["2"], ["3"]), node("Div", ["3", "c"], ["4"]),
                           node("Sub", ["4", "d"], ["scores"])], [tensor("a", 0.3), tensor("b", 0.1), tensor("c", 7.0), tensor("d", [0.7])])
    behind("post_sigmoid", [node("Reshape", ["raw", "s"], ["1"]), node("Sigmoid", ["1"], ["scores"])], [tensor("s", [-1, 1], np.int64)])
    behind("post_softmax", [node("Softmax", ["raw"], ["1"], axis=-1), node("Mul", ["1", "one"], ["scores"])], [tensor("one", 1.0)], two, 2, keep=[0, 1])
    behind("post_average_mul", [node("Mul", ["raw", "a"], ["1"]), node("Identity", ["1"], ["scores"])], [tensor("a", [0.3, -2.0])], two, 2, keep=[0, 1],
           aggregate_function="AVERAGE", base_values=[1.0, 2.0])
    for norm in ("L1", "L2", "MAX"):
        behind("post_normalizer_" + norm.lower(), [node("Normalizer", ["raw"], ["scores"], domain="ai.onnx.ml", norm=norm)], trees=two, outputs=2, keep=[0, 1])
    behind("post_both_classes", [node("Sigmoid", ["raw"], ["p"]), node("Sub", ["one", "p"], ["q"]), node("Concat", ["q", "p"], ["scores"], axis=1)],
           [tensor("one", 1.0)])
    behind("post_pick", [node("ArrayFeatureExtractor", ["raw", "i"], ["1"], domain="ai.onnx.ml"), node("Exp", ["1"], ["scores"])], [tensor("i", [1], np.int64)], two, 2)
    before("front_linear", [node("Sub", ["m", "input"], ["1"]), node("Div", ["1", "s"], ["2"]), node("Mul", ["2", "n"], ["ready"])],
           [tensor("m", [0.25, -1.0, 2.0]), tensor("s", [[3.0, 0.7, 1.1]]), tensor("n", -1.5)])
    before("front_scaler_double", [node("Scaler", ["input"], ["ready"], domain="ai.onnx.ml", offset=[0.1, 0.2, 0.3], scale=[1.7, -0.3, 0.9])], kind=TensorProto.DOUBLE)
    before("front_cast", [node("Cast", ["input"], ["ready"], to=TensorProto.FLOAT)], kind=TensorProto.DOUBLE)
    before("front_some_cast", [node("Gather", ["input", "i"], ["a"], axis=1), node("Gather", ["input", "j"], ["b"], axis=1), node("Mul", ["a", "c"], ["d"]),
                               node("Cast", ["d"], ["e"], to=TensorProto.FLOAT), node("FeatureVectorizer", ["b"], ["f"], domain="ai.onnx.ml", inputdimensions=[2]),
                               node("Concat", ["f", "e"], ["ready"], axis=1)],
           [tensor("i", [0], np.int64), tensor("j", [2, 1], np.int64), tensor("c", 1.1, np.float64)], kind=TensorProto.DOUBLE)
    before("front_imputed_twice", [node("Imputer", ["input"], ["a"], domain="ai.onnx.ml", imputed_value_floats=[0.6], replaced_value_float=float("nan")),
                                   node("Clip", ["a", "low", "high"], ["ready"])], [tensor("low", -1.5), tensor("high", 0.5)])
    before("front_same_twice", [node("ArrayFeatureExtractor", ["input", "i"], ["a"], domain="ai.onnx.ml"), node("Neg", ["a"], ["b"]),
                                node("Gather", ["input", "j"], ["c"], axis=1), node("Concat", ["b", "c", "a"], ["ready"], axis=-1)],
           [tensor("i", [0], np.int64), tensor("j", [1], np.int64)])


def main():
    warnings.filterwarnings("ignore")
    os.makedirs(HERE, exist_ok=True)
    for name, (x, _) in DATA.items():
        with open(os.path.join(HERE, "reference_%s.csv" % name), "w", newline="\n") as f:
            f.write(",".join("f%d" % j for j in range(FEATURES)) + "\n" + "".join(",".join(map(cell, r)) + "\n" for r in x))
    sklearn_models()
    boosters()
    hand_made()
    with open(os.path.join(HERE, "versions.json"), "w") as f:
        f.write(json.dumps(VERSIONS, indent=1, sort_keys=True) + "\n")


if __name__ == "__main__":
    main()
