"""A consume-process-produce loop is killed at random instants, and so is the broker: a reader of committed records
finds every input once. KILLS says how often (10)."""

import os
import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

KILLS = int(os.environ.get("KILLS", "10"))
PARTITIONS = 3
LOOP = Path(__file__).parent / "exactly_once_loop.py"


class Output:
    """What a reader of committed records has seen."""

    def __init__(self, bootstrap, topic):
        settings = {
            "bootstrap.servers": bootstrap,
            "group.id": "check",
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "reconnect.backoff.max.ms": 200,
            "error_cb": lambda error: None,
        }
        self.reader = Consumer(settings)
        self.reader.assign([TopicPartition(topic, partition, 0) for partition in range(PARTITIONS)])
        self.seen = []

    def read(self, seconds):
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for message in self.reader.consume(500, timeout=0.1):
                if message.error() is None:
                    self.seen.append(int(message.value()))


def start(bootstrap, log):
    environment = {**os.environ, "BOOTSTRAP": bootstrap, "INPUT": "loop.in", "OUTPUT": "loop.out"}
    return subprocess.Popen([sys.executable, LOOP], env=environment, stdout=log, stderr=log)


@pytest.mark.parametrize("seed", [1])
def test_killed_at_any_instant_it_loses_and_doubles_nothing(logmill, tmp_path, seed):
    chance = random.Random(seed)
    logmill.start("bus")
    admin = AdminClient({"bootstrap.servers": logmill.bootstrap})
    topics = [NewTopic("loop.in", PARTITIONS), NewTopic("loop.out", PARTITIONS)]
    for future in admin.create_topics(topics).values():
        future.result(30)
    feeder = Producer({"bootstrap.servers": logmill.bootstrap, "enable.idempotence": True, "linger.ms": 5,
                       "reconnect.backoff.max.ms": 200, "error_cb": lambda error: None})
    written, brokers = 0, 0
    output = Output(logmill.bootstrap, "loop.out")
    with open(tmp_path / "loop.log", "wb") as log:
        loop = start(logmill.bootstrap, log)
        for kill in range(KILLS):
            for _ in range(400):
                feeder.produce("loop.in", str(written), key=str(written))
                written += 1
            feeder.poll(0)
            # Long enough to get going, then anywhere in a transaction.
            output.read(1.0 + chance.random() * 1.5)
            if kill % 3 == 2:
                logmill.kill("bus")
                brokers += 1
                time.sleep(chance.random() * 0.3)
                logmill.start("bus")
            else:
                assert loop.poll() is None, (tmp_path / "loop.log").read_text()[-3000:]
                loop.kill()
                loop.wait()
                loop = start(logmill.bootstrap, log)
        assert feeder.flush(60) == 0
        deadline = time.monotonic() + 90
        while len(output.seen) < written and time.monotonic() < deadline:
            output.read(0.5)
        # What would come twice has a moment to come.
        output.read(2)
        loop.kill()
        loop.wait()
    seen = output.seen
    lost, doubled = written - len(set(seen)), len(seen) - len(set(seen))
    print(f"{written} written, {KILLS} kills, {brokers} of them of the broker: lost={lost}, doubled={doubled}")
    assert (lost, doubled) == (0, 0), (tmp_path / "loop.log").read_text()[-3000:]
    assert set(seen) == set(range(written))
