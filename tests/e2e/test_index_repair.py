"""Damage and a full disk: what is damaged is put aside and told, the rest stays searchable, a repair brings back exactly
what is missing; a full disk holds up reading from the bus and nothing else, and passes by itself."""

import json
import os
import random

import pytest
import requests
from confluent_kafka import Producer

from harness import wait_for

TOPIC = "logs.parsed"


def write(logmill, numbers, padding=lambda: "", partition=-1):
    producer = Producer({"bootstrap.servers": logmill.bootstrap, "enable.idempotence": True, "linger.ms": 5})
    for number in numbers:
        value = json.dumps({"@timestamp": 1_767_225_600_000 + number, "message": f"document {number} {padding()}", "n": number})
        while True:
            try:
                producer.produce(TOPIC, value, headers=[("logmill-index", b"logs-repair-%d" % (number % 2))], partition=partition)
                break
            except BufferError:
                producer.poll(0.1)
    assert producer.flush(60) == 0


def numbers_of(logmill):
    return sorted(source["n"] for source in logmill.all_sources("logs-repair-*"))


def behind(logmill):
    return requests.get(f"{logmill.es_url}/_logmill/freshness", timeout=5).json()["behind"]


def up(logmill):
    logmill.start("indexer")
    wait_for("the indexer", lambda: behind(logmill) == 0, timeout=60)


def shown(logmill):
    answer = logmill.run("index", "show", "_all", "--json")
    assert answer.returncode == 0, answer.stderr
    return json.loads(answer.stdout)


def damage(logmill, split, chance):
    """Changes a byte somewhere in the largest file of a split."""
    folder = logmill.data / "indexer" / "store" / "splits" / split
    victim = max((path for path in folder.iterdir()), key=lambda path: path.stat().st_size)
    bytes_ = bytearray(victim.read_bytes())
    bytes_[chance.randrange(len(bytes_))] ^= 0xFF
    victim.write_bytes(bytes_)


@pytest.fixture
def stored(logmill):
    """A store with some splits, of which a few documents were erased."""
    logmill.settings["indexer.flush_interval"] = "200ms"
    logmill.settings["indexer.snapshots.paths"] = [str(logmill.folder / "kept")]
    logmill.start("bus")
    up(logmill)
    for part in range(4):
        write(logmill, range(part * 1000, part * 1000 + 1000))
        wait_for("the documents", lambda part=part: logmill.count(index="logs-repair-*") == part * 1000 + 1000)
        wait_for("a flush", lambda: shown(logmill)["memory"]["docs"] == 0)
    erased = set(range(500, 520)) | set(range(3990, 4000))
    for first, last in ((500, 520), (3990, 4000)):
        query = {"query": {"range": {"n": {"gte": first, "lt": last}}}}
        answer = requests.post(f"{logmill.es_url}/logs-repair-*/_delete_by_query", json=query, timeout=30).json()
        assert answer["deleted"] == last - first
    yield logmill, sorted(set(range(4000)) - erased)


@pytest.mark.timeout(180)
def test_damage_is_put_aside_and_repaired_while_running(stored):
    logmill, expected = stored
    chance = random.Random(1)
    splits = shown(logmill)["splits"]
    victims = chance.sample(splits, 3)
    for victim in victims:
        damage(logmill, victim["split"], chance)
    # A merge that would have read one finds it as well.
    logmill.run("index", "verify")
    damaged = shown(logmill)["damaged"]
    assert {each["split"] for each in damaged} == {victim["split"] for victim in victims}
    assert logmill.run("index", "verify").returncode == 0
    lost = sum(victim["docs"] for victim in victims)
    left = numbers_of(logmill)
    assert len(left) == len(expected) - lost and set(left) < set(expected)
    # Told until it is repaired, also after a start.
    logmill.kill("indexer")
    up(logmill)
    assert len(shown(logmill)["damaged"]) == 3
    repaired = logmill.run("index", "repair", "--json")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    outcomes = json.loads(repaired.stdout)["repaired"]
    assert sum(each["restored"] for each in outcomes) == lost and all(each["lost"] == 0 for each in outcomes)
    assert numbers_of(logmill) == expected
    assert logmill.run("index", "verify").returncode == 0
    assert "nothing is damaged" in logmill.run("index", "repair").stdout
    logmill.kill("indexer")
    up(logmill)
    assert numbers_of(logmill) == expected


@pytest.mark.timeout(180)
def test_a_stopped_store_is_verified_and_repaired(stored):
    logmill, expected = stored
    splits = shown(logmill)["splits"]
    assert logmill.stop("indexer") == 0
    assert logmill.run("index", "verify").returncode == 0
    damage(logmill, splits[0]["split"], random.Random(2))
    verified = logmill.run("index", "verify")
    assert verified.returncode == 1 and splits[0]["index"] in verified.stdout, verified.stdout + verified.stderr
    # Its terms are gone altogether: found when the store is opened.
    folder = logmill.data / "indexer" / "store" / "splits" / splits[1]["split"]
    next(folder.glob("*.term")).unlink()
    repaired = logmill.run("index", "repair", "--json")
    assert repaired.returncode == 0, repaired.stdout + repaired.stderr
    assert len(json.loads(repaired.stdout)["repaired"]) == 2
    up(logmill)
    assert numbers_of(logmill) == expected


@pytest.mark.timeout(180)
def test_what_the_bus_no_longer_has_is_lost_and_told(stored):
    logmill, expected = stored
    splits = shown(logmill)["splits"]
    victim = splits[0]
    damage(logmill, victim["split"], random.Random(3))
    logmill.run("index", "verify")
    assert [each["split"] for each in shown(logmill)["damaged"]] == [victim["split"]]
    assert logmill.run("topics", "delete-records", TOPIC, "--before", "end").returncode == 0
    repaired = logmill.run("index", "repair")
    assert repaired.returncode == 1, repaired.stderr
    assert f"{victim['docs']} documents are lost for good" in repaired.stdout
    assert len(numbers_of(logmill)) == len(expected) - victim["docs"]


@pytest.mark.timeout(180)
def test_a_snapshot_is_made_while_running_and_restored(stored):
    logmill, expected = stored
    made = logmill.run("index", "snapshot", "first", "--location", "repository", "--index", "logs-repair-*")
    assert made.returncode == 0 and "2 indexes" in made.stdout, made.stdout + made.stderr
    url = f"{logmill.es_url}/_snapshot/default"
    shown_ = requests.get(f"{url}/_all", timeout=10).json()
    assert [(each["snapshot"], each["state"]) for each in shown_["snapshots"]] == [("first", "SUCCESS")]
    status = requests.get(f"{url}/first/_status", timeout=10).json()["snapshots"][0]
    assert status["stats"]["total"]["size_in_bytes"] > 1000
    again = requests.put(f"{url}/first?wait_for_completion=true", timeout=30)
    assert again.status_code == 400 and again.json()["error"]["type"] == "invalid_snapshot_name_exception"
    in_the_way = logmill.run("index", "restore", "first")
    assert in_the_way.returncode == 1 and "already exists" in in_the_way.stderr
    elsewhere = requests.put(f"{logmill.es_url}/_snapshot/bad", json={"type": "fs", "settings": {"location": "/etc"}}, timeout=10)
    assert elsewhere.status_code == 400
    assert requests.get(f"{logmill.es_url}/_snapshot/none", timeout=10).status_code == 404
    # Killed in the midst of a second one: it is none, and the first is whole.
    write(logmill, range(4000, 6000))
    wait_for("more documents", lambda: logmill.count(index="logs-repair-*") == len(expected) + 2000)
    requests.put(f"{url}/second", timeout=30)
    logmill.kill("indexer")
    up(logmill)
    names = [each["snapshot"] for each in requests.get(f"{url}/_all", timeout=10).json()["snapshots"]]
    assert names in (["first"], ["first", "second"])
    restored = logmill.run("index", "restore", "first", "--prefix", "old-")
    assert restored.returncode == 0, restored.stderr
    assert sorted(source["n"] for source in logmill.all_sources("old-*")) == expected
    for name in names:
        assert requests.delete(f"{url}/{name}", timeout=30).status_code == 200
    assert not list((logmill.folder / "kept" / "repository" / "splits").iterdir())
    logmill.kill("indexer")
    up(logmill)
    assert sorted(source["n"] for source in logmill.all_sources("old-*")) == expected


@pytest.mark.timeout(300)
@pytest.mark.parametrize("reserve", ["0", "8MiB"], ids=["full", "reserve"])
def test_a_full_disk_holds_up_and_passes_by_itself(small_disk, logmill, reserve):
    """With nothing reserved the disk itself refuses; with a reserve we stop before it does."""
    logmill.settings.update(
        {"indexer.disk_reserve": reserve, "indexer.flush_interval": "200ms", "indexer.memory": "16MiB", "indexer.flush_bytes": "2MiB"}
    )
    logmill.start("bus")
    up(logmill)
    filler = small_disk / "filler"
    filler.write_bytes(os.urandom(30 << 20))
    chance = random.Random(4)
    written = 0
    while behind(logmill) < 2000:
        # Padding that no compression makes small; one partition, so that what is read is a beginning without gaps.
        write(logmill, range(written, written + 2000), lambda: "%0512x" % chance.getrandbits(2048), partition=0)
        written += 2000
        assert written < 400_000, "the disk never filled up"
    # Searches go on, and what is found is right as far as it goes.
    before = numbers_of(logmill)
    assert before == list(range(len(before)))
    problems = requests.get(f"{logmill.es_url}/healthz", timeout=5).text
    assert "disk" in problems or "space" in problems, problems
    # A crash in the midst of it changes nothing.
    logmill.kill("indexer")
    logmill.start("indexer")
    wait_for("the indexer", lambda: requests.get(logmill.es_url, timeout=2).status_code == 200)
    filler.unlink()
    wait_for("the index to catch up by itself", lambda: logmill.count(index="logs-repair-*") >= written, timeout=120)
    assert numbers_of(logmill) == list(range(written))
