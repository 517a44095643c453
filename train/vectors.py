"""Reads the vectors that pitboss exported, and joins labels to them. Features are never computed here: what a model is trained
on is what production saw.

Vectors are Parquet or CSV, one row per event: event_id, t (evaluation time: a timestamp, ISO 8601 text, or an integer of
microseconds since 1970), then feature columns by name. Other columns (statuses, tenant) are not read. Missing is an empty
cell, null or NaN."""
import datetime
import hashlib
import os

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet
import yaml


class InputError(Exception):
    """Something is wrong with what the caller gave; the message is for them."""


def parse_time(text):
    """ISO 8601 text as microseconds since 1970; UTC where it names no zone."""
    try:
        at = datetime.datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError as e:
        raise InputError(f"{text!r} is not an ISO 8601 time") from e
    if at.tzinfo is None:
        at = at.replace(tzinfo=datetime.timezone.utc)
    return round((at - datetime.datetime(1970, 1, 1, tzinfo=datetime.timezone.utc)) / datetime.timedelta(microseconds=1))


def format_time(micros):
    at = datetime.datetime(1970, 1, 1) + datetime.timedelta(microseconds=int(micros))
    return at.isoformat() + "Z"


def read_table(path, columns, optional=()):
    """The named columns of a Parquet or CSV file. All of `columns` must be there."""
    try:
        if path.endswith(".parquet"):
            names = pa.parquet.read_schema(path).names
        else:
            with pa.csv.open_csv(path) as r:
                names = r.schema.names
    except (OSError, pa.ArrowException) as e:
        raise InputError(f"cannot read {path}: {e}") from e
    absent = [c for c in columns if c not in names]
    if absent:
        raise InputError(f"{path} has no column {', '.join(absent)}")
    wanted = list(columns) + [c for c in optional if c in names]
    try:
        if path.endswith(".parquet"):
            return pa.parquet.read_table(path, columns=wanted)
        types = {c: pa.string() for c in ("event_id", "t", "known_at") if c in wanted}
        return pa.csv.read_csv(path, convert_options=pa.csv.ConvertOptions(include_columns=wanted, column_types=types))
    except (OSError, pa.ArrowException) as e:
        raise InputError(f"cannot read {path}: {e}") from e


def whole(column):
    """A column as one array."""
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def micros(column, name):
    """A column of times as microseconds."""
    column = whole(column)
    if column.null_count:
        raise InputError(f"column {name} has {column.null_count} rows without a time")
    if pa.types.is_integer(column.type):
        return column.cast(pa.int64()).to_numpy()
    if pa.types.is_timestamp(column.type):
        return column.cast(pa.timestamp("us", tz=column.type.tz), safe=False).cast(pa.int64()).to_numpy()
    if pa.types.is_string(column.type):
        texts = column.to_pylist()
        if texts and texts[0].lstrip("-").isdigit():
            return np.array([int(s) for s in texts], dtype=np.int64)
        return np.array([parse_time(s) for s in texts], dtype=np.int64)
    raise InputError(f"column {name} is {column.type}, want timestamps, ISO 8601 text or microseconds")


def numbers(column, name):
    """A column as float64, missing as NaN."""
    column = whole(column)
    if pa.types.is_boolean(column.type):
        column = column.cast(pa.int8())
    if pa.types.is_null(column.type):
        return np.full(len(column), np.nan)
    if not (pa.types.is_integer(column.type) or pa.types.is_floating(column.type) or pa.types.is_decimal(column.type)):
        raise InputError(f"feature {name} is {column.type}, not a number")
    out = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    if np.isinf(out).any():
        raise InputError(f"feature {name} is infinite in row {int(np.flatnonzero(np.isinf(out))[0]) + 1}")
    return out


def truth(column, name):
    """A column of labels as 1, 0, or NaN where there is none."""
    column = whole(column)
    if pa.types.is_string(column.type):
        known = {"1": 1.0, "0": 0.0, "true": 1.0, "false": 0.0, "": np.nan}
        try:
            return np.array([np.nan if s is None else known[s.lower()] for s in column.to_pylist()])
        except KeyError as e:
            raise InputError(f"column {name} has the label {e.args[0]!r}, want 1, 0, true or false") from e
    out = numbers(column, name)
    if not np.isin(out[~np.isnan(out)], (0.0, 1.0)).all():
        raise InputError(f"column {name} has labels other than 0 and 1")
    return out


class Vectors:
    """Rows by time, then event_id: t, x (rows x features), y (1, 0, NaN), weight, group (a number for each; None without). labels are
    those of a file, as they became known; None where the labels came with the vectors."""

    def __init__(self, t, x, y, weight, group=None, labels=None):
        self.t, self.x, self.y, self.weight, self.group, self.labels = t, x, y, weight, group, labels

    def __len__(self):
        return len(self.t)

    def where(self, mask):
        return Vectors(self.t[mask], self.x[mask], self.y[mask], self.weight[mask], None if self.group is None else self.group[mask])

    def known(self, by):
        """The rows with the labels that were known at a time."""
        y = self.y if self.labels is None else self.labels.known(by)
        return Vectors(self.t, self.x, y, self.weight, self.group)

    def newest(self):
        """The last moment that the rows and their labels tell of."""
        told = [] if self.labels is None or self.labels.at is None else [int(self.labels.at.max())]
        return max([int(self.t.max()), *told])


class Labels:
    """What a file says about rows: row number, label, and when that became known (at; None where nobody says), earliest first."""

    def __init__(self, rows, y, at, count):
        order = np.arange(len(y)) if at is None else np.argsort(at, kind="stable")
        self.rows, self.y, self.at, self.count = rows[order], y[order], None if at is None else at[order], count

    def known(self, by=None):
        """A label for each row, NaN where none was known by then. Of several the latest wins."""
        keep = slice(None) if self.at is None or by is None else self.at <= by
        out = np.full(self.count, np.nan)
        out[self.rows[keep]] = self.y[keep]  # in order of at: the last assignment stays
        return out

    def fraud_delays(self, t, group, before):
        """How long it took from a row that turned out fraudulent, of those before a time, to its first label of fraud; of a group's rows
        only the first is asked."""
        frauds = np.flatnonzero((self.y == 1) & (t[self.rows] <= before))
        rows, first = np.unique(self.rows[frauds], return_index=True)
        if group is not None:
            _, begin = np.unique(group[rows], return_index=True)  # rows are in order of time
            rows, first = rows[begin], first[begin]
        return np.maximum(self.at[frauds[first]] - t[rows], 0)


def load(path, features, label_column=None, labels=None, labels_known_by=None, weight_column=None, group_column=None, listed=False):
    """Reads vectors and their labels; rows without a label have y = NaN, or are left out when only those listed are wanted."""
    clash = [c for c in ("event_id", "t", label_column, weight_column, group_column) if c in features]
    if clash:
        raise InputError(f"{', '.join(clash)} cannot be a feature as well")
    own = [weight_column] if labels else [label_column, weight_column, group_column]
    table = read_table(path, ["event_id", "t", *features, *filter(None, own)])
    if len(table) == 0:
        raise InputError(f"{path} has no rows")
    ids = whole(table["event_id"]).cast(pa.string())
    if ids.null_count or len(pc.unique(ids)) != len(ids):
        raise InputError(f"{path}: event_id is missing or not unique")
    said = read_labels(labels, label_column, group_column, labels_known_by is not None) if labels else None
    if said is not None and listed:
        asked = pc.is_in(ids, value_set=said["event_id"])
        table, ids = table.filter(asked), ids.filter(asked)
        if len(table) == 0:
            raise InputError(f"{labels} has a label for no row of {path}")
    t = micros(table["t"], "t")
    order = np.lexsort((ids.to_numpy(zero_copy_only=False).astype(str), t))
    table, ids, t = table.take(pa.array(order)), ids.take(pa.array(order)), t[order]
    weight = numbers(table[weight_column], weight_column) if weight_column else np.ones(len(t))
    if not (weight > 0).all():
        raise InputError(f"column {weight_column} has weights that are missing or not positive")
    x = np.empty((len(t), len(features)))
    for j, name in enumerate(features):
        x[:, j] = numbers(table[name], name)
    if said is None:
        return Vectors(t, x, truth(table[label_column], label_column), weight, codes(table[group_column]) if group_column else None)
    joined, group = join(ids, said, label_column, group_column)
    return Vectors(t, x, joined.known(labels_known_by), weight, group, joined)


def read_labels(path, label_column, group_column, timed):
    """A file of labels, with the time each became known where it has that (known_at)."""
    table = read_table(path, list(filter(None, ["event_id", label_column, group_column])), optional=["known_at"])
    if timed and "known_at" not in table.column_names:
        raise InputError(f"{path} has no column known_at, which --labels-known-by needs")
    return table.set_column(table.column_names.index("event_id"), "event_id", whole(table["event_id"]).cast(pa.string()))


def join(ids, table, label_column, group_column):
    """Labels by event_id, and the group that they give each row (-1 where none does)."""
    place = pc.index_in(whole(table["event_id"]), value_set=ids).to_numpy(zero_copy_only=False)
    found = ~np.isnan(place.astype(float))
    rows = place[found].astype(np.int64)
    at = micros(table["known_at"], "known_at")[found] if "known_at" in table.column_names else None
    group = None
    if group_column:
        group = np.full(len(ids), -1)
        group[rows] = codes(table[group_column])[found]
    return Labels(rows, truth(table[label_column], label_column)[found], at, len(ids)), group


def codes(column):
    """A number for each distinct value, the same in whatever order they come; -1 where there is none."""
    told = whole(column).cast(pa.string()).dictionary_encode()
    numbers = [int.from_bytes(hashlib.sha256(s.encode()).digest()[:7], "big") for s in told.dictionary.to_pylist()]
    return np.array([*numbers, -1], dtype=np.int64)[told.indices.fill_null(len(numbers)).to_numpy(zero_copy_only=False)]


def digest(path):
    """SHA-256 of a file."""
    h = hashlib.sha256()
    with open(path, "rb") as f:
        while chunk := f.read(1 << 20):
            h.update(chunk)
    return h.hexdigest()


def feature_names(path):
    """The names of the features in a feature set, in its order."""
    try:
        with open(path, encoding="utf-8") as f:
            s = yaml.safe_load(f)
        return [f["name"] for f in s["features"]]
    except (OSError, UnicodeDecodeError, yaml.YAMLError, KeyError, TypeError) as e:
        raise InputError(f"cannot read the features' names from {os.path.basename(path)}: {e}") from e
