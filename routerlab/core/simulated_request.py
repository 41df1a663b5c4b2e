"""What a simulated model sees of a request: OpenAI's shape in, whatever wire format it came by."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.record import record
from routerlab.core.seam import INSTRUCTION
from routerlab.core.simulated_answers import estimate_tokens

__all__ = ["SimulatedRequest", "read_chat", "read_embedding"]


@record
class SimulatedRequest:
    """What a simulated model sees of a request.

    Attributes:
        prompt: the user's last words.
        prompt_tokens: estimated, of all messages.
        max_tokens: of the answer; None: no limit.
        stream: whether it is wanted piece by piece.
        usage: whether a stream says at its end how many tokens it was.
        stop: texts that end the answer.
        schema: of the JSON that the answer must be; None: plain text.
        tool: the function that must be called, as the request describes it; None: none.
        inputs: texts to embed; empty: a chat request.
        dimensions: of the embeddings; None: the model's own.
        seed: the caller's own seed: another one, another answer.
        images: how many pictures came with it; nobody looks at them.
        so_far: the beginning of the answer, to be carried on; empty: there is none.
        system: the instructions that stand before everything.
        prefilled: whether that beginning stands in a message of the assistant, which not every model takes.
    """

    prompt: str
    prompt_tokens: int = 0
    max_tokens: int | None = None
    stream: bool = False
    usage: bool = True
    stop: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    tool: Mapping[str, Any] | None = None
    inputs: tuple[str, ...] = ()
    dimensions: int | None = None
    seed: int = 0
    images: int = 0
    so_far: str = ""
    system: str = ""
    prefilled: bool = False


def read_chat(
    messages: Sequence[Mapping[str, Any]], params: Mapping[str, Any], *, stream: bool = False, usage: bool = True
) -> SimulatedRequest:
    """See a chat request as a simulated model does.

    Args:
        messages: in OpenAI's shape, valid.
        params: ``max_tokens``, ``stop``, ``tools``, … in OpenAI's shape, valid.
        stream: whether the answer is wanted piece by piece.
        usage: whether a stream's usage is wanted.
    """
    texts = [_text(message.get("content")) for message in messages]
    spoken = [text for text, message in zip(texts, messages, strict=True) if message.get("role") == "user"]
    prompt = spoken[-1] if spoken else texts[-1]
    prefill = _prefill(messages[-1], texts[-1])
    so_far = prefill
    if prompt == INSTRUCTION and len(spoken) > 1 and messages[-2].get("role") == "assistant":
        prompt, so_far = spoken[-2], texts[-2]
    stop = params.get("stop") or ()
    return SimulatedRequest(
        prompt=prompt,
        prompt_tokens=sum(estimate_tokens(text) + 4 for text in texts),
        max_tokens=params.get("max_completion_tokens") or params.get("max_tokens"),
        stream=stream,
        usage=usage,
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        schema=_schema(params.get("response_format") or {}),
        tool=None if so_far or messages[-1].get("role") == "tool" else _tool(params, prompt),
        seed=params.get("seed") or 0,
        images=sum(_images(message.get("content")) for message in messages),
        so_far=so_far,
        system=texts[0] if messages[0].get("role") == "system" else "",
        prefilled=bool(prefill),
    )


def read_embedding(inputs: Sequence[str], params: Mapping[str, Any]) -> SimulatedRequest:
    """See a request for embeddings as a simulated model does."""
    tokens = sum(estimate_tokens(text) for text in inputs)
    return SimulatedRequest("\n".join(inputs), tokens, inputs=tuple(inputs), dimensions=params.get("dimensions"))


def _prefill(message: Mapping[str, Any], text: str) -> str:
    """What the assistant is given to carry on: the last message, where it is the assistant's own."""
    return text if message.get("role") == "assistant" and not message.get("tool_calls") else ""


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "".join(str(part.get("text", "")) for part in parts if isinstance(part, Mapping))


def _images(content: Any) -> int:
    parts = content if isinstance(content, list) else ()
    return sum(part.get("type") == "image_url" for part in parts if isinstance(part, Mapping))


def _schema(response_format: Mapping[str, Any]) -> Mapping[str, Any] | None:
    kind = response_format.get("type")
    if kind == "json_schema":
        schema: Mapping[str, Any] = response_format.get("json_schema", {}).get("schema", {})
        return schema
    return {"type": "object", "properties": {"answer": {}}} if kind == "json_object" else None


def _tool(params: Mapping[str, Any], prompt: str) -> Mapping[str, Any] | None:
    """The function to call: the named one, or the first one; with ``auto`` the first that the prompt mentions."""
    functions = [tool["function"] for tool in params.get("tools") or () if "function" in tool]
    choice = params.get("tool_choice") or "auto"
    if isinstance(choice, Mapping):
        wanted = choice.get("function", {}).get("name")
        functions = [function for function in functions if function["name"] == wanted]
    elif choice == "auto":
        functions = [function for function in functions if _mentions(prompt, function["name"])]
    elif choice != "required":
        return None
    return functions[0] if functions else None


def _mentions(prompt: str, name: str) -> bool:
    words = prompt.lower()
    return any(part in words for part in name.lower().replace("-", "_").split("_") if len(part) > 3)
