from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset


T = TypeVar("T", bound="ArmedOneShot")


@_attrs_define
class ArmedOneShot:
    """
    Attributes:
        job_id (str): The agent's own id of the job. Unique within the agent.
        fire_at (str): An instant, RFC 3339 with an offset and up to nine fractional digits. Text on
            purpose: it is carried byte for byte, because `dedup_key` contains it.
        schedule_id (str): NAS's opaque name of the one-shot. Changes when it is replaced.
    """

    job_id: str
    fire_at: str
    schedule_id: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        job_id = self.job_id

        fire_at = self.fire_at

        schedule_id = self.schedule_id

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "job_id": job_id,
                "fire_at": fire_at,
                "schedule_id": schedule_id,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        job_id = d.pop("job_id")

        fire_at = d.pop("fire_at")

        schedule_id = d.pop("schedule_id")

        armed_one_shot = cls(
            job_id=job_id,
            fire_at=fire_at,
            schedule_id=schedule_id,
        )

        armed_one_shot.additional_properties = d
        return armed_one_shot

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
