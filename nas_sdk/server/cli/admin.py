"""The commands beside `serve`: they work on the store, while a server runs on it or not."""

import json
from argparse import Namespace
from typing import Any

from nas_sdk.server.accounts import Accounts, Agent
from nas_sdk.server.clock import system_clock
from nas_sdk.server.keys import KeyRing
from nas_sdk.server.store import Store, open_store
from nas_sdk.times import format_instant


async def run(options: Namespace) -> None:
    """Run the command in ``options.act`` on the store; AccountError or StoreError."""
    store = await open_store(options.store, serving=False)
    try:
        await options.act(store, options)
    finally:
        await store.close()


def _show(options: Namespace, facts: dict[str, Any]) -> None:
    """Print facts as JSON or, for people, one a line."""
    if options.json:
        print(json.dumps(facts))
        return
    width = max(map(len, facts))
    for name, value in facts.items():
        print(f"{name.replace('_', ' '):{width}}  {value}")


def _facts(agent: Agent) -> dict[str, Any]:
    return {"name": agent.name, "instance_id": agent.instance_id, "audience": agent.audience}


async def add_agent(store: Store, options: Namespace) -> None:
    """Provision an agent and print its token, this once."""
    agent, token = await Accounts(store).add(options.name, options.instance_id, system_clock())
    _show(options, {**_facts(agent), "token": token})


async def rotate_agent(store: Store, options: Namespace) -> None:
    """Replace an agent's token and print the new one, this once."""
    agent, token = await Accounts(store).rotate(options.name)
    _show(options, {**_facts(agent), "token": token})


async def revoke_agent(store: Store, options: Namespace) -> None:
    """Make an agent unprovisioned."""
    agent = await Accounts(store).revoke(options.name)
    _show(options, {**_facts(agent), "revoked": True})


async def list_agents(store: Store, options: Namespace) -> None:
    """Print all agents."""
    agents = await Accounts(store).everyone()
    if options.json:
        print(json.dumps([{**_facts(agent), "revoked": agent.revoked} for agent in agents]))
        return
    for agent in agents:
        print(f"{agent.name}  {agent.audience}{'  revoked' if agent.revoked else ''}")


async def rotate_keys(store: Store, options: Namespace) -> None:
    """Add a signing key that takes over in a moment."""
    key = await KeyRing(store).rotate(system_clock())
    _show(options, {"kid": key.kid, "signs_from": format_instant(key.signs_from_ms)})


async def status(store: Store, options: Namespace) -> None:
    """Print what the store holds, and what was given up."""
    counts = await store.counts(system_clock())
    agents = [agent for agent in await Accounts(store).everyone() if not agent.revoked]
    dead = [
        {
            "agent": one.agent,
            "job_id": one.job_id,
            "fire_at": one.fire_at,
            "attempts": one.attempt,
            "last": one.note,
        }
        for one in await store.dead()
    ]
    facts = {"agents": len(agents), "armed": counts.armed, "due": counts.due}
    if options.json:
        print(json.dumps({**facts, "dead": dead}))
        return
    _show(options, {**facts, "dead": len(dead)})
    for each in dead:
        print("  " + "  ".join(str(value) for value in each.values()))
