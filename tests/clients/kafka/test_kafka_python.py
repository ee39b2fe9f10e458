"""kafka-python: the pure Python client."""

import threading
import time

import pytest
from kafka import KafkaAdminClient, KafkaConsumer, KafkaProducer, OffsetAndMetadata, TopicPartition
from kafka.admin import ConfigResource, ConfigResourceType, NewPartitions, NewTopic
from kafka.errors import KafkaError, MessageSizeTooLargeError, TopicAlreadyExistsError
from kafka.structs import OffsetAndMetadata as Committed


def produce(bootstrap, topic, values, **settings):
    producer = KafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5, **settings)
    futures = [producer.send(topic, value, key=str(index % 16).encode()) for index, value in enumerate(values)]
    places = [future.get(timeout=30) for future in futures]
    producer.close()
    return [(place.partition, place.offset) for place in places]


def consumer(bootstrap, topic, group, **settings):
    return KafkaConsumer(
        topic,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6000,
        heartbeat_interval_ms=500,
        **settings,
    )


def read(client, count, timeout=30):
    records = []
    deadline = time.monotonic() + timeout
    while len(records) < count and time.monotonic() < deadline:
        for batch in client.poll(timeout_ms=200).values():
            records.extend(batch)
    return records


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_every_codec(bootstrap, name, codec):
    values = [f"{number} {'x' * (number % 100)}".encode() for number in range(1000)]
    places = produce(bootstrap, name, values, compression_type=codec)
    assert len(set(places)) == len(values)
    client = consumer(bootstrap, name, name)
    assert sorted(record.value for record in read(client, len(values))) == sorted(values)
    client.close()


def test_two_members_share_and_hand_over(bootstrap, name):
    produce(bootstrap, name, [b"x"] * 40)
    first = consumer(bootstrap, name, name)
    assert len(read(first, 40)) == 40
    first.commit()
    second = consumer(bootstrap, name, name)
    shares, stop = {}, threading.Event()

    def poll(which, client):
        while not stop.is_set():
            assert not client.poll(timeout_ms=100), "all was committed"
            shares[which] = len(client.assignment())

    threads = [threading.Thread(target=poll, args=pair) for pair in ((1, first), (2, second))]
    for thread in threads:
        thread.start()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and shares != {1: 2, 2: 2}:
        time.sleep(0.1)
    stop.set()
    for thread in threads:
        thread.join()
    assert shares == {1: 2, 2: 2}
    first.close()
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and len(second.assignment()) != 4:
        assert not second.poll(timeout_ms=100), "all was committed"
    produce(bootstrap, name, [b"y"] * 20)
    assert len(read(second, 20)) == 20 and len(second.assignment()) == 4
    second.close()


def test_committed_offsets_resume(bootstrap, name):
    produce(bootstrap, name, [str(number).encode() for number in range(30)])
    client = consumer(bootstrap, name, name, max_poll_records=10)
    first = read(client, 10)
    client.commit()
    client.close()
    client = consumer(bootstrap, name, name)
    rest = read(client, 30 - len(first))
    client.close()
    assert sorted(int(record.value) for record in first + rest) == list(range(30))


def test_commit_with_a_note(bootstrap, name):
    produce(bootstrap, name, [b"x"])
    client = KafkaConsumer(bootstrap_servers=bootstrap, group_id=name, enable_auto_commit=False)
    place = TopicPartition(name, 0)
    client.assign([place])
    note = ("note", -1) if len(Committed._fields) == 3 else ("note",)
    client.commit({place: OffsetAndMetadata(7, *note)})
    committed = client.committed(place, metadata=True)
    assert (committed.offset, committed.metadata) == (7, "note")
    client.close()


def test_offsets_by_time(bootstrap, name):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    admin.close()
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    for number in range(5):
        producer.send(name, b"x", timestamp_ms=1_700_000_000_000 + number * 1000).get(timeout=10)
    producer.close()
    client = KafkaConsumer(bootstrap_servers=bootstrap)
    place = TopicPartition(name, 0)
    assert client.offsets_for_times({place: 1_700_000_001_500})[place].offset == 2
    assert client.offsets_for_times({place: 1_800_000_000_000})[place] is None
    assert client.beginning_offsets([place]) == {place: 0} and client.end_offsets([place]) == {place: 5}
    client.close()


def test_an_idempotent_producer(bootstrap, name):
    values = [str(number).encode() for number in range(500)]
    places = produce(bootstrap, name, values, enable_idempotence=True)
    assert len(set(places)) == 500


def test_administration(bootstrap, name):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(name, num_partitions=2, replication_factor=1)])
    assert name in admin.list_topics()
    (described,) = admin.describe_topics([name])
    assert len(described["partitions"]) == 2
    client = consumer(bootstrap, name, name)
    client.poll(timeout_ms=2000)
    groups = admin.list_consumer_groups() if hasattr(admin, "list_consumer_groups") else admin.list_groups()
    assert any(name in str(group) for group in groups)
    client.close()
    admin.delete_topics([name])
    assert name not in admin.list_topics()
    admin.close()


def test_settings_of_topics(bootstrap, name):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(name, 1, 1, topic_configs={"retention.ms": "3600000"})])

    def settings():
        answers = admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        return {entry[0]: entry[1] for entry in answers[0].resources[0][4]}

    assert settings()["retention.ms"] == "3600000"
    usual = settings()["max.message.bytes"]
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"max.message.bytes": "2000"})])
    # The older way replaces all that was set.
    assert settings()["max.message.bytes"] == "2000" and settings()["retention.ms"] != "3600000"
    producer = KafkaProducer(bootstrap_servers=bootstrap)
    with pytest.raises(MessageSizeTooLargeError):
        producer.send(name, b"x" * 3000).get(timeout=10)
    admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {})])
    assert settings()["max.message.bytes"] == usual
    producer.send(name, b"x" * 3000).get(timeout=10)
    producer.close()
    with pytest.raises(KafkaError):
        admin.create_topics([NewTopic(f"{name}.no", 1, 1, topic_configs={"no.such.setting": "1"})])
    with pytest.raises(KafkaError):
        admin.create_topics([NewTopic("no/such/name", 1, 1)])
    with pytest.raises(TopicAlreadyExistsError):
        admin.create_topics([NewTopic(name, 1, 1)])
    admin.close()


def test_more_partitions_and_fewer_records(bootstrap, name):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    admin.create_topics([NewTopic(name, 1, 1)])
    produce(bootstrap, name, [b"x"] * 10)
    admin.create_partitions({name: NewPartitions(3)})
    (described,) = admin.describe_topics([name])
    assert sorted(partition["partition"] for partition in described["partitions"]) == [0, 1, 2]
    with pytest.raises(KafkaError):
        admin.create_partitions({name: NewPartitions(2)})
    place = TopicPartition(name, 0)
    admin.delete_records({place: 4})
    client = KafkaConsumer(bootstrap_servers=bootstrap)
    assert client.beginning_offsets([place]) == {place: 4} and client.end_offsets([place]) == {place: 10}
    client.close()
    admin.close()


def test_groups_and_their_offsets(bootstrap, name):
    admin = KafkaAdminClient(bootstrap_servers=bootstrap)
    produce(bootstrap, name, [b"x"] * 20)
    client = consumer(bootstrap, name, name)
    assert len(read(client, 20)) == 20
    client.commit()
    (described,) = admin.describe_consumer_groups([name])
    assert described.state == "Stable" and described.protocol_type == "consumer" and len(described.members) == 1
    assert name in str(described.members[0].member_metadata) and name in str(described.members[0].member_assignment)
    offsets = admin.list_consumer_group_offsets(name)
    assert sum(place.offset for place in offsets.values()) == 20
    assert dict(admin.delete_consumer_groups([name]))[name].errno == 68, "it has a member"
    client.close()
    assert dict(admin.delete_consumer_groups([name]))[name].errno == 0
    assert admin.list_consumer_group_offsets(name) == {}
    admin.close()
