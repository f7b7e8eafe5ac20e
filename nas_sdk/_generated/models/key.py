from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar, BinaryIO, TextIO, TYPE_CHECKING, Generator

from attrs import define as _attrs_define
from attrs import field as _attrs_field

from ..types import UNSET, Unset

from ..types import UNSET, Unset


T = TypeVar("T", bound="Key")


@_attrs_define
class Key:
    """A public key as RFC 7517 and RFC 7518 have it, RSA or EC. Its own members (`n` and
    `e`, or `crv`, `x` and `y`) are those of its `kty`. It has a `kid`, because a token
    names its key by it.

        Attributes:
            kty (str): The family; `RSA` or `EC` for the algorithms of fire tokens.
            kid (str): The name of the key. Not used twice.
            use (str | Unset): `sig`; a receiver passes over keys of another use.
            alg (str | Unset): The one algorithm it is used with.
            n (str | Unset): RSA, the modulus in base64url.
            e (str | Unset): RSA, the exponent in base64url.
            crv (str | Unset): EC, the curve: `P-256` or `P-384`.
            x (str | Unset): EC, a coordinate in base64url.
            y (str | Unset): EC, the other coordinate.
    """

    kty: str
    kid: str
    use: str | Unset = UNSET
    alg: str | Unset = UNSET
    n: str | Unset = UNSET
    e: str | Unset = UNSET
    crv: str | Unset = UNSET
    x: str | Unset = UNSET
    y: str | Unset = UNSET
    additional_properties: dict[str, Any] = _attrs_field(init=False, factory=dict)

    def to_dict(self) -> dict[str, Any]:
        kty = self.kty

        kid = self.kid

        use = self.use

        alg = self.alg

        n = self.n

        e = self.e

        crv = self.crv

        x = self.x

        y = self.y

        field_dict: dict[str, Any] = {}
        field_dict.update(self.additional_properties)
        field_dict.update(
            {
                "kty": kty,
                "kid": kid,
            }
        )
        if use is not UNSET:
            field_dict["use"] = use
        if alg is not UNSET:
            field_dict["alg"] = alg
        if n is not UNSET:
            field_dict["n"] = n
        if e is not UNSET:
            field_dict["e"] = e
        if crv is not UNSET:
            field_dict["crv"] = crv
        if x is not UNSET:
            field_dict["x"] = x
        if y is not UNSET:
            field_dict["y"] = y

        return field_dict

    @classmethod
    def from_dict(cls: type[T], src_dict: Mapping[str, Any]) -> T:
        d = dict(src_dict)
        kty = d.pop("kty")

        kid = d.pop("kid")

        use = d.pop("use", UNSET)

        alg = d.pop("alg", UNSET)

        n = d.pop("n", UNSET)

        e = d.pop("e", UNSET)

        crv = d.pop("crv", UNSET)

        x = d.pop("x", UNSET)

        y = d.pop("y", UNSET)

        key = cls(
            kty=kty,
            kid=kid,
            use=use,
            alg=alg,
            n=n,
            e=e,
            crv=crv,
            x=x,
            y=y,
        )

        key.additional_properties = d
        return key

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
