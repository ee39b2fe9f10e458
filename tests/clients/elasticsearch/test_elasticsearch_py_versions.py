"""elasticsearch-py 8 and 9 through the same steps; 9 lies apart, because the two go by one name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent
APART = Path(__file__).resolve().parents[3] / "target/test-tools/es9"


@pytest.mark.parametrize("version", [8, 9])
def test_steps(es_url, version):
    environment = dict(os.environ)
    if version == 9:
        if not APART.exists():
            pytest.skip("elasticsearch-py 9 is not installed: tests/run does it")
        environment["PYTHONPATH"] = str(APART)
    told = f"import elasticsearch; assert elasticsearch.__version__[0] == {version}, elasticsearch.__version__"
    subprocess.run([sys.executable, "-c", told], env=environment, check=True, timeout=60)
    done = subprocess.run([sys.executable, HERE / "shared_steps.py", es_url], env=environment, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout + done.stderr
