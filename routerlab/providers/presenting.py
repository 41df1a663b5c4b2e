"""A provider's failure, made fit to be shown: redacted, capped, without the frames that it came through."""

from __future__ import annotations

import asyncio

from routerlab.core.failures import Ejection, ProviderError, classify
from routerlab.core.redact import Redactor
from routerlab.providers.keys import Key, KeySource, about_refusal
from routerlab.providers.transport import bare_cause

__all__ = ["MESSAGE_CHARS", "presentable", "redacted"]

MESSAGE_CHARS = 500
"""A provider's words are cut here."""

_CODE_CHARS = 100


def presentable(
    error: ProviderError | asyncio.CancelledError, key: Key | None, source: KeySource, redactor: Redactor
) -> ProviderError | asyncio.CancelledError:
    """The same failure, to be raised in its place; the key's source hears what it says of the key.

    Args:
        error: as it came.
        key: that was sent; None: there was none yet.
        source: of the key.
        redactor: knows what must not be shown.
    """
    if isinstance(error, asyncio.CancelledError):
        return asyncio.CancelledError(*error.args)
    message = redactor.excerpt(error.message, MESSAGE_CHARS)
    refreshable = False
    if key is not None and classify(error).ejects is Ejection.PROVIDER:
        message = about_refusal(source.origin, error.status, message)
        refreshable = source.refused(key)
    elif key is not None and error.status is not None and error.status < 500:
        source.accepted(key)  # whoever looks at the request has let the key pass
    return redacted(error, redactor, cause=error.__cause__, message=message, refreshable=refreshable)


def redacted(
    error: ProviderError, redactor: Redactor, *, cause: BaseException | None, message: str, refreshable: bool
) -> ProviderError:
    """A failure like this one that shows nothing secret and hangs on no frame.

    Args:
        error: as it came.
        redactor: knows what must not be shown.
        cause: what it came of; only its words are kept.
        message: fit to be shown already.
        refreshable: whether another try would come with a fresh key.
    """
    shown = ProviderError(
        message,
        fault=error.fault,
        status=error.status,
        code=redactor.excerpt(error.code, _CODE_CHARS),
        retry_after_s=error.retry_after_s,
        sent=error.sent,
        clock=error.clock,
        limits=error.limits,
        refreshable=refreshable,
    )
    shown.__cause__ = bare_cause(cause, redactor)
    return shown
