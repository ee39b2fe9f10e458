"""Which room may use which, and who alone may name the engines: the table of docs/ARCHITECTURE.md, held against cargo."""

import json
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

ALLOWED = {
    "logmill-core": set(),
    "logmill-bus-protocol": set(),
    "logmill-bus-log": set(),
    "logmill-indexer-api": {"logmill-core"},
    "logmill-bus-client": {"logmill-core"},
    "logmill-bus": {"logmill-core", "logmill-bus-protocol", "logmill-bus-log"},
    "logmill-generate": {"logmill-core"},
    "logmill-shipper": {"logmill-core", "logmill-bus-client"},
    "logmill-processor": {"logmill-core", "logmill-bus-client"},
    "logmill-indexer": {"logmill-core", "logmill-bus-client", "logmill-indexer-api"},
    "logmill-dashboard": {"logmill-core", "logmill-bus-client", "logmill-indexer-api"},
}
ONLY_IN = {
    "kafka-protocol": {"logmill-bus-protocol"},
    "rdkafka": {"logmill-bus-client"},
    "tantivy": {"logmill-indexer"},
    "object_store": {"logmill-indexer"},
    "rusqlite": {"logmill-dashboard"},
}


@pytest.fixture(scope="module")
def packages():
    text = subprocess.check_output(["cargo", "metadata", "--format-version", "1", "--no-deps", "--offline"], cwd=ROOT)
    return {package["name"]: {each["name"] for each in package["dependencies"]} for package in json.loads(text)["packages"]}


def test_every_room_is_in_the_table(packages):
    assert set(packages) - {"logmill"} == set(ALLOWED)


@pytest.mark.parametrize("room", sorted(ALLOWED))
def test_a_room_uses_only_what_it_may(packages, room):
    inside = {name for name in packages[room] if name in packages}
    assert inside <= ALLOWED[room], f"{room} may not use {inside - ALLOWED[room]}"


@pytest.mark.parametrize("engine", sorted(ONLY_IN))
def test_an_engine_is_named_in_one_room(packages, engine):
    users = {name for name, dependencies in packages.items() if engine in dependencies}
    assert users == ONLY_IN[engine]


def test_the_architecture_page_shows_the_same_table():
    page = (ROOT / "docs/ARCHITECTURE.md").read_text()
    for room, allowed in ALLOWED.items():
        short = room.removeprefix("logmill-")
        row = next((line for line in page.splitlines() if line.startswith(f"| `{short}` |")), None)
        assert row, f"docs/ARCHITECTURE.md has no row for `{short}`"
        for name in allowed:
            assert f"`{name.removeprefix('logmill-')}`" in row, f"{row} lacks {name}"
