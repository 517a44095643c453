"""Writes the bundle that the tests of registry, decide and audit use, registry/testdata/tiny; and registry/testdata/linear, whose
trees have linear models in their leaves and so no contributions.

The rows are simulated here, from a seed; nothing in them is of a real player. Run it with the library versions below;
the same versions give the same bytes.

    python3 registry/testdata/make_bundle.py registry/testdata/tiny
    python3 registry/testdata/make_bundle.py registry/testdata/linear linear

Python 3.11, lightgbm 4.6.0, numpy 2.4.6.
"""

import csv
import hashlib
import io
import json
import math
import pathlib
import platform
import sys

import lightgbm
import numpy as np

SEED = 7
ROWS = 4000

FEATURES_YAML = """\
format: 1
name: tiny
version: "1"
groups:
  bets: {entity: player, match: {type: bet.placed}}
  deposits: {entity: player, match: {type: payment.deposit_requested}}
  device_bets: {entity: device, match: {type: bet.placed}}
  ip_bets: {entity: ip24, match: {type: bet.placed}}
features:
  - {name: bets_1m, group: bets, aggregate: count, window: 1m}
  - {name: bets_1h, group: bets, aggregate: count, window: 1h}
  - {name: stake_1h, group: bets, aggregate: sum, value: amount_base, window: 1h}
  - {name: stake_mean_24h, group: bets, aggregate: mean, value: amount_base, window: 24h, current: exclude}
  - {name: games_24h, group: bets, aggregate: distinct, value: game, window: 24h}
  - {name: since_deposit_s, group: deposits, aggregate: time_since}
  - {name: device_bets_1h, group: device_bets, aggregate: count, window: 1h}
  - {name: ip_bets_1h, group: ip_bets, aggregate: count, window: 1h}
  - {name: stake_share, aggregate: ratio, numerator: stake_1h, denominator: stake_mean_24h, default: 0}
  - {name: amount, aggregate: value, value: amount_base}
  - {name: unused_by_the_model, group: bets, aggregate: count, window: 7d}
"""

MODEL_FEATURES = [
    "stake_1h", "bets_1m", "bets_1h", "stake_mean_24h", "games_24h", "since_deposit_s", "device_bets_1h",
    "ip_bets_1h", "stake_share", "amount",
]

THRESHOLDS_YAML = """\
format: 1
segments:
  - name: vip
    match: {brand: [acme-vip]}
    thresholds: {challenge: 0.9, block: 0.99}
  - name: default
    thresholds: {challenge: 0.3, limit: 0.5, hold: 0.7, block: 0.95}
    risk_levels: {medium: 0.3, high: 0.6, severe: 0.9}
    review_from: 0.25
    reactions:
      challenge: [{type: step_up, scope: session, ttl: 15m}]
      limit: [{type: cap_stake, scope: player, ttl: 1h}]
      hold:
        - {type: delay_payout, scope: player, ttl: 24h}
        - {type: flag_table, scope: table, ttl: 1h}
      block: [{type: block_action, scope: player}, {type: close_session, scope: session}]
lists:
  sanctioned:
    effect: block
    overridable: false
    code: SANCTIONED
    text: {en: "{kind} is on the list {list} ({version})"}
    player_text: {en: "This account cannot be used"}
  stolen_device:
    effect: block
    code: STOLEN_DEVICE
    text: {en: "{kind} is on the list {list} ({version})"}
    player_text: {en: "This device cannot be used"}
  trusted:
    effect: allow
    code: TRUSTED
    text: {en: "{kind} is on the list {list} ({version})"}
    player_text: {en: "Thank you"}
fallback:
  default: {large_from: 10000, small: {outcome: allow, review: true}, large: {outcome: hold, review: true}}
  types:
    payment.withdrawal_requested: {large_from: 0, small: {outcome: hold, review: true}, large: {outcome: hold, review: true}}
"""

REASONS_YAML = """\
format: 1
reasons:
  - code: BET_VELOCITY
    features: [bets_1m, bets_1h]
    text: {en: "Unusually many bets: {feature} is {value}, usually {baseline} ({share} of the risk)"}
    player_text: {en: "Unusual activity on your account"}
    baselines: {bets_1m: 2, bets_1h: 20}
  - code: STAKE_LEVEL
    features: [stake_1h, stake_mean_24h, stake_share, amount]
    text: {en: "Unusual stakes: {feature} is {value}"}
    player_text: {en: "Unusual activity on your account"}
  - code: GAME_CHOICE
    features: [games_24h]
    text: {en: "Games within a day: {value}"}
    player_text: {en: "Unusual activity on your account"}
  - code: DEPOSIT_RECENCY
    features: [since_deposit_s]
    text: {en: "Seconds since the last deposit: {value}"}
    missing_text: {en: "There never was a deposit"}
    player_text: {en: "Your payment history"}
  - code: SHARED_DEVICE
    features: [device_bets_1h]
    text: {en: "Bets from this device within an hour: {value}"}
    player_text: {en: "Your device"}
  - code: SHARED_NETWORK
    features: [ip_bets_1h]
    text: {en: "Bets from this network within an hour: {value}"}
    player_text: {en: "Your connection"}
    immutable: true
"""


def simulate():
    rng = np.random.default_rng(SEED)
    n = ROWS
    fraud = rng.random(n) < 0.15
    bets_1m = rng.poisson(np.where(fraud, 2.5, 1.5)) + 1.0
    bets_1h = bets_1m + rng.poisson(np.where(fraud, 16, 12))
    amount = np.round(np.exp(rng.normal(np.where(fraud, 6.5, 5.8), 0.8)))
    stake_1h = np.round(amount + bets_1h * np.exp(rng.normal(5.5, 0.6, n)))
    stake_mean_24h = np.round(np.exp(rng.normal(5.8, 0.5, n)), 2)
    stake_mean_24h[rng.random(n) < 0.1] = np.nan
    games = rng.poisson(np.where(fraud, 1.0, 3.0)) + 1.0
    since = np.round(np.exp(rng.normal(np.where(fraud, 6, 9), 1.5)), 6)
    since[rng.random(n) < np.where(fraud, 0.4, 0.2)] = np.nan
    device = bets_1h + np.where(rng.random(n) < np.where(fraud, 0.4, 0.1), rng.poisson(8, n), 0.0)
    ip = device + rng.poisson(np.where(fraud, 9, 5))
    share = np.where(np.isnan(stake_mean_24h), 0.0, stake_1h / stake_mean_24h)
    columns = {
        "bets_1m": bets_1m, "bets_1h": bets_1h, "stake_1h": stake_1h, "stake_mean_24h": stake_mean_24h,
        "games_24h": games, "since_deposit_s": since, "device_bets_1h": device, "ip_bets_1h": ip,
        "stake_share": share, "amount": amount,
    }
    return np.column_stack([columns[f] for f in MODEL_FEATURES]), fraud.astype(int)


def number(x):
    return "" if math.isnan(x) else repr(float(x))


def golden(model, x, a, b, explained=True):
    margin = model.predict(x, raw_score=True)
    out = io.StringIO()
    w = csv.writer(out, lineterminator="\n")
    header, parts = MODEL_FEATURES + ["margin", "score"], np.empty((len(x), 0))
    if explained:
        header, parts = header + ["base"] + ["contrib_" + f for f in MODEL_FEATURES], np.roll(model.predict(x, pred_contrib=True), 1, axis=1)
    w.writerow(header)
    for i in range(len(x)):
        score = 1 / (1 + math.exp(-(a * float(margin[i]) + b)))
        w.writerow([number(v) for v in x[i]] + [number(margin[i]), number(score)] + [number(v) for v in parts[i]])
    return out.getvalue()


def main(target, kind=""):
    x, y = simulate()
    params = {"objective": "binary", "num_leaves": 15, "learning_rate": 0.1, "min_data_in_leaf": 20, "seed": SEED,
              "deterministic": True, "num_threads": 1, "verbosity": -1}
    data = lightgbm.Dataset(x, y, feature_name=MODEL_FEATURES)
    if kind:
        params["linear_tree"] = True
    model = lightgbm.train(params, data, num_boost_round=10 if kind else 40)
    a, b = 0.9, -0.05
    files = {
        "model.txt": model.model_to_string(),
        "features.yaml": FEATURES_YAML,
        "calibration.json": json.dumps({"format": 1, "kind": "platt", "a": a, "b": b}) + "\n",
        "thresholds.yaml": THRESHOLDS_YAML,
        "reasons.yaml": REASONS_YAML,
        "golden.csv": golden(model, np.concatenate([x[y == 1][:12], x[y == 0][:12]]), a, b, not kind),
    }
    files = {name: text.encode() for name, text in sorted(files.items())}
    lines = ["format: 1", "name: tiny" + kind, 'version: "1"',
             "model: {file: model.txt, format: lightgbm}", "features: {file: features.yaml}",
             "calibration: {file: calibration.json}", "thresholds: {file: thresholds.yaml}",
             "reasons: {file: reasons.yaml}", "golden: {file: golden.csv, rows: 24}", "files:"]
    for name, text in files.items():
        digest = hashlib.sha256(text).hexdigest()
        lines.append(f'  - {{name: {name}, size: {len(text)}, sha256: "{digest}"}}')
    lines += ["created_from:", "  note: simulated by registry/testdata/make_bundle.py", f"  seed: {SEED}",
              f"  rows: {ROWS}", "libraries: {python: %s, lightgbm: %s, numpy: %s}" % (
                  platform.python_version(), lightgbm.__version__, np.__version__)]
    files["bundle.yaml"] = ("\n".join(lines) + "\n").encode()
    target = pathlib.Path(target)
    target.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        (target / name).write_bytes(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
