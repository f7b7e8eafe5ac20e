"""Contains all the data models used in inputs/outputs"""

from .armed_list import ArmedList
from .armed_one_shot import ArmedOneShot
from .cancel_request import CancelRequest
from .cancel_result import CancelResult
from .error import Error
from .fire_accepted import FireAccepted
from .fire_error import FireError
from .fire_not_run import FireNotRun
from .fire_not_run_status import FireNotRunStatus
from .fire_request import FireRequest
from .key import Key
from .key_set import KeySet
from .provision_request import ProvisionRequest
from .provision_result import ProvisionResult

__all__ = (
    "ArmedList",
    "ArmedOneShot",
    "CancelRequest",
    "CancelResult",
    "Error",
    "FireAccepted",
    "FireError",
    "FireNotRun",
    "FireNotRunStatus",
    "FireRequest",
    "Key",
    "KeySet",
    "ProvisionRequest",
    "ProvisionResult",
)
