"""What may hold a secret does not show it: every class of what ships, found by its fields."""

import re
from collections.abc import Iterator

import attrs

from tests.support.numbers import classes_of

PACKAGES = ("nas_sdk", "nas_server", "nas_conformance", "chronos_plugin")
SECRET = re.compile(
    r"(?<![a-z])(authorization|bearer|cookie|credentials?|password|(?:private_)?key|secret|token"
    r"|pem|refresh|device_code|assertion|headers?)s?$"
)
SHOWN = {
    "nas_conformance.runner.receiver.Answer.headers": "those of the kit's own answers",
    "nas_conformance.runner.wire.Exchange.authorization": "words for a report, and no credential",
    "nas_conformance.runner.wire.Exchange.headers": "an answer's",
    "nas_sdk._core.bulk.Arm.dedup_key": "a job and its time",
    "nas_sdk.protocol.one_shot.StoredOneShot.dedup_key": "a job and its time",
    "nas_server.delivery.agent_client.Answer.headers": "an agent's answer's",
    "nas_server.http.bodies.Provision.dedup_key": "a job and its time",
    "nas_server.policy.ServerConfig.keys": "how long keys last",
}
"""Which are no secrets, and what they are."""


def shown() -> Iterator[str]:
    for package in PACKAGES:
        for name, each in classes_of(package).items():
            for field in attrs.fields(each):
                if SECRET.search(field.name.lstrip("_")) and field.repr:
                    yield f"{package}.{name}.{field.name}"


def test_no_field_whose_name_says_secret_is_shown() -> None:
    assert set(shown()) == set(SHOWN)
