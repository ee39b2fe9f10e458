"""Reads and runs one scenario: requests to a running program, and what its answers must have in them."""

import json
import math
import re
import time

import requests
import yaml

# One request of a scenario takes milliseconds; what takes longer than this hangs.
REQUEST_TIMEOUT_S = 60
APPROX_RELATIVE = 1e-9
STEP_KINDS = ("do", "bulk", "wait")
STEP_MEMBERS = {
    "do": {"do", "params", "body", "ndjson", "headers", "status", "expect", "save", "within"},
    "bulk": {"bulk", "docs", "action"},
    "wait": {"wait"},
}


class Loader(yaml.SafeLoader):
    """YAML with JSON's plain values only: no dates, no `on` and `off`, no numbers in base sixty."""

    yaml_implicit_resolvers = {}


Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:null|~|)$"), ["n", "~", ""])
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|false)$"), list("tf"))
Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+(?:[eE][-+]?[0-9]+)?|[eE][-+]?[0-9]+)$"), list("-0123456789")
)
Loader.add_constructor("tag:yaml.org,2002:int", lambda loader, node: int(node.value))
Loader.add_constructor("tag:yaml.org,2002:float", lambda loader, node: float(node.value))


def _mapping(loader, node):
    found = {}
    for key_node, value_node in node.value:
        # Names are text, also where they look like numbers.
        key = str(key_node.value)
        if key in found:
            raise yaml.constructor.ConstructorError(None, None, f"the key {key} is there twice", key_node.start_mark)
        found[key] = loader.construct_object(value_node, deep=True)
    return found


Loader.add_constructor("tag:yaml.org,2002:map", _mapping)


class Mismatch(AssertionError):
    """An answer is not as expected: where, and what came."""

    def __init__(self, path, reason):
        super().__init__(f"at {path or 'the top'}: {reason}")


def read(path):
    """The steps of a file, checked for what nobody would notice otherwise."""
    scenario = yaml.load(path.read_text(), Loader)
    assert isinstance(scenario, dict) and set(scenario) <= {"source", "steps"}, f"{path}: needs source and steps, nothing else"
    assert scenario.get("source"), f"{path}: source must say what the expectations are derived from"
    steps = scenario.get("steps")
    assert isinstance(steps, list) and steps, f"{path}: no steps"
    for number, step in enumerate(steps, 1):
        kinds = [kind for kind in STEP_KINDS if kind in step]
        assert len(kinds) == 1, f"{path}: step {number} needs exactly one of {', '.join(STEP_KINDS)}"
        unknown = set(step) - STEP_MEMBERS[kinds[0]]
        assert not unknown, f"{path}: step {number} has unknown members {sorted(unknown)}"
        assert kinds[0] != "do" or not ("body" in step and "ndjson" in step), f"{path}: step {number} has two bodies"
    return steps


def run(steps, url, name):
    """Runs the steps in order; the first that goes wrong is an AssertionError that says which."""
    saved = {}
    for number, step in enumerate(steps, 1):
        try:
            if "wait" in step:
                time.sleep(step["wait"]["seconds"])
            elif "bulk" in step:
                bulk(step, url, saved)
            else:
                within(step, url, saved)
        except AssertionError as error:
            title = step.get("do") or (f"bulk {step['bulk']}" if "bulk" in step else "wait")
            raise AssertionError(f"{name}, step {number} ({title}): {error}") from None


def within(step, url, saved):
    """A step; with `within` (seconds) it is repeated until it is as expected."""
    deadline = time.monotonic() + float(step.get("within", 0))
    while True:
        try:
            return do(step, url, saved)
        except AssertionError:
            if time.monotonic() >= deadline:
                raise
        time.sleep(0.2)


def do(step, url, saved):
    method, path = step["do"].split(None, 1)
    headers = {str(key): str(value) for key, value in substitute(step.get("headers", {}), saved).items()}
    data = None
    if "body" in step:
        body = substitute(step["body"], saved)
        data = body if isinstance(body, str) else json.dumps(body)
        headers.setdefault("Content-Type", "application/json")
    if "ndjson" in step:
        lines = substitute(step["ndjson"], saved)
        data = lines if isinstance(lines, str) else "".join(json.dumps(line) + "\n" for line in lines)
        headers.setdefault("Content-Type", "application/x-ndjson")
    params = {key: value if isinstance(value, str) else json.dumps(value) for key, value in substitute(step.get("params", {}), saved).items()}
    answer = requests.request(
        method, url + substitute(path, saved), params=params, data=data.encode() if data else None, headers=headers, timeout=REQUEST_TIMEOUT_S
    )
    found = parsed(answer)
    wanted = step.get("status")
    if wanted is None:
        right = answer.status_code // 100 == 2
    else:
        right = answer.status_code in (wanted if isinstance(wanted, list) else [wanted])
    assert right, f"status {answer.status_code} instead of {wanted or '2xx'}: {short(found)}"
    if "expect" in step:
        try:
            match(substitute(step["expect"], saved), found, "")
        except Mismatch as error:
            raise AssertionError(f"{error}\nthe whole answer: {short(found, 6000)}") from None
    for name, place in step.get("save", {}).items():
        saved[name] = pick(found, place)


def bulk(step, url, saved):
    """Indexes documents so that they are found when this returns."""
    action = step.get("action", "index")
    lines = []
    for document in substitute(step["docs"], saved):
        document = dict(document)
        head = {"_id": document.pop("_id")} if "_id" in document else {}
        lines += [json.dumps({action: head}), json.dumps(document)]
    answer = requests.post(
        f"{url}/{step['bulk']}/_bulk",
        params={"refresh": "wait_for"},
        data=("\n".join(lines) + "\n").encode(),
        headers={"Content-Type": "application/x-ndjson"},
        timeout=REQUEST_TIMEOUT_S,
    )
    found = parsed(answer)
    assert answer.status_code == 200 and found.get("errors") is False, f"status {answer.status_code}: {short(found)}"


def parsed(answer):
    """JSON, or the text where it is none."""
    try:
        return answer.json()
    except ValueError:
        return answer.text


def substitute(value, saved):
    """Puts what earlier steps saved where `$name` stands."""
    if isinstance(value, dict):
        return {key: substitute(inner, saved) for key, inner in value.items()}
    if isinstance(value, list):
        return [substitute(inner, saved) for inner in value]
    if isinstance(value, str) and "$" in value:
        if value[1:] in saved and value[0] == "$":
            return saved[value[1:]]
        return re.sub(r"\$(\w+)", lambda found: str(saved.get(found.group(1), found.group(0))), value)
    return value


def pick(found, place):
    """The value at a path: `hits.hits.0._id`; a list of names where a name has a dot in it."""
    for name in place if isinstance(place, list) else place.split("."):
        try:
            found = found[int(name)] if isinstance(found, list) else found[name]
        except (KeyError, IndexError, TypeError, ValueError):
            raise AssertionError(f"nothing to save at {place}: no {name} in {short(found)}") from None
    return found


def short(value, longest=1500):
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return text if len(text) <= longest else f"{text[:longest]}… ({len(text)} characters)"


def match(wanted, found, path):
    """Compares by subset: every member that is wanted must be there; arrays must be as long."""
    if isinstance(wanted, dict):
        matchers = [key for key in wanted if key.startswith("$")]
        if matchers:
            for key in matchers:
                matches(key, wanted[key], found, path)
            wanted = {key: value for key, value in wanted.items() if key not in matchers}
            if not wanted:
                return
        if not isinstance(found, dict):
            raise Mismatch(path, f"an object was expected, {short(found, 300)} came")
        for key, value in wanted.items():
            inner = f"{path}.{key}" if path else key
            if isinstance(value, dict) and value.get("$absent"):
                if key in found:
                    raise Mismatch(inner, f"nothing was expected, {short(found[key], 300)} came")
            elif key not in found:
                raise Mismatch(inner, f"is missing; there are {', '.join(map(str, found)) or 'no members'}")
            else:
                match(value, found[key], inner)
    elif isinstance(wanted, list):
        if not isinstance(found, list):
            raise Mismatch(path, f"an array was expected, {short(found, 300)} came")
        if len(wanted) != len(found):
            raise Mismatch(path, f"{len(wanted)} elements were expected, {len(found)} came: {short(found)}")
        for number, (one, other) in enumerate(zip(wanted, found)):
            match(one, other, f"{path}.{number}" if path else str(number))
    elif not same(wanted, found):
        raise Mismatch(path, f"{json.dumps(wanted)} was expected, {short(json.dumps(found), 300)} came")


def same(wanted, found):
    """Plain values are equal. Where 1.0 is wanted 1 is wrong, for typed clients tell them apart; 1 stands for both."""
    if isinstance(wanted, bool) or isinstance(found, bool):
        return wanted is found
    if isinstance(wanted, float) and not isinstance(found, float):
        return False
    return wanted == found


def is_number(value):
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def matches(matcher, wanted, found, path):
    number = is_number(found)
    if matcher == "$any":
        right = found is not None
    elif matcher == "$approx":
        right = number and math.isclose(found, wanted, rel_tol=APPROX_RELATIVE, abs_tol=1e-12)
    elif matcher == "$gt":
        right = number and found > wanted
    elif matcher == "$gte":
        right = number and found >= wanted
    elif matcher == "$lt":
        right = number and found < wanted
    elif matcher == "$lte":
        right = number and found <= wanted
    elif matcher == "$regex":
        right = isinstance(found, str) and re.search(wanted, found, re.DOTALL) is not None
    elif matcher == "$length":
        right = isinstance(found, (list, dict, str)) and len(found) == wanted
    elif matcher == "$keys":
        # Exactly these members, in whatever order.
        right = isinstance(found, dict) and sorted(found) == sorted(map(str, wanted))
    elif matcher == "$contains":
        right = isinstance(found, list) and all(any(fits(each, other, path) for other in found) for each in wanted)
    else:
        raise AssertionError(f"{matcher} is no matcher")
    if not right:
        raise Mismatch(path, f"{matcher} {json.dumps(wanted)} was expected, {short(json.dumps(found, ensure_ascii=False), 600)} came")


def fits(wanted, found, path):
    try:
        match(wanted, found, path)
    except Mismatch:
        return False
    return True
