#!/usr/bin/env python3
"""Labels for training from the events of a simulated casino, as an operator would have them: nothing of the truth is used.

    python labels.py events.jsonl labels.csv

What is judged is the account: bots and rings are fraudulent from their first act. An act counts as honest (0) from the start, as
unknown (empty) from the account's first report of fraud on, and as fraudulent (1) once there are two more such reports than
reports to the contrary: some are wrong. known_at says when, so that a trainer can leave out what is too young to be known
(train/maturity.py). Of bets two in five are taken, of whomever."""
import csv
import hashlib
import json
import sys

ASKED = {"bet.placed", "payment.deposit_requested", "payment.withdrawal_requested", "account.registered", "bonus.granted"}
REPORTS = 2


def player(event):
    return next((e["value"] for e in event.get("entities", ()) if e["kind"] == "player"), None)


def taken(event_id):
    return hashlib.sha256(event_id.encode()).digest()[0] < 102


def read(path):
    """The acts that could be asked about, and of each account when it was suspected and when it was found guilty, if ever."""
    acts, balance, suspected, guilty = [], {}, {}, {}
    with open(path, encoding="utf-8") as lines:
        for line in lines:
            event = json.loads(line)
            who, at = player(event), event["occurredAt"]
            label = event.get("labelAssigned")
            if label is not None:
                fraud = int(label.get("fraud", 0))
                balance[who] = balance.get(who, 0) + (1 if fraud else -1)
                if fraud:
                    suspected.setdefault(who, at)
                if balance[who] >= REPORTS:
                    guilty.setdefault(who, at)
            elif event["type"] in ASKED and (event["type"] != "bet.placed" or taken(event["eventId"])):
                acts.append((event["eventId"], at, who))
    return acts, suspected, guilty


def main():
    acts, suspected, guilty = read(sys.argv[1])
    with open(sys.argv[2], "w", newline="", encoding="utf-8") as out:
        w = csv.writer(out)
        w.writerow(["event_id", "player", "label", "known_at"])
        for event_id, at, who in acts:
            w.writerow([event_id, who, 0, at])
            for label, since in (("", suspected.get(who)), (1, guilty.get(who))):
                if since is not None:
                    w.writerow([event_id, who, label, max(at, since)])


if __name__ == "__main__":
    main()
