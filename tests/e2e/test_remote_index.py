"""`indexer.url`: an installation that keeps no store writes to another engine. Nothing is lost and nothing doubled,
whatever is killed whenever and whatever the engine answers."""

import gzip
import json
import random
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
from kafka import KafkaConsumer

from harness import Logmill, compare_at_rest, free_ports, ledger_ids, wait_for
from test_exactly_once import inputs

RATE, SECONDS = 3000, 30


@pytest.fixture
def remote(tmp_path):
    """The engine: another installation, of which only bus and indexer run."""
    (tmp_path / "engine").mkdir()
    engine = Logmill(tmp_path / "engine")
    yield engine
    engine.close()


def writer(logmill, url, **settings):
    logmill.settings.update({"indexer.url": url, **settings})
    return logmill


def stage(installation, name):
    """What a stage says of itself on /healthz."""
    stages = requests.get(f"{installation.es_url}/healthz", timeout=5).json()["stages"]
    return next(each for each in stages if each["stage"] == name)


@pytest.mark.timeout(300)
def test_exact_under_kills_of_writer_and_engine(logmill, remote, tmp_path):
    for part in ["bus", "indexer"]:
        remote.start(part)
    wait_for("the engine", lambda: requests.get(f"{remote.es_url}/", timeout=2).ok)
    logs, ledger = tmp_path / "logs", tmp_path / "ledger.tsv"
    writer(logmill, remote.es_url, **{"shipper.inputs": inputs(logs), "indexer.remote.batch_events": 500})
    logmill.start_stages().wait_ready()
    logmill.start("generate", "--out", str(logs), "--ledger", str(ledger), "--rate", str(RATE), "--duration", f"{SECONDS}s", "--seed", "7",
                  "--rotate-size", "1500000", "--keep", "500")
    chance, killed, end = random.Random(7), [], time.monotonic() + SECONDS
    while time.monotonic() < end:
        time.sleep(2)
        installation, victim = chance.choice([(logmill, "indexer"), (logmill, "indexer"), (remote, "indexer"), (remote, "bus"), (logmill, "bus")])
        installation.kill(victim)
        killed.append(f"{'writer' if installation is logmill else 'engine'}'s {victim}")
        time.sleep(chance.uniform(0, 0.5))
        installation.start(victim)
    assert logmill.processes.pop("generate").wait(60) == 0
    written = ledger_ids(ledger)
    lost, doubled, invented = compare_at_rest(remote, written, timeout=180)
    print(f"{len(written)} lines, kills: {killed}: lost {len(lost)}, doubled {len(doubled)}; {stage(logmill, 'indexer')['counters']}")
    assert (len(lost), len(doubled), len(invented)) == (0, 0, 0), (lost[:5], doubled[:5], invented[:5], killed)
    wait_for("no lag", lambda: stage(logmill, "indexer")["gauges"].get("lag_events") == 0)
    told = logmill.run("status").stdout
    assert "indexer    ready" in told, told


class Moody(BaseHTTPRequestHandler):
    """A small engine that answers as the test wants."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def answer(self, status, body, **headers):
        data = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", "content-length": str(len(data)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(data)

    def do_GET(self):
        self.answer(200 if self.path == "/" else 404, {"version": {"number": "8.17.0"}})

    def do_PUT(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.server.templates.append(self.path)
        self.answer(200, {"acknowledged": True})

    def do_POST(self):
        server, body = self.server, self.rfile.read(int(self.headers["content-length"]))
        lines = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        with server.lock:
            server.requests.append(time.monotonic())
            if server.busy > 0:
                server.busy -= 1
                return self.answer(429, {"error": {"type": "es_rejected_execution_exception", "reason": "full"}, "status": 429}, retry_after="1")
            if len(lines) // 2 > server.items_max:
                return self.answer(413, {"error": "too large"})
            items = []
            for action, document in zip(lines[::2], lines[1::2]):
                place = action["create"]["_id"]
                if document.get("message") == "poison":
                    status, error = 400, {"type": "document_parsing_exception", "reason": "not to my taste"}
                elif place in server.stored:
                    status, error = 409, {"type": "version_conflict_engine_exception", "reason": "there"}
                elif server.fussy and random.random() < 0.3:
                    status, error = 429, {"type": "es_rejected_execution_exception", "reason": "full"}
                else:
                    status, error = 201, None
                    server.stored[place] = (action["create"]["_index"], document)
                items.append({"create": {"status": status, **({"error": error} if error else {})}})
            self.answer(200, {"errors": any(item["create"]["status"] != 201 for item in items), "items": items})


@pytest.fixture
def moody():
    server = ThreadingHTTPServer(("127.0.0.1", free_ports(1)[0]), Moody)
    server.lock, server.requests, server.stored, server.templates = threading.Lock(), [], {}, []
    server.busy, server.items_max, server.fussy = 0, 10_000, False
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()


def send(logmill, values):
    from confluent_kafka import Producer

    producer = Producer({"bootstrap.servers": logmill.bootstrap})
    for value in values:
        producer.produce("logs.parsed", value, headers=[("logmill-index", b"logs-remote-default")])
    assert producer.flush(30) == 0


def test_a_moody_engine_gets_everything_once(logmill, moody):
    moody.busy, moody.items_max, moody.fussy = 5, 100, True
    writer(logmill, f"http://127.0.0.1:{moody.server_port}", **{"indexer.remote.batch_events": 400})
    logmill.start("bus").start("indexer")
    wait_for("the writer", lambda: stage(logmill, "indexer")["ready"])
    send(logmill, [json.dumps({"@timestamp": "2026-01-01T00:00:00Z", "n": n}) for n in range(2000)] + ["no JSON at all"])
    wait_for("all of it", lambda: len(moody.stored) == 2001, timeout=90)
    assert sorted(doc["n"] for _, doc in moody.stored.values() if "n" in doc) == list(range(2000))
    assert {index for index, _ in moody.stored.values()} == {"logs-remote-default"}
    assert [doc["message"] for _, doc in moody.stored.values() if "n" not in doc] == ["no JSON at all"]
    assert moody.templates == ["/_index_template/logmill-logs"]
    # While it was busy it was left alone for a second, as it had asked.
    assert moody.requests[3] - moody.requests[0] > 1
    wait_for("no lag", lambda: stage(logmill, "indexer")["gauges"].get("lag_events") == 0)


def test_what_is_refused_for_good_becomes_a_dead_letter(logmill, moody):
    writer(logmill, f"http://127.0.0.1:{moody.server_port}")
    logmill.start("bus").start("indexer")
    wait_for("the writer", lambda: stage(logmill, "indexer")["ready"])
    documents = [{"@timestamp": "2026-01-01T00:00:00Z", "message": message} for message in ["one", "poison", "two"]]
    send(logmill, [json.dumps(document) for document in documents])
    wait_for("the good ones", lambda: len(moody.stored) == 2)
    wait_for("the letter", lambda: stage(logmill, "indexer")["counters"].get("dead_letters") == 1)
    consumer = KafkaConsumer("logs.dead-letter", bootstrap_servers=logmill.bootstrap, auto_offset_reset="earliest", consumer_timeout_ms=15000)
    letter = json.loads(next(iter(consumer)).value)
    consumer.close()
    assert json.loads(letter["event"]["original"])["message"] == "poison"
    assert letter["error"]["message"] == "not to my taste"


def test_a_restart_goes_on_where_it_was(logmill, moody):
    writer(logmill, f"http://127.0.0.1:{moody.server_port}")
    logmill.start("bus").start("indexer")
    wait_for("the writer", lambda: stage(logmill, "indexer")["ready"])
    send(logmill, [json.dumps({"@timestamp": 1, "n": n}) for n in range(100)])
    wait_for("the first", lambda: len(moody.stored) == 100)
    assert logmill.stop("indexer") == 0
    moody.busy, before = 0, len(moody.requests)
    send(logmill, [json.dumps({"@timestamp": 1, "n": n}) for n in range(100, 200)])
    logmill.start("indexer")
    wait_for("the rest", lambda: len(moody.stored) == 200, timeout=40)
    assert stage(logmill, "indexer")["counters"].get("dropped_duplicates", 0) == 0, "what was committed is not sent again"
    assert len(moody.requests) > before


def test_other_requests_are_told_where_the_events_are(logmill, moody):
    url = f"http://127.0.0.1:{moody.server_port}"
    writer(logmill, url).start("bus").start("indexer")
    wait_for("metrics", lambda: requests.get(f"{logmill.es_url}/metrics", timeout=5).ok)
    answer = requests.post(f"{logmill.es_url}/logs-a/_bulk", data="{}", timeout=5)
    assert answer.status_code == 400 and url in answer.json()["error"]["reason"]
