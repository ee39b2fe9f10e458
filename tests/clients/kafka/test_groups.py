"""Consumer groups as confluent-kafka lives in them: the classic protocol and the newer one (KIP-848)."""

import os
import signal
import subprocess
import sys
import time

import pytest
from confluent_kafka import (
    Consumer,
    ConsumerGroupState,
    ConsumerGroupTopicPartitions,
    ConsumerGroupType,
    KafkaError,
    KafkaException,
    Producer,
    TopicPartition,
)
from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

CLASSIC = {"session.timeout.ms": 6000, "heartbeat.interval.ms": 300}
NEWER = {"group.protocol": "consumer"}


@pytest.fixture
def admin(bootstrap):
    return AdminClient({"bootstrap.servers": bootstrap})


@pytest.fixture
def topic(admin, name):
    admin.create_topics([NewTopic(name, 6)])[name].result(20)
    return name


class Member:
    """A consumer with what it was told to read and to give up."""

    def __init__(self, bootstrap, group, topics, **settings):
        self.log = []
        self.client = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "topic.metadata.refresh.interval.ms": 1000,
                **settings,
            }
        )
        self.client.subscribe(
            topics,
            on_assign=lambda _, parts: self.log.append(("assign", places(parts))),
            on_revoke=lambda _, parts: self.log.append(("revoke", places(parts))),
            on_lost=lambda _, parts: self.log.append(("lost", places(parts))),
        )

    @property
    def has(self):
        return places(self.client.assignment())

    def close(self):
        self.client.close()


def places(parts):
    return {(part.topic, part.partition) for part in parts}


def poll(members, seconds=0.2, passing=()):
    messages = []
    for member in members:
        message = member.client.poll(seconds / len(members))
        if message is not None:
            if message.error() is not None and message.error().code() in passing:
                continue
            assert message.error() is None, message.error()
            messages.append(message)
    return messages


def until(members, condition, timeout=40, passing=()):
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, [(member.has, member.log) for member in members]
        poll(members, passing=passing)


def shared(members, count):
    """Everybody has an even share of `count` partitions, and nothing is read twice."""
    sizes = [len(member.has) for member in members]
    return sum(sizes) == count and max(sizes) - min(sizes) <= 1 and len(set.union(*(m.has for m in members))) == count


def produce(bootstrap, topic, count, partitions=6):
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for number in range(count):
        producer.produce(topic, str(number), partition=number % partitions)
    assert producer.flush(30) == 0


PROTOCOLS = pytest.mark.parametrize("settings", [CLASSIC, NEWER], ids=["classic", "consumer"])


@PROTOCOLS
def test_members_come_go_and_read_everything_once(bootstrap, topic, admin, settings):
    produce(bootstrap, topic, 60)
    members = [Member(bootstrap, topic, [topic], **settings)]
    read = []
    deadline = time.monotonic() + 30
    while len(read) < 60 and time.monotonic() < deadline:
        read += poll(members)
    assert sorted(int(message.value()) for message in read) == list(range(60))
    members[0].client.commit(asynchronous=False)
    members += [Member(bootstrap, topic, [topic], **settings) for _ in range(2)]
    until(members, lambda: shared(members, 6))
    members.pop().close()
    until(members, lambda: shared(members, 6))
    produce(bootstrap, topic, 60)
    read = []
    deadline = time.monotonic() + 30
    while len(read) < 60 and time.monotonic() < deadline:
        read += poll(members)
    assert sorted(int(message.value()) for message in read) == list(range(60)), "committed work is not done again"
    for member in members:
        member.client.commit(asynchronous=False)
        member.close()
    tell = admin.list_consumer_group_offsets([ConsumerGroupTopicPartitions(topic)])[topic].result(20)
    assert {part.offset for part in tell.topic_partitions} == {20}


COOPERATIVE = dict(CLASSIC, **{"partition.assignment.strategy": "cooperative-sticky"})


@pytest.mark.parametrize("settings", [COOPERATIVE, NEWER], ids=["cooperative", "consumer"])
def test_who_stays_keeps_reading_what_it_keeps(bootstrap, topic, settings):
    members = [Member(bootstrap, topic, [topic], **settings)]
    until(members, lambda: shared(members, 6))
    members.append(Member(bootstrap, topic, [topic], **settings))
    until(members, lambda: shared(members, 6))
    gave_up = [parts for what, parts in members[0].log if what == "revoke"]
    assert sum(map(len, gave_up)) == 3, "it gives up what the other gets and nothing else"
    for member in members:
        member.close()


@PROTOCOLS
def test_a_static_member_restarts_unnoticed(bootstrap, topic, settings):
    def start(number):
        return Member(bootstrap, topic, [topic], **settings, **{"group.instance.id": f"{topic}.{number}"})

    members = [start(0), start(1)]
    until(members, lambda: shared(members, 6))
    before, seen = members[1].has, len(members[0].log)
    members[1].close()
    poll(members[:1], 3)
    members[1] = start(1)
    until(members, lambda: members[1].has == before)
    assert len(members[0].log) == seen, "the other one has not noticed"
    for member in members:
        member.close()


def test_a_second_instance_of_the_same_name_fences_the_first(bootstrap, topic):
    settings = dict(CLASSIC, **{"group.instance.id": topic})
    first = Member(bootstrap, topic, [topic], **settings)
    until([first], lambda: len(first.has) == 6)
    second = Member(bootstrap, topic, [topic], **settings)
    until([second], lambda: len(second.has) == 6)
    deadline = time.monotonic() + 20
    with pytest.raises(KafkaException) as fenced:
        while time.monotonic() < deadline:
            message = first.client.poll(0.2)
            if message is not None and message.error() is not None:
                raise KafkaException(message.error())
    assert fenced.value.args[0].code() in (KafkaError.FENCED_INSTANCE_ID, KafkaError._FATAL)
    second.close()


@PROTOCOLS
def test_more_partitions_and_new_topics_are_found(bootstrap, topic, admin, settings):
    pattern = "^" + topic.replace(".", "[.]") + ".*"
    members = [Member(bootstrap, topic, [pattern], **settings) for _ in range(2)]
    until(members, lambda: shared(members, 6))
    admin.create_partitions([NewPartitions(topic, 8)])[topic].result(20)
    until(members, lambda: shared(members, 8))
    admin.create_topics([NewTopic(topic + ".more", 2)])[topic + ".more"].result(20)
    until(members, lambda: shared(members, 10))
    admin.delete_topics([topic + ".more"])[topic + ".more"].result(20)
    # Until they have heard of it they ask for what is gone, and say so.
    passing = {KafkaError.UNKNOWN_TOPIC_OR_PART, KafkaError._UNKNOWN_PARTITION}
    until(members, lambda: shared(members, 8), passing=passing)
    for member in members:
        member.close()


@pytest.mark.parametrize("assignor", ["range", "uniform"])
def test_the_broker_assigns_as_it_is_asked(bootstrap, topic, assignor):
    members = [Member(bootstrap, topic, [topic], **NEWER, **{"group.remote.assignor": assignor}) for _ in range(2)]
    until(members, lambda: shared(members, 6))
    if assignor == "range":
        halves = {frozenset(partition for _, partition in member.has) for member in members}
        assert halves == {frozenset({0, 1, 2}), frozenset({3, 4, 5})}
    for member in members:
        member.close()


def test_an_unknown_assignor_is_refused(bootstrap, topic):
    member = Member(bootstrap, topic, [topic], **NEWER, **{"group.remote.assignor": "best"})
    deadline = time.monotonic() + 20
    error = None
    while error is None and time.monotonic() < deadline:
        message = member.client.poll(0.2)
        error = message.error() if message is not None else None
    assert error is not None and "assignor" in str(error).lower(), error
    member.close()


@PROTOCOLS
def test_offsets_of_a_live_group_are_not_reset_and_those_of_an_empty_one_are(bootstrap, topic, admin, settings):
    produce(bootstrap, topic, 60)
    member = Member(bootstrap, topic, [topic], **settings)
    until([member], lambda: len(member.has) == 6)
    wanted = [ConsumerGroupTopicPartitions(topic, [TopicPartition(topic, 0, 3)])]

    def reset():
        return admin.alter_consumer_group_offsets(wanted)[topic].result(20)

    with pytest.raises(KafkaException) as refused:
        for part in reset().topic_partitions:
            if part.error:
                raise KafkaException(part.error)
    assert refused.value.args[0].code() == KafkaError.UNKNOWN_MEMBER_ID
    member.close()
    assert reset().topic_partitions[0].error is None
    again = Member(bootstrap, topic, [topic], **settings)
    until([again], lambda: len(again.has) == 6)
    position = again.client.committed([TopicPartition(topic, 0)], timeout=10)[0].offset
    assert position == 3
    again.close()


def test_groups_of_both_kinds_are_listed(bootstrap, topic, admin):
    classic = Member(bootstrap, topic + ".c", [topic], **CLASSIC)
    newer = Member(bootstrap, topic + ".n", [topic], **NEWER)
    until([classic, newer], lambda: len(classic.has) == 6 and len(newer.has) == 6)

    def listed(**filters):
        groups = admin.list_consumer_groups(**filters).result(20).valid
        return {group.group_id: group for group in groups if group.group_id.startswith(topic)}

    everything = listed()
    assert everything[topic + ".c"].type == ConsumerGroupType.CLASSIC
    assert everything[topic + ".n"].type == ConsumerGroupType.CONSUMER
    assert set(listed(types={ConsumerGroupType.CONSUMER})) == {topic + ".n"}
    assert set(listed(states={ConsumerGroupState.STABLE})) == set(everything)
    assert set(listed(states={ConsumerGroupState.EMPTY})) == set()
    with pytest.raises(KafkaException):
        admin.delete_consumer_groups([topic + ".n"])[topic + ".n"].result(20)
    classic.close()
    newer.close()
    assert set(listed(states={ConsumerGroupState.STABLE})) == set()


def test_an_empty_group_changes_its_kind_and_keeps_its_offsets(bootstrap, topic):
    produce(bootstrap, topic, 12)
    for settings in (CLASSIC, NEWER, CLASSIC):
        member = Member(bootstrap, topic, [topic], **settings)
        until([member], lambda: len(member.has) == 6)
        offsets = {part.offset for part in member.client.committed([TopicPartition(topic, 1)], timeout=10)}
        assert offsets <= {-1001, 2}
        member.client.commit(offsets=[TopicPartition(topic, 1, 2)], asynchronous=False)
        member.close()
    assert offsets == {2}


DYING = """
import sys, time
from confluent_kafka import Consumer
client = Consumer(dict(zip(sys.argv[2::2], sys.argv[3::2])))
client.subscribe([sys.argv[1]])
while True:
    client.poll(0.1)
    print(len(client.assignment()), flush=True)
"""


def test_a_killed_member_is_replaced_when_its_session_ends(bootstrap, topic):
    settings = {"bootstrap.servers": bootstrap, "group.id": topic, **CLASSIC}
    words = [str(word) for pair in settings.items() for word in pair]
    dying = subprocess.Popen([sys.executable, "-c", DYING, topic, *words], stdout=subprocess.PIPE, text=True)
    try:
        while dying.stdout.readline().strip() != "6":
            pass
        member = Member(bootstrap, topic, [topic], **CLASSIC)
        until([member], lambda: len(member.has) == 3)
    finally:
        os.kill(dying.pid, signal.SIGKILL)
        dying.wait()
    until([member], lambda: len(member.has) == 6)
    member.close()


def test_many_partitions_are_read_by_one(bootstrap, name, admin):
    """A busy partition beside three hundred quiet ones: every record comes, and the quiet ones are not starved."""
    admin.create_topics([NewTopic(name, 300)])[name].result(60)
    producer = Producer({"bootstrap.servers": bootstrap, "acks": "all"})
    for number in range(20_000):
        producer.produce(name, b"x" * 500, partition=0)
        if number % 1000 == 0:
            producer.poll(0)
    for partition in range(300):
        producer.produce(name, b"once", partition=partition)
    assert producer.flush(60) == 0
    member = Member(bootstrap, name, [name], **CLASSIC)
    counts = {}
    deadline = time.monotonic() + 60
    while sum(counts.values()) < 20_300 and time.monotonic() < deadline:
        for message in member.client.consume(1000, 0.5):
            counts[message.partition()] = counts.get(message.partition(), 0) + 1
    assert counts == {0: 20_001, **{partition: 1 for partition in range(1, 300)}}
    member.close()
