"""What goes into a `Route` (events) and what comes out (actions): frozen, and back and forth to plain dicts."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Literal

from routerlab.core.errors import RequestError
from routerlab.core.failures import Fault, Outcome, ProviderError
from routerlab.core.record import record

__all__ = [
    "Action",
    "Attempt",
    "Cancelled",
    "Clocks",
    "Committed",
    "Event",
    "Failed",
    "Finish",
    "Proceed",
    "Refused",
    "Succeeded",
    "Wait",
    "Waited",
    "from_dict",
    "to_dict",
]


# -- events ------------------------------------------------------------------------------------------------------------


@record
class Committed:
    """The first content of a stream has arrived: from now on the caller may have seen something."""


@record
class Succeeded:
    """The attempt has ended well."""


@record
class Failed:
    """The attempt has failed; `resumable`: another one can carry on from the text that was shown so far."""

    error: ProviderError
    resumable: bool = False


@record
class Refused:
    """The breaker had no permit after all; nothing was sent."""


@record
class Waited:
    """The wait that was asked for is over."""


@record
class Cancelled:
    """The caller has given up."""


# -- actions -----------------------------------------------------------------------------------------------------------


@record
class Clocks:
    """The limits of one attempt in seconds; None: no limit. `deadline_s` is what is left for the whole request."""

    connect_s: float | None = None
    request_s: float | None = None
    first_token_s: float | None = None
    idle_s: float | None = None
    total_s: float | None = None
    deadline_s: float | None = None
    takeover_s: float | None = None

    @property
    def lease_s(self) -> float | None:
        """The longest that an attempt under these limits can last, and a second: the life of its permit."""
        longest = self.total_s if self.request_s is None else self.request_s
        left = self.deadline_s
        limit = longest if left is None else left if longest is None else min(longest, left)
        return None if limit is None else limit + (self.connect_s or 0.0) + 1.0


@record
class Attempt:
    """Send the request to this model.

    Attributes:
        model: ``provider/model``.
        clocks: the limits that the driver keeps.
        mode: ``fresh``; ``restart`` where what was shown so far is to be replaced; ``continue`` where it is to be
            carried on.
        reason: ``selected``, ``probe``, ``retry``, ``failover`` or ``cooled`` (after waiting for a cooling model).
        prefill: carry on by prefill, else by instruction.
    """

    model: str
    clocks: Clocks
    mode: Literal["fresh", "restart", "continue"] = "fresh"
    reason: str = "selected"
    prefill: bool = False


@record
class Wait:
    """Come back with `Waited` after so many seconds."""

    seconds: float


@record
class Proceed:
    """Nothing to do: the attempt goes on."""


@record
class Finish:
    """The request has ended; `error` is what the caller sees, None for a success or a cancellation."""

    outcome: Outcome
    model: str | None = None
    error: RequestError | None = None


Event = Committed | Succeeded | Failed | Refused | Waited | Cancelled
Action = Attempt | Wait | Proceed | Finish

_KINDS: dict[str, type[Any]] = {
    kind.__name__.lower(): kind
    for kind in (Committed, Succeeded, Failed, Refused, Waited, Cancelled, Attempt, Wait, Proceed, Finish)
}
_PROVIDER_ERROR = ("message", "fault", "status", "code", "retry_after_s", "sent", "clock")


def to_dict(move: Event | Action) -> dict[str, Any]:
    """An event or action as plain data, ready for JSON; ``kind`` names it.

    >>> to_dict(Wait(0.5))
    {'kind': 'wait', 'seconds': 0.5}
    """
    return {"kind": type(move).__name__.lower()} | {
        field.name: _plain(getattr(move, field.name)) for field in fields(move)
    }


def from_dict(data: Mapping[str, Any]) -> Event | Action:
    """The event or action that `to_dict` made the dict of.

    Raises:
        ValueError: ``kind`` names none.
    """
    values = dict(data)
    kind = _KINDS.get(values.pop("kind", ""))
    if kind is None:
        raise ValueError(f"{data.get('kind')!r} is no event or action: expected one of {', '.join(sorted(_KINDS))}")
    if kind is Failed:
        error = values["error"]
        return Failed(ProviderError(**{**error, "fault": Fault(error["fault"])}), values.get("resumable", False))
    if kind is Attempt:
        values["clocks"] = Clocks(**values["clocks"])
    if kind is Finish:
        values |= {"outcome": Outcome(values["outcome"]), "error": _rebuilt(values["error"])}
    move: Event | Action = kind(**values)
    return move


def _plain(value: Any) -> Any:
    if isinstance(value, (Fault, Outcome)):
        return value.value
    if isinstance(value, Clocks):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    if isinstance(value, ProviderError):
        return {name: _plain(getattr(value, name)) for name in _PROVIDER_ERROR}
    if isinstance(value, RequestError):
        return {"type": type(value).__name__, "message": str(value), "model": value.model, "status": value.status}
    return value


def _rebuilt(data: Mapping[str, Any] | None) -> RequestError | None:
    """The error that a caller saw, as far as its record tells: its class is kept where it takes a plain message."""
    if data is None:
        return None
    from routerlab.core import errors

    kind = getattr(errors, data["type"], RequestError)
    if kind is errors.RequestTimeoutError:
        return kind(0.0, message=data["message"], model=data["model"], status=data["status"])
    error: RequestError = kind(data["message"], model=data["model"], status=data["status"])
    return error
