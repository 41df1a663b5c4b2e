"""What is wrong with a request or an answer, before a provider has put it in its own words.

OpenAI's shape is the source: the faults of `routerlab.core` speak it, and each dialect translates them from here.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from routerlab.core.record import record
from routerlab.core.simulated_errors import ERRORS

__all__ = ["Problem", "in_answer", "name_of", "read_problem"]


@record
class Problem:
    """What is wrong.

    Args:
        status: of HTTP.
        message: for people.
        kind: the provider's own word for this sort of error; None: the usual one for the status.
        code: the provider's own word for this error; None: it has none.
        param: the parameter that is wrong; None: it is none of them.
    """

    status: int
    message: str
    kind: str | None = None
    code: str | None = None
    param: str | None = None


_OPENAI_KEYS = {"message", "type", "param", "code"}
_NAMES = {id(body): name for name, (_, body) in ERRORS.items()}


def _statuses() -> dict[str, int]:
    found = {name: status for name, (status, _) in ERRORS.items()}
    for status, body in ERRORS.values():
        error = body.get("error") if isinstance(body, Mapping) else None
        code = error.get("code") if isinstance(error, Mapping) else None
        if isinstance(code, str):
            found.setdefault(code, status)
    return found


_STATUSES = _statuses()


def name_of(body: Any) -> str | None:
    """Which of the named errors a body is; None: none of them."""
    return _NAMES.get(id(body))


def read_problem(body: Any, status: int) -> Problem | None:
    """Read an error in OpenAI's shape; None: it has another shape.

    Args:
        body: of an answer, or of an event in a stream.
        status: that it came with; below 400 the error's own code says which one it would have been.
    """
    error = body.get("error") if isinstance(body, Mapping) else None
    if not isinstance(error, Mapping) or set(error) != _OPENAI_KEYS:
        return None
    code = error["code"]
    if status < 400:
        status = code if isinstance(code, int) else _STATUSES.get(str(code or error["type"]), 500)
    return Problem(status, str(error["message"]), None, None if code is None else str(code), error["param"])


def in_answer(body: Any) -> Problem:
    """The error that an answer ends with, in whatever shape it has."""
    return read_problem(body, 200) or Problem(500, "Internal server error")
