"""The incident book: every incident there is, and how one went."""

import inspect
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tests.incidents import (
    test_arming,
    test_fires,
    test_hosts,
    test_identity,
    test_keys,
    test_profiles,
    test_stores,
)
from tests.incidents.stage import BrokenPromiseError, Incident, stage
from tests.support.hermes_env import MAIN, HermesEnvironment

THEMES = (test_arming, test_fires, test_hosts, test_identity, test_keys, test_profiles, test_stores)
HELD, BROKEN, CANNOT_RUN = "held", "broken", "cannot run"
_NAME = re.compile(r"test_incident_(\d\d)_")


class Entry(NamedTuple):
    """One incident on one hermes release."""

    number: int
    version: str
    play: Incident

    @property
    def title(self) -> str:
        """What goes wrong; with the release, if that is not the main one."""
        title = (inspect.getdoc(self.play) or "").splitlines()[0]
        release = ".".join(self.version.split(".")[:2])
        return title if self.version == MAIN else f"{title} [{release}]"


class Outcome(NamedTuple):
    """`verdict` is held, broken or cannot run; `why` names the promise, or what is missing."""

    verdict: str
    why: str = ""


def entries() -> list[Entry]:
    """The book, in order."""
    found = [entry for theme in THEMES for entry in _of(vars(theme))]
    return sorted(found, key=lambda entry: (entry.number, entry.title))


def _of(members: dict[str, Incident]) -> Iterator[Entry]:
    for name, play in members.items():
        if found := _NAME.match(name):
            for version in _versions(play):
                yield Entry(int(found[1]), version, play)


def _versions(play: Incident) -> list[str]:
    marks = getattr(play, "pytestmark", [])
    hosts = [mark.args[1] for mark in marks if mark.name == "parametrize"]
    return [version for versions in hosts for version in versions] or [MAIN]


def play(entry: Entry, environment: HermesEnvironment, *, ours: bool, patience: float) -> Outcome:
    """Play an incident with one of the two providers."""
    with tempfile.TemporaryDirectory(prefix="incident-", ignore_cleanup_errors=True) as scratch:
        try:
            with stage(environment, Path(scratch) / "agent", ours=ours, patience=patience) as made:
                entry.play(made)
        except BrokenPromiseError as error:
            return Outcome(BROKEN, str(error))
        except Exception as error:
            return Outcome(CANNOT_RUN, (str(error).splitlines() or [type(error).__name__])[0])
    return Outcome(HELD)
