"""The real Kafka clients against the embedded broker, or with BOOTSTRAP=host:port against any other."""

import os
import uuid

import pytest


@pytest.fixture(scope="session")
def bootstrap(request):
    given = os.environ.get("BOOTSTRAP")
    return given or request.getfixturevalue("running").bootstrap


@pytest.fixture
def name():
    """A name for topics and groups that nobody has used."""
    return f"it.{uuid.uuid4().hex[:12]}"
