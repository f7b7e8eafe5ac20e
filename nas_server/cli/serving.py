"""The process around a server: sockets, signals, the ready line, a graceful end."""

import asyncio
import contextlib
import ipaddress
import resource
import signal
import socket
import sys
from argparse import Namespace

from nas_server import logs
from nas_server.app import Nas
from nas_server.cli.options import OptionError
from nas_server.http.serving import runner as runner_of
from nas_server.page.access import Access
from nas_server.page.routes import OFF
from nas_server.policy import ServerConfig
from nas_server.store import open_store

BACKLOG = 256
SWITCH_S = 0.0005
"""The store's thread takes many short turns; at the usual 5 ms a busy loop starves it."""


async def serve(options: Namespace) -> None:
    """Serve until SIGTERM or SIGINT. Raises OptionError or StoreError when it cannot start."""
    listener = _listen(options.host, options.port)
    with contextlib.closing(listener):
        url = _url(listener)
        settings = ServerConfig(
            issuer=options.issuer or _issuer(options.host, url),
            allow_private_callbacks=options.allow_private_callbacks,
            per_agent=options.per_agent,
            calls=options.calls,
            one_shots=options.one_shots,
            grace_s=options.grace,
        )
        _raise_file_limit()
        sys.setswitchinterval(SWITCH_S)
        # First, for opening a store has things to say.
        with logs.configured(options.log_level):
            store = await open_store(options.store, serving=True)
            try:
                access = Access(store)
                if options.admin_token:
                    await access.set_token(options.admin_token)
                page = f"{url}/admin/" if await access.is_on() else OFF
                await _serve(listener, url, page, Nas(store, settings))
            finally:
                await store.close()


async def _serve(listener: socket.socket, url: str, page: str, nas: Nas) -> None:
    stop = asyncio.Event()

    def told() -> None:
        if stop.is_set():
            logs.log_event("force_stop")
            nas.force_stop()
        stop.set()

    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, told)
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, _hang_up)
    runner = runner_of(nas.app)
    await runner.setup()
    try:
        server = nas.gate.listen(runner, listener)
        logs.log_event("ready", url=url, page=page)
        with contextlib.suppress(BrokenPipeError):  # nobody waits for the line, and it is logged
            # In one write: the log has a thread of its own, and both may go to one pipe.
            print(f"nas-server ready url={url}\n", end="", flush=True)
        await nas.relay.until(stop)
        logs.log_event("stopping")
        await nas.stop()  # with the keys still published: agents verify what is under way
        server.close()
    finally:
        await runner.cleanup()
    logs.log_event("stopped")


def _hang_up() -> None:
    logs.log_event("hangup_ignored", reason="the log goes to stderr; there is nothing to reopen")


def _listen(host: str, port: int) -> socket.socket:
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, kind, protocol, _, address = found[0]
        listener = socket.socket(family, kind, protocol)
    except (OSError, UnicodeError) as error:
        why = getattr(error, "strerror", None) or "that is no host"
        raise OptionError(f"cannot listen on {host}: {why}") from None
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen(BACKLOG)  # only now nobody else gets the port
    except OSError as error:
        listener.close()
        raise OptionError(f"cannot listen on {host}:{port}: {error.strerror}") from None
    return listener


def _url(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _issuer(host: str, url: str) -> str:
    with contextlib.suppress(ValueError):
        if ipaddress.ip_address(host).is_unspecified:
            raise OptionError(
                f"with --host {host} say --issuer URL: the base URL that agents know this NAS by"
            )
    return url


def _raise_file_limit() -> None:
    """Allow as many sockets as the system does: each delivery under way takes one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
