"""What a client cannot be set up with: told by the constructor, with the name and the remedy."""

import math
import os
import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nas_sdk import AsyncNasClient, ConfigurationError, NasClient
from nas_sdk._core.config import LIMIT_MAX, trust
from nas_sdk._transport.proxies import is_excepted, proxy_for
from nas_sdk.webhooks import AsyncFireVerifier, FireVerifier, JwksCache
from tests.support.tls import self_signed

CLIENTS = st.sampled_from([NasClient, AsyncNasClient])
NO_NUMBER = st.one_of(st.text(), st.booleans(), st.binary(), st.lists(st.integers()), st.dates())
NO_TIME = st.one_of(
    NO_NUMBER,
    st.floats(max_value=0.0),
    st.integers(max_value=0),
    st.sampled_from([math.nan, math.inf]),
    st.floats(min_value=LIMIT_MAX, exclude_min=True),
)
NO_COUNT = st.one_of(NO_NUMBER, st.none(), st.integers(max_value=0), st.floats())
OPTIONS = st.one_of(
    st.tuples(st.just("timeout"), NO_TIME),
    st.tuples(st.just("deadline"), NO_TIME),
    st.tuples(st.just("max_attempts"), NO_COUNT),
)


def made(client: Any, **options: Any) -> None:
    client("https://nas.test", "agent-token", **options)


@given(CLIENTS, OPTIONS)
def test_a_bad_limit_is_told_by_its_name(client: Any, option: tuple[str, Any]) -> None:
    name, value = option
    with pytest.raises(ConfigurationError, match=f"^{name}: .* needed"):
        made(client, **{name: value})
    view = client("https://nas.test", "agent-token")
    with pytest.raises(ConfigurationError, match=f"^{name}: .* needed"):
        view.with_options(**{name: value})


@given(CLIENTS, st.one_of(NO_COUNT, st.integers(min_value=1001)).filter(lambda it: it is not None))
def test_a_bad_width(client: Any, width: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^max_connections: .* needed"):
        made(client, max_connections=width)


@given(CLIENTS, st.sampled_from(["connect", "read", "write", "pool"]), NO_TIME)
def test_a_bad_part_of_a_timeout(client: Any, part: str, value: Any) -> None:
    parts = {"connect": 1.0, "read": 1.0, "write": 1.0, "pool": 1.0, part: value}
    with pytest.raises(ConfigurationError, match=rf"^timeout\.{part}: .* needed"):
        made(client, timeout=httpx.Timeout(**parts))


@given(CLIENTS, st.sampled_from("?#"), st.text("abc=&", max_size=5))
def test_a_base_url_has_no_query_and_no_fragment(client: Any, mark: str, rest: str) -> None:
    with pytest.raises(ConfigurationError, match=r"^base_url: "):
        client(f"https://nas.test{mark}{rest}", "agent-token")


PROXIES = ["", ":", "ftp://host", "http://", "socks5://", "http://host:port", "//host", "host"]


@pytest.mark.parametrize("client", [NasClient, AsyncNasClient])
@pytest.mark.parametrize("proxy", [*PROXIES, 7, b"http://host", object], ids=str)
def test_a_proxy_that_is_none(client: Any, proxy: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^proxy: "):
        made(client, proxy=proxy)


@pytest.mark.parametrize("maker", [made, lambda client, **_: JwksCache("https://nas.test/jwks")])
@pytest.mark.parametrize("name", ["HTTPS_PROXY", "https_proxy", "ALL_PROXY"])
@pytest.mark.parametrize("value", ["ftp://host", "http://host:port", "http://", "socks5://host"])
def test_a_proxy_of_the_environment_that_cannot_be_used(
    maker: Any, name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for usual in [key for key in os.environ if key.lower().endswith("_proxy")]:
        monkeypatch.delenv(usual)
    monkeypatch.setattr("nas_sdk._transport.proxies.find_spec", lambda package: None)
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigurationError, match=f"^{name.upper()}: "):
        maker(NasClient)
    monkeypatch.setenv("NO_PROXY", "nas.test")
    maker(NasClient)


@given(st.text(max_size=40), st.sampled_from(["nas.test", "10.0.0.1", "::1", "xn--e1afmkfd"]))
def test_any_list_of_exceptions_can_be_read(no_proxy: str, host: str) -> None:
    assert is_excepted(host, 443, no_proxy) in (True, False)


@pytest.mark.parametrize(
    ("no_proxy", "host", "is_so"),
    [
        ("[::1]", "::1", True),
        ("::1", "::1", True),
        ("[::1]:443", "::1", True),
        ("[::1]:80", "::1", False),
        ("10.0.0.0/8", "10.1.2.3", True),
        ("10.0.0.0/8", "11.1.2.3", False),
        (".nas.test", "a.nas.test", True),
        ("nas.test", "a.nas.test", True),
        ("nas.test", "banas.test", False),
        ("nas.test:443", "nas.test", True),
        ("nas.test:80", "nas.test", False),
        ("*.nas.test", "a.nas.test", True),
        ("*.nas.test", "banas.test", False),
        ("NAS.Test", "nas.test", True),
        ("nas.test", "NAS.Test", True),
        ("*", "nas.test", True),
        (" , [, ]:, ://", "nas.test", False),
    ],
)
def test_exceptions_from_a_proxy(no_proxy: str, host: str, is_so: bool) -> None:
    assert is_excepted(host, 443, no_proxy) is is_so


@pytest.mark.parametrize(
    ("url", "excepted"), [("https://nas.test", "nas.test:443"), ("http://nas.test", "nas.test:80")]
)
def test_an_exception_of_the_port_that_a_url_does_not_name(
    url: str, excepted: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test")
    monkeypatch.setenv("HTTPS_PROXY", "http://proxy.test")
    monkeypatch.setenv("NO_PROXY", excepted)
    assert proxy_for(httpx.URL(url), None) is None
    assert proxy_for(httpx.URL(f"{url}:8443"), None) is not None


def test_this_machine_is_reached_without_a_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://proxy.test")
    monkeypatch.delenv("NO_PROXY", raising=False)
    assert proxy_for(httpx.URL("http://127.0.0.1:8787"), None) is None


@pytest.mark.parametrize(
    ("name", "value", "url"),
    [
        ("HTTPS_PROXY", "proxy.test:3128", "http://proxy.test:3128"),
        ("ALL_PROXY", "proxy.test:3128", "http://proxy.test:3128"),
        ("HTTPS_PROXY", "https://proxy.test", "https://proxy.test"),
        ("HTTP_PROXY", "http://proxy.test", None),
    ],
)
def test_a_proxy_of_the_environment(
    name: str, value: str, url: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for usual in [key for key in os.environ if key.lower().endswith("_proxy")]:
        monkeypatch.delenv(usual)
    monkeypatch.setenv(name, value)
    proxy = proxy_for(httpx.URL("https://nas.test"), None)
    assert (proxy and str(proxy.url)) == url


def unusable(directory: Path) -> dict[str, Path]:
    """Files that hold no certificates."""
    empty, rubbish = directory / "empty.pem", directory / "rubbish.pem"
    empty.write_text("")
    rubbish.write_text("-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n")
    return {"missing": directory / "none.pem", "empty": empty, "rubbish": rubbish, "a": directory}


@pytest.mark.parametrize("what", ["missing", "empty", "rubbish"])
@pytest.mark.parametrize("as_text", [True, False])
def test_certificates_that_cannot_be_read(
    what: str, as_text: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = unusable(tmp_path)[what]
    for client in (NasClient, AsyncNasClient):
        with pytest.raises(ConfigurationError, match=r"^verify: no certificates .*pem"):
            made(client, verify=str(file) if as_text else file)
    monkeypatch.setenv("SSL_CERT_FILE", str(file))
    for make in (NasClient, AsyncNasClient):
        with pytest.raises(ConfigurationError, match=r"^SSL_CERT_FILE: no certificates .*pem"):
            made(make)
    with pytest.raises(ConfigurationError, match=r"^SSL_CERT_FILE: no certificates .*pem"):
        JwksCache("https://nas.test/jwks")


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_of_the_environment_are_read_again_once_they_are_renewed(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "authority.pem" if name == "SSL_CERT_FILE" else tmp_path
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    monkeypatch.setenv(name, str(path))
    seen = []
    for number in range(2):
        _, public = self_signed(tmp_path)
        (tmp_path / "authority.pem").write_bytes(public)
        os.utime(path, ns=(number, number))
        trusted = trust(httpx.URL("https://nas.test"))
        assert trust(httpx.URL("https://nas.test")) is trusted  # to read them takes long
        if name == "SSL_CERT_FILE":
            assert trusted.get_ca_certs(binary_form=True) == [
                ssl.PEM_cert_to_DER_cert(public.decode())
            ]
        seen.append(trusted)
    assert seen[0] is not seen[1]


@pytest.mark.parametrize("verify", [True, False, 7, b"x", object], ids=str)
def test_something_else_than_certificates(verify: Any) -> None:
    with pytest.raises(ConfigurationError, match=r"^verify: "):
        made(NasClient, verify=verify)
    made(NasClient, verify=ssl.create_default_context())


SENDERS = (httpx.Client(), httpx.AsyncClient(), httpx.HTTPTransport(), httpx.AsyncHTTPTransport())
NO_SUCH_THING = st.one_of(
    st.integers(), st.floats(), st.binary(), st.lists(st.text()), st.builds(object)
)
NO_SETTING = {
    "base_url": NO_SUCH_THING.filter(bool),
    "token": NO_SUCH_THING,
    "http_client": NO_SUCH_THING,
    "transport": NO_SUCH_THING,
    "proxy": NO_SUCH_THING,
    "verify": st.one_of(NO_SUCH_THING, st.just("")),
    "allow_http": st.one_of(NO_SUCH_THING, st.text(), st.none()),
    "user_agent": NO_SUCH_THING,
    "default_headers": NO_SUCH_THING.filter(bool),
    "on_request": NO_SUCH_THING,
    "on_response": NO_SUCH_THING,
    "on_retry": NO_SUCH_THING,
    "clock": NO_SUCH_THING,
}


def one_of_them(settings: dict[str, st.SearchStrategy[Any]]) -> st.SearchStrategy[tuple[str, Any]]:
    return st.one_of(*(st.tuples(st.just(name), value) for name, value in settings.items()))


@given(CLIENTS, one_of_them(NO_SETTING))
def test_a_setting_of_another_type_is_told_by_its_name(client: Any, given: tuple[str, Any]) -> None:
    options = {"base_url": "https://nas.test", "token": "agent-token", **dict([given])}
    with pytest.raises(ConfigurationError, match=f"^{given[0]}: "):
        client(**options)


@pytest.mark.parametrize("client", [NasClient, AsyncNasClient])
@pytest.mark.parametrize("name", ["http_client", "transport"])
def test_what_sends_is_of_the_kind_of_the_client(client: Any, name: str) -> None:
    needed = (
        {"http_client": httpx.Client, "transport": httpx.BaseTransport}
        if client is NasClient
        else {"http_client": httpx.AsyncClient, "transport": httpx.AsyncBaseTransport}
    )
    for sender in SENDERS:
        if isinstance(sender, needed[name]):
            made(client, **{name: sender})
            continue
        with pytest.raises(ConfigurationError, match=f"^{name}: .*{needed[name].__name__}"):
            made(client, **{name: sender})


@pytest.mark.parametrize("client", [NasClient, AsyncNasClient])
@pytest.mark.parametrize(
    "beside",
    [{"transport": SENDERS[2]}, {"proxy": "http://p"}, {"verify": "ca.pem"}],
    ids=lambda it: next(iter(it)),
)
def test_what_a_client_that_is_passed_in_would_not_heed(client: Any, beside: Any) -> None:
    theirs = SENDERS[0] if client is NasClient else SENDERS[1]
    with pytest.raises(ConfigurationError, match=f"^{next(iter(beside))}: .*http_client"):
        made(client, http_client=theirs, **beside)


async def no_document() -> str:
    return ""


NO_KEYS = {
    "source": st.one_of(NO_SUCH_THING, st.none(), st.just(no_document)),
    "allow_http": st.one_of(NO_SUCH_THING, st.text(), st.none()),
    "http_client": st.one_of(NO_SUCH_THING, st.just(SENDERS[1])),
    "clock": NO_SUCH_THING,
}
NO_RULE = {
    "audience": st.one_of(NO_SUCH_THING, st.none(), st.just("")),
    "issuer": st.one_of(NO_SUCH_THING, st.just("")),
    "clock": NO_SUCH_THING,
}


@given(one_of_them(NO_KEYS))
def test_keys_that_no_fire_could_be_verified_with(given: tuple[str, Any]) -> None:
    options = {"source": "https://nas.test/jwks", **dict([given])}
    name = "JWKS URL" if given[0] == "source" and given[1] is not no_document else given[0]
    with pytest.raises(ConfigurationError, match=f"^{name}: "):
        JwksCache(**options)


@pytest.mark.parametrize("verifier", [FireVerifier, AsyncFireVerifier])
@given(given=one_of_them(NO_RULE))
def test_rules_that_no_fire_could_keep(verifier: Any, given: tuple[str, Any]) -> None:
    options = {"audience": "agent:7", "issuer": "https://nas.test", **dict([given])}
    with pytest.raises(ConfigurationError, match=f"^{given[0]}: "):
        verifier("https://nas.test/jwks", **options)
