"""rsyslog's omkafka: how many Linux machines send their logs to Kafka."""

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from confluent_kafka import Consumer

LINES = 2000
MODULES = [Path("/usr/lib/x86_64-linux-gnu/rsyslog"), Path("/usr/lib/aarch64-linux-gnu/rsyslog"), Path("/usr/lib64/rsyslog")]

CONFIGURATION = """
global(workDirectory="{work}" processInternalMessages="on")
module(load="imfile" mode="inotify")
module(load="omkafka")
template(name="line" type="string" string="%msg%")
template(name="key" type="string" string="%programname%")
input(type="imfile" file="{work}/app.log" tag="app" ruleset="send")
ruleset(name="send") {{
  action(type="omkafka" broker=["{host}"] topic="{topic}" template="line" dynaKey="off" key="app"
         confParam=["compression.codec={codec}", "acks=all", "enable.idempotence=true", "linger.ms=5"]
         topicConfParam=["message.timeout.ms=30000"]
         resubmitOnFailure="on" keepFailedMessages="on" failedMsgFile="{work}/failed")
}}
"""


@pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="rsyslogd is not installed (Debian: rsyslog)")
@pytest.mark.skipif(
    not any((folder / "omkafka.so").exists() for folder in MODULES),
    reason="omkafka is not installed (Debian: rsyslog-kafka)",
)
@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_lines_arrive_in_order(bootstrap, name, tmp_path, codec):
    log, configuration = tmp_path / "app.log", tmp_path / "rsyslog.conf"
    log.write_text("".join(f"line {number}\n" for number in range(LINES // 2)))
    configuration.write_text(CONFIGURATION.format(work=tmp_path, host=bootstrap, topic=name, codec=codec))
    checked = subprocess.run(["rsyslogd", "-N1", "-f", configuration], capture_output=True, text=True, timeout=30)
    if "enable.idempotence" in checked.stderr or checked.returncode:
        pytest.fail(checked.stderr)
    said = open(tmp_path / "said", "wb")
    daemon = subprocess.Popen(
        ["rsyslogd", "-n", "-f", configuration, "-i", tmp_path / "pid"], stdout=said, stderr=said
    )
    consumer = Consumer({"bootstrap.servers": bootstrap, "group.id": name, "auto.offset.reset": "earliest"})
    try:
        consumer.subscribe([name])
        found, written = [], LINES // 2
        deadline = time.monotonic() + 60
        while len(found) < LINES and time.monotonic() < deadline:
            message = consumer.poll(0.5)
            if message is not None and message.error() is None:
                assert message.key() == b"app"
                found.append(message.value().decode().strip())
            if len(found) == written == LINES // 2:
                # The second half, while it follows the file.
                with open(log, "a") as more:
                    more.write("".join(f"line {number}\n" for number in range(written, LINES)))
                written = LINES
        assert found == [f"line {number}" for number in range(LINES)], (tmp_path / "said").read_text()[-2000:]
    finally:
        consumer.close()
        daemon.terminate()
        daemon.wait(20)
