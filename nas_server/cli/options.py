"""Configuration: flags first, then the environment, then a file, then the defaults."""

import os
import re
import tomllib
from argparse import ArgumentTypeError
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import attrs

from nas_server.policy import ServerConfig

PREFIX: Final = "NAS_SERVER_"
DEFAULTS: Final[dict[str, Any]] = {
    "host": "127.0.0.1",
    "port": 8787,
    "store": "sqlite:nas.db",
    "issuer": None,
    "admin_token": None,
    "allow_private_callbacks": False,
    "per_agent": attrs.fields(ServerConfig).per_agent.default,
    "calls": attrs.fields(ServerConfig).calls.default,
    "one_shots": attrs.fields(ServerConfig).one_shots.default,
    "grace": attrs.fields(ServerConfig).grace_s.default,
    "log_level": "info",
}
"""Every option that is not about one command alone, with its value when nobody says one.

The admin token is no flag, for everybody on a machine sees flags.
"""
TOKEN_LEAST: Final = 24

_SWITCHES: Final = {"1": True, "true": True, "yes": True, "on": True}
_SWITCHES_OFF: Final = {"0": False, "false": False, "no": False, "off": False, "": False}


class OptionError(Exception):
    """Configuration that cannot be used; the text is for a person."""


def gather(config: str | None, environment: Mapping[str, str] = os.environ) -> dict[str, Any]:
    """Return the values of all options, flags aside. Texts are still to be parsed.

    Raises OptionError for a file that cannot be read and for names nobody knows.
    """
    path = config or environment.get(f"{PREFIX}CONFIG")
    from_file = _from_file(Path(path)) if path else {}
    values = {
        **DEFAULTS,
        **{name: _parsed(f"{path}: {name}", name, each) for name, each in from_file.items()},
        **{
            name: _parsed(f"{PREFIX}{name.upper()}", name, each)
            for name, each in _from_environment(environment).items()
        },
    }
    if values["admin_token"]:  # from a file with a line's end; the form takes it off, too
        values["admin_token"] = values["admin_token"].strip()
    if len(values["admin_token"] or "x" * TOKEN_LEAST) < TOKEN_LEAST:
        raise OptionError(f"admin_token is too short: {TOKEN_LEAST} characters or more, by chance")
    return values


def unknown(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return a line for each variable that looks like an option and is none."""
    names = {f"{PREFIX}{name.upper()}" for name in (*DEFAULTS, "config")}
    said = []
    for name in sorted(environment):
        if name.startswith(PREFIX) and name not in names:
            near = get_close_matches(name, names, 1)
            meant = f"; did you mean {near[0]}?" if near else ""
            said.append(f"{name} is no option and has no effect{meant}")
    return said


def _parsed(where: str, name: str, value: Any) -> Any:
    """Return a value as its flag would have it; OptionError says ``where`` it stands."""
    parse = PARSERS.get(name)
    if parse is None or not isinstance(value, str):
        return value
    try:
        return parse(value)
    except ArgumentTypeError as error:
        raise OptionError(f"{where}: {error}") from None


def _from_environment(environment: Mapping[str, str]) -> dict[str, str]:
    named = {name: environment.get(f"{PREFIX}{name.upper()}") for name in DEFAULTS}
    return {name: value for name, value in named.items() if value}


def _from_file(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text())
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise OptionError(f"{path} is not TOML: {error}") from None
    for name, value in values.items():
        usual = DEFAULTS.get(name)
        if name not in DEFAULTS:
            raise OptionError(f"{path}: no option {name!r}; there are {', '.join(DEFAULTS)}")
        if isinstance(usual, bool) != isinstance(value, bool):
            kind = "true or false" if isinstance(usual, bool) else "a value"
            raise OptionError(f"{path}: {name} is to be {kind}")
    # Numbers as text, to be judged as the same flag would be.
    return {name: v if isinstance(v, bool) else str(v) for name, v in values.items()}


def switch(text: str) -> bool:
    """Parse a switch."""
    try:
        return (_SWITCHES | _SWITCHES_OFF)[text.strip().lower()]
    except KeyError:
        raise ArgumentTypeError(f"{text!r} is no switch: write true or false") from None


def port(text: str) -> int:
    """Parse a port; 0 stands for any that is free."""
    return int(_number(text, 0, 65_535))


def count(text: str) -> int:
    """Parse a number of deliveries."""
    return int(_number(text, 1, 10_000))


def calls(text: str) -> int:
    """Parse a number of calls a second; 0 stands for no limit."""
    return int(_number(text, 0, 1_000_000))


def one_shots(text: str) -> int:
    """Parse a number of one-shots; 0 stands for no limit."""
    return int(_number(text, 0, 10_000))


def seconds(text: str) -> float:
    """Parse a time to wait."""
    return _number(text, 0, 3_600, float)


def _number(text: str, low: int, high: int, kind: type[int] | type[float] = int) -> float:
    try:
        value = kind(text)
    except ValueError:
        value = -1
    if not low <= value <= high:
        raise ArgumentTypeError(f"{text!r} is not a number from {low} to {high}")
    return value


def base_url(text: str) -> str:
    """Parse a base URL."""
    if not re.fullmatch(r"https?://[^/?# ]+(/[^?# ]*)?", text):
        raise ArgumentTypeError(f"{text!r} is not a base URL, such as https://nas.example.com")
    return text


def log_level(text: str) -> str:
    """Parse a log level."""
    if text.lower() not in ("debug", "info", "warning", "error"):
        raise ArgumentTypeError(f"{text!r} is none of debug, info, warning, error")
    return text


PARSERS: Final[dict[str, Callable[[str], Any]]] = {
    "port": port,
    "issuer": base_url,
    "allow_private_callbacks": switch,
    "per_agent": count,
    "calls": calls,
    "one_shots": one_shots,
    "grace": seconds,
    "log_level": log_level,
}
"""How the texts of options are read; those that are not here are taken as they are."""
