"""One streamed answer in every wire format, as its provider writes it: the same words, one in each event."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

__all__ = ["PATHS", "WORD", "pieces"]

WORD = "lorem "
PATHS = {
    b"/chat/completions ": "openai",
    b"/responses ": "openai_responses",
    b"/messages ": "anthropic",
    b":streamGenerateContent": "gemini",
    b"/api/chat ": "ollama",
    b"/v2/chat ": "cohere",
}
"""What stands in the first line of a request, and the format that it asks for."""

_COUNTS = {"input_tokens": 12, "output_tokens": 40}


def pieces(kind: str, chunks: int) -> Iterator[bytes]:
    """Headers, so many words, the end."""
    content_type = "application/x-ndjson" if kind == "ollama" else "text/event-stream"
    yield f"HTTP/1.1 200 OK\r\nContent-Type: {content_type}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    begin, word, end = _FORMATS[kind]
    if begin:
        yield _frame(begin)
    framed = _frame(word)
    for _ in range(chunks):
        yield framed
    yield _frame(end) + b"0\r\n\r\n"


def _frame(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


def _data(content: Any, name: str = "") -> bytes:
    return (f"event: {name}\n" if name else "").encode() + b"data: " + json.dumps(content).encode() + b"\n\n"


def _typed(kind: str, **more: Any) -> bytes:
    return _data({"type": kind, **more}, kind)


def _openai() -> tuple[bytes, bytes, bytes]:
    def chunk(delta: dict[str, Any], reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": reason}
        head = {"id": "chatcmpl-1", "object": "chat.completion.chunk", "model": "m-2024"}
        return _data({**head, "choices": [choice]})

    return b"", chunk({"content": WORD}), chunk({}, "stop") + b"data: [DONE]\n\n"


def _anthropic() -> tuple[bytes, bytes, bytes]:
    message = {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m-2024",
        "content": [],
        "usage": _COUNTS,
    }
    begin = _typed("message_start", message=message)
    begin += _typed("content_block_start", index=0, content_block={"type": "text", "text": ""})
    word = _typed("content_block_delta", index=0, delta={"type": "text_delta", "text": WORD})
    end = _typed("content_block_stop", index=0)
    end += _typed("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None}, usage=_COUNTS)
    return begin, word, end + _typed("message_stop")


def _gemini() -> tuple[bytes, bytes, bytes]:
    def chunk(text: str, **more: Any) -> bytes:
        candidate = {"content": {"parts": [{"text": text}], "role": "model"}, "index": 0, **more}
        counts = {"promptTokenCount": 12, "candidatesTokenCount": 40, "totalTokenCount": 52}
        return _data({"candidates": [candidate], "usageMetadata": counts, "modelVersion": "m-2024"})

    return b"", chunk(WORD), chunk("", finishReason="STOP")


def _responses() -> tuple[bytes, bytes, bytes]:
    response = {"id": "resp_1", "object": "response", "status": "in_progress", "model": "m-2024", "output": []}
    item = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "sequence_number": 4}
    word = _typed("response.output_text.delta", **item, delta=WORD, logprobs=[])
    end = _typed("response.completed", response={**response, "status": "completed", "usage": _COUNTS})
    return _typed("response.created", sequence_number=0, response=response), word, end


def _ollama() -> tuple[bytes, bytes, bytes]:
    def line(text: str, **more: Any) -> bytes:
        message = {"role": "assistant", "content": text}
        head = {"model": "m", "created_at": "2026-01-01T00:00:00Z", "message": message}
        return json.dumps({**head, **more}).encode() + b"\n"

    counts = {"prompt_eval_count": 12, "eval_count": 40}
    return b"", line(WORD, done=False), line("", done=True, done_reason="stop", **counts)


def _cohere() -> tuple[bytes, bytes, bytes]:
    begin = _typed("message-start", id="1", delta={"message": {"role": "assistant", "content": []}})
    word = _typed("content-delta", index=0, delta={"message": {"content": {"text": WORD}}})
    end = {"finish_reason": "COMPLETE", "usage": {"billed_units": _COUNTS, "tokens": _COUNTS}}
    return begin, word, _typed("message-end", delta=end)


_FORMATS = {
    "openai": _openai(),
    "openai_responses": _responses(),
    "anthropic": _anthropic(),
    "gemini": _gemini(),
    "ollama": _ollama(),
    "cohere": _cohere(),
}
