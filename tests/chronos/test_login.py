"""`chronos login`: how auth.json is written; a real hermes reads it in tests/hermes."""

import fcntl
import json
from argparse import Namespace
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from chronos_plugin.cli import hermes_env, login
from chronos_plugin.cli.problems import Problem
from tests.support.synced import synced


def test_a_login_is_on_the_disk_before_it_replaces_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "auth.json"
    file.write_text("{}")
    told = synced(monkeypatch)
    login._write(file, {"version": 1})
    assert json.loads(file.read_text()) == {"version": 1}
    assert file.stat().st_mode & 0o777 == 0o600
    written, directory = told
    assert written == (file.stat().st_ino, file.stat().st_size)
    assert directory[0] == tmp_path.stat().st_ino
    assert list(tmp_path.iterdir()) == [file]


SECRET = "hunter2"
URLS = [
    f"{scheme}://{user}{SECRET}@nas.example.com/x"
    for scheme in ("https", "http")
    for user in ("", "a:")
]


@pytest.mark.parametrize("url", URLS)
@pytest.mark.parametrize("written", [True, False])
def test_no_password_in_the_url_of_nas_is_repeated(
    url: str, written: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = {"portal_url": url} if written else {}
    monkeypatch.setattr(hermes_env, "written", lambda: config)
    with pytest.raises(Problem) as refused:
        login._portal_url(None if written else url)
    assert SECRET not in str(refused.value)
    assert "user info" in str(refused.value)


def test_the_login_of_hermes_is_locked_while_it_is_read_and_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    token = tmp_path / "token"
    token.write_text("agent-token")
    monkeypatch.setattr(hermes_env, "host", lambda: SimpleNamespace(home=lambda: tmp_path))
    monkeypatch.setattr(hermes_env, "written", dict)
    monkeypatch.setattr(hermes_env, "shared_login", lambda: tmp_path / "shared.json")
    locked: list[bool] = []

    def is_locked() -> bool:
        with (tmp_path / "auth.lock").open("w") as other:
            try:
                fcntl.flock(other, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return True
            return False

    def noting(step: Callable[..., Any]) -> Callable[..., Any]:
        def noted(*given: Any) -> Any:
            locked.append(is_locked())
            return step(*given)

        return noted

    for step in (login._read, login._write):
        monkeypatch.setattr(login, step.__name__, noting(step))
    url = "https://nas.example.com"
    assert login.login(Namespace(portal_url=url, token_file=str(token))) == 0
    assert locked == [True, True]
    assert not is_locked()
    assert "agent-token" in (tmp_path / "auth.json").read_text()
