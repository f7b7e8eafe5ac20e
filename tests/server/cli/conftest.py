"""A terminal in which `nas-server` is run."""

import pytest

from nas_server.__main__ import main


class Terminal:
    """Runs commands that end by themselves, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch = monkeypatch
        self._capsys = capsys

    def run(self, *arguments: str, **environment: str) -> tuple[int, str, str]:
        """Run a command: exit status, stdout, stderr."""
        with self._monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value)
            try:
                status = main(arguments)
            except SystemExit as end:
                status = int(end.code or 0)
        return status, *self._capsys.readouterr()

    def complaint(self, *arguments: str, **environment: str) -> str:
        """Run a command that must fail with one line and return the line."""
        status, out, err = self.run(*arguments, **environment)
        assert (status, out) == (2, "")
        (line,) = err.splitlines()
        assert line.startswith("nas-server: ")
        return line


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Terminal:
    return Terminal(monkeypatch, capsys)
