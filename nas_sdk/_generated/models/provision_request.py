from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset


T = TypeVar("T", bound="ProvisionRequest")


@_attrs_define
class ProvisionRequest:
    """
    Attributes:
        job_id (str): The agent's own id of the job. Unique within the agent.
        fire_at (str): An instant, RFC 3339 with an offset and up to nine fractional digits. Text on
            purpose: it is carried byte for byte, because `dedup_key` contains it.
        agent_callback_url (str): The agent's public base URL, without credentials, query or fragment. NAS
            appends `/api/cron/fire`; a slash at its end makes no difference. A NAS may
            refuse an address it must not call, such as a private one.
        dedup_key (str): `{job_id}:{fire_at}`, of this request, byte for byte.
    """

    job_id: str
    fire_at: str
    agent_callback_url: str
    dedup_key: str
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        job_id = self.job_id

        fire_at = self.fire_at

        agent_callback_url = self.agent_callback_url

        dedup_key = self.dedup_key

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "job_id": job_id,
                "fire_at": fire_at,
                "agent_callback_url": agent_callback_url,
                "dedup_key": dedup_key,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        job_id = d.pop("job_id")

        fire_at = d.pop("fire_at")

        agent_callback_url = d.pop("agent_callback_url")

        dedup_key = d.pop("dedup_key")

        provision_request = cls(
            job_id=job_id,
            fire_at=fire_at,
            agent_callback_url=agent_callback_url,
            dedup_key=dedup_key,
        )

        provision_request.additional_properties = d
        return provision_request

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
