"""What pitboss exports is read by pandas and pyarrow as it stands. PITBOSS names the binary; without it nothing here runs."""
import json
import os
import subprocess

import pandas as pd
import pyarrow.dataset
import pyarrow.parquet
import pytest

PITBOSS = os.environ.get("PITBOSS")
pytestmark = pytest.mark.skipif(not PITBOSS, reason="PITBOSS names no binary")
EVENTS = 600


@pytest.fixture(scope="module")
def house(tmp_path_factory):
    """600 simulated events, decided."""
    home = tmp_path_factory.mktemp("exports")

    def run(*args):
        subprocess.run([PITBOSS, *args], check=True, cwd=home, stdout=subprocess.DEVNULL)

    run("demo", "--events", "1", "--dir", "house")
    subprocess.run(["rm", "-r", home / "house" / "data"], check=True)
    run("sim", "--seed", "5", "--tenant", "demo", "--players", "60", "--duration", "0", "--events", str(EVENTS), "--out", "events.jsonl")
    run("batch", "--config", "house/pitboss.yaml", "--source", "events.jsonl", "--out", "decisions.jsonl")
    run("events", "export", "--config", "house/pitboss.yaml", "--out", "lake")
    run("features", "export", "--config", "house/pitboss.yaml", "--sample", "unlabelled=0.5", "--out", "vectors.parquet")
    return home


def test_lake(house):
    source = [json.loads(line) for line in open(house / "events.jsonl")]
    lake = pyarrow.dataset.dataset(house / "lake", partitioning="hive")
    total = 0
    for kind in {e["type"] for e in source}:
        # One type has one schema; types differ.
        part = pyarrow.dataset.dataset(house / "lake" / f"type={kind}", partitioning="hive")
        frame = part.to_table().to_pandas()
        want = {e["eventId"]: e for e in source if e["type"] == kind}
        assert set(frame.event_id) == set(want)
        total += len(frame)
        for row in frame.itertuples():
            at = pd.Timestamp(want[row.event_id]["occurredAt"])
            assert row.occurred_at == at.floor("us") and row.day == at.strftime("%Y-%m-%d")
            raw = {i["kind"]: i["value"] for i in want[row.event_id]["entities"]}
            assert row.entity_player.startswith("a") and raw["player"] not in row.entity_player
    assert total == EVENTS == sum(1 for _ in source)
    assert len(lake.files) >= 5


def test_lake_money_and_metadata(house):
    source = {e["eventId"]: e for e in map(json.loads, open(house / "events.jsonl"))}
    bets = pd.read_parquet(house / "lake" / "type=bet.placed")
    for row in bets.itertuples():
        amount = source[row.event_id]["betPlaced"]["amount"]
        assert row.amount_minor == int(amount["amountMinor"]) and row.amount_currency == amount["currency"] and row.amount_base_minor >= 0
    path = next((house / "lake" / "type=bet.placed").rglob("part-0.parquet"))
    meta = pyarrow.parquet.read_metadata(path).metadata
    assert meta[b"pitboss.schema_version"] == b"100" and meta[b"pitboss.event_type"] == b"bet.placed"


def test_vectors(house):
    frame = pd.read_parquet(house / "vectors.parquet")
    assert 200 < len(frame) < 400 and (frame.weight == 2).all() and (frame.propensity == 0.5).all()
    assert frame.bets_1h.notna().any() and set(frame.bets_1h__status) <= {"present", "missing", "warming_up", "late"}
    assert frame.t.is_monotonic_increasing and frame.label.isna().all() and not frame.label_mature.any()
