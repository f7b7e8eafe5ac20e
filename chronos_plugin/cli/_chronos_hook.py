"""Makes hermes load chronos_plugin as its cron provider `chronos`; `chronos install` put it here.

It runs at every start of this Python, so it imports nothing that is not loaded by then,
and it does nothing until hermes loads its cron providers. CHRONOS_HOOK=0 turns it off.
"""

import os
import sys

MYPY = False
if MYPY:  # importing typing costs every Python start
    from typing import Any

PACKAGE = "plugins.cron_providers"
NAMES = (f"{PACKAGE}.chronos", f"{PACKAGE}.chronos.verify")


class Finder:
    """Waits for one package, and lets the other finders find it."""

    @staticmethod
    def find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Find the package as anyone else does, with the seeding to follow."""
        if name != PACKAGE:
            return None
        finders = [each for each in sys.meta_path if each is not Finder]
        finds = (getattr(each, "find_spec", None) for each in finders)
        specs = (find(name, path, target) for find in finds if find is not None)
        spec = next((spec for spec in specs if spec is not None), None)
        loader = getattr(spec, "loader", None)
        execute = getattr(loader, "exec_module", None)
        if loader is not None and execute is not None:

            def exec_module(module: "Any") -> None:
                execute(module)
                if Finder in sys.meta_path:
                    sys.meta_path.remove(Finder)
                seed(module)

            loader.exec_module = exec_module
        return spec


def seed(package: "Any") -> None:
    """Put our modules where hermes looks for its own; on failure leave everything to those."""
    try:
        import chronos_plugin
        import chronos_plugin.verify

        sys.modules.update(zip(NAMES, (chronos_plugin, chronos_plugin.verify), strict=True))
        package.chronos = chronos_plugin
    except Exception as error:
        for name in NAMES:
            sys.modules.pop(name, None)
        import logging

        message = (
            "chronos_plugin cannot be loaded (%s), so hermes's own chronos is used; install "
            "nas-sdk again, or delete %s and chronos_hook.pth beside it"
        )
        logging.getLogger("cron.chronos").warning(message, error, __file__)


if os.environ.get("CHRONOS_HOOK") != "0":
    sys.meta_path.insert(0, Finder)
