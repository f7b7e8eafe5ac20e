"""The fire itself: what a NAS sends to an agent, when, and how often."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from nas_sdk._core.instants import parse_instant
from nas_sdk.webhooks import FireError, FireVerifier

from ..runner.checks import Group
from ..runner.context import Context
from ..runner.contract import Clause
from ..runner.receiver import Delivery
from ..runner.scenario import FireScenario, path_of
from ..runner.wire import CheckFailed

GROUP = Group("fire", needs="receive")
_TOKEN = "securitySchemes.fireToken"  # noqa: S105 - a section of the contract
_MINTED_WITHIN = 10.0
"""Seconds between the minting of a token and its arrival."""


@GROUP.check(
    "delivered",
    Clause("cronFire", "NAS sends `POST {agent_callback_url}/api/cron/fire` at `fire_at`"),
    "Send JSON by the schema FireRequest; keep to seconds, with no floor of a minute.",
)
def delivered(context: Context) -> None:
    """A due one-shot is POSTed to {agent_callback_url}/api/cron/fire."""
    scenario = context.scenario.played()
    part, fire = scenario.parts["accepted"], scenario.came("accepted")[0]
    complaint = context.contract.complaint("FireRequest", fire.json())
    if complaint:
        raise CheckFailed(
            f"the body is no FireRequest: {complaint}", steps=scenario.steps("accepted")
        )
    if fire.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise CheckFailed(
            "the media type is not application/json", steps=scenario.steps("accepted")
        )
    if parse_instant(fire.json()["fire_at"]) != parse_instant(part.fire_at):
        raise CheckFailed(
            f"it names {fire.json()['fire_at']}, another instant", steps=scenario.steps("accepted")
        )


@GROUP.check(
    "path",
    Clause("schemas.ProvisionRequest", "a slash at its end makes no difference"),
    "Strip slashes at the end of agent_callback_url, then append /api/cron/fire.",
)
def path(context: Context) -> None:
    """A base path is kept; a slash at the end of the callback URL makes no difference."""
    scenario = context.scenario.played()
    for name in ("accepted", "slash"):
        wanted = path_of(scenario.parts[name].callback_url)
        for fire in scenario.came(name):
            if not fire.path.endswith(wanted) or "//" in fire.path:
                raise CheckFailed(
                    f"it came to {fire.path}, not {wanted}", steps=scenario.steps(name)
                )


@GROUP.check(
    "not-early",
    Clause("cronFire", "at `fire_at`, never before."),
    "Compare with the clock at delivery; never round a fire time down.",
)
def not_early(context: Context) -> None:
    """No fire comes before its fire_at."""
    scenario = context.scenario.played()
    for name, part in scenario.parts.items():
        for fire in scenario.deliveries(name):
            if fire.at < part.due - scenario.patience.skew:
                early = part.due - fire.at
                raise CheckFailed(f"it came {early:.3f} s early", steps=scenario.steps(name))


@GROUP.check(
    "past",
    Clause("provision", "A `fire_at` in the past fires at once."),
    "Wake the relay when what is armed is due already.",
)
def past(context: Context) -> None:
    """A one-shot armed for the past fires at once."""
    context.scenario.played().came("past")


@GROUP.check(
    "token",
    Clause(_TOKEN, "Minted by NAS for one delivery attempt."),
    "Sign with a key of the JWKS, named by kid; set iss, aud, purpose cron_fire, iat, exp.",
)
def token(context: Context) -> None:
    """Every fire carries a fire token that a receiver accepts."""
    scenario = context.scenario.played()
    keys = context.key_set()
    for name in ("accepted", "busy"):
        for fire in scenario.came(name):
            _verify(context, scenario, keys, fire, name)


def _verify(
    context: Context, scenario: FireScenario, keys: Mapping[str, Any], fire: Delivery, name: str
) -> None:
    verifier = FireVerifier(
        keys,
        audience=context.options.audience or str(_claims(scenario, name, fire).get("aud")),
        issuer=context.options.issuer or context.wire.base_url,
        leeway=30.0 + scenario.patience.skew,
        clock=lambda: fire.at,
    )
    try:
        verifier.verify(fire.headers, fire.body)
    except FireError as error:
        raise CheckFailed(error.message, steps=scenario.steps(name)) from None


@GROUP.check(
    "claims",
    Clause(_TOKEN, "`exp` 60 to 120 seconds ahead."),
    "iss without a slash at its end; aud one string, agent:{instance_id}; iat the time of "
    "minting; exp 60 to 120 s later.",
)
def claims(context: Context) -> None:
    """The token's claims are as the contract has them, its life 60 to 120 seconds."""
    scenario = context.scenario.played()
    fire = scenario.came("accepted")[0]
    said = _claims(scenario, "accepted", fire)
    near = _MINTED_WITHIN + scenario.patience.skew
    iat, exp = said.get("iat"), said.get("exp")
    for holds, wrong in (
        (isinstance(said.get("aud"), str), "aud is not one string"),
        (str(said.get("aud")).startswith("agent:"), "aud does not begin with agent:"),
        (isinstance(said.get("iss"), str), "iss is not a string"),
        (not str(said.get("iss")).endswith("/"), "iss ends with a slash"),
        (said.get("purpose") == "cron_fire", "purpose is not cron_fire"),
        (isinstance(iat, int | float) and abs(iat - fire.at) <= near, "iat is not now"),
        (_life(iat, exp) and 60 <= _life(iat, exp) <= 120, "exp is not 60 to 120 s after iat"),
    ):
        if not holds:
            shown = {key: said.get(key) for key in ("iss", "aud", "purpose", "iat", "exp")}
            raise CheckFailed(f"{wrong}: {json.dumps(shown)}", steps=scenario.steps("accepted"))


def _life(iat: Any, exp: Any) -> float:
    both = isinstance(iat, int | float) and isinstance(exp, int | float)
    return exp - iat if both else 0.0


def _claims(scenario: FireScenario, name: str, fire: Delivery) -> dict[str, Any]:
    """What the token says, unverified; CheckFailed when it is no JWT."""
    try:
        payload = fire.token.split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return dict(said)
    except (IndexError, ValueError, TypeError):
        raise CheckFailed("there is no JWT with the fire", steps=scenario.steps(name)) from None


@GROUP.check(
    "fresh-token",
    Clause("cronFire", "with a fresh token each time."),
    "Mint the token when the attempt begins, not when the one-shot is armed.",
)
def fresh_token(context: Context) -> None:
    """Each attempt carries a token of its own."""
    scenario = context.scenario.played()
    first, second = scenario.came("busy", 2)[:2]
    if first.token == second.token:
        raise CheckFailed(
            "the second attempt came with the first one's token", steps=scenario.steps("busy")
        )


@GROUP.check(
    "audience",
    Clause(_TOKEN, "`aud` `agent:{instance_id}`, a string"),
    "Take aud from the agent that armed the one-shot.",
    needs="second",
)
def audience(context: Context) -> None:
    """Each agent's fires carry an audience of its own."""
    scenario = context.scenario.played()
    first, second = (
        _claims(scenario, name, scenario.came(name)[0]).get("aud")
        for name in ("accepted", "second")
    )
    if first == second:
        raise CheckFailed(f"the fires of both agents say {first!r}", steps=scenario.steps("second"))
