#!/usr/bin/env python3
"""What the suite asks of Kafka's own kafka-topics.sh: makes, widens and deletes a topic."""

import argparse

from confluent_kafka.admin import AdminClient, NewPartitions, NewTopic

parser = argparse.ArgumentParser()
parser.add_argument("--bootstrap-server", required=True)
what = parser.add_mutually_exclusive_group(required=True)
for verb in ["create", "alter", "delete"]:
    what.add_argument(f"--{verb}", action="store_true")
parser.add_argument("--topic", required=True)
parser.add_argument("--partitions", type=int, default=-1)
parser.add_argument("--replication-factor", type=int, default=-1)
parser.add_argument("--config", action="append", default=[])
given = parser.parse_args()

admin = AdminClient({"bootstrap.servers": given.bootstrap_server})
if given.create:
    config = dict(each.split("=", 1) for each in given.config)
    topic = NewTopic(given.topic, given.partitions, given.replication_factor, config=config)
    asked = admin.create_topics([topic], operation_timeout=10)
elif given.alter:
    asked = admin.create_partitions([NewPartitions(given.topic, given.partitions)], operation_timeout=10)
else:
    asked = admin.delete_topics([given.topic], operation_timeout=10)
for answer in asked.values():
    answer.result()
