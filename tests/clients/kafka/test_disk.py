"""A disk that fills up, on a small file system of its own: producers wait and go on by themselves, or the oldest
records go; what was acknowledged before is there after; nobody crashes, nobody loops."""

import subprocess
import threading
import time

import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from harness import Logmill, wait_for
from kafka import KafkaProducer

MIB = 1 << 20
DISK = 128 * MIB
VALUE = bytes(10_000)


@pytest.fixture
def small_disk(tmp_path):
    """Starts a broker whose data lie on a tmpfs of 128 MiB."""
    data = tmp_path / "data"
    data.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", str(data)], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small file system can't be mounted here: {mounted.stderr.decode().strip()}")
    installation = Logmill(tmp_path)

    def start(**settings):
        installation.settings |= {"bus.segment_bytes": "4 MiB", "bus.default_partitions": 1}
        installation.settings |= {f"bus.{key.replace('__', '.')}": value for key, value in settings.items()}
        installation.start("bus")
        admin = AdminClient({"bootstrap.servers": installation.bootstrap})
        admin.list_topics(timeout=30)
        return installation, admin

    yield start
    installation.close()
    subprocess.run(["umount", "-l", str(data)], check=False)


def make(admin, *names):
    for made in admin.create_topics([NewTopic(name, 1) for name in names]).values():
        made.result(20)


class Confluent:
    """Writes as fast as it can until it is told to stop."""

    def __init__(self, bootstrap):
        settings = {"bootstrap.servers": bootstrap, "enable.idempotence": True, "message.timeout.ms": 120_000}
        self.producer = Producer(settings | {"queue.buffering.max.messages": 1000})
        self.acknowledged, self.failed = 0, []

    def told(self, error, _):
        if error:
            self.failed.append(error)
        else:
            self.acknowledged += 1

    def write(self, topic):
        if len(self.producer) >= 500:
            self.producer.poll(0.05)
            return False
        self.producer.produce(topic, VALUE, on_delivery=self.told)
        self.producer.poll(0)
        return True

    def write_many(self, topic, number):
        while number > 0:
            number -= self.write(topic)
        self.finish()

    def finish(self):
        assert self.producer.flush(90) == 0


class KafkaPython:
    def __init__(self, bootstrap):
        self.producer = KafkaProducer(
            bootstrap_servers=bootstrap, acks="all", buffer_memory=4 * MIB, max_block_ms=120_000,
            request_timeout_ms=30_000, delivery_timeout_ms=120_000, retries=1_000_000, enable_idempotence=True,
        )  # fmt: skip
        self.acknowledged, self.failed = 0, []

    def told(self, _):
        self.acknowledged += 1

    def write(self, topic):
        self.producer.send(topic, VALUE).add_callback(self.told).add_errback(self.failed.append)

    def finish(self):
        self.producer.flush(90)


class Writing(threading.Thread):
    def __init__(self, writer, topic):
        super().__init__(daemon=True)
        self.writer, self.topic, self.ending = writer, topic, threading.Event()

    def run(self):
        while not self.ending.is_set():
            self.writer.write(self.topic)

    def until_stalled(self):
        """Waits until nothing was acknowledged for three seconds."""
        before, since, until = -1, time.monotonic(), time.monotonic() + 60
        while time.monotonic() < until:
            if self.writer.acknowledged != before:
                before, since = self.writer.acknowledged, time.monotonic()
            elif before > 0 and time.monotonic() - since > 3:
                return before
            time.sleep(0.1)
        raise AssertionError("the producer never had to wait")

    def finish(self):
        self.ending.set()
        self.join(130)
        self.writer.finish()
        return self.writer.acknowledged


def consumer(bootstrap, **settings):
    return Consumer(
        {"bootstrap.servers": bootstrap, "group.id": "g", "enable.auto.commit": False, "auto.offset.reset": "earliest"} | settings
    )


def count(bootstrap, topic):
    reader = consumer(bootstrap)
    place = TopicPartition(topic, 0)
    low, high = reader.get_watermark_offsets(place, timeout=20)
    reader.assign([TopicPartition(topic, 0, low)])
    seen = []
    while len(seen) < high - low:
        messages = reader.consume(500, timeout=10)
        assert messages, f"{len(seen)} of {high - low}"
        seen += [message.offset() for message in messages if message.error() is None]
    reader.close()
    assert seen == list(range(low, high))
    return high - low


def watermarks(bootstrap, topic):
    reader = consumer(bootstrap)
    ends = reader.get_watermark_offsets(TopicPartition(topic, 0), timeout=20)
    reader.close()
    return ends


SLOW = pytest.mark.skip(reason="not shown yet: it does not fill the disk within the minute that the test waits")


@pytest.mark.parametrize("client", [Confluent, pytest.param(KafkaPython, marks=SLOW)])
def test_producers_wait_on_a_low_disk_and_go_on_by_themselves(small_disk, client):
    installation, admin = small_disk(disk__low_watermark="24 MiB")
    make(admin, "ballast", "t")
    ballast = Confluent(installation.bootstrap)
    ballast.write_many("ballast", 6000)
    writing = Writing(client(installation.bootstrap), "t")
    writing.start()
    stalled_at = writing.until_stalled()
    assert not writing.writer.failed
    assert "the disk is low" in installation.log("bus")
    # Reading and committing go on.
    assert count(installation.bootstrap, "t") >= stalled_at
    reader = consumer(installation.bootstrap)
    reader.commit(offsets=[TopicPartition("t", 0, 5)], asynchronous=False)
    reader.close()
    admin.delete_topics(["ballast"])["ballast"].result(20)
    wait_for("the producer to go on", lambda: writing.writer.acknowledged > stalled_at + 50)
    # It fills up again; room is made in the topic itself, and everything arrives.
    writing.until_stalled()
    writing.ending.set()
    for emptied in admin.delete_records([TopicPartition("t", 0, -1)]).values():
        emptied.result(20)
    acknowledged = writing.finish()
    assert not writing.writer.failed
    assert watermarks(installation.bootstrap, "t")[1] == acknowledged, "nothing is missing, nothing is twice"


def test_a_disk_that_is_really_full_refuses_and_keeps_what_it_has(small_disk):
    installation, admin = small_disk(disk__low_watermark="0%")
    make(admin, "ballast", "t")
    ballast = Confluent(installation.bootstrap)
    ballast.write_many("ballast", 6000)
    writing = Writing(Confluent(installation.bootstrap), "t")
    writing.start()
    stalled_at = writing.until_stalled()
    filler = installation.data / "filler"
    with pytest.raises(OSError), open(filler, "wb") as file:
        while True:
            file.write(bytes(4096))
            file.flush()
    reader = consumer(installation.bootstrap)
    with pytest.raises(KafkaException):
        for offset in range(200):
            reader.commit(offsets=[TopicPartition("t", 0, offset, metadata="x" * 4000)], asynchronous=False)
    filler.unlink()
    reader.commit(offsets=[TopicPartition("t", 0, 77)], asynchronous=False)
    # What waits already goes on by itself. Nothing new comes: a fast writer would fill the room again at once.
    writing.ending.set()
    admin.delete_topics(["ballast"])["ballast"].result(20)
    acknowledged = writing.finish()
    assert acknowledged > stalled_at and not writing.writer.failed
    installation.kill("bus")
    installation.start("bus")
    assert count(installation.bootstrap, "t") == acknowledged
    assert reader.committed([TopicPartition("t", 0)], timeout=20)[0].offset == 77
    reader.close()
    assert "takes no more writes" not in installation.log("bus"), "nothing was poisoned"


def test_the_oldest_go_and_a_consumer_that_was_passed_goes_on(small_disk):
    installation, admin = small_disk(disk__low_watermark="16 MiB", disk__policy="drop_oldest")
    make(admin, "t")
    slow = consumer(installation.bootstrap, **{"fetch.message.max.bytes": 50_000, "queued.min.messages": 1})
    slow.subscribe(["t"])
    writer = Confluent(installation.bootstrap)
    writer.write_many("t", 200)
    first = slow.consume(5, timeout=30)
    assert [message.offset() for message in first] == [0, 1, 2, 3, 4]
    slow.commit(asynchronous=False)
    slow.close()
    # Twice what the disk holds.
    writer.write_many("t", 25_000)
    assert not writer.failed
    low, high = watermarks(installation.bootstrap, "t")
    assert low > 5
    assert high == writer.acknowledged
    passed = consumer(installation.bootstrap)
    passed.subscribe(["t"])
    wait_for("the passed consumer to go on", lambda: passed.consume(100, timeout=5)[0].offset() >= low, timeout=60)
    passed.close()
    assert installation.processes["bus"].poll() is None


def test_what_a_pinned_group_has_not_read_goes_last(small_disk):
    settings = {"disk__low_watermark": "16 MiB", "disk__policy": "drop_oldest", "retention__pinned_groups": ["careful"]}
    installation, admin = small_disk(**settings)
    make(admin, "pinned", "plain")
    reader = consumer(installation.bootstrap, **{"group.id": "careful"})
    reader.commit(offsets=[TopicPartition("pinned", 0, 0)], asynchronous=False)
    reader.close()
    writer = Confluent(installation.bootstrap)
    writer.write_many("pinned", 1000)
    writer.write_many("plain", 10_000)
    assert not writer.failed
    assert count(installation.bootstrap, "pinned") == 1000
    assert "a pinned group has not read" not in installation.log("bus")
