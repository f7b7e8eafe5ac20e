"""`nas-conformance`: hold a NAS to the contract.

Exit status: 0 all passed, 1 some failed, 2 it could not be run (one line says why).
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from nas_sdk._core.loopback import is_loopback
from nas_sdk._typing import override
from nas_sdk._version import __version__

if TYPE_CHECKING:
    from .runner.checks import Check
    from .runner.options import Options
    from .runner.suite import Report

_EPILOG = """\
Tokens may also be set as NAS_TOKEN, NAS_SECOND_TOKEN, NAS_EXPIRED_TOKEN and
NAS_UNPROVISIONED_TOKEN, which keeps them out of the process list. Use the token of
an agent that is there for tests. Everything the kit arms it cancels again.
"""


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line."""

    @override
    def error(self, message: str) -> NoReturn:
        self.exit(2, f"nas-conformance: {message}; see nas-conformance --help\n")


class _UsageError(Exception):
    """The options cannot work; the text says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return the exit status."""
    parser = _parser()
    options, unknown = parser.parse_known_args(arguments)
    if unknown:
        parser.error(_in_words(unknown))
    try:
        return _run(options)
    except _UsageError as error:
        print(f"nas-conformance: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("nas-conformance: interrupted", file=sys.stderr)
        return 130


def _in_words(unknown: Sequence[str]) -> str:
    """What was not understood, without values: one of them may be a token."""
    named = [each.partition("=")[0] if each[:2] == "--" else each[:2] for each in unknown]
    options = [name for name in named if name[:1] == "-"]
    if not options:
        return "a value belongs to no option (it is not repeated: it may be a secret)"
    return f"unknown option {', '.join(options)}"


def _run(options: argparse.Namespace) -> int:
    from . import report
    from .runner import suite

    if options.list:
        _print_checks(suite.choose(options.only))
        return 0
    if not suite.choose(options.only):
        raise _UsageError(f"no check is named {' or '.join(options.only)}; --list shows them all")
    given = _given(options)
    try:
        done = suite.run(given, only=options.only, on_check=_progress())
    except suite.UnreachableError as error:
        raise _UsageError(str(error)) from None
    finally:
        _clear_progress()
    _write(done, report.as_junit(done), options.junit)
    print(report.as_json(done) if options.json else report.text(done), end="")
    return 0 if done.ok else 1


def _given(options: argparse.Namespace) -> Options:
    """The options as a run wants them; _UsageError when they cannot work."""
    from .runner.options import Options, Patience

    url = _base_url(options)
    if not options.token:
        raise _UsageError("no token: pass --token, or set NAS_TOKEN")
    for name in ("token", "second_token", "expired_token", "unprovisioned_token"):
        token = getattr(options, name) or ""
        if " " in token or not (token.isascii() and token.isprintable()):
            flag = f"--{name.replace('_', '-')}"
            raise _UsageError(f"{flag}: visible ASCII is needed, with no space or line end")
    names = {"seed", "deadline", "examples", "receive_port", "callback_url", "jwks", "issuer"}
    names |= {"audience"}
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    return Options(
        base_url=url,
        token=options.token,
        second=options.second_token,
        expired=options.expired_token,
        unprovisioned=options.unprovisioned_token,
        receive=options.receive,
        patience=Patience(most=options.patience, skew=options.clock_skew),
        **given,
    )


def _base_url(options: argparse.Namespace) -> str:
    """The URL of the NAS; _UsageError when it is none, or fires could not get here from it."""
    from nas_sdk._core.config import base_url
    from nas_sdk._core.validation import check_callback_url
    from nas_sdk.errors import ConfigurationError, InvalidRequestError

    url = None
    try:
        url = base_url(options.url, allow_http=options.allow_http)
        if options.jwks:
            base_url(options.jwks.partition("?")[0], allow_http=True)
        if options.callback_url:
            check_callback_url(options.callback_url)
    except ConfigurationError as error:
        flag = "--jwks" if url else "--url"
        raise _UsageError(f"{flag}: {error.message.removeprefix('base_url: ')}") from None
    except InvalidRequestError as error:
        wrong = error.message.removeprefix("agent_callback_url: ")
        raise _UsageError(f"--callback-url: {wrong}") from None
    if options.receive and not options.callback_url and not is_loopback(url.host):
        raise _UsageError(
            "--receive listens on 127.0.0.1, where that NAS cannot reach it: say --callback-url"
        )
    return str(url)


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nas-conformance",
        description="Hold any NAS to the contract of agent cron.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=__version__)
    parser.add_argument("--url", metavar="URL", help="base URL of the NAS (or NAS_BASE_URL)")
    _add_token(parser, "--token", "NAS_TOKEN", "token of a provisioned agent")
    _add_token(parser, "--second-token", "NAS_SECOND_TOKEN", "token of another agent")
    _add_token(parser, "--expired-token", "NAS_EXPIRED_TOKEN", "a token that has expired")
    _add_token(parser, "--unprovisioned-token", "NAS_UNPROVISIONED_TOKEN", "a real one of no agent")
    parser.add_argument("--allow-http", action="store_true", help="plain http to another host")
    _add_run(parser)
    _add_fires(parser)
    return parser


def _add_token(parser: argparse.ArgumentParser, flag: str, variable: str, words: str) -> None:
    default = os.environ.get(variable) or None
    parser.add_argument(flag, metavar="T", default=default, help=words)


def _add_run(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("the run")
    group.add_argument(
        "--only", metavar="NAME", action="append", default=[], help="these checks, such as arm.*"
    )
    group.add_argument("--list", action="store_true", help="print the checks and stop")
    group.add_argument("--examples", type=_count, metavar="N", help="random cases of a kind (30)")
    group.add_argument("--seed", type=int, metavar="N", help="repeat the random part of a run")
    group.add_argument("--deadline", type=_seconds, metavar="S", help="begin no check later (300)")
    group.add_argument("--json", action="store_true", help="print JSON")
    group.add_argument("--junit", type=Path, metavar="FILE", help="write JUnit XML as well")


def _add_fires(parser: argparse.ArgumentParser) -> None:
    group = parser.add_argument_group("fires")
    group.add_argument("--receive", action="store_true", help="arm one-shots and take the fires")
    group.add_argument("--receive-port", type=int, metavar="N", help="port on 127.0.0.1 (any)")
    group.add_argument("--callback-url", metavar="URL", help="how the NAS gets to that port")
    group.add_argument("--jwks", metavar="URL", help="its keys (URL/.well-known/jwks.json)")
    group.add_argument("--issuer", metavar="URL", help="iss of its tokens (its base URL)")
    group.add_argument("--audience", metavar="AUD", help="aud of the agent, agent:…")
    group.add_argument(
        "--patience", type=_seconds, default=60.0, metavar="S", help="for a fire or a retry (60)"
    )
    group.add_argument(
        "--clock-skew", type=_skew, default=0.0, metavar="S", help="between its clock and ours (0)"
    )


def _count(text: str) -> int:
    if not text.isdigit() or not int(text):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number above 0")
    return int(text)


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds above 0")
    return value


def _skew(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not 0 <= value < float("inf"):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds, 0 or more")
    return value


def _print_checks(checks: Sequence[Check]) -> None:
    for check in checks:
        print(f"{check.name:<22}  {check.promise}")


def _write(done: Report, xml: str, path: Path | None) -> None:
    if path is None:
        return
    try:
        path.write_text(xml, "utf-8")
    except OSError as error:
        raise _UsageError(f"--junit {path}: {error.strerror}") from None


def _progress() -> Any:
    """What to do before each check: say which, on a terminal only."""

    def show(done: int, total: int, check: Check) -> None:
        print(f"\r\x1b[K{done + 1}/{total} {check.name}", end="", file=sys.stderr, flush=True)

    return show if sys.stderr.isatty() else lambda done, total, check: None


def _clear_progress() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)
