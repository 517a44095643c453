"""Nothing that a detector should not see tells the simulated casino's frauds from its honest players: gradient-boosted trees on
identifiers, row order and low digits alone, trained on one casino and asked about another. PITBOSS names the binary; without it
nothing here runs. sim/leak_test.go asks a simpler model the same."""
import json
import os
import subprocess

import lightgbm as lgb
import numpy as np
import pytest

PITBOSS = os.environ.get("PITBOSS")
pytestmark = pytest.mark.skipif(not PITBOSS, reason="PITBOSS names no binary")
# Frauds that play at once, so that a few minutes of casino have thousands of them; and some of all others.
AT_ONCE = "metronome_bot", "tamper_client", "backdoor", "tournament_booster", "jackpot_tamper"
OTHERS = ("emulator_farm", "bonus_ring", "multi_account", "live_collusion", "carousel", "affiliate_fraud", "chargeback",
          "account_takeover")


def digits(text):
    return [int(c, 16) for c in text if c in "0123456789abcdef"]


def row(event, number):
    ids = {i["kind"]: i["value"] for i in event["entities"]}
    out = digits(event["eventId"]) + digits(event["transactionId"].removeprefix("t-"))
    for kind in "player", "account", "session", "device", "round":
        out += digits(ids[kind].split("-")[1])
    fraction = event["occurredAt"].split(".")[1].rstrip("Z").ljust(6, "0") if "." in event["occurredAt"] else "0" * 6
    return out + digits(fraction[1:]) + [int(event["producerSeq"]) % 10, number % 16, number % 10]


def casino(home, seed):
    """The first bet of each player, as digits, and whether the player is a fraud."""
    command = [PITBOSS, "sim", "--seed", str(seed), "--players", "50000", "--duration", "5m", "--out", "-", "--truth", home / f"truth{seed}"]
    for name in AT_ONCE:
        command += ["--agent", f"{name}=0.05"]
    for name in OTHERS:
        command += ["--agent", f"{name}=0.005"]
    rows, ids, seen = [], [], set()
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as run:
        for number, line in enumerate(run.stdout):
            if '"type":"bet.placed"' not in line:
                continue
            event = json.loads(line)
            player = event["entities"][0]["value"]
            if player not in seen:
                seen.add(player)
                rows.append(row(event, number))
                ids.append(event["eventId"])
    assert run.returncode == 0
    wanted, truth = set(ids), {}
    for line in open(home / f"truth{seed}"):
        event_id = line[13:49]
        if event_id in wanted:
            truth[event_id] = json.loads(line)["fraud"]
    return np.array(rows), np.array([truth[i] for i in ids])


def auc(fraud, score):
    rank = np.empty(len(score))
    order = np.argsort(score, kind="stable")
    values, inverse, counts = np.unique(score[order], return_inverse=True, return_counts=True)
    rank[order] = (np.cumsum(counts) - (counts - 1) / 2)[inverse]
    n = fraud.sum()
    return (rank[fraud].sum() - n * (n + 1) / 2) / n / (len(fraud) - n)


def trained(rows, fraud):
    return lgb.train({"objective": "binary", "learning_rate": 0.05, "num_leaves": 15, "min_data_in_leaf": 50, "verbose": -1,
                      "seed": 1, "deterministic": True, "num_threads": 2}, lgb.Dataset(rows, fraud.astype(int)), 200)


def test_trees_learn_nothing_from_names(tmp_path):
    rows, fraud = casino(tmp_path, 21)
    other, other_fraud = casino(tmp_path, 22)
    n, m = other_fraud.sum(), (~other_fraud).sum()
    off = ((1 / n + 1 / m) / 12) ** 0.5
    assert off < 0.007, f"{m} honest and {n} fraudulent players: an AUC may be off by {off:.4f} by chance"
    got = auc(other_fraud, trained(rows, fraud).predict(other))
    print(f"AUC {got:.4f} over {m} honest and {n} fraudulent players, off by {off:.4f} by chance")
    assert 0.48 <= got <= 0.52
    # The same trees find a digit that is always f for a tenth of the frauds.
    for r, f in (rows, fraud), (other, other_fraud):
        marked = np.flatnonzero(f)[::10]
        r[marked, 40] = 15
    assert auc(other_fraud, trained(rows, fraud).predict(other)) > 0.53
