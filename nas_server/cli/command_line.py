"""`nas-server`: the command line of the reference NAS."""

import argparse
import asyncio
import sys
from collections.abc import Sequence
from typing import Any, NoReturn

from nas_sdk._typing import override
from nas_sdk._version import __version__
from nas_server import event_loop
from nas_server.accounts import AccountError
from nas_server.cli import admin, options
from nas_server.cli.options import OptionError
from nas_server.store import StoreError

_AGENT = "what the agent is called here"
_CODE = "as hermes shows it"


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, and knows options by their whole names.

    Else `--conf` would be taken for `--config` only after the file was to be read.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings, allow_abbrev=False)

    @override
    def error(self, message: str) -> NoReturn:
        told = admin.without_password(message)
        self.exit(2, f"nas-server: {told}; see {self.prog} --help\n")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; return 0, or 2 with one line on stderr."""
    try:
        chosen = _parse(arguments)
        with asyncio.Runner(loop_factory=chosen.loop) as runner:
            runner.run(chosen.run(chosen))
    except (OptionError, StoreError, AccountError) as error:
        print(f"nas-server: {error}", file=sys.stderr)
        return 2
    return 0


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    first, _ = _common().parse_known_args(arguments)
    chosen = _parser(options.gather(first.config)).parse_args(arguments)
    for said in options.unknown():
        print(f"nas-server: {said}", file=sys.stderr)
    return chosen


def _common() -> argparse.ArgumentParser:
    parser = _Parser(add_help=False)
    parser.add_argument("--config", metavar="FILE", help="TOML file with any of the options")
    return parser


def _parser(defaults: dict[str, Any]) -> argparse.ArgumentParser:
    parser = _Parser(
        prog="nas-server",
        description="The reference NAS: it arms one-shots for agents and wakes them on time.",
        epilog="Every option can also be given as NAS_SERVER_<OPTION> or in the file of --config.",
    )
    parser.add_argument("--version", action="version", version=__version__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    store = _store_options(defaults)
    _add_serve(commands, store, defaults)
    agents = _group(commands, "agent", "agents and their tokens")
    add = _add(agents, "add", admin.add_agent, "provision an agent; prints its token", store)
    add.add_argument("name", metavar="NAME", help=_AGENT)
    add.add_argument("--instance-id", metavar="ID", help="its tokens' audience is agent:ID")
    given = add.add_mutually_exclusive_group()
    given.add_argument(
        "--no-token", action="store_true", help="print none: its credential will be a login"
    )
    _add_token_file(given)
    _add_create(add)
    words = "let the hermes that waits under a code log in; what the agent had before is void"
    approve = _add(agents, "approve", admin.approve_login, words, store)
    approve.add_argument("code", metavar="CODE", help=_CODE)
    approve.add_argument("name", metavar="NAME", nargs="?", help="the agent, if there are several")
    words = "refuse the login that waits under a code"
    _add(agents, "deny", admin.deny_login, words, store).add_argument(
        "code", metavar="CODE", help=_CODE
    )
    words = "give an agent a new token; the old one is void at once"
    rotate = _add(agents, "rotate", admin.rotate_agent, words, store)
    rotate.add_argument("name", metavar="NAME", help=_AGENT)
    _add_token_file(rotate)
    armed = rotate.add_mutually_exclusive_group()
    armed.add_argument(
        "--keep-armed", action="store_true", help="its one-shots stay armed (default)"
    )
    armed.add_argument(
        "--compromised", action="store_true", help="drop its one-shots: a thief may have armed them"
    )
    words = "refuse an agent's calls and deliver nothing to it"
    _add(agents, "revoke", admin.revoke_agent, words, store).add_argument(
        "name", metavar="NAME", help=_AGENT
    )
    _add(agents, "list", admin.list_agents, "show all agents", store)
    keys = _group(commands, "keys", "signing keys")
    _add(keys, "rotate", admin.rotate_keys, "sign with a new key; the old one fades out", store)
    page = _group(commands, "admin", "the login of the page at /admin/")
    words = "print a new admin token, in place of the one before; its sessions end"
    token = _add(page, "token", admin.admin_token, words, store)
    kinds = token.add_mutually_exclusive_group()
    kinds.add_argument("--off", action="store_true", help="have no token, and so no page")
    _add_token_file(kinds)
    _add_create(token)
    _add(commands, "status", admin.status, "show what is armed, due, late and dead", store)
    return parser


def _group(commands: Any, name: str, words: str) -> Any:
    parser = commands.add_parser(name, help=words, description=words)
    return parser.add_subparsers(required=True, metavar="ACTION")


def _shown(url: str) -> str:
    return admin.without_password(url).replace("%", "%%")


def _store_options(defaults: dict[str, Any]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(add_help=False, parents=[_common()])
    parser.add_argument(
        "--store",
        metavar="URL",
        help=f"sqlite:PATH or nats://HOST:PORT,… (default: {_shown(defaults['store'])})",
    )
    parser.set_defaults(store=defaults["store"])
    return parser


def _add(
    commands: Any, name: str, act: Any, words: str, store: argparse.ArgumentParser
) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(
        name, help=words, description=words, parents=[store]
    )
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(run=admin.run, act=act, loop=None)
    return parser


def _add_token_file(parser: Any) -> None:
    words = "write the token into a new file, for its owner alone, instead of printing it"
    parser.add_argument("--token-file", metavar="FILE", help=words)


def _add_create(parser: argparse.ArgumentParser) -> None:
    words = "make the store if it is not there, as `serve` does"
    parser.add_argument("--create", action="store_true", help=words)


def _add_serve(commands: Any, store: argparse.ArgumentParser, defaults: dict[str, Any]) -> None:
    words = "run the server until it is told to stop"
    parser = commands.add_parser("serve", help=words, description=words, parents=[store])
    parser.add_argument("--host", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=options.port, help="0: any (default: %(default)s)")
    parser.add_argument(
        "--issuer",
        type=options.base_url,
        metavar="URL",
        help="base URL that agents know this NAS by (default: where it listens)",
    )
    parser.add_argument(
        "--allow-private-callbacks",
        action=argparse.BooleanOptionalAction,
        help="call agents at addresses that are not public, too",
    )
    parser.add_argument(
        "--per-agent",
        type=options.count,
        metavar="N",
        help="deliveries to one agent at a time (default: %(default)s)",
    )
    parser.add_argument(
        "--calls",
        type=options.calls,
        metavar="N",
        help="calls an agent may make a second, in the long run; 0: any (default: %(default)s)",
    )
    parser.add_argument(
        "--one-shots",
        type=options.one_shots,
        metavar="N",
        help="one-shots an agent may have; 0: any number (default: %(default)s)",
    )
    parser.add_argument(
        "--grace",
        type=options.seconds,
        metavar="S",
        help="seconds a stop waits for deliveries (default: %(default)s)",
    )
    parser.add_argument(
        "--log-level",
        type=options.log_level,
        metavar="LEVEL",
        help="debug, info, warning or error (default: %(default)s)",
    )
    parser.set_defaults(run=_serve, loop=event_loop.new, **defaults)


async def _serve(chosen: argparse.Namespace) -> None:
    # The other commands need no web server, and start in half the time without.
    from nas_server.cli.serving import serve

    await serve(chosen)
