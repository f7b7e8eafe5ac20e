"""A token that is written into a file."""

from pathlib import Path

import pytest

from nas_server.cli import token_file
from tests.support.synced import synced


def test_a_token_is_on_the_disk_before_it_counts_as_handed_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    told = synced(monkeypatch)
    with token_file.opened(str(file)) as write:
        write("nas_1")
        assert told == [(file.stat().st_ino, len("nas_1\n"))]
    assert file.read_text() == "nas_1\n"
