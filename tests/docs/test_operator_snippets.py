"""What the operators' guides tell a person to type or to write is taken by what reads it."""

from __future__ import annotations

import argparse
import configparser
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from chronos_plugin.cli import command_line
from chronos_plugin.host import NEEDED
from nas_sdk._core.validation import is_callback_url
from nas_server.cli import options
from nas_server.cli.command_line import _parser

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
SELF_HOSTING = (ROOT / "docs" / "guides" / "self-hosting.md").read_text("utf-8")


def blocks(text: str, language: str) -> list[str]:
    return re.findall(rf"^ *```{language}\n(.*?)^ *```$", text, re.DOTALL | re.MULTILINE)


def commands(program: str) -> Iterator[list[str]]:
    """The arguments of every call of a program, in shell blocks and in the running text."""
    for page in PAGES:
        text = page.read_text("utf-8")
        lines = [line for block in blocks(text, "sh") for line in block.splitlines()]
        lines += re.findall(rf"`({program} [^`]*)`", text)
        for line in lines:
            line = re.sub(r" \d?>(&\d|\S+)", "", re.sub(r"<[^>]*>", "x", line))  # where it prints
            words = shlex.split(line, comments=True)
            if words and words[0] == program and words[1] != "ready":  # what it prints
                yield [word for word in words[1:] if word != "&"]


def as_typed(arguments: list[str]) -> list[str]:
    """What is named in capitals stands for something."""
    return [re.sub(r"^[A-Z]+$", "x", word) for word in arguments]


def nas_server() -> argparse.ArgumentParser:
    return _parser(options.gather(None))


def test_chronos_commands_are_understood() -> None:
    seen = [as_typed(each) for each in commands("chronos")]
    for arguments in seen:
        command_line().parse_args(arguments)
    assert {each[0] for each in seen} == {
        *("install", "uninstall", "login", "doctor", "status", "tail", "reconcile", "disarm")
    }


def test_a_chronos_command_that_is_none_is_noticed() -> None:
    with pytest.raises(SystemExit):
        command_line().parse_args(["fly"])


def test_nas_server_commands_are_understood() -> None:
    seen = [as_typed(each) for each in commands("nas-server")]
    for arguments in seen:
        nas_server().parse_args(arguments)
    assert len(seen) >= 4


def configurations() -> list[dict[str, object]]:
    texts = [text for page in PAGES for text in blocks(page.read_text("utf-8"), "yaml")]
    loaded = [yaml.safe_load(text) for text in texts]
    return [each["cron"] for each in loaded if "cron" in each]


def test_the_configurations_are_whole() -> None:
    assert len(configurations()) >= 2
    for cron in configurations():
        assert cron["provider"] == "chronos"
        ours = cron["chronos"]
        assert isinstance(ours, dict)
        assert sorted(ours) == sorted(NEEDED)
        assert is_callback_url(ours["callback_url"])
        assert ours["nas_jwks_url"].startswith(ours["portal_url"])


def units() -> dict[str, configparser.ConfigParser]:
    """The units of the guide, by name."""
    names = re.findall(r"`/etc/systemd/system/(\S+)`", SELF_HOSTING)
    parsed = {}
    for name, text in zip(names, blocks(SELF_HOSTING, "ini"), strict=True):
        parsed[name] = configparser.ConfigParser(interpolation=None)
        parsed[name].optionxform = str  # type: ignore[assignment,method-assign]  # as documented
        parsed[name].read_string(text)
    return parsed


def test_the_units_fit_each_other() -> None:
    found = units()
    door, gateway = found["hermes-door.service"], found["hermes-gateway.service"]
    assert door["Unit"]["Requires"] == door["Unit"]["After"] == "hermes-gateway.service"
    address = door["Service"]["ExecStart"].split()[-1]
    host, _, port = address.partition(":")
    said = gateway["Service"]["Environment"]
    assert said == f"API_SERVER_HOST={host} API_SERVER_PORT={port}"
    assert f"http://{address}/health" in gateway["Service"]["ExecStartPost"]
    assert gateway["Unit"]["StopWhenUnneeded"] == "yes"
    assert f"port {found['hermes-door.socket']['Socket']['ListenStream']}" in SELF_HOSTING


def test_nobody_joins_the_cluster_without_a_password() -> None:
    (cluster,) = re.findall(r"^cluster \{\n(.*?)^\}", SELF_HOSTING, re.DOTALL | re.MULTILINE)
    (user,) = re.findall(r"authorization \{ user: (\w+), password: \$\w+ \}", cluster)
    routes = re.findall(r'"nats://(.*?)"', cluster)
    assert len(routes) == 3
    assert all(route.startswith(f"{user}:<password>@") for route in routes)
    assert "0.0.0.0" not in cluster


def test_an_agent_is_added_once_the_server_has_made_its_file() -> None:
    service = units()["nas-server.service"]["Service"]
    assert "http://127.0.0.1:8787/readyz" in service["ExecStartPost"]
    assert "--retry-connrefused" in service["ExecStartPost"]


def test_the_unit_of_the_server_starts_it() -> None:
    (program, *arguments) = units()["nas-server.service"]["Service"]["ExecStart"].split()
    assert Path(program).name == "nas-server"
    nas_server().parse_args(arguments)
    store = arguments[arguments.index("--store") + 1]
    assert store in SELF_HOSTING.partition("systemctl enable")[2]
