"""A tiny training run on synthetic vectors, and every refusal.    python -m pytest -q train"""
import csv
import hashlib
import json
import math
import os
import sys

import lightgbm as lgb
import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import pytest
import yaml

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import calibration  # noqa: E402
import quality  # noqa: E402
import samples  # noqa: E402
import train  # noqa: E402
import vectors  # noqa: E402

FEATURES = ["bets_1m", "stake_1h", "new_device"]
SET = "format: 1\nname: tiny\nversion: \"1\"\ngroups: {}\nfeatures:\n" + "".join(f"  - {{name: {f}, aggregate: count}}\n" for f in FEATURES)
DAY = 86_400_000_000


def synthetic(n=3000, seed=1):
    g = np.random.Generator(np.random.PCG64(seed))
    x = np.column_stack([g.poisson(4, n).astype(float), np.exp(g.standard_normal(n)), g.random(n) < 0.1])
    z = 0.5 * x[:, 0] + 1.2 * x[:, 2] - 5 + 0.5 * g.standard_normal(n)
    y = (g.random(n) < 1 / (1 + np.exp(-z))).astype(int)
    x[g.random(n) < 0.2, 1] = np.nan
    t = np.sort(g.integers(0, 30 * DAY, n)) + 1_500_000_000_000_000
    return t, x, y


def table(n=3000, seed=1, **extra):
    t, x, y = synthetic(n, seed)
    columns = {"event_id": [f"e{i}" for i in range(n)], "t": pa.array(t, pa.timestamp("us", tz="UTC"))}
    columns.update({f: pa.array(x[:, j], pa.float64(), from_pandas=True) for j, f in enumerate(FEATURES)})
    columns.update(stake_1h_status=["present"] * n, label=y, **extra)
    return pa.table(columns)


@pytest.fixture
def place(tmp_path):
    (tmp_path / "set.yaml").write_text(SET)
    pa.parquet.write_table(table(), tmp_path / "v.parquet")
    return tmp_path


def go(place, *more, out="b", vectors_file="v.parquet"):
    return train.main(["--vectors", str(place / vectors_file), "--feature-set", str(place / "set.yaml"), "--out", str(place / out),
                       "--trees", "12", "--leaves", "7", *more])


def content(directory):
    return {p.name: p.read_bytes() for p in sorted(directory.iterdir())}


def test_bundle_is_whole_and_names_every_file(place):
    assert go(place, "--name", "tiny", "--version", "2018-07.1") == 0
    files = content(place / "b")
    manifest = yaml.safe_load(files.pop("bundle.yaml"))
    assert manifest["format"] == 1 and manifest["name"] == "tiny" and manifest["version"] == "2018-07.1"
    assert [f["name"] for f in manifest["files"]] == sorted(files)
    for f in manifest["files"]:
        assert f["size"] == len(files[f["name"]]) and f["sha256"] == hashlib.sha256(files[f["name"]]).hexdigest()
    assert files["features.yaml"].decode() == SET
    assert manifest["created_from"]["metrics"]["auc"] > 0.7
    assert manifest["libraries"]["lightgbm"] == lgb.__version__
    assert not [p for p in place.iterdir() if p.name.startswith(".bundle-")]


def test_golden_rows_are_what_the_model_answers(place):
    assert go(place) == 0
    model = lgb.Booster(model_file=str(place / "b" / "model.txt"))
    cal = json.loads((place / "b" / "calibration.json").read_text())
    with open(place / "b" / "golden.csv", newline="") as f:
        rows = list(csv.DictReader(f))
    assert len(rows) == 64 and yaml.safe_load((place / "b" / "bundle.yaml").read_text())["golden"]["rows"] == 64
    assert list(rows[0]) == FEATURES + ["margin", "score", "base"] + ["contrib_" + f for f in FEATURES]
    assert any(r["stake_1h"] == "" for r in rows)
    for r in rows:
        x = np.array([[float(r[f]) if r[f] else np.nan for f in FEATURES]])
        phi = model.predict(x, pred_contrib=True)[0]
        assert float(r["margin"]) == model.predict(x, raw_score=True)[0]
        assert float(r["score"]) == 1 / (1 + math.exp(-(cal["a"] * float(r["margin"]) + cal["b"])))
        assert float(r["base"]) == phi[-1] and [float(r["contrib_" + f]) for f in FEATURES] == list(phi[:-1])


def test_same_input_same_bytes_whatever_its_order_and_format(place):
    shuffled = table().take(pa.array(np.random.default_rng(1).permutation(3000)))
    pa.parquet.write_table(shuffled, place / "shuffled.parquet")
    iso = shuffled.set_column(1, "t", pa.compute.strftime(shuffled["t"], "%Y-%m-%dT%H:%M:%SZ"))
    pa.csv.write_csv(iso, place / "v.csv")
    micros = table().set_column(1, "t", table()["t"].cast(pa.int64()))
    pa.csv.write_csv(micros, place / "micros.csv")
    assert go(place, out="a") == 0 and go(place, out="b") == 0
    assert go(place, out="c", vectors_file="shuffled.parquet") == 0 and go(place, out="d", vectors_file="v.csv") == 0
    assert go(place, out="e", vectors_file="micros.csv") == 0
    assert content(place / "a") == content(place / "b")
    for other in "cde":
        one, two = content(place / "a"), content(place / other)
        one.pop("bundle.yaml"), two.pop("bundle.yaml")  # it has the hash of the vectors
        if other != "d":  # whole seconds only: rows of one second change places
            assert one == two
        else:
            assert one["features.yaml"] == two["features.yaml"]
    assert go(place, "--seed", "2", "--params", "bagging_fraction=0.5,bagging_freq=1", out="s") == 0
    assert content(place / "s")["model.txt"] != content(place / "a")["model.txt"]


def test_labels_from_a_file_by_the_time_they_were_known(place):
    t, _, y = synthetic()
    known = pa.array(t + 7 * DAY, pa.timestamp("us", tz="UTC"))
    labels = pa.table({"event_id": [f"e{i}" for i in range(3000)], "label": y, "known_at": known})
    wrong_then_right = pa.concat_tables([labels, labels.set_column(1, "label", pa.array(1 - y)).set_column(
        2, "known_at", pa.array(t, pa.timestamp("us", tz="UTC")))])
    pa.parquet.write_table(wrong_then_right, place / "l.parquet")
    pa.parquet.write_table(table().drop_columns("label"), place / "bare.parquet")
    v = vectors.load(str(place / "bare.parquet"), FEATURES, "label", str(place / "l.parquet"))
    assert (v.y == y).all()
    half = int(np.median(t)) + 7 * DAY
    v = vectors.load(str(place / "bare.parquet"), FEATURES, "label", str(place / "l.parquet"), half)
    assert (v.y[t + 7 * DAY <= half] == y[t + 7 * DAY <= half]).all() and (v.y[t > half] != v.y[t > half]).all()
    early = (t <= half) & (t + 7 * DAY > half)
    assert (v.y[early] == 1 - y[early]).all()
    assert go(place, "--labels", str(place / "l.parquet"), vectors_file="bare.parquet") == 0
    assert "sha256" in yaml.safe_load((place / "b" / "bundle.yaml").read_text())["created_from"]["labels"]


def test_rows_are_split_by_time(place):
    times = ["--train-before", "2017-07-30T00:00:00Z", "--valid-from", "2017-08-05", "--valid-before", "2017-08-10"]
    assert go(place, *times) == 0
    made = yaml.safe_load((place / "b" / "bundle.yaml").read_text())["created_from"]
    t, _, _ = synthetic()
    cut = vectors.parse_time("2017-07-30")
    assert made["train_before"] == "2017-07-30T00:00:00Z" and made["train_rows"] == int((t < cut).sum())
    v = vectors.load(str(place / "v.parquet"), FEATURES, "label")
    a = train.arguments(["--vectors", "", "--feature-set", "", "--out", "", *times])
    learn, held, _, _ = train.split(v, a)
    assert learn.t.max() < cut and held.t.min() >= vectors.parse_time("2017-08-05") and held.t.max() < vectors.parse_time("2017-08-10")


def test_refit_keeps_what_the_first_model_was_measured_by(place):
    assert go(place, out="a") == 0 and go(place, "--refit", out="b") == 0
    a, b = content(place / "a"), content(place / "b")
    assert a["calibration.json"] == b["calibration.json"] and a["thresholds.yaml"] == b["thresholds.yaml"] and a["model.txt"] != b["model.txt"]
    one, two = (yaml.safe_load(x["bundle.yaml"])["created_from"] for x in (a, b))
    assert one["metrics"] == two["metrics"] and (one["train_rows"], two["train_rows"]) == (2400, 3000) and two["refit"]


def test_calibrations_are_probabilities_that_never_fall():
    g = np.random.Generator(np.random.PCG64(5))
    margin = g.standard_normal(4000) * 2
    y = (g.random(4000) < 1 / (1 + np.exp(-(1.7 * margin - 2)))).astype(float)
    grid = np.linspace(-30, 30, 2001)
    score = 1 / (1 + np.exp(-margin))
    platt = calibration.fit("platt", margin, score, y, np.ones(4000))
    assert abs(platt["a"] - 1.7) < 0.15 and abs(platt["b"] + 2) < 0.15
    isotonic = calibration.fit("isotonic", margin, score, y, np.ones(4000))
    beta = calibration.fit("beta", margin, score, y, np.ones(4000))
    assert beta["a"] >= 0 and beta["b"] >= 0
    assert len(isotonic["x"]) <= calibration.MAX_KNOTS and (np.diff(isotonic["x"]) > 0).all()
    for c in (platt, isotonic, beta):
        p = np.array([calibration.apply(c, m, 1 / (1 + math.exp(-m))) for m in [*grid, -700, 700]])
        assert (np.diff(p[:-2]) >= 0).all() and p.min() >= 0 and p.max() <= 1
        fitted = np.array([calibration.apply(c, m, s) for m, s in zip(margin, score)])
        assert abs(fitted.mean() - y.mean()) < 0.01
        bins = np.digitize(fitted, [0.1, 0.3, 0.6])
        for b in range(4):
            assert abs(fitted[bins == b].mean() - y[bins == b].mean()) < 0.05
    assert calibration.apply(calibration.fit("none", margin, score, y, None), 3.0, 0.25) == 0.25
    for kind in ("platt", "beta"):
        with pytest.raises(vectors.InputError, match="no use"):
            calibration.fit(kind, -margin, 1 - score, y, np.ones(4000))


def test_beta_finds_its_parameters_and_keeps_their_signs():
    g = np.random.Generator(np.random.PCG64(6))
    s = g.beta(1, 2, 40_000)
    z = 1.8 * np.log(s) - 0.4 * np.log1p(-s) + 0.3
    y = (g.random(len(s)) < 1 / (1 + np.exp(-z))).astype(float)
    c = calibration.fit("beta", None, s, y, np.ones(len(s)))
    assert abs(c["a"] - 1.8) < 0.15 and abs(c["b"] - 0.4) < 0.15 and abs(c["c"] - 0.3) < 0.2
    z = 1.5 * np.log(s) + 0.5 * np.log1p(-s)  # b of -0.5: not allowed, the score would fall
    y = (g.random(len(s)) < 1 / (1 + np.exp(-z))).astype(float)
    c = calibration.fit("beta", None, s, y, np.ones(len(s)))
    assert c["b"] == 0 and c["a"] > 1
    ends = np.concatenate([s[:2000], [0.0, 1.0]])  # a model may be sure of itself
    c = calibration.fit("beta", None, ends, np.concatenate([y[:2000], [0, 1]]), np.ones(2002))
    assert calibration.apply(c, 0, 0.0) == 0 and calibration.apply(c, 0, 1.0) <= 1


def test_auto_takes_the_calibration_with_the_least_held_out_log_loss():
    g = np.random.Generator(np.random.PCG64(7))
    m = g.standard_normal(6000) * 2
    s, w = 1 / (1 + np.exp(-m)), np.ones(6000)
    for true, want in ((1 / (1 + np.exp(-(2 * m - 3))), {"platt", "beta"}), (np.where(m > 0.4, 0.9, 0.05), {"isotonic"})):
        y = (g.random(6000) < true).astype(float)
        kind, losses = calibration.choose(m, s, y, w)
        assert kind in want and set(losses) == set(calibration.KINDS) and losses[kind] == min(losses.values())
    with pytest.raises(vectors.InputError, match="one label only"):
        calibration.choose(m, s, (m > 0).astype(float)[np.argsort(m)], w)


def test_isotonic_beta_and_raw_bundles(place):
    for kind, name in (("isotonic", "isotonic"), ("beta", "beta"), ("none", "identity")):
        assert go(place, "--calibration", kind, out=kind) == 0
        assert json.loads((place / kind / "calibration.json").read_text())["kind"] == name
    assert go(place, "--calibration", "auto", out="auto") == 0
    losses = yaml.safe_load((place / "auto" / "bundle.yaml").read_text())["created_from"]["calibration_log_loss"]
    chosen = json.loads((place / "auto" / "calibration.json").read_text())["kind"]
    assert min(losses, key=losses.get).replace("none", "identity") == chosen


def test_profile_and_reference_are_of_the_training_rows(place):
    assert go(place) == 0
    files = content(place / "b")
    p = json.loads(files["profile.json"])
    v = vectors.load(str(place / "v.parquet"), FEATURES, "label")
    seen = v.x[: p["rows"]]
    assert p["format"] == 1 and p["rows"] == 2400 and [f["name"] for f in p["features"]] == FEATURES
    for j, f in enumerate(p["features"]):
        column = seen[~np.isnan(seen[:, j]), j]
        assert f["missing"] == 2400 - len(column) and len(f["x"]) <= samples.MAX_POINTS and f["below"][0] == 0 and f["at_most"][-1] == len(column)
        for x, below, most in zip(f["x"], f["below"], f["at_most"]):
            assert below == (column < x).sum() and most == (column <= x).sum()
    assert p["features"][0]["x"] == sorted(set(seen[:, 0])) and len(p["features"][1]["x"]) == samples.MAX_POINTS
    rows = list(csv.reader(files["reference.csv"].decode().splitlines()))
    assert rows[0] == FEATURES and len(rows) == 201
    first, last = ([float(c) if c else math.nan for c in rows[i]] for i in (1, -1))
    assert np.array_equal(first, seen[0], equal_nan=True) and np.array_equal(last, seen[-1], equal_nan=True)
    assert go(place, "--reference-rows", "0", out="none") == 0
    assert "reference.csv" not in content(place / "none") and "reference" not in yaml.safe_load((place / "none" / "bundle.yaml").read_text())
    assert samples.reference_csv(["f"], np.array([[math.nan], [-0.5]])) == b'f\n""\n-0.5\n'


def test_thresholds():
    score = np.arange(1, 101) / 100
    y = (score > 0.9).astype(float)
    y[79] = 1.0
    w = np.ones(100)
    f = lambda text: quality.thresholds(quality.parse_targets(text), score, y, w)  # noqa: E731
    assert f("challenge=q0.95") == {"challenge": 0.96}
    assert f("block=p1") == {"block": 0.91}
    assert f("hold=p0.5") == {"hold": 0.79}  # 11 of 22
    assert f("challenge=s0.5,hold=q0.9,block=s0.3") == {"challenge": 0.5, "hold": 0.91, "block": 0.91}
    y[:] = 0
    y[95] = 1
    assert f("challenge=q0.9,block=p0.9") == {"challenge": 0.91}


def test_metrics_of_known_orders():
    y = np.array([0, 0, 1, 1.0])
    m = quality.metrics(np.array([0.1, 0.4, 0.35, 0.8]), np.array([0.1, 0.4, 0.35, 0.8]), y, np.ones(4))
    assert m["auc"] == 0.75 and m["average_precision"] == round((1 + 2 / 3) / 2, 6)
    tied = quality.metrics(np.full(4, 0.5), np.zeros(4), y, np.ones(4))
    assert tied["auc"] == 0.5 and tied["average_precision"] == 0.5 and tied["brier"] == 0.25


def test_reasons_and_policy_are_taken_verbatim(place):
    reasons = "format: 1\nreasons:\n  - {code: A, features: [bets_1m, stake_1h], text: {en: a}, player_text: {en: p}}\n" \
              "  - {code: B, features: [new_device], text: {en: b}, player_text: {en: p}}\n"
    (place / "reasons.yaml").write_text(reasons)
    (place / "policy.yaml").write_text("format: 1\n")
    assert go(place, "--reasons", str(place / "reasons.yaml"), "--policy", str(place / "policy.yaml")) == 0
    assert (place / "b" / "reasons.yaml").read_text() == reasons and (place / "b" / "thresholds.yaml").read_text() == "format: 1\n"


def refused(place, capsys, want, *more, **kw):
    assert go(place, *more, **kw) == 2
    assert want in capsys.readouterr().err
    assert not (place / kw.get("out", "b")).exists()


def test_refusals(place, capsys):
    broken = table()
    pa.parquet.write_table(broken.drop_columns("stake_1h"), place / "lacks.parquet")
    refused(place, capsys, "no column stake_1h", vectors_file="lacks.parquet")
    x = broken["bets_1m"].to_numpy().copy()
    x[7] = np.inf
    pa.parquet.write_table(broken.set_column(2, "bets_1m", pa.array(x)), place / "inf.parquet")
    refused(place, capsys, "bets_1m is infinite in row 8", vectors_file="inf.parquet")
    pa.parquet.write_table(broken.set_column(0, "event_id", pa.array(["e"] * 3000)), place / "twice.parquet")
    refused(place, capsys, "not unique", vectors_file="twice.parquet")
    pa.parquet.write_table(broken.set_column(2, "bets_1m", pa.array(["x"] * 3000)), place / "text.parquet")
    refused(place, capsys, "bets_1m is string", vectors_file="text.parquet")
    pa.parquet.write_table(broken.slice(0, 0), place / "empty.parquet")
    refused(place, capsys, "no rows", vectors_file="empty.parquet")
    refused(place, capsys, "cannot read", vectors_file="absent.parquet")
    refused(place, capsys, "no column fraud", "--label-column", "fraud")
    refused(place, capsys, "labels other than 0 and 1", "--label-column", "weights", vectors_file=weights(place))
    refused(place, capsys, "both kinds", "--train-before", "2001-01-01")
    refused(place, capsys, "--valid-from is before", "--train-before", "2017-08-01", "--valid-from", "2017-07-01")
    refused(place, capsys, "not an ISO 8601 time", "--train-before", "yesterday")
    refused(place, capsys, "is fixed", "--params", "objective=poisson")
    refused(place, capsys, "is fixed", "--params", "linear_tree=true")
    refused(place, capsys, "made linear_tree 1", "--params", "linear_trees=true")
    refused(place, capsys, "made num_iterations 3, want 12", "--params", "n_estimators=3")
    refused(place, capsys, "min_data_in_leaf should be of type int", "--params", "min_data_in_leaf=many")
    refused(place, capsys, "must be greater than 0", "--trees", "0")
    refused(place, capsys, "cannot read the features' names from v.parquet", "--feature-set", str(place / "v.parquet"))
    refused(place, capsys, "is not OUTCOME", "--thresholds", "explode=q0.9")
    refused(place, capsys, "--name", "--name", "A b")
    refused(place, capsys, "--reference-rows", "--reference-rows", "1001")
    (place / "few.yaml").write_text("format: 1\nreasons: [{code: A, features: [bets_1m]}]\n")
    refused(place, capsys, "stake_1h is in 0 reasons", "--reasons", str(place / "few.yaml"))
    assert go(place) == 0
    assert go(place) == 2 and "never changed" in capsys.readouterr().err


def test_trees_that_lightgbm_cannot_explain_are_refused(place, capsys):
    """Each of 60 features singles out a few frauds: a chain of 60 splits, where LightGBM's contributions miss the margin."""
    n, f = 8000, 60
    g = np.random.Generator(np.random.PCG64(1))
    block = g.permutation(np.repeat(np.arange(200), n // 200))
    names = [f"is_{j}" for j in range(f)]
    columns = {"event_id": [f"e{i}" for i in range(n)], "t": pa.array(np.arange(n) * 1_000_000, pa.timestamp("us", tz="UTC"))}
    columns.update({name: (block == j).astype(float) for j, name in enumerate(names)}, label=(block < f).astype(int))
    pa.parquet.write_table(pa.table(columns), place / "chain.parquet")
    (place / "chain.yaml").write_text("features:\n" + "".join(f"  - {{name: {name}}}\n" for name in names))
    deep = ("--leaves", "64", "--params", "min_sum_hessian_in_leaf=0", "--feature-set", str(place / "chain.yaml"))
    refused(place, capsys, "the trees are too deep", *deep, vectors_file="chain.parquet")
    assert go(place, *deep, "--params", "max_depth=30", vectors_file="chain.parquet") == 0


def weights(place):
    pa.parquet.write_table(table(weights=np.linspace(0.5, 2, 3000)), place / "w.parquet")
    return "w.parquet"


def test_weights_and_dropped_features(place):
    assert go(place, "--weight-column", "weights", "--drop", "stake_1h", vectors_file=weights(place)) == 0
    model = lgb.Booster(model_file=str(place / "b" / "model.txt"))
    assert model.feature_name() == ["bets_1m", "new_device"]
