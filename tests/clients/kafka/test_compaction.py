"""A compacted topic as the clients read it: the last record of each key, under its own offset."""

import time

import pytest
from confluent_kafka import Consumer, KafkaError, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic
from kafka import KafkaConsumer
from kafka import TopicPartition as Place

KEYS = 50
RECORDS = 5000


def read_confluent(bootstrap, topic):
    reader = Consumer({"bootstrap.servers": bootstrap, "group.id": topic, "enable.partition.eof": True})
    reader.assign([TopicPartition(topic, 0, 0)])
    found = []
    while True:
        message = reader.poll(20)
        assert message is not None
        if message.error():
            assert message.error().code() == KafkaError._PARTITION_EOF
            break
        found.append((message.offset(), message.key(), message.value()))
    reader.close()
    return found


def read_kafka_python(bootstrap, topic):
    reader = KafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False)
    place = Place(topic, 0)
    reader.assign([place])
    reader.seek_to_beginning(place)
    end, found = reader.end_offsets([place])[place], []
    until = time.monotonic() + 30
    while not found or reader.position(place, timeout_ms=5000) < end:
        assert time.monotonic() < until, f"only {len(found)} records came"
        for messages in reader.poll(timeout_ms=1000).values():
            found += [(message.offset, message.key, message.value) for message in messages]
    reader.close()
    return found


@pytest.mark.parametrize("compression", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_the_last_of_each_key_stays_and_everybody_can_read_it(bootstrap, name, compression):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    config = {"cleanup.policy": "compact", "segment.bytes": "20000", "min.cleanable.dirty.ratio": "0.01", "segment.ms": "500"}
    admin.create_topics([NewTopic(name, 1, config=config)])[name].result(20)
    producer = Producer({"bootstrap.servers": bootstrap, "compression.type": compression, "linger.ms": 5, "batch.size": 4000})
    expected = {}
    for number in range(RECORDS):
        key = f"key-{number * 7 % KEYS}".encode()
        value = None if number >= RECORDS - KEYS and number % 10 == 0 else f"value {number} {'x' * 40}".encode()
        expected[key] = (number, value)
        producer.produce(name, value, key)
        producer.poll(0)
    assert producer.flush(30) == 0
    time.sleep(0.6)
    # Closes the segment, so that all of the others may be compacted.
    producer.produce(name, "end", "end")
    assert producer.flush(30) == 0
    expected[b"end"] = (RECORDS, b"end")
    until = time.monotonic() + 60
    while len(found := read_confluent(bootstrap, name)) > len(expected):
        assert time.monotonic() < until, f"{len(found)} records are left"
        time.sleep(1)
    wanted = sorted((offset, key, value) for key, (offset, value) in expected.items())
    assert found == wanted
    assert read_kafka_python(bootstrap, name) == wanted


def test_records_without_keys_are_refused(bootstrap, name):
    admin = AdminClient({"bootstrap.servers": bootstrap})
    admin.create_topics([NewTopic(name, 1, config={"cleanup.policy": "compact"})])[name].result(20)
    producer, told = Producer({"bootstrap.servers": bootstrap}), []
    producer.produce(name, "no key", on_delivery=lambda error, _: told.append(error))
    assert producer.flush(30) == 0
    assert told[0].code() == KafkaError.INVALID_RECORD
