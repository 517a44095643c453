#!/usr/bin/env python3
"""Labels for training from the events of a simulated casino, as an operator would have them: nothing of the truth is used.

    python labels.py events.jsonl labels.csv

An act that somebody labelled has that label. Acts of players who were never labelled fraudulent count as honest; of their bets
one in five is taken, which leaves honest bets the many. Everything else has no label."""
import csv
import hashlib
import json
import sys

ASKED = {"bet.placed", "payment.deposit_requested", "payment.withdrawal_requested", "account.registered", "bonus.granted"}


def player(event):
    return next((e["value"] for e in event.get("entities", ()) if e["kind"] == "player"), None)


def read(path):
    """The labels by event, the players ever labelled fraudulent, and the acts that could be asked about."""
    labels, frauds, acts = {}, set(), []
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            label = event.get("labelAssigned")
            if label is not None:
                labels[label["targetEventId"]] = int(label.get("fraud", 0))
                if int(label.get("fraud", 0)):
                    frauds.add(player(event))
            elif event["type"] in ASKED:
                acts.append((event["eventId"], event["type"], player(event)))
    return labels, frauds, acts


def main():
    labels, frauds, acts = read(sys.argv[1])
    with open(sys.argv[2], "w", newline="", encoding="utf-8") as out:
        w = csv.writer(out)
        w.writerow(["event_id", "label"])
        for event_id, kind, who in acts:
            if event_id in labels:
                w.writerow([event_id, labels[event_id]])
            elif who not in frauds and (kind != "bet.placed" or hashlib.sha256(event_id.encode()).digest()[0] < 51):
                w.writerow([event_id, 0])


if __name__ == "__main__":
    main()
