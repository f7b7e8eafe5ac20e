"""doctor: the job that is fired for a test: one of a person's, or one made and removed again."""

from __future__ import annotations

import contextlib
import os
import shutil
from typing import Any

from nas_sdk.client import NasClient
from nas_sdk.errors import NasError

from ..plugin_runtime import HomeReconciler
from ..serving_status import hold, is_free
from . import hermes_env
from .findings import Finding, problem, warning
from .status_report import seconds

_NAME = "chronos-doctor-"
"""How our own job is called, with the id of the process behind."""
_SCRIPT = "echo fired by chronos doctor\n"


class SubjectError(Exception):
    """There is no such job to fire; the finding says why."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.reason)
        self.finding = finding


class Subject:
    """A job to fire. `begin` before anything else, and `end` after whatever comes."""

    job_id = name = ""

    def __init__(self, reconciler: HomeReconciler, client: NasClient, wanted: str) -> None:
        """`wanted` is the id or name of a job, or empty for one of our own. Does nothing yet."""
        self._reconciler, self._client, self._wanted = reconciler, client, wanted
        self._script = reconciler.home / "scripts" / f"{_NAME}{os.getpid()}.sh"
        self._next_run = self._last_run = self._set_to = ""
        self._held: int | None = None

    @property
    def is_ours(self) -> bool:
        """Whether the job is made for this, and removed after it."""
        return not self._wanted

    def begin(self) -> None:
        """Make or find the job. Raises SubjectError."""
        if self.is_ours:
            self._remove_left()
            self._script.parent.mkdir(exist_ok=True)
            self._held = hold(self._script, _SCRIPT)
            record = hermes_env.create_job(self._script.stem, self._script.name)
        else:
            record = self._chosen()
        self.job_id, self.name = record["id"], str(record.get("name") or record["id"])
        self._next_run = str(record.get("next_run_at"))
        self._last_run = str(record.get("last_run_at") or "")

    def make_due(self, fire_at: str) -> None:
        """Have hermes's store and NAS know a time that is soon. Raises NasError."""
        self._set_to = fire_at
        hermes_env.set_next_run(self.job_id, fire_at)
        self._client.provision(self.job_id, fire_at, self._reconciler.callback_url)

    def record(self) -> dict[str, Any]:
        """hermes's record of the job; empty without one."""
        return next((each for each in self._records() if each["id"] == self.job_id), {})

    def next_run(self) -> float | None:
        """When the store has it due, in seconds since the epoch."""
        return seconds(str(self.record().get("next_run_at")))

    def armed(self) -> float | None:
        """When NAS is to fire it. Raises NasError."""
        listed = {one.job_id: one.fire_at for one in self._client.list_armed()}
        return seconds(listed.get(self.job_id))

    def has_run(self) -> bool:
        """Whether hermes has recorded a run since `begin`."""
        return str(self.record().get("last_run_at") or "") != self._last_run

    def end(self) -> Finding | None:
        """Remove our own job, or give a person's its time back if it was not claimed.

        Returns what is left behind, if anything is.
        """
        try:
            if self.is_ours:
                # By its name: what ended this may have come before its id was known.
                for record in self._named(self._script.stem):
                    self._remove(str(record["id"]))
            elif self._set_to and self.next_run() == seconds(self._set_to):
                hermes_env.set_next_run(self.job_id, self._next_run)
                self._client.provision(self.job_id, self._next_run, self._reconciler.callback_url)
        except NasError as error:
            return warning("removed", f"not at NAS: {error}", "run `chronos reconcile`")
        except Exception as error:
            fix = f"`hermes cron remove {self.job_id}`" if self.is_ours else "see `chronos status`"
            return warning("removed", f"{type(error).__name__}: {error}", fix)
        finally:
            if self._held is not None:
                self._script.unlink(missing_ok=True)
                os.close(self._held)
        return None

    def _remove(self, job_id: str) -> None:
        hermes_env.remove_job(job_id)
        output = self._reconciler.home / "cron" / "output" / job_id
        shutil.rmtree(output, ignore_errors=True)
        self._client.cancel(job_id)

    def _remove_left(self) -> None:
        """Remove the jobs of doctors that were killed: nobody holds their scripts."""
        for record in self._records():
            name = str(record.get("name"))
            is_doctors = name.startswith(_NAME) and name.removeprefix(_NAME).isdigit()
            if is_doctors and is_free(self._script.with_name(f"{name}.sh"), remove=True):
                with contextlib.suppress(NasError):
                    self._remove(str(record["id"]))

    def _chosen(self) -> dict[str, Any]:
        records = self._named(self._wanted)
        if len(records) != 1:
            many = f"{len(records)} jobs are called" if records else "there is no job"
            fix = "`chronos status` shows the ids; without one, --fire makes a job of its own"
            raise SubjectError(problem("job", f"{many} {self._wanted}", fix))
        (record,) = records
        job = f"{record.get('name')} ({record['id']})"
        schedule = record.get("schedule")
        if not isinstance(schedule, dict) or schedule.get("kind") not in ("cron", "interval"):
            fix = "name a job that recurs, or say --fire alone"
            raise SubjectError(problem("job", f"{job} runs once, and not for a test", fix))
        if not self._reconciler.times().get(record["id"]):
            fix = f"`hermes cron resume {record['id']}`, or say --fire alone"
            raise SubjectError(problem("job", f"{job} is not to fire", fix))
        return record

    def _named(self, name: str) -> list[dict[str, Any]]:
        return [each for each in self._records() if name in (each["id"], each.get("name"))]

    def _records(self) -> list[dict[str, Any]]:
        return [dict(job) for job in hermes_env.host().store(self._reconciler.home).jobs]
