"""What the tests share: running installations of the real program."""

import subprocess
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


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 48 MiB for the index alone."""
    folder = tmp_path / "data" / "indexer"
    folder.mkdir(parents=True)
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=48m", "tmpfs", str(folder)], capture_output=True)
    if mounted.returncode:
        pytest.skip("needs to be root, to make a small disk")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


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
