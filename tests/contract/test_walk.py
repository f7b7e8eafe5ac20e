"""The guide walked on a copy of the checkout: change the contract, run scripts/regen, look."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.bootstrap import ROOT

COPIED = ("nas_sdk", "nas_server", "nas_conformance", "chronos_plugin", "openapi", "tests", "tools")
SPEC = Path("openapi/nas-agent-cron.yaml")
PROPERTY = "        {name}:\n          type: {kind}\n          description: New.\n{more}"


class Checkout:
    """A copy to change."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in COPIED:
            ignore = shutil.ignore_patterns("__pycache__", "pictures")
            shutil.copytree(ROOT / name, folder / name, ignore=ignore)
        shutil.copy(ROOT / "pyproject.toml", folder)

    def edit(self, *changes: Callable[[str], str]) -> None:
        """Change the text of the contract, and regenerate."""
        file = self.folder / SPEC
        text = file.read_text()
        for change in changes:
            before, text = text, change(text)
            assert text != before
        file.write_text(text)
        done = self.python("-m", "tools.regen")
        assert done.returncode == 0, done.stderr

    def python(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        # By another contract than this checkout's, which its exchanges must not be held against.
        mine = {"NAS_CONTRACT_CAPTURE", "PYTHONPATH"}
        given = {name: value for name, value in os.environ.items() if name not in mine}
        command = [sys.executable, *arguments]
        return subprocess.run(command, cwd=self.folder, env=given, capture_output=True, text=True)

    def program(self, text: str) -> str:
        """What a program prints."""
        (self.folder / "program.py").write_text(text)
        done = self.python("program.py")
        assert done.returncode == 0, done.stderr
        return done.stdout

    def is_typed(self, text: str) -> None:
        """Fail unless strict mypy has nothing against a program."""
        (self.folder / "program.py").write_text(text)
        cache = f"--cache-dir={ROOT / '.mypy_cache' / 'walked'}"
        done = self.python("-m", "mypy", "--strict", "--config-file=", cache, "program.py")
        assert done.returncode == 0, done.stdout

    def unfollowed(self) -> list[str]:
        """What the one test names; nothing when it passes."""
        program = "from tests.support.followed import unfollowed; print('\\n'.join(unfollowed()))"
        done = self.python("-c", program)
        assert done.returncode == 0, done.stderr
        return [line for line in done.stdout.splitlines() if line]

    def changed(self) -> set[str]:
        """The files below `nas_sdk` that are not as they were, the generated ones aside."""
        return {
            str(file.relative_to(self.folder))
            for name in ("nas_sdk", "nas_server", "nas_conformance")
            for file in (self.folder / name).rglob("*.py")
            if "_generated" not in file.parts
            if file.read_text() != (ROOT / file.relative_to(self.folder)).read_text()
        }


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def with_property(schema: str, name: str, kind: str, more: str = "") -> Callable[[str], str]:
    """Give a schema a new optional property."""

    def change(text: str) -> str:
        head, found, tail = text.partition(f"\n    {schema}:\n")
        assert found
        members, examples, rest = tail.partition("      examples:\n")
        new = PROPERTY.format(name=name, kind=kind, more=more)
        return head + found + members + new + examples + rest

    return change


def replacing(old: str, new: str) -> Callable[[str], str]:
    return lambda text: text.replace(old, new)


OPTIONAL = """
import asyncio

from nas_sdk import Arm, AsyncNasClient, NasClient
from nas_sdk.testing import InMemoryNas
from tests.support.nas_in_thread import nas_in_thread

JOB = ("job", "2099-01-01T00:00:00Z", "https://agent-7.example.com")


def paused(client: NasClient) -> list[bool | None]:
    return [one.paused or None for one in client.list_armed()]


double = InMemoryNas()
double.arm("later", JOB[1], paused=True)
with double.client() as client:
    print("typed and there:", paused(client))
    client.provision(*JOB, note="call", zone="b")
    client.provision_many([Arm("many", *JOB[1:], options={"note": "batch"})])
    print("sent:", [body.get("note") for body in double.sent("provision")])
    print("kept by the double:", sorted(str(one.note) for one in client.list_armed() if one.note))


async def alone() -> None:
    async with double.async_client() as client:
        await client.provision("async", *JOB[1:], note="async")
        print("async:", [one.note for one in await client.list_armed() if one.job_id == "async"])


asyncio.run(alone())
with nas_in_thread() as server, NasClient(server.url, server.token) as client:
    client.provision(*JOB, note="kept", zone="a")
    (one,) = client.list_armed()
    print("kept by the server:", one.note, one.zone)
    try:
        client.provision(*JOB, note="x" * 65)
    except ValueError as error:
        print("checked:", error)
"""


BOTH = ("ArmedOneShot", "ProvisionRequest")


def test_optional_members_follow_by_themselves(checkout: Checkout) -> None:
    text = "          maxLength: 64\n"
    enum = "          enum: [a, b]\n"
    checkout.edit(
        with_property("ArmedOneShot", "paused", "boolean"),
        *(with_property(each, "note", "string", text) for each in BOTH),
        *(with_property(each, "zone", "string", enum) for each in BOTH),
    )
    checkout.is_typed(OPTIONAL)
    assert checkout.program(OPTIONAL).splitlines() == [
        "typed and there: [True]",
        "sent: ['call', 'batch']",
        "kept by the double: ['batch', 'call']",
        "async: ['async']",
        "kept by the server: kept a",
        "checked: note: breaks maxLength 64",
    ]
    assert (checkout.unfollowed(), checkout.changed()) == ([], set())


def test_a_member_of_a_fire_follows_by_itself(checkout: Checkout) -> None:
    text = "          maxLength: 64\n"
    both = ("ProvisionRequest", "FireRequest")
    checkout.edit(*(with_property(each, "note", "string", text) for each in both))
    said = checkout.program(
        """
from nas_sdk import FireVerifier
from nas_sdk.testing import InMemoryNas

nas = InMemoryNas()
with nas.client() as client:
    client.provision("job", "2020-01-01T00:00:00Z", "https://a.example.com", note="n")
(one,) = nas.due()
request = nas.fire_request(one)
verifier = FireVerifier(nas.jwks(), audience="agent:agent", issuer=nas.base_url)
print(verifier.verify(request.headers, request.content).more)
"""
    )
    assert said == "{'note': 'n'}\n"
    assert checkout.unfollowed() == []


def test_a_value_of_an_enum_follows_by_itself(checkout: Checkout) -> None:
    checkout.edit(replacing("duplicate, gateway_stopped]", "duplicate, gateway_stopped, asleep]"))
    said = checkout.program(
        """
import httpx
from nas_sdk.testing import InMemoryNas

nas = InMemoryNas()
nas.arm("job", "2020-01-01T00:00:00Z")
answer = {"status": "asleep", "job_id": "job"}
print(nas.deliver(lambda request: httpx.Response(200, json=answer))[0].not_run)
"""
    )
    assert (said, checkout.unfollowed()) == ("asleep\n", [])


def test_a_new_operation_is_named_with_each_place(checkout: Checkout) -> None:
    def change(text: str) -> str:
        start, end = text.index("  /api/agent-cron/cancel:"), text.index("  /api/agent-cron/list:")
        paused = text[start:end].replace("/cancel:", "/pause:").replace("Id: cancel", "Id: pause")
        return text[:start] + paused + text[start:]

    checkout.edit(change)
    call = "POST /api/agent-cron/pause"
    assert checkout.unfollowed() == [
        "one_shots.pause: no function of nas_sdk/_core/operations.py builds it",
        f"pause: nas_sdk/testing/request_handler.py does not answer {call}",
        f"pause: nas_server/app.py has no route for {call}",
        "pause: no check of nas_conformance is about it",
    ]


def test_a_required_member_is_named_with_each_place(checkout: Checkout) -> None:
    def change(text: str) -> str:
        text = with_property("CancelRequest", "why", "string", "          maxLength: 9\n")(text)
        text = with_property("ArmedOneShot", "state", "string", "          maxLength: 9\n")(text)
        text = text.replace("required: [job_id]\n", "required: [job_id, why]\n", 1)
        return text.replace(
            "[job_id, fire_at, schedule_id]", "[job_id, fire_at, schedule_id, state]"
        )

    checkout.edit(change)
    named = checkout.unfollowed()
    for place in ("nas_sdk.client.NasClient.cancel", "nas_sdk.aclient.AsyncNasClient.cancel"):
        assert f"cancel request: why is required, and {place} has no such parameter" in named
    for place in ("nas_sdk/testing/request_handler.py", "nas_server"):
        assert f"cancel request: why is required, and {place} takes one without it" in named
        assert f"list answer: ArmedOneShot.state is required, and {place} does not send it" in named


def test_a_renamed_member_is_named_under_its_new_name(checkout: Checkout) -> None:
    checkout.edit(replacing("agent_callback_url", "callback_url"))
    named = checkout.unfollowed()
    assert (
        "provision request: callback_url is required, and nas_sdk.client.NasClient.provision has "
        "no such parameter"
    ) in named
    diff = checkout.python("-m", "tools.contract", "diff")
    assert diff.returncode == 1
    assert "provision request: agent_callback_url: removed" in diff.stdout
    assert "it has to be 2.0.0 at least" in diff.stdout
