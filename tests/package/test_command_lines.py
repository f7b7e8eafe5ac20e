"""What all our command lines have: help for everything, a version, any terminal."""

import argparse
import contextlib
import io
import re
from collections.abc import Callable, Iterator

import pytest

import chronos_plugin.cli
import nas_conformance.cli
import nas_server.cli.command_line
from nas_conformance.__main__ import main as nas_conformance_main
from nas_sdk._version import __version__
from nas_server.__main__ import main as nas_server_main
from nas_server.cli import options

PROGRAMS: dict[str, tuple[argparse.ArgumentParser, Callable[[list[str]], int]]] = {
    "chronos": (chronos_plugin.cli.command_line(), chronos_plugin.cli.main),
    "nas-server": (nas_server.cli.command_line._parser(options.gather(None, {})), nas_server_main),
    "nas-conformance": (nas_conformance.cli._parser(), nas_conformance_main),
}
ENCODINGS = ("ascii", "latin-1", "cp1252", "utf-8")


def run_with(encoding: str, program: str, arguments: list[str]) -> str:
    """What a program prints in a terminal of an encoding, with which nothing else may come."""
    written = io.BytesIO()
    terminal = io.TextIOWrapper(written, encoding=encoding)  # strict, as Python makes it
    with contextlib.redirect_stdout(terminal), contextlib.redirect_stderr(terminal):
        with contextlib.suppress(SystemExit):
            PROGRAMS[program][1](arguments)
        terminal.flush()
    return written.getvalue().decode(encoding)


def parsers(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """A program's parser and those of all its commands."""
    yield path, parser
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            helped = {each.dest for each in action._choices_actions if each.help}
            assert helped == set(action.choices), f"without help: {path}"
            for name, command in action.choices.items():
                yield from parsers(command, (*path, name))


COMMANDS = [
    pytest.param(program, path, parser, id=" ".join((program, *path)))
    for program, (top, _) in PROGRAMS.items()
    for path, parser in parsers(top)
]


@pytest.mark.parametrize(("program", "path", "parser"), COMMANDS)
def test_everything_has_a_help(
    program: str, path: tuple[str, ...], parser: argparse.ArgumentParser
) -> None:
    assert parser.description
    commands = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    silent = [each.dest for each in parser._actions if not each.help and each not in commands]
    assert silent == []


@pytest.mark.parametrize("program", PROGRAMS)
def test_it_tells_its_version(program: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as exit:
        PROGRAMS[program][1](["--version"])
    assert (exit.value.code, capsys.readouterr().out) == (0, f"{__version__}\n")


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize(("program", "path", "parser"), COMMANDS)
def test_any_terminal_can_show_the_help(
    program: str, path: tuple[str, ...], parser: argparse.ArgumentParser, encoding: str
) -> None:
    said = run_with(encoding, program, [*path, "--help"])
    assert re.search(r"usage: ", said)


@pytest.mark.parametrize("encoding", ENCODINGS)
@pytest.mark.parametrize("program", PROGRAMS)
def test_any_terminal_can_show_a_complaint(program: str, encoding: str) -> None:
    said = run_with(encoding, program, ["--日本…", "“x”"])
    assert "see" in said or "usage" in said
