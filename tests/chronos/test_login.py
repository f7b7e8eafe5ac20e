"""`chronos login`: how auth.json is written; a real hermes reads it in tests/hermes."""

import json
from pathlib import Path

import pytest

from chronos_plugin.cli import login
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
