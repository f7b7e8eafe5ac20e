"""What hermes keeps of how it goes, problems, pauses and runs; imported when it is asked for."""

from __future__ import annotations

from datetime import datetime

PROBLEM = "chronos: "  # how what hermes keeps of ours begins; its ticker has problems, too


def problem() -> str:
    """What is kept as wrong with the scheduler of the calling thread's store."""
    from cron import jobs

    return str(getattr(jobs, "get_ticker_last_error", lambda: "")() or "")


def keep_problem(text: str) -> None:
    """Keep a problem of ours, or with none forget the last one, where hermes can."""
    from cron import jobs

    keep, forget = (
        getattr(jobs, name, lambda *text: None)
        for name in ("record_ticker_error", "clear_ticker_error")
    )
    if text:
        keep(PROBLEM + text)
    elif problem().startswith(PROBLEM):
        forget()


def is_paused() -> bool:
    """Whether a person has stopped all new work by `hermes pause`."""
    try:
        from agent.estop import is_engaged
    except ImportError:  # a hermes that has no such command
        return False
    return bool(is_engaged())


def running(job_ids: list[str], since: float) -> set[str]:
    """Which of these jobs a live process has run `since`, where hermes records that."""
    try:
        from cron.executions import latest_executions
        from gateway.status import get_process_start_time
    except ImportError:  # 0.18
        return set()
    return {
        job_id
        for job_id, run in latest_executions(job_ids).items()
        if run["status"] in ("claimed", "running")
        and run["process_started_at"] == get_process_start_time(run["pid"]) is not None
        and datetime.fromisoformat(run["claimed_at"]).timestamp() > since
    }
