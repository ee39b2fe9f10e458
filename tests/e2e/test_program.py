"""The program at the terminal: search, tail, status, check, pipeline test, and the generated reference."""

import json
import subprocess
import time

import requests

from harness import BINARY, ROOT, wait_for


def test_search_tail_and_status_from_the_terminal(logmill):
    logs = logmill.folder / "in"
    logs.mkdir()
    logmill.settings.update({
        "bus.listen": "127.0.0.1:0", "indexer.listen": "127.0.0.1:0", "dashboard.listen": "127.0.0.1:0",
        "shipper.inputs": [{"type": "filestream", "id": "in", "paths": [f"{logs}/*.log"]}],
    })
    logmill.start("up")
    told = wait_for("status", lambda: (status := logmill.run("status", "--json")).returncode == 0 and json.loads(status.stdout), timeout=60)
    assert told["ready"] and {stage["stage"] for stage in told["stages"]} == {"bus", "shipper", "processor", "indexer", "dashboard"}
    dashboard = told["addresses"]["dashboard"]["http"]
    assert requests.get(f"http://{dashboard}/healthz", timeout=10).status_code == 200
    assert "logmill_bus_" in requests.get(f"http://{dashboard}/metrics", timeout=10).text

    tail = subprocess.Popen(logmill.command("tail", "kettle"), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=logmill.folder)
    time.sleep(3)
    (logs / "a.log").write_text("2026-11-22 10:00:00,000 ERROR [main] shop - kettle exploded\nnothing here\n")
    assert "kettle exploded" in tail.stdout.readline()
    tail.terminate()
    tail.wait(20)

    found = wait_for("the event", lambda: (run := logmill.run("search", "kettle and log.level: error", "--from", "now-10y")).stdout and run)
    assert found.stdout.count("kettle exploded") == 1 and found.returncode == 0
    wrong = logmill.run("search", "log.level: (")
    assert wrong.returncode != 0 and "^" in wrong.stderr


def test_pipeline_tests_run_and_fail_as_they_should(logmill):
    pipeline = logmill.folder / "p.yml"
    text = """
id: access
steps:
- grok: {field: message, patterns: ['^%{IPORHOST:source.address} %{WORD:http.request.method} %{NUMBER:http.response.status_code:int}$']}
- drop: {if: .http.response.status_code == 204}
tests:
- {name: parses, in: {message: '10.0.0.1 GET 200'}, expect: {source: {address: 10.0.0.1}, http: {response: {status_code: 200}}}}
- {name: drops, in: {message: '10.0.0.1 GET 204'}, expect: dropped}
"""
    pipeline.write_text(text)
    good = logmill.run("pipeline", "test", str(pipeline))
    assert good.returncode == 0, good.stdout + good.stderr
    pipeline.write_text(text.replace("status_code: 200}", "status_code: 201}"))
    bad = logmill.run("pipeline", "test", str(pipeline))
    assert bad.returncode == 1 and "201" in bad.stdout


def test_words_are_completed_in_bash_whatever_the_configuration(tmp_path):
    (tmp_path / "logmill.yml").write_text("nonsense: true\n")

    def complete(*words):
        line = f'source <(logmill completions bash); COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _logmill; printf "%s\n" "${{COMPREPLY[@]}}"'
        env = {"PATH": f"{BINARY.parent}:/usr/bin:/bin"}
        return subprocess.run(["bash", "-c", line, "bash", "logmill", *words], capture_output=True, text=True, env=env, cwd=tmp_path, check=True).stdout.split()

    assert complete("topics", "de") == ["delete", "delete-records", "describe"]
    assert complete("--data", "/tmp", "topics", "read", "a topic", "--fo") == ["--follow"]
    assert "status" in complete("")
    assert complete("topics", "describe", "") == []


def test_the_reference_page_is_current():
    printed = subprocess.check_output([str(BINARY), "reference"], text=True)
    assert (ROOT / "docs/guide/reference.md").read_text() == printed, "run: target/release/logmill reference > docs/guide/reference.md"
