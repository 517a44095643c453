"""Measures a scored slice, and chooses thresholds on it."""
import numpy as np

from vectors import InputError

OUTCOMES = ("challenge", "limit", "hold", "block")
FEWEST_ALERTS = 10  # fewer rows say nothing about a precision


def ranked(score, y, weight):
    """Distinct scores from the highest down, with the mass of positives and of all rows at or above each."""
    order = np.argsort(-score, kind="stable")
    s, positive, mass = score[order], (weight * y)[order], weight[order]
    last = np.flatnonzero(np.append(np.diff(s) != 0, True))
    return s[last], np.cumsum(positive)[last], np.cumsum(mass)[last], last + 1


def metrics(score, margin, y, weight):
    """AUC and average precision on the margins' order, log loss and Brier score of the probabilities."""
    _, tp, n, _ = ranked(margin, y, weight)
    positives, total = tp[-1], n[-1]
    out = {"rows": int(len(y)), "positives": int((y == 1).sum())}
    if 0 < positives < total:
        fp = n - tp
        tpr, fpr = np.append(0, tp) / positives, np.append(0, fp) / (total - positives)
        out["auc"] = round(float(((tpr[1:] + tpr[:-1]) / 2 * np.diff(fpr)).sum()), 6)
        out["average_precision"] = round(float((np.diff(np.append(0, tp)) / positives * (tp / n)).sum()), 6)
    p = np.clip(score, 1e-15, 1 - 1e-15)
    out["log_loss"] = round(float(-(weight * (y * np.log(p) + (1 - y) * np.log(1 - p))).sum() / weight.sum()), 6)
    out["brier"] = round(float((weight * (score - y) ** 2).sum() / weight.sum()), 6)
    return out


def parse_targets(text):
    """'challenge=q0.98,block=p0.95' -> {outcome: (kind, value)}: q a quantile of the scores, p a precision, s a score."""
    out = {}
    for part in text.split(","):
        outcome, _, target = part.strip().partition("=")
        try:
            value = float(target[1:])
        except ValueError:
            value = -1.0
        if outcome not in OUTCOMES or outcome in out or target[:1] not in ("q", "p", "s") or not 0 < value <= 1:
            raise InputError(f"--thresholds: {part!r} is not OUTCOME=qN, pN or sN with N in (0,1], each outcome once")
        out[outcome] = (target[0], value)
    return out


def thresholds(targets, score, y, weight):
    """A threshold for each outcome whose target can be met; never lower than that of a milder one."""
    values, tp, n, rows = ranked(score, y, weight)
    out, least = {}, 0.0
    for outcome in OUTCOMES:
        if outcome not in targets:
            continue
        kind, value = targets[outcome]
        if kind == "s":
            at = value
        elif kind == "q":
            enough = np.flatnonzero(n >= (1 - value - 1e-12) * n[-1])
            at = float(values[enough[0]])
        else:
            good = np.flatnonzero((tp >= value * n) & (rows >= FEWEST_ALERTS))
            if len(good) == 0:
                continue  # no score is that precise: the outcome is not recommended at all
            at = float(values[good[-1]])
        least = max(least, at)
        if least > 0:
            out[outcome] = min(least, 1.0)
    return out
