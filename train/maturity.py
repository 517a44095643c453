"""Which rows may train: those whose labels have had the time to come.

Nobody says of an honest act that it was honest; what says it is that no report came. Until one would have come, an act without one is
unknown, not honest, and acts reported early are no fair sample of the frauds. So a row counts only once it is as old as a horizon."""
import re

import numpy as np

import vectors
from vectors import InputError

KNOWN_SHARE = 0.95  # of the frauds' labels, within the horizon that is found by itself
FEWEST_LABELS = 20
UNITS = {"d": 86_400_000_000, "h": 3_600_000_000}


def parse(text):
    """'auto' -> None; '14d', '36h' or '0' -> microseconds."""
    if text == "auto":
        return None
    said = re.fullmatch(r"(\d+(?:\.\d+)?)([dh])", "0d" if text == "0" else text)
    if not said:
        raise InputError(f"--maturity {text!r}: want auto, 0, or a number of days or hours such as 14d or 36h")
    return round(float(said[1]) * UNITS[said[2]])


def horizon(wanted, v, as_of):
    """The age from which a row's label is taken for final. By itself (wanted is None) the time within which KNOWN_SHARE of the frauds'
    labels came, each group asked once. Only rows at least half as old as the oldest are asked, and only what came within that time: of
    younger rows one sees the early labels alone. Labels without times are final."""
    if wanted is not None:
        return wanted
    if v.labels is None or v.labels.at is None:
        return 0
    half = (as_of - int(v.t.min())) // 2
    delays = v.labels.fraud_delays(v.t, v.group, as_of - half)
    delays = delays[delays <= half]
    if len(delays) < FEWEST_LABELS:
        raise InputError(f"{len(delays)} frauds of the older half of the time have a label: too few to see how long labels take; give --maturity, "
                         "such as 30d, or 0 where labels are final")
    return int(np.quantile(delays, KNOWN_SHARE, method="higher"))


def days(micros):
    return f"{micros / UNITS['d']:.3g} d"


class Split:
    """The rows to train on (train), those held out (valid), and of which times they are. `cut` ends the former, `valid_from` begins the
    latter; `mature` are all rows of known label that are old enough, `immature` counts those that are not, `between` those in the gap."""

    def __init__(self, v, a):
        self.as_of = vectors.parse_time(a.labels_known_by) if a.labels_known_by else v.newest()
        self.horizon = horizon(a.maturity, v, self.as_of)
        known = labelled(v.known(self.as_of), a.unlabelled)
        old = known.t <= self.as_of - self.horizon
        self.immature = int((~old).sum())
        self.mature = known.where(old)
        self.cut, self.valid_from = self.times(a)
        held = self.mature.t >= self.valid_from
        if a.valid_before is not None:
            held &= self.mature.t < vectors.parse_time(a.valid_before)
        self.valid = self.mature.where(held)
        # What trains has the labels that were known when the held-out rows began, as it would have had then.
        then = labelled(v.known(min(self.valid_from, self.as_of) if self.horizon else self.as_of), a.unlabelled)
        self.train = then.where((then.t < self.cut) & (then.t <= self.as_of - self.horizon))
        self.between = int(((self.mature.t >= self.cut) & (self.mature.t < self.valid_from)).sum())
        for name, s in (("to train on", self.train), ("held out", self.valid)):
            if len(s) == 0 or len(np.unique(s.y)) < 2:
                raise InputError(f"{len(s)} labelled rows {name}, {int((s.y == 1).sum())} of them fraud, {self.immature} left out as younger than "
                                 f"{days(self.horizon)}: want some of both kinds (--maturity, --train-before, --valid-from, or more data)")

    def times(self, a):
        """The end of what trains and the beginning of what is held out, by default the horizon apart."""
        if a.train_before is None:
            if a.valid_from is not None:
                raise InputError("--valid-from needs --train-before")
            if len(self.mature) == 0:
                raise InputError(f"no labelled row is {days(self.horizon)} old: give --maturity, or more data")
            begin = int(self.mature.t[int(len(self.mature) * 0.8)])
            return begin - self.horizon, begin
        cut = vectors.parse_time(a.train_before)
        begin = cut + self.horizon if a.valid_from is None else vectors.parse_time(a.valid_from)
        if begin < cut:
            raise InputError("--valid-from is before --train-before: rows would be trained on and held out")
        return cut, begin

    def all_seen(self):
        """The rows for a last model: all up to the end of what was held out, with their labels as they are now."""
        return self.mature.where((self.mature.t < self.valid_from) | np.isin(self.mature.t, self.valid.t))

    def told(self):
        """What was left out, for people."""
        return (f"{self.immature} rows younger than {days(self.horizon)} at {vectors.format_time(self.as_of)} left out as immature, "
                f"{self.between} between {vectors.format_time(self.cut)} and {vectors.format_time(self.valid_from)} as the gap")


def labelled(v, unlabelled):
    """The rows with a label; without one they are honest where the caller says so."""
    if unlabelled == "legit":
        v.y = np.where(np.isnan(v.y), 0.0, v.y)
        return v
    return v.where(~np.isnan(v.y))
