"""Writes golden/: small models of every LightGBM variant with rows that hit the edges, and what LightGBM itself answers.

    python3 -m venv V && V/bin/pip install lightgbm==4.7.0 numpy==2.4.6 scipy==1.17.1 && V/bin/python gen_goldens.py
    python3 -m venv W && W/bin/pip install lightgbm==3.3.5 'numpy==1.26.4'            && W/bin/python gen_goldens.py
    python3 -m venv U && U/bin/pip install lightgbm==2.2.3 'numpy==1.26.4'            && U/bin/python gen_goldens.py

Each library writes its own files (4.7.0: header v4, 3.3.5: v3, 2.2.3: v2) and its line in golden/versions.json. Per model:
NAME.txt, the model file as the library wrote it; NAME.csv, one row per input: x0…, margin0…, score0…, then per output
c<output>_<feature>… and b<output> (pred_contrib; absent where the library has none). Floats are the shortest that read back
the same; an empty cell is NaN.
"""
import gzip
import json
import os
import sys

import lightgbm as lgb
import numpy as np

import goldens

HERE = os.path.join(os.path.dirname(os.path.abspath(__file__)), "golden")
MAJOR = int(lgb.__version__.split(".")[0])
PREFIX = {4: "", 3: "v3_", 2: "v2_"}[MAJOR]
KZERO = float(np.float32(1e-35))
COMMON = dict(num_leaves=8, learning_rate=0.2, min_data_in_leaf=10, seed=3, verbose=-1, num_threads=1)
if MAJOR >= 3:
    COMMON.update(deterministic=True, force_row_wise=True)
if MAJOR == 3:  # its text reader rounds thresholds otherwise
    COMMON.update(precise_float_parser=True)


def data(n=1500, **kw):
    return goldens.data(n, **kw)


def edges(model, x, seed):
    """Rows at and beside thresholds, around zero, missing, huge, and odd categories."""
    g = np.random.Generator(np.random.PCG64(seed))
    f = x.shape[1]
    rows = [r.copy() for r in x[:8]]
    special = [0.0, -0.0, 1e-36, -1e-36, KZERO, -KZERO, np.nextafter(KZERO, 1), np.nextafter(-KZERO, -1), np.nan,
               1e300, -1e300, 39.7, -1.0, -0.5, 1e9, 3e9, 5e-324, 2147483647.0, 2147483648.0, 7.0]
    for v in special:
        rows.append(np.full(f, v))
        r = x[g.integers(len(x))].copy()
        r[g.integers(f)] = v
        rows.append(r)
    cut = []

    def walk(n):
        if "split_feature" in n:
            if n["decision_type"] == "<=":
                cut.append((n["split_feature"], n["threshold"]))
            walk(n["left_child"])
            walk(n["right_child"])
    for t in model.dump_model()["tree_info"]:
        walk(t["tree_structure"])
    for i in g.permutation(len(cut))[:4]:
        j, t = cut[i]
        t = t if abs(t) < 1e30 else 0.0
        near = np.float32(t)
        for v in (t, np.nextafter(t, np.inf), np.nextafter(t, -np.inf), float(near), float(np.nextafter(near, np.float32(9e9)))):
            r = x[g.integers(len(x))].copy()
            r[j] = v
            rows.append(r)
    return np.array(rows)


def emit(name, model, x, contrib=True, gz=False):
    name = PREFIX + name
    text = model.model_to_string()
    # predict with what the file says, not with what training had in memory
    back = lgb.Booster(model_str=text) if MAJOR >= 3 else lgb.Booster({"model_str": text})
    n = len(x)
    margin = np.asarray(back.predict(x, raw_score=True)).reshape(n, -1)
    score = np.asarray(back.predict(x)).reshape(n, -1)
    k, f = margin.shape[1], x.shape[1]
    cols = [x, margin, score]
    if contrib:
        cols.append(np.asarray(back.predict(x, pred_contrib=True)).reshape(n, -1))
    out = goldens.text(goldens.heads(f, k, contrib), np.hstack(cols))
    for suffix, body in ((".txt", text), (".csv", out)):
        path = os.path.join(HERE, name + suffix)
        if gz:
            with open(path + ".gz", "wb") as h, gzip.GzipFile("", "wb", 9, h, mtime=0) as w:
                w.write(body.encode())
        else:
            with open(path, "w", newline="\n") as h:
                h.write(body)


def fit(name, y, x, trees=6, cats="auto", contrib=True, fobj=None, rows=None, group=None, **params):
    p = dict(COMMON)
    p.update(params)
    if cats != "auto":
        p.update(min_data_per_group=5, cat_smooth=1, max_cat_to_onehot=p.get("max_cat_to_onehot", 2))
    if fobj is not None and MAJOR >= 4:
        p["objective"] = fobj
    kw = dict(fobj=fobj) if fobj is not None and MAJOR < 4 else {}
    d = lgb.Dataset(x, y, categorical_feature=cats, group=group, free_raw_data=False)
    m = lgb.train(p, d, num_boost_round=trees, **kw)
    emit(name, m, edges(m, x, 5) if rows is None else rows, contrib=contrib)
    return m


def basics():
    """What every version of the library knows."""
    x, y = data()
    xn, yn = data(nan=0.2, seed=2)
    b, bn = (y > 0.5) * 1.0, (yn > 0.5) * 1.0
    k3 = np.digitize(y, [-0.5, 0.8]).astype(float)
    fit("binary", b, x, objective="binary")
    fit("binary_nan", bn, xn, objective="binary")
    fit("zero_as_missing", bn, xn, objective="binary", zero_as_missing=True)
    fit("use_missing_false", bn, xn, objective="binary", use_missing=False)
    fit("sigmoid07", b, x, objective="binary", sigmoid=0.7)
    fit("dart", b, x, objective="binary", boosting="dart", drop_rate=0.5, skip_drop=0.0)
    fit("rf", b, x, objective="binary", boosting="rf", bagging_fraction=0.6, bagging_freq=1, feature_fraction=0.7)
    fit("regression", y, x, objective="regression")
    fit("regression_sqrt", np.abs(y) * 10, x, objective="regression", reg_sqrt=True)
    fit("poisson", np.round(np.abs(y) * 3), x, objective="poisson")
    fit("multiclass", k3, xn, objective="multiclass", num_class=3, trees=4)
    fit("lambdarank", np.digitize(y, [-1, 0, 1]).astype(float), x, objective="lambdarank", group=[50] * 30)
    xc, yc = data(cats=[(2, 45), (5, 9)], seed=4)
    xcn, ycn = data(cats=[(2, 45), (5, 9)], seed=4, nan=0.15)
    fit("categorical", (yc > 0.5) * 1.0, xc, cats=[2, 5], objective="binary")
    fit("categorical_nan", (ycn > 0.5) * 1.0, xcn, cats=[2, 5], objective="binary")
    fit("stumps", b, x, objective="binary", num_leaves=2)
    fit("one_leaf", b, x, objective="binary", min_data_in_leaf=5000, trees=3)


def more():
    """The rest, with the library the goldens are really about."""
    x, y = data()
    xn, yn = data(nan=0.2, seed=2)
    b, bn = (y > 0.5) * 1.0, (yn > 0.5) * 1.0
    k3 = np.digitize(y, [-0.5, 0.8]).astype(float)
    k3n = np.digitize(yn, [-0.5, 0.8]).astype(float)
    pos = np.abs(y) + 0.1
    unit = 1 / (1 + np.exp(-y))
    fit("sigmoid2", b, x, objective="binary", sigmoid=2.0)
    fit("goss", bn, xn, objective="binary", data_sample_strategy="goss")
    fit("extra_trees", bn, xn, objective="binary", extra_trees=True)
    fit("regression_l1", y, x, objective="regression_l1")
    fit("regression_l1_sqrt", pos * 10, x, objective="regression_l1", reg_sqrt=True)
    fit("huber", y, x, objective="huber")
    fit("fair", y, x, objective="fair")
    fit("quantile", y, x, objective="quantile", alpha=0.8)
    fit("mape", pos, x, objective="mape")
    fit("gamma", pos, x, objective="gamma")
    fit("tweedie", np.maximum(y, 0), x, objective="tweedie", tweedie_variance_power=1.3)
    fit("cross_entropy", unit, x, objective="cross_entropy")
    fit("cross_entropy_lambda", unit, x, objective="cross_entropy_lambda")
    fit("multiclassova", k3n, xn, objective="multiclassova", num_class=3, sigmoid=0.8, trees=4)
    fit("multiclass_dart", k3, x, objective="multiclass", num_class=3, boosting="dart", drop_rate=0.5, skip_drop=0.0, trees=4)
    fit("multiclass_rf", k3, x, objective="multiclass", num_class=3, boosting="rf", bagging_fraction=0.6, bagging_freq=1,
        feature_fraction=0.7, trees=4)
    fit("rank_xendcg", np.digitize(y, [-1, 0, 1]).astype(float), x, objective="rank_xendcg", group=[50] * 30)
    fit("custom", b, x, fobj=lambda s, d: (1 / (1 + np.exp(-s)) - d.get_label(), np.full(len(s), 0.25)))
    xc, yc = data(cats=[(2, 400), (5, 9)], seed=4, n=3000)
    xcn, ycn = data(cats=[(2, 45), (5, 9)], seed=4, nan=0.15)
    fit("categorical_wide", (yc > 0.5) * 1.0, xc, cats=[2, 5], objective="binary")
    fit("categorical_onehot", (yc > 0.5) * 1.0, xc, cats=[2, 5], objective="binary", max_cat_to_onehot=64)
    fit("categorical_use_missing_false", (ycn > 0.5) * 1.0, xcn, cats=[2, 5], objective="binary", use_missing=False)
    fit("categorical_zero_as_missing", (ycn > 0.5) * 1.0, xcn, cats=[2, 5], objective="binary", zero_as_missing=True)
    fit("categorical_multiclass", np.digitize(ycn, [-0.5, 0.8]).astype(float), xcn, cats=[2, 5], objective="multiclass", num_class=3, trees=3)
    fit("one_leaf_multiclass", k3, x, objective="multiclass", num_class=3, min_data_in_leaf=5000, trees=2)
    fit("one_feature", b, x[:, :1].copy(), objective="binary")
    fit("monotone", b, x, objective="binary", monotone_constraints=[1, 0, 0, -1, 0, 0])
    fit("quantized", b, x, objective="binary", use_quantized_grad=True)
    fit("linear", y, x, contrib=False, objective="regression", linear_tree=True)
    fit("linear_nan", bn, xn, contrib=False, objective="binary", linear_tree=True)
    # present against missing: the feature has one value, zero, so the only split is threshold=inf
    xi, yi = data(seed=6)
    yi = yi + 2 * np.isin(np.arange(len(yi)) % 3, [0])
    xi[:, 2] = np.where(np.arange(len(yi)) % 3 == 0, np.nan, 0.0)
    fit("inf_threshold", (yi > 1) * 1.0, xi, objective="binary")
    xu = np.hstack([x, np.full((len(x), 2), 7.0)])
    fit("unused_features", b, xu, objective="binary")
    # paths of more than 8, 16 and 24 distinct features: 2, 3 and 4 blocks of quadrature points
    for f, leaves in ((12, 40), (24, 90), (40, 160)):
        xd, yd = data(n=4000, f=f, seed=7, nan=0.05)
        m = lgb.train(dict(COMMON, objective="regression", num_leaves=leaves, min_data_in_leaf=2, feature_fraction_bynode=0.3,
                           path_smooth=0.5), lgb.Dataset(xd, yd), 2)
        emit("deep%d" % f, m, xd[:16])
    # weights, early stopping, refit, and more trees at once
    d = lgb.Dataset(x[:1000], b[:1000], weight=np.linspace(0.5, 2, 1000), free_raw_data=False)
    v = lgb.Dataset(x[1000:], b[1000:], reference=d, free_raw_data=False)
    m = lgb.train(dict(COMMON, objective="binary", learning_rate=0.6), d, 40, valid_sets=[v], callbacks=[lgb.early_stopping(2, verbose=False)])
    emit("early_stopped", m, edges(m, x, 5)[:30])
    emit("refit", m.refit(x[1000:], b[1000:]), x[:30])


def bench():
    """The model that the benchmarks measure: 200 trees x 31 leaves x 64 features, skewed data with missing values."""
    g = np.random.Generator(np.random.PCG64(7))
    f, n = 64, 60_000
    x = g.standard_normal((n, f))
    x[:, ::3] = np.exp(x[:, ::3])
    x[:, 1::8] = np.round(np.abs(x[:, 1::8]) * 7)
    w = g.standard_normal(f) * (g.random(f) < 0.5)
    z = np.tanh(x) @ w + 1.5 * np.tanh(x[:, 0] * x[:, 3])
    y = (z + g.standard_normal(n) > np.quantile(z, 0.9)) * 1.0
    for j in range(0, f, 4):
        x[g.random(n) < 0.10, j] = np.nan
    p = dict(COMMON, objective="binary", num_leaves=31, learning_rate=0.05, min_data_in_leaf=20)
    emit("bench_200x31x64", lgb.train(p, lgb.Dataset(x, y), 200), x[:24], gz=True)


def versions():
    path = os.path.join(HERE, "versions.json")
    v = json.load(open(path)) if os.path.exists(path) else {}
    v["%d" % MAJOR] = dict(lightgbm=lgb.__version__, numpy=np.__version__, python=sys.version.split()[0])
    with open(path, "w", newline="\n") as h:
        json.dump(v, h, indent=1, sort_keys=True)
        h.write("\n")


os.makedirs(HERE, exist_ok=True)
basics()
if MAJOR >= 4:
    more()
    bench()
versions()
