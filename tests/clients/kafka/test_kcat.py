"""kcat: the command line that people reach for first."""

import shutil
import subprocess

import pytest

pytestmark = pytest.mark.skipif(shutil.which("kcat") is None, reason="kcat is not installed")


def kcat(bootstrap, *words, stdin=""):
    done = subprocess.run(["kcat", "-b", bootstrap, *words], input=stdin, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("codec", ["none", "gzip", "snappy", "lz4", "zstd"])
def test_what_goes_in_comes_out(bootstrap, name, codec):
    lines = [f"line {number} äöü" for number in range(2000)]
    kcat(bootstrap, "-P", "-t", name, "-z", codec, "-X", "acks=all", stdin="\n".join(lines) + "\n")
    assert sorted(kcat(bootstrap, "-C", "-t", name, "-e", "-q")) == sorted(lines)


def test_metadata_names_the_address_that_was_asked(bootstrap, name):
    kcat(bootstrap, "-P", "-t", name, stdin="one\n")
    listed = "\n".join(kcat(bootstrap, "-L", "-t", name))
    assert f"at {bootstrap}" in listed and f'topic "{name}" with 4 partitions' in listed


def test_keys_headers_and_times_are_kept(bootstrap, name):
    kcat(bootstrap, "-P", "-t", name, "-K", ":", "-H", "source=abc", stdin="key:value\n")
    (line,) = kcat(bootstrap, "-C", "-t", name, "-e", "-q", "-f", "%k %s %h %T\n")
    key, value, headers, time = line.split()
    assert (key, value, headers) == ("key", "value", "source=abc") and int(time) > 1_700_000_000_000


def test_a_group_goes_on_where_it_stopped(bootstrap, name):
    read = ["-G", name, name, "-e", "-q", "-X", "auto.offset.reset=earliest"]
    kcat(bootstrap, "-P", "-t", name, stdin="one\ntwo\n")
    assert sorted(kcat(bootstrap, *read)) == ["one", "two"]
    kcat(bootstrap, "-P", "-t", name, stdin="three\n")
    assert kcat(bootstrap, *read) == ["three"]


def test_offsets_by_time(bootstrap, name):
    kcat(bootstrap, "-P", "-t", name, "-p", "0", stdin="one\ntwo\nthree\n")
    assert kcat(bootstrap, "-Q", "-t", f"{name}:0:-1") == [f"{name} [0] offset 3"]
    assert kcat(bootstrap, "-Q", "-t", f"{name}:0:-2") == [f"{name} [0] offset 0"]
    assert kcat(bootstrap, "-Q", "-t", f"{name}:0:1000000000000") == [f"{name} [0] offset 0"]
