"""What a chat or an embedding call gives back.

What draws is imported when something is drawn: the first reply of a process does not wait for it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from routerlab.core.types import CompletionResponse, EmbeddingResponse, TokenUsage
from routerlab.session.results import CallResult
from routerlab.views.words import count, marks, money, seconds

if TYPE_CHECKING:
    import pandas as pd

    from routerlab.views.trace import Trace

__all__ = ["EmbeddingReply", "Reply"]

_SHOWN = 60  # characters of a text in a repr


class _Answer:
    """What both kinds of replies say of their call."""

    def __init__(self, result: CallResult) -> None:
        self._result = result
        self._row = result.row

    @property
    def model(self) -> str:
        """``provider/model`` that answered."""
        return str(self._row.get("model") or "")

    @property
    def served_model(self) -> str | None:
        """The model's name in the answer, as the provider gave it."""
        return self._row.get("served_model")

    @property
    def usage(self) -> TokenUsage | None:
        """Tokens as the provider counted them; None where it did not say."""
        return getattr(self._result.response, "usage", None)

    @property
    def cost_usd(self) -> float | None:
        """USD; None where the price is unknown, never 0 for that."""
        return self._row.get("cost_usd")

    @property
    def latency_s(self) -> float | None:
        """Seconds from the start of the call to its end, all attempts and waits included."""
        return self._row.get("latency_s")

    @property
    def call_id(self) -> str:
        """The call's name in every record."""
        return self._result.call_id

    @cached_property
    def trace(self) -> Trace:
        """What the call went through: attempts, breakers, decisions."""
        from routerlab.views.trace import Trace

        return Trace.of(self._result)

    @property
    def raw(self) -> Any:
        """The provider's own body; None for a stream."""
        return getattr(self._result.response, "raw", None)

    def _writers(self) -> str:
        """Who wrote it; several where a stream was carried on."""
        return ", then ".join(dict.fromkeys(model for model, _ in self._result.parts)) or self.model or ""

    def _footer(self) -> str:
        usage = self.usage
        tokens = "" if usage is None or usage.total_tokens is None else f"{usage.total_tokens:,} tokens"
        moved = count(self.trace.failovers, "failover") if self.trace.failovers else ""
        parts = (self._writers(), seconds(self.latency_s), tokens, money(self.cost_usd), moved, *marks(self._row))
        return " · ".join(part for part in parts if part)

    def _box(self, content: str) -> str:
        from routerlab.views.markup import page_part
        from routerlab.views.svg import escape_text

        footer = f'<div style="color:var(--rl-muted);font-size:12px;margin-top:6px">{escape_text(self._footer())}</div>'
        return page_part(content + footer)


class Reply(_Answer):
    """A chat's reply; ``str(reply)`` is its text.

    Args:
        result: a finished call that has a response.
    """

    def __init__(self, result: CallResult) -> None:
        if not isinstance(result.response, CompletionResponse):
            raise TypeError(f"call {result.call_id} has no chat response")
        super().__init__(result)
        self._response = result.response

    @property
    def text(self) -> str:
        """The text of the answer, without reasoning."""
        return self._response.text

    @property
    def reasoning(self) -> str:
        """What the model showed of its reasoning; empty where it showed none."""
        return self._response.reasoning

    @property
    def tool_calls(self) -> list[dict[str, Any]]:
        """The tools that the model wants called, in OpenAI's shape whatever the provider."""
        return [dict(call) for call in self._response.tool_calls]

    @property
    def message(self) -> dict[str, Any]:
        """The answer as a message that can be put into the next request."""
        message: dict[str, Any] = {"role": "assistant", "content": self.text or None}
        return message | {"tool_calls": self.tool_calls} if self.tool_calls else message | {"content": self.text}

    @property
    def finish_reason(self) -> str | None:
        """``stop``, ``length``, ``tool_calls`` or ``content_filter``."""
        return self._response.finish_reason

    @property
    def ttft_s(self) -> float | None:
        """Seconds to the first token of a stream; None for an answer in one piece."""
        return self._row.get("ttft_s")

    @property
    def parts(self) -> list[tuple[str, str]]:
        """Who wrote what of the text: ``(model, text)``."""
        return list(self._result.parts)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"<Reply {_short(self.text)} from {self._footer()}>"

    def _repr_html_(self) -> str:
        from routerlab.views.svg import escape_text

        tools = "".join(f"<div><code>{escape_text(_tool(call))}</code></div>" for call in self.tool_calls)
        cut = "" if self.finish_reason in {None, "stop", "tool_calls"} else f"<div>[{escape_text(self._ended())}]</div>"
        *begun, last = self._written()
        text = "".join(_part(*one, seam=True) for one in begun) + _part(*last, seam=False)
        return self._box(f'<div style="white-space:pre-wrap">{text}</div>{tools}{cut}')

    def _written(self) -> list[tuple[str, str]]:
        """The text by its writers; one of them where the parts do not say it all."""
        parts = self.parts
        return parts if "".join(words for _, words in parts) == self.text else [(self.model or "", self.text)]

    def _ended(self) -> str:
        return "cut at the length limit" if self.finish_reason == "length" else f"ended by {self.finish_reason}"


def _part(model: str, words: str, *, seam: bool) -> str:
    """What one model wrote, with its name for who rests there; a bar shows where another one carried it on."""
    from routerlab.views.svg import escape_text

    style = ' style="border-right:2px solid var(--rl-muted);padding-right:1px"' if seam else ""
    return f'<span title="{escape_text(model)}"{style}>{escape_text(words)}</span>'


def _tool(call: dict[str, Any]) -> str:
    function = call.get("function") or {}
    return f"{function.get('name', '?')}({function.get('arguments', '')})"


def _short(text: str) -> str:
    quoted = json.dumps(text[: _SHOWN + 1], ensure_ascii=False)
    return quoted if len(text) <= _SHOWN else f'{quoted[: _SHOWN + 1]}…"'


class EmbeddingReply(_Answer, Sequence[tuple[float, ...]]):
    """Vectors, one for each input, in their order; a sequence that numpy reads as a matrix.

    Args:
        result: a finished call that has an embedding response.
    """

    def __init__(self, result: CallResult) -> None:
        if not isinstance(result.response, EmbeddingResponse):
            raise TypeError(f"call {result.call_id} has no embedding response")
        super().__init__(result)
        self.vectors: list[tuple[float, ...]] = [tuple(vector) for vector in result.response.vectors]

    @property
    def dimensions(self) -> int:
        """Length of each vector; 0 where there is none."""
        return len(self.vectors[0]) if self.vectors else 0

    @property
    def df(self) -> pd.DataFrame:
        """One row per input, one float column per dimension."""
        import pandas as pd

        return pd.DataFrame(self.vectors, columns=range(self.dimensions), dtype="float64")

    def __len__(self) -> int:
        return len(self.vectors)

    def __getitem__(self, index: Any) -> Any:
        return self.vectors[index]

    def __iter__(self) -> Iterator[tuple[float, ...]]:
        return iter(self.vectors)

    def __repr__(self) -> str:
        return f"<EmbeddingReply {count(len(self), 'vector')} of {self.dimensions} from {self._footer()}>"

    def _repr_html_(self) -> str:
        size = f"{count(len(self), 'vector')} of {self.dimensions} dimensions"
        return self._box(f"<div>{size}</div>")
