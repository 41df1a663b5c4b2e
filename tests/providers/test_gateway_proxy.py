"""Proxies: a real one on loopback, which opens tunnels, with and without a login."""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Callable
from typing import Any

import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.core.failures import Count, Fault, ProviderError, classify
from routerlab.providers.openai_compatible import OpenAICompatibleProvider

KEY = "sk-of-the-gateway-0123"
USER, PASSWORD = "canary-user", "canary/pass:word"
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
QUOTED = f"{USER}:canary%2Fpass%3Aword@"


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


def logged_in(url: str) -> str:
    return url.replace("//", f"//{QUOTED}")


@pytest.fixture
def ask(chat: Callable[..., Any], ca_bundle: str) -> Callable[..., Any]:
    """The text of one answer, or the failure."""

    async def run(base_url: str, **options: Any) -> str | ProviderError:
        config = {"base_url": base_url, "api_key": KEY, "ca_bundle": ca_bundle, **options}
        provider = OpenAICompatibleProvider("gw", config)
        try:
            return str((await provider.complete(chat())).text)
        except ProviderError as error:
            return error
        finally:
            await provider.close()

    return run


def refused(error: Any) -> str:
    assert isinstance(error, ProviderError)
    assert (error.fault, classify(error).count) == (Fault.CONNECT, Count.FAILURE)
    for secret in (USER, PASSWORD, QUOTED, LOGIN, KEY):
        assert secret not in error.message + repr(error.__cause__)
    return error.message


@pytest.mark.parametrize("by", ["option", "environment"])
@pytest.mark.parametrize("login", ["", LOGIN])
def test_through_a_tunnel(
    by: str, login: str, gateway: Callable[..., Any], connect_proxy: Callable[..., Any], ask: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    async def main() -> tuple[Any, list[bytes], list[bytes]]:
        async with gateway() as server, connect_proxy(login) as proxy:
            url = logged_in(proxy.url) if login else proxy.url
            if by == "environment":
                monkeypatch.setenv("https_proxy", url)
            options = {"proxy": url} if by == "option" else {}
            answer = await ask(server.url("gateway.test"), **options, headers={"X-Team": "nlp"}, query={"tag": "a b"})
            return answer, proxy.requests, server.requests

    answer, seen_by_proxy, seen_by_server = asyncio.run(main())
    assert answer == "Hi"
    assert [request.partition(b" HTTP")[0].rpartition(b":")[0] for request in seen_by_proxy] == [
        b"CONNECT gateway.test"
    ]
    assert (LOGIN.encode() in seen_by_proxy[0]) is bool(login)
    assert KEY.encode() not in seen_by_proxy[0]
    [request] = seen_by_server
    assert request.startswith(b"POST /v1/chat/completions?tag=a+b HTTP/1.1")
    assert b"x-team: nlp" in request.lower()
    assert KEY.encode() in request
    assert b"proxy-authorization" not in request.lower()


@pytest.mark.parametrize("base_url", ["https://gateway.test:9/v1", "http://gateway.test/v1"])
def test_a_proxy_that_wants_a_login(base_url: str, connect_proxy: Callable[..., Any], ask: Callable[..., Any]) -> None:
    async def main() -> list[Any]:
        async with connect_proxy("Basic c29tZWJvZHk6ZWxzZQ==") as proxy:
            return [await ask(base_url, proxy=url) for url in (proxy.url, logged_in(proxy.url))]

    for error in asyncio.run(main()):
        assert refused(error) == ("no connection to gateway.test: the proxy asks for a login, or for another one (407)")


def test_plain_http_is_asked_of_the_proxy(connect_proxy: Callable[..., Any], ask: Callable[..., Any]) -> None:
    async def main() -> tuple[Any, list[bytes]]:
        async with connect_proxy(LOGIN) as proxy:
            return await ask("http://gateway.test/v1", proxy=logged_in(proxy.url)), proxy.requests

    answer, requests = asyncio.run(main())
    assert answer == "Hi"
    assert requests[0].startswith(b"POST http://gateway.test/v1/chat/completions HTTP/1.1")


def test_a_proxy_that_is_down(ask: Callable[..., Any]) -> None:
    message = refused(asyncio.run(ask("https://gateway.test/v1", proxy=f"http://{QUOTED}127.0.0.1:9")))
    assert message.startswith("no connection to gateway.test: cannot connect to the proxy")


def test_a_proxy_that_cannot_reach_the_host(connect_proxy: Callable[..., Any], ask: Callable[..., Any]) -> None:
    async def main() -> Any:
        async with connect_proxy() as proxy:
            return await ask("https://gateway.test:9/v1", proxy=proxy.url)

    assert "gateway.test" in refused(asyncio.run(main()))


class TestLoopback:
    """The environment's proxy is never for loopback; one that the user names is."""

    def requests_by_way(
        self, gateway: Callable[..., Any], connect_proxy: Callable[..., Any], ask: Callable[..., Any],
        host: str, monkeypatch: pytest.MonkeyPatch, **env: str,
    ) -> dict[str, int]:  # fmt: skip
        async def main() -> dict[str, int]:
            found = {}
            async with gateway() as server, connect_proxy() as proxy:
                for name, value in env.items():
                    monkeypatch.setenv(name, value or proxy.url)
                for way, options in {
                    "environment": {},
                    "option": {"proxy": proxy.url},
                    "no trust": {"trust_env": False},
                }.items():
                    proxy.requests.clear()
                    await ask(server.url(host), **options)
                    found[way] = len(proxy.requests)
            return found

        return asyncio.run(main())

    @pytest.mark.parametrize("variable", ["https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"])
    @pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
    def test_loopback(self, variable: str, host: str, gateway, connect_proxy, ask, monkeypatch) -> None:
        found = self.requests_by_way(gateway, connect_proxy, ask, host, monkeypatch, **{variable: ""})
        assert found == {"environment": 0, "option": 1, "no trust": 0}

    @pytest.mark.parametrize(
        ("no_proxy", "through"),
        [("", 1), ("other.test", 1), ("gateway.test", 0), (".test", 0), ("*", 0), ("a.test, gateway.test", 0)],
    )
    def test_no_proxy(self, no_proxy: str, through: int, gateway, connect_proxy, ask, monkeypatch) -> None:
        env = {"https_proxy": ""} | ({"no_proxy": no_proxy} if no_proxy else {})
        found = self.requests_by_way(gateway, connect_proxy, ask, "gateway.test", monkeypatch, **env)
        assert found == {"environment": through, "option": 1, "no trust": 0}


class TestMistakes:
    def problem(self, **options: Any) -> str:
        with pytest.raises(ConfigurationError) as caught:
            OpenAICompatibleProvider("gw", {"base_url": "https://gateway.test/v1", **options})
        [problem] = caught.value.problems
        assert PASSWORD not in str(caught.value)
        assert USER not in str(caught.value)
        return problem.removeprefix("providers.gw: ")

    @pytest.mark.parametrize(
        "proxy",
        [f"ftp://{QUOTED}p", "http://", "proxy:3128", f"http://{QUOTED}p:port", f"http://{QUOTED}[p", f"{QUOTED}p"],
    )
    def test_what_is_no_proxy(self, proxy: str) -> None:
        assert self.problem(proxy=proxy).startswith("proxy must be an http, https or socks5 address")

    @pytest.mark.parametrize("value", [f"ftp://{QUOTED}p:1", f"http://{QUOTED}p:port"])
    def test_what_is_none_in_the_environment(self, value: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("https_proxy", value)
        assert self.problem() == "one of the variables HTTP_PROXY, HTTPS_PROXY, ALL_PROXY is not the address of a proxy"
        OpenAICompatibleProvider("gw", {"base_url": "https://localhost/v1"})

    def test_socks_needs_a_package(self, monkeypatch: pytest.MonkeyPatch) -> None:
        try:
            import socksio  # noqa: F401
        except ImportError:
            pass
        else:
            pytest.skip("socksio is here")
        assert "pip install 'httpx[socks]'" in self.problem(proxy="socks5://p:1")
        monkeypatch.setenv("all_proxy", f"socks5://{QUOTED}p:1")
        assert "pip install 'httpx[socks]'" in self.problem()

    def test_two_keys_in_one_place(self) -> None:
        problem = self.problem(api_key=KEY, headers={"authorization": "Basic x"})
        assert problem == "headers.authorization stands where api_key is sent: leave out one of them"
        OpenAICompatibleProvider("gw", {"base_url": "https://h/v1", "api_key": KEY, "headers": {"X-Api-Key": "x"}})
