"""`logmill topics|groups|acls`: the bus in the terminal, over data that kcat wrote. With BOOTSTRAP=host:port against any
other Kafka, because the commands only speak the protocol."""

import json
import re
import shutil
import subprocess
import time

import pytest

from harness import BINARY, free_ports, wait_for

pytestmark = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")


def kcat(bootstrap, *words, stdin=""):
    done = subprocess.run(["kcat", "-b", bootstrap, *words], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.fixture
def terminal(bootstrap, tmp_path):
    """Runs a command; `code` is the exit code that it must have."""

    def run(*words, code=0, stdin=""):
        line = [str(BINARY), *words, "--brokers", bootstrap]
        done = subprocess.run(line, input=stdin, capture_output=True, text=True, timeout=90, cwd=tmp_path)
        assert done.returncode == code, (done.returncode, done.stdout, done.stderr)
        return done

    return run


@pytest.fixture
def ask(terminal):
    """The JSON that a command prints."""
    return lambda *words, **more: json.loads(terminal(*words, "--json", **more).stdout)


def records(terminal, *words):
    return [json.loads(line) for line in terminal("topics", "read", *words, "--json").stdout.splitlines()]


def settings(ask, name):
    return {each["name"]: each["value"] for each in ask("topics", "describe", name)["settings"] if each["own"]}


def ends(ask, name):
    return [(each["start"], each["end"]) for each in ask("topics", "describe", name)["partitions"]]


def test_a_topic_from_its_making_to_its_end(terminal, ask, name):
    terminal("topics", "create", name, "--partitions", "2", "--setting", "retention.ms=3600000", "-s", "cleanup.policy=delete")
    assert {"topic": name, "partitions": 2} in ask("topics", "list")
    assert re.search(rf"^{re.escape(name)} +2$", terminal("topics", "list").stdout, re.M)
    assert settings(ask, name)["retention.ms"] == "3600000"
    assert [each["partition"] for each in ask("topics", "describe", name)["partitions"]] == [0, 1]

    terminal("topics", "alter", name, "--partitions", "3", "--setting", "retention.bytes=1000000", "--unset", "retention.ms")
    changed = settings(ask, name)
    assert changed["retention.bytes"] == "1000000" and "retention.ms" not in changed
    assert len(ask("topics", "describe", name)["partitions"]) == 3
    shown = terminal("topics", "describe", name).stdout
    assert "retention.bytes" in shown and "retention.ms" not in shown
    assert "retention.ms" in terminal("topics", "describe", name, "--all").stdout

    again = terminal("topics", "create", name, code=1)
    assert name in again.stderr and "already" in again.stderr
    terminal("topics", "delete", name)
    wait_for("the topic to go", lambda: all(each["topic"] != name for each in ask("topics", "list")), timeout=10)


def test_what_is_refused_is_told(terminal, name):
    terminal("topics", "create", name)
    wrong = terminal("topics", "alter", name, "--setting", "retention.ms=soon", code=1)
    assert name in wrong.stderr and "retention.ms" in wrong.stderr
    for setting in ["retention.ms=soon", "no.such.setting=1"]:
        wrong = terminal("topics", "create", f"{name}.2", "-s", setting, code=1)
        assert setting.split("=")[0] in wrong.stderr
    fewer = terminal("topics", "alter", name, "--partitions", "1", code=1)
    assert name in fewer.stderr and "1 partitions" in fewer.stderr
    assert "nearest: " + name in terminal("topics", "describe", name[:-1], code=1).stderr
    assert "there is no topic" in terminal("topics", "read", name + "-and-quite-another", code=1).stderr
    assert "no partition 99" in terminal("topics", "read", name, "--partition", "99", code=1).stderr
    for words in [["alter", name], ["read", name, "--from", "-7"], ["read", name, "--from", "yesterday"], ["create", name, "-s", "x"]]:
        terminal("topics", *words, code=2)


def test_reading_does_not_make_a_topic(terminal, ask, name):
    terminal("topics", "read", name, code=1)
    terminal("topics", "write", name, code=1, stdin="a\n")
    assert all(each["topic"] != name for each in ask("topics", "list"))


def test_reading_shows_everything_of_a_record(terminal, bootstrap, name):
    terminal("topics", "create", name, "--partitions", "1")
    kcat(bootstrap, "-P", "-t", name, "-K", ":", "-H", "source=abc", "-H", "n=1", stdin="k:größe\n")
    (record,) = records(terminal, name)
    assert record["topic"] == name and record["partition"] == 0 and record["offset"] == 0
    assert record["key"] == "k" and record["value"] == "größe"
    assert record["headers"] == [{"name": "source", "value": "abc"}, {"name": "n", "value": "1"}]
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", record["timestamp"])
    assert terminal("topics", "read", name).stdout == "größe\n"
    assert terminal("topics", "read", name, "--keys", "--headers").stdout == "source=abc,n=1\tk\tgröße\n"
    kcat(bootstrap, "-P", "-t", name, "-K", ":", "-Z", stdin="k:\n")
    assert records(terminal, name)[1]["value"] is None


def test_reading_from_a_place(terminal, bootstrap, name):
    terminal("topics", "create", name, "--partitions", "2")
    kcat(bootstrap, "-P", "-t", name, "-p", "0", stdin="".join(f"old{n}\n" for n in range(5)))
    kcat(bootstrap, "-P", "-t", name, "-p", "1", stdin="other\n")
    time.sleep(2.2)
    since = time.time()
    kcat(bootstrap, "-P", "-t", name, "-p", "0", stdin="new0\nnew1\n")

    def read(*words):
        return terminal("topics", "read", name, *words).stdout.split()

    assert sorted(read()) == sorted(["old0", "old1", "old2", "old3", "old4", "other", "new0", "new1"])
    assert read("--partition", "0", "--from", "4") == ["old4", "new0", "new1"]
    assert read("--partition", "0", "--count", "2") == ["old0", "old1"]
    assert read("--from", f"-{int(time.time() - since) + 1}s") == ["new0", "new1"]
    assert read("--from", time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(since - 1))) == ["new0", "new1"]
    assert read("--from", "-1d", "--partition", "1") == ["other"]
    assert read("--from", "end") == []
    beyond = terminal("topics", "read", name, "--partition", "1", "--from", "99")
    assert beyond.stdout == "" and "holds offsets 0 to 1" in beyond.stderr


def test_following_shows_what_comes(bootstrap, terminal, name):
    terminal("topics", "create", name, "--partitions", "1")
    kcat(bootstrap, "-P", "-t", name, stdin="before\n")
    follow = [str(BINARY), "topics", "read", name, "--follow", "--count", "2", "--brokers", bootstrap]
    reading = subprocess.Popen(follow, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        time.sleep(2)
        kcat(bootstrap, "-P", "-t", name, stdin="after1\nafter2\nafter3\n")
        out, err = reading.communicate(timeout=30)
        assert out == "after1\nafter2\n" and reading.returncode == 0, err
    finally:
        reading.kill()


def test_a_reader_that_has_enough_is_no_error(terminal, bootstrap, name):
    terminal("topics", "create", name, "--partitions", "1")
    kcat(bootstrap, "-P", "-t", name, stdin="line of some length\n" * 20_000)
    line = f"{BINARY} topics read {name} --brokers {bootstrap} | head -n 1; exit ${{PIPESTATUS[0]}}"
    done = subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "line of some length\n", "")


def test_written_lines_are_there(terminal, ask, bootstrap, name):
    terminal("topics", "create", name, "--partitions", "1")
    lines = [f"key{n % 7}=value {n} = x" for n in range(25_000)]
    assert ask("topics", "write", name, "--key-separator", "=", stdin="\n".join(lines)) == {"topic": name, "written": 25_000}
    assert kcat(bootstrap, "-C", "-t", name, "-e", "-q", "-f", "%k=%s\n") == lines
    assert "1 records" in terminal("topics", "write", name, stdin="no separator here\n").stdout
    assert records(terminal, name, "--from", "25000")[0]["key"] is None


def test_only_committed_records_when_asked(terminal, bootstrap, name):
    confluent = pytest.importorskip("confluent_kafka")
    terminal("topics", "create", name, "--partitions", "1")
    producer = confluent.Producer({"bootstrap.servers": bootstrap, "transactional.id": name})
    try:
        producer.init_transactions(15)
    except confluent.KafkaException as error:
        pytest.skip(f"no transactions here: {error}")
    for value, end in [("kept", producer.commit_transaction), ("dropped", producer.abort_transaction)]:
        producer.begin_transaction()
        producer.produce(name, value)
        producer.flush(10)
        end(15)
    assert terminal("topics", "read", name).stdout.split() == ["kept", "dropped"]
    assert terminal("topics", "read", name, "--read-committed").stdout.split() == ["kept"]


def test_the_oldest_records_go(terminal, ask, bootstrap, name):
    terminal("topics", "create", name, "--partitions", "2")
    for partition in "01":
        kcat(bootstrap, "-P", "-t", name, "-p", partition, stdin="a\nb\nc\n")
    told = ask("topics", "delete-records", name, "--before", "2", "--partition", "0")
    assert told == {"topic": name, "partitions": [{"partition": 0, "start_before": 0, "start": 2}]}
    assert ends(ask, name) == [(2, 3), (0, 3)]
    assert terminal("topics", "read", name, "--partition", "0").stdout == "c\n"
    terminal("topics", "delete-records", name, "--before", "end")
    assert ends(ask, name) == [(3, 3), (3, 3)]


def in_a_group(bootstrap, name, lines):
    kcat(bootstrap, "-P", "-t", name, "-p", "0", stdin="".join(f"{n}\n" for n in range(lines)))
    kcat(bootstrap, "-G", name, name, "-e", "-q", "-X", "auto.offset.reset=earliest")
    return name


def test_how_far_a_group_is_behind(terminal, ask, bootstrap, name):
    terminal("topics", "create", name, "--partitions", "1")
    group = in_a_group(bootstrap, name, 10)
    kcat(bootstrap, "-P", "-t", name, "-p", "0", stdin="a\nb\n")
    assert any(each["group"] == group and each["state"] == "Empty" for each in ask("groups", "list"))
    told = ask("groups", "describe", group)
    assert told["state"] == "Empty" and told["members"] == [] and told["coordinator"]
    assert told["partitions"] == [
        {"topic": name, "partition": 0, "committed": 10, "end": 12, "lag": 2, "member": None}
    ]
    shown = terminal("groups", "describe", group).stdout
    assert re.search(rf"^{re.escape(name)} +0 +10 +12 +2 +-$", shown, re.M), shown
    assert f"nearest: {group}" in terminal("groups", "describe", group[:-1], code=1).stderr


def test_a_live_group_shows_its_members_and_stays_where_it_is(terminal, ask, bootstrap, name):
    terminal("topics", "create", name, "--partitions", "2")
    reading = subprocess.Popen(["kcat", "-b", bootstrap, "-G", name, name, "-q", "-X", "client.id=reader-one"], stdout=subprocess.DEVNULL)
    try:
        told = wait_for("the member", lambda: (told := ask("groups", "describe", name))["state"] == "Stable" and told["members"][0]["partitions"] and told, timeout=40)
        (member,) = told["members"]
        assert member["client"] == "reader-one" and member["host"]
        assert member["partitions"] == [{"topic": name, "partition": 0}, {"topic": name, "partition": 1}]
        assert {each["member"] for each in told["partitions"]} == {member["id"]}
        assert "reader-one" in terminal("groups", "describe", name).stdout
        refused = terminal("groups", "reset", name, "--topic", name, "--to", "start", "--execute", code=1)
        assert "is live" in refused.stderr and "reader-one" in refused.stderr
        assert name in terminal("groups", "delete", name, code=1).stderr
    finally:
        reading.terminate()
        reading.wait(20)


def test_a_group_of_the_newer_protocol_is_shown_too(terminal, ask, bootstrap, name):
    confluent = pytest.importorskip("confluent_kafka")
    terminal("topics", "create", name, "--partitions", "2")
    kcat(bootstrap, "-P", "-t", name, "-p", "0", stdin="a\nb\n")
    told = []
    reader = confluent.Consumer({
        "bootstrap.servers": bootstrap, "group.id": name, "group.protocol": "consumer", "client.id": "newer",
        "auto.offset.reset": "earliest", "enable.auto.commit": False, "error_cb": lambda error: told.append(str(error)),
    })
    try:
        reader.subscribe([name])
        if wait_for("a record, or a refusal", lambda: reader.poll(0.5) or told, timeout=40) is told:
            pytest.skip(f"no groups of the newer protocol here: {told[0]}")
        reader.commit(offsets=[confluent.TopicPartition(name, 0, 1)], asynchronous=False)
        shown = ask("groups", "describe", name)
        assert shown["protocol"] == "Consumer" and [member["client"] for member in shown["members"]] == ["newer"]
        assert [(each["partition"], each["committed"], each["lag"]) for each in shown["partitions"]] == [(0, 1, 1), (1, None, None)]
        assert "is live" in terminal("groups", "reset", name, "--topic", name, "--to", "end", code=1).stderr
    finally:
        reader.close()


def test_a_group_is_moved_only_when_told_to(terminal, ask, bootstrap, name):
    terminal("topics", "create", name, "--partitions", "1")
    group = in_a_group(bootstrap, name, 10)

    def committed():
        return [each["committed"] for each in ask("groups", "describe", group)["partitions"]]

    dry = terminal("groups", "reset", group, "--topic", name, "--to", "start")
    assert re.search(rf"^{re.escape(name)} +0 +10 +0 +10 +10$", dry.stdout, re.M), dry.stdout
    assert "nothing was changed" in dry.stderr and committed() == [10]
    for to, after in [("start", 0), ("+4", 4), ("-1", 3), ("7", 7), ("end", 10), ("-99", 0), ("99", 10), ("-1h", 0)]:
        told = ask("groups", "reset", group, "--topic", name, "--to", to, "--execute")
        assert told["executed"] and [each["after"] for each in told["partitions"]] == [after], (to, told)
        assert committed() == [after], to
    ask("groups", "reset", group, "--topic", name, "--to", "8", "--partition", "0", "--execute")
    assert kcat(bootstrap, "-G", group, name, "-e", "-q") == ["8", "9"]


def test_a_group_that_is_not_there_yet_is_given_a_place_to_begin(terminal, ask, bootstrap, name):
    terminal("topics", "create", name, "--partitions", "1")
    kcat(bootstrap, "-P", "-t", name, stdin="one\ntwo\nthree\n")
    assert "say where to" in terminal("groups", "reset", name, "--topic", name, "--to", "+1", code=1).stderr
    ask("groups", "reset", name, "--topic", name, "--to", "1", "--execute")
    assert kcat(bootstrap, "-G", name, name, "-e", "-q") == ["two", "three"]


def test_a_group_forgets_and_goes(terminal, ask, bootstrap, name):
    terminal("topics", "create", name, "--partitions", "1")
    group = in_a_group(bootstrap, name, 3)
    assert ask("groups", "delete-offsets", group, "--topic", name) == {"group": group, "topic": name, "deleted": [0]}
    assert group in terminal("groups", "delete-offsets", group, "--topic", name, code=1).stderr
    ask("groups", "reset", group, "--topic", name, "--to", "2", "--execute")
    terminal("groups", "delete", group)
    assert all(each["group"] != group for each in ask("groups", "list"))
    assert "there is no group" in terminal("groups", "delete", group, code=1).stderr


def rules(printed):
    return [(each["principal"], each["permission"], each["operation"], each["resource"], each["name"], each["pattern"], each["host"]) for each in json.loads(printed.stdout)]


def test_rules_are_added_listed_and_removed(logmill):
    logmill.settings["bus.acls"] = {"enabled": True, "super_users": ["User:ANONYMOUS"]}
    logmill.start("bus")
    wait_for("the bus", lambda: logmill.run("topics", "list").returncode == 0)

    def acls(*words, code=0):
        done = logmill.run("acls", *words, "--json")
        assert done.returncode == code, (words, done)
        return rules(done) if code == 0 else done.stderr

    read, describe = [("User:billing", "allow", word, "topic", "orders", "literal", "*") for word in ["read", "describe"]]
    deny = ("User:CN=ship", "deny", "write", "topic", "logs.", "prefixed", "10.0.0.1")
    alter = ("User:boss", "allow", "alter", "cluster", "kafka-cluster", "literal", "*")
    assert acls("add", "--principal", "billing", "--operation", "read,describe", "--resource", "topic:orders") == [read, describe]
    prefixed = ["--resource", "topic:logs.", "--pattern", "prefixed", "--permission", "deny", "--host", "10.0.0.1"]
    assert acls("add", "--principal", "User:CN=ship", "--operation", "write", *prefixed) == [deny]
    assert acls("add", "--principal", "boss", "--operation", "alter", "--resource", "cluster") == [alter]
    assert sorted(acls("list")) == sorted([read, describe, deny, alter])
    assert acls("list", "--operation", "read") == [read]
    assert acls("list", "--resource", "topic:logs.raw") == []
    assert acls("list", "--resource", "topic:logs.raw", "--pattern", "match") == [deny]
    shown = logmill.run("acls", "list", "--principal", "boss").stdout
    assert re.search(r"^User:boss +allow +alter +cluster +kafka-cluster +literal +\*$", shown, re.M), shown

    assert "topic:NAME" in acls("add", "--principal", "x", "--operation", "read", "--resource", "topic", code=1)
    assert "cluster-action" in acls("add", "--principal", "x", "--operation", "fly", "--resource", "topic:x", code=2)
    assert "--all" in acls("remove", code=1)
    assert sorted(acls("remove", "--principal", "billing")) == sorted([read, describe])
    assert sorted(acls("remove", "--all")) == sorted([deny, alter]) and acls("list") == []


def test_who_may_read_a_topic_reads_it_without_any_group(logmill):
    (port,) = free_ports(1)
    login = {"name": "login", "listen": f"127.0.0.1:{port}", "sasl": ["PLAIN"]}
    logmill.settings.update({
        "bus.acls": {"enabled": True, "super_users": ["User:ANONYMOUS"]},
        "bus.users": [{"name": "reader", "password": "secret"}],
        "bus.listeners": [{"name": "open", "listen": logmill.bootstrap}, login],
    })
    logmill.start("bus")
    own = ["--brokers", logmill.bootstrap]
    wait_for("the bus", lambda: logmill.run("topics", "list", *own).returncode == 0)
    for words, stdin in [(["create", "open-to-see"], ""), (["write", "open-to-see"], "one\n"), (["create", "closed"], "")]:
        done = logmill.run("topics", *words, *own, input=stdin)
        assert done.returncode == 0, done.stderr
    rule = ["--principal", "reader", "--operation", "read", "--resource", "topic:open-to-see"]
    assert logmill.run("acls", "add", *rule, *own).returncode == 0

    def as_reader(*words, password="secret"):
        settings = {"security.protocol": "SASL_PLAINTEXT", "sasl.mechanism": "PLAIN", "sasl.username": "reader", "sasl.password": password}
        return logmill.run(*words, "--brokers", f"127.0.0.1:{port}", *[word for each in settings.items() for word in ("-X", "=".join(each))])

    assert as_reader("topics", "list").stdout.split() == ["TOPIC", "PARTITIONS", "open-to-see", "4"]
    read = as_reader("topics", "read", "open-to-see")
    assert (read.returncode, read.stdout) == (0, "one\n"), read.stderr
    assert "there is no topic `closed`" in as_reader("topics", "read", "closed").stderr
    assert "may not" in as_reader("topics", "create", "mine").stderr
    assert as_reader("topics", "delete", "open-to-see").returncode == 1
    wrong = as_reader("topics", "list", password="wrong")
    assert wrong.returncode == 1 and "authentication" in wrong.stderr and "wrong" not in wrong.stderr


def test_rules_of_a_broker_that_has_none_are_refused(logmill):
    logmill.start("bus")
    wait_for("the bus", lambda: logmill.run("topics", "list").returncode == 0)
    refused = logmill.run("acls", "add", "--principal", "x", "--operation", "read", "--resource", "topic:x")
    assert refused.returncode == 1 and "bus.acls.enabled" in refused.stderr


def test_no_broker_there_is_told_and_soon(tmp_path):
    (port,) = free_ports(1)
    begun = time.monotonic()
    for words in [["topics", "list"], ["groups", "list"], ["acls", "list"]]:
        line = [str(BINARY), *words, "--brokers", f"127.0.0.1:{port}"]
        done = subprocess.run(line, capture_output=True, text=True, timeout=60, cwd=tmp_path)
        assert done.returncode == 1 and f"no Kafka broker answers at 127.0.0.1:{port}" in done.stderr, done
        assert "refused" in done.stderr
    assert time.monotonic() - begun < 20


def test_the_brokers_of_the_configuration_are_asked(bootstrap, tmp_path, name):
    (tmp_path / "logmill.yml").write_text(f"bus: {{brokers: ['{bootstrap}']}}\n")
    done = subprocess.run([str(BINARY), "topics", "create", name], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    wrong = subprocess.run([str(BINARY), "topics", "list", "-X", "no.such.setting=1"], capture_output=True, text=True, timeout=60, cwd=tmp_path)
    assert wrong.returncode == 1 and "no.such.setting" in wrong.stderr
