"""Gateways behind certificates: real handshakes on loopback, with an authority of our own."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from routerlab.core.errors import ConfigurationError
from routerlab.core.failures import Count, Fault, ProviderError, classify
from routerlab.providers.connection import connection_options
from routerlab.providers.openai_compatible import OpenAICompatibleProvider

PASSWORD = "canary-password-of-the-key-9d2"
OFF = ("disable", "verify", "insecure", "ssl=false", "check_hostname", "unsafe")


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
def ask(chat: Callable[..., Any]) -> Callable[..., Any]:
    """The text of one answer, or the failure."""

    async def run(base_url: str, **options: Any) -> str | ProviderError:
        provider = OpenAICompatibleProvider("gw", {"base_url": base_url, "api_key": "sk-of-the-gateway", **options})
        try:
            return str((await provider.complete(chat())).text)
        except ProviderError as error:
            return error
        finally:
            await provider.close()

    return run


class Files:
    """The files of a client's certificate."""

    def __init__(self, authority: trustme.CA, folder: Path) -> None:
        leaf = authority.issue_cert("client@gateway.test")
        self.both, self.cert, self.key, self.locked = (
            str(folder / f"{part}.pem") for part in ("both", "cert", "key", "locked")
        )
        leaf.private_key_and_cert_chain_pem.write_to_path(self.both)
        leaf.cert_chain_pems[0].write_to_path(self.cert)
        leaf.private_key_pem.write_to_path(self.key)
        from cryptography.hazmat.primitives import serialization as forms

        key = forms.load_pem_private_key(leaf.private_key_pem.bytes(), None)
        lock = forms.BestAvailableEncryption(PASSWORD.encode())
        locked = key.private_bytes(forms.Encoding.PEM, forms.PrivateFormat.PKCS8, lock)
        Path(self.locked).write_bytes(locked)


@pytest.fixture
def mine(authority: trustme.CA, tmp_path: Path) -> Files:
    return Files(authority, tmp_path)


def refused_by_tls(error: Any, host: str = "127.0.0.1") -> str:
    """The message of a failed handshake, after what holds for each of them."""
    assert isinstance(error, ProviderError)
    assert (error.fault, error.sent) == (Fault.TLS, False)
    assert host in error.message
    assert not any(word in error.message.lower() for word in OFF)
    verdict = classify(error)
    assert (verdict.count, verdict.retries, verdict.moves_on) == (Count.FAILURE, 0, True)
    return error.message


def test_an_authority_of_our_own(gateway: Callable[..., Any], ca_bundle: str, ask: Callable[..., Any]) -> None:
    async def main() -> list[Any]:
        async with gateway() as server:
            return [await ask(server.url(), ca_bundle=ca_bundle), await ask(server.url())]

    answered, refused = asyncio.run(main())
    assert answered == "Hi"
    assert "unable to get local issuer certificate" in refused_by_tls(refused)
    assert refused.message.endswith("name its file in ca_bundle")


def test_a_folder_of_authorities(
    gateway: Callable[..., Any], authority: trustme.CA, ask: Callable[..., Any], tmp_path: Path
) -> None:
    import subprocess

    folder = tmp_path / "trusted"
    folder.mkdir()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    hashed = subprocess.run(
        ["openssl", "x509", "-hash", "-noout", "-in", folder / "ca.pem"], capture_output=True, text=True, check=True
    )
    (folder / "ca.pem").rename(folder / f"{hashed.stdout.strip()}.0")

    async def main() -> Any:
        async with gateway() as server:
            return await ask(server.url(), ca_bundle=str(folder))

    assert asyncio.run(main()) == "Hi"


def test_another_authority(gateway: Callable[..., Any], ask: Callable[..., Any], tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "other.pem")

    async def main() -> Any:
        async with gateway() as server:
            return await ask(server.url(), ca_bundle=str(tmp_path / "other.pem"))

    assert "unable to get local issuer certificate" in refused_by_tls(asyncio.run(main()))


def test_a_certificate_of_another_host(gateway: Callable[..., Any], ca_bundle: str, ask: Callable[..., Any]) -> None:
    async def main() -> Any:
        async with gateway() as server:
            return await ask(server.url("localhost"), ca_bundle=ca_bundle)

    message = refused_by_tls(asyncio.run(main()), "localhost")
    assert message.endswith("hostname mismatch, certificate is not valid for 'localhost'")


def test_an_expired_certificate(
    gateway: Callable[..., Any], authority: trustme.CA, ca_bundle: str, ask: Callable[..., Any]
) -> None:
    year = [dt.datetime(2020, 1, day, tzinfo=dt.UTC) for day in (1, 2)]
    expired = authority.issue_cert("127.0.0.1", not_before=year[0], not_after=year[1])

    async def main() -> Any:
        async with gateway(expired) as server:
            return await ask(server.url(), ca_bundle=ca_bundle)

    assert refused_by_tls(asyncio.run(main())).endswith("certificate has expired")


@pytest.mark.parametrize("latest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_client_certificate(
    latest: ssl.TLSVersion,
    gateway: Callable[..., Any],
    authority: trustme.CA,
    ca_bundle: str,
    mine: Files,
    ask: Callable[..., Any],
) -> None:
    ways = [mine.both, {"cert": mine.both}, {"cert": mine.cert, "key": mine.key},
            {"cert": mine.cert, "key": mine.locked, "password": PASSWORD}]  # fmt: skip

    async def main() -> list[Any]:
        async with gateway(clients=authority, latest=latest) as server:
            return [await ask(server.url(), ca_bundle=ca_bundle, client_cert=way) for way in ways]

    assert asyncio.run(main()) == ["Hi"] * 4


@contextlib.contextmanager
def strict_server(authority: trustme.CA, latest: ssl.TLSVersion) -> Iterator[int]:
    """A server that lets nobody in without a certificate, and whose last word is read: asyncio's would reset."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.maximum_version = latest
    context.verify_mode = ssl.CERT_REQUIRED
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with contextlib.suppress(OSError):
            plain, _ = listener.accept()
            plain.settimeout(60)
            secure = context.wrap_socket(plain, server_side=True, do_handshake_on_connect=False)
            with contextlib.suppress(OSError):  # ssl.SSLError among them
                secure.do_handshake()
            with socket.socket(fileno=secure.detach()) as raw:
                raw.shutdown(socket.SHUT_WR)
                while raw.recv(65536):
                    pass

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        listener.close()
        thread.join()


@pytest.mark.parametrize(
    ("latest", "whose", "message"),
    [
        (ssl.TLSVersion.TLSv1_3, "nobody's", "it asks for a client certificate: set client_cert"),
        (ssl.TLSVersion.TLSv1_2, "nobody's", "handshake failure (perhaps it asks for a client certificate: client_cert)"),  # noqa: E501
        (ssl.TLSVersion.TLSv1_3, "a stranger's", "it refuses the client certificate (tlsv1 alert unknown ca)"),
        (ssl.TLSVersion.TLSv1_2, "a stranger's", "it refuses the client certificate (tlsv1 alert unknown ca)"),
    ],
)  # fmt: skip
def test_a_client_certificate_that_is_missing_or_unknown(
    latest: ssl.TLSVersion,
    whose: str,
    message: str,
    authority: trustme.CA,
    ca_bundle: str,
    ask: Callable[..., Any],
    tmp_path: Path,
) -> None:
    options = {"client_cert": Files(trustme.CA(), tmp_path).both} if whose == "a stranger's" else {}
    with strict_server(authority, latest) as port:
        error = asyncio.run(ask(f"https://127.0.0.1:{port}/v1", ca_bundle=ca_bundle, **options))
    assert refused_by_tls(error).endswith(message)


@pytest.mark.parametrize("variable", ["SSL_CERT_FILE", "SSL_CERT_DIR"])
def test_certificates_of_the_environment(
    variable: str, gateway: Callable[..., Any], ca_bundle: str, mine: Files, ask: Callable[..., Any],
    authority: trustme.CA, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv(variable, ca_bundle if variable == "SSL_CERT_FILE" else "/nowhere")

    async def main() -> list[Any]:
        async with gateway(clients=authority, latest=ssl.TLSVersion.TLSv1_2) as server:
            url, own = server.url(), {"client_cert": mine.both}
            return [
                await ask(url, **own),
                await ask(url, **own, trust_env=False),
                await ask(url, **own, ca_bundle=ca_bundle),
            ]

    trusted, untrusted, bundled = asyncio.run(main())
    if variable == "SSL_CERT_FILE":
        assert trusted == "Hi"
    else:
        refused_by_tls(trusted)
    refused_by_tls(untrusted)
    assert bundled == "Hi"


class TestMistakes:
    def problems(self, **options: Any) -> list[str]:
        with pytest.raises(ConfigurationError) as caught:
            OpenAICompatibleProvider("gw", {"base_url": "https://127.0.0.1:1", **options})
        assert PASSWORD not in str(caught.value)
        return [problem.removeprefix("providers.gw: ") for problem in caught.value.problems]

    def test_files_that_are_not_there(self, tmp_path: Path) -> None:
        missing = str(tmp_path / "missing.pem")
        absent = "No such file or directory"
        assert self.problems(ca_bundle=missing) == [f"ca_bundle: {missing} cannot be read: {absent}"]
        assert self.problems(client_cert=missing) == [f"client_cert: {missing} cannot be used: {absent}"]

    def test_files_that_are_something_else(self, tmp_path: Path, mine: Files) -> None:
        other = tmp_path / "other.pem"
        other.write_text("no certificate")
        assert self.problems(ca_bundle=str(other)) == [
            f"ca_bundle: {other} cannot be read: no certificate or crl found"
        ]
        [problem] = self.problems(client_cert={"cert": mine.cert, "key": str(other)})
        assert problem.startswith(f"client_cert: {mine.cert} or {other} cannot be used: ")

    def test_a_key_of_another_certificate(self, mine: Files, tmp_path: Path) -> None:
        folder = tmp_path / "other"
        folder.mkdir()
        stranger = Files(trustme.CA(), folder)
        [problem] = self.problems(client_cert={"cert": mine.cert, "key": stranger.key})
        assert problem.endswith("cannot be used: key values mismatch")

    @pytest.mark.parametrize(
        ("password", "reason"),
        [
            (None, "it is encrypted: give its password, too"),
            (f"{PASSWORD}-wrong", "its password does not open it"),
            ("x" * 5000, "its password does not open it"),
        ],
    )
    def test_a_locked_key(self, password: str | None, reason: str, mine: Files) -> None:
        own = {"cert": mine.cert, "key": mine.locked} | ({"password": password} if password else {})
        assert self.problems(client_cert=own) == [f"client_cert: the key cannot be used: {reason}"]

    def test_everything_at_once(self) -> None:
        found = self.problems(
            client_cert={"crt": "x", "key": 5}, ca_bundle=3, proxy=f"ftp://me:{PASSWORD}@proxy", headers={"a": []}
        )
        assert found == [
            "'ca_bundle' must be str, found int",
            "headers.a must be a text, not list",
            "client_cert.crt: unknown option; did you mean 'cert'?",
            "client_cert.key must be a text, not int",
            "client_cert.cert is missing: the file of the certificate",
            "proxy must be an http, https or socks5 address, such as http://proxy.example:3128",
        ]

    def test_a_file_of_the_environment(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "missing.pem"))
        [problem] = self.problems()
        assert problem == (
            "the file that the variable SSL_CERT_FILE or SSL_CERT_DIR names cannot be read: No such file or directory"
        )
        OpenAICompatibleProvider("gw", {"base_url": "https://127.0.0.1:1", "trust_env": False})


@pytest.mark.parametrize(
    ("config", "loaded"),
    [
        ({"base_url": "http://127.0.0.1:1/v1"}, False),
        ({"base_url": "https://127.0.0.1:1/v1"}, True),
        ({}, True),  # a preset's own address
        ({"base_url": "http://127.0.0.1:1/v1", "proxy": "https://proxy.example:3128"}, True),
        ({"base_url": "http://127.0.0.1:1/v1", "proxy": "http://proxy.example:3128"}, False),
    ],
)
def test_authorities_are_loaded_only_where_a_connection_may_be_encrypted(config, loaded, monkeypatch):
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    context = connection_options(config)["verify"]
    assert bool(context.get_ca_certs()) is loaded
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
