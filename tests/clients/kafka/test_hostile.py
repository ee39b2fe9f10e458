"""Clients that mean harm, or are broken: whatever they send or leave out, the bus holds a bounded amount of memory, and
a well-behaved client beside them goes on writing and reading."""

import contextlib
import os
import random
import resource
import socket
import struct
import threading
import time

import pytest
from confluent_kafka import Consumer, Producer
from confluent_kafka.admin import AdminClient, NewTopic
from harness import Logmill

MIB = 1 << 20
# What the bus may hold: 128 MiB of requests, 128 MiB of answers and 64 KiB a connection, and what the allocator keeps of
# that.
RSS_BYTES_MAX = 500 * MIB
# The neighbour's records take milliseconds; on a busy machine this is far enough from that and from starvation.
USUAL_SECONDS_MAX = 0.5
# Who keeps others waiting is cut off after five seconds, some of them one after the other.
WORST_SECONDS_MAX = 20


@pytest.fixture(scope="module")
def attacked(tmp_path_factory):
    """A bus of its own, so that nobody else suffers, that takes many connections."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, 65_536), hard))
    installation = Logmill(tmp_path_factory.mktemp("attacked"), {"bus.connections_max": "7000"})
    installation.start("bus")
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    for future in admin.create_topics([NewTopic("good", 1), NewTopic("large", 1)]).values():
        future.result(30)
    yield installation
    installation.close()
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Neighbour(threading.Thread):
    """Sends a record, small or large, waits for it to come back, and again; remembers how long each took."""

    def __init__(self, bootstrap):
        super().__init__(daemon=True)
        self.ending, self.took, self.trouble = threading.Event(), [], []
        self.producer = Producer({"bootstrap.servers": bootstrap, "linger.ms": 0, "enable.idempotence": True})
        self.consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": f"good-{time.time_ns()}",
                "auto.offset.reset": "latest",
                "fetch.wait.max.ms": 100,
            }
        )
        self.consumer.subscribe(["good"])
        deadline = time.monotonic() + 30
        while not self.consumer.assignment() and time.monotonic() < deadline:
            self.consumer.poll(0.1)
        # The first shows that the consumer has found the end.
        self.round(b"first", patience=30)

    def round(self, value, patience=60):
        began = time.monotonic()
        while time.monotonic() < began + patience:
            self.producer.produce("good", value, on_delivery=lambda error, _: error and self.trouble.append(str(error)))
            self.producer.flush(patience)
            message = self.consumer.poll(2 if value == b"first" else patience)
            if message is not None and message.error() is None:
                return time.monotonic() - began
        raise AssertionError(f"a record did not come back within {patience} s; {self.trouble}")

    def run(self):
        try:
            number = 0
            while not self.ending.is_set():
                number += 1
                self.took.append(self.round(os.urandom(200_000) if number % 4 == 0 else b"small"))
                time.sleep(0.02)
        except AssertionError as error:
            self.trouble.append(str(error))
        self.consumer.close()

    def end(self):
        self.ending.set()
        self.join(90)


@contextlib.contextmanager
def neighbour_goes_on(installation, worst=2.0):
    """Around an attack: the good client has its answers, and the bus its bounds."""
    neighbour = Neighbour(installation.bootstrap)
    most = {"rss": 0}
    ending = threading.Event()

    def watch():
        while not ending.wait(0.05):
            most["rss"] = max(most["rss"], installation.rss_bytes("bus"))

    watching = threading.Thread(target=watch, daemon=True)
    neighbour.start()
    watching.start()
    try:
        yield neighbour
    finally:
        # Some attacks are over before they have begun to hurt.
        while neighbour.is_alive() and len(neighbour.took) < 20:
            time.sleep(0.05)
        neighbour.end()
        ending.set()
        watching.join()
    took = sorted(neighbour.took)
    print(
        f"rss at most {most['rss'] / MIB:.0f} MiB; {len(took)} rounds, median {took[len(took) // 2] * 1000:.1f} ms, "
        f"worst {took[-1] * 1000:.0f} ms"
    )
    assert not neighbour.trouble, neighbour.trouble
    assert installation.processes["bus"].poll() is None, installation.log("bus")[-2000:]
    assert "panicked" not in installation.log("bus")
    assert most["rss"] < RSS_BYTES_MAX
    assert took[len(took) // 2] < USUAL_SECONDS_MAX and took[-1] < worst, took[-3:]


@contextlib.contextmanager
def connections(installation, count):
    """Sockets to the bus; those that were turned away are among them, closed by the other side."""
    opened = []
    try:
        for _ in range(count):
            opened.append(socket.create_connection(("127.0.0.1", installation.bus_port), timeout=20))
        yield opened
    finally:
        for each in opened:
            each.close()


def framed(key, version, body=b"", announced=None, flexible=False):
    header = struct.pack(">hhih", key, version, 1, 4) + b"evil" + (b"\0" if flexible else b"")
    return struct.pack(">i", len(header) + len(body) if announced is None else announced) + header + body


def send(sock, data):
    """Sends what the other side takes before it hangs up."""
    try:
        sock.sendall(data)
        return True
    except OSError:
        return False


def is_closed(sock, within=10):
    """Whether the other side ends the connection, after whatever it says."""
    sock.settimeout(within)
    try:
        while sock.recv(65_536):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def test_lengths_that_are_no_lengths_end_the_connection(attacked):
    with neighbour_goes_on(attacked):
        for length in [-(1 << 31), -1, 0, 7, (1 << 31) - 1, 100 * MIB + 1]:
            with connections(attacked, 20) as socks:
                for sock in socks:
                    send(sock, struct.pack(">i", length) + b"\0\3\0\1" + b"x" * 100)
                assert all(is_closed(sock) for sock in socks), length
        # A request without records may not be as large as one with them.
        with connections(attacked, 20) as socks:
            for sock in socks:
                send(sock, framed(3, 1, announced=50 * MIB))
            assert all(is_closed(sock) for sock in socks)


def test_counts_beyond_what_was_sent(attacked):
    """Every API and version with counts of 2^31-1 and less likely ones where its first arrays may be."""
    counts = [b"\x7f\xff\xff\xff", b"\x80\0\0\0", b"\xff\xff\xff\xfe", b"\xff\xff\xff\xff\x0f", b"\xff\xff\xff\xff\x7f"]
    with neighbour_goes_on(attacked):
        for key in range(93):
            for version in range(14):
                flexible = version > 1
                with connections(attacked, len(counts)) as socks:
                    for sock, count in zip(socks, counts):
                        for lead in [b"", b"\0", b"\0" * 4, b"\1" * 2]:
                            if not send(sock, framed(key, version, lead + count * 4, flexible=flexible)):
                                break


def test_tagged_fields_without_end(attacked):
    """Headers and bodies of nothing but tagged fields: millions of empty ones, each in the next's place, and one that
    claims to be all there is."""

    def uvarint(number):
        out = b""
        while number > 0x7F:
            out += bytes([number & 0x7F | 0x80])
            number >>= 7
        return out + bytes([number])

    empty = uvarint(3_000_000) + b"".join(uvarint(tag) + b"\0" for tag in range(1_000_000))
    claims = uvarint(1) + uvarint(0) + uvarint((1 << 32) - 1) + b"x" * 1000
    nested = b"\x02\x05good" * 100_000
    with neighbour_goes_on(attacked):
        for key, version in [(18, 3), (3, 12), (10, 4), (68, 0), (0, 9)]:
            with connections(attacked, 10) as socks:
                for sock in socks:
                    for tail in [b"\0" + empty, empty, claims, nested]:
                        if not send(sock, framed(key, version, tail)):
                            break


def test_random_bytes_after_a_good_header(attacked):
    chance = random.Random(7)
    with neighbour_goes_on(attacked):
        for _ in range(1500):
            with connections(attacked, 1) as (sock,):
                body = chance.randbytes(chance.choice([1, 10, 100, 1000, 60_000]))
                send(sock, framed(chance.randrange(80), chance.randrange(14), body, flexible=chance.random() < 0.5))


def test_a_byte_a_second_and_nothing_at_all(attacked):
    """A hundred that drip, five hundred that say half a header, five hundred that say nothing."""
    with neighbour_goes_on(attacked), connections(attacked, 1100) as socks:
        for sock in socks[100:600]:
            send(sock, b"\0\0")
        request = framed(3, 1, b"\xff\xff\xff\xff", announced=60_000)
        for at in range(8):
            for sock in socks[:100]:
                send(sock, request[at : at + 1])
            time.sleep(1)


@pytest.mark.parametrize(("count", "announced"), [(60, 40 * MIB), (200, MIB)])
def test_large_requests_that_never_end(attacked, count, announced):
    """Together they announce far more than the bus would hold, and send on so slowly that each seems alive: those that
    keep others waiting go."""
    with neighbour_goes_on(attacked, worst=WORST_SECONDS_MAX), connections(attacked, count) as socks:
        for sock in socks:
            sock.settimeout(5)
            send(sock, framed(0, 3, b"\xff\xff\xff\xff" + b"\0" * 200_000, announced=announced))
        for _ in range(25):
            for sock in socks:
                send(sock, b"\0")
            time.sleep(1)


def test_fetches_that_nobody_reads(attacked):
    """They ask for all there is, again and again, and take nothing."""
    producer = Producer({"bootstrap.servers": attacked.bootstrap, "compression.type": "none"})
    for _ in range(400):
        producer.produce("large", os.urandom(500_000))
        producer.poll(0)
        if len(producer) > 20:
            producer.flush(60)
    assert producer.flush(60) == 0
    fetch = struct.pack(">iiiib", -1, 500, 1, 0x7FFF_FFFF, 0) + struct.pack(">i", 1)
    fetch += struct.pack(">h", 5) + b"large" + struct.pack(">iiqi", 1, 0, 0, 0x7FFF_FFFF)
    with neighbour_goes_on(attacked, worst=WORST_SECONDS_MAX), connections(attacked, 60) as socks:
        for sock in socks:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            send(sock, framed(1, 4, fetch) * 20)
        time.sleep(25)


def test_five_thousand_connections(attacked):
    if resource.getrlimit(resource.RLIMIT_NOFILE)[0] < 12_000:
        pytest.skip("this machine allows too few open files to a process")
    with neighbour_goes_on(attacked), connections(attacked, 5000) as socks:
        for sock in socks:
            assert send(sock, framed(18, 0))
        answered = sum(len(sock.recv(4)) == 4 for sock in socks)
        assert answered == 5000
        time.sleep(3)


def test_more_connections_than_are_taken(tmp_path):
    """Beyond the limit they are turned away at once, and who is in stays in."""
    installation = Logmill(tmp_path, {"bus.connections_max": "100"})
    installation.start("bus")
    try:
        admin = AdminClient({"bootstrap.servers": installation.bootstrap})
        admin.create_topics([NewTopic("good", 1)])["good"].result(30)
        with neighbour_goes_on(installation), connections(installation, 2000) as socks:
            time.sleep(3)
            for sock in socks:
                send(sock, framed(18, 0))
            time.sleep(1)
            assert sum(is_closed(sock, within=0.001) for sock in socks) >= 1900
        assert is_open_again(installation)
    finally:
        installation.close()


def is_open_again(installation):
    for _ in range(100):
        with connections(installation, 1) as (sock,):
            with contextlib.suppress(OSError):
                if send(sock, framed(18, 0)) and sock.recv(4):
                    return True
        time.sleep(0.1)
    return False
