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
import maturity  # noqa: E402
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
                       "--trees", "12", "--leaves", "7", "--thresholds", "challenge=q0.98,limit=q0.99,hold=q0.995,block=q0.999", *more])


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
    s = maturity.Split(v, a)
    assert s.train.t.max() < cut and s.valid.t.min() >= vectors.parse_time("2017-08-05") and s.valid.t.max() < vectors.parse_time("2017-08-10")


def late_labels(place, delay, n=3000):
    """Every row is presumed honest from the start, and frauds are known a number of days later: nothing that is not known at the end."""
    t, _, y = synthetic(n)
    ids, end = [f"e{i}" for i in range(n)], int(t.max())
    known = (t + delay * DAY).astype(np.int64)
    late = (y == 1) & (known <= end)
    columns = {"event_id": ids + [i for i, k in zip(ids, late) if k], "label": np.concatenate([np.zeros(n), np.ones(late.sum())]),
               "who": [f"p{i % 50}" for i in range(n)] + [f"p{i % 50}" for i in np.flatnonzero(late)],
               "known_at": pa.array(np.concatenate([t, known[late]]), pa.timestamp("us", tz="UTC"))}
    pa.parquet.write_table(pa.table(columns), place / "late.parquet")
    pa.parquet.write_table(table(n).drop_columns("label"), place / "bare.parquet")
    return t, y


def split_of(place, *more):
    a = train.arguments(["--vectors", "", "--feature-set", "", "--out", "", *more])
    return maturity.Split(vectors.load(str(place / "bare.parquet"), FEATURES, "label", str(place / "late.parquet")), a)


def test_rows_whose_labels_had_no_time_to_come_are_left_out(place):
    delay = np.where(np.arange(3000) % 10 == 0, 6.0, 2.0)  # days: nine in ten labels after two, the last after six
    t, y = late_labels(place, delay)
    end = int(t.max())
    s = split_of(place)
    assert s.horizon == 6 * DAY and s.as_of == end
    assert s.mature.t.max() <= end - 6 * DAY and s.immature == int((t > end - 6 * DAY).sum())
    assert s.cut == s.valid_from - 6 * DAY and s.train.t.max() < s.cut and s.valid.t.min() == s.valid_from
    assert s.between == int(((t >= s.cut) & (t < s.valid_from)).sum())
    # Mature rows have the truth; of all rows, those of the last days would have called frauds honest.
    assert (s.valid.y == y[(t >= s.valid_from) & (t <= end - 6 * DAY)]).all() and (s.train.y == y[t < s.cut]).all()
    assert len(s.all_seen()) == int((t <= end - 6 * DAY).sum())
    young = split_of(place, "--maturity", "0")
    assert young.immature == 0 and young.valid.y.sum() < y[t >= young.valid_from].sum()
    early = split_of(place, "--maturity", "48h")
    assert early.horizon == 2 * DAY and early.cut == early.valid_from - 2 * DAY
    given = split_of(place, "--train-before", "2017-07-25")
    assert given.valid_from == vectors.parse_time("2017-07-31")


def test_the_horizon_asks_each_group_once_and_only_what_had_the_time(place):
    """Of 30 rows 29 are one account's, which was found in a day; the others' took three. Some labels take so long that none can have come
    of younger rows."""
    n, at = 1800, np.arange(1800) * (30 * DAY // 1800)
    who = np.where(np.arange(n) % 30 == 0, np.arange(n) // 30, 1000)
    first = {w: at[who == w][0] for w in np.unique(who)}
    known = np.array([max(t, first[w] + (DAY if w == 1000 else 3 * DAY)) for t, w in zip(at, who)])
    labels = lambda known: vectors.Labels(np.arange(n), np.ones(n), known, n)  # noqa: E731
    v = vectors.Vectors(at, None, None, None, None, labels(known))
    assert maturity.horizon(None, v, int(at.max())) < DAY  # most acts of a known account are old news at once
    v.group = who
    assert maturity.horizon(None, v, int(at.max())) == 3 * DAY
    v.group, v.labels = None, labels(np.where(np.arange(n) % 5 == 0, at + 20 * DAY, at + 2 * DAY))
    assert maturity.horizon(None, v, int(at.max())) == 2 * DAY
    v.labels = labels(at + 20 * DAY)
    with pytest.raises(vectors.InputError, match="0 frauds of the older half"):
        maturity.horizon(None, v, int(at.max()))
    v.labels = vectors.Labels(np.arange(n), np.ones(n), None, n)
    assert maturity.horizon(None, v, int(at.max())) == 0


def test_what_trains_has_the_labels_that_were_known_when_held_out_rows_began(place):
    t, y = late_labels(place, np.full(3000, 2.0))
    s = split_of(place, "--maturity", "2d", "--train-before", "2017-07-25", "--valid-from", "2017-07-25")
    late = s.train.t > s.valid_from - 2 * DAY
    assert s.train.y[late].sum() == 0 and y[t < s.cut][late].sum() > 0 and (s.train.y[~late] == y[t < s.cut][~late]).all()


def test_maturity_is_told_and_written(place, capsys):
    late_labels(place, np.full(3000, 3.0))
    assert go(place, "--labels", str(place / "late.parquet"), "--group-column", "who", vectors_file="bare.parquet") == 0
    told = capsys.readouterr().out
    made = yaml.safe_load((place / "b" / "bundle.yaml").read_text())["created_from"]
    assert made["maturity_seconds"] == 3 * 86_400 and f"{made['immature_rows']} rows younger than 3 d at" in told and made["immature_rows"] > 200
    first = made["thresholds"][0]
    assert first["outcome"] == "challenge" and first["target"] == "q0.98" and first["fraud_groups"][1] <= 50
    assert f"{first['honest_groups'][0]} of {first['honest_groups'][1]}" in told
    assert go(place, out="plain") == 0
    assert "0 rows younger than 0 d" in capsys.readouterr().out


def test_held_out_rows_of_a_group_are_scored_by_models_that_did_not_see_it(place):
    """A feature that names its group, of groups that are wholly one or the other: known again it tells all, of strangers nothing."""
    who = np.arange(3000) % 40
    fraud = np.random.Generator(np.random.PCG64(3)).permutation(40) < 20
    columns = table(who=[f"p{w}" for w in who])
    columns = columns.set_column(2, "bets_1m", pa.array(who.astype(float))).set_column(4, "new_device", pa.array(np.zeros(3000)))
    columns = columns.set_column(columns.column_names.index("label"), "label", pa.array(fraud[who].astype(int)))
    pa.parquet.write_table(columns, place / "known.parquet")
    some = ("--params", "min_data_in_leaf=5", "--trees", "40", "--calibration", "none")
    assert go(place, *some, out="a", vectors_file="known.parquet") == 0
    assert go(place, *some, "--group-column", "who", out="b", vectors_file="known.parquet") == 0
    a, b = (yaml.safe_load((place / n / "bundle.yaml").read_text())["created_from"]["metrics"]["auc"] for n in "ab")
    assert a == 1 and b < 0.8
    assert content(place / "a")["model.txt"] == content(place / "b")["model.txt"]


def test_a_prevalence_moves_probabilities_and_not_the_order(place):
    assert go(place, out="a") == 0 and go(place, "--prevalence", "0.001", out="b") == 0
    a, b = (yaml.safe_load((place / n / "bundle.yaml").read_text())["created_from"] for n in "ab")
    assert a["metrics"]["auc"] == b["metrics"]["auc"] and b["prevalence"] == 0.001
    assert b["thresholds"][0]["precision"][0] < a["thresholds"][0]["precision"][0]
    one, two = (json.loads((place / n / "calibration.json").read_text()) for n in "ab")
    assert two["b"] < one["b"] - 2


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
    # 95 % sure: of 10,000 honest rows without one at or above, the share is below 3.0 in 10,000; with one, below 4.8.
    many = np.concatenate([np.full(9999, 0.1), [0.6], np.full(20, 0.9)])
    fraud, ones = (many == 0.9).astype(float), np.ones(len(many))
    f_many = lambda text: quality.thresholds(quality.parse_targets(text), many, fraud, ones)  # noqa: E731
    assert f_many("block=f0.00029") == {} and f_many("block=f0.0003") == {"block": 0.9}
    assert f_many("challenge=f0.00048,block=f0.0003") == {"challenge": 0.6, "block": 0.9}
    assert f_many("challenge=f0.00047") == {"challenge": 0.9}
    y[:] = 0
    y[95] = 1
    assert f("challenge=q0.9,block=p0.9") == {"challenge": 0.91}


def test_evidence_counts_what_a_threshold_met():
    score, y = np.array([0.9, 0.8, 0.7, 0.2, 0.1, 0.1]), np.array([1, 0, 1, 1, 0, 0.0])
    e, = quality.evidence({"hold": 0.5}, {"hold": ("s", 0.5)}, score, y, np.ones(6), np.array([0, 1, 0, 2, 1, 3]))
    assert (e["rows"], e["honest_rows"], e["target"]) == (3, 1, "s0.5")
    assert e["honest_groups"] == [1, 2] and e["fraud_groups"] == [1, 2]
    # Clopper and Pearson's interval of 2 of 3 and of 1 of 3.
    assert e["precision"] == [0.666667, 0.094299, 0.991596] and e["recall"] == e["precision"]
    assert e["honest_stopped"] == [0.333333, 0.008404, 0.905701]
    weighted, = quality.evidence({"hold": 0.5}, {}, score, y, np.array([1, 3, 1, 1, 1, 1.0]), None)
    assert weighted["precision"][0] == 0.4 and "honest_groups" not in weighted and "target" not in weighted
    assert "block is not recommended" in quality.table([e], {"hold": ("s", 0.5), "block": ("f", 0.0001)})


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
    policy = "format: 1  # ours\nsegments:\n  - {name: default, thresholds: {block: 0.9, challenge: 0.1}, review_from: 0.4}\n"
    (place / "policy.yaml").write_text(policy)
    given = ["--reasons", str(place / "reasons.yaml"), "--policy", str(place / "policy.yaml")]
    assert go(place, *given) == 0
    assert (place / "b" / "reasons.yaml").read_text() == reasons
    chosen = yaml.safe_load((place / "b" / "thresholds.yaml").read_text())
    assert set(chosen["segments"][0]["thresholds"]) == {"challenge", "limit", "hold", "block"} and chosen["segments"][0]["review_from"] == 0.4
    bare = ["--vectors", str(place / "v.parquet"), "--feature-set", str(place / "set.yaml"), "--trees", "12", "--leaves", "7", *given]
    assert train.main([*bare, "--out", str(place / "c")]) == 0
    assert (place / "c" / "thresholds.yaml").read_text() == policy
    evidence = yaml.safe_load((place / "c" / "bundle.yaml").read_text())["created_from"]["thresholds"]
    assert [(e["outcome"], e["threshold"]) for e in evidence] == [("challenge", 0.1), ("block", 0.9)] and "target" not in evidence[0]


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
    refused(place, capsys, "no score that meets any of block=f0.0001", "--thresholds", "block=f0.0001")
    refused(place, capsys, "want auto, 0, or a number of days", "--maturity", "soon")
    refused(place, capsys, "no labelled row is 40 d old", "--maturity", "40d")
    refused(place, capsys, "--prevalence", "--prevalence", "1")
    (place / "bad.yaml").write_text("format: 1\n")
    refused(place, capsys, "cannot read the thresholds of the last segment", "--policy", str(place / "bad.yaml"))
    pa.parquet.write_table(table(who=["p"] * 3000), place / "one.parquet")
    refused(place, capsys, "1 groups are too few", "--group-column", "who", vectors_file="one.parquet")
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
