"""Runs the real program for the tests: whole in one process, or a process a stage, on ports of their own."""

import json
import os
import re
import signal
import socket
import subprocess
import time
from pathlib import Path

import requests

ROOT = Path(__file__).resolve().parent.parent
BINARY = Path(os.environ.get("LOGMILL", ROOT / "target/release/logmill"))
STAGES = ["bus", "indexer", "dashboard", "processor", "shipper"]
LINE_ID = re.compile(r"lm\d{10}")


def free_ports(count):
    """Ports that nothing listens on now."""
    sockets = [socket.socket() for _ in range(count)]
    try:
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]
    finally:
        for each in sockets:
            each.close()


def wait_for(what, condition, timeout=30, every=0.1):
    """Waits until `condition()` is true and returns its value; an exception counts as not yet."""
    deadline = time.monotonic() + timeout
    last = None
    while time.monotonic() < deadline:
        try:
            value = condition()
            if value:
                return value
            last = value
        except Exception as error:  # noqa: BLE001 - whatever it is, it is not there yet
            last = error
        time.sleep(every)
    raise AssertionError(f"waited {timeout} s for {what}; last: {last!r}")


class Logmill:
    """One installation: a data folder, three ports, and the processes on them."""

    def __init__(self, folder, settings=None):
        self.folder = Path(folder)
        self.data = self.folder / "data"
        self.bus_port, self.indexer_port, self.dashboard_port = free_ports(3)
        self.settings = {
            "bus.listen": f"127.0.0.1:{self.bus_port}",
            "indexer.listen": f"127.0.0.1:{self.indexer_port}",
            "dashboard.listen": f"127.0.0.1:{self.dashboard_port}",
            **(settings or {}),
        }
        self.processes = {}

    @property
    def bootstrap(self):
        return f"127.0.0.1:{self.bus_port}"

    @property
    def es_url(self):
        return f"http://127.0.0.1:{self.indexer_port}"

    @property
    def dashboard_url(self):
        return f"http://127.0.0.1:{self.dashboard_port}"

    def command(self, *words):
        line = [str(BINARY), *words, "--data", str(self.data)]
        for key, value in self.settings.items():
            line += ["--set", f"{key}={value if isinstance(value, str) else json.dumps(value)}"]
        return line

    def start(self, *words):
        """Starts `logmill WORDS...`; its output goes to a file named after the first word."""
        log = open(self.folder / f"{words[0]}.log", "ab")
        self.processes[words[0]] = subprocess.Popen(
            self.command(*words), stdout=log, stderr=subprocess.STDOUT, cwd=self.folder
        )
        return self

    def start_stages(self):
        for stage in STAGES:
            self.start(stage)
        return self

    def run(self, *words, timeout=60, **kwargs):
        """Runs a command to its end and returns the completed process."""
        return subprocess.run(self.command(*words), capture_output=True, text=True, timeout=timeout, cwd=self.folder, **kwargs)

    def log(self, name):
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def wait_ready(self, timeout=60):
        """Until the dashboard's /healthz says that the whole chain is ready."""
        wait_for("the chain to be ready", lambda: requests.get(f"{self.dashboard_url}/healthz", timeout=2).status_code == 200, timeout)
        return self

    def kill(self, name):
        """kill -9."""
        process = self.processes.pop(name)
        process.kill()
        process.wait()

    def stop(self, name, timeout=40):
        """SIGTERM, and waits for the end; returns the exit code."""
        process = self.processes.pop(name)
        process.send_signal(signal.SIGTERM)
        try:
            return process.wait(timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            raise AssertionError(f"{name} did not stop within {timeout} s:\n{self.log(name)[-3000:]}") from None

    def stop_all(self):
        order = [name for name in ["generate", "shipper", "processor", "indexer", "dashboard", "bus"] if name in self.processes]
        for name in order + [name for name in list(self.processes) if name not in order]:
            self.stop(name)

    def close(self):
        for name in list(self.processes):
            self.kill(name)

    def login_link(self):
        """The link that the program prints at its first start."""
        link = re.compile(r"http://\S+token=\S+")

        def found():
            for name in self.processes:
                match = link.search(self.log(name))
                if match:
                    return match.group(0)
            return None

        return wait_for("the login link", found)

    def rss_bytes(self, name):
        status = Path(f"/proc/{self.processes[name].pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+) kB", status).group(1)) * 1024

    def cpu_seconds(self, name):
        fields = Path(f"/proc/{self.processes[name].pid}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def search(self, body=None, index="logs-*"):
        answer = requests.post(f"{self.es_url}/{index}/_search", json=body or {}, timeout=60)
        assert answer.status_code == 200, answer.text
        return answer.json()

    def count(self, query=None, index="logs-*"):
        answer = requests.post(f"{self.es_url}/{index}/_count", json={"query": query or {"match_all": {}}}, timeout=60)
        return answer.json()["count"] if answer.status_code == 200 else 0

    def all_sources(self, index="logs-*", page=5000):
        """Every stored event, by search_after."""
        after = None
        while True:
            body = {"size": page, "sort": [{"@timestamp": "asc"}, {"_doc": "asc"}], "query": {"match_all": {}}}
            if after:
                body["search_after"] = after
            hits = self.search(body, index)["hits"]["hits"]
            for hit in hits:
                yield hit["_source"]
            if len(hits) < page:
                return
            after = hits[-1]["sort"]

    def line_ids(self):
        """The id of every line in every stored event, as often as it is stored."""
        ids = []
        for source in self.all_sources():
            ids += ids_of(source)
        return ids


def compare_at_rest(installation, written, timeout):
    """`compare` once nothing has come for a while: the members of a group that were killed one after the other, brokers
    that began anew among them, hold up the living for some ten seconds each, so what is missing is waited for longer."""
    rest = {"count": -1, "since": time.monotonic()}

    def result():
        now = installation.count()
        if now != rest["count"]:
            rest.update(count=now, since=time.monotonic())
        still = time.monotonic() - rest["since"]
        if now == 0 or still < 15:
            return None
        found = compare(installation.line_ids(), written)
        return found if still > 60 or not found[0] else None

    return wait_for("the index to come to rest", result, timeout=timeout, every=1)


def start_without_inputs(folder):
    """The whole chain in one process that reads no files: for what comes in by its protocols."""
    installation = Logmill(folder)
    # With a configuration file the machine's own logs are not read.
    (installation.folder / "logmill.yml").write_text("log: {format: text}\n")
    return installation.start("up").wait_ready()


def ids_of(source):
    """The ids in one event. Pipelines copy lines into more fields (error.stack_trace, event.original), so an id counts
    as often as the field that repeats it most does."""
    most = {}

    def walk(value):
        if isinstance(value, dict):
            for inner in value.values():
                walk(inner)
        elif isinstance(value, list):
            for inner in value:
                walk(inner)
        elif isinstance(value, str):
            found = LINE_ID.findall(value)
            for each in found:
                most[each] = max(most.get(each, 0), found.count(each))

    walk(source)
    return [each for each, times in most.items() for _ in range(times)]


def ledger_ids(path):
    return [line.split("\t", 1)[0] for line in Path(path).read_text().splitlines()]


def compare(found, written):
    """(lost, doubled, invented) ids."""
    seen, doubled = set(), []
    for each in found:
        if each in seen:
            doubled.append(each)
        seen.add(each)
    expected = set(written)
    return sorted(expected - seen), doubled, sorted(seen - expected)
