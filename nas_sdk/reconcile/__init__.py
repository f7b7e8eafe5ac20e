"""Compare what should be armed with what NAS lists, and carry out the difference.

`plan` decides and is pure; `converge` lists, plans and sends, once. A `Reconciler` does so for
as long as a process lives, and an `AgentReconciler` for the jobs of an agent.
"""

from .agent import AgentReconciler, EarlyFireError, Jobs
from .apply import Report, converge
from .planning import Desired, OneShot, Plan, due_ms, plan, watchdog
from .reconciler import Reconciler
from .runtime import Runtime

__all__ = [
    "AgentReconciler",
    "Desired",
    "EarlyFireError",
    "Jobs",
    "OneShot",
    "Plan",
    "Reconciler",
    "Report",
    "Runtime",
    "converge",
    "due_ms",
    "plan",
    "watchdog",
]
