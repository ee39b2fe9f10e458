"""rsyslog's omelasticsearch: how Linux machines send their logs to Elasticsearch."""

import shutil
import subprocess
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests

from harness import wait_for

LINES = 2000
MODULES = [Path("/usr/lib/x86_64-linux-gnu/rsyslog"), Path("/usr/lib/aarch64-linux-gnu/rsyslog"), Path("/usr/lib64/rsyslog")]

CONFIGURATION = """
global(workDirectory="{work}" processInternalMessages="on")
module(load="imfile" mode="inotify")
module(load="omelasticsearch")
template(name="event" type="list" option.jsonf="on") {{
  property(outname="@timestamp" name="timereported" dateFormat="rfc3339" format="jsonf")
  property(outname="host" name="hostname" format="jsonf")
  property(outname="message" name="msg" format="jsonf")
}}
template(name="index" type="string" string="{index}")
template(name="id" type="string" string="%msg:F,32:2%")
input(type="imfile" file="{work}/app.log" tag="app" ruleset="send")
ruleset(name="send") {{
  action(type="omelasticsearch" server="{host}" serverport="{port}" template="event" searchIndex="index" dynSearchIndex="on"
         searchType="" bulkmode="on" maxbytes="64k" queue.type="linkedlist" queue.dequeueBatchSize="200"
         bulkid="id" dynbulkid="on" writeoperation="create" errorfile="{work}/errors" action.resumeretrycount="-1")
}}
"""


@pytest.mark.skipif(shutil.which("rsyslogd") is None, reason="rsyslogd is not installed (Debian: rsyslog)")
@pytest.mark.skipif(
    not any((folder / "omelasticsearch.so").exists() for folder in MODULES),
    reason="omelasticsearch is not installed (Debian: rsyslog-elasticsearch)",
)
def test_lines_arrive(es_url, tmp_path):
    index, place = "logs-rsyslog-default", urlsplit(es_url)
    configuration = tmp_path / "rsyslog.conf"
    (tmp_path / "app.log").write_text("".join(f"line {number}\n" for number in range(LINES)))
    configuration.write_text(CONFIGURATION.format(work=tmp_path, host=place.hostname, port=place.port, index=index))
    with open(tmp_path / "said", "wb") as said:
        daemon = subprocess.Popen(["rsyslogd", "-n", "-f", configuration, "-i", tmp_path / "pid"], stdout=said, stderr=said)
    try:
        count = lambda: requests.get(f"{es_url}/{index}/_count", timeout=10).json().get("count") == LINES  # noqa: E731
        wait_for("all lines", count, timeout=60)
    except AssertionError as error:
        errors = tmp_path / "errors"
        raise AssertionError(f"{error}\n{(tmp_path / 'said').read_text()[-1500:]}\n{errors.read_text()[-1500:] if errors.exists() else ''}") from None
    finally:
        daemon.terminate()
        daemon.wait(20)
    body = {"query": {"match_phrase": {"message": "line 1234"}}}
    hits = requests.post(f"{es_url}/{index}/_search", json=body, timeout=10).json()["hits"]["hits"]
    assert [hit["_source"]["message"].strip() for hit in hits] == ["line 1234"]
    assert not (tmp_path / "errors").exists(), (tmp_path / "errors").read_text()[:1000]
