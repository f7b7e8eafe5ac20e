"""Incidents 15 to 18: NAS's keys, and whoever stands before them."""

import time
from concurrent.futures import ThreadPoolExecutor

from nas_sdk.testing.keys import FireKey
from tests.incidents.stage import Stage, hosts, promised
from tests.support.hermes_host import HermesServer

GONE = "0123456789ab"
"""A job that the store does not have: a good token is answered with 200 then."""
COOLDOWN = 30
"""Seconds between two fetches for key ids that nobody has heard of."""
AHEAD = """
import time
ahead, now, ticks = [0.0], time.time, time.monotonic
time.time = lambda: now() + ahead[0]
time.monotonic = lambda: ticks() + ahead[0]
"""
VERIFY = """
from plugins.cron_providers.chronos.verify import get_fire_verifier
result = get_fire_verifier()(
    token=token, expected_audience=audience, jwks_or_key=keys, issuer=issuer
) is not None
"""


@hosts("0.18.2", "0.19.0")
def test_incident_15_thirty_fires_and_no_keys(stage: Stage) -> None:
    """30 fires at once with a cold key cache"""
    with stage.serving("serve") as server, ThreadPoolExecutor(30) as pool:
        fires = [pool.submit(stage.fire, server, GONE) for _ in range(30)]
        with promised("all are accepted, with one fetch"):
            assert {fire.result() for fire in fires} == {200}
            assert stage.nas.key_fetches() == 1


def test_incident_16_forged_tokens_with_unknown_kids(stage: Stage) -> None:
    """forged tokens with unknown kids

    That not even one fetch's own timeout is waited for is held by the tests of the key cache.
    """
    with stage.serving("serve") as server:
        assert stage.fire(server, GONE) == 200
        stage.nas.double.fail_next(delay=1000, operation="jwks")
        with ThreadPoolExecutor(2) as pool:
            hanging = pool.submit(forge, stage, server)
            try:
                with promised("the event loop answers while the keys are fetched"):
                    stage.eventually(hanging.done, "the refusal")
                    assert pool.submit(stage.fire, server, GONE).result(stage.patience) == 200
            finally:
                stage.nas.clock.released.set()
            assert hanging.result() == 401
        fetches, began = stage.nas.key_fetches(), time.monotonic()
        assert {forge(stage, server) for _ in range(40)} == {401}
        with promised("there is at most one more fetch per 30 s"):
            spent = time.monotonic() - began
            assert stage.nas.key_fetches() - fetches <= 1 + spent // COOLDOWN


def forge(stage: Stage, server: HermesServer) -> int:
    """Send a token that is good but for its key, which nobody has heard of."""
    access = stage.agent.access
    claims = {"iss": access.url, "aud": access.audience, "purpose": "cron_fire"}
    token = FireKey().sign(claims)
    return server.fire(token, GONE, "2026-01-01T00:00:00Z").status_code


def test_incident_17_the_keys_cannot_be_fetched_any_more(stage: Stage) -> None:
    """JWKS is down after the keys were once fetched"""
    with stage.session(AHEAD) as hermes:
        access = stage.agent.access
        where = {
            "audience": access.audience,
            "keys": f"{access.url}/.well-known/jwks.json",
            "issuer": access.url,
        }
        assert hermes.do(VERIFY, token=stage.nas.fire_token(access), **where)
        stage.nas.double.fail_next(503, operation="jwks", times=10_000)
        hermes.do("ahead[0] = 400.0")  # longer than keys are kept without a look
        now = int(time.time())
        with promised("the last good keys still verify"):
            token = stage.nas.fire_token(access, iat=now, exp=now + 490)
            assert hermes.do(VERIFY, token=token, **where)
        hermes.do("ahead[0] = 48 * 3600.0")
        with promised("but not for ever"):
            now += 48 * 3600
            token = stage.nas.fire_token(access, iat=now, exp=now + 90)
            assert not hermes.do(VERIFY, token=token, **where)


def test_incident_18_a_firewall_for_libraries(stage: Stage) -> None:
    """a firewall refuses the library's own user agent"""
    stage.nas.firewall = True
    access = stage.agent.access
    with stage.session() as hermes:
        job = stage.create(hermes, "hourly")
        hermes.do("provider.reconcile()")
        with promised("every request has a user agent of our own"):
            stage.await_armed(job)
            assert hermes.do(
                VERIFY,
                token=stage.nas.fire_token(access),
                audience=access.audience,
                keys=f"{access.url}/.well-known/jwks.json",
                issuer=access.url,
            )
