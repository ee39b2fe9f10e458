"""TLS, logins and access rules, as real clients meet them: each listener of a bus of its own, right and wrong."""

import base64
import json
import shutil
import subprocess
import time

import pytest
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AclBinding,
    AclBindingFilter,
    AclOperation,
    AclPermissionType,
    AdminClient,
    NewTopic,
    ResourcePatternType,
    ResourceType,
    ScramCredentialInfo,
    ScramMechanism,
    UserScramCredentialDeletion,
    UserScramCredentialUpsertion,
)
from harness import Logmill, free_ports, wait_for
from kafka import KafkaAdminClient, KafkaProducer

pytestmark = pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl makes the certificates")

PASSWORDS = {"root": "root-geheim", "alice": "alice-geheim, with = and ,", "bob": "bob-geheim"}
NEW_PASSWORD = "made-geheim"
ISSUER = "https://issuer.example"
MECHANISMS = ["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"]


def openssl(folder, *words, stdin=None):
    done = subprocess.run(["openssl", *words], cwd=folder, input=stdin, capture_output=True, timeout=60)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout


def authority(folder, name="ca"):
    key = ["-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.pem"]
    openssl(folder, "req", "-x509", *key, "-days", "2", "-subj", f"/CN={name}")


def certificate(folder, name, subject, by="ca"):
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", subject)
    (folder / f"{name}.ext").write_text("subjectAltName=IP:127.0.0.1,DNS:localhost\n")
    signed = ["-CA", f"{by}.pem", "-CAkey", f"{by}.key", "-CAcreateserial", "-extfile", f"{name}.ext"]
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.pem", "-days", "2", *signed)


def base64url(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def token(folder, lifetime_s=600, **claims):
    """A token as the issuer would make it, signed by the key of the set (or by `by`)."""
    now = int(time.time())
    said = {"iss": ISSUER, "aud": "bus", "sub": "carol", "iat": now - 60, "exp": now + lifetime_s}
    by = claims.pop("by", "issuer")
    parts = [{"alg": "RS256", "kid": "one"}, {**said, **claims}]
    signed = ".".join(base64url(json.dumps(part).encode()) for part in parts)
    signature = openssl(folder, "dgst", "-sha256", "-sign", f"{by}.key", stdin=signed.encode())
    return f"{signed}.{base64url(signature)}"


class Secured(Logmill):
    """A bus with three listeners: logins without TLS, logins with TLS, and certificates alone."""

    def __init__(self, folder):
        self.ports = dict(zip(["plain", "tls", "mutual"], free_ports(3)))
        authority(folder)
        authority(folder, "stranger")
        certificate(folder, "server", "/CN=localhost")
        certificate(folder, "shipper", "/O=Example, Inc./OU=logs/CN=shipper")
        certificate(folder, "foreign", "/CN=shipper", by="stranger")
        for key in ["issuer", "another"]:
            openssl(folder, "genrsa", "-out", f"{key}.key", "2048")
        modulus = openssl(folder, "rsa", "-in", "issuer.key", "-noout", "-modulus").decode().strip().split("=")[1]
        key = {"kty": "RSA", "kid": "one", "n": base64url(bytes.fromhex(modulus)), "e": "AQAB", "use": "sig"}
        (folder / "jwks.json").write_text(json.dumps({"keys": [key]}))
        (folder / "bob.password").write_text(PASSWORDS["bob"] + "\n")
        tls = {"certificate": str(folder / "server.pem"), "key": str(folder / "server.key")}
        mutual = {**tls, "client_ca": str(folder / "ca.pem"), "client_certificate": "required"}
        listener = lambda name, **more: {"name": name, "listen": f"127.0.0.1:{self.ports[name]}", **more}  # noqa: E731
        users = [{"name": name, "password": PASSWORDS[name]} for name in ["root", "alice"]]
        settings = {
            "bus.listeners": [
                listener("plain", sasl=[*MECHANISMS, "OAUTHBEARER"]),
                listener("tls", tls=tls, sasl=MECHANISMS, advertised=f"localhost:{self.ports['tls']}"),
                listener("mutual", tls=mutual),
            ],
            "bus.users": [*users, {"name": "bob", "password_file": str(folder / "bob.password")}],
            "bus.oauth": {"jwks": str(folder / "jwks.json"), "issuer": ISSUER, "audience": "bus", "clock_skew": "1s"},
            "bus.acls": {"enabled": True, "super_users": ["User:root"]},
            "log.level": "debug",
        }
        super().__init__(folder, settings)

    def client(self, listener="plain", user=None, password=None, mechanism="SCRAM-SHA-256", **more):
        """What a librdkafka client needs to come in."""
        config = {"bootstrap.servers": f"127.0.0.1:{self.ports[listener]}", "socket.timeout.ms": 10_000}
        if user:
            login = {"sasl.mechanism": mechanism, "sasl.username": user, "sasl.password": password or PASSWORDS[user]}
            config |= {"security.protocol": "SASL_PLAINTEXT", **login}
        if listener != "plain":
            config |= {"security.protocol": "SASL_SSL" if user else "SSL", "ssl.ca.location": str(self.folder / "ca.pem")}
        return config | {key.replace("_", "."): value for key, value in more.items()}

    def certified(self, name="shipper", **more):
        pair = {f"ssl.{part}.location": str(self.folder / f"{name}.{end}") for part, end in [("certificate", "pem"), ("key", "key")]}
        return self.client("mutual", **more) | pair


@pytest.fixture(scope="module")
def secured(tmp_path_factory):
    installation = Secured(tmp_path_factory.mktemp("secured"))
    installation.start("bus")
    root = AdminClient(installation.client(user="root"))
    wait_for("the bus", lambda: root.list_topics(timeout=5).cluster_id)
    for future in root.create_topics([NewTopic(name, 1) for name in ["open", "closed", "logs-one"]]).values():
        future.result(30)
    yield installation
    log = installation.log("bus")
    installation.close()
    secrets = [*PASSWORDS.values(), NEW_PASSWORD, "eyJ"]
    assert not [secret for secret in secrets if secret in log], "a password or a token stands in the log"


@pytest.fixture
def root(secured):
    return AdminClient(secured.client(user="root"))


def sees(config):
    """The topics that this client is told of."""
    return set(AdminClient(config).list_topics(timeout=10).topics)


def is_kept_out(config, *codes):
    """Whether a client hears that it may not come in, and why; and never hears of a topic."""
    heard = []
    client = Producer({**config, "error_cb": heard.append})
    # Tokens are asked for while it is polled.
    client.poll(0.2)
    with pytest.raises(KafkaException):
        client.list_topics(timeout=2)
    client.poll(1)
    expected = set(codes or [KafkaError._AUTHENTICATION])
    return bool(expected & {error.code() for error in heard})


def produce(config, topic, value=b"x"):
    """None, or the code of the error."""
    outcome = []
    producer = Producer({**config, "message.timeout.ms": 10_000})
    producer.produce(topic, value, on_delivery=lambda error, _: outcome.append(error and error.code()))
    producer.flush(15)
    return outcome[0]


def consume(config, topic, group):
    """The first value, or the code of the error."""
    consumer = Consumer({**config, "group.id": group, "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    try:
        message = consumer.poll(15)
        return message.error().code() if message.error() else message.value()
    finally:
        consumer.close()


def allow(user, what, name, operation, pattern=ResourcePatternType.LITERAL, permission=AclPermissionType.ALLOW):
    return AclBinding(what, name, pattern, user, "*", operation, permission)


def make(root, *rules):
    for future in root.create_acls(list(rules)).values():
        future.result(10)


def remove(root, user):
    everything = AclBindingFilter(
        ResourceType.ANY, None, ResourcePatternType.ANY, user, None, AclOperation.ANY, AclPermissionType.ANY
    )
    for future in root.delete_acls([everything]).values():
        future.result(10)


@pytest.mark.parametrize("listener", ["plain", "tls"])
@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_users_log_in(secured, listener, mechanism):
    config = secured.client(listener, "root", mechanism=mechanism)
    assert sees(config) >= {"open", "closed"}
    assert produce(config, "open") is None
    wrong = secured.client(listener, "root", password="wrong", mechanism=mechanism)
    assert is_kept_out(wrong)
    assert is_kept_out(secured.client(listener, "nobody", password="wrong", mechanism=mechanism))


def test_a_password_from_a_file(secured):
    assert sees(secured.client(user="bob", mechanism="PLAIN")) == set()


def test_nothing_is_answered_before_a_login(secured):
    with pytest.raises(KafkaException):
        AdminClient(secured.client()).list_topics(timeout=3)


def test_each_listener_tells_its_own_address(secured):
    brokers = lambda config: [str(each) for each in AdminClient(config).list_topics(timeout=10).brokers.values()]  # noqa: E731
    assert f"127.0.0.1:{secured.ports['plain']}" in brokers(secured.client(user="root"))[0]
    assert f"localhost:{secured.ports['tls']}" in brokers(secured.client("tls", "root"))[0]


def test_a_broker_of_another_authority_is_not_believed(secured):
    config = secured.client("tls", "root") | {"ssl.ca.location": str(secured.folder / "stranger.pem")}
    assert is_kept_out(config, KafkaError._SSL)


def test_a_certificate_says_who_comes(secured, root):
    user = "User:CN=shipper,OU=logs,O=Example\\, Inc."
    assert sees(secured.certified()) == set()
    make(root, allow(user, ResourceType.TOPIC, "open", AclOperation.WRITE))
    assert produce(secured.certified(), "open") is None
    assert sees(secured.certified()) == {"open"}
    remove(root, user)
    for config in [secured.client("mutual"), secured.certified("foreign")]:
        assert is_kept_out(config, KafkaError._SSL, KafkaError._TRANSPORT)


def test_a_certificate_is_replaced_while_the_bus_runs(secured):
    serial = lambda: openssl(  # noqa: E731
        secured.folder, "s_client", "-connect", f"127.0.0.1:{secured.ports['tls']}", "-CAfile", "ca.pem", stdin=b""
    ).split(b"BEGIN CERTIFICATE")[1]
    before = serial()
    certificate(secured.folder, "server", "/CN=localhost")
    wait_for("the new certificate", lambda: serial() != before, timeout=10)
    assert sees(secured.client("tls", "root"))


def bearer(secured, made):
    """A librdkafka client that logs in with this token."""
    answer = lambda _: (made, time.time() + 300)  # noqa: E731
    return {
        "bootstrap.servers": f"127.0.0.1:{secured.ports['plain']}",
        "security.protocol": "SASL_PLAINTEXT",
        "sasl.mechanism": "OAUTHBEARER",
        "oauth_cb": answer,
    }


def test_bearer_tokens(secured, root):
    make(root, allow("User:carol", ResourceType.TOPIC, "open", AclOperation.DESCRIBE))
    good = Producer(bearer(secured, token(secured.folder)))
    good.poll(0.2)
    assert set(good.list_topics(timeout=10).topics) == {"open"}
    wrong = [
        token(secured.folder, lifetime_s=-30),
        token(secured.folder, iss="https://another.example"),
        token(secured.folder, aud="another"),
        token(secured.folder, by="another"),
    ]
    for made in wrong:
        assert is_kept_out(bearer(secured, made)), made
    remove(root, "User:carol")


def test_who_stays_logs_in_again(secured, root):
    make(root, allow("User:carol", ResourceType.TOPIC, "open", AclOperation.ALL))
    given = []

    def renew(_):
        given.append(time.time())
        return token(secured.folder, lifetime_s=4), time.time() + 4

    outcome = []
    producer = Producer({**bearer(secured, None), "oauth_cb": renew})
    deadline = time.monotonic() + 12
    while time.monotonic() < deadline:
        producer.produce("open", b"x", on_delivery=lambda error, _: outcome.append(error))
        producer.poll(0.3)
    assert producer.flush(10) == 0
    assert len(outcome) > 20 and not any(outcome)
    assert len(given) >= 3
    remove(root, "User:carol")


def test_nothing_may_be_done_until_a_rule_allows_it(secured, root):
    alice = secured.client(user="alice")
    assert sees(alice) == set()
    assert produce(alice, "open") == KafkaError.TOPIC_AUTHORIZATION_FAILED
    make(
        root,
        allow("User:alice", ResourceType.TOPIC, "logs-", AclOperation.WRITE, ResourcePatternType.PREFIXED),
        allow("User:alice", ResourceType.TOPIC, "logs-", AclOperation.READ, ResourcePatternType.PREFIXED),
    )
    assert produce(alice, "logs-one", b"mine") is None
    assert produce({**alice, "enable.idempotence": True}, "logs-one", b"mine too") is None
    assert sees(alice) == {"logs-one"}
    assert consume(alice, "logs-one", "alice") == KafkaError.GROUP_AUTHORIZATION_FAILED
    make(root, allow("User:alice", ResourceType.GROUP, "alice", AclOperation.READ))
    assert consume(alice, "logs-one", "alice") == b"mine"
    denied = allow("User:alice", ResourceType.TOPIC, "logs-one", AclOperation.READ, permission=AclPermissionType.DENY)
    make(root, denied)
    assert consume(alice, "logs-one", "alice") == KafkaError.TOPIC_AUTHORIZATION_FAILED
    assert produce(alice, "logs-one") is None
    # Administration is for those who may.
    admin = AdminClient(alice)
    refused = {
        KafkaError.TOPIC_AUTHORIZATION_FAILED: [*admin.create_topics([NewTopic("mine", 1)]).values(), *admin.delete_topics(["closed"]).values()],
        KafkaError.CLUSTER_AUTHORIZATION_FAILED: admin.create_acls([denied]).values(),
    }
    for code, futures in refused.items():
        for future in futures:
            with pytest.raises(KafkaException) as raised:
                future.result(10)
            assert raised.value.args[0].code() == code
    remove(root, "User:alice")
    assert sees(alice) == set()


def test_rules_are_listed_and_removed(secured, root):
    rules = [
        allow("User:dave", ResourceType.TOPIC, "a", AclOperation.READ),
        allow("User:dave", ResourceType.TOPIC, "a", AclOperation.WRITE, ResourcePatternType.PREFIXED),
        allow("User:dave", ResourceType.GROUP, "*", AclOperation.READ),
    ]
    make(root, *rules)
    about = lambda name, pattern: AclBindingFilter(  # noqa: E731
        ResourceType.TOPIC, name, pattern, "User:dave", None, AclOperation.ANY, AclPermissionType.ANY
    )
    listed = root.describe_acls(about("abc", ResourcePatternType.MATCH)).result(10)
    assert [rule.operation for rule in listed] == [AclOperation.WRITE]
    assert len(root.describe_acls(about("a", ResourcePatternType.ANY)).result(10)) == 2
    remove(root, "User:dave")
    assert root.describe_acls(about(None, ResourcePatternType.ANY)).result(10) == []


@pytest.mark.parametrize("mechanism", [ScramMechanism.SCRAM_SHA_256, ScramMechanism.SCRAM_SHA_512])
def test_users_are_made_and_removed_by_requests(secured, root, mechanism):
    name = mechanism.name.replace("_", "-")
    config = secured.client(user="erin", password=NEW_PASSWORD, mechanism=name)
    assert is_kept_out(config)
    upsert = UserScramCredentialUpsertion("erin", ScramCredentialInfo(mechanism, 4096), NEW_PASSWORD.encode())
    for future in root.alter_user_scram_credentials([upsert]).values():
        future.result(10)
    assert sees(config) == set()
    assert sees(config | {"sasl.mechanism": "PLAIN"}) == set()
    described = root.describe_user_scram_credentials(["erin"])["erin"].result(10)
    assert [(info.mechanism, info.iterations) for info in described.scram_credential_infos] == [(mechanism, 4096)]
    for future in root.alter_user_scram_credentials([UserScramCredentialDeletion("erin", mechanism)]).values():
        future.result(10)
    assert is_kept_out(config)


def test_rules_and_users_survive_kill_9(secured, root):
    make(root, allow("User:frank", ResourceType.TOPIC, "open", AclOperation.DESCRIBE))
    info = ScramCredentialInfo(ScramMechanism.SCRAM_SHA_512, 4096)
    for future in root.alter_user_scram_credentials([UserScramCredentialUpsertion("frank", info, NEW_PASSWORD.encode())]).values():
        future.result(10)
    secured.kill("bus")
    secured.start("bus")
    frank = secured.client(user="frank", password=NEW_PASSWORD, mechanism="SCRAM-SHA-512")
    wait_for("the bus", lambda: sees(frank) == {"open"})


@pytest.mark.parametrize("mechanism", MECHANISMS)
def test_kafka_python(secured, mechanism):
    config = {
        "bootstrap_servers": f"localhost:{secured.ports['tls']}",
        "security_protocol": "SASL_SSL",
        "ssl_cafile": str(secured.folder / "ca.pem"),
        "sasl_mechanism": mechanism,
        "sasl_plain_username": "root",
        "sasl_plain_password": PASSWORDS["root"],
    }
    producer = KafkaProducer(**config)
    assert producer.send("open", b"from python").get(15).topic == "open"
    producer.close()
    admin = KafkaAdminClient(**config)
    assert "closed" in admin.list_topics()
    admin.close()


def test_kafka_python_with_a_certificate(secured, root):
    user = "User:CN=shipper,OU=logs,O=Example\\, Inc."
    make(root, allow(user, ResourceType.TOPIC, "open", AclOperation.WRITE))
    producer = KafkaProducer(
        bootstrap_servers=f"localhost:{secured.ports['mutual']}",
        security_protocol="SSL",
        ssl_cafile=str(secured.folder / "ca.pem"),
        ssl_certfile=str(secured.folder / "shipper.pem"),
        ssl_keyfile=str(secured.folder / "shipper.key"),
    )
    assert producer.send("open", b"from python").get(15).topic == "open"
    producer.close()
    remove(root, user)
