"""Writes xgboost/: small models of every XGBoost variant with rows that hit the edges, and what XGBoost itself answers.

    python3.11 -m venv A && A/bin/pip install xgboost==1.7.6 numpy==1.26.4 scipy==1.11.4     && A/bin/python gen_xgboost.py
    python3.11 -m venv B && B/bin/pip install xgboost-cpu==2.1.4 numpy==1.26.4 scipy==1.11.4 && B/bin/python gen_xgboost.py
    python3.11 -m venv C && C/bin/pip install xgboost-cpu==3.2.0 numpy==2.4.6 scipy==1.17.1  && C/bin/python gen_xgboost.py
    python3.12 -m venv D && D/bin/pip install xgboost-cpu==3.4.1 numpy==2.4.6 scipy==1.17.1  && D/bin/python gen_xgboost.py

Each library writes its own files (v17_, v21_, v32_, v34_) and its line in xgboost/versions.json. Per model: NAME.json or
NAME.ubj, the model file as the library wrote it; NAME.csv as gen_goldens.py has them: x0…, margin0…, score0…, then per output
c<output>_<feature>… and b<output> (pred_contribs). An empty cell is NaN. XGBoost refuses what is no finite float32, so that the
largest values here are.
"""
import json
import os
import sys

import numpy as np
import scipy
import xgboost as xgb

import goldens

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "xgboost")
VERSION = tuple(int(x) for x in xgb.__version__.split(".")[:2])
PREFIX = "v%d%d_" % VERSION
COMMON = dict(max_depth=3, eta=0.3, seed=3, nthread=1, tree_method="hist", verbosity=0)


def data(n=1200, **kw):
    return goldens.data(n, **kw)


def edges(model, x, seed=5):
    """Rows at and beside thresholds in float32 and float64, around zero, missing, huge, and odd categories."""
    g = np.random.Generator(np.random.PCG64(seed))
    f = x.shape[1]
    rows = [r.copy() for r in x[:8]]
    special = [0.0, -0.0, 1e-36, -1e-50, 1e-46, np.nan, 3.4028234663852886e38, -3.4028234663852886e38, 39.7, -1.0, -0.5, 3.7,
               2.9999999999, 5.0, 8.0, 1e9, 3e9, 5e-324, 16777215.0, 16777216.0, 2147483648.0]
    for v in special:
        rows.append(np.full(f, v))
        r = x[g.integers(len(x))].copy()
        r[g.integers(f)] = v
        rows.append(r)
    # thresholds from the dump, with all digits of a float32
    cut = []
    for tree in model.get_dump(dump_format="json"):
        stack = [json.loads(tree)]
        while stack:
            n = stack.pop()
            stack += n.get("children", [])
            if isinstance(n.get("split_condition"), (int, float)):
                name = n["split"]
                j = model.feature_names.index(name) if model.feature_names else int(name[1:])
                cut.append((j, np.float32(n["split_condition"])))
    for i in g.permutation(len(cut))[:5]:
        j, t = cut[i]
        up, down = np.nextafter(t, np.float32(np.inf)), np.nextafter(t, np.float32(-np.inf))
        for v in (float(t), float(up), float(down), np.nextafter(float(t), np.inf), np.nextafter(float(t), -np.inf),
                  (float(t) + float(down)) / 2, (float(t) + float(up)) / 2):
            r = x[g.integers(len(x))].copy()
            r[j] = v
            rows.append(r)
    return np.array(rows)


def matrix(x, y=None, cats=(), names=None, **kw):
    types = ["c" if j in [c for c, _ in cats] else "q" for j in range(x.shape[1])] if cats else None
    return xgb.DMatrix(x, label=y, feature_types=types, feature_names=names, enable_categorical=bool(cats), nthread=1, **kw)


def answers(path, x, cats=(), names=None):
    """What the library answers for a file: columns and their heads."""
    back = xgb.Booster(model_file=path)
    d = matrix(x, cats=cats, names=names)
    n, f = x.shape
    margin = back.predict(d, output_margin=True).reshape(n, -1)
    k = margin.shape[1]
    score = back.predict(d).reshape(n, -1)
    if score.shape[1] != k:  # multi:softmax: the class; its probabilities are those of softprob
        e = np.exp(margin - margin.max(axis=1, keepdims=True))
        score = e / e.sum(axis=1, keepdims=True)
    contrib = back.predict(d, pred_contribs=True).reshape(n, -1)
    return goldens.heads(f, k), np.hstack([x, margin.astype(float), score.astype(float), contrib.astype(float)])


def emit(name, model, x, ext="json", **kw):
    path = os.path.join(HERE, PREFIX + name + "." + ext)
    model.save_model(path)
    head, table = answers(path, x, **kw)
    with open(os.path.join(HERE, PREFIX + name + ".csv"), "w", newline="\n") as h:
        h.write(goldens.text(head, table))


def fit(name, y, x, trees=4, cats=(), ext="json", obj=None, names=None, label=None, group=None, **params):
    d = matrix(x, y, cats=cats, names=names)
    if group is not None:
        d.set_group(group)
    if label is not None:
        d.set_float_info("label_lower_bound", label[0])
        d.set_float_info("label_upper_bound", label[1])
    m = xgb.train(dict(COMMON, **params), d, trees, obj=obj)
    emit(name, m, edges(m, x), ext=ext, cats=cats, names=names)
    return m


def basics():
    """What every version of the library is asked for."""
    x, y = data()
    xn, yn = data(nan=0.2, seed=2)
    b, bn = (y > 0.5) * 1.0, (yn > 0.5) * 1.0
    k3 = np.digitize(yn, [-0.5, 0.8]).astype(float)
    fit("binary", b, x, objective="binary:logistic")
    fit("binary_nan", bn, xn, objective="binary:logistic", ext="ubj")
    fit("base_score", bn, xn, objective="binary:logistic", base_score=0.3)
    fit("regression", y, x, objective="reg:squarederror", ext="ubj")
    fit("poisson", np.round(np.abs(y) * 3), x, objective="count:poisson")
    fit("multiclass", k3, xn, objective="multi:softprob", num_class=3, trees=3)
    fit("dart", bn, xn, objective="binary:logistic", booster="dart", rate_drop=0.5, trees=6)
    fit("dart_multiclass", k3, xn, objective="multi:softprob", num_class=3, booster="dart", rate_drop=0.5, trees=4, ext="ubj")
    fit("forest", bn, xn, objective="binary:logistic", num_parallel_tree=3, subsample=0.5, trees=2)
    cats = [(2, 45), (5, 9)]
    xc, yc = data(cats=cats, seed=4)
    xcn, ycn = data(cats=cats, seed=4, nan=0.15)
    fit("categorical", (yc > 0.5) * 1.0, xc, cats=cats, objective="binary:logistic", max_cat_to_onehot=1)
    fit("categorical_nan", (ycn > 0.5) * 1.0, xcn, cats=cats, objective="binary:logistic", max_cat_to_onehot=1, ext="ubj")
    fit("categorical_onehot", (ycn > 0.5) * 1.0, xcn, cats=cats, objective="binary:logistic", max_cat_to_onehot=64)
    # early stopping: the file keeps all trees and says where the best were
    d, v = matrix(x[:800], b[:800]), matrix(x[800:], b[800:])
    m = xgb.train(dict(COMMON, objective="binary:logistic", eta=1.0), d, 30, evals=[(v, "v")], early_stopping_rounds=2, verbose_eval=False)
    emit("early_stopped", m, edges(m, x)[:30])


def more():
    """The rest, with the library that CI has too."""
    x, y = data()
    xn, yn = data(nan=0.2, seed=2)
    b, bn = (y > 0.5) * 1.0, (yn > 0.5) * 1.0
    k3 = np.digitize(yn, [-0.5, 0.8]).astype(float)
    pos = np.abs(y) + 0.1
    fit("reg_logistic", 1 / (1 + np.exp(-y)), x, objective="reg:logistic")
    fit("logitraw", bn, xn, objective="binary:logitraw")
    fit("hinge", bn, xn, objective="binary:hinge")
    fit("gamma", pos, x, objective="reg:gamma")
    fit("tweedie", np.maximum(y, 0), x, objective="reg:tweedie", tweedie_variance_power=1.3)
    fit("squaredlog", pos, x, objective="reg:squaredlogerror")
    fit("pseudohuber", y, x, objective="reg:pseudohubererror")
    fit("absolute", y, x, objective="reg:absoluteerror")
    fit("quantile", y, x, objective="reg:quantileerror", quantile_alpha=0.8)
    fit("quantiles", y, x, objective="reg:quantileerror", quantile_alpha=[0.1, 0.5, 0.9], trees=3)
    fit("softmax", k3, xn, objective="multi:softmax", num_class=3, trees=3, ext="ubj")
    fit("forest_multiclass", k3, xn, objective="multi:softprob", num_class=3, num_parallel_tree=2, subsample=0.5, trees=2)
    fit("targets", np.stack([y, -y + x[:, 0]], axis=1), x, objective="reg:squarederror", trees=3)
    fit("ndcg", np.digitize(y, [-1, 0, 1]).astype(float), x, objective="rank:ndcg", group=[50] * 24)
    fit("pairwise", np.digitize(y, [-1, 0, 1]).astype(float), x, objective="rank:pairwise", group=[50] * 24)
    fit("cox", np.where(b > 0, pos, -pos), x, objective="survival:cox")
    fit("aft", None, x, objective="survival:aft", label=(pos, np.where(b > 0, pos, np.inf)), trees=3)
    fit("custom", b, x, obj=lambda s, d: (1 / (1 + np.exp(-s)) - d.get_label(), np.full(len(s), 0.25)))
    fit("monotone", b, x, objective="binary:logistic", monotone_constraints="(1,0,0,-1,0,0)")
    fit("lossguide", bn, xn, objective="binary:logistic", grow_policy="lossguide", max_leaves=12, max_depth=0, ext="ubj")
    fit("pruned", bn, xn, objective="binary:logistic", tree_method="exact", gamma=8, max_depth=5)
    fit("approx", bn, xn, objective="binary:logistic", tree_method="approx", scale_pos_weight=2)
    fit("named", bn, xn, objective="binary:logistic", names=["bets_1h", "Käse", "a b", "f9", "x_y", "q"])
    fit("one_leaf", b, x, objective="binary:logistic", min_child_weight=1e6, trees=2)
    fit("one_feature", b, x[:, :1].copy(), objective="binary:logistic")
    cats = [(2, 400), (5, 9)]
    xc, yc = data(n=3000, cats=cats, seed=4)
    fit("categorical_wide", (yc > 0.5) * 1.0, xc, cats=cats, objective="binary:logistic", max_cat_to_onehot=1, ext="ubj")
    for f, leaves in ((12, 40), (24, 90)):
        xd, yd = data(n=3000, f=f, seed=7, nan=0.05)
        m = xgb.train(dict(COMMON, objective="reg:squarederror", grow_policy="lossguide", max_leaves=leaves, max_depth=0,
                           colsample_bynode=0.3), matrix(xd, yd), 2)
        emit("deep%d" % f, m, xd[:16], ext="ubj")


def versions():
    path = os.path.join(HERE, "versions.json")
    v = json.load(open(path)) if os.path.exists(path) else {}
    v[PREFIX[:-1]] = dict(xgboost=xgb.__version__, numpy=np.__version__, scipy=scipy.__version__, python=sys.version.split()[0])
    with open(path, "w", newline="\n") as h:
        json.dump(v, h, indent=1, sort_keys=True)
        h.write("\n")


if __name__ == "__main__":
    os.makedirs(HERE, exist_ok=True)
    basics()
    if VERSION == (3, 2):
        more()
    versions()
