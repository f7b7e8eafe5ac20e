from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from typing import cast

if TYPE_CHECKING:
    from ..models.armed_one_shot import ArmedOneShot


T = TypeVar("T", bound="ArmedList")


@_attrs_define
class ArmedList:
    """
    Attributes:
        armed (list[ArmedOneShot]):
    """

    armed: list[ArmedOneShot]
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        from ..models.armed_one_shot import ArmedOneShot  # noqa: PLC0415

        armed = []
        for armed_item_data in self.armed:
            armed_item = armed_item_data.to_dict()
            armed.append(armed_item)

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "armed": armed,
            }
        )

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        from ..models.armed_one_shot import ArmedOneShot  # noqa: PLC0415

        d = dict(src_dict)
        armed = []
        _armed = d.pop("armed")
        for armed_item_data in _armed:
            armed_item = ArmedOneShot.from_dict(armed_item_data)

            armed.append(armed_item)

        armed_list = cls(
            armed=armed,
        )

        armed_list.additional_properties = d
        return armed_list

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
