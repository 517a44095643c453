"""Feast's own client reads from a running pitboss: its remote online store, as a project's feature_store.yaml names it.
PITBOSS names the binary."""
import contextlib
import json
import os
import re
import socket
import subprocess
import time
import urllib.request
from datetime import datetime, timedelta, timezone

import pytest
from feast import Entity, FeatureService, FeatureStore, FeatureView, Field, FileSource, RepoConfig, ValueType
from feast.types import Float64

PITBOSS = os.environ["PITBOSS"]
FEATURES = ["bets_1m", "bets_1h", "since_bet_s", "since_bonus_s"]


def call(url, key, path, body):
    request = urllib.request.Request(url + path, json.dumps(body).encode(), {"Authorization": "Bearer " + key, "Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=20) as answer:
        return json.load(answer)


@contextlib.contextmanager
def serving(directory):
    """A server with the demo's configuration and model, on ports of its own, and a key that may read and one that may publish."""
    house = directory / "house"
    subprocess.run([PITBOSS, "demo", "--events", "1", "--dir", house], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    config = house / "pitboss.yaml"
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = "127.0.0.1:%d" % free.getsockname()[1]
    text = re.sub(r"(?m)^(\s+http: )\S+", r"\g<1>" + address, config.read_text())
    text = re.sub(r"(?m)^(\s+grpc: )\S+", r"\g<1>127.0.0.1:0", text)
    text = re.sub(r"(?m)^(\s+brokers: ).*", r"\g<1>[]", text)
    keys, entries = {}, ""
    for role in ("reader", "producer"):
        made = subprocess.run([PITBOSS, "keys", "api", "--tenant", "demo", "--id", role, "--name", role, "--role", role], check=True, capture_output=True, text=True).stdout
        keys[role] = re.search(r"pb_\S+", made).group()
        entries += made.split("holds no secret:\n")[1]
    text = re.sub(r"(?m)^(\s+)keys:\s*\n", lambda m: m.group() + entries, text, count=1)
    text = re.sub(r"(?m)^server:\n", "server:\n  feature_services: {velocity: [bets_1m, bets_1h]}\n", text, count=1)
    config.write_text(text)
    with open(directory / "log", "w") as log:
        server = subprocess.Popen([PITBOSS, "serve", "--config", config], stderr=log, stdout=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + 60
        while True:
            assert server.poll() is None and time.monotonic() < deadline, (directory / "log").read_text()
            with contextlib.suppress(OSError), urllib.request.urlopen(f"http://{address}/readyz", timeout=5):
                break
            time.sleep(0.05)
        yield "http://" + address, keys
    finally:
        server.terminate()
        server.wait(30)


@pytest.fixture(scope="module")
def served(tmp_path_factory):
    with serving(tmp_path_factory.mktemp("pitboss")) as (url, keys):
        now = datetime.now(timezone.utc)
        events = [{
            "event_id": f"feast-{i}", "type": "bet.placed", "tenant": "demo", "occurred_at": (now - timedelta(seconds=3 - i)).isoformat(),
            "entities": [{"kind": "player", "value": "jane", "form": "FORM_RAW"}],
            "bet_placed": {"amount": {"amount_minor": "100", "currency": "EUR"}},
        } for i in range(3)]
        results = call(url, keys["producer"], "/v1/events", {"events": events})["results"]
        assert [r["status"] for r in results] == ["PUBLISH_STATUS_ACCEPTED"] * 3, results
        yield url, keys, now


@pytest.fixture(scope="module")
def store(served, tmp_path_factory):
    url, keys, _ = served
    home = tmp_path_factory.mktemp("feast")
    store = FeatureStore(config=RepoConfig(
        project="casino", provider="local", registry=str(home / "registry.db"), entity_key_serialization_version=3,
        online_store={"type": "remote", "path": url, "connection_retries": 0}, auth={"type": "oidc", "token": keys["reader"]}))
    player = Entity(name="player", join_keys=["player"], value_type=ValueType.STRING)
    view = FeatureView(
        name="player", entities=[player], ttl=timedelta(days=1), schema=[Field(name=f, dtype=Float64) for f in FEATURES],
        source=FileSource(path=str(home / "nothing.parquet"), timestamp_field="t"))
    service = FeatureService(name="velocity", features=[view[["bets_1m", "bets_1h"]]])
    # The registry is Feast's own, in a file; what it says of the view is what its client sends.
    for kind, thing in (("entity", player), ("feature_view", view), ("feature_service", service)):
        getattr(store.registry, "apply_" + kind)(thing, "casino")
    yield store, service


def rows(response):
    return response.to_dict(include_event_timestamps=False)


def test_feature_list(store, served):
    answer = store[0].get_online_features(["player:" + f for f in FEATURES], [{"player": "jane"}, {"player": "nobody"}])
    got = rows(answer)
    assert got["player"] == ["jane", "nobody"]
    assert got["bets_1m"] == [3, None] and got["bets_1h"] == [3, None]
    assert 0 < got["since_bet_s"][0] < 60
    assert got["since_bonus_s"] == [None, None]


def test_statuses(store):
    results = store[0].get_online_features(["player:bets_1m", "player:since_bonus_s"], [{"player": "jane"}, {"player": "nobody"}]).proto.results
    from feast.protos.feast.serving.ServingService_pb2 import FieldStatus
    assert list(results[1].statuses) == [FieldStatus.PRESENT, FieldStatus.NOT_FOUND]
    assert list(results[2].statuses) == [FieldStatus.NULL_VALUE, FieldStatus.NOT_FOUND]


def test_full_names_and_service(store):
    full = rows(store[0].get_online_features(["player:bets_1h"], [{"player": "jane"}], full_feature_names=True))
    assert full["player__bets_1h"] == [3]
    by_service = rows(store[0].get_online_features(store[1], [{"player": "jane"}]))
    assert by_service["bets_1m"] == [3] and by_service["bets_1h"] == [3]


def test_refusals_reach_the_caller(store):
    with pytest.raises(Exception, match="NO_SUCH_FEATURE|404"):
        store[0].get_online_features(["player:nothing"], [{"player": "jane"}])


def test_the_same_by_features_get(served):
    url, keys, now = served
    answer = call(url, keys["reader"], "/v1/features:get", {
        "features": ["bets_1m", "since_bonus_s"], "rows": [{"entities": [{"kind": "player", "value": v, "form": "FORM_RAW"}]} for v in ("jane", "nobody")]})
    assert answer["rows"][0]["values"][0]["value"] == 3 and answer["rows"][0]["values"][1] == {**answer["rows"][0]["values"][1], "status": "missing"}
    newest = datetime.fromisoformat(answer["rows"][0]["entities"][0]["newest_event"].replace("Z", "+00:00"))
    assert abs((newest - (now - timedelta(seconds=1))).total_seconds()) < 0.01
    assert answer["rows"][1]["values"][0]["value"] == 0 and "known" not in answer["rows"][1]["entities"][0]
