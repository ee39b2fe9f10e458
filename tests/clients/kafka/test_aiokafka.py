"""aiokafka: the client of asyncio programs."""

import asyncio

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRebalanceListener, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewPartitions, NewTopic
from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType
from aiokafka.errors import MessageSizeTooLargeError
from aiokafka.structs import OffsetAndMetadata


def run(steps):
    return asyncio.run(asyncio.wait_for(steps, 120))


async def produce(bootstrap, topic, values, **settings):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", linger_ms=5, **settings) as producer:
        sent = [await producer.send(topic, value, key=str(at % 16).encode()) for at, value in enumerate(values)]
        places = await asyncio.gather(*sent)
    return [(place.partition, place.offset) for place in places]


def member(bootstrap, group, *topics, **settings):
    return AIOKafkaConsumer(
        *topics,
        bootstrap_servers=bootstrap,
        group_id=group,
        auto_offset_reset="earliest",
        enable_auto_commit=False,
        session_timeout_ms=6000,
        heartbeat_interval_ms=500,
        **settings,
    )


async def read(consumer, count, seconds=30):
    records = []

    async def take():
        while len(records) < count:
            for batch in (await consumer.getmany(timeout_ms=200)).values():
                records.extend(batch)

    await asyncio.wait_for(take(), seconds)
    return records


@pytest.mark.parametrize("codec", [None, "gzip", "snappy", "lz4", "zstd"])
def test_every_codec_with_an_idempotent_producer(bootstrap, name, codec):
    async def steps():
        values = [f"{number} {'x' * (number % 100)}".encode() for number in range(1000)]
        places = await produce(bootstrap, name, values, compression_type=codec, enable_idempotence=True)
        assert len(set(places)) == len(values)
        async with member(bootstrap, name, name) as consumer:
            records = await read(consumer, len(values))
        assert sorted(record.value for record in records) == sorted(values)
        by_partition = {}
        for record in records:
            assert by_partition.get(record.partition, -1) == record.offset - 1
            by_partition[record.partition] = record.offset

    run(steps())


def test_two_members_share_and_hand_over(bootstrap, name):
    class Listener(ConsumerRebalanceListener):
        def __init__(self):
            self.revoked, self.assigned = 0, 0

        async def on_partitions_revoked(self, revoked):
            self.revoked += 1

        async def on_partitions_assigned(self, assigned):
            self.assigned += 1

    async def until(what, condition):
        for _ in range(600):
            if condition():
                return
            await asyncio.sleep(0.05)
        raise AssertionError(what)

    async def steps():
        await produce(bootstrap, name, [b"x"] * 40)
        listener = Listener()
        first, second = member(bootstrap, name), member(bootstrap, name, name)
        first.subscribe([name], listener=listener)
        await first.start()
        assert len(await read(first, 40)) == 40
        await first.commit()
        await second.start()
        await until("two shares of two", lambda: len(first.assignment()) == 2 == len(second.assignment()))
        await until("the listener to hear of it", lambda: listener.assigned >= 2 and listener.revoked >= 1)
        assert not first.assignment() & second.assignment()
        await first.stop()
        await until("one share of four", lambda: len(second.assignment()) == 4)
        await produce(bootstrap, name, [b"y"] * 20)
        assert [record.value for record in await read(second, 20)] == [b"y"] * 20
        await second.stop()

    run(steps())


def test_commits_seeks_and_times(bootstrap, name):
    async def steps():
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        await admin.create_topics([NewTopic(name, 1, 1)])
        await admin.close()
        place = TopicPartition(name, 0)
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            for number in range(10):
                await producer.send_and_wait(name, str(number).encode(), timestamp_ms=1_700_000_000_000 + number * 1000)
        async with member(bootstrap, name) as consumer:
            consumer.assign([place])
            await consumer.commit({place: OffsetAndMetadata(7, "note")})
            assert await consumer.committed(place) == 7
            assert await consumer.beginning_offsets([place]) == {place: 0}
            assert await consumer.end_offsets([place]) == {place: 10}
            found = await consumer.offsets_for_times({place: 1_700_000_002_500})
            assert found[place].offset == 3
            consumer.seek(place, 5)
            assert [record.offset for record in await read(consumer, 5)] == [5, 6, 7, 8, 9]
            await consumer.seek_to_beginning(place)
            assert (await consumer.getone()).offset == 0
        async with member(bootstrap, name, name) as consumer:
            assert [record.offset for record in await read(consumer, 3)] == [7, 8, 9]

    run(steps())


def test_batches_of_ones_own(bootstrap, name):
    async def steps():
        async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
            batch = producer.create_batch()
            for number in range(10):
                assert batch.append(key=None, value=str(number).encode(), timestamp=None)
            place = await (await producer.send_batch(batch, name, partition=0))
            assert place.offset == 0
            try:
                await producer.send_and_wait(name, b"x" * (2 << 20))
                raise AssertionError("the client takes no record beyond its own limit")
            except MessageSizeTooLargeError:
                pass

    run(steps())


def test_administration(bootstrap, name):
    async def steps():
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
        await admin.start()
        made = await admin.create_topics([NewTopic(name, 2, 1, topic_configs={"retention.ms": "3600000"})])
        assert made.topic_errors[0][1] == 0
        again = await admin.create_topics([NewTopic(name, 2, 1)])
        assert again.topic_errors[0][1] == 36, "there is one of that name"
        assert name in await admin.list_topics()
        (described,) = await admin.describe_topics([name])
        assert len(described["partitions"]) == 2
        await admin.create_partitions({name: NewPartitions(5)})
        (described,) = await admin.describe_topics([name])
        assert len(described["partitions"]) == 5
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        settings = {entry[0]: entry[1] for entry in answer.resources[0][4]}
        assert settings["retention.ms"] == "3600000"
        await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, name, {"retention.ms": "7200000"})])
        (answer,) = await admin.describe_configs([ConfigResource(ConfigResourceType.TOPIC, name)])
        assert {entry[0]: entry[1] for entry in answer.resources[0][4]}["retention.ms"] == "7200000"
        await produce(bootstrap, name, [b"x"] * 20)
        async with member(bootstrap, name, name) as consumer:
            await read(consumer, 20)
            await consumer.commit()
            groups = await admin.list_consumer_groups()
            assert name in [group[0] for group in groups]
            (group,) = (await admin.describe_consumer_groups([name]))[0].groups
            assert group[2] == "Stable" and len(group[5]) == 1
        offsets = await admin.list_consumer_group_offsets(name)
        assert sum(place.offset for place in offsets.values()) == 20
        await admin.delete_topics([name])
        assert name not in await admin.list_topics()
        await admin.close()

    run(steps())
