"""`chronos login`: a token in a file becomes the login of a real hermes."""

import json
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hermes.conftest import AgentMaker
from tests.support.agents import Agent
from tests.support.hermes_env import MAIN, VERSIONS, run
from tests.support.hermes_login import stored_login

FAR = "2099-01-01T00:00:00+00:00"
OTHERS = {"anthropic": {"access_token": "theirs"}, "xai-oauth": {"n": 1}}


def login(
    agent: Agent, *arguments: str | Path, python: str | None = None
) -> "subprocess.CompletedProcess[str]":
    command: list[str | Path] = [
        python or agent.hermes.environment.python,
        "-P",
        "-m",
        "chronos_plugin.cli",
        "login",
    ]
    done = run([*command, *arguments], agent.hermes.variables())
    assert "Traceback" not in done.stderr, done.stderr
    assert agent.access.token not in done.stdout + done.stderr
    return done


def write_token(agent: Agent, directory: Path, text: str | None = None) -> Path:
    file = directory / "token"
    file.touch(0o600)
    file.write_text(text if text is not None else f"{agent.access.token}\n")
    return file


@pytest.fixture
def plain(main_agent: Agent) -> Iterator[Agent]:
    """The agent of this module, without a login."""
    file = main_agent.hermes.home.hermes / "auth.json"
    text = file.read_text()
    file.unlink()
    yield main_agent
    file.write_text(text)


@pytest.mark.sampled
@pytest.mark.parametrize("version", VERSIONS)
def test_a_job_is_armed_with_it(version: str, new_agent: AgentMaker, tmp_path: Path) -> None:
    agent = new_agent(version)
    agent.hermes.home.hermes.joinpath("auth.json").unlink()
    assert login(agent, "--token-file", write_token(agent, tmp_path)).returncode == 0
    assert agent.hermes.create_job("far", FAR) in agent.armed()


def test_what_it_writes(plain: Agent, tmp_path: Path) -> None:
    file = plain.hermes.home.hermes / "auth.json"
    before = {
        "version": 1,
        "active_provider": "anthropic",
        "providers": {**OTHERS, "nous": {"access_token": "old", "agent_key": "old"}},
        "credential_pool": {"anthropic": [1]},
    }
    file.write_text(json.dumps(before))
    file.chmod(0o644)
    done = login(plain, "--token-file", write_token(plain, tmp_path))
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    after = json.loads(file.read_text())
    ours = after["providers"].pop("nous")
    assert after == {**before, "providers": OTHERS}
    assert (ours["access_token"], ours["portal_base_url"]) == (
        plain.access.token,
        plain.access.url,
    )
    assert "agent_key" not in ours
    assert [left.name for left in file.parent.glob("auth.json*")] == ["auth.json"]


def test_the_token_may_come_through_a_pipe(plain: Agent) -> None:
    command: list[str | Path] = [
        plain.hermes.environment.python,
        "-P",
        "-m",
        "chronos_plugin.cli",
        "login",
    ]
    done = subprocess.run(
        [*command, "--token-file", "-"],
        env=plain.hermes.variables(),
        input=plain.access.token,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert stored_login(plain.hermes.home.hermes)["access_token"] == plain.access.token


def test_a_login_that_profiles_share_is_set_aside(plain: Agent, tmp_path: Path) -> None:
    shared = plain.hermes.home.hermes / "shared" / "nous_auth.json"
    shared.parent.mkdir(exist_ok=True)
    state = {"access_token": "of-another", "refresh_token": "r", "expires_at": FAR}
    shared.write_text(json.dumps(state))
    done = login(plain, "--token-file", write_token(plain, tmp_path))
    assert f"{shared.name}.before-chronos-login" in done.stdout
    assert plain.hermes.create_job("with-ours", FAR) in plain.armed()


def test_a_shared_login_that_the_environment_of_the_home_names_is_set_aside(
    plain: Agent, tmp_path: Path
) -> None:
    shared = tmp_path / "shared" / "nous_auth.json"
    shared.parent.mkdir()
    shared.write_text("{}")
    file = plain.hermes.home.hermes / ".env"
    before = file.read_text() if file.exists() else ""
    file.write_text(f"{before}\nHERMES_SHARED_AUTH_DIR={shared.parent}\n")
    try:
        done = login(plain, "--token-file", write_token(plain, tmp_path))
    finally:
        file.write_text(before)
    assert f"is now {shared}.before-chronos-login" in done.stdout
    assert not shared.exists()


def test_from_another_python_it_logs_in_the_hermes_on_the_path(
    plain: Agent, tmp_path: Path
) -> None:
    done = login(plain, "--token-file", write_token(plain, tmp_path), python=sys.executable)
    assert (done.returncode, done.stderr) == (0, "")
    assert stored_login(plain.hermes.home.hermes)["access_token"] == plain.access.token


def test_a_link_stays_a_link(plain: Agent, tmp_path: Path) -> None:
    real, link = tmp_path / "real.json", plain.hermes.home.hermes / "auth.json"
    real.write_text('{"providers": {}}')
    link.symlink_to(real)
    try:
        assert login(plain, "--token-file", write_token(plain, tmp_path)).returncode == 0
        assert link.is_symlink()
        assert "access_token" in real.read_text()
    finally:
        link.unlink()


def test_a_file_that_others_may_read_is_told_of(plain: Agent, tmp_path: Path) -> None:
    token = write_token(plain, tmp_path)
    token.chmod(0o644)
    done = login(plain, "--token-file", token)
    assert (done.returncode, f"chmod 600 {token}" in done.stderr) == (0, True)


@pytest.mark.parametrize("kept", ["{", "[]", '{"providers": []}', "\udcff"])
def test_a_file_that_is_no_auth_json_is_left_as_it_is(
    plain: Agent, tmp_path: Path, kept: str
) -> None:
    file = plain.hermes.home.hermes / "auth.json"
    file.write_text(kept, errors="surrogateescape")
    before = file.read_bytes()
    done = login(plain, "--token-file", write_token(plain, tmp_path))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert "left as it is" in done.stderr
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "the token is empty"),
        ("\n", "the token is empty"),
        ("two words", "holds a space"),
        ("t\u00f6ken", "no ASCII text"),
        ("t" * 20_000, "longer than"),
    ],
)
def test_what_is_no_token(plain: Agent, tmp_path: Path, text: str, said: str) -> None:
    done = login(plain, "--token-file", write_token(plain, tmp_path, text))
    assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
    assert said in done.stderr
    assert not (plain.hermes.home.hermes / "auth.json").exists()


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("https://another.example", "the token would be sent there"),
        ("nas.example.com", "would be sent there"),
    ],
)
def test_another_nas_than_the_configured_one(
    plain: Agent, tmp_path: Path, url: str, said: str
) -> None:
    token = write_token(plain, tmp_path)
    done = login(plain, "--token-file", token, "--portal-url", url)
    assert (done.returncode, said in done.stderr) == (1, True)


def test_a_portal_url_that_is_none(new_agent: AgentMaker, tmp_path: Path) -> None:
    agent = new_agent(MAIN)
    token = write_token(agent, tmp_path)
    agent.rewrite("config.yaml", "cron.chronos.portal_url", "")
    for url, said in (
        ("nas.example.com", "no absolute URL"),
        ("https://[x", "no absolute URL"),
        ("http://nas.example.com", "plain http"),
    ):
        done = login(agent, "--token-file", token, "--portal-url", url)
        assert (done.returncode, said in done.stderr) == (1, True)
    missing = login(agent, "--token-file", tmp_path / "none")
    assert "--portal-url" in missing.stderr
    given = ("--portal-url", agent.access.url)
    assert "No such file" in login(agent, "--token-file", tmp_path / "none", *given).stderr
    assert login(agent, "--token-file", token, *given).returncode == 0


def test_a_home_that_cannot_be_written(plain: Agent, tmp_path: Path) -> None:
    lock = plain.hermes.home.hermes / "auth.lock"
    lock.unlink(missing_ok=True)
    lock.mkdir()
    try:
        done = login(plain, "--token-file", write_token(plain, tmp_path))
    finally:
        lock.rmdir()
    assert (done.returncode, "cannot write" in done.stderr) == (1, True)
