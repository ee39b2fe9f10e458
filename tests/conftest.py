"""What the tests share: running installations of the real program."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from harness import Logmill, start_without_inputs  # noqa: E402


@pytest.fixture
def logmill(tmp_path):
    """An installation that is not running yet, in a folder of its own."""
    installation = Logmill(tmp_path)
    yield installation
    installation.close()


@pytest.fixture(scope="session")
def running(tmp_path_factory):
    """The whole chain in one process, shared by the tests of the client libraries."""
    installation = start_without_inputs(tmp_path_factory.mktemp("running"))
    yield installation
    installation.close()


@pytest.fixture(scope="session")
def bootstrap(running):
    return running.bootstrap


@pytest.fixture(scope="session")
def es_url(running):
    return running.es_url
