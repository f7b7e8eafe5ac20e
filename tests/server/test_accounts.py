"""Agents and tokens, as the store keeps them."""

import json
from pathlib import Path

import pytest

from nas_server.accounts import AccountError, Accounts, InvalidTokenError, UnprovisionedError
from nas_server.store import Store, open_store
from tests.support.jetstream_store import new_url

T = 1_800_000_000_000


async def test_a_token_leads_to_its_agent_and_is_kept_as_a_hash_only(store: Store) -> None:
    accounts = Accounts(store)
    agent, token = await accounts.add("a", "i-9", T)
    await accounts.add("b", None, T)
    assert (await accounts.identify(token, T)).name == "a"
    assert agent.audience == "agent:i-9"
    kept = json.dumps([await store.scan(kind) for kind in ("agent", "token")])
    assert token not in kept
    assert token.removeprefix("nas_") not in kept
    assert agent.token_hash not in repr(agent)


async def test_a_hash_is_no_token(store: Store) -> None:
    accounts = Accounts(store)
    agent, _ = await accounts.add("a", None, T)
    with pytest.raises(InvalidTokenError):
        await accounts.identify(agent.token_hash, T)


async def test_rotate_and_revoke(store: Store) -> None:
    accounts = Accounts(store)
    _, first = await accounts.add("a", None, T)
    before = await accounts.find("a")
    after, second = await accounts.rotate("a")
    assert before is not None
    assert after.instance_id == before.instance_id
    with pytest.raises(InvalidTokenError):
        await accounts.identify(first, T)
    await accounts.revoke("a")
    with pytest.raises(UnprovisionedError):
        await accounts.identify(second, T)
    _, third = await accounts.add("a", None, T)
    assert (await accounts.identify(third, T)).instance_id == before.instance_id
    with pytest.raises(InvalidTokenError):
        await accounts.identify(second, T)


@pytest.mark.parametrize("kind", ["sqlite", "nats"])
async def test_a_token_that_was_used_is_void_at_once_when_another_process_says_so(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    url = f"sqlite:{tmp_path / 'nas.db'}"
    if kind == "nats":
        url = new_url(request.getfixturevalue("nats_three"))
    here, there = await open_store(url, serving=True), await open_store(url, serving=False)
    serving, command = Accounts(here), Accounts(there)
    _, first = await command.add("a", None, T)
    for _ in range(2):
        assert (await serving.identify(first, T)).name == "a"
    _, second = await command.rotate("a")
    with pytest.raises(InvalidTokenError):
        await serving.identify(first, T)
    for _ in range(2):
        assert (await serving.identify(second, T)).name == "a"
    await command.revoke("a")
    with pytest.raises(UnprovisionedError):
        await serving.identify(second, T)
    await there.close()
    await here.close()


async def test_what_cannot_be_done_is_said(store: Store) -> None:
    accounts = Accounts(store)
    await accounts.add("a", "i-1", T)
    with pytest.raises(AccountError, match="a exists; 'agent rotate a'"):
        await accounts.add("a", None, T)
    with pytest.raises(AccountError, match="i-1 is that of agent a"):
        await accounts.add("b", "i-1", T)
    for act in (accounts.rotate, accounts.revoke):
        with pytest.raises(AccountError, match="no agent b"):
            await act("b")
    await accounts.revoke("a")
    with pytest.raises(AccountError, match="no agent a"):
        await accounts.rotate("a")


@pytest.mark.parametrize("name", ["", "a b", "ä", "-a", "a" * 65, "a/b", "a\n"])
async def test_names_are_plain(store: Store, name: str) -> None:
    with pytest.raises(AccountError, match="is not 1 to 64 letters"):
        await Accounts(store).add(name, None, T)
    with pytest.raises(AccountError, match="is not 1 to 64 letters"):
        await Accounts(store).add("a", name, T)


async def test_an_agent_that_comes_and_goes_leaves_nothing_behind(store: Store) -> None:
    accounts = Accounts(store)
    for _ in range(3):
        _, token = await accounts.add("a", None, T)
        await accounts.revoke("a")
    assert len(await store.scan("token")) == 1
    with pytest.raises(UnprovisionedError):
        await accounts.identify(token, T)
