"""Anthropic's Messages format.

Source: Anthropic's API reference ("Messages", "Models", "Errors", "Rate limits").
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from routerlab.core.simulated import SimulatedModel
from routerlab.simulation.dialects import anthropic_request
from routerlab.simulation.dialects.anthropic_answer import MessageWriter
from routerlab.simulation.dialects.anthropic_errors import WORDS, error_body
from routerlab.simulation.dialects.base import Dialect, Endpoint, Limit
from routerlab.simulation.dialects.problems import Problem

__all__ = ["Anthropic"]


class Anthropic(Dialect):
    """Anthropic's Messages format."""

    kind = "anthropic"
    prefix = "/v1/messages"
    endpoints = (Endpoint(("/v1/messages",), anthropic_request.problem_of, anthropic_request.read, MessageWriter),)
    listing = ("/v1/models",)
    words = WORDS

    def error(self, problem: Problem, retry_after: str | None = None) -> Mapping[str, Any]:
        """An error with its type."""
        return error_body(problem)

    def models(self, models: Iterable[SimulatedModel]) -> Mapping[str, Any]:
        """One page with all of them."""
        common = {"type": "model", "created_at": "2026-01-01T00:00:00Z", "lifecycle": "active"}
        data = [
            {"id": model.name, "display_name": model.name, "max_input_tokens": model.context_window, **common}
            for model in models
        ]
        first, last = (data[0]["id"], data[-1]["id"]) if data else (None, None)
        return {"data": data, "has_more": False, "first_id": first, "last_id": last}

    def key(self, request: Request) -> str | None:
        """Its own header, or the usual one."""
        return request.headers.get("x-api-key") or super().key(request)

    def lists(self, request: Request) -> bool:
        """OpenAI's models have the same address; the version tells them apart."""
        return "anthropic-version" in request.headers

    def limit_headers(self, limits: Iterable[Limit], now: float) -> list[tuple[str, str]]:
        """Each limit, what remains of it, and the moment when it is whole again (RFC 3339)."""
        headers = []
        for limit in limits:
            reset = datetime.fromtimestamp(now + limit.reset_s, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
            head = f"anthropic-ratelimit-{limit.what}"
            headers += [
                (f"{head}-limit", str(limit.per_minute)),
                (f"{head}-remaining", str(limit.remaining)),
                (f"{head}-reset", reset),
            ]
        return headers
