"""@platformatic/kafka: the newer client of node programs. The steps are in platformatic.mjs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

HERE = Path(__file__).parent


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")
def test_platformatic(bootstrap, name):
    environment = {**os.environ, "BOOTSTRAP": bootstrap, "NAME": name}
    done = subprocess.run(
        ["node", HERE / "platformatic.mjs"], env=environment, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stdout + done.stderr
