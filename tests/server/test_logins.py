"""The login of an agent: RFC 8628 as hermes speaks it, and refresh tokens used once."""

import asyncio
import itertools
import json
import math
from base64 import urlsafe_b64decode
from collections.abc import Awaitable, Callable
from typing import Any

import attrs
import jwt
import pytest

from nas_server.accounts import AccountError, Accounts
from nas_server.http.oauth import (
    DEVICE_CODE,
    REFRESH_HEADER,
)
from nas_server.logins import Logins
from nas_server.page.access import Access
from nas_server.store import MemoryStore, Record, Store, StoreError
from tests.support.durations import DAY
from tests.support.nas_in_process import Hosted, hosted

CLIENT = "hermes-cli"
OF_GRANTS = (
    "access_denied",
    "authorization_pending",
    "expired_token",
    "invalid_grant",
    "refresh_token_reused",
    "slow_down",
)
"""Errors that hang on a secret that was sent: no cache is to keep them, as no token."""
Answer = tuple[int, dict[str, Any]]


@attrs.frozen
class Client:
    """A program that logs in."""

    nas: Hosted

    async def post(self, path: str, form: object, **headers: str) -> Answer:
        status, body, received = await self.nas.call(
            "POST", f"/api/oauth/{path}", data=form, headers=headers
        )
        if status == 200 or (status == 400 and body["error"] in OF_GRANTS):
            assert (received["Cache-Control"], received["Pragma"]) == ("no-store", "no-cache")
        return status, body

    async def start(self) -> dict[str, Any]:
        status, told = await self.post("device/code", {"client_id": CLIENT, "scope": "a b"})
        assert status == 200, told
        return told

    async def collect(self, started: dict[str, Any], client: str = CLIENT) -> Answer:
        code = started["device_code"]
        form = {"grant_type": DEVICE_CODE, "client_id": client, "device_code": code}
        return await self.post("token", form)

    async def refresh(self, token: str) -> Answer:
        form = {"grant_type": "refresh_token", "client_id": CLIENT}
        return await self.post("token", form, **{REFRESH_HEADER: token})

    async def log_in(self, agent: str = "agent") -> dict[str, Any]:
        started = await self.start()
        await self.nas.nas.oauth.logins.approve(started["user_code"], agent, self.nas.clock())
        status, told = await self.collect(started)
        assert status == 200, told
        return told

    async def may_list(self, token: str) -> int:
        self.nas.token = token
        status, _, _ = await self.nas.call("GET", "/api/agent-cron/list")
        return status


def error(answer: Answer) -> tuple[int, str]:
    status, body = answer
    assert body["error_description"]
    return status, body["error"]


async def test_a_login_from_its_start_to_a_call(store: Store) -> None:
    async with hosted(store) as nas:
        client, fixed = Client(nas), nas.token
        started = await client.start()
        assert started["verification_uri"] == "http://nas.test/admin/approve"
        code = started["user_code"]
        assert started["verification_uri_complete"].endswith(f"/admin/approve?code={code}")
        assert (started["expires_in"], started["interval"]) == (600, 1)
        assert error(await client.collect(started)) == (400, "authorization_pending")
        spelt = f" {code.lower().replace('-', ' ')}"
        await nas.nas.oauth.logins.approve(spelt, "agent", nas.clock())
        assert await client.may_list(fixed) == 200  # until the program has its tokens
        status, told = await client.collect(started)
        assert status == 200
        assert (told["token_type"], told["expires_in"], told["scope"]) == (
            "Bearer",
            3_600,
            "a b",
        )
        assert await client.may_list(told["access_token"]) == 200
        assert await client.may_list(fixed) == 401
        assert error(await client.collect(started)) == (400, "expired_token")


async def test_an_access_token_is_a_jwt_of_this_nas_and_no_fire_token() -> None:
    async with hosted(MemoryStore()) as nas:
        token = (await Client(nas).log_in())["access_token"]
        (published,) = nas.nas.keys.jwks(nas.clock())["keys"]
        head = jwt.get_unverified_header(token)
        assert (head["typ"], head["kid"]) == ("at+jwt", published["kid"])
        key = jwt.PyJWK(published).key
        issuer = "http://nas.test"
        claims = jwt.decode(token, key, ["ES256"], audience=issuer, issuer=issuer)
        assert (claims["sub"], claims["client_id"]) == ("agent", CLIENT)
        assert "purpose" not in claims


async def test_a_login_is_renewed_again_and_again(store: Store) -> None:
    async with hosted(store) as nas:
        client = Client(nas)
        told = await client.log_in()
        for _ in range(3):
            nas.clock.now += 3_600_000 - 1
            assert await client.may_list(told["access_token"]) == 200
            nas.clock.now += 1
            assert await client.may_list(told["access_token"]) == 401
            old = told["access_token"]
            status, told = await client.refresh(told["refresh_token"])
            assert (status, told["expires_in"]) == (200, 3_600)
            assert await client.may_list(old) == 401
        assert await client.may_list(told["access_token"]) == 200
        assert len(await store.scan("token")) == 2  # of the access token, and of the login


async def test_a_renewal_that_was_made_is_answered_though_nothing_can_be_cleared_away(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Else hermes tries again with a token that was used, and that ends the login.
    write = store.write

    async def removing_nothing(kind: str, key: str, record: Record | None) -> None:
        if record is None:
            raise StoreError("there is no leader")
        await write(kind, key, record)

    async def dropping_nothing(agent: str, before: int) -> None:
        raise StoreError("there is no leader")

    async with hosted(store) as nas:
        client = Client(nas)
        first = await client.log_in()
        monkeypatch.setattr(store, "write", removing_nothing)
        monkeypatch.setattr(store, "drop", dropping_nothing)
        status, second = await client.refresh(first["refresh_token"])
        assert status == 200
        assert await client.may_list(first["access_token"]) == 401
        assert await client.may_list(second["access_token"]) == 200
        _, fixed = await nas.nas.accounts.rotate("agent", keep_armed=False)
        assert await client.may_list(fixed) == 200


async def test_a_refresh_token_that_is_used_twice_ends_the_login(store: Store) -> None:
    async with hosted(store) as nas:
        client = Client(nas)
        first = await client.log_in()
        _, second = await client.refresh(first["refresh_token"])
        assert error(await client.refresh(first["refresh_token"])) == (400, "refresh_token_reused")
        assert await client.may_list(second["access_token"]) == 401
        for told in (first, second):
            assert error(await client.refresh(told["refresh_token"])) == (400, "invalid_grant")
        assert await store.scan("token") == {}
        agent = await nas.nas.accounts.find("agent")
        assert agent is not None
        assert (agent.kind, agent.revoked) == ("none", False)
        assert await client.may_list((await client.log_in())["access_token"]) == 200


async def test_of_many_renewals_at_once_one_is_made_and_the_login_ends(store: Store) -> None:
    async with hosted(store) as nas:
        client = Client(nas)
        token = (await client.log_in())["refresh_token"]
        answers = await asyncio.gather(*(client.refresh(token) for _ in range(8)))
        assert sorted(status for status, _ in answers) == [200] + [400] * 7
        (won,) = (told for status, told in answers if status == 200)
        assert await client.may_list(won["access_token"]) == 401


async def test_of_many_who_collect_one_gets_the_tokens(store: Store) -> None:
    async with hosted(store) as nas:
        client = Client(nas)
        started = await client.start()
        await nas.nas.oauth.logins.approve(started["user_code"], "agent", nas.clock())
        answers = await asyncio.gather(*(client.collect(started) for _ in range(8)))
        assert sorted(status for status, _ in answers) == [200] + [400] * 7
        (won,) = (told for status, told in answers if status == 200)
        assert await client.may_list(won["access_token"]) == 200
        assert len(await store.scan("token")) == 2


async def test_what_replaces_a_login_ends_it(store: Store) -> None:
    async with hosted(store) as nas:
        client, accounts = Client(nas), nas.nas.accounts
        told = await client.log_in()
        again = await client.log_in()
        assert await client.may_list(told["access_token"]) == 401
        assert error(await client.refresh(told["refresh_token"])) == (400, "invalid_grant")
        _, fixed = await accounts.rotate("agent")
        assert error(await client.refresh(again["refresh_token"])) == (400, "invalid_grant")
        assert await client.may_list(fixed) == 200
        last = await client.log_in()
        await accounts.revoke("agent")
        assert await client.may_list(last["access_token"]) == 403
        assert error(await client.refresh(last["refresh_token"])) == (400, "invalid_grant")


async def test_a_login_keeps_what_is_armed_and_a_compromised_one_does_not(store: Store) -> None:
    async with hosted(store) as nas:
        client = Client(nas)
        await nas.provision("job", 600_000, "http://127.0.0.1:9")
        told = await client.log_in()
        nas.token = told["access_token"]
        assert list(await nas.armed()) == ["job"]
        _, told = await client.refresh(told["refresh_token"])
        nas.token = told["access_token"]
        assert list(await nas.armed()) == ["job"]
        _, nas.token = await nas.nas.accounts.rotate("agent", keep_armed=False)
        assert await nas.armed() == {}


async def test_a_login_that_is_not_renewed_for_long_is_over() -> None:
    async with hosted(MemoryStore()) as nas:
        client = Client(nas)
        told = await client.log_in()
        nas.clock.now += 90 * DAY
        assert error(await client.refresh(told["refresh_token"])) == (400, "invalid_grant")


async def test_a_login_lasts_from_its_last_renewal() -> None:
    async with hosted(MemoryStore()) as nas:
        client = Client(nas)
        told = await client.log_in()
        for days in (89, 89, 10):
            nas.clock.now += days * DAY
            status, told = await client.refresh(told["refresh_token"])
            assert status == 200, told
        nas.clock.now += 90 * DAY
        assert error(await client.refresh(told["refresh_token"])) == (400, "invalid_grant")


async def test_a_login_that_is_refused(store: Store) -> None:
    async with hosted(store) as nas:
        client, logins = Client(nas), nas.nas.oauth.logins
        started = await client.start()
        await logins.deny(started["user_code"], nas.clock())
        with pytest.raises(AccountError, match="no login waits under the code"):
            await logins.approve(started["user_code"], "agent", nas.clock())
        assert error(await client.collect(started)) == (400, "access_denied")
        assert error(await client.collect(started)) == (400, "expired_token")


async def test_a_code_has_its_time(store: Store) -> None:
    async with hosted(store) as nas:
        client, logins = Client(nas), nas.nas.oauth.logins
        started = await client.start()
        nas.clock.now += 600_000
        with pytest.raises(AccountError, match="no login waits under the code"):
            await logins.approve(started["user_code"], "agent", nas.clock())
        assert error(await client.collect(started)) == (400, "expired_token")
        await client.start()
        assert len(await store.scan("device")) == 1


async def test_what_cannot_be_approved() -> None:
    async with hosted(MemoryStore()) as nas:
        client, logins = Client(nas), nas.nas.oauth.logins
        started = await client.start()
        with pytest.raises(AccountError, match="no agent nobody"):
            await logins.approve(started["user_code"], "nobody", nas.clock())
        await logins.approve(started["user_code"], "agent", nas.clock())
        with pytest.raises(AccountError, match="no login waits"):
            await logins.approve(started["user_code"], "agent", nas.clock())
        await nas.nas.accounts.revoke("agent")
        assert error(await client.collect(started)) == (400, "access_denied")


async def rotated(client: Client) -> None:
    await client.nas.nas.accounts.rotate("agent")


async def compromised(client: Client) -> None:
    await client.nas.nas.accounts.rotate("agent", keep_armed=False)


async def revoked(client: Client) -> None:
    await client.nas.nas.accounts.revoke("agent")


async def back(client: Client) -> None:
    await revoked(client)
    await client.nas.nas.accounts.add("agent", None, client.nas.clock())


async def back_as_another(client: Client) -> None:
    await revoked(client)
    await client.nas.nas.accounts.add("agent", "i-2", client.nas.clock())


async def logged_in(client: Client) -> None:
    await client.log_in()


@pytest.mark.parametrize(
    "replace", [rotated, compromised, revoked, back, back_as_another, logged_in]
)
async def test_an_approval_ends_with_the_credential_that_it_was_to_replace(
    store: Store, replace: Callable[[Client], Awaitable[None]]
) -> None:
    async with hosted(store) as nas:
        client = Client(nas)
        started = await client.start()
        await nas.nas.oauth.logins.approve(started["user_code"], "agent", nas.clock())
        await replace(client)
        before = await nas.nas.accounts.find("agent")
        assert error(await client.collect(started)) == (400, "access_denied")
        assert await nas.nas.accounts.find("agent") == before
        assert error(await client.collect(started)) == (400, "expired_token")


async def test_an_approval_outlives_a_renewal(store: Store) -> None:
    async with hosted(store) as nas:
        client = Client(nas)
        told = await client.log_in()
        started = await client.start()
        await nas.nas.oauth.logins.approve(started["user_code"], "agent", nas.clock())
        assert (await client.refresh(told["refresh_token"]))[0] == 200
        status, told = await client.collect(started)
        assert status == 200
        assert await client.may_list(told["access_token"]) == 200


@pytest.mark.parametrize("decided", ["approve", "deny"])
async def test_whatever_write_fails_a_decision_is_heard_in_the_end(
    store: Store, monkeypatch: pytest.MonkeyPatch, decided: str
) -> None:
    write, swap = store.write, store.swap
    left = math.inf

    def count() -> None:
        nonlocal left
        left -= 1
        if left == -1:
            raise StoreError("there is no leader")

    async def failing_write(*given: Any) -> None:
        count()
        await write(*given)

    async def failing_swap(*given: Any) -> bool:
        count()
        return await swap(*given)

    async with hosted(store) as nas:
        client, logins = Client(nas), nas.nas.oauth.logins
        monkeypatch.setattr(store, "write", failing_write)
        monkeypatch.setattr(store, "swap", failing_swap)
        for n in itertools.count():
            left = math.inf
            started = await client.start()
            if decided == "approve":
                await logins.approve(started["user_code"], "agent", nas.clock())
            else:
                await logins.deny(started["user_code"], nas.clock())
            left = n
            status, told = await client.collect(started)
            failed = left < 0
            left = math.inf
            if status == 503:
                status, told = await client.collect(started)
            if decided == "approve":
                assert (n, status) == (n, 200)
                assert await client.may_list(told["access_token"]) == 200
            else:
                assert (n, told["error"]) == (n, "access_denied")
            if not failed:
                break
            nas.clock.now += 10_000  # before one address may begin another
        assert n >= (6 if decided == "approve" else 1)


async def test_an_approval_that_does_not_say_what_it_replaces_is_refused() -> None:
    store = MemoryStore()
    async with hosted(store) as nas:
        client = Client(nas)
        started = await client.start()
        await nas.nas.oauth.logins.approve(started["user_code"], "agent", nas.clock())
        ((key, record),) = (await store.scan("device")).items()
        del record["generation"]
        await store.write("device", key, record)
        assert error(await client.collect(started)) == (400, "access_denied")


async def test_codes_of_others_are_no_codes() -> None:
    async with hosted(MemoryStore()) as nas:
        client = Client(nas)
        started, other = await client.start(), await client.start()
        await nas.nas.oauth.logins.approve(started["user_code"], "agent", nas.clock())
        assert error(await client.collect(started, "another")) == (400, "invalid_grant")
        key, secret = started["device_code"].split(".")
        for code in (f"{key}.", f"{key}.x", f"{other['device_code'].split('.')[0]}.{secret}"):
            assert error(await client.collect({"device_code": code})) == (400, "invalid_grant")
        for code in ("x", ".", f".{secret}"):
            assert error(await client.collect({"device_code": code})) == (400, "expired_token")
        assert (await client.collect(started))[0] == 200


async def test_only_hashes_are_kept_and_nothing_is_shown(store: Store) -> None:
    async with hosted(store) as nas:
        client = Client(nas)
        started = await client.start()
        kept = json.dumps(await store.scan("device"))
        told = await client.log_in()
        kept += json.dumps([await store.scan(kind) for kind in ("agent", "token")])
        secrets = [started["device_code"].split(".")[1], started["user_code"]]
        secrets += [told["access_token"], told["refresh_token"], *told["refresh_token"].split(".")]
        assert [secret for secret in secrets if secret in kept] == []
        agent = await nas.nas.accounts.find("agent")
        assert agent is not None
        hashes = {agent.token_hash, agent.chain_hash, agent.refresh_hash}
        assert [each for each in hashes if each in repr(agent)] == []


async def test_no_secret_can_be_guessed() -> None:
    """Each has 256 random bits, beside its prefix or what it is found by."""
    store = MemoryStore()
    access = Access(store)
    async with hosted(store) as nas:

        async def made(name: str) -> list[str]:
            client, now = Client(nas), nas.clock()
            _, first = await nas.nas.accounts.add(name, None, now)
            _, second = await nas.nas.accounts.rotate(name)
            admin = await access.new_token()
            session = await access.login(admin, now)
            assert session is not None
            code = (await client.start())["device_code"]
            told = await client.log_in(name)
            refresh = told["refresh_token"]
            again = (await client.refresh(refresh))[1]["refresh_token"]
            claims = jwt.decode(told["access_token"], options={"verify_signature": False})
            tokens = [each.removeprefix("nas_") for each in (first, second)]
            dotted = [each.partition(".")[2] for each in (code, refresh, again)]
            return [*tokens, *dotted, admin.removeprefix("nas_admin_"), session, claims["jti"]]

        secrets = [urlsafe_b64decode(f"{text}=") for name in "ab" for text in await made(name)]
    assert {len(secret) for secret in secrets} == {32}
    for one, other in itertools.combinations(secrets, 2):
        assert sum(a == b for a, b in zip(one, other, strict=True)) < 10


async def test_who_asks_too_often_is_slowed_down() -> None:
    async with hosted(MemoryStore()) as nas:
        client = Client(nas)
        started = await client.start()
        answers = [error(await client.collect(started))[1] for _ in range(6)]
        assert answers == ["authorization_pending"] * 5 + ["slow_down"]
        for _ in range(20):
            nas.clock.now += 1_000
            assert error(await client.collect(started))[1] == "authorization_pending"


@pytest.mark.usefixtures("one_caller")
async def test_logins_that_wait_are_bounded() -> None:
    store = MemoryStore()
    async with hosted(store) as nas:
        client = Client(nas)
        for _ in range(10):
            await client.start()
        status, headers = await too_many(nas)
        assert (status, headers["Retry-After"]) == (429, "10")
        for _ in range(90):
            await nas.nas.oauth.logins.start(CLIENT, "", "another", nas.clock())
        nas.clock.now += 10_000
        status, headers = await too_many(nas)
        assert (status, headers["Retry-After"]) == (429, "600")
        assert len(await store.scan("device")) == 100
        nas.clock.now += 600_000
        await client.start()
        assert len(await store.scan("device")) == 1


async def too_many(nas: Hosted) -> tuple[int, dict[str, str]]:
    form = {"client_id": CLIENT}
    status, told, headers = await nas.call("POST", "/api/oauth/device/code", data=form)
    assert told["error"] == "slow_down"
    return status, headers


@pytest.mark.usefixtures("one_caller")
async def test_who_guesses_is_slowed_down_and_nobody_else() -> None:
    async with hosted(MemoryStore()) as nas:
        client = Client(nas)
        told = await client.log_in()
        answers = [await client.refresh(f"nas_refresh_{n}.x") for n in range(31)]
        assert error(answers[-2]) == (400, "invalid_grant")
        assert error(answers[-1]) == (429, "slow_down")
        status, told = await client.refresh(told["refresh_token"])
        assert status == 200
        started = await client.start()
        assert error(await client.collect(started)) == (400, "authorization_pending")


@pytest.mark.parametrize("path", ["device/code", "token"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"client_id",
        b"client_id=&grant_type=refresh_token",
        b"client_id=a&client_id=b&grant_type=refresh_token",
        b"client_id=%00&grant_type=refresh_token",
        b"client_id=%FF&grant_type=refresh_token",
        b"client_id=\xff&grant_type=refresh_token",
        b"client_id=" + b"a" * 1_025 + b"&grant_type=refresh_token",
        b"client_id=" + b"a" * 8_192,
        b"&".join(b"f%d=1" % n for n in range(30)),
        "client_id=ä",
    ],
)
async def test_a_broken_form_is_a_400(path: str, body: bytes | str) -> None:
    async with hosted(MemoryStore()) as nas:
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        answer = await Client(nas).post(path, body, **form)
        assert error(answer) == (400, "invalid_request")


async def test_what_is_not_asked_for_by_a_form_or_a_known_grant() -> None:
    async with hosted(MemoryStore()) as nas:
        client = Client(nas)
        as_json = {"Content-Type": "application/json"}
        for path in ("device/code", "token"):
            assert error(await client.post(path, b"{}", **as_json)) == (400, "invalid_request")
            status, told, _ = await nas.call("GET", f"/api/oauth/{path}")
            assert (status, told["error"]) == (405, "method_not_allowed")
        form = {"grant_type": "password", "client_id": CLIENT}
        assert error(await client.post("token", form)) == (400, "unsupported_grant_type")
        for grant in (DEVICE_CODE, "refresh_token"):
            form = {"grant_type": grant, "client_id": CLIENT}
            assert error(await client.post("token", form)) == (400, "invalid_request")


async def test_the_refresh_token_may_be_in_the_form_as_the_standard_has_it() -> None:
    async with hosted(MemoryStore()) as nas:
        client = Client(nas)
        token = (await client.log_in())["refresh_token"]
        form = {"grant_type": "refresh_token", "client_id": CLIENT, "refresh_token": token}
        assert (await client.post("token", form))[0] == 200


async def test_an_agent_without_a_token_has_its_login(store: Store) -> None:
    async with hosted(store) as nas:
        agent, token = await nas.nas.accounts.add("other", None, nas.clock(), token=False)
        assert (token, agent.kind) == ("", "none")
        assert await Client(nas).may_list("x") == 401
        told = await Client(nas).log_in("other")
        assert await Client(nas).may_list(told["access_token"]) == 200
        logged_in = await nas.nas.accounts.find("other")
        assert logged_in is not None
        assert (logged_in.kind, logged_in.generation) == ("login", 2)


async def test_another_process_on_the_store_can_approve(store: Store) -> None:
    async with hosted(store) as nas:
        client = Client(nas)
        started = await client.start()
        elsewhere = Logins(store, Accounts(store))
        waiting = await elsewhere.find(started["user_code"], nas.clock())
        assert waiting is not None
        assert (waiting.client_id, waiting.address) == (CLIENT, "127.0.0.1")
        await elsewhere.approve(started["user_code"], "agent", nas.clock())
        assert await elsewhere.find(started["user_code"], nas.clock()) is None
        assert (await client.collect(started))[0] == 200
