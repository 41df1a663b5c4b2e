"""What becomes of an item after a call, and in which words."""

from __future__ import annotations

import pytest

from routerlab.core.errors import ProviderUnavailableError
from routerlab.core.failures import Fault, ProviderError
from routerlab.experiments.fates import Kind, fate_of
from routerlab.session.results import CallResult, CallSpec


@pytest.mark.parametrize(
    ("cause", "why"),
    [
        (ProviderError("SECRET", status=503), "not answering (503)"),
        (ProviderError("SECRET", fault=Fault.BROKEN, status=200), "not answering (the connection broke)"),
        (ProviderError("SECRET", fault=Fault.CONNECT, sent=False), "not answering (no connection)"),
        (ProviderError("SECRET", fault=Fault.CONNECT), "not answering (closed before it answered)"),
        (ProviderError("SECRET", fault=Fault.TIMEOUT, clock="request"), "not answering (too slow)"),
        (ProviderError("SECRET", code="overloaded"), "not answering"),
        (None, "not answering"),
    ],
)
def test_a_model_that_does_not_answer_is_told_with_the_kind_of_failure(cause: Exception | None, why: str) -> None:
    error = ProviderUnavailableError("SECRET")
    error.__cause__ = cause
    fate = fate_of(CallResult("c", CallSpec(), error=error))
    assert (fate.kind, fate.why) == (Kind.STRUCK, why)
