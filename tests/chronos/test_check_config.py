"""doctor on `cron.chronos`: every misspelling and every value of a wrong type is a finding."""

from collections.abc import Iterator
from datetime import date
from pathlib import Path
from string import ascii_lowercase
from typing import Any

import pytest

from chronos_plugin.cli.check_config import KINDS, keys
from chronos_plugin.cli.findings import Finding
from chronos_plugin.host import NEEDED

FILE = Path("/agent/home/config.yaml")
WELL: dict[str, Any] = {
    "portal_url": "https://nas.example.com",
    "callback_url": "https://agent.example.com",
    "expected_audience": "agent:7",
    "nas_jwks_url": "https://nas.example.com/.well-known/jwks.json",
    "watchdog": True,
    "allow_http": False,
}
VALUES: tuple[object, ...] = (None, "false", "", 0, 1.5, True, [], ["x"], {}, {"x": 1}, date.max)


def edited(word: str, letters: str) -> Iterator[str]:
    """The word with one letter left out, added, replaced or exchanged with the next."""
    for at in range(len(word) + 1):
        before, after = word[:at], word[at:]
        if after:
            yield before + after[1:]
        if len(after) > 1:
            yield before + after[1] + after[0] + after[2:]
        for letter in letters:
            yield before + letter + after
            yield before + letter + after[1:]


def misspelt(key: str) -> set[str]:
    """All of edit distance 1, and of 2 those with a few letters."""
    once = set(edited(key, f"{ascii_lowercase}_"))
    twice = {word for each in edited(key, "a_") for word in edited(each, "l_")}
    return {word for word in once | twice if word and word not in KINDS}


def problems(written: dict[str, Any]) -> list[Finding]:
    return [each for each in keys(written, FILE) if each.state == "problem"]


def test_all_is_well() -> None:
    assert {each.state for each in keys(WELL, FILE)} == {"ok"}


@pytest.mark.parametrize("key", KINDS)
def test_a_misspelt_key_is_named_with_the_right_one(key: str) -> None:
    rest = {name: value for name, value in WELL.items() if name != key}
    words = misspelt(key)
    assert len(words) > 1_000
    for word in words:
        found = {each.check: each for each in problems({**rest, word: WELL[key]})}
        assert f"cron.chronos.{word} is no setting" in found["config"].reason
        assert f"; did you mean {key}?" in found["config"].reason, word
        assert found.keys() == {"config", *({key} & set(NEEDED))}


@pytest.mark.parametrize("word", ["Portal_URL", "WATCHDOG", "portal-url"])
def test_nor_is_it_taken_in_another_case(word: str) -> None:
    [found] = problems({**WELL, word: "x"})
    assert f"; did you mean {word.lower().replace('-', '_')}?" in found.reason


def test_a_key_like_none_of_ours_is_told_and_is_no_problem() -> None:
    (*_, found) = keys({**WELL, "colour": "blue"}, FILE)
    assert (found.state, found.fix) == ("warning", f"take it out of {FILE}")


@pytest.mark.parametrize("key", KINDS)
@pytest.mark.parametrize("value", VALUES, ids=repr)
def test_a_value_of_a_wrong_type(key: str, value: object) -> None:
    found = problems({**WELL, key: value})
    if isinstance(value, KINDS[key]) and value != "":
        assert [each.check for each in found] in ([], [key])  # a text may be no URL
        return
    assert [each.check for each in found] == [key]
    assert found[0].fix.endswith(str(FILE))


@pytest.mark.parametrize("key", NEEDED)
def test_what_is_not_written_is_not_set(key: str) -> None:
    rest = {name: value for name, value in WELL.items() if name != key}
    [found] = problems(rest)
    assert (found.check, found.reason) == (key, "is not set")
    assert found.fix == f"set cron.chronos.{key} in {FILE}"
