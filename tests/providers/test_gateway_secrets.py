"""What goes to a gateway, and through a proxy, is seen there and nowhere else."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import pickle
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
import trustme
from cryptography.hazmat.primitives import serialization as forms

from routerlab.core.errors import ConfigurationError
from routerlab.core.failures import ProviderError
from routerlab.providers.keys import CommandKey
from routerlab.providers.openai_compatible import OpenAICompatibleProvider

IN_A_QUERY = partial(quote_plus, safe="/?:@!$'()*,")
CANARIES = {
    "api_key": "canary/printed+by-the-command=1",
    "header": "canary in a header of the gateway",
    "query": "canary?in&the query",
    "user": "canary-user-of-the-proxy",
    "password": "canary/password:of the proxy",
    "pem": "canary-password-of-the-client-key",
}
FORMS = [
    form
    for canary in CANARIES.values()
    for form in (canary, quote(canary, safe=""), IN_A_QUERY(canary), base64.b64encode(canary.encode()).decode())
] + [base64.b64encode(f"{CANARIES['user']}:{CANARIES['password']}".encode()).decode()]
ECHO = json.dumps({"error": {"message": " | ".join(FORMS), "code": FORMS[0]}}).encode()
CUT = b'{"choices": [{"message": {"content": "' + FORMS[0].encode()


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def options(authority: trustme.CA, ca_bundle: str, tmp_path: Path) -> dict[str, Any]:
    """All that a gateway may ask for."""
    leaf = authority.issue_cert("client@gateway.test")
    leaf.cert_chain_pems[0].write_to_path(tmp_path / "cert.pem")
    key = forms.load_pem_private_key(leaf.private_key_pem.bytes(), None)
    lock = forms.BestAvailableEncryption(CANARIES["pem"].encode())
    (tmp_path / "key.pem").write_bytes(key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, lock))
    (tmp_path / "secret").write_text(CANARIES["api_key"])
    own = {"cert": str(tmp_path / "cert.pem"), "key": str(tmp_path / "key.pem"), "password": CANARIES["pem"]}
    return {
        "api_key": CommandKey(f"cat {tmp_path / 'secret'}"),
        "headers": {"X-Gateway": CANARIES["header"]},
        "query": {"team": CANARIES["query"]},
        "ca_bundle": ca_bundle,
        "client_cert": own,
    }


@pytest.fixture
def setting(
    authority: trustme.CA, gateway: Callable[..., Any], connect_proxy: Callable[..., Any], options: dict[str, Any]
) -> Callable[..., Any]:
    """A provider behind a proxy with a login, at a server that wants a certificate."""

    @asynccontextmanager
    async def make(answer: bytes, host: str, **changed: Any) -> AsyncIterator[tuple[Any, Any, Any]]:
        login = base64.b64encode(f"{CANARIES['user']}:{CANARIES['password']}".encode()).decode()
        async with (
            gateway(clients=authority, answer=lambda _: answer) as server,
            connect_proxy(f"Basic {login}") as proxy,
        ):
            where = proxy.url.replace("//", f"//{CANARIES['user']}:{quote(CANARIES['password'], safe='')}@")
            config = {"base_url": server.url(host), "proxy": where, **options, **changed}
            provider = OpenAICompatibleProvider("gw", config)
            try:
                yield provider, server, proxy
            finally:
                await provider.close()

    return make


def canaries_in(text: str) -> list[str]:
    return [form for form in FORMS if form in text or form[:24] in text]


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    ("answer", "host", "changed"),
    [
        (ECHO, "gateway.test", {}),
        (b"", "gateway.test", {}),
        (CUT, "gateway.test", {}),
        (ECHO, "other.test", {}),
        (ECHO, "gateway.test", {"client_cert": None}),
        (ECHO, "gateway.test", {"proxy": f"http://{CANARIES['user']}:{quote(CANARIES['pem'])}@127.0.0.1:9"}),
        (ECHO, "gateway.test", {"headers": {"Proxy-Authorization": CANARIES["header"]}, "proxy": None}),
    ],
    ids=["echo", "empty", "cut", "another host", "no certificate", "proxy down", "no proxy"],
)  # fmt: skip
def test_no_failure_shows_anything(
    answer: bytes, host: str, changed: dict[str, Any], streamed: bool, setting: Callable[..., Any],
    chat: Callable[..., Any], shown: Callable[[BaseException], str], caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    for name in ("asyncio", "aiohttp", "aiohttp.client", "httpx", "httpcore"):
        caplog.set_level(logging.DEBUG, name)

    async def main() -> ProviderError:
        async with setting(answer, host, **changed) as (provider, _, _):
            try:
                if streamed:
                    _ = [delta async for delta in provider.stream(chat())]
                else:
                    await provider.complete(chat())
            except ProviderError as error:
                return error
        raise AssertionError("no error")

    error = asyncio.run(main(), debug=True)
    assert canaries_in(shown(error) + caplog.text) == []
    assert canaries_in(pickle.dumps(error).decode("latin-1")) == []


def test_everything_arrives_where_it_belongs(
    setting: Callable[..., Any], chat: Callable[..., Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)

    async def main() -> tuple[str, str, str]:
        good = json.dumps({"choices": [{"message": {"content": "Hi"}, "finish_reason": "stop"}]}).encode()
        async with setting(good, "gateway.test") as (provider, server, proxy):
            assert (await provider.complete(chat())).text == "Hi"
            return server.requests[0].decode(), proxy.requests[0].decode(), repr(provider)

    at_server, at_proxy, representation = asyncio.run(main(), debug=True)
    assert f"Bearer {CANARIES['api_key']}" in at_server
    assert CANARIES["header"] in at_server
    assert f"team={IN_A_QUERY(CANARIES['query'])} " in at_server
    assert base64.b64encode(f"{CANARIES['user']}:{CANARIES['password']}".encode()).decode() in at_proxy
    assert canaries_in(at_proxy.replace("Proxy-Authorization: ", "").partition("Basic ")[0]) == []
    assert canaries_in(representation + caplog.text) == []
    assert "chat/completions" in caplog.text  # httpx does log, without the query


@pytest.mark.parametrize("streamed", [False, True])
def test_a_call_that_is_cut_off_shows_nothing(
    streamed: bool, loopback: Callable[..., Any], options: dict[str, Any], chat: Callable[..., Any],
    shown: Callable[[BaseException], str],
) -> None:  # fmt: skip
    async def silent(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(30)

    async def main() -> BaseException:
        async with loopback(silent) as base_url:
            provider = OpenAICompatibleProvider("gw", {"base_url": base_url, **options})
            try:
                async with asyncio.timeout(0.2):
                    if streamed:
                        _ = [delta async for delta in provider.stream(chat())]
                    else:
                        await provider.complete(chat())
            except TimeoutError as error:
                return error
            finally:
                await provider.close()
        raise AssertionError("no error")

    error = asyncio.run(main())
    assert isinstance(error.__cause__, asyncio.CancelledError)
    assert canaries_in(shown(error)) == []


@pytest.mark.parametrize(
    "wrong", [{"bas_url": "x"}, {"proxy": "nothing"}, {"ca_bundle": "/nowhere"}, {"client_cert": {"cert": "/nowhere"}}]
)
def test_a_mistake_in_the_options_shows_none_of_them(
    wrong: dict[str, Any], options: dict[str, Any], shown: Callable[[BaseException], str]
) -> None:
    with pytest.raises(ConfigurationError) as caught:
        OpenAICompatibleProvider("gw", {"base_url": "https://gateway.test", **options, "api_key": FORMS[0]} | wrong)
    assert canaries_in(shown(caught.value)) == []


def test_a_broken_environment_shows_nothing(
    options: dict[str, Any], shown: Callable[[BaseException], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("https_proxy", f"ftp://{CANARIES['user']}:{quote(CANARIES['password'], safe='')}@p")
    with pytest.raises(ConfigurationError) as caught:
        OpenAICompatibleProvider("gw", {"base_url": "https://gateway.test", **options, "api_key": FORMS[0]})
    assert canaries_in(shown(caught.value)) == []


def test_the_login_of_a_proxy_of_the_environment_is_hidden_too(
    scripted: Callable[..., Any], chat: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx

    monkeypatch.setenv("https_proxy", f"http://{CANARIES['user']}:{quote(CANARIES['password'], safe='')}@p:1")
    provider = scripted(httpx.Response(500, content=ECHO))
    with pytest.raises(ProviderError) as caught:
        asyncio.run(provider.complete(chat()))
    assert CANARIES["password"] not in caught.value.message
    assert CANARIES["user"] not in caught.value.message


def test_the_greeting_of_a_socks_proxy_is_logged_without_its_login(caplog: pytest.LogCaptureFixture) -> None:
    import routerlab.mixins.http  # noqa: F401 - it sets the filter

    caplog.set_level(logging.DEBUG, "httpcore.socks")
    told = f"setup_socks5_connection.started host='h' auth=({CANARIES['user'].encode()!r}, {b'pw)'!r})"
    logging.getLogger("httpcore.socks").debug(told)
    assert caplog.messages == ["setup_socks5_connection.started host='h' auth=***"]
