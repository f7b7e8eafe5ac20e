"""The fire itself: what a NAS sends to an agent, when, and how often."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from typing import Any

from nas_sdk.times import parse_instant
from nas_sdk.webhooks import FireError, FireVerifier

from .checks import Group
from .contract import Law
from .receiver import Delivery
from .rig import Rig
from .scene import Scene, path_of
from .wire import Broken

GROUP = Group("fire", needs="receive")
_TOKEN = "securitySchemes.fireToken"  # noqa: S105 - a section of the contract
_MINTED_WITHIN = 10.0
"""Seconds between the minting of a token and its arrival."""


@GROUP.check(
    "delivered",
    Law("cronFire", "NAS sends `POST {agent_callback_url}/api/cron/fire` at `fire_at`"),
    "Send JSON by the schema FireRequest; keep to seconds, with no floor of a minute.",
)
def delivered(rig: Rig) -> None:
    """A due one-shot is POSTed to {agent_callback_url}/api/cron/fire."""
    scene = rig.scene.played()
    part, fire = scene.parts["accepted"], scene.came("accepted")[0]
    complaint = rig.contract.complaint("FireRequest", fire.json())
    if complaint:
        raise Broken(f"the body is no FireRequest: {complaint}", steps=scene.steps("accepted"))
    if fire.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Broken("the media type is not application/json", steps=scene.steps("accepted"))
    if parse_instant(fire.json()["fire_at"]) != parse_instant(part.fire_at):
        raise Broken(
            f"it names {fire.json()['fire_at']}, another instant", steps=scene.steps("accepted")
        )


@GROUP.check(
    "path",
    Law("schemas.ProvisionRequest", "a slash at its end makes no difference"),
    "Strip slashes at the end of agent_callback_url, then append /api/cron/fire.",
)
def path(rig: Rig) -> None:
    """A base path is kept; a slash at the end of the callback URL makes no difference."""
    scene = rig.scene.played()
    for name in ("accepted", "slash"):
        wanted = path_of(scene.parts[name].callback_url)
        for fire in scene.came(name):
            if not fire.path.endswith(wanted) or "//" in fire.path:
                raise Broken(f"it came to {fire.path}, not {wanted}", steps=scene.steps(name))


@GROUP.check(
    "not-early",
    Law("cronFire", "at `fire_at`, never before."),
    "Compare with the clock at delivery; never round a fire time down.",
)
def not_early(rig: Rig) -> None:
    """No fire comes before its fire_at."""
    scene = rig.scene.played()
    for name, part in scene.parts.items():
        for fire in scene.deliveries(name):
            if fire.at < part.due - scene.patience.skew:
                early = part.due - fire.at
                raise Broken(f"it came {early:.3f} s early", steps=scene.steps(name))


@GROUP.check(
    "past",
    Law("provision", "A `fire_at` in the past fires at once."),
    "Wake the relay when what is armed is due already.",
)
def past(rig: Rig) -> None:
    """A one-shot armed for the past fires at once."""
    rig.scene.played().came("past")


@GROUP.check(
    "token",
    Law(_TOKEN, "Minted by NAS for one delivery attempt."),
    "Sign with a key of the JWKS, named by kid; set iss, aud, purpose cron_fire, iat, exp.",
)
def token(rig: Rig) -> None:
    """Every fire carries a fire token that a receiver accepts."""
    scene = rig.scene.played()
    keys = scene.key_set()
    for name in ("accepted", "busy"):
        for fire in scene.came(name):
            _verify(rig, scene, keys, fire, name)


def _verify(rig: Rig, scene: Scene, keys: Mapping[str, Any], fire: Delivery, name: str) -> None:
    verifier = FireVerifier(
        keys,
        audience=rig.given.audience or str(_claims(scene, name, fire).get("aud")),
        issuer=rig.given.issuer or rig.wire.base_url,
        leeway=30.0 + scene.patience.skew,
        clock=lambda: fire.at,
    )
    try:
        verifier.verify(fire.headers, fire.body)
    except FireError as error:
        raise Broken(error.message, steps=scene.steps(name)) from None


@GROUP.check(
    "claims",
    Law(_TOKEN, "`exp` 60 to 120 seconds ahead."),
    "iss without a slash at its end; aud one string, agent:{instance_id}; iat the time of "
    "minting; exp 60 to 120 s later.",
)
def claims(rig: Rig) -> None:
    """The token's claims are as the contract has them, its life 60 to 120 seconds."""
    scene = rig.scene.played()
    fire = scene.came("accepted")[0]
    said = _claims(scene, "accepted", fire)
    near = _MINTED_WITHIN + scene.patience.skew
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
            raise Broken(f"{wrong}: {json.dumps(shown)}", steps=scene.steps("accepted"))


def _life(iat: Any, exp: Any) -> float:
    both = isinstance(iat, int | float) and isinstance(exp, int | float)
    return exp - iat if both else 0.0


def _claims(scene: Scene, name: str, fire: Delivery) -> dict[str, Any]:
    """What the token says, unverified; Broken when it is no JWT."""
    try:
        payload = fire.token.split(".")[1]
        said = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return dict(said)
    except (IndexError, ValueError, TypeError):
        raise Broken("there is no JWT with the fire", steps=scene.steps(name)) from None


@GROUP.check(
    "fresh-token",
    Law("cronFire", "with a fresh token each time."),
    "Mint the token when the attempt begins, not when the one-shot is armed.",
)
def fresh_token(rig: Rig) -> None:
    """Each attempt carries a token of its own."""
    scene = rig.scene.played()
    first, second = scene.came("busy", 2)[:2]
    if first.token == second.token:
        raise Broken(
            "the second attempt came with the first one's token", steps=scene.steps("busy")
        )


@GROUP.check(
    "audience",
    Law(_TOKEN, "`aud` `agent:{instance_id}`, a string"),
    "Take aud from the agent that armed the one-shot.",
    needs="second",
)
def audience(rig: Rig) -> None:
    """Each agent's fires carry an audience of its own."""
    scene = rig.scene.played()
    first, second = (
        _claims(scene, name, scene.came(name)[0]).get("aud") for name in ("accepted", "second")
    )
    if first == second:
        raise Broken(f"the fires of both agents say {first!r}", steps=scene.steps("second"))
