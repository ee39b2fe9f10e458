"""kill -9 of `logmill bus` under full load from idempotent producers with acks=all, BUS_KILLS times (8 unless told): every
acknowledged record is there, in its producer's order per partition, none twice; a reader beside it sees nothing that
is gone later."""

import logging
import os
import random
import threading
import time

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

KILLS = int(os.environ.get("BUS_KILLS", "8"))
TOPIC = "killed"
PARTITIONS = 6
WRITERS = 2
# Records on their way in each producer: enough to keep every partition's batches full.
UNANSWERED_MAX = 20_000
PADDING = "x" * 100
# That the broker is away is what this is about.
QUIET = logging.getLogger("librdkafka, quietly")
QUIET.setLevel(logging.CRITICAL)
CLIENT = {"reconnect.backoff.ms": 50, "reconnect.backoff.max.ms": 300, "error_cb": lambda error: None, "logger": QUIET}


class Writer(threading.Thread):
    """Writes `writer:partition:number` with numbers rising per partition, as fast as it is acknowledged."""

    def __init__(self, bootstrap, name):
        super().__init__(daemon=True)
        self.name, self.ending = name, threading.Event()
        self.acknowledged = [0] * PARTITIONS
        self.failed, self.trouble = [], []
        self.producer = Producer(
            CLIENT
            | {
                "bootstrap.servers": bootstrap,
                "enable.idempotence": True,
                "acks": "all",
                "linger.ms": 2,
                "compression.type": "lz4",
                "message.timeout.ms": 300_000,
            }
        )

    def run(self):
        written = [0] * PARTITIONS

        def told(error, message):
            if error:
                self.failed.append((message.partition(), error))
                return
            number = int(message.value().split(b":", 3)[2])
            if number != self.acknowledged[message.partition()]:
                self.trouble.append(f"{number} acknowledged after {self.acknowledged[message.partition()]}")
            self.acknowledged[message.partition()] = number + 1

        while not self.ending.is_set():
            if len(self.producer) > UNANSWERED_MAX:
                self.producer.poll(0.02)
                continue
            for partition in range(PARTITIONS):
                value = f"{self.name}:{partition}:{written[partition]}:{PADDING}"
                self.producer.produce(TOPIC, value, partition=partition, on_delivery=told)
                written[partition] += 1
            self.producer.poll(0)
        if self.producer.flush(120):
            self.trouble.append("records were neither acknowledged nor refused")
        if self.acknowledged != written and not self.failed:
            self.trouble.append(f"written {written}, acknowledged {self.acknowledged}")


class Seen:
    """What a reader was given: next number by (writer, partition), and next offset by partition."""

    def __init__(self):
        self.numbers, self.offsets, self.trouble = {}, [0] * PARTITIONS, []

    def take(self, message):
        writer, partition, number, _ = message.value().split(b":", 3)
        key, number = (writer.decode(), message.partition()), int(number)
        if int(partition) != message.partition():
            self.trouble.append(f"a record of partition {partition} in {message.partition()}")
        if message.offset() != self.offsets[message.partition()]:
            self.trouble.append(f"offset {message.offset()} after {self.offsets[message.partition()]} in {key}")
        if number != self.numbers.get(key, 0):
            self.trouble.append(f"{key}: {number} where {self.numbers.get(key, 0)} was due")
        self.offsets[message.partition()] = message.offset() + 1
        self.numbers[key] = number + 1


def assigned(bootstrap):
    settings = {"bootstrap.servers": bootstrap, "group.id": "none", "enable.auto.commit": False}
    consumer = Consumer(CLIENT | settings | {"auto.offset.reset": "error"})
    consumer.assign([TopicPartition(TOPIC, partition, 0) for partition in range(PARTITIONS)])
    return consumer


class Reader(threading.Thread):
    """Reads along from the first record."""

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.consumer, self.seen, self.ending = assigned(bootstrap), Seen(), threading.Event()

    def run(self):
        while not self.ending.is_set():
            for message in self.consumer.consume(5000, timeout=0.2):
                if message.error() is None:
                    self.seen.take(message)
        self.consumer.close()


@pytest.mark.timeout(300 + 10 * KILLS)
def test_nothing_acknowledged_is_lost_or_doubled(logmill):
    chance = random.Random(int(os.environ.get("BUS_KILLS_SEED", "1")))
    logmill.start("bus")
    admin = AdminClient(CLIENT | {"bootstrap.servers": logmill.bootstrap})
    admin.create_topics([NewTopic(TOPIC, PARTITIONS)])[TOPIC].result(30)
    writers = [Writer(logmill.bootstrap, f"w{number}") for number in range(WRITERS)]
    reader = Reader(logmill.bootstrap)
    for thread in [*writers, reader]:
        thread.start()
    began = time.monotonic()
    for _ in range(KILLS):
        before = sum(sum(writer.acknowledged) for writer in writers)
        # From the midst of its start to some seconds of full load.
        time.sleep(0.05 + chance.random() ** 2 * 3)
        logmill.kill("bus")
        logmill.start("bus")
    last = sum(sum(writer.acknowledged) for writer in writers)
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and sum(sum(writer.acknowledged) for writer in writers) <= max(last, before):
        time.sleep(0.1)
    for writer in writers:
        writer.ending.set()
    for writer in writers:
        writer.join(150)
    seconds = time.monotonic() - began
    for writer in writers:
        assert not writer.failed, writer.failed[:3]
        assert not writer.trouble, writer.trouble[:3]
    acknowledged = {(writer.name, p): writer.acknowledged[p] for writer in writers for p in range(PARTITIONS)}
    assert min(acknowledged.values()) > 0

    again, seen = assigned(logmill.bootstrap), Seen()
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline and sum(seen.numbers.values()) < sum(acknowledged.values()):
        for message in again.consume(5000, timeout=0.5):
            assert message.error() is None, message.error()
            seen.take(message)
    ends = [again.get_watermark_offsets(TopicPartition(TOPIC, p), timeout=20)[1] for p in range(PARTITIONS)]
    again.close()
    reader.ending.set()
    reader.join(30)
    assert not seen.trouble, seen.trouble[:3]
    assert seen.numbers == acknowledged
    assert ends == seen.offsets, "more is there than was written"
    assert not reader.seen.trouble, reader.seen.trouble[:3]
    assert logmill.stop("bus") == 0
    total = sum(acknowledged.values())
    print(f"{KILLS} kills in {seconds:.0f} s; {total} records acknowledged and found, {sum(reader.seen.numbers.values())} read along")
