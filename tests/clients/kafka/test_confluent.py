"""confluent-kafka, which is librdkafka: the client of most languages but Java."""

import threading
import time

import pytest
from confluent_kafka import (
    OFFSET_BEGINNING,
    Consumer,
    ConsumerGroupTopicPartitions,
    IsolationLevel,
    KafkaError,
    KafkaException,
    Producer,
    TopicCollection,
    TopicPartition,
)
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    NewTopic,
    OffsetSpec,
    ResourceType,
)


def produce(bootstrap, topic, values, **settings):
    """Produces and returns (partition, offset) of each in the order of `values`."""
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all", "linger.ms": 5, **settings})
    places = {}

    def delivered(index):
        def done(error, message):
            assert error is None, error
            places[index] = (message.partition(), message.offset())

        return done

    for index, value in enumerate(values):
        producer.produce(topic, value, key=str(index % 16), on_delivery=delivered(index))
        producer.poll(0)
    assert producer.flush(30) == 0
    return [places[index] for index in range(len(values))]


def consumer(bootstrap, group, **settings):
    return Consumer(
        {
            "bootstrap.servers": bootstrap,
            "group.id": group,
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 500,
            **settings,
        }
    )


def read(client, count, timeout=30):
    messages = []
    deadline = time.monotonic() + timeout
    while len(messages) < count and time.monotonic() < deadline:
        message = client.poll(0.2)
        if message is not None:
            assert message.error() is None, message.error()
            messages.append(message)
    return messages


@pytest.fixture
def admin(bootstrap):
    return AdminClient({"bootstrap.servers": bootstrap})


def done(futures):
    return {name: future.result(20) for name, future in futures.items()}


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
@pytest.mark.parametrize("idempotent", [False, True])
def test_every_codec_in_order_within_a_partition(bootstrap, name, codec, idempotent):
    values = [f"{number} {'x' * (number % 200)}" for number in range(3000)]
    settings = {"compression.type": codec, "enable.idempotence": idempotent}
    places = produce(bootstrap, name, values, **settings)
    assert len(set(places)) == len(values), "each has a place of its own"
    client = consumer(bootstrap, name)
    client.subscribe([name])
    seen = read(client, len(values))
    client.close()
    assert sorted(message.value().decode() for message in seen) == sorted(values)
    for partition in range(4):
        numbers = [int(m.value().split()[0]) for m in seen if m.partition() == partition]
        assert numbers == sorted(numbers)
        assert [m.offset() for m in seen if m.partition() == partition] == list(range(len(numbers)))


@pytest.mark.parametrize("acks", [0, 1])
def test_other_acks(bootstrap, name, acks):
    produce(bootstrap, name, ["warm up"], acks=1)
    producer = Producer({"bootstrap.servers": bootstrap, "acks": acks})
    for number in range(100):
        producer.produce(name, str(number))
    assert producer.flush(20) == 0
    client = consumer(bootstrap, name)
    client.subscribe([name])
    assert len(read(client, 101)) == 101
    client.close()


@pytest.mark.parametrize("strategy", ["range", "roundrobin", "cooperative-sticky"])
def test_two_members_share_and_hand_over(bootstrap, name, strategy):
    produce(bootstrap, name, [str(number) for number in range(100)])
    members = [consumer(bootstrap, name, **{"partition.assignment.strategy": strategy}) for _ in range(2)]
    first, second = members
    first.subscribe([name])
    seen = read(first, 100)
    assert len(seen) == 100 and len(first.assignment()) == 4
    first.commit(asynchronous=False)
    second.subscribe([name])

    def settle(condition):
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline and not condition():
            for member in members:
                message = member.poll(0.1)
                assert message is None, "all was committed"
        return [len(member.assignment()) for member in members]

    assert settle(lambda: [len(m.assignment()) for m in members] == [2, 2]) == [2, 2]
    first.close()
    members.remove(first)
    assert settle(lambda: len(second.assignment()) == 4) == [4]
    produce(bootstrap, name, [str(number) for number in range(100, 150)])
    assert len(read(second, 50)) == 50
    second.close()


def test_a_member_that_dies_is_replaced(bootstrap, name):
    produce(bootstrap, name, ["one"])
    static = {"group.instance.id": "stays", "session.timeout.ms": 6000}
    first = consumer(bootstrap, name, **static)
    first.subscribe([name])
    assert len(read(first, 1)) == 1
    first.commit(asynchronous=False)
    # The same instance again: it takes the place over at once, and the first is fenced off.
    second = consumer(bootstrap, name, **static)
    second.subscribe([name])
    produce(bootstrap, name, ["two"])
    assert [message.value() for message in read(second, 1)] == [b"two"]
    with pytest.raises(KafkaException) as fenced:
        for _ in range(50):
            message = first.poll(0.2)
            if message is not None and message.error():
                raise KafkaException(message.error())
    assert "fenced" in str(fenced.value)
    second.close()


def test_commits_survive_with_their_notes(bootstrap, name):
    produce(bootstrap, name, [str(number) for number in range(10)], partitioner="consistent")
    client = consumer(bootstrap, name)
    client.subscribe([name])
    read(client, 10)
    committed = client.commit(
        offsets=[TopicPartition(name, 0, 3, metadata="half way"), TopicPartition(name, 1, 1)], asynchronous=False
    )
    assert all(place.error is None for place in committed)
    client.close()
    again = consumer(bootstrap, name)
    places = again.committed([TopicPartition(name, partition) for partition in range(3)], timeout=10)
    assert [place.offset for place in places] == [3, 1, -1001]
    assert places[0].metadata == "half way"
    again.close()


def test_idempotent_producers_get_ids_of_their_own(bootstrap, name):
    settings = {"enable.idempotence": True}
    threads = [
        threading.Thread(target=produce, args=(bootstrap, name, [str(n) for n in range(200)]), kwargs=settings)
        for _ in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    client = consumer(bootstrap, name)
    client.subscribe([name])
    assert len(read(client, 800)) == 800 and read(client, 1, timeout=1) == []
    client.close()


def test_too_large_a_message_is_refused_and_the_rest_goes_on(bootstrap, name, admin):
    done(admin.create_topics([NewTopic(name, 1, config={"max.message.bytes": "2000"})]))
    outcomes = []
    producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "batch.num.messages": 1})
    for size in (100, 5000, 200):
        producer.produce(name, b"x" * size, on_delivery=lambda error, _: outcomes.append(error and error.code()))
        producer.flush(20)
    assert outcomes == [None, KafkaError.MSG_SIZE_TOO_LARGE, None]


def test_topics_are_made_described_changed_and_removed(bootstrap, name, admin):
    done(admin.create_topics([NewTopic(name, 3, 1, config={"retention.ms": "60000"})]))
    with pytest.raises(KafkaException) as twice:
        done(admin.create_topics([NewTopic(name, 3, 1)]))
    assert twice.value.args[0].code() == KafkaError.TOPIC_ALREADY_EXISTS
    with pytest.raises(KafkaException) as replicas:
        done(admin.create_topics([NewTopic(name + "x", 3, 3)]))
    assert replicas.value.args[0].code() == KafkaError.INVALID_REPLICATION_FACTOR
    with pytest.raises(KafkaException) as setting:
        done(admin.create_topics([NewTopic(name + "x", 3, 1, config={"no.such": "1"})]))
    assert setting.value.args[0].code() == KafkaError.INVALID_CONFIG
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 3
    done(admin.create_partitions([NewPartitions(name, 5)]))
    assert len(admin.list_topics(name, timeout=10).topics[name].partitions) == 5
    resource = ConfigResource(ResourceType.TOPIC, name)
    (settings,) = done(admin.describe_configs([resource])).values()
    assert settings["retention.ms"].value == "60000" and settings["cleanup.policy"].value == "delete"
    change = ConfigEntry("retention.bytes", "1000000", incremental_operation=AlterConfigOpType.SET)
    done(admin.incremental_alter_configs([ConfigResource(ResourceType.TOPIC, name, incremental_configs=[change])]))
    (settings,) = done(admin.describe_configs([resource])).values()
    assert (settings["retention.bytes"].value, settings["retention.ms"].value) == ("1000000", "60000")
    (broker,) = admin.list_topics(timeout=10).brokers
    (settings,) = done(admin.describe_configs([ConfigResource(ResourceType.BROKER, str(broker))])).values()
    assert settings["num.partitions"].value == "4"
    (topic,) = [f.result(10) for f in admin.describe_topics(TopicCollection([name])).values()]
    assert topic.name == name and len(topic.partitions) == 5
    done(admin.delete_topics([name]))
    assert name not in admin.list_topics(timeout=10).topics


def test_the_cluster_is_one_node(admin, bootstrap):
    cluster = admin.describe_cluster().result(10)
    assert cluster.cluster_id and len(cluster.nodes) == 1
    assert f"{cluster.nodes[0].host}:{cluster.nodes[0].port}" == bootstrap


def test_groups_are_listed_described_altered_and_removed(bootstrap, name, admin):
    produce(bootstrap, name, [str(number) for number in range(20)])
    client = consumer(bootstrap, name, **{"client.id": "the client"})
    client.subscribe([name])
    read(client, 20)
    client.commit(asynchronous=False)
    listed = {group.group_id: group for group in admin.list_consumer_groups().result(10).valid}
    assert listed[name].state.name == "STABLE"
    described = admin.describe_consumer_groups([name])[name].result(10)
    assert described.state.name == "STABLE" and described.partition_assignor == "range"
    (member,) = described.members
    assert member.client_id == "the client" and len(member.assignment.topic_partitions) == 4
    with pytest.raises(KafkaException) as living:
        done(admin.delete_consumer_groups([name]))
    assert living.value.args[0].code() == KafkaError.NON_EMPTY_GROUP
    client.close()
    assert admin.describe_consumer_groups([name])[name].result(10).state.name == "EMPTY"
    offsets = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(name)])[name].result(10)
    assert sum(place.offset for place in offsets.topic_partitions) == 20
    back = ConsumerGroupTopicPartitions(name, [TopicPartition(name, p, 0) for p in range(4)])
    admin.alter_consumer_group_offsets([back])[name].result(10)
    again = consumer(bootstrap, name)
    again.subscribe([name])
    assert len(read(again, 20)) == 20
    again.close()
    done(admin.delete_consumer_groups([name]))
    assert name not in {group.group_id for group in admin.list_consumer_groups().result(10).valid}


def test_offsets_by_time_and_ends(bootstrap, name, admin):
    done(admin.create_topics([NewTopic(name, 1)]))
    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(10):
        producer.produce(name, str(number), timestamp=1_700_000_000_000 + number * 1000)
        producer.flush(10)
    client = consumer(bootstrap, name)
    asked = [TopicPartition(name, 0, 1_700_000_000_000 + 4500)]
    assert client.offsets_for_times(asked, timeout=10)[0].offset == 5
    beyond = [TopicPartition(name, 0, 1_800_000_000_000)]
    assert client.offsets_for_times(beyond, timeout=10)[0].offset in (-1, 10)
    assert client.get_watermark_offsets(TopicPartition(name, 0), timeout=10) == (0, 10)
    place = TopicPartition(name, 0)
    latest = admin.list_offsets({place: OffsetSpec.latest()}, isolation_level=IsolationLevel.READ_COMMITTED)
    assert latest[place].result(10).offset == 10
    newest = admin.list_offsets({place: OffsetSpec.max_timestamp()})[place].result(10)
    assert (newest.offset, newest.timestamp) == (9, 1_700_000_009_000)
    batched = Producer({"bootstrap.servers": bootstrap, "linger.ms": 200})
    for moment in [1_700_000_100_000, 1_700_000_400_000, 1_700_000_250_000]:
        batched.produce(name, "in one batch", timestamp=moment)
    assert batched.flush(10) == 0
    newest = admin.list_offsets({place: OffsetSpec.max_timestamp()})[place].result(10)
    assert (newest.offset, newest.timestamp) == (11, 1_700_000_400_000)
    admin.delete_records([TopicPartition(name, 0, 4)])[TopicPartition(name, 0, 4)].result(10)
    assert client.get_watermark_offsets(TopicPartition(name, 0), timeout=10) == (4, 13)
    client.assign([TopicPartition(name, 0, OFFSET_BEGINNING)])
    assert [message.offset() for message in read(client, 9)] == list(range(4, 13))
    client.close()


def test_a_waiting_fetch_wakes_at_once(bootstrap, name):
    produce(bootstrap, name, ["warm up"])
    client = consumer(bootstrap, name, **{"fetch.wait.max.ms": 5000})
    client.subscribe([name])
    assert len(read(client, 1)) == 1
    delays = []
    for number in range(10):
        time.sleep(0.05)
        started = time.monotonic()
        threading.Thread(target=produce, args=(bootstrap, name, [str(number)]), kwargs={"linger.ms": 0}).start()
        assert len(read(client, 1)) == 1
        delays.append(time.monotonic() - started)
    client.close()
    assert sorted(delays)[5] < 0.5, delays


def test_large_messages(bootstrap, name):
    sizes = [1, 900_000, 3_000_000, 10]
    produce(bootstrap, name, [b"y" * size for size in sizes], **{"message.max.bytes": 8_000_000})
    client = consumer(bootstrap, name)
    client.subscribe([name])
    assert sorted(len(message.value()) for message in read(client, 4)) == sorted(sizes)
    client.close()
