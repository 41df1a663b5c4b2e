"""What goes wrong on the wire, as `ProviderError`: httpx's exceptions, told apart by where on the way they happened."""

from __future__ import annotations

import socket
import ssl

import httpx

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.redact import Redactor
from routerlab.mixins.http_body import BadBodyError, OversizedBodyError

__all__ = ["bare_cause", "transport_error"]

_UNKNOWN_AUTHORITY = (18, 19, 20, 21)  # X509_V_ERR_…: self-signed, or an issuer that is not trusted
_NOT_YOU = ("alert unknown ca", "alert access denied", "alert bad cert", "alert unsupported cert", "alert certificate")
# The other side closed the connection, which a handshake may also end with: no word about certificates.
_TLS_CLOSED = (ssl.SSLEOFError, ssl.SSLZeroReturnError, ssl.SSLSyscallError)


def transport_error(cause: Exception, host: str, *, received: bool) -> ProviderError:
    """The error for an exchange that brought no whole answer.

    Args:
        cause: what the HTTP client raised.
        host: whom it spoke with.
        received: the headers of the answer had arrived.
    """
    if isinstance(cause, OversizedBodyError):
        return ProviderError(str(cause), fault=Fault.TOO_LARGE, status=cause.status)
    if received or isinstance(cause, BadBodyError):
        return ProviderError(f"{host} broke off within its answer: {_reason(cause, host)}", fault=Fault.BROKEN)
    if _is_ours(cause):
        return ProviderError(f"nothing was sent to {host}: {_reason(cause, host)}", fault=Fault.LOCAL, sent=False)
    if isinstance(cause, httpx.ConnectTimeout | httpx.PoolTimeout):
        return ProviderError(f"no connection to {host} in time", fault=Fault.CONNECT_TIMEOUT, sent=False)
    tls = next((error for error in _chain(cause) if isinstance(error, ssl.SSLError)), None)
    if tls is not None and not isinstance(tls, _TLS_CLOSED):
        return ProviderError(f"no trusted TLS connection to {host}: {_tls_reason(tls)}", fault=Fault.TLS, sent=False)
    if isinstance(cause, httpx.ConnectError | httpx.ProxyError):
        reason = _connect_reason(cause, host)
        return ProviderError(f"no connection to {host}: {reason}", fault=Fault.CONNECT, sent=False)
    reason = _reason(cause, host)
    return ProviderError(f"{host} closed the connection before it answered: {reason}", fault=Fault.CONNECT)


def bare_cause(cause: BaseException | None, redactor: Redactor) -> BaseException | None:
    """``cause`` without what could hold a key: its request, its frames, its own chain; None where it says nothing."""
    if not isinstance(cause, httpx.TransportError):
        return None
    cause.__traceback__ = cause.__cause__ = cause.__context__ = None
    cause.request = None  # type: ignore[assignment]  # as a new one has it
    cause.args = tuple(redactor.redact(str(arg)) for arg in cause.args)
    return cause


def _is_ours(cause: Exception) -> bool:
    """Refused by the client itself: a path to another host, a key with a line break, a closed client."""
    return isinstance(
        cause, ValueError | RuntimeError | httpx.InvalidURL | httpx.LocalProtocolError | httpx.UnsupportedProtocol
    )


def _reason(cause: BaseException, host: str) -> str:
    return str(cause).removeprefix(f"{host}: ") or type(cause).__name__


def _connect_reason(cause: Exception, host: str) -> str:
    if isinstance(cause, httpx.ProxyError):  # it was not the host that refused
        return _reason(cause, host)
    for error in _chain(cause):
        if isinstance(error, ConnectionRefusedError):
            return "connection refused"
        if isinstance(error, socket.gaierror):
            return f"the host's name is not known ({error.strerror})"
    return _reason(cause, host)


def _tls_reason(error: ssl.SSLError) -> str:
    """What the handshake failed on, and which option may help."""
    told = getattr(error, "verify_message", "") or getattr(error, "reason", "") or str(error) or type(error).__name__
    words = told.replace("_", " ").rstrip(".").lower()
    if isinstance(error, ssl.SSLCertVerificationError):
        unknown = getattr(error, "verify_code", None) in _UNKNOWN_AUTHORITY
        return words + (": if the authority is your own, name its file in ca_bundle" if unknown else "")
    if "certificate required" in words:
        return "it asks for a client certificate: set client_cert"
    if "handshake failure" in words:
        return f"{words} (perhaps it asks for a client certificate: client_cert)"
    return f"it refuses the client certificate ({words})" if any(alert in words for alert in _NOT_YOU) else words


def _chain(error: BaseException) -> list[BaseException]:
    """The error and what caused it, at most ten deep."""
    chain = [error]
    while len(chain) < 10 and (following := chain[-1].__cause__ or chain[-1].__context__):
        chain.append(following)
    return chain
