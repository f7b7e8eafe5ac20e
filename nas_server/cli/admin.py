"""The commands beside `serve`: they work on the store, while a server runs on it or not."""

import contextlib
import json
import re
from argparse import Namespace
from pathlib import Path
from typing import Any, Final

import attrs

from nas_sdk._core.instants import format_instant
from nas_server.accounts import AccountError, Accounts, AgentAccount
from nas_server.cli import token_file
from nas_server.cli.options import OptionError
from nas_server.clock import system_clock
from nas_server.keys import KeyRing
from nas_server.logins import Logins
from nas_server.page.access import Access
from nas_server.page.facts import Lateness, lateness
from nas_server.policy import HISTORY
from nas_server.store import Store, open_store

SHOWN: Final = 100
"""How many of those given up are listed, the newest."""
_PASSWORD: Final = re.compile(r"//.*@")


async def run(options: Namespace) -> None:
    """Run the command in ``options.act`` on the store; AccountError, StoreError, OptionError."""
    create = getattr(options, "create", None)  # None: what makes no sense before a server has run
    if create is False and (file := _missing_file(options.store)):
        raise OptionError(
            f"there is no store {file}: --create makes it, --store names the one that you mean"
        )
    store = await open_store(options.store, serving=False, create=bool(create))
    try:
        with token_file.opened(getattr(options, "token_file", None)) as options.write_token:
            await options.act(store, options)
    finally:
        await store.close()


def _missing_file(url: str) -> Path | None:
    """Return the file of a store that is not there, in a directory that is."""
    scheme, _, rest = url.partition(":")
    if scheme != "sqlite" or not rest:
        return None
    with contextlib.suppress(RuntimeError):  # of a user who is not there; to open it says so
        file = Path(rest).expanduser().absolute()
        if file.parent.is_dir() and not file.exists():
            return file
    return None


def _show(options: Namespace, facts: dict[str, Any]) -> None:
    """Print facts as JSON or, for people, one a line."""
    if options.json:
        print(json.dumps(facts))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):{width}}  {value}")


def _facts(agent: AgentAccount) -> dict[str, Any]:
    return {"name": agent.name, "instance_id": agent.instance_id, "audience": agent.audience}


async def add_agent(store: Store, options: Namespace) -> None:
    """Provision an agent and print its token, or write it into a file."""
    had = len(await store.armed(options.name))
    agent, token = await Accounts(store).add(
        options.name, options.instance_id, system_clock(), token=not options.no_token
    )
    _show(options, {**_facts(agent), **_token(options, token), **_armed(agent, had)})


def _token(options: Namespace, token: str | None) -> dict[str, str]:
    """Return a new token to be shown, or the file that has it now."""
    if not token:
        return {}
    if options.token_file is None:
        return {"token": token}
    options.write_token(token)
    return {"token_file": options.token_file}


async def rotate_agent(store: Store, options: Namespace) -> None:
    """Replace an agent's token and print the new one."""
    had = len(await store.armed(options.name))
    keep = not options.compromised
    agent, token = await Accounts(store).rotate(options.name, keep_armed=keep)
    _show(options, {**_facts(agent), **_token(options, token), **_armed(agent, had)})


def _armed(agent: AgentAccount, had: int) -> dict[str, Any]:
    """Return what became of the one-shots of an agent that got another credential."""
    if agent.generation == 1:
        return {}
    dropped = agent.armed_from == agent.generation
    return {"armed_dropped" if dropped else "armed_kept": had}


async def approve_login(store: Store, options: Namespace) -> None:
    """Let a program that waits under a code log in as an agent."""
    accounts = Accounts(store)
    name = options.name or await _only_agent(accounts)
    had = len(await store.armed(name))
    agent = await Logins(store, accounts).approve(options.code, name, system_clock())
    _show(options, {**_facts(agent), "approved": True, "armed_kept": had})


async def _only_agent(accounts: Accounts) -> str:
    names = [agent.name for agent in await accounts.everyone() if not agent.revoked]
    if not names:
        raise AccountError("there is no agent to log in as; 'agent add NAME --no-token' makes one")
    if len(names) > 1:
        shown = ", ".join(names[:5]) + (", …" if len(names) > 5 else "")
        raise AccountError(f"say whose login it is: agent approve CODE NAME, of {shown}")
    return names[0]


async def deny_login(store: Store, options: Namespace) -> None:
    """Refuse the program that waits under a code its login."""
    await Logins(store, Accounts(store)).deny(options.code, system_clock())
    _show(options, {"denied": True})


async def revoke_agent(store: Store, options: Namespace) -> None:
    """Make an agent unprovisioned."""
    agent = await Accounts(store).revoke(options.name)
    _show(options, {**_facts(agent), "revoked": True})


async def list_agents(store: Store, options: Namespace) -> None:
    """Print all agents."""
    agents = await Accounts(store).everyone()
    if options.json:
        print(json.dumps([{**_facts(agent), **_credential(agent)} for agent in agents]))
        return
    for agent in agents:
        shown = f"credential {agent.generation} ({agent.kind})"
        print(f"{agent.name}  {agent.audience}  {'revoked' if agent.revoked else shown}")


def _credential(agent: AgentAccount) -> dict[str, Any]:
    return {
        "revoked": agent.revoked,
        "credential": agent.generation,
        "credential_kind": agent.kind,
    }


async def admin_token(store: Store, options: Namespace) -> None:
    """Make the token of the page and print it; or have no page any more."""
    access = Access(store)
    if options.off:
        await access.turn_off()
        _show(options, {"page": "off"})
    else:
        _show(options, {"page": "on", **_token(options, await access.new_token())})


async def rotate_keys(store: Store, options: Namespace) -> None:
    """Add a signing key that takes over in a moment."""
    key = await KeyRing(store).rotate(system_clock())
    _show(options, {"kid": key.kid, "signs_from": format_instant(key.signs_from_ms)})


def without_password(url: str) -> str:
    """Return a store's URL as it may be shown."""
    return _PASSWORD.sub("//…@", url)


def _late(late: Lateness) -> str:
    if not late.of:
        return "nothing fired within a day"
    ms = f"median {late.p50_ms} ms, 99 % {late.p99_ms} ms, worst {late.worst_ms} ms"
    return f"{ms}, of the last {late.of}"


async def status(store: Store, options: Namespace) -> None:
    """Print what the store holds, and what was given up."""
    now = system_clock()
    counts = await store.counts(now)
    late = lateness(await store.attempts(now, HISTORY.per_agent))
    keys = await KeyRing(store).published(now)
    agents = [agent for agent in await Accounts(store).everyone() if not agent.revoked]
    dead = [
        {
            "agent": one.agent,
            "job_id": one.job_id,
            "fire_at": one.fire_at,
            "attempts": one.attempt,
            "last": one.note,
        }
        for one in await store.dead(now, SHOWN)
    ]
    facts: dict[str, Any] = {
        "store": without_password(options.store),
        "agents": len(agents),
        "armed": counts.armed,
        "due": counts.due,
    }
    page = await Access(store).is_on()
    error = await store.arm_error()
    facts["storage"] = "ok" if error is None else str(error)
    if options.json:
        more = {"lateness": attrs.asdict(late), "keys": keys, "page": page}
        print(json.dumps({**facts, **more, "dead_count": counts.dead, "dead": dead}))
        return
    more = {"late": _late(late), "keys": ", ".join(keys) or "none yet"}
    _show(options, {**facts, "dead": counts.dead, **more, "page": "on" if page else "off"})
    for each in dead:
        print("  " + "  ".join(str(value) for value in each.values()))
    if counts.dead > len(dead):
        print(f"  and {counts.dead - len(dead)} more that were given up before")
