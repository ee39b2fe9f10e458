"""TLS, logins and rights of the API, by elasticsearch-py and by plain requests; and that Logmill's own parts still get in."""

import base64
import json
import subprocess

import pytest
import requests
from elasticsearch import AuthenticationException, AuthorizationException, Elasticsearch, helpers

from harness import Logmill, wait_for

NDJSON = {"Content-Type": "application/x-ndjson"}


def certify(folder):
    """An authority, and a certificate of it for this machine."""
    (folder / "names").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1\nbasicConstraints=CA:FALSE\n")
    for words in [
        "req -x509 -newkey rsa:2048 -nodes -keyout ca.key -out ca.pem -days 2 -subj /CN=authority",
        "req -newkey rsa:2048 -nodes -keyout key.pem -out request.pem -subj /CN=localhost",
        "x509 -req -in request.pem -CA ca.pem -CAkey ca.key -CAcreateserial -out cert.pem -days 2 -extfile names",
    ]:
        subprocess.run(["openssl", *words.split()], cwd=folder, check=True, capture_output=True)


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    """The whole chain in one process, with TLS and logins on the API."""
    folder = tmp_path_factory.mktemp("secured")
    certify(folder)
    (folder / "logmill.yml").write_text("log: {format: text}\n")
    (folder / "password").write_text("geheim\n")
    installation = Logmill(folder)
    installation.settings.update({
        "indexer.tls": {"certificate": str(folder / "cert.pem"), "key": str(folder / "key.pem")},
        "indexer.auth": {
            "users": [
                {"name": "root", "password_file": str(folder / "password"), "roles": ["admin"]},
                {"name": "shop", "password": "laden", "roles": ["shop"]},
            ],
            "api_keys": [{"id": "shipper", "key": "k3y", "roles": ["writer"]}],
            "roles": {"shop": {"indices": ["logs-shop-*"], "privileges": ["read"]}},
        },
        "indexer.client": {"username": "root", "password": "geheim", "tls": {"ca": str(folder / "ca.pem")}},
    })
    installation.start("up").wait_ready()
    installation.url, installation.ca = f"https://localhost:{installation.indexer_port}", str(folder / "ca.pem")
    yield installation
    installation.close()


def client(secured, **login):
    return Elasticsearch(secured.url, ca_certs=secured.ca, request_timeout=30, **login)


def test_nobody_comes_in_unasked(secured):
    answer = requests.get(f"{secured.url}/", verify=secured.ca, timeout=10)
    assert answer.status_code == 401 and answer.json()["error"]["type"] == "security_exception"
    assert 'Basic realm="logmill"' in answer.headers["www-authenticate"] and "ApiKey" in answer.headers["www-authenticate"]
    assert requests.get(f"{secured.url}/metrics", verify=secured.ca, timeout=10).status_code == 401
    assert requests.get(f"{secured.url}/healthz", verify=secured.ca, timeout=10).json() == {"ready": True}
    with pytest.raises(requests.exceptions.RequestException):
        requests.get(f"http://localhost:{secured.indexer_port}/", timeout=10)
    with pytest.raises(AuthenticationException):
        client(secured, basic_auth=("root", "falsch")).info()


def test_rights_by_index(secured):
    root, shop = client(secured, basic_auth=("root", "geheim")), client(secured, basic_auth=("shop", "laden"))
    for index in ["logs-shop-default", "logs-bank-default"]:
        assert helpers.bulk(root, [{"_op_type": "create", "_index": index, "@timestamp": "2026-01-01T00:00:00Z", "n": 1}], refresh="wait_for")[0] == 1
    assert shop.count(index="logs-shop-*")["count"] == 1
    assert shop.info()["tagline"] and shop.security.authenticate()["username"] == "shop"
    for forbidden in [
        lambda: shop.count(index="logs-bank-default"),
        lambda: shop.search(),
        lambda: shop.search(index="logs-*"),
        lambda: shop.index(index="logs-shop-default", document={"n": 2}),
        lambda: shop.indices.delete(index="logs-shop-default"),
        lambda: shop.msearch(searches=[{"index": "logs-shop-default"}, {}, {"index": "logs-bank-default"}, {}]),
        lambda: shop.mget(docs=[{"_index": "logs-bank-default", "_id": "1"}]),
        lambda: shop.bulk(operations=[{"create": {"_index": "logs-shop-default"}}, {"n": 1}]),
    ]:
        with pytest.raises(AuthorizationException):
            forbidden()
    responses = shop.msearch(searches=[{"index": "logs-shop-default"}, {"size": 0}])["responses"]
    assert responses[0]["hits"]["total"]["value"] == 1


def test_keys_write_and_do_not_read(secured):
    key = base64.b64encode(b"shipper:k3y").decode()
    shipper = client(secured, api_key=key)
    lines = json.dumps({"create": {"_index": "logs-key-default"}}) + "\n" + json.dumps({"n": 1}) + "\n"
    assert not shipper.bulk(operations=lines.splitlines()).body["errors"]
    with pytest.raises(AuthorizationException):
        shipper.search(index="logs-key-default")
    assert shipper.security.authenticate()["authentication_type"] == "api_key"


def test_our_own_parts_come_in(secured):
    wait_for("the dashboard", lambda: requests.get(f"{secured.dashboard_url}/healthz", timeout=5).ok)
    secured.settings["indexer.advertised"] = f"localhost:{secured.indexer_port}"
    done = secured.run("search", "--from", "2020-01-01", "--index", "logs-shop-default", "--json")
    assert done.returncode == 0, done.stderr
    assert '"n":1' in done.stdout


def test_it_may_leave_loopback_only_with_both(logmill):
    logmill.settings["indexer.listen"] = "0.0.0.0:0"
    done = logmill.run("indexer")
    assert done.returncode != 0 and "reachable from other machines without TLS and authentication" in done.stderr + done.stdout
