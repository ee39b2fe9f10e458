"""Every scenario below this folder, against one running program; tests/README.md says how they are written."""

import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE))

import scenario  # noqa: E402

FILES = sorted(HERE.rglob("*.yml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(HERE)))
def test_scenario(path, es_url):
    scenario.run(scenario.read(path), es_url, str(path.relative_to(HERE)))
