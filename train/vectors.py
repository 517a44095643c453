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
    """Rows by time, then event_id: t, x (rows x features), y (1, 0, NaN), weight."""

    def __init__(self, t, x, y, weight):
        self.t, self.x, self.y, self.weight = t, x, y, weight

    def __len__(self):
        return len(self.t)

    def where(self, mask):
        return Vectors(self.t[mask], self.x[mask], self.y[mask], self.weight[mask])


def load(path, features, label_column=None, labels=None, labels_known_by=None, weight_column=None):
    """Reads vectors and their labels; rows without a label have y = NaN."""
    clash = [c for c in ("event_id", "t", label_column, weight_column) if c in features]
    if clash:
        raise InputError(f"{', '.join(clash)} cannot be a feature as well")
    wanted = ["event_id", "t", *features]
    if labels is None:
        wanted.append(label_column)
    if weight_column:
        wanted.append(weight_column)
    table = read_table(path, wanted)
    if len(table) == 0:
        raise InputError(f"{path} has no rows")
    ids = whole(table["event_id"]).cast(pa.string())
    if ids.null_count or len(pc.unique(ids)) != len(ids):
        raise InputError(f"{path}: event_id is missing or not unique")
    t = micros(table["t"], "t")
    order = np.lexsort((ids.to_numpy(zero_copy_only=False).astype(str), t))
    if labels is None:
        y = truth(table[label_column], label_column)
    else:
        y = join(ids, labels, label_column, labels_known_by)
    weight = numbers(table[weight_column], weight_column) if weight_column else np.ones(len(t))
    if not (weight > 0).all():
        raise InputError(f"column {weight_column} has weights that are missing or not positive")
    x = np.empty((len(t), len(features)))
    for j, name in enumerate(features):
        x[:, j] = numbers(table[name], name)
    return Vectors(t[order], x[order], y[order], weight[order])


def join(ids, path, label_column, known_by):
    """Labels by event_id from another file. Of several for one event the latest known wins; what became known after `known_by`
    (column known_at) is not known."""
    table = read_table(path, ["event_id", label_column], optional=["known_at"])
    if known_by is not None and "known_at" not in table.column_names:
        raise InputError(f"{path} has no column known_at, which --labels-known-by needs")
    y = truth(table[label_column], label_column)
    label_ids = whole(table["event_id"]).cast(pa.string())
    at = micros(table["known_at"], "known_at") if "known_at" in table.column_names else np.zeros(len(y), dtype=np.int64)
    keep = np.ones(len(y), dtype=bool) if known_by is None else at <= known_by
    order = np.flatnonzero(keep)[np.argsort(at[keep], kind="stable")]
    out = np.full(len(ids), np.nan)
    place = pc.index_in(label_ids.take(pa.array(order)), value_set=ids).to_numpy(zero_copy_only=False)
    found = ~np.isnan(place.astype(float))
    out[place[found].astype(np.int64)] = y[order][found]  # in order of at: the last assignment stays
    return out


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
