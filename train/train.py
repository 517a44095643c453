#!/usr/bin/env python3
"""Trains a bundle (BUNDLE.md) from vectors that pitboss exported.

    pip install -r train/requirements.txt
    python train/train.py --vectors vectors.parquet --labels labels.csv --feature-set features.yaml --name cards --version 1 \\
        --train-before 2018-06-24 --labels-known-by 2018-06-30 --out bundles/cards-1

A row counts once its label has had the time to come (--maturity). Rows before --train-before train the model, with the labels that were
known at --valid-from; rows from then on are held out, to fit the calibration and to choose the thresholds. Between the two lies
the same time (maturity.py). Without times, the latest fifth of the rows is held out. The same input, parameters and seed give the same
bytes. Exit codes: 0 done, 2 something is wrong with the input (the message says what)."""
import argparse
import os
import platform
import re
import sys

import lightgbm as lgb
import numpy as np

import bundle
import calibration
import maturity
import quality
import samples
import vectors
from vectors import InputError

FOLDS = 5
THRESHOLDS = "challenge=f0.001,limit=f0.0005,hold=f0.0002,block=f0.0001"

# What pins the result; a caller may not change it.
FIXED = {"objective": "binary", "num_threads": 1, "deterministic": True, "force_row_wise": True, "verbose": -1}


def arguments(argv):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vectors", required=True, help="Parquet or CSV: event_id, t, features by name")
    p.add_argument("--labels", help="Parquet or CSV: event_id, the label column, optionally known_at; default: the label is in the vectors")
    p.add_argument("--label-column", default="label", help="1/0 or true/false (default: label)")
    p.add_argument("--labels-known-by", help="ignore labels whose known_at is later (ISO 8601)")
    p.add_argument("--maturity", default="auto", help="leave out rows younger than this when the labels were looked at (--labels-known-by, or the "
                   "latest time in the files): days or hours such as 14d or 36h, 0, or auto, the time within which 95 %% of the frauds' labels "
                   "came (0 for labels without known_at)")
    p.add_argument("--group-column", help="whom a row is about, such as the player, a column beside the labels: held-out rows are then scored "
                   f"by models that learned from others ({FOLDS} folds), and thresholds also told by how many they met")
    p.add_argument("--prevalence", type=float, help="share of frauds where the model will be used: calibration, precision and metrics are for that "
                   "(default: as in the held-out rows)")
    p.add_argument("--unlabelled", choices=("drop", "legit"), default="drop", help="rows without a label: leave out, or take for honest")
    p.add_argument("--weight-column", help="a column of the vectors with a positive weight for each row")
    p.add_argument("--feature-set", required=True, help="the feature set that the vectors were computed with; copied verbatim")
    p.add_argument("--drop", default="", help="features of the set that the model shall not use, separated by commas")
    p.add_argument("--out", required=True, help="the bundle's directory, which must not exist")
    p.add_argument("--name", default="model")
    p.add_argument("--version", default="1")
    p.add_argument("--train-before", help="train on rows before this time (ISO 8601)")
    p.add_argument("--valid-from", help="hold out rows from this time on (default: --train-before and --maturity)")
    p.add_argument("--valid-before", help="hold out rows before this time only")
    p.add_argument("--refit", action="store_true", help="then train again, on the held-out rows too: the calibration, thresholds and metrics "
                   "are those of the model that had not seen them")
    p.add_argument("--trees", type=int, default=200)
    p.add_argument("--leaves", type=int, default=31)
    p.add_argument("--params", default="", help="more LightGBM parameters, such as learning_rate=0.05,min_data_in_leaf=50")
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--calibration", choices=("platt", "isotonic", "beta", "none", "auto"), default="platt",
                   help="auto: the one whose fit on the earlier half of the held-out rows has the least log loss on the later half")
    p.add_argument("--thresholds", help="OUTCOME=fN (share of honest held-out rows at or above it, shown with 95 %% confidence), qN (quantile of "
                   f"held-out scores), pN (precision on held-out rows) or sN (score), separated by commas (default: {THRESHOLDS})")
    p.add_argument("--policy", help="a thresholds.yaml to take, verbatim; with --thresholds its last segment gets those that are chosen")
    p.add_argument("--reasons", help="a reasons.yaml to take verbatim (default: a skeleton with one reason a feature)")
    p.add_argument("--golden-rows", type=int, default=64)
    p.add_argument("--reference-rows", type=int, default=200, help="training rows to keep, for explanations against them; 0: none, at most 1000")
    a = p.parse_args(argv)
    if not bundle.NAME.fullmatch(a.name):
        raise InputError(f"--name {a.name!r}: want lower case letters, digits, _ and -, at most 63")
    if not bundle.VERSION.fullmatch(a.version):
        raise InputError(f"--version {a.version!r}: want letters, digits, ., _ and -, at most 63")
    if not 1 <= a.golden_rows <= 256:
        raise InputError("--golden-rows: want 1 to 256")
    if not 0 <= a.reference_rows <= samples.MAX_ROWS:
        raise InputError(f"--reference-rows: want 0 to {samples.MAX_ROWS}")
    if a.prevalence is not None and not 0 < a.prevalence < 1:
        raise InputError("--prevalence: want a share between 0 and 1")
    a.maturity = maturity.parse(a.maturity)
    return a


def parameters(a):
    p = {"learning_rate": 0.05, "min_data_in_leaf": 20}
    for part in filter(None, a.params.split(",")):
        key, eq, value = part.partition("=")
        if not eq or key in FIXED or key in ("seed", "num_leaves", "linear_tree"):
            raise InputError(f"--params: {part!r} is not KEY=VALUE, or is fixed by this script")
        for kind in (int, float, str):
            try:
                p[key] = kind(value)
                break
            except ValueError:
                pass
    return {**p, "num_leaves": a.leaves, "seed": a.seed}


def fit(train, features, params, trees):
    """The model's text. What is scored later is what this text says, not what training had in memory."""
    try:
        data = lgb.Dataset(train.x, train.y, weight=train.weight, feature_name=features)
        text = lgb.train({**FIXED, **params}, data, num_boost_round=trees).model_to_string()
    except (lgb.basic.LightGBMError, TypeError, ValueError) as e:
        raise InputError(f"LightGBM refuses to train (--params, --trees, --leaves): {e}") from e
    check_said(text, {"linear_tree": 0, "num_iterations": trees, "num_leaves": params["num_leaves"], "seed": params["seed"]})
    return text


def check_said(text, want):
    """Every parameter has other names too: what the model's text says was used is what counts."""
    said = dict(re.findall(r"^\[(\w+): (.*)\]$", text, re.M))
    for key, value in want.items():
        if said.get(key) != str(value):
            raise InputError(f"--params made {key} {said.get(key)}, want {value}: it is fixed by this script, or has a flag of its own")


def check_sums(margin, phi):
    """LightGBM's contributions lose their digits where a path tests some 40 features or more; pitboss would refuse the bundle."""
    off = np.abs(phi.sum(axis=1) - margin) / np.maximum(1, np.maximum(np.abs(margin), np.abs(phi).max(axis=1)))
    if off.max() > 1e-9:
        raise InputError(f"LightGBM's own contributions miss its margin by {off.max():.3g} of the largest: the trees are too deep for it to "
                         "explain. Use fewer --leaves, or --params max_depth=30")


def golden(model, cal, v, count):
    """Rows over the whole range of margins, and those with most values missing, of at most 20,000 spread over time."""
    v = v.where(np.arange(len(v)) % (len(v) // 20_000 + 1) == 0)
    margins = model.predict(v.x, raw_score=True, num_threads=1)
    by_margin = np.argsort(margins, kind="stable")
    spread = by_margin[np.unique(np.linspace(0, len(v) - 1, count).round().astype(int))]
    sparse = np.argsort(-np.isnan(v.x).sum(axis=1), kind="stable")[: count // 4]
    picked = list(dict.fromkeys([*sparse.tolist(), *spread.tolist()]))[:count]
    x = np.ascontiguousarray(v.x[picked])
    margin = model.predict(x, raw_score=True, num_threads=1)
    score = model.predict(x, num_threads=1)
    phi = model.predict(x, pred_contrib=True, num_threads=1)
    check_sums(margin, phi)
    return [(x[i], margin[i], calibration.apply(cal, float(margin[i]), float(score[i])), phi[i, -1], phi[i, :-1]) for i in range(len(picked))]


def calibrated(cal, margin, score):
    return np.array([calibration.apply(cal, float(m), float(s)) for m, s in zip(margin, score)])


def honest_metrics(kind, v, margin, score):
    """Probabilities measured on the later half of the held-out rows, with a calibration fitted on the earlier half."""
    half = len(v) // 2
    early, late = slice(None, half), slice(half, None)
    if len(np.unique(v.y[early])) < 2 or len(np.unique(v.y[late])) < 2:
        early = late = slice(None)
    cal = calibration.fit(kind, margin[early], score[early], v.y[early], v.weight[early])
    return quality.metrics(calibrated(cal, margin[late], score[late]), margin[late], v.y[late], v.weight[late])


def run(argv):
    a = arguments(argv)
    if os.path.exists(a.out):
        raise InputError(f"{a.out} exists: a bundle is never changed, write another")
    targets = quality.parse_targets(a.thresholds or THRESHOLDS)
    params = parameters(a)
    dropped = set(filter(None, a.drop.split(",")))
    features = [f for f in vectors.feature_names(a.feature_set) if f not in dropped]
    known_by = vectors.parse_time(a.labels_known_by) if a.labels_known_by else None
    v = vectors.load(a.vectors, features, a.label_column, a.labels, known_by, a.weight_column, a.group_column, a.unlabelled == "drop")
    s = maturity.Split(v, a)
    valid = prior(s.valid, a.prevalence)
    seen = s.all_seen() if a.refit else s.train
    text, (margin, score) = learned(s.train, seen, valid, lambda rows: fit(rows, features, params, a.trees))
    model = lgb.Booster(model_str=text)
    kind, losses = a.calibration, None
    if kind == "auto":
        kind, losses = calibration.choose(margin, score, valid.y, valid.weight)
    cal = calibration.fit(kind, margin, score, valid.y, valid.weight)
    probability = calibrated(cal, margin, score)
    if a.policy and not a.thresholds:
        chosen, targets = bundle.thresholds_of(read(a.policy), a.policy), {}
    else:
        chosen = quality.thresholds(targets, probability, valid.y, valid.weight)
    if not chosen:
        raise InputError("the held-out rows show no score that meets any of " + (a.thresholds or THRESHOLDS) + ": hold out more rows, or ask for less "
                         "(--thresholds challenge=f0.01, or challenge=q0.98 for the highest 2 %)")
    evidence = quality.evidence(chosen, targets, probability, valid.y, valid.weight, valid.group)
    metrics = honest_metrics(kind, valid, margin, score)
    rows = golden(model, cal, s.mature, a.golden_rows)
    files = {"model.txt": text.encode(), "calibration.json": bundle.calibration_json(cal),
             "golden.csv": bundle.golden_csv(features, rows).encode(), **verbatim(a, features, chosen),
             "profile.json": samples.profile_json(samples.profile(features, seen.x))}
    if a.reference_rows:
        files["reference.csv"] = samples.reference_csv(features, samples.reference(seen.x, a.reference_rows))
    created_from = {"vectors": {"sha256": vectors.digest(a.vectors), "rows": len(s.mature), "positives": int((s.mature.y == 1).sum())}}
    if a.labels:
        created_from["labels"] = {"sha256": vectors.digest(a.labels)}
    created_from.update(labels_as_of=vectors.format_time(s.as_of), maturity_seconds=s.horizon // 1_000_000, immature_rows=s.immature,
                        train_before=vectors.format_time(s.cut), valid_from=vectors.format_time(s.valid_from), train_rows=len(seen),
                        seed=a.seed, refit=a.refit, trees=a.trees, params=params, metrics=metrics, thresholds=evidence)
    if a.prevalence:
        created_from["prevalence"] = a.prevalence
    if losses:
        created_from["calibration_log_loss"] = losses
    libraries = {"python": platform.python_version(), "lightgbm": lgb.__version__, "numpy": np.__version__}
    bundle.write(a.out, a.name, a.version, files, len(rows), created_from, libraries)
    held = "held out before" if a.refit else "held out"
    print(f"{a.out}: {len(seen)} rows trained on, {len(valid)} {held}, {s.told()}; " + ", ".join(f"{k} {n}" for k, n in metrics.items()))
    print(quality.table(evidence, targets))


def predict(text, x):
    """Margins and the model's own scores."""
    model = lgb.Booster(model_str=text)
    return np.array([model.predict(x, raw_score=raw, num_threads=1) for raw in (True, False)])


def learned(train, seen, valid, learn):
    """The model of the rows seen, and what the held-out rows are given by a model of those to train on. With groups that is one of FOLDS
    models that learned from others: a player whom a model knows from earlier days is no evidence about strangers."""
    if valid.group is None:
        text = learn(train)
        return text if seen is train else learn(seen), predict(text, valid.x)
    out = np.empty((2, len(valid)))
    for k in range(FOLDS):
        asked, rows = valid.group % FOLDS == k, train.where(train.group % FOLDS != k)
        if len(np.unique(rows.y)) < 2:
            raise InputError(f"--group-column: {len(np.unique(train.group))} groups are too few to keep a {FOLDS}th of them apart")
        if asked.any():
            out[:, asked] = predict(learn(rows), valid.x[asked])
    return learn(seen), out


def prior(v, prevalence):
    """The rows with the frauds' weights such that they are that share of all."""
    if prevalence is not None:
        fraud = v.y == 1
        mass, others = v.weight[fraud].sum(), v.weight[~fraud].sum()
        v.weight = np.where(fraud, v.weight * (prevalence * others / ((1 - prevalence) * mass)), v.weight)
    return v


def read(path):
    try:
        with open(path, "rb") as f:
            return f.read()
    except OSError as e:
        raise InputError(f"cannot read {path}: {e.strerror}") from e


def verbatim(a, features, chosen):
    """The files that come from people, or are made up for them to change."""
    policy = {"format": 1, "segments": [{"name": "default", "thresholds": chosen}], "fallback": bundle.FALLBACK}
    reasons = read(a.reasons) if a.reasons else bundle.dump(bundle.reasons_skeleton(features)).encode()
    bundle.check_reasons(reasons, features, a.reasons or "the skeleton of reasons")
    thresholds = bundle.dump(policy).encode()
    if a.policy:
        thresholds = bundle.with_thresholds(read(a.policy), chosen, a.policy) if a.thresholds else read(a.policy)
    return {"features.yaml": read(a.feature_set), "reasons.yaml": reasons, "thresholds.yaml": thresholds}


def main(argv=None):
    try:
        run(sys.argv[1:] if argv is None else argv)
    except InputError as e:
        print(f"train: {e}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
