"""Which error a request ends with: the fault table's last column, and who can help."""

from __future__ import annotations

from collections.abc import Sequence

from routerlab.core import errors
from routerlab.core.decisions import Decision, unfit
from routerlab.core.failures import ProviderError, Verdict
from routerlab.core.record import record
from routerlab.core.strategies import Request
from routerlab.core.types import ModelSnapshot

__all__ = ["Try", "error_of_last", "exhausted", "free_in", "interrupted", "models_of", "none_available", "timed_out"]


@record
class Try:
    """One failed try, kept for the final error."""

    model: str
    error: ProviderError
    verdict: Verdict


def exhausted(tries: Sequence[Try], retry_after_s: float | None) -> errors.RequestError:
    """The table's error where one model was tried, else all of them in one.

    Args:
        tries: those of the request, at least one.
        retry_after_s: until a model may be tried again, where the provider itself did not say.
    """
    last, models = tries[-1], models_of(tries)
    if len(models) == 1:
        error = error_of_last(tries)
    else:
        each = [[t for t in tries if t.model == model][-1] for model in models]
        message = f"all {len(models)} models that could be tried failed: {_story(each)}"
        error = errors.FailoverExhaustedError(message, model=last.model, status=last.error.status)
        error.__cause__ = last.error
    if error.retry_after_s is None:
        error.retry_after_s = retry_after_s or None
    return error


def error_of_last(tries: Sequence[Try]) -> errors.RequestError:
    """The table's error for the last try."""
    last = tries[-1]
    kind = last.verdict.error or errors.ProviderUnavailableError
    error = kind(_story([last]), model=last.model, status=last.error.status, retry_after_s=last.error.retry_after_s)
    error.__cause__ = last.error
    return error


def interrupted(last: Try) -> errors.StreamInterruptedError:
    """The error of a stream that broke after its first text, where the caller wants to hear of it."""
    message = f"the stream of {last.model} broke after its first text: {last.error.message}"
    error = errors.StreamInterruptedError(message, model=last.model, status=last.error.status)
    error.__cause__ = last.error
    return error


def timed_out(limit_s: float, model: str, tries: Sequence[Try]) -> errors.RequestTimeoutError:
    """The error of a request whose own limit ran out."""
    story = f" (so far: {_story(tries)})" if tries else ""
    message = f"the request's own limit of {limit_s:g} s ran out{story}"
    error = errors.RequestTimeoutError(limit_s, "deadline", message, model=model)
    error.__cause__ = tries[-1].error if tries else None
    return error


def none_available(
    pool: str, request: Request, snapshots: Sequence[ModelSnapshot], decision: Decision, retry_after_s: float | None
) -> errors.NoModelAvailableError:
    """The error of a request that no model can take now, or that none will ever take."""
    reasons = "; ".join(f"{c.model}: {c.excluded_because}" for c in decision.candidates) or "the pool has no models"
    alone = [candidate.model for candidate in decision.candidates] == [pool]  # the caller chose the model
    nobody_can = f"model {pool!r} cannot" if alone else f"no model of pool {pool!r} can"
    if snapshots and all(unfit(request, snapshot) for snapshot in snapshots):
        needed = f" (it needs {', '.join(sorted(request.needs.features))})" if request.needs.features else ""
        message = f"{nobody_can} serve this request{needed}: {reasons}"
    else:
        message = f"{nobody_can} take this request now ({reasons})"
    return errors.NoModelAvailableError(message, retry_after_s=retry_after_s)


def free_in(request: Request, snapshots: Sequence[ModelSnapshot], now: float) -> float | None:
    """Seconds until the first model that fits may be tried; None where only the user can help."""
    waits = [_seconds_until_free(snapshot, now) for snapshot in snapshots if not unfit(request, snapshot)]
    return min((wait for wait in waits if wait is not None), default=None)


def _seconds_until_free(snapshot: ModelSnapshot, now: float) -> float | None:
    if snapshot.out_because and snapshot.out_until is None:
        return None
    return max(snapshot.seconds_to_probe, snapshot.cooling_until - now, (snapshot.out_until or 0.0) - now, 0.0)


def models_of(tries: Sequence[Try]) -> list[str]:
    """The models that were tried, in their order."""
    return list(dict.fromkeys(failed.model for failed in tries))


def _story(tries: Sequence[Try]) -> str:
    return "; ".join(f"{failed.model}: {failed.error.message}" for failed in tries)
