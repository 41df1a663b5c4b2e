"""What keeps a key out of messages, logs and other people's hands."""

from __future__ import annotations

import functools
import logging
import re
from collections.abc import Mapping

import httpx

__all__ = [
    "bare_request",
    "checked_headers",
    "is_sendable",
    "join_url",
    "parsed_url",
    "plain_url",
    "secrets_in",
]

_VISIBLE = re.compile(r"[\t\x20-\x7e]*")
_SECRET_NAME = re.compile(r"auth|key|token|secret", re.IGNORECASE)
_LOGIN = re.compile(r"auth=\(.*\)", re.DOTALL)
_ANSWERED = re.compile(r"return_value=.+", re.DOTALL)
_LOGGED = 5  # method, URL, version, status, the server's words for it
_ABSOLUTE = re.compile(r"\s*(?:[a-z][a-z0-9+.-]*:)?[/\\]{2}", re.IGNORECASE)


def join_url(base_url: str, path: str) -> str:
    """Returns `base_url` and `path` in one, with one slash between them.

    Raises:
        ValueError: `path` is a URL of its own, or leads to another host.
    """
    if _ABSOLUTE.match(path):
        raise ValueError("path must lie below the base URL: an absolute URL or //host would take the key elsewhere")
    url = base_url + (path if not path or path[0] in "/?" else f"/{path}")
    if _origin(url) != _origin(base_url):
        raise ValueError("path must lie below the base URL, it leads to another host")
    return url


def is_sendable(text: object) -> bool:
    """Tells whether a text can stand in a header as it is: one line of ASCII."""
    return isinstance(text, str) and _VISIBLE.fullmatch(text) is not None


def checked_headers(headers: Mapping[str, str] | httpx.Headers | None) -> httpx.Headers:
    """Returns the headers; their `repr` shows names only.

    Raises:
        ValueError: a name or value has a line break or a non-ASCII character in it; the value is not shown.
    """
    refused = [name for name, value in dict(headers or {}).items() if not (is_sendable(name) and is_sendable(value))]
    if refused:
        raise ValueError(f"the header {refused[0]!a} must be one line of ASCII text")
    return _HiddenHeaders(headers)


class _HiddenHeaders(httpx.Headers):
    def __repr__(self) -> str:
        return f"Headers({', '.join(f'{name}=***' for name in self)})"


def parsed_url(text: str) -> httpx.URL:
    """Returns a URL in its parts; what is none is a `ValueError` here (httpx's own is not)."""
    try:
        return httpx.URL(text) if "?" in text else _remembered_url(text)
    except httpx.InvalidURL as error:
        problem = str(error)
    raise ValueError(f"not a URL: {problem}")


@functools.lru_cache(maxsize=256)
def _remembered_url(text: str) -> httpx.URL:
    """Parsing a URL costs as much as sending a request. One with a query is not kept: keys travel there."""
    return httpx.URL(text)


def plain_url(url: httpx.URL | str) -> str:
    """Returns a URL as messages show it: without query (keys travel there), fragment and user."""
    return str(_plain(httpx.URL(url)))


def bare_request(request: httpx.Request) -> httpx.Request:
    """Returns what an exception may carry of a request: the method and the plain URL, no header and no body."""
    return httpx.Request(request.method, _plain(request.url))


def _plain(url: httpx.URL) -> httpx.URL:
    if url.query or url.fragment or url.userinfo or "?" in str(url):
        return url.copy_with(query=None, fragment=None, userinfo=b"")
    return url


def secrets_in(headers: httpx.Headers) -> list[str]:
    """Returns the values of the headers that by their names carry a key, with and without a scheme such as Bearer."""
    values = [value for name, value in headers.items() if _SECRET_NAME.search(name)]
    return values + [value.rpartition(" ")[2] for value in values]


def _origin(url: str) -> tuple[str, str, int | None, bytes]:
    parsed = parsed_url(url)
    return parsed.scheme, parsed.host, parsed.port, parsed.userinfo


class _PlainURLs(logging.Filter):
    """httpx logs of every request the URL, with a query, and the server's words for the status, which may be any."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            record.args = tuple(plain_url(arg) if isinstance(arg, httpx.URL) else arg for arg in record.args)
            if len(record.args) == _LOGGED and isinstance(status := record.args[3], int):
                record.args = (*record.args[:4], httpx.codes.get_reason_phrase(status))
        return True


class _NoContents(logging.Filter):
    """httpcore logs how it greets a SOCKS proxy, with user and password, and the headers of every answer."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = _ANSWERED.sub("return_value=***", _LOGIN.sub("auth=***", str(record.msg)))
        return True


logging.getLogger("httpx").addFilter(_PlainURLs())
for _name in ("httpcore.socks", "httpcore.http11", "httpcore.http2"):
    logging.getLogger(_name).addFilter(_NoContents())
