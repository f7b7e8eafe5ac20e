"""What a command line takes, for tables that state it literally."""

import argparse
from collections.abc import Iterator
from typing import Any


def options_of(parser: argparse.ArgumentParser) -> dict[str, dict[str, Any]]:
    """For every command: what each of its options and arguments is if nobody says it.

    An argument that must be said is `...`.
    """
    return {" ".join(path): dict(_options(each)) for path, each in parsers(parser)}


def parsers(
    parser: argparse.ArgumentParser, path: tuple[str, ...] = ()
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    """Those of all commands that can be run, by what is to be said for it."""
    commands = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not commands or len(parser._actions) > len(commands) + 2:
        yield path, parser
    for action in commands:
        assert action.required
        for name, command in action.choices.items():
            yield from parsers(command, (*path, name))


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, Any]]:
    for action in parser._actions:
        if action.dest in ("help", "version") or isinstance(action, argparse._SubParsersAction):
            continue
        must = action.required and action.default is None
        default = parser.get_default(action.dest)
        yield "/".join(action.option_strings) or action.dest, ... if must else default


def usages(command: argparse.ArgumentParser) -> Iterator[list[str]]:
    """Ways to use a command: without options, with each one, for people and as JSON.

    What an argument or option is given is in braces, by its dest.
    """
    arguments: list[str] = []
    options: list[list[str]] = [[]]
    for action in command._actions:
        given = [] if action.nargs == 0 else [f"{{{action.dest}}}"]
        if not action.option_strings:
            arguments += given
        elif action.dest not in ("help", "version", "json"):
            options.append([action.option_strings[-1], *given])
    for option in options:
        yield [*arguments, *option]
        if "--json" in command._option_string_actions:
            yield [*arguments, *option, "--json"]
