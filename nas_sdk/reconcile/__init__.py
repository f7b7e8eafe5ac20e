"""Compare what should be armed with what NAS lists, and carry out the difference.

`plan` decides and is pure; `converge` lists, plans and sends, once. A `Reconciler` does so for
as long as a process lives, and an `AgentReconciler` for the jobs of an agent.
"""

from .agent import AgentReconciler
from .apply import Report, converge
from .desired import Jobs
from .fire_gate import EarlyFireError, FireGate
from .planning import Desired, OneShot, Plan, due_ms, plan, watchdog
from .policy import ReconcilePolicy
from .reconciler import Reconciler, Status
from .runtime import Runtime

__all__ = [
    "AgentReconciler",
    "Desired",
    "EarlyFireError",
    "FireGate",
    "Jobs",
    "OneShot",
    "Plan",
    "ReconcilePolicy",
    "Reconciler",
    "Report",
    "Runtime",
    "Status",
    "converge",
    "due_ms",
    "plan",
    "watchdog",
]
