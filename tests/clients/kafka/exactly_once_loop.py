"""Not a test: the consume-process-produce loop that test_exactly_once_loop.py kills. BOOTSTRAP, INPUT, OUTPUT."""

import logging
import os

from confluent_kafka import Consumer, KafkaException, Producer

QUIET = logging.getLogger("librdkafka, quietly")
QUIET.setLevel(logging.CRITICAL)
COMMON = {
    "bootstrap.servers": os.environ["BOOTSTRAP"],
    "reconnect.backoff.ms": 20,
    "reconnect.backoff.max.ms": 200,
    "error_cb": lambda error: None,
    "logger": QUIET,
}


def begin():
    producer = Producer({**COMMON, "transactional.id": os.environ["OUTPUT"], "transaction.timeout.ms": 20_000})
    producer.init_transactions(60)
    consumer = Consumer(
        {
            **COMMON,
            "group.id": os.environ["OUTPUT"],
            "isolation.level": "read_committed",
            "auto.offset.reset": "earliest",
            "enable.auto.commit": False,
            # The member that was killed must be found dead soon, or nothing moves between kills.
            "session.timeout.ms": 6000,
            "heartbeat.interval.ms": 300,
            "group.instance.id": "loop",
        }
    )
    consumer.subscribe([os.environ["INPUT"]])
    return producer, consumer


def step(producer, consumer):
    messages = [message for message in consumer.consume(40, timeout=0.05) if message.error() is None]
    if not messages:
        return
    producer.begin_transaction()
    for message in messages:
        producer.produce(os.environ["OUTPUT"], message.value(), key=message.value())
        producer.poll(0)
    places = consumer.position(consumer.assignment())
    producer.send_offsets_to_transaction([p for p in places if p.offset >= 0], consumer.consumer_group_metadata(), 30)
    producer.commit_transaction(30)
    print(len(messages), flush=True)


def rewind(consumer):
    """Back to what is committed: the transaction that read on has been aborted."""
    for place in consumer.committed(consumer.assignment(), timeout=30):
        place.offset = max(place.offset, 0)
        consumer.seek(place)


def main():
    while True:
        producer, consumer = begin()
        while True:
            try:
                step(producer, consumer)
            except KafkaException as failure:
                error = failure.args[0]
                try:
                    if error.retriable() and not error.txn_requires_abort():
                        # The commit's outcome is not known yet: it is asked for again.
                        producer.commit_transaction(30)
                        continue
                    if error.fatal() or not error.txn_requires_abort():
                        raise failure
                    producer.abort_transaction(30)
                    rewind(consumer)
                except KafkaException:
                    break
        consumer.close()


main()
