#!/usr/bin/env python3
"""What the suite asks of Kafka's own kafka-acls.sh: adds or removes one rule for a topic."""

import argparse

from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

parser = argparse.ArgumentParser()
parser.add_argument("--bootstrap-server", required=True)
what = parser.add_mutually_exclusive_group(required=True)
what.add_argument("--add", action="store_true")
what.add_argument("--remove", action="store_true")
parser.add_argument("--force", action="store_true", help="asks no questions, as ever")
parser.add_argument("--topic", required=True)
parser.add_argument("--operation", required=True)
for kind in ["allow", "deny"]:
    parser.add_argument(f"--{kind}-principal")
    parser.add_argument(f"--{kind}-host", default="*")
given = parser.parse_args()

kind = "deny" if given.deny_principal else "allow"
rule = (AclBinding if given.add else AclBindingFilter)(
    ResourceType.TOPIC,
    given.topic,
    ResourcePatternType.LITERAL,
    getattr(given, f"{kind}_principal"),
    getattr(given, f"{kind}_host"),
    AclOperation[given.operation.upper()],
    AclPermissionType[kind.upper()],
)
admin = AdminClient({"bootstrap.servers": given.bootstrap_server})
for answer in (admin.create_acls if given.add else admin.delete_acls)([rule]).values():
    answer.result()
