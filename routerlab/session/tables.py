"""The tables of records, as data: names, columns in their order, units, keys.

The names are promised: frames, the SQLite store and exports all take them from here. Units are in the names; a time
(``…_at``) is wall-clock seconds since 1970, which frames turn into UTC datetimes. A missing value is None everywhere.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

__all__ = ["TABLES", "Column", "ColumnType", "Row", "Table"]

ColumnType = Literal["id", "name", "text", "json", "int", "small", "float", "time", "bool"]
"""``id``: a string that hardly repeats; ``name``: one of few strings; ``text``: free text, redacted before it is kept;
``json``: any JSON value, redacted too; ``time``: seconds since 1970; ``int``: 64 bits with a sign; ``small``: 32 bits.
"""


Row = tuple[str, tuple[Any, ...]]
"""A table's name and the values of its columns, in their order."""


@dataclass(frozen=True, slots=True)
class Column:
    """One column: its name, how its values are kept, and what they mean (with the unit, where the name lacks it)."""

    name: str
    type: ColumnType
    meaning: str


@dataclass(frozen=True, slots=True)
class Table:
    """One table.

    Attributes:
        name: as in frames and in the store.
        columns: in the order of the frames.
        key: the columns that name a row; empty: nothing does.
        replaces: whether a later row with the same key takes the place of the earlier one.
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    replaces: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names, in order."""
        return tuple(column.name for column in self.columns)

    def places(self, *types: ColumnType) -> tuple[int, ...]:
        """Where the columns of these types stand, from 0."""
        return tuple(place for place, column in enumerate(self.columns) if column.type in types)


def _table(name: str, columns: str, key: str = "", *, replaces: bool = False) -> Table:
    """Read lines of ``name type meaning``."""
    parts = [line.split(None, 2) for line in columns.strip().splitlines()]
    made = tuple(Column(column, kind, meaning) for column, kind, meaning in parts)  # type: ignore[arg-type]
    return Table(name, made, tuple(key.split()), replaces)


_CALLS = """
call_id           id     names the request in every table
run_id            name   the run that it belongs to; None outside one
item_id           id     the dataset's item
repeat            small  which repetition of the item, from 0
variant           name   the arm of a run: model, pool or variant
purpose           name   what it was for: chat, replay, judge, traffic, …
pool              name   the pool that routed it
capability        name   full dotted name
requested_model   name   the model that was pinned; None where the pool chose
model             name   provider/model that answered
provider          name   its provider
served_model      name   the model's name in the answer
streamed          bool   whether it was asked for piece by piece
outcome           name   ok, truncated, retryable, move_on, client_error, cancelled or rejected
error_type        name   class of the error that the caller saw
finish_reason     name   stop, length, tool_calls or content_filter
prompt_tokens     int    input tokens, cached ones included
completion_tokens int    output tokens, reasoning included
cached_tokens     int    the part of the prompt that the provider had cached
reasoning_tokens  int    the part of the completion that was reasoning
cost_usd          float  US dollars; None where the price or the usage is unknown
cached            bool   whether our own cache answered
attempts          small  requests sent for it
failovers         small  changes of model
scheduled_at      time   when it was due
started_at        time   when work on it began
first_token_at    time   first text, tool call or reasoning of a stream
ended_at          time   when the caller had it
queue_s           float  seconds between due and begun
ttft_s            float  seconds from the start to the first token
latency_s         float  seconds from the start to the end
backoff_s         float  seconds of it spent waiting before retries
truncated         bool   whether the answer was cut at its length limit
dropped_params    json   names of the parameters that the model does not take and that were left out
injected          bool   whether a fault was injected into it
simulated         bool   whether a simulated model answered
"""

_ATTEMPTS = """
call_id           id     the request
run_id            name   the run that it belongs to; None outside one
attempt           small  number within the call, from 1
model             name   provider/model that it was sent to
provider          name   its provider
reason            name   why this model now: selected, probe, retry, failover, restart or cooled
started_at        time   when it was sent
ended_at          time   when it ended
latency_s         float  seconds from sent to ended
ttft_s            float  seconds to the first token of a stream
outcome           name   ok, truncated, retryable, move_on, client_error, cancelled or rejected
status            small  HTTP status, where there was one
error_type        name   class of the failure
error_message     text   the provider's words, redacted and capped
retry_after_s     float  seconds that the provider asked to wait
wait_before_s     float  seconds waited before it was sent
breaker_before    name   state of the model's breaker when it was sent
breaker_after     name   state of the model's breaker when it had ended
score_before      float  the model's score when it was sent, 0 to 1
score_after       float  the model's score when it had ended, 0 to 1
committed         bool   whether content had arrived
prompt_tokens     int    input tokens
completion_tokens int    output tokens
cost_usd          float  US dollars; None where unknown
chars             int    characters of text received
maybe_billed      bool   whether a failed request may have been billed
malformed_events  small  events of the stream that were skipped
"""

_EVENTS = """
at                time   when it happened
kind              name   breaker, out, back, cooling, fault_injected, fault_cleared
model             name   provider/model that it concerns
provider          name   provider that it concerns
old               name   state before
new               name   state after
cause             text   why
call_id           id     the request that brought it about
"""

_DECISIONS = """
call_id           id     the request
step              small  number of the decision within the call, from 0
chosen            name   provider/model; None where no model could serve
probability       float  of this choice under the strategy
strategy          name   who chose; probe or pinned where no strategy was asked
seed              int    of the lab; the generator is made of it, the call and the step
"""

_CANDIDATES = """
call_id           id     the request
step              small  the decision
model             name   provider/model
score             float  what the strategy gave it; higher is better
eligible          bool   whether it could be chosen
excluded_because  text   why not
"""

_TEXTS = """
call_id           id     the request
attempt           small  number within the call; None: the final request and reply
request           json   messages or inputs, and parameters
reply             text   the text received
"""

_RUNS = """
run_id            name   names the run in every table
name              name   as the user called it
kind              name   replay, compare, …
dataset_hash      id     of the items' content
params_hash       id     of the parameters
params            json   the parameters
status            name   running, done, stopped, failed, or interrupted: its process ended without a word
created_at        time   when it was first started
version           name   of routerlab
notes             json   what one should know beside its results, in words
"""

_ITEMS = """
run_id            name   the run
item_id           id     the dataset's item
prompt            json   text or messages
target            json   what is expected
metadata          json   the item's other fields
"""

_SCORES = """
run_id            name   the run
item_id           id     the dataset's item
repeat            small  which repetition, from 0
variant           name   the arm of the run
scorer            name   who scored
value             float  the score
error             text   why there is no score
reason            text   why this score, in a judge's words
"""

TABLES: dict[str, Table] = {
    table.name: table
    for table in (
        _table("calls", _CALLS, "call_id"),
        _table("attempts", _ATTEMPTS, "call_id attempt"),
        _table("events", _EVENTS),
        _table("decisions", _DECISIONS, "call_id step"),
        _table("candidates", _CANDIDATES, "call_id step model"),
        _table("texts", _TEXTS, "call_id attempt"),
        _table("runs", _RUNS, "run_id", replaces=True),
        _table("items", _ITEMS, "run_id item_id", replaces=True),
        _table("scores", _SCORES, "run_id item_id repeat variant scorer", replaces=True),
    )
}
"""Every table by its name."""
