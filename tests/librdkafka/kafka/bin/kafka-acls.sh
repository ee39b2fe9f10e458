#!/usr/bin/env python3
"""What the suite asks of Kafka's own kafka-acls.sh: adds one rule for a topic."""

import argparse

from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

parser = argparse.ArgumentParser()
parser.add_argument("--bootstrap-server", required=True)
parser.add_argument("--add", action="store_true", required=True)
parser.add_argument("--topic", required=True)
parser.add_argument("--operation", required=True)
for kind in ["allow", "deny"]:
    parser.add_argument(f"--{kind}-principal")
    parser.add_argument(f"--{kind}-host", default="*")
given = parser.parse_args()

kind = "deny" if given.deny_principal else "allow"
rule = AclBinding(
    ResourceType.TOPIC,
    given.topic,
    ResourcePatternType.LITERAL,
    getattr(given, f"{kind}_principal"),
    getattr(given, f"{kind}_host"),
    AclOperation[given.operation.upper()],
    AclPermissionType[kind.upper()],
)
for answer in AdminClient({"bootstrap.servers": given.bootstrap_server}).create_acls([rule]).values():
    answer.result()
