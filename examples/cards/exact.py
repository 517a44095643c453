#!/usr/bin/env python3
"""Compares all rows of the twelve published window columns with pitboss's in exact mode: `make cards-exact`.

    python examples/cards/exact.py --vectors examples/cards/out/exact.parquet --source .../cards/2018-04_to_07.parquet

Both are (t-W, t]. Every value of every row must be equal (counts exactly; means and risks within 1e-6 euros or parts, since the
authors' running sums carry rounding), but for one thing that nobody knows: which of two payments of one customer in the very
same second came first. There are 17 such pairs. They are listed, with those that the authors counted the other way round: then
what each payment has is what the authors give the other one. Nothing else may differ."""
import argparse
import sys

import numpy as np
import pyarrow.parquet as pq

TOLERANCE = 1e-6
# How many times two payments of one customer have the very same second.
PAIRS = 17
CUSTOMER = [f"CUSTOMER_ID_{what}_{w}DAY_WINDOW" for w in (1, 7, 30) for what in ("NB_TX", "AVG_AMOUNT")]
TERMINAL = [f"TERMINAL_ID_{what}_{w}DAY_WINDOW" for w in (1, 7, 30) for what in ("NB_TX", "RISK")]


def compare(source, vectors):
    """For each column, whether each row of the source is unequal; a missing value is."""
    return {c: ~(np.abs(vectors[c] - source[c]) <= TOLERANCE) for c in CUSTOMER + TERMINAL}


def not_exact(table):
    """The values that were read from tiles, or are worth less than present for another reason."""
    odd = 0
    for name in (c.lower() for c in CUSTOMER + TERMINAL):
        counts = {c["values"]: c["counts"] for c in table[f"{name}__status"].value_counts().to_pylist()}
        other = {k: n for k, n in counts.items() if k not in ("present", "missing", "default")}
        if other:
            print(f"{name} is not exact on all rows: {other}", file=sys.stderr)
            odd += 1
    return odd


def other_way_round(source, vectors, first, second):
    """Whether the pair is as published once its payments change places; first is the one that pitboss counts first."""
    counts = [c for c in CUSTOMER if "_NB_TX_" in c]
    swapped = all(vectors[c][first] == source[c][second] and vectors[c][second] == source[c][first] for c in counts)
    # Whichever is counted last has both in its windows.
    return swapped and all(abs(vectors[c][second] - source[c][first]) <= TOLERANCE for c in CUSTOMER)


def check_pairs(source, vectors, unequal):
    """Lists the pairs, and gives how many things are wrong with the rows whose customer's columns are unequal."""
    failed = 0
    key = source["CUSTOMER_ID"].astype(np.int64) * (1 << 33) + source["TX_DATETIME"].astype("datetime64[s]").astype(np.int64)
    order = np.argsort(key, kind="stable")
    at = np.flatnonzero(key[order][1:] == key[order][:-1])
    pairs = [sorted(order[i : i + 2], key=lambda row: vectors[CUSTOMER[0]][row]) for i in at]
    print(f"\n{len(pairs)} times two payments of one customer have the same second; pitboss counts the one first that is named first:")
    for first, second in sorted(pairs, key=lambda p: p[0]):
        said = "as published"
        if unequal[first] or unequal[second]:
            ok = unequal[first] and unequal[second] and other_way_round(source, vectors, first, second)
            said = "the other way round than published" if ok else "NEITHER as published nor the other way round"
            failed += 0 if ok else 1
        print(f"  customer {source['CUSTOMER_ID'][first]} at {source['TX_DATETIME'][first].astype('datetime64[s]')}: payment "
              f"{source['TRANSACTION_ID'][first]}, then {source['TRANSACTION_ID'][second]}: {said}")
    for row in np.setdiff1d(np.flatnonzero(unequal), np.array(pairs).ravel()):
        print(f"payment {source['TRANSACTION_ID'][row]} differs, and no other of its customer is of its second", file=sys.stderr)
        failed += 1
    if len(pairs) != PAIRS:
        print(f"{len(pairs)} pairs, want {PAIRS}", file=sys.stderr)
        failed += 1
    return failed


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--vectors", required=True)
    p.add_argument("--source", required=True)
    a = p.parse_args()
    columns = CUSTOMER + TERMINAL
    source = pq.read_table(a.source, columns=["TRANSACTION_ID", "TX_DATETIME", "CUSTOMER_ID", *columns])
    source = {c: source[c].to_numpy() for c in source.column_names}
    table = pq.read_table(a.vectors)
    n = len(source["TRANSACTION_ID"])
    row_of = np.full(source["TRANSACTION_ID"].max() + 1, -1, dtype=np.int64)
    row_of[source["TRANSACTION_ID"]] = np.arange(n)
    rows = row_of[np.array(table["event_id"].to_pylist(), dtype=np.int64)]
    vectors = {c: np.full(n, np.nan) for c in columns}  # a row without a vector is unequal
    for c in columns:
        vectors[c][rows] = table[c.lower()].to_numpy()

    failed = not_exact(table)
    unequal = compare(source, vectors)
    print("| column | rows | equal | unequal |")
    print("|---|---:|---:|---:|")
    for c in columns:
        print(f"| {c.lower()} | {n} | {(~unequal[c]).sum()} | {unequal[c].sum()} |")
    failed += sum(int(unequal[c].sum()) for c in TERMINAL)
    failed += check_pairs(source, vectors, np.logical_or.reduce([unequal[c] for c in CUSTOMER]))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
