"""Writes registry/testdata/worded: the model of tiny with all that a bundle may have besides. A reference profile, a reference
sample, beta calibration, texts in German as well (and in French, where one is missing), words for what is in no reason.

    python3 registry/testdata/make_worded_bundle.py    (with the packages of train/requirements.txt)
"""
import csv
import hashlib
import json
import math
import pathlib
import re
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "train")]

import calibration  # noqa: E402
import make_bundle  # noqa: E402
import samples  # noqa: E402

BETA = {"format": 1, "kind": "beta", "a": 1.1, "b": 0.8, "c": 0.1}

GERMAN = {
    "Unusually many bets: {feature} is {value}, usually {baseline} ({share} of the risk)":
        "{feature} ist {value}, üblich sind {baseline}; höher als bei {percentile} % der Vorgänge",
    "Unusual stakes: {feature} is {value}": "Ungewöhnliche Einsätze: {feature} ist {value}",
    "Games within a day: {value}": "Spiele an einem Tag: {value}",
    "Seconds since the last deposit: {value}": "Sekunden seit der letzten Einzahlung: {value}",
    "There never was a deposit": "Es gab noch keine Einzahlung",
    "Bets from this device within an hour: {value}": "Einsätze von diesem Gerät in einer Stunde: {value}",
    "Bets from this network within an hour: {value}": "Einsätze aus diesem Netz in einer Stunde: {value}",
    "Unusual activity on your account": "Ungewöhnliche Vorgänge auf Ihrem Konto",
    "Your payment history": "Ihre Zahlungen",
    "Your device": "Ihr Gerät",
    "Your connection": "Ihre Verbindung",
    "{kind} is on the list {list} ({version})": "{kind} steht auf der Liste {list} ({version})",
    "This account cannot be used": "Dieses Konto kann nicht benutzt werden",
    "This device cannot be used": "Dieses Gerät kann nicht benutzt werden",
    "Thank you": "Danke",
}

PHRASES = """\
phrases:
  no_score: {en: "There is no score", de: "Es gibt keine Bewertung"}
  no_score_player: {en: "This could not be checked", de: "Dies konnte nicht geprüft werden"}
  at_most: {en: "{outcome}, were {feature} {value} or less", de: "{outcome}, wenn {feature} höchstens {value} wäre"}
  at_least: {en: "{outcome}, were {feature} {value} or more", de: "{outcome}, wenn {feature} mindestens {value} wäre"}
  between: {en: "{outcome}, were {feature} {low} to {high}", de: "{outcome}, wenn {feature} zwischen {low} und {high} läge"}
"""


def localized(text, french):
    """Every text in German too; in French those of the argument."""
    def add(m):
        en = m.group(1)
        fr = ', fr: "Bonjour"' if en in french else ""
        return f'{{en: "{en}", de: "{GERMAN[en]}"{fr}}}'
    return re.sub(r'\{en: "([^"]*)"\}', add, text)


def reasons():
    # A language needs a text for a missing value as well.
    blocks = re.split(r"(?m)^(?=  - code)", make_bundle.REASONS_YAML)
    done = [b if "missing_text" in b or i == 0 else
            b.replace("    player_text", '    missing_text: {en: "No value for {feature}", de: "Kein Wert für {feature}"}\n    player_text')
            for i, b in enumerate(blocks)]
    return localized("".join(done), {"Your device"}) + PHRASES


def golden():
    with open(HERE / "tiny" / "golden.csv", newline="") as f:
        head, *rows = list(csv.reader(f))
    at = head.index("margin")
    for r in rows:
        margin = float(r[at])
        r[at + 1] = repr(calibration.apply(BETA, margin, 1 / (1 + math.exp(-margin))))
    return "".join(",".join(r) + "\n" for r in [head, *rows])


def main():
    x, _ = make_bundle.simulate()
    names = make_bundle.MODEL_FEATURES
    files = {
        "model.txt": (HERE / "tiny" / "model.txt").read_bytes(), "features.yaml": (HERE / "tiny" / "features.yaml").read_bytes(),
        "calibration.json": (json.dumps(BETA) + "\n").encode(), "reasons.yaml": reasons().encode(),
        "thresholds.yaml": localized(make_bundle.THRESHOLDS_YAML, set()).encode(), "golden.csv": golden().encode(),
        "profile.json": samples.profile_json(samples.profile(names, x)),
        "reference.csv": samples.reference_csv(names, samples.reference(x, 40)),
    }
    lines = ["format: 1", "name: worded", 'version: "1"', "model: {file: model.txt, format: lightgbm}"]
    lines += [f"{part}: {{file: {part}.{end}}}" for part, end in (
        ("features", "yaml"), ("calibration", "json"), ("thresholds", "yaml"), ("reasons", "yaml"), ("profile", "json"), ("reference", "csv"))]
    lines += ["golden: {file: golden.csv, rows: 24}", "files:"]
    for name, data in sorted(files.items()):
        lines.append(f'  - {{name: {name}, size: {len(data)}, sha256: "{hashlib.sha256(data).hexdigest()}"}}')
    files["bundle.yaml"] = ("\n".join(lines) + "\n").encode()
    target = HERE / "worded"
    target.mkdir(exist_ok=True)
    for name, data in files.items():
        (target / name).write_bytes(data)


if __name__ == "__main__":
    main()
