"""Answers of Google's Gemini API: every one is a list of candidates, whole or in pieces.

Source: the Gemini API's reference (GenerateContentResponse, Candidate, UsageMetadata), and what its servers send.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.core.failures import Fault, ProviderError
from routerlab.core.types import CompletionResponse, Delta, EmbeddingResponse, TokenUsage
from routerlab.providers.answers import Answer, content_filtered, read_limits
from routerlab.providers.lists import read_vectors
from routerlab.providers.reading import ChunkReader, finish_reason, whole_answer
from routerlab.providers.shapes import listed, mapping, new_call_id, text, tokens, tool_call

__all__ = ["CandidateReader", "read_embeddings", "read_whole"]

# The model broke its own format: another try may do better.
_BROKEN = (
    "MALFORMED_FUNCTION_CALL", "MALFORMED_RESPONSE", "MISSING_THOUGHT_SIGNATURE", "TOO_MANY_TOOL_CALLS",
    "UNEXPECTED_TOOL_CALL",
)  # fmt: skip


def read_whole(answer: Answer) -> CompletionResponse:
    """Read a whole answer, also one that came as the array of a stream.

    Raises:
        ProviderError: an error status, a blocked prompt, a refusal, or an answer that makes no sense.
    """
    body = answer.json()
    chunks = body if isinstance(body, list) else [body]
    words, thoughts, calls = "", "", []
    word, model = "", ""
    counts: Mapping[str, Any] = {}
    try:
        for chunk in listed(chunks, "chunks") or [{}]:
            candidate = _candidate(chunk)
            for part in _parts(candidate):
                if "functionCall" in part:
                    calls.append(_whole_call(part))
                elif part.get("thought"):
                    thoughts += text(part.get("text"))
                else:
                    words += text(part.get("text"))
            word = text(candidate.get("finishReason")) or word
            model = text(chunk.get("modelVersion")) or model
            counts = mapping(chunk.get("usageMetadata")) or counts
    except (ValueError, TypeError, AttributeError, KeyError):
        raise answer.senseless("is no list of candidates") from None
    reason = _reason(word)
    if not (words or calls or reason):
        raise answer.senseless("has no candidates")
    reason = reason or ("stop" if calls else None)
    usage = _usage(counts)
    return whole_answer(answer, body, words, reason, reasoning=thoughts, calls=calls, usage=usage, model=model)


class CandidateReader(ChunkReader):
    """Reads one streamed answer; see `routerlab.providers.reading.Reader`. The API has no mark for its end.

    Every chunk repeats the counts so far; those of the first one (the prompt) and of the last one are passed on.
    """

    _begun = False

    def _only_text(self, chunk: Any) -> str:
        try:
            (candidate,) = chunk["candidates"]
            (part,) = candidate["content"]["parts"]
            words = part["text"]
        except (KeyError, TypeError, ValueError):
            return ""
        more = len(part) > 1 or "finishReason" in candidate or candidate.get("index") or "error" in chunk
        return "" if more or not isinstance(words, str) else words

    def _chunk(self, chunk: Mapping[str, Any]) -> list[Delta]:
        candidate = _candidate(chunk)
        deltas = [self._part(part) for part in _parts(candidate)]
        reason = _reason(text(candidate.get("finishReason")))
        usage = None if self._begun and not reason else _usage(mapping(chunk.get("usageMetadata")))
        self._begun = True
        if reason and not self.finished:
            deltas.append(self._finish(reason, usage))
        elif usage:
            deltas.append(Delta(usage=usage))
        if deltas:
            deltas[0].served_model = self._model(chunk.get("modelVersion"))
        return deltas

    def _part(self, part: Mapping[str, Any]) -> Delta:
        if "functionCall" in part:
            call = _whole_call(part)
            function = call.pop("function")
            return self._call_begins(function["name"], call["id"], function["arguments"], **_extra(call))
        words = text(part.get("text"))
        if part.get("thought"):
            return Delta(reasoning=words)
        return self._text(words) if words else Delta()


def read_embeddings(answer: Answer, count: int) -> EmbeddingResponse:
    """Read an answer of ``batchEmbedContents``.

    Raises:
        ProviderError: an error status, or an answer without exactly one vector for each input.
    """
    body = answer.json()
    vectors = read_vectors(answer, count, lambda: (row["values"] for row in body["embeddings"]))
    counts = mapping(body.get("usageMetadata"))
    prompt = tokens(counts, "promptTokenCount")
    usage = None if prompt is None else TokenUsage(prompt, 0, prompt)
    return EmbeddingResponse(vectors, usage, limits=read_limits(answer.headers, answer.now_wall), raw=body)


def _candidate(chunk: Mapping[str, Any]) -> Mapping[str, Any]:
    """The first candidate; an empty one where there is none (yet).

    Raises:
        ProviderError: there is none because the prompt was blocked.
    """
    candidates = listed(chunk.get("candidates"), "candidates")
    for candidate in candidates:
        if not candidate.get("index"):
            return candidate
    feedback = mapping(chunk.get("promptFeedback"))
    if not candidates and feedback.get("blockReason"):
        why = text(feedback.get("blockReasonMessage"))
        raise content_filtered(f"the prompt was blocked: {feedback['blockReason']}" + (why and f", {why}"))
    return {}


def _parts(candidate: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    return list(listed(mapping(candidate.get("content")).get("parts"), "parts"))


def _whole_call(part: Mapping[str, Any]) -> dict[str, Any]:
    """A call, with the signature that must go back with it."""
    raw = mapping(part["functionCall"])
    call = tool_call(text(raw.get("name")), raw.get("args") or {}, text(raw.get("id")) or new_call_id())
    if part.get("thoughtSignature"):
        call["extra_content"] = {"google": {"thought_signature": part["thoughtSignature"]}}
    return call


def _extra(call: Mapping[str, Any]) -> dict[str, Any]:
    return {"extra_content": call["extra_content"]} if "extra_content" in call else {}


def _reason(word: str) -> str | None:
    if word in _BROKEN:
        raise ProviderError(f"the model broke its format: {word}", fault=Fault.BAD_RESPONSE, status=200, code=word)
    if word == "OTHER":
        return "content_filter"  # Google does not say why it stopped; the answer is not whole
    return None if word == "FINISH_REASON_UNSPECIFIED" else finish_reason(word)


def _usage(counts: Mapping[str, Any]) -> TokenUsage | None:
    """Thoughts are paid for as output, what tools put into the prompt as input."""
    prompt, thoughts = tokens(counts, "promptTokenCount"), tokens(counts, "thoughtsTokenCount")
    output, tools = tokens(counts, "candidatesTokenCount"), tokens(counts, "toolUsePromptTokenCount")
    if prompt is None:
        return None
    prompt += tools or 0
    completion = None if output is None and thoughts is None else (output or 0) + (thoughts or 0)
    total = tokens(counts, "totalTokenCount")
    total = prompt + (completion or 0) if total is None else total
    return TokenUsage(prompt, completion, total, tokens(counts, "cachedContentTokenCount"), thoughts)
