"""An agent's home directory: what hermes reads from it and what it leaves there."""

import json
import os
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True, slots=True)
class NasAccess:
    """What an agent knows about its NAS: where it is, who the agent is there, its login."""

    url: str
    audience: str
    token: str
    refresh_token: str = ""
    """Empty for a token that cannot be renewed: one NAS does not know costs the login."""


@dataclass(frozen=True, slots=True)
class AgentHome:
    """A `HOME` of hermes under `root`, which must exist and belong to the caller.

    `profile` names one of its profiles, which is a home of its own; empty for the main one.
    """

    root: Path
    profile: str = ""

    @property
    def hermes(self) -> Path:
        """`HERMES_HOME`; not ~/.hermes, which a later hermes does not open under a pytest."""
        main = self.root / "hermes"
        return main / "profiles" / self.profile if self.profile else main

    def configure(self, nas: NasAccess, callback_url: str, **overrides: object) -> None:
        """Write config.yaml and the stored login. `overrides` go into the `cron` section."""
        chronos = {
            "portal_url": nas.url,
            "callback_url": callback_url,
            "expected_audience": nas.audience,
            "nas_jwks_url": f"{nas.url.rstrip('/')}/.well-known/jwks.json",
        }
        cron = {"provider": "chronos", "chronos": chronos, **overrides}
        login = {
            "access_token": nas.token,
            "refresh_token": nas.refresh_token,
            "token_type": "Bearer",
            # hermes tries to refresh a login without one.
            "expires_at": "2099-01-01T00:00:00+00:00",
            "portal_base_url": nas.url,
            "client_id": "hermes-cli",
        }
        state = {"version": 1, "active_provider": "nous", "providers": {"nous": login}}
        # Or hermes, as it starts, asks pip for what its optional tools would need.
        config = {"cron": cron, "security": {"allow_lazy_installs": False}}
        # JSON is YAML.
        self._write("config.yaml", json.dumps(config, indent=2))
        self._write("auth.json", json.dumps(state))

    def add_script(self, name: str, text: str) -> None:
        """Put a script where `hermes cron create --script NAME` finds it."""
        self._write(f"scripts/{name}", text)

    def environment(self, bin_directory: Path, **extra: str) -> dict[str, str]:
        """The whole environment of a hermes process: this home and nothing of the caller's."""
        temporary = self.root / "tmp"
        temporary.mkdir(exist_ok=True)
        return {
            "PATH": f"{bin_directory}:{os.defpath}",
            "HOME": str(self.root),
            "HERMES_HOME": str(self.hermes),
            "TMPDIR": str(temporary),
            "LANG": "C.UTF-8",
            "PYTHONUNBUFFERED": "1",  # or hermes's words would reach a pipe at its end
            **extra,
        }

    def jobs(self) -> dict[str, dict[str, Any]]:
        """The records of the job store, by job id."""
        store = self.hermes / "cron" / "jobs.json"
        if not store.exists():
            return {}
        return {job["id"]: job for job in json.loads(store.read_text())["jobs"]}

    def outputs(self, job_id: str) -> list[str]:
        """What the runs of a job printed, oldest first. Two in one second share a place."""
        kept = sorted((self.hermes / "cron" / "output" / job_id).glob("*.md"))
        return [file.read_text().partition("\n---\n")[2].strip() for file in kept]

    def executions(self) -> list[Mapping[str, Any]]:
        """The rows of the ledger of runs, oldest first; hermes keeps one from 0.19 on."""
        ledger = self.hermes / "cron" / "executions.db"
        if not ledger.exists():
            return []
        with closing(sqlite3.connect(f"file:{ledger}?mode=ro", uri=True)) as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(_ROWS)]

    def runs_in_progress(self) -> bool:
        """Whether the ledger names a run that has not come to its end."""
        try:
            return any(row["finished_at"] is None for row in self.executions())
        except sqlite3.OperationalError:
            return True  # hermes has the ledger locked: it is at work

    def _write(self, name: str, text: str) -> None:
        file = self.hermes / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(0o600)


_ROWS = "SELECT * FROM executions ORDER BY claimed_at, id"
