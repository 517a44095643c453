"""Writes a bundle as BUNDLE.md says, all at once: the directory appears complete or not at all."""
import hashlib
import json
import math
import os
import re
import shutil
import tempfile

import yaml

from vectors import InputError

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")
VERSION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")

# From the mildest.
OUTCOMES = ("challenge", "limit", "hold", "block")

# What is answered when there is no score, unless --policy says otherwise: small stakes pass and are flagged, large ones wait.
FALLBACK = {"default": {"large_from": 10000, "small": {"outcome": "allow", "review": True}, "large": {"outcome": "hold", "review": True}}}


def dump(value):
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=120)


def cell(v):
    return "" if math.isnan(v) else repr(float(v))


def golden_csv(features, rows):
    """rows: (values, margin, score, base, contributions)."""
    head = [*features, "margin", "score", "base", *("contrib_" + f for f in features)]
    lines = [",".join(head)]
    for x, margin, score, base, phi in rows:
        lines.append(",".join(cell(v) for v in [*x, margin, score, base, *phi]))
    return "\n".join(lines) + "\n"


def reasons_skeleton(features):
    """A reason for each feature, to be grouped and worded by people."""
    return {"format": 1, "reasons": [{
        "code": re.sub(r"[^A-Z0-9_]", "_", re.sub(r"^([^a-zA-Z])", r"F\1", f).upper())[:63],
        "features": [f],
        "text": {"en": "{feature} is {value}"},
        "player_text": {"en": "Unusual activity on your account"},
    } for f in features]}


def check_reasons(text, features, source):
    """Every feature of the model is in exactly one reason, and codes are distinct."""
    try:
        reasons = yaml.safe_load(text)["reasons"]
        owned = [f for r in reasons for f in r["features"]]
        codes = [r["code"] for r in reasons]
    except (yaml.YAMLError, KeyError, TypeError) as e:
        raise InputError(f"cannot read {source}: {e}") from e
    for f in features:
        if owned.count(f) != 1:
            raise InputError(f"{source}: feature {f} is in {owned.count(f)} reasons, want exactly one")
    twice = sorted({c for c in codes if codes.count(c) > 1})
    if twice:
        raise InputError(f"{source}: code {', '.join(twice)} stands there twice")


def last_segment(text, source):
    """A thresholds.yaml, and its last segment, which is for whom no other is."""
    try:
        policy = yaml.safe_load(text)
        last = policy["segments"][-1]
        last["thresholds"] = {outcome: float(at) for outcome, at in last.get("thresholds", {}).items()}
        return policy, last
    except (yaml.YAMLError, AttributeError, KeyError, IndexError, TypeError, ValueError) as e:
        raise InputError(f"cannot read the thresholds of the last segment of {source}: {e}") from e


def thresholds_of(text, source):
    """The thresholds of the last segment, mildest outcome first."""
    said = last_segment(text, source)[1]["thresholds"]
    if not said or set(said) - set(OUTCOMES):
        raise InputError(f"the last segment of {source} has thresholds for {sorted(said)}: want some of {', '.join(OUTCOMES)}, or give --thresholds")
    return {outcome: said[outcome] for outcome in OUTCOMES if outcome in said}


def with_thresholds(text, chosen, source):
    """The policy with these thresholds in its last segment. Comments are lost."""
    policy, last = last_segment(text, source)
    last["thresholds"] = chosen
    return dump(policy).encode()


def write(out, name, version, files, golden_rows, created_from, libraries):
    """files: name -> bytes, without bundle.yaml."""
    if os.path.exists(out):
        raise InputError(f"{out} exists: a bundle is never changed, write another")
    listed = [{"name": n, "size": len(b), "sha256": hashlib.sha256(b).hexdigest()} for n, b in sorted(files.items())]
    manifest = {"format": 1, "name": name, "version": version, "model": {"file": "model.txt", "format": "lightgbm"},
                "features": {"file": "features.yaml"}, "calibration": {"file": "calibration.json"},
                "thresholds": {"file": "thresholds.yaml"}, "reasons": {"file": "reasons.yaml"},
                "golden": {"file": "golden.csv", "rows": golden_rows},
                **{part: {"file": n} for part, n in (("profile", "profile.json"), ("reference", "reference.csv")) if n in files},
                "files": listed, "created_from": created_from, "libraries": libraries}
    parent = os.path.dirname(os.path.abspath(out))
    os.makedirs(parent, exist_ok=True)
    building = tempfile.mkdtemp(prefix=".bundle-", dir=parent)
    try:
        for n, b in [*files.items(), ("bundle.yaml", dump(manifest).encode())]:
            with open(os.path.join(building, n), "wb") as f:
                f.write(b)
        os.chmod(building, 0o755)
        os.rename(building, out)
    except BaseException:
        shutil.rmtree(building, ignore_errors=True)
        raise


def calibration_json(c):
    return (json.dumps(c) + "\n").encode()
