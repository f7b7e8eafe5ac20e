"""Makes hermes load chronos_plugin as its cron provider `chronos`; `chronos install` put it here.

It runs at every start of this Python, so it imports nothing that is not loaded by then,
and it does nothing until hermes loads its cron providers or starts its web server.
CHRONOS_HOOK=0 turns it off.
"""

import os
import sys

MYPY = False
if MYPY:  # importing typing costs every Python start
    from typing import Any

PACKAGE = "plugins.cron_providers"
NAMES = (f"{PACKAGE}.chronos", f"{PACKAGE}.chronos.verify")
WEB_SERVER = "hermes_cli.web_server"
ATTEND_SECONDS = 3.0  # a fire that woke the machine is here by then, and does the same
LOOK_SECONDS = 60.0  # for profiles that are made later; a look is a glance at a directory


class Finder:
    """Waits for two modules, and lets the other finders find them."""

    @staticmethod
    def find_spec(name: str, path: "Any" = None, target: "Any" = None) -> "Any":
        """Find a module as anyone else does, with an act of ours to follow."""
        if name not in ACTS:
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
                act = ACTS.pop(name, None)
                if act is not None:
                    act(module)
                if not ACTS and Finder in sys.meta_path:
                    sys.meta_path.remove(Finder)

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
        warn(
            "chronos_plugin cannot be loaded (%s), so hermes's own chronos is used; install "
            "nas-sdk again, or delete %s and chronos_hook.pth beside it",
            error,
            __file__,
        )


def attend(server: "Any") -> None:
    """Have the web server look after the jobs: up to 0.19 it tells no provider what it changes."""
    start = getattr(server, "start_server", None)
    if start is None:
        return

    def start_server(*args: "Any", **options: "Any") -> "Any":
        try:
            import threading

            threading.Thread(target=look, name="chronos-attend", daemon=True).start()
        except Exception as error:
            warn("changes of jobs are not noticed until the next fire: %s", error)
        return start(*args, **options)

    server.start_server = start_server


def look() -> None:
    """Reconcile every home that no event was about yet, and those that are made later."""
    import time

    time.sleep(ATTEND_SECONDS)
    try:
        from chronos_plugin.plugin_runtime import PLUGIN
    except Exception as error:
        warn("changes of jobs are not noticed until the next fire: %s", error)
        return
    seen = set()  # type: set[Any]
    while True:
        try:
            homes = set(PLUGIN.host.homes())
            if homes - seen - set(PLUGIN.reconcilers):
                PLUGIN.request_reconcile(woken=False)
            seen |= homes
        except Exception as error:
            warn("changes of jobs may not be noticed until the next fire: %s", error)
        time.sleep(LOOK_SECONDS)


def warn(message: str, *arguments: "Any") -> None:
    """Log as hermes's provider does."""
    import logging

    logging.getLogger("cron.chronos").warning(message, *arguments)


ACTS = {PACKAGE: seed, WEB_SERVER: attend}

if os.environ.get("CHRONOS_HOOK") != "0":
    sys.meta_path.insert(0, Finder)
