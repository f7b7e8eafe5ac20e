from typing import Literal

FireNotRunStatus = Literal["duplicate", "gateway_stopped", "gone"]

FIRE_NOT_RUN_STATUS_VALUES: set[FireNotRunStatus] = {
    "duplicate",
    "gateway_stopped",
    "gone",
}


def check_fire_not_run_status(value: str) -> FireNotRunStatus:
    if value in FIRE_NOT_RUN_STATUS_VALUES:
        return value
    raise TypeError(f"Unexpected value {value!r}. Expected one of {FIRE_NOT_RUN_STATUS_VALUES!r}")
