"""The contract is changed for real and generated from: nothing of it goes unnoticed."""

import copy
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.surface import unsurfaced
from tools.bootstrap import ROOT
from tools.contract.change import Weight
from tools.contract.changes import changes
from tools.contract.releases import RELEASED
from tools.contract.spec import load
from tools.regen import GENERATED, difference, generate

Spec = dict[str, Any]
CONTRACT = load(RELEASED / "1.0.0.yaml")
ARMS = "/api/agent-cron/provision"


@dataclass(frozen=True)
class Case:
    """A change, and what is expected of the types, the guard and the clients."""

    edit: Callable[[Spec], object]
    weight: Weight
    unsurfaced: list[str]
    program: str
    """Type-checks, but for its last line, which `error` is about (if there is one)."""
    error: str = ""


def schema(spec: Spec, name: str) -> Any:
    return spec["components"]["schemas"][name]


CASES = {
    "a new optional field": Case(
        edit=lambda s: schema(s, "ProvisionRequest")["properties"].update(
            note={"type": "string", "maxLength": 64}
        ),
        weight=Weight.SAFE,
        unsurfaced=[],
        program="""
            from gen.models import ProvisionRequest
            ProvisionRequest("j", "t", "https://a", "j:t")
            ProvisionRequest("j", "t", "https://a", "j:t", note="n")
            ProvisionRequest("j", "t", "https://a", "j:t", note=7)
        """,
        error='"note" to "ProvisionRequest" has incompatible type "int"; expected "str | Unset"',
    ),
    "a new operation": Case(
        edit=lambda s: s["paths"].update(
            {
                "/api/agent-cron/pause": {
                    "post": {**copy.deepcopy(s["paths"][ARMS]["post"]), "operationId": "pause"}
                }
            }
        ),
        weight=Weight.SAFE,
        unsurfaced=["one_shots.pause: no function of nas_sdk/_core/operations.py builds it"],
        program="""
            from gen.api.one_shots import pause
            print(pause.sync_detailed)
        """,
    ),
    "a removed field": Case(
        edit=lambda s: (
            schema(s, "ArmedOneShot")["properties"].pop("schedule_id"),
            schema(s, "ArmedOneShot")["required"].remove("schedule_id"),
        ),
        weight=Weight.BREAKING,
        unsurfaced=[],
        program="""
            from gen.models import ArmedOneShot
            print(ArmedOneShot("j", "t").fire_at)
            print(ArmedOneShot("j", "t").schedule_id)
        """,
        error='"ArmedOneShot" has no attribute "schedule_id"',
    ),
    "a renamed operation id": Case(
        edit=lambda s: s["paths"][ARMS]["post"].update(operationId="arm"),
        weight=Weight.BREAKING,
        unsurfaced=["one_shots.arm: no function of nas_sdk/_core/operations.py builds it"],
        program="""
            from gen.api.one_shots import arm
            from gen.api.one_shots import provision
        """,
        error='Module "gen.api.one_shots" has no attribute "provision"',
    ),
}


@pytest.fixture(scope="module", params=CASES)
def changed(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The case, the changed contract, and the tree generated from it."""
    case = CASES[request.param]
    spec = copy.deepcopy(CONTRACT)
    case.edit(spec)
    folder = tmp_path_factory.mktemp("changed")
    file = folder / "contract.yaml"
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    generate(file, folder / "gen")
    return case, spec, folder / "gen"


Changed = tuple[Case, Spec, Path]


def test_what_is_committed_is_not_current_any_more(changed: Changed) -> None:
    assert difference(GENERATED, changed[2])


def test_the_guard_says_what_it_breaks(changed: Changed) -> None:
    case, spec, _ = changed
    assert {one.weight for one in changes(CONTRACT, spec)} == {case.weight}


def test_an_operation_that_no_client_offers_is_named(changed: Changed) -> None:
    case, _, tree = changed
    assert unsurfaced(tree / "api") == case.unsurfaced


def test_the_types_follow(changed: Changed, tmp_path: Path) -> None:
    case, _, tree = changed
    lines = [line.strip() for line in case.program.strip().splitlines()]
    program = tmp_path / "program.py"
    program.write_text("\n".join(lines) + "\n")
    options = ["--strict", "--config-file=", f"--cache-dir={ROOT / '.mypy_cache' / 'changed'}"]
    done = subprocess.run(
        [sys.executable, "-m", "mypy", *options, str(program)],
        cwd=tree.parent,
        capture_output=True,
        text=True,
    )
    found = [line for line in done.stdout.splitlines() if ": error:" in line]
    assert len(found) == bool(case.error), done.stdout
    for line in found:
        assert f"program.py:{len(lines)}:" in line
        assert case.error in line
