"""Contains all the data models used in inputs/outputs"""

from .armed_list import ArmedList
from .armed_one_shot import ArmedOneShot
from .cancel_request import CancelRequest
from .cancel_result import CancelResult
from .error import Error
from .fire_accepted import FireAccepted
from .fire_error import FireError
from .fire_gone import FireGone
from .fire_request import FireRequest
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
    "FireGone",
    "FireRequest",
    "ProvisionRequest",
    "ProvisionResult",
)
