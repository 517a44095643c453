"""Measures a scored slice, and chooses thresholds on it, with the evidence for them."""
import numpy as np
from scipy.stats import beta

from bundle import OUTCOMES
from vectors import InputError

FEWEST_ALERTS = 10  # fewer rows say nothing about a precision
CONFIDENCE = 0.95


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
    """'challenge=f0.001,block=p0.95' -> {outcome: (kind, value)}: f a share of honest rows, q a quantile of the scores, p a precision,
    s a score."""
    out = {}
    for part in text.split(","):
        outcome, _, target = part.strip().partition("=")
        try:
            value = float(target[1:])
        except ValueError:
            value = -1.0
        if outcome not in OUTCOMES or outcome in out or target[:1] not in ("f", "q", "p", "s") or not 0 < value <= 1:
            raise InputError(f"--thresholds: {part!r} is not OUTCOME=fN, qN, pN or sN with N in (0,1], each outcome once")
        out[outcome] = (target[0], value)
    return out


def thresholds(targets, score, y, weight):
    """A threshold for each outcome whose target can be met; never lower than that of a milder one."""
    values, tp, n, rows = ranked(score, y, weight)
    honest = n[-1] - tp[-1], effective(weight[y == 0])
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
        elif kind == "f":
            # What is shown, not what was seen: few honest rows without a false alarm show little.
            good = np.flatnonzero((most(n - tp, *honest) <= value) & (rows >= FEWEST_ALERTS))
            if len(good) == 0:
                continue  # no score is shown to spare the honest that much
            at = float(values[good[-1]])
        else:
            good = np.flatnonzero((tp >= value * n) & (rows >= FEWEST_ALERTS))
            if len(good) == 0:
                continue  # no score is that precise: the outcome is not recommended at all
            at = float(values[good[-1]])
        least = max(least, at)
        if least > 0:
            out[outcome] = min(least, 1.0)
    return out


def effective(weight):
    """How many rows of one weight tell as much as these (Kish)."""
    return float(weight.sum() ** 2 / (weight ** 2).sum()) if len(weight) else 0.0


def most(hit, mass, count):
    """The share that is at most behind `hit` of `mass`, seen in `count` rows: Clopper and Pearson's bound, one-sided. As many rows as there
    are decisions: those of one player are no independent ones, which is why evidence counts players too."""
    k = np.asarray(hit, dtype=float) / mass * count if mass > 0 else np.zeros(np.shape(hit))
    return np.where(k < count, beta.ppf(CONFIDENCE, k + 1, np.maximum(count - k, 1e-9)), 1.0) if count > 0 else np.ones(np.shape(k))


def interval(hit, mass, count):
    """A share and Clopper and Pearson's interval around it, two-sided."""
    if not mass > 0:
        return None
    k, tail = hit / mass * count, (1 - CONFIDENCE) / 2
    low = beta.ppf(tail, k, count - k + 1) if k > 0 else 0.0
    high = beta.ppf(1 - tail, k + 1, count - k) if k < count else 1.0
    return [round(float(v), 6) for v in (hit / mass, low, high)]


def evidence(chosen, targets, score, y, weight, group):
    """What each threshold did on the held-out rows: shares with their intervals, and whom it met."""
    out = []
    for outcome, at in chosen.items():
        stopped = score >= at
        share = lambda hit, of: interval(float(weight[hit & of].sum()), float(weight[of].sum()), effective(weight[of]))  # noqa: E731
        row = {"outcome": outcome, **({"target": "".join(map(str, targets[outcome]))} if outcome in targets else {}),
               "threshold": float(at), "rows": int(stopped.sum()), "honest_rows": int((stopped & (y == 0)).sum()),
               "stopped": share(stopped, np.ones(len(y), bool)), "honest_stopped": share(stopped, y == 0),
               "precision": share(y == 1, stopped), "recall": share(stopped, y == 1)}
        if group is not None:
            met = lambda who: [len(np.unique(group[who & stopped])), len(np.unique(group[who]))]  # noqa: E731
            row["honest_groups"], row["fraud_groups"] = met(y == 0), met(y == 1)
        out.append(row)
    return out


def table(rows, targets):
    """The evidence for people, and which outcomes were asked for in vain."""
    def of(share, scale=100.0):
        return "-" if share is None else f"{share[0] * scale:.4g} ({share[1] * scale:.4g}-{share[2] * scale:.4g})"
    lines = [["outcome", "threshold", "rows", "of 10,000 honest", "precision %", "recall %", "honest groups", "fraud groups"]]
    for r in rows:
        groups = ["{} of {}".format(*r[g]) if g in r else "-" for g in ("honest_groups", "fraud_groups")]
        lines.append([r["outcome"], f"{r['threshold']:.6g}", str(r["rows"]), of(r["honest_stopped"], 10_000), of(r["precision"]), of(r["recall"]), *groups])
    wide = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    text = ["  ".join(cell.ljust(w) for cell, w in zip(line, wide)).rstrip() for line in lines]
    met = {r["outcome"] for r in rows}
    text += [f"{o} is not recommended: the held-out rows show no score that meets {k}{v:g}" for o, (k, v) in targets.items() if o not in met]
    return "\n".join(text)
