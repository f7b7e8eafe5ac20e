"""What a command line takes, for tables that state it literally."""

import argparse
from collections.abc import Iterator
from typing import Any


def options_of(parser: argparse.ArgumentParser) -> dict[str, dict[str, Any]]:
    """For every command: what each of its options and arguments is if nobody says it.

    An argument that must be said is `...`.
    """
    return {" ".join(path): dict(_options(each)) for path, each in _parsers(parser, ())}


def _parsers(
    parser: argparse.ArgumentParser, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], argparse.ArgumentParser]]:
    commands = [each for each in parser._actions if isinstance(each, argparse._SubParsersAction)]
    if not commands or len(parser._actions) > len(commands) + 2:
        yield path, parser
    for action in commands:
        assert action.required
        for name, command in action.choices.items():
            yield from _parsers(command, (*path, name))


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, Any]]:
    for action in parser._actions:
        if action.dest in ("help", "version") or isinstance(action, argparse._SubParsersAction):
            continue
        must = action.required and action.default is None
        default = parser.get_default(action.dest)
        yield "/".join(action.option_strings) or action.dest, ... if must else default
