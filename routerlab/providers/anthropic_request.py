"""Requests in the words of Anthropic's Messages API.

Source: Anthropic's API reference (Create a Message, extended thinking, structured outputs).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.types import CompletionRequest
from routerlab.providers.messages import (
    arguments_of,
    chosen_tool,
    data_url,
    functions_of,
    image_url,
    json_schema,
    parts_of,
    split_system,
)
from routerlab.providers.requests import Params

__all__ = ["refused", "takes_prefill", "write_chat"]

_MAX_TOKENS = 4096  # the API wants a limit, and every model allows this one
_REFUSED = frozenset({"frequency_penalty", "logit_bias", "logprobs", "n", "presence_penalty", "seed", "top_logprobs"})
_HOTTEST = 1.0
_BUDGETS = {"low": 1024, "medium": 4096, "high": 16_384, "xhigh": 32_768, "max": 32_768}
_VERSION = re.compile(r"claude-(?:[a-z]+-)?(\d)(?:[-.](\d{1,2})(?!\d))?")
_ADAPTIVE = (4, 6)  # from here on models think as much as an effort says, and refuse to carry on from a prefill
_THINKING = (3, 7)


def refused(request: CompletionRequest) -> frozenset[str]:
    """Names of parameters that have no counterpart."""
    params = request.params
    names = {name for name in _REFUSED if params.get(name) is not None}
    if isinstance(params.get("temperature"), int | float) and params["temperature"] > _HOTTEST:
        names.add("temperature")
    if params.get("reasoning_effort") not in (None, "none") and not (_version(request.model) or _THINKING) >= _THINKING:
        names.add("reasoning_effort")
    if json_schema(params.get("response_format"))[0] == "json":
        names.add("response_format")  # there is no JSON without a schema
    return frozenset(names)


def takes_prefill(model: str) -> bool:
    """Whether the model carries on from a last message of the assistant's."""
    return (_version(model) or _ADAPTIVE) < _ADAPTIVE


def write_chat(request: CompletionRequest, *, stream: bool) -> dict[str, Any]:
    """The body of a request.

    Raises:
        ValueError: something has no counterpart; the message says where.
    """
    params = Params(request.params)
    system, messages = split_system(request.messages)
    limit = params.take("max_tokens", params.take("max_completion_tokens"))
    body: dict[str, Any] = {"model": request.model, "max_tokens": limit or _MAX_TOKENS, "messages": _messages(messages)}
    if system:
        body["system"] = _system(system)
    if (stop := params.take("stop")) is not None:
        body["stop_sequences"] = [stop] if isinstance(stop, str) else list(stop)
    body |= _tools(params)
    kind, schema = json_schema(params.take("response_format"))
    if kind == "schema":
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    _think(body, params.take("reasoning_effort"), request.model, limit)
    if stream:
        body["stream"] = True
    return params.over(body)


def _system(contents: Sequence[Any]) -> Any:
    if all(isinstance(content, str) for content in contents):
        return "\n\n".join(contents)
    return [part for content in contents for part in parts_of(content)]


def _messages(messages: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Results of tools are the user's, all of one step in one message."""
    written: list[dict[str, Any]] = []
    for place, message in enumerate(messages):
        role, content = message["role"], message.get("content")
        if role == "tool":
            result = {"type": "tool_result", "tool_use_id": message["tool_call_id"], "content": _result(content)}
            if place and messages[place - 1]["role"] == "tool":
                written[-1]["content"].append(result)
            else:
                written.append({"role": "user", "content": [result]})
        elif role == "assistant":
            last = place == len(messages) - 1
            written.append({"role": "assistant", "content": _spoken(message, last=last)})
        else:
            written.append({"role": "user", "content": content if isinstance(content, str) else _parts(content)})
    return written


def _spoken(message: Mapping[str, Any], *, last: bool) -> Any:
    content, calls = message.get("content"), message.get("tool_calls") or ()
    if isinstance(content, str) and not calls:
        return content.rstrip() if last else content  # a prefill that ends in a blank is refused
    uses = [
        {"type": "tool_use", "id": call["id"], "name": call["function"]["name"], "input": arguments_of(call)}
        for call in calls
    ]
    return [*_parts(content), *uses]


def _result(content: Any) -> Any:
    return content if isinstance(content, str) else _parts(content)


def _parts(content: Any) -> list[Any]:
    return [_image(part) if part.get("type") == "image_url" else dict(part) for part in parts_of(content)]


def _image(part: Mapping[str, Any]) -> dict[str, Any]:
    url = image_url(part)
    inline = data_url(url)
    if inline is None:
        return {"type": "image", "source": {"type": "url", "url": url}}
    return {"type": "image", "source": {"type": "base64", "media_type": inline[0], "data": inline[1]}}


def _tools(params: Params) -> dict[str, Any]:
    functions, own = functions_of(params.take("tools"))
    choice, parallel = params.take("tool_choice"), params.take("parallel_tool_calls")
    if not functions and not own:
        return {}
    tools = [
        {
            "name": function["name"],
            **({"description": function["description"]} if function.get("description") else {}),
            "input_schema": function.get("parameters") or {"type": "object", "properties": {}},
        }
        for function in functions
    ]
    if choice is None and parallel is None:
        return {"tools": [*tools, *own]}
    words = {"auto": "auto", "required": "any", "none": "none"}
    if isinstance(choice, Mapping):
        own_words = "function" not in choice
        chosen: dict[str, Any] = dict(choice) if own_words else {"type": "tool", "name": chosen_tool(choice)}
    elif (choice or "auto") in words:
        chosen = {"type": words[choice or "auto"]}
    else:
        raise ValueError(f"tool_choice: expected auto, required, none or a function, not {choice!r}")
    if parallel is False:
        chosen["disable_parallel_tool_use"] = True
    return {"tools": [*tools, *own], "tool_choice": chosen}


def _think(body: dict[str, Any], effort: str | None, model: str, limit: int | None) -> None:
    """How much the model may think: an effort where it knows efforts, else a budget of tokens."""
    if effort is None:
        return
    if effort == "none":
        body["thinking"] = {"type": "disabled"}
    elif (_version(model) or _THINKING) >= _ADAPTIVE:
        body["thinking"] = {"type": "adaptive"}
        body.setdefault("output_config", {})["effort"] = "low" if effort == "minimal" else effort
    else:
        budget = _BUDGETS.get("low" if effort == "minimal" else effort)
        if budget is None:
            raise ValueError(f"reasoning_effort: expected none, minimal, {', '.join(_BUDGETS)}, not {effort!r}")
        body["thinking"] = {"type": "enabled", "budget_tokens": budget}
        body["max_tokens"] = budget + (limit or _MAX_TOKENS)  # the answer keeps its room: thinking counts as well


def _version(model: str) -> tuple[int, int] | None:
    """Major and minor version of a Claude; None for a name that does not tell.

    >>> _version("claude-sonnet-4-5-20250929"), _version("claude-3-7-sonnet-latest"), _version("claude-opus-4-20250514")
    ((4, 5), (3, 7), (4, 0))
    """
    found = _VERSION.search(model)
    return (int(found[1]), int(found[2] or 0)) if found else None
