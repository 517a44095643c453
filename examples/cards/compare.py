#!/usr/bin/env python3
"""Compares the published window columns with pitboss's own, row by row, and says why the rest differ.

    python examples/cards/compare.py --vectors examples/cards/out/vectors.parquet --source .../cards/2018-04_to_07.parquet

The vectors are those of `pitboss features eval` with this directory's set and map, which keeps the published columns. For each
column: the share of rows that are equal (counts exactly; means and risks within 1e-6 euros or parts, since the authors' running
sums carry rounding), and the reasons of the others:

  old edge     pitboss rounds a window's old edge down to its hop (1d: 30 min, 7d: 4 h, 30d: 12 h). The row is of this class only
               if recomputing it from the source with that edge gives pitboss's value, and without it the published one.
  same second  a payment of the same customer, or a label of the same terminal, in the very second: the two count them in
               another order.
  unexplained  neither. There should be none."""
import argparse
import sys

import numpy as np
import pyarrow.parquet as pq

DAY = 86_400
# Length and hop of each window, in seconds.
WINDOWS = {"1DAY": (DAY, 1800), "7DAY": (7 * DAY, 4 * 3600), "30DAY": (30 * DAY, 12 * 3600)}
DELAY = 7 * DAY
TOLERANCE = 1e-6


def columns():
    for w in WINDOWS:
        yield f"CUSTOMER_ID_NB_TX_{w}_WINDOW", "CUSTOMER_ID", w, "count", 0
        yield f"CUSTOMER_ID_AVG_AMOUNT_{w}_WINDOW", "CUSTOMER_ID", w, "mean", 0
        yield f"TERMINAL_ID_NB_TX_{w}_WINDOW", "TERMINAL_ID", w, "count", DELAY
        yield f"TERMINAL_ID_RISK_{w}_WINDOW", "TERMINAL_ID", w, "risk", DELAY


class Entity:
    """The payments of each entity in order of time, so that a window is two searches and two differences."""

    def __init__(self, ids, t, amount, fraud):
        self.order = np.lexsort((np.arange(len(t)), t, ids))  # stable: ties keep the file's order
        self.place = np.empty(len(t), dtype=np.int64)
        self.place[self.order] = np.arange(len(t))
        # One number that sorts by entity, then time: years of seconds fit below 2^33.
        self.key = ids[self.order].astype(np.int64) * (1 << 33) + t[self.order]
        self.base = ids.astype(np.int64) * (1 << 33)
        cents = np.round(amount * 100).astype(np.int64)
        self.cents = np.concatenate([[0], np.cumsum(cents[self.order])])
        self.frauds = np.concatenate([[0], np.cumsum(fraud[self.order])])

    def from_time(self, t):
        """The first payment of the row's entity at or after t."""
        return np.searchsorted(self.key, self.base + np.maximum(t, 0), side="left")

    def value(self, low, high, kind):
        high = np.maximum(high, low)
        n = high - low
        if kind == "count":
            return n.astype(float)
        total = (self.cents if kind == "mean" else self.frauds)[high] - (self.cents if kind == "mean" else self.frauds)[low]
        return np.divide(total / (100 if kind == "mean" else 1), n, out=np.zeros(len(n)), where=n > 0)


def close(a, b):
    return np.abs(a - b) <= TOLERANCE


def classify(name, entity, t, window, kind, delay, published, ours):
    length, hop = WINDOWS[window]
    equal = close(published, ours)
    at = t - delay
    # Without a delay the row itself is the newest; with one, everything up to the delayed moment is known.
    high = entity.from_time(at + 1) if delay else entity.place + 1
    exact = entity.value(entity.from_time(at - length + 1), high, kind)
    # Labels are a week late: the hop's edge is that of the label's own time.
    edge = (t - length) // hop * hop - delay
    rounded = entity.value(entity.from_time(edge), high, kind)
    tied = entity.from_time(at + 1) - entity.from_time(at) > (0 if delay else 1)
    by_edge = ~equal & close(rounded, ours) & close(exact, published)
    by_tie = ~equal & ~by_edge & tied
    rest = ~equal & ~by_edge & ~by_tie
    return {"column": name.lower(), "equal": equal, "old edge": by_edge, "same second": by_tie, "unexplained": rest,
            "rounded": close(rounded, ours), "exact": close(exact, published)}


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vectors", required=True)
    p.add_argument("--source", required=True)
    p.add_argument("--show", type=int, default=3, help="unexplained rows to print for each column")
    a = p.parse_args()
    source = pq.read_table(a.source, columns=["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", "TERMINAL_ID", "TX_AMOUNT", "TX_FRAUD"])
    get = {c: source[c].to_numpy() for c in source.column_names}
    t = get["TX_DATETIME"].astype("datetime64[s]").astype(np.int64)
    names = [c for name, *_ in columns() for c in (name, name.lower())]
    vectors = pq.read_table(a.vectors, columns=["event_id", *names])
    # Vectors come in order of time; bring them into the source's rows.
    row_of = np.empty(get["TRANSACTION_ID"].max() + 1, dtype=np.int64)
    row_of[get["TRANSACTION_ID"]] = np.arange(len(t))
    rows = row_of[np.array(vectors["event_id"].to_pylist(), dtype=np.int64)]
    if len(rows) != len(t):
        print(f"{len(rows)} vectors of {len(t)} payments are compared", file=sys.stderr)
    entities = {k: Entity(get[k], t, get["TX_AMOUNT"], get["TX_FRAUD"]) for k in ("CUSTOMER_ID", "TERMINAL_ID")}

    print("| column | equal | old edge (hop) | same second | unexplained |")
    print("|---|---:|---:|---:|---:|")
    failed = 0
    for name, key, window, kind, delay in columns():
        ours = np.full(len(t), np.nan)
        published = np.full(len(t), np.nan)
        ours[rows] = vectors[name.lower()].to_numpy()
        published[rows] = vectors[name].to_numpy()
        r = classify(name, entities[key], t, window, kind, delay, published, ours)
        n = len(rows)
        share = {k: 100 * r[k][rows].sum() / n for k in ("equal", "old edge", "same second", "unexplained")}
        print(f"| {r['column']} | {share['equal']:.3f} % | {share['old edge']:.3f} % | {share['same second']:.4f} % | {share['unexplained']:.4f} % |")
        odd = rows[r["unexplained"][rows]]
        failed += len(odd)
        for i in odd[: a.show]:
            print(f"  row {i}, payment {get['TRANSACTION_ID'][i]} at {get['TX_DATETIME'][i]}: published {published[i]!r}, pitboss {ours[i]!r}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
