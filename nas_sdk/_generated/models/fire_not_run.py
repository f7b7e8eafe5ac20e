from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..models.fire_not_run_status import check_fire_not_run_status
from ..models.fire_not_run_status import FireNotRunStatus
from typing import cast


T = TypeVar("T", bound="FireNotRun")


@_attrs_define
class FireNotRun:
    """Why a fire ended without a run. Other members may come with it.

    Attributes:
        status (FireNotRunStatus):
        job_id (str): The agent's own id of the job. Unique within the agent.
    """

    status: FireNotRunStatus
    job_id: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        status: str = self.status

        job_id = self.job_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "status": status,
                "job_id": job_id,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        status = check_fire_not_run_status(d.pop("status"))

        job_id = d.pop("job_id")

        fire_not_run = cls(
            status=status,
            job_id=job_id,
        )

        fire_not_run.additional_properties = d
        return fire_not_run

    @property
    def additional_keys(self) -> list[str]:
        return list(self.additional_properties.keys())

    def __getitem__(self, key: str) -> Any:
        return self.additional_properties[key]

    def __setitem__(self, key: str, value: Any) -> None:
        self.additional_properties[key] = value

    def __delitem__(self, key: str) -> None:
        del self.additional_properties[key]

    def __contains__(self, key: str) -> bool:
        return key in self.additional_properties
