"""A threshold rule fires a webhook, and its signature is that of Standard Webhooks."""

import base64
import hashlib
import hmac
import json
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import requests

from harness import wait_for


class Receiver:
    """A webhook receiver that answers 500 first and 200 afterwards, and keeps what it got."""

    def __init__(self):
        received = self.received = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):  # noqa: N802 - the name that http.server wants
                body = self.rfile.read(int(self.headers["content-length"]))
                received.append((dict(self.headers.items()), body))
                self.send_response(500 if len(received) == 1 else 200)
                self.end_headers()
                self.wfile.write(b"thank you")

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def receiver():
    receiver = Receiver()
    yield receiver
    receiver.server.shutdown()


def header(headers, name):
    return next(value for key, value in headers.items() if key.lower() == name)


def verify(secret, headers, body):
    signed = f"{header(headers, 'webhook-id')}.{header(headers, 'webhook-timestamp')}.".encode() + body
    key = base64.b64decode(secret.removeprefix("whsec_"))
    expected = "v1," + base64.b64encode(hmac.new(key, signed, hashlib.sha256).digest()).decode()
    assert expected in header(headers, "webhook-signature").split(" ")


def test_a_threshold_rule_fires_a_signed_webhook(logmill, receiver):
    logmill.start("demo").wait_ready()
    browser = requests.Session()
    browser.get(logmill.login_link(), timeout=10)
    session = browser.get(f"{logmill.dashboard_url}/api/session", timeout=10).json()
    assert session["user"]["role"] == "administrator"
    rule = {
        "name": "anything at all", "enabled": True, "type": "threshold",
        "scope": {"query": "log.level: *", "language": "kql", "filters": []},
        "window_s": 60, "every_s": 2, "threshold": {"op": ">", "value": 5}, "webhook": {"url": receiver.url},
    }
    refused = browser.post(f"{logmill.dashboard_url}/api/alerts/rules", json=rule, timeout=10)
    assert refused.status_code == 403, "without the CSRF token nothing is changed"
    browser.headers["x-csrf-token"] = session["csrf"]
    made = browser.post(f"{logmill.dashboard_url}/api/alerts/rules", json=rule, timeout=10)
    assert made.status_code in (200, 201), made.text
    secret = made.json()["secret"]

    # The receiver fails at first, so the second attempt (same id) is what gets through.
    first, second = wait_for("two attempts", lambda: len(receiver.received) >= 2 and receiver.received[:2], timeout=60)
    assert header(first[0], "webhook-id") == header(second[0], "webhook-id")
    for headers, body in (first, second):
        verify(secret, headers, body)
    event = json.loads(second[1])
    assert event["type"] == "alert.firing" and event["data"]["value"] > 5

    rules = browser.get(f"{logmill.dashboard_url}/api/alerts/rules", timeout=10).json()
    assert rules[0]["state"]["status"] == "firing" and secret not in json.dumps(rules)
    delivered = lambda: browser.get(f"{logmill.dashboard_url}/api/alerts/deliveries", timeout=10).json()[0]["status"] == "delivered"  # noqa: E731
    wait_for("the delivery log", delivered)


def test_the_api_is_closed_to_strangers(running):
    for path in ["fields", "alerts/rules", "status", "saved"]:
        assert requests.get(f"{running.dashboard_url}/api/{path}", timeout=10).status_code == 401, path
    assert requests.post(f"{running.dashboard_url}/api/search", json={}, timeout=10).status_code in (401, 403)
