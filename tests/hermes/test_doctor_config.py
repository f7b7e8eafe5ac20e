"""`chronos doctor` on what is written in config.yaml; each fix is followed, and ends in green."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.agents import Agent
from tests.support.doctor import Answers, configure, doctor

ASKS_NAS = {"nas", "clock", "keys", "callback", "fire", "arms", "watchdog"}


@pytest.fixture
def config(patient: Agent) -> Iterator[Path]:
    """The agent's config.yaml, as it was before once the test is over."""
    file: Path = patient.hermes.home.hermes / "config.yaml"
    yield file
    if file.is_dir():
        shutil.rmtree(file)


def unset(agent: Agent, key: str) -> None:
    file = agent.hermes.home.hermes / "config.yaml"
    document = json.loads(file.read_text())
    del document["cron"]["chronos"][key]
    file.write_text(json.dumps(document))


def green(agent: Agent, **options: str) -> Answers:
    with agent.serving("gateway"):
        answers = doctor(agent.hermes, **options)
    assert not answers.states("problem"), answers.all_told()
    return answers


def test_hermes_s_own_portal_is_not_what_is_written(patient: Agent) -> None:
    before = len(patient.nas.calls(patient.access))
    unset(patient, "portal_url")
    answers = doctor(patient.hermes)
    assert answers.told("portal_url").startswith("is not set -> set cron.chronos.portal_url in ")
    assert answers.states("skipped") >= ASKS_NAS  # the login is shown to nobody
    configure(patient, portal_url=patient.access.url)
    green(patient)
    assert len(patient.nas.calls(patient.access)) > before
    assert patient.armed() == {}  # there is no job, and so nothing to be woken for


def test_a_misspelt_portal_url(patient: Agent) -> None:
    unset(patient, "portal_url")
    configure(patient, portal_ulr=patient.access.url)
    answers = doctor(patient.hermes)
    assert "cron.chronos.portal_ulr is no setting" in answers.told("config")
    assert "did you mean portal_url?" in answers.told("config")
    assert answers.states("problem") >= {"config", "portal_url"}
    assert answers.states("skipped") >= ASKS_NAS
    unset(patient, "portal_ulr")
    configure(patient, portal_url=patient.access.url)
    green(patient)


def test_switches_in_quotes(patient: Agent) -> None:
    configure(patient, watchdog="false", allow_htp=True)
    answers = doctor(patient.hermes, "--no-fire")
    assert "is a text, not true or false" in answers.told("watchdog")
    assert "did you mean allow_http?" in answers.told("config")
    unset(patient, "allow_htp")
    configure(patient, watchdog=False)
    assert "turned off" in green(patient).told("watchdog", "warning")


def test_the_sections_are_misspelt(patient: Agent, config: Path) -> None:
    document = json.loads(config.read_text())
    cron = document["cron"]
    config.write_text(json.dumps({"cron": {"providr": "chronos", "chrono": cron["chronos"]}}))
    answers = doctor(patient.hermes)
    assert "is cron.providr meant to be cron.provider?" in answers.told("provider")
    assert "is cron.chrono meant to be cron.chronos?" in answers.told("callback_url")
    config.write_text(json.dumps(document))
    green(patient)


NO_YAML = {
    "line 2": b"cron:\n  provider: chronos: again\n",
    "not a mapping": b"- cron\n",
    "UTF-8": b"cron: \xff\n",
    "no text": b"cron: \x01\n",
}


@pytest.mark.parametrize("said", NO_YAML)
def test_no_yaml(said: str, patient: Agent, config: Path) -> None:
    well = config.read_bytes()
    config.write_bytes(NO_YAML[said])
    answers = doctor(patient.hermes)
    assert said in answers.told("config")
    assert str(config) in answers.told("config")
    assert answers.states("problem") <= {"config", "login"}
    config.write_bytes(well)
    green(patient)


def test_it_cannot_be_read(patient: Agent, config: Path) -> None:
    well = config.read_bytes()
    config.unlink()
    config.mkdir()
    answers = doctor(patient.hermes)
    assert "config.yaml cannot be read: Is a directory" in answers.told("config")
    config.rmdir()
    config.write_bytes(well)
    green(patient)


@pytest.mark.off_contract("request", "response")  # there is no such path
def test_a_portal_url_with_a_path(patient: Agent) -> None:
    configure(patient, portal_url=f"{patient.access.url}/api/agent-cron")
    told = doctor(patient.hermes).told("nas")
    assert "404" in told
    assert told.endswith(f"take the path out of cron.chronos.portal_url: {patient.access.url}")
    configure(patient, portal_url=patient.access.url)
    green(patient)
