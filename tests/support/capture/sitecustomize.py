"""Found first on a subprocess's path, so that its exchanges reach the tests' contract check.

Every exchange is appended, one line of JSON each, to a file of this process in the
directory that `NAS_CONTRACT_CAPTURE` names; without it nothing happens. A library is
tapped right after its own import, so a program that uses none pays nothing.
"""

import importlib
import importlib.util
import os
import sys
from collections.abc import Callable, Sequence
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

EXECUTE = "exec_module"
DIRECTORY = os.environ.get("NAS_CONTRACT_CAPTURE")


def _tap(name: str) -> None:
    if "tests.support.contract_fixture" in sys.modules:
        return  # a pytest, which taps for itself
    module = "tests.support.tap_httpx" if name == "httpx" else "tests.support.tap_aiohttp"

    from tests.support import exchange

    file = Path(str(DIRECTORY)) / f"{os.getpid()}.jsonl"

    def record(seen: exchange.Exchange) -> None:
        with file.open("a") as out:
            out.write(exchange.to_line(seen) + "\n")

    install = {"aiohttp": "install_client", "aiohttp.web": "install_server"}
    getattr(importlib.import_module(module), install.get(name, "install"))(record)


class _AfterImport:
    """A finder that lets the others find a module, and has `_tap` called once it has run."""

    def __init__(self) -> None:
        self._wanted = {"httpx", "aiohttp", "aiohttp.web"}

    def find_spec(
        self, name: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if name not in self._wanted:
            return None
        self._wanted.discard(name)
        spec = importlib.util.find_spec(name)
        if spec is not None and spec.loader is not None:
            setattr(spec.loader, EXECUTE, _then(spec.loader.exec_module, name))
        return spec


def _then(execute: Callable[[ModuleType], None], name: str) -> Callable[[ModuleType], None]:
    def exec_module(module: ModuleType) -> None:
        execute(module)
        _tap(name)

    return exec_module


if DIRECTORY:
    sys.meta_path.insert(0, _AfterImport())
