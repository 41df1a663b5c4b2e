"""Spans on their way out: OTLP's JSON, in a file or over HTTP.

Source: https://opentelemetry.io/docs/specs/otel/protocol/file-exporter/ (a JSON object a line),
https://opentelemetry.io/docs/specs/otlp/#otlphttp (``POST /v1/traces``)
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import httpx

from routerlab.core.errors import ConfigurationError, RouterLabError
from routerlab.core.redact import Redactor
from routerlab.experiments.output import output_text

__all__ = ["post_spans", "write_spans"]

_BATCH = 500  # spans of a line or a request, about
_TIMEOUT_S = 30.0
_PATH = "/v1/traces"

Spans = Iterable[Sequence[Mapping[str, Any]]]


def write_spans(spans: Spans, path: str | os.PathLike[str], version: str) -> int:
    """Write spans to a file, about 500 a line.

    Args:
        spans: those of each call.
        path: of the file; one that is there is replaced when the new one is whole.
        version: of routerlab.

    Returns:
        How many spans it holds.
    """
    written = 0
    with output_text(path) as file:
        for batch in _batches(spans):
            file.write(_body(batch, version) + "\n")
            written += len(batch)
    return written


def post_spans(spans: Spans, endpoint: str, headers: Mapping[str, str] | None, version: str) -> int:
    """Send spans to a collector, about 500 a request.

    Args:
        spans: those of each call.
        endpoint: its address, as ``OTEL_EXPORTER_OTLP_ENDPOINT`` has it; ``/v1/traces`` is added where it is missing.
        headers: sent with each request; what they hold is in no message.
        version: of routerlab.

    Returns:
        How many spans were sent.

    Raises:
        ConfigurationError: the endpoint is no HTTP address, or holds a password or a query.
        RouterLabError: the collector cannot be reached, or refuses spans. Those sent before it stay there; all of them
            may be sent again, their ids are the same.
    """
    url, sent = _url(endpoint), 0
    hidden = [part for value in (headers or {}).values() for part in (value, *value.split())]  # "Bearer …": the rest
    redact = Redactor(hidden).excerpt
    content_type = {"content-type": "application/json"}
    with httpx.Client(timeout=_TIMEOUT_S, trust_env=not _is_local(url), headers=dict(headers or {})) as client:
        for batch in _batches(spans):
            try:
                answer = client.post(url, content=_body(batch, version).encode(errors="replace"), headers=content_type)
                problem = _problem(answer)
            except httpx.HTTPError as error:
                problem = f"{type(error).__name__}: {error}"
            if problem:
                raise RouterLabError(f"{url} took {sent:,} spans, then: {redact(problem)}") from None
            sent += len(batch)
    return sent


def _batches(spans: Spans) -> Iterator[list[Mapping[str, Any]]]:
    """Spans together, those of a call never apart."""
    batch: list[Mapping[str, Any]] = []
    for own in spans:
        batch += own
        if len(batch) >= _BATCH:
            yield batch
            batch = []
    if batch:
        yield batch


def _body(spans: Sequence[Mapping[str, Any]], version: str) -> str:
    own = {"service.name": "routerlab", "service.version": version}
    resource = {"attributes": [{"key": key, "value": {"stringValue": value}} for key, value in own.items()]}
    scoped = {"scope": {"name": "routerlab", "version": version}, "spans": spans}
    whole = {"resourceSpans": [{"resource": resource, "scopeSpans": [scoped]}]}
    return json.dumps(whole, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _url(endpoint: str) -> httpx.URL:
    try:
        url = httpx.URL(endpoint)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"the endpoint is no address: {error}") from None
    if url.scheme not in {"http", "https"} or not url.host:
        raise ConfigurationError('an endpoint is an address such as "http://localhost:4318"')
    if url.userinfo or url.query:  # addresses get logged
        raise ConfigurationError("keys and passwords of a collector go into headers=, not into its address")
    return url if url.path.endswith(_PATH) else url.copy_with(path=url.path.rstrip("/") + _PATH)


def _is_local(url: httpx.URL) -> bool:
    return url.host in {"localhost", "127.0.0.1", "::1"}


def _problem(answer: httpx.Response) -> str:
    """What was wrong with an answer; empty where nothing was."""
    if not answer.is_success:
        return f"{answer.status_code} {answer.text}"
    try:
        told = answer.json().get("partialSuccess") or {}
    except (ValueError, AttributeError):  # an answer without a body is fine
        return ""
    refused = int(told.get("rejectedSpans") or 0)
    return f"it refused {refused:,} spans: {told.get('errorMessage', '')}" if refused else ""
