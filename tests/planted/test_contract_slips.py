"""Slips planted into the contract, one at a time: `scripts/contract lint` catches each."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from tools.bootstrap import ROOT
from tools.contract import redocly, rules
from tools.contract.__main__ import lint
from tools.contract.releases import SPEC
from tools.contract.spec import load

Spec = dict[str, Any]
Slip = Callable[[Spec], object]


def provision(spec: Spec) -> Any:
    return spec["paths"]["/api/agent-cron/provision"]["post"]


def fire(spec: Spec) -> Any:
    return spec["webhooks"]["cronFire"]["post"]


def schema(spec: Spec, name: str) -> Any:
    return spec["components"]["schemas"][name]


def answer(spec: Spec, name: str) -> Any:
    return spec["components"]["responses"][name]


def field(spec: Spec, name: str, member: str) -> Any:
    return schema(spec, name)["properties"][member]


SLIPS: dict[str, tuple[str, Slip]] = {
    "a missing 401": ("answers", lambda s: provision(s)["responses"].pop("401")),
    "a missing 5XX": ("answers", lambda s: provision(s)["responses"].pop("5XX")),
    "a missing success": ("answers", lambda s: provision(s)["responses"].pop("200")),
    "a webhook without a refusal": ("answers", lambda s: fire(s)["responses"].pop("401")),
    "an error of another shape": (
        "errors",
        lambda s: answer(s, "BadRequest")["content"]["application/json"].update(
            schema={"$ref": "#/components/schemas/FireError"}, example={"error": "x"}
        ),
    ),
    "a 429 that does not say when": ("limits", lambda s: answer(s, "RateLimited").pop("headers")),
    "a link to nowhere": (
        "no-unresolved-refs",
        lambda s: provision(s)["responses"].update({"400": {"$ref": "#/components/responses/No"}}),
    ),
    "a schema that is not there": (
        "no-unresolved-refs",
        lambda s: field(s, "CancelRequest", "job_id").update({"$ref": "#/components/schemas/Job"}),
    ),
    "an example that breaks its schema": (
        "no-invalid-schema-examples",
        lambda s: schema(s, "ArmedList").update(examples=[{"armed": [{"job_id": "a"}]}]),
    ),
    "an example that breaks its pattern": (
        "no-invalid-schema-examples",
        lambda s: schema(s, "FireAt").update(examples=["2026-06-18 12:34"]),
    ),
    "an answer's example that breaks its schema": (
        "no-invalid-media-type-examples",
        lambda s: answer(s, "BadRequest")["content"]["application/json"].update(example={}),
    ),
    "a schema without an example": ("examples", lambda s: schema(s, "JobId").pop("examples")),
    "an unused schema": (
        "no-unused-components",
        lambda s: s["components"]["schemas"].update(
            Spare={"type": "string", "maxLength": 1, "examples": ["a"]}
        ),
    ),
    "an unused answer": (
        "no-unused-components",
        lambda s: s["components"]["responses"].update(Spare={"description": "spare"}),
    ),
    "an unused credential": (
        "security",
        lambda s: s["components"]["securitySchemes"].update(
            spare={"type": "http", "scheme": "basic"}
        ),
    ),
    "no operation id": ("operation-operationId", lambda s: provision(s).pop("operationId")),
    "no operation id of a webhook": ("operation-operationId", lambda s: fire(s).pop("operationId")),
    "one operation id twice": (
        "operation-operationId-unique",
        lambda s: provision(s).update(operationId="cancel"),
    ),
    "an operation id that is no name": (
        "operation-operationId-url-safe",
        lambda s: provision(s).update(operationId="arm one"),
    ),
    "no security at all": ("security", lambda s: s.pop("security")),
    "an operation for anyone": ("security", lambda s: provision(s).update(security=[])),
    "a credential that may be left out": (
        "security",
        lambda s: provision(s).update(security=[{"agentToken": []}, {}]),
    ),
    "a credential that is not defined": (
        "security",
        lambda s: provision(s).update(security=[{"agentTokn": []}]),
    ),
    "a webhook without its credential": ("security", lambda s: fire(s).pop("security")),
    "a text without a bound": ("bounds", lambda s: schema(s, "ScheduleId").pop("maxLength")),
    "a list without a bound": ("bounds", lambda s: field(s, "ArmedList", "armed").pop("maxItems")),
    "a keyword with a typo": ("struct", lambda s: schema(s, "JobId").update(maxLenght=3)),
    "a keyword of OpenAPI 3.0": ("struct", lambda s: schema(s, "JobId").update(nullable=True)),
    "a type that is none": ("struct", lambda s: schema(s, "JobId").update(type="text")),
    "a closed object": (
        "open",
        lambda s: schema(s, "CancelRequest").update(additionalProperties=False),
    ),
    "an instant that would be rewritten": (
        "instants",
        lambda s: schema(s, "FireAt").update(format="date-time"),
    ),
    "a pattern that does not compile": (
        "patterns",
        lambda s: schema(s, "JobId").update(pattern="^[a-z$"),
    ),
    "a pattern that is not anchored": (
        "patterns",
        lambda s: schema(s, "JobId").update(pattern="[a-z0-9]+"),
    ),
    "a member required and not defined": (
        "no-required-schema-properties-undefined",
        lambda s: schema(s, "ProvisionRequest")["required"].append("dedupkey"),
    ),
    "an operation without a description": (
        "operation-description",
        lambda s: provision(s).pop("description"),
    ),
    "an operation without a summary": ("operation-summary", lambda s: provision(s).pop("summary")),
    "a tag that is not defined": (
        "operation-tag-defined",
        lambda s: provision(s).update(tags=["oneshots"]),
    ),
    "a tag without a description": ("tag-description", lambda s: s["tags"][0].pop("description")),
    "a path that ends in a slash": (
        "no-path-trailing-slash",
        lambda s: s["paths"].update({"/x/": s["paths"].pop("/api/agent-cron/cancel")}),
    ),
    "a server that ends in a slash": (
        "no-server-trailing-slash",
        lambda s: s["servers"][0].update(url="https://nas.example.org/"),
    ),
    "a version that is not semantic": ("version", lambda s: s["info"].update(version="1.0")),
    "no licence": ("info-license", lambda s: s["info"].pop("license")),
}


@pytest.fixture(scope="module")
def contract() -> Spec:
    return load(SPEC)


@pytest.fixture(scope="module")
def caught(contract: Spec, tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[str]]:
    """The rules that each slip breaks, all linted at once, which spares many starts."""
    folder = tmp_path_factory.mktemp("slips")
    files = {name: folder / f"{index}.yaml" for index, name in enumerate(SLIPS)}
    for name, file in files.items():
        spec = copy.deepcopy(contract)
        SLIPS[name][1](spec)
        file.write_text(yaml.safe_dump(spec, sort_keys=False))
    general = redocly.findings(*files.values())
    return {
        name: {found.rule for found in [*general[file], *rules.findings(load(file))]}
        for name, file in files.items()
    }


def test_the_contract_itself_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert lint(SPEC) == 0
    assert capsys.readouterr().out == "openapi/nas-agent-cron.yaml: sound\n"


@pytest.mark.parametrize("name", SLIPS)
def test_a_planted_slip_is_caught(name: str, caught: dict[str, set[str]]) -> None:
    assert SLIPS[name][0] in caught[name]


def test_what_is_found_is_shown_with_its_place(
    contract: Spec, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = copy.deepcopy(contract)
    SLIPS["a text without a bound"][1](spec)
    SLIPS["no operation id"][1](spec)
    file = tmp_path / "slips.yaml"
    file.write_text(yaml.safe_dump(spec, sort_keys=False))
    assert lint(file) == 1
    shown = capsys.readouterr().out
    assert "#/components/schemas/ScheduleId\n    a string without maxLength (bounds)\n" in shown
    assert "(operation-operationId)" in shown
    assert shown.endswith("slips.yaml: 2 findings\n")


def test_the_linter_is_the_locked_one() -> None:
    assert redocly.CLI.is_relative_to(ROOT / ".cache")
