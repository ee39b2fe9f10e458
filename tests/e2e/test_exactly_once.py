"""Exactly once under kill -9: whatever is killed whenever, every line is found once and no line twice."""

import os
import random
import time

import pytest

from harness import STAGES, compare_at_rest, ledger_ids, wait_for

RATE = int(os.environ.get("EXACTLY_ONCE_RATE", "5000"))
SECONDS = int(os.environ.get("EXACTLY_ONCE_SECONDS", "60"))
SEEDS = [int(seed) for seed in os.environ.get("EXACTLY_ONCE_SEEDS", "1").split(",")]

# A trace belongs to the line before it that begins with a date.
TRACES = {"pattern": r"^\d{4}-\d{2}-\d{2} ", "negate": True, "match": "after"}


def inputs(logs):
    plain = ["nginx", "payments", "syslog", "gateway"]
    return [{"type": "filestream", "id": name, "paths": [f"{logs}/{name}/*.log*"]} for name in plain] + [
        {"type": "filestream", "id": "shop", "paths": [f"{logs}/shop/*.log*"], "multiline": TRACES}
    ]


@pytest.mark.timeout(SECONDS * 3 + 400)
@pytest.mark.parametrize("seed", SEEDS)
def test_no_line_is_lost_or_doubled(logmill, tmp_path, seed):
    logs, ledger = tmp_path / "logs", tmp_path / "ledger.tsv"
    logmill.settings["shipper.inputs"] = inputs(logs)
    logmill.start_stages().wait_ready()
    # Small files, so that every kind is rotated many times; enough are kept that none goes before it was read.
    logmill.start(
        "generate", "--out", str(logs), "--ledger", str(ledger), "--rate", str(RATE), "--duration", f"{SECONDS}s",
        "--seed", str(seed), "--rotate-size", "1500000", "--keep", "500",
    )
    chance = random.Random(seed)
    killed = []
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(3)
        victim = chance.choice(STAGES)
        logmill.kill(victim)
        killed.append(victim)
        time.sleep(chance.uniform(0, 0.5))
        logmill.start(victim)
    assert logmill.processes.pop("generate").wait(60) == 0, logmill.log("generate")
    logmill.wait_ready()

    written = ledger_ids(ledger)
    assert len(written) >= RATE * SECONDS * 0.9, "the generator did not keep its rate"
    # Multi-line events hold several lines, so ids are counted, not events; when the count rests, it is over.
    lost, doubled, invented = compare_at_rest(logmill, written, timeout=240)
    print(f"seed {seed}: {len(written)} lines, {len(killed)} kills {killed}: lost {len(lost)}, doubled {len(doubled)}")
    assert (len(lost), len(doubled), len(invented)) == (0, 0, 0), (
        f"lost {lost[:10]} doubled {doubled[:10]} invented {invented[:10]} of {len(written)}; kills: {killed}"
    )


def test_a_stop_drains_and_a_start_goes_on(logmill, tmp_path):
    logs, ledger = tmp_path / "logs", tmp_path / "ledger.tsv"
    logmill.settings["shipper.inputs"] = inputs(logs)
    for part in range(2):
        logmill.start("up").wait_ready()
        done = logmill.run("generate", "--out", str(logs), "--ledger", str(tmp_path / f"ledger{part}.tsv"),
                           "--rate", "20000", "--lines", "20000", "--seed", str(part))
        assert done.returncode == 0, done.stderr
        wait_for("the first lines", lambda: logmill.count() > 0)
        assert logmill.stop("up") == 0, logmill.log("up")[-3000:]
    logmill.start("up").wait_ready()
    # Both runs count their lines from 0: every id is there twice, once a run.
    written = ledger_ids(tmp_path / "ledger0.tsv") + ledger_ids(tmp_path / "ledger1.tsv")
    found = wait_for("all lines", lambda: (ids := logmill.line_ids()) and len(ids) >= len(written) and ids, timeout=60, every=1)
    assert sorted(found) == sorted(written)
