"""Starts `logmill demo` on ports of its own and runs the browser tests of this folder against it."""

import os
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent))

from harness import Logmill  # noqa: E402


def main():
    with tempfile.TemporaryDirectory(prefix="logmill-browser-") as folder:
        installation = Logmill(folder)
        try:
            installation.start("demo").wait_ready()
            environment = {
                **os.environ,
                "LOGMILL_URL": installation.dashboard_url,
                "LOGMILL_LOGIN_LINK": installation.login_link(),
            }
            tests = sorted(str(path) for path in HERE.glob("*.test.mjs"))
            assert tests, "there are no browser tests"
            return subprocess.run(["node", "--test", "--test-concurrency=1", *tests], env=environment, cwd=HERE, check=False).returncode
        finally:
            installation.close()


if __name__ == "__main__":
    sys.exit(main())
