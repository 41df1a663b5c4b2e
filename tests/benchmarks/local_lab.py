"""A lab with one OpenAI-compatible provider at the local server."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from server import serving

from routerlab.lab import Lab
from routerlab.session.results import CallSpec

PROMPT = "Why is the sky blue?"
BODY = {"model": "m", "messages": [{"role": "user", "content": PROMPT}]}
SPEC = CallSpec(messages=({"role": "user", "content": PROMPT},))
STREAM = CallSpec(messages=({"role": "user", "content": PROMPT},), stream=True)


@contextmanager
def local_lab(chunks: int = 100, gap_ms: int = 0, *, key: str | None = None) -> Iterator[tuple[Lab, str]]:
    """The lab, and the URL of the chat endpoint for its peers; with a `key` it has a secret to keep."""
    with serving() as address:
        base = f"{address}/{chunks}/{gap_ms}/v1"
        with lab_at(base, key=key) as lab:
            yield lab, f"{base}/chat/completions"


def lab_at(base: str, *, key: str | None = None, store: Path | bool = False) -> Lab:
    """A lab with one model, ``local/m``, at this address."""
    model = {"capabilities": ["chat-completion"], "price": {"input": 1.0, "output": 2.0}}
    provider = {"kind": "openai_compatible", "base_url": base, "models": {"m": model}}
    if key is not None:
        os.environ["BENCHMARK_KEY"] = key
        provider["api_key"] = "${env:BENCHMARK_KEY}"
    return Lab({"providers": {"local": provider}, "pools": {"chat": {"models": ["local/m"]}}}, store=store)
