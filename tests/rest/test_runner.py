"""The matchers themselves: a scenario that can't fail would prove nothing."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import scenario  # noqa: E402

FOUND = {"a": {"n": 1, "f": 1.0, "ok": True, "none": None, "list": [{"x": 1}, {"x": 2}], "text": "two words"}}


@pytest.mark.parametrize(
    "wanted",
    [
        {"a": {"n": 1}},
        {"a": {"f": 1.0}},
        {"a": {"f": 1}},
        {"a": {"list": [{}, {"x": 2}]}},
        {"a": {"none": None}},
        {"a": {"gone": {"$absent": True}, "n": {"$any": True}}},
        {"a": {"f": {"$approx": 1.0}, "n": {"$gt": 0, "$lt": 2}}},
        {"a": {"text": {"$regex": "^two"}, "list": {"$contains": [{"x": 2}], "$length": 2}}},
        {"a": {"list": [{"$keys": ["x"]}, {"$any": True}]}},
    ],
)
def test_fits(wanted):
    scenario.match(wanted, FOUND, "")


@pytest.mark.parametrize(
    "wanted, where",
    [
        ({"a": {"n": 2}}, "a.n"),
        ({"a": {"n": 1.0}}, "a.n"),
        ({"a": {"n": True}}, "a.n"),
        ({"a": {"ok": 1}}, "a.ok"),
        ({"a": {"gone": 1}}, "a.gone"),
        ({"a": {"n": {"$absent": True}}}, "a.n"),
        ({"a": {"none": {"$any": True}}}, "a.none"),
        ({"a": {"list": [{"x": 1}]}}, "a.list"),
        ({"a": {"list": [{"x": 1}, {"x": 3}]}}, "a.list.1.x"),
        ({"a": {"list": {"$contains": [{"x": 3}]}}}, "a.list"),
        ({"a": {"f": {"$approx": 1.1}}}, "a.f"),
        ({"a": {"n": {"$gt": 1}}}, "a.n"),
        ({"a": {"text": {"$regex": "^words"}}}, "a.text"),
        ({"a": {"list": [{"$keys": ["x", "y"]}, {}]}}, "a.list.0"),
        ({"a": {"text": {}}}, "a.text"),
    ],
)
def test_does_not_fit(wanted, where):
    with pytest.raises(scenario.Mismatch, match=f"at {where}: "):
        scenario.match(wanted, FOUND, "")


def test_plain_values_are_those_of_json(tmp_path):
    file = tmp_path / "x.yml"
    file.write_text("source: s\nsteps:\n  - do: GET /\n    body: {a: 2026-01-01, b: on, c: 12:30, d: 1.5, 7: -1, e: null, f: 1e3}\n")
    body = {"a": "2026-01-01", "b": "on", "c": "12:30", "d": 1.5, "7": -1, "e": None, "f": 1000.0}
    assert scenario.read(file)[0]["body"] == body


@pytest.mark.parametrize("step", ["{}", "{do: GET /, odd: 1}", "{do: GET /, bulk: x}", "{do: GET /, body: {a: 1, a: 2}}"])
def test_mistakes_in_scenarios_are_named(tmp_path, step):
    file = tmp_path / "x.yml"
    file.write_text(f"source: s\nsteps:\n  - {step}\n")
    with pytest.raises((AssertionError, scenario.yaml.YAMLError)):
        scenario.read(file)


def test_what_was_saved_is_put_in():
    saved = {"id": 7, "scroll": "abc"}
    value = {"a": "$id", "b": ["/_x/$scroll", "$other"]}
    assert scenario.substitute(value, saved) == {"a": 7, "b": ["/_x/abc", "$other"]}
    assert scenario.pick({"hits": [{"a.b": 1}]}, ["hits", 0, "a.b"]) == 1
