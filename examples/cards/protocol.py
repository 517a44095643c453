#!/usr/bin/env python3
"""Measures a month of decisions as the README publishes it, beside LightGBM on the published columns in the same protocol.

    python examples/cards/protocol.py --vectors examples/cards/out/vectors.parquet --decisions examples/cards/out/decisions.jsonl

The protocol: train on payments to 23 June with the labels known by 30 June (a payment's label is known a week later, so those are
the same payments), then decide all of July, each payment once, in order of time, without training again. Both models are trained
by the same lines below or by train/train.py with the same parameters; the scores of pitboss are those of its own decisions.

AUC      area under the ROC curve, ties counting half
AP       average precision
CP@100   card precision: of the hundred customers with the highest score of a day, the part with a fraud that day. A customer whose
         fraud was among the hundred of an earlier day is known and left out from then on, as the handbook's authors do it. Mean
         over July's days."""
import argparse
import json
import os
import sys

import lightgbm as lgb
import numpy as np
import pyarrow.parquet as pq

TRAIN_BEFORE = np.datetime64("2018-06-24")
TEST_FROM, TEST_BEFORE = np.datetime64("2018-07-01"), np.datetime64("2018-08-01")
PUBLISHED = ["TX_AMOUNT", "TX_DURING_WEEKEND", "TX_DURING_NIGHT"] + [
    f"{entity}_{what}_{days}DAY_WINDOW" for entity, whats in (("CUSTOMER_ID", ("NB_TX", "AVG_AMOUNT")), ("TERMINAL_ID", ("NB_TX", "RISK")))
    for days in (1, 7, 30) for what in whats]
# The same for both models (cards.mk gives them to train/train.py). Chosen on payments of 17 to 23 June, of four tries.
PARAMS = {"objective": "binary", "learning_rate": 0.03, "min_data_in_leaf": 100, "num_leaves": 31, "seed": 1, "num_threads": 1,
          "deterministic": True, "force_row_wise": True, "verbose": -1}
OWN = {"event_id", "t", "TX_FRAUD", "TX_FRAUD_SCENARIO"}


def auc(score, y):
    order = np.argsort(score, kind="stable")
    s = score[order]
    rank = np.empty(len(s))
    first = np.flatnonzero(np.append(True, np.diff(s) != 0))
    for low, high in zip(first, np.append(first[1:], len(s))):
        rank[order[low:high]] = (low + high + 1) / 2
    positives = y.sum()
    return (rank[y == 1].sum() - positives * (positives + 1) / 2) / (positives * (len(y) - positives))


def average_precision(score, y):
    order = np.argsort(-score, kind="stable")
    s, hits = score[order], np.cumsum(y[order])
    last = np.flatnonzero(np.append(np.diff(s) != 0, True))
    precision = hits[last] / (last + 1)
    return float((np.diff(np.append(0, hits[last])) / hits[-1] * precision).sum())


def card_precision(score, y, day, customer, k=100):
    known, days = set(), []
    for d in np.unique(day):
        rows = np.flatnonzero(day == d)
        best, fraud = {}, {}
        for i in rows:
            c = customer[i]
            if c in known:
                continue
            best[c] = max(best.get(c, -np.inf), score[i])
            fraud[c] = max(fraud.get(c, 0), int(y[i]))
        top = sorted(best, key=lambda c: (-best[c], c))[:k]
        found = [c for c in top if fraud[c]]
        known.update(found)
        days.append(len(found) / k)
    return float(np.mean(days))


def measure(score, v, rows):
    y = v["TX_FRAUD"][rows]
    return {"auc": auc(score, y), "ap": average_precision(score, y),
            "cp100": card_precision(score, y, v["t"][rows].astype("datetime64[D]"), v["customer"][rows])}


def train(x, y, names, trees):
    return lgb.train(PARAMS, lgb.Dataset(x, y, feature_name=names), num_boost_round=trees)


def load(path, source):
    table = pq.read_table(path)
    v = {c: table[c].to_numpy() for c in table.column_names if not c.endswith("__status")}
    v["event_id"] = v["event_id"].astype(np.int64)
    v["t"] = v["t"].astype("datetime64[us]")
    s = pq.read_table(source, columns=["TRANSACTION_ID", "CUSTOMER_ID"])
    customer = np.empty(s["TRANSACTION_ID"].to_numpy().max() + 1, dtype=np.int64)
    customer[s["TRANSACTION_ID"].to_numpy()] = s["CUSTOMER_ID"].to_numpy()
    v["customer"] = customer[v["event_id"]]
    return v


def decided(path, v, rows):
    """The scores that pitboss gave, one for each payment of July."""
    scores = {}
    with open(path, encoding="utf-8") as f:
        for line in f:
            d = json.loads(line)
            if d.get("score") is not None:
                scores[d.get("eventId", d.get("event_id"))] = d["score"] if d.get("margin") is None else d["margin"]
    missing = [i for i in rows if str(v["event_id"][i]) not in scores]
    if missing:
        sys.exit(f"{path}: {len(missing)} of {len(rows)} payments of July have no score")
    return np.array([scores[str(v["event_id"][i])] for i in rows])


def matrix(v, names):
    return np.column_stack([v[n].astype(float) for n in names])


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vectors", required=True, help="of features eval, with the kept columns")
    p.add_argument("--source", required=True, help="the data set, for the customers")
    p.add_argument("--decisions", help="JSON lines of the decisions of July; without, our model is trained here on the vectors")
    p.add_argument("--bundle", help="the bundle that decided: are its margins on the exported vectors those of the decisions?")
    p.add_argument("--trees", type=int, default=200)
    p.add_argument("--train-before", default=str(TRAIN_BEFORE), help="rows before this day train the baseline")
    p.add_argument("--json", help="write the figures to this file too")
    a = p.parse_args()
    v = load(a.vectors, a.source)
    learn = np.flatnonzero(v["t"] < np.datetime64(a.train_before))
    test = np.flatnonzero((v["t"] >= TEST_FROM) & (v["t"] < TEST_BEFORE))
    y = v["TX_FRAUD"].astype(int)
    v["TX_FRAUD"] = y
    print(f"{len(learn)} payments to train on, {y[learn].sum()} of them fraud; {len(test)} of July, {y[test].sum()} of them fraud")

    figures = {}
    x = matrix(v, PUBLISHED)
    base = train(x[learn], y[learn], [n.lower() for n in PUBLISHED], a.trees)
    figures["LightGBM on the published columns"] = measure(base.predict(x[test], raw_score=True), v, test)
    ours = [n for n in v if n not in OWN and n not in PUBLISHED and n != "customer"]
    if a.decisions:
        margins = decided(a.decisions, v, test)
        figures["pitboss, its decisions"] = measure(margins, v, test)
        if a.bundle:
            model = lgb.Booster(model_file=os.path.join(a.bundle, "model.txt"))
            again = model.predict(matrix({n: c[test] for n, c in v.items()}, model.feature_name()), raw_score=True)
            print(f"{(again == margins).sum()} of {len(test)} decisions have bit for bit the margin that LightGBM gives the exported vector")
    else:
        x = matrix(v, ours)
        model = train(x[learn], y[learn], ours, a.trees)
        figures["pitboss's vectors, trained here"] = measure(model.predict(x[test], raw_score=True), v, test)
        same = [n.lower() for n in PUBLISHED if n.lower() in v]
        x = matrix(v, [*same, "amount", "hour", "weekday"])
        model = train(x[learn], y[learn], [*same, "amount", "hour", "weekday"], a.trees)
        figures["pitboss's own twelve columns, trained here"] = measure(model.predict(x[test], raw_score=True), v, test)
    print(f"| decided by | AP | AUC | CP@100 a day |\n|---|---:|---:|---:|")
    for name, f in figures.items():
        print(f"| {name} | {f['ap']:.3f} | {f['auc']:.3f} | {f['cp100']:.3f} |")
    if a.json:
        with open(a.json, "w", encoding="utf-8") as out:
            json.dump(figures, out, indent=1)


if __name__ == "__main__":
    main()
