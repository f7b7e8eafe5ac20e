"""How much may be under way at a time: all of it needs file descriptors, of which there are few."""

import resource

from nas_server.policy import BUDGET, BudgetPolicy


def share(policy: BudgetPolicy = BUDGET) -> int:
    """Return how many deliveries, and as many connections of callers, there may be now.

    The limit is looked at each time: it can be changed while the process runs.
    """
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    if limit == resource.RLIM_INFINITY:
        return policy.most
    return max(policy.least, min(policy.most, (limit - policy.reserved) // 2))


def of_one(per_agent: int, policy: BudgetPolicy = BUDGET) -> int:
    """Return how many deliveries one agent may have now, which is ``per_agent`` at the most.

    Where there is little room, a few agents that hang must not take all of it.
    """
    return max(1, min(per_agent, share(policy) // policy.agents))
