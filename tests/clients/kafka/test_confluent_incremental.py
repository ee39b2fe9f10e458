"""confluent-kafka with incremental assignment: what a member keeps in a cooperative rebalance it goes on reading."""

import time

from confluent_kafka import Consumer, Producer, TopicPartition

PARTITIONS = 4


class Member:
    """A cooperative member that assigns and unassigns by itself, and remembers all it was told."""

    def __init__(self, bootstrap, group, topic):
        self.history, self.seen = [], []
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": group,
                "auto.offset.reset": "earliest",
                "enable.auto.commit": False,
                "session.timeout.ms": 6000,
                "heartbeat.interval.ms": 300,
                "partition.assignment.strategy": "cooperative-sticky",
            }
        )
        self.consumer.subscribe([topic], on_assign=self.assigned, on_revoke=self.revoked, on_lost=self.lost)

    def assigned(self, consumer, partitions):
        self.history.append(("assigned", {place.partition for place in partitions}))
        consumer.incremental_assign(partitions)

    def revoked(self, consumer, partitions):
        self.history.append(("revoked", {place.partition for place in partitions}))
        if places := consumer.position(partitions):
            consumer.commit(offsets=[place for place in places if place.offset >= 0] or None, asynchronous=False)
        consumer.incremental_unassign(partitions)

    def lost(self, consumer, partitions):
        self.history.append(("lost", {place.partition for place in partitions}))

    def has(self):
        return {place.partition for place in self.consumer.assignment()}

    def poll(self):
        message = self.consumer.poll(0.05)
        if message is not None:
            assert message.error() is None, message.error()
            self.seen.append((message.partition(), message.offset()))

    def changed(self, what):
        return set().union(*[partitions for each, partitions in self.history if each == what] or [set()])


def until(what, members, condition, seconds=30):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"{what}: {[member.history for member in members]}"
        for member in members:
            member.poll()


def write(bootstrap, topic, count):
    producer = Producer({"bootstrap.servers": bootstrap})
    for number in range(count):
        producer.produce(topic, str(number), partition=number % PARTITIONS)
    assert producer.flush(30) == 0


def test_only_what_moves_is_taken_away(bootstrap, name):
    write(bootstrap, name, 100)
    first = Member(bootstrap, name, name)
    until("all of it", [first], lambda: len(first.seen) == 100)
    assert first.changed("assigned") == {0, 1, 2, 3} and not first.changed("revoked")

    second = Member(bootstrap, name, name)
    both = [first, second]
    until("two shares of two", both, lambda: len(first.has()) == 2 == len(second.has()))
    assert first.changed("revoked") == second.has(), "what it keeps is never taken away"
    assert second.changed("assigned") == second.has()
    assert not second.seen and len(first.seen) == 100, "nothing is read again"
    kept = first.has()

    write(bootstrap, name, 100)
    until("the second hundred", both, lambda: len(first.seen) + len(second.seen) == 200)
    assert {partition for partition, _ in second.seen} == second.has()

    second.consumer.close()
    until("one share of four", [first], lambda: first.has() == {0, 1, 2, 3})
    assert first.history[-1] == ("assigned", {0, 1, 2, 3} - kept), "only what came is told"
    write(bootstrap, name, 100)
    until("the third hundred", [first], lambda: len(first.seen) + len(second.seen) == 300)
    seen = first.seen + second.seen
    assert len(set(seen)) == 300, "each once"
    assert not first.changed("lost") and not second.changed("lost")
    first.consumer.close()


def test_assignments_by_hand_grow_and_shrink(bootstrap, name):
    write(bootstrap, name, 40)
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": name, "enable.auto.commit": False})
    seen = {partition: 0 for partition in range(PARTITIONS)}

    def read(partitions, count):
        deadline = time.monotonic() + 20
        while sum(seen[partition] for partition in partitions) < count and time.monotonic() < deadline:
            message = consumer.poll(0.2)
            if message is not None and message.error() is None:
                seen[message.partition()] += 1

    consumer.incremental_assign([TopicPartition(name, 0, 0), TopicPartition(name, 1, 5)])
    read([0, 1], 15)
    assert seen == {0: 10, 1: 5, 2: 0, 3: 0}
    consumer.incremental_assign([TopicPartition(name, 2, 0)])
    read([2], 10)
    consumer.incremental_unassign([TopicPartition(name, 0)])
    assert sorted(place.partition for place in consumer.assignment()) == [1, 2]
    write(bootstrap, name, 40)
    read([1, 2], 35)
    assert seen == {0: 10, 1: 15, 2: 20, 3: 0}, "what stays goes on where it was"
    consumer.close()
