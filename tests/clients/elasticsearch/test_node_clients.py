"""The clients of node programs. The steps are in the .mjs files."""

import os
import shutil
import subprocess
import uuid
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
@pytest.mark.skipif(not (HERE / "node_modules").exists(), reason="npm ci was not run here")
@pytest.mark.parametrize("script", ["elastic.mjs", "opensearch.mjs"])
def test_client(es_url, script):
    environment = {**os.environ, "ES_URL": es_url, "NAME": uuid.uuid4().hex[:8]}
    done = subprocess.run(["node", HERE / script], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
