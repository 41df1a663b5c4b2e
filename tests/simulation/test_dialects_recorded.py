"""What simulated models send has the shape of what the providers sent when they were recorded.

A path such as ``choices[].delta.content`` counts, with the type of its value; what is simulated may lack some of them
(no thinking, no log probabilities), but must not have any that no recording of the provider has.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "wire"
KINDS = {
    "openai": "openai_chat-completions_*",
    "openai_responses": "openai_responses_*",
    "anthropic": "anthropic_messages*",
    "gemini": "*_*enerateContent_*",
    "ollama": "ollama_api-chat_*",
    "cohere": "cohere_*",
}
# Documented, but in none of the recordings at hand.
UNRECORDED = {
    "openai": {"error.param:str"},
    "openai_responses": {
        "reasoning.effort:null",  # of models that do not reason
        "response.reasoning.effort:null",
        "response.instructions:null",
        "error.code:str",
        "error.message:str",
        "error.param:null",
        "error.param:str",
        "error.type:str",
        "error.code:null",
    },
    "anthropic": {"delta.partial_json:str", "delta.stop_sequence:str", "stop_sequence:str"},
    "cohere": {
        # whole answers, and streams of text
        "finish_reason:str",
        "message.role:str",
        "message.content[].text:str",
        "message.content[].type:str",
        "usage.billed_units.input_tokens:int",
        "usage.billed_units.output_tokens:int",
        "usage.tokens.input_tokens:int",
        "usage.tokens.output_tokens:int",
        "delta.message.content.text:str",
        "delta.message.content.type:str",
    },
}

pytestmark = pytest.mark.skipif(not DATA.exists(), reason="the recorded exchanges are not here (../shared/data/wire)")


def paths_of(value: Any, path: str = "") -> Iterator[str]:
    """Every path to a plain value, with its type."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from paths_of(inner, f"{path}.{key}".lstrip("."))
    elif isinstance(value, list):
        for inner in value:
            yield from paths_of(inner, f"{path}[]")
    else:
        yield f"{path}:{'null' if value is None else type(value).__name__}"


def recorded(pattern: str) -> set[str]:
    found: set[str] = set()
    for file in DATA.glob(f"{pattern}.json"):
        response = json.loads(file.read_text(encoding="utf-8"))["response"]
        lines = [line.removeprefix("data: ").strip() for line in response.get("sse_lines", ()) if line[:5] == "data:"]
        lines += response.get("ndjson_lines", ())
        body = response.get("body")
        contents = [json.loads(line) for line in lines if line not in ("", "[DONE]")]
        contents += body if isinstance(body, list) else [body]
        found |= {path for content in contents for path in paths_of(content)}
    return found


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_is_sent_that_was_never_seen(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    stop = {"openai": "stop", "anthropic": "stop_sequences", "cohere": "stop_sequences"}.get(kind)
    seen = [
        talk(server, kind),
        talk(server, kind, stream=True),
        talk(server, kind, **({} if kind == "gemini" else {"model": "omega"})),
        *([talk(server, kind, **{stop: [" river"]})] if stop else []),
    ]
    sent = {path for one in seen for content in (one.chunks or [one.json]) for path in paths_of(content)}
    assert sent - recorded(KINDS[kind]) - UNRECORDED.get(kind, set()) == set()


def test_the_recordings_have_what_the_comparison_needs() -> None:
    for pattern in KINDS.values():
        assert len(recorded(pattern)) > 5
    assert set(paths_of({"a": [{"b": 1}, {"b": None}]})) == {"a[].b:int", "a[].b:null"}
