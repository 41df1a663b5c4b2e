"""Where a provider's key comes from: it stands still, or a command prints it and it expires.

A connector asks for the key before each request and reports what became of it. It never looks at the clock itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import signal
import time
from asyncio.subprocess import DEVNULL, PIPE, Process
from collections.abc import Callable
from typing import Protocol

from routerlab.core.failures import Fault, ProviderError
from routerlab.mixins.http_privacy import is_sendable

__all__ = ["CommandKey", "FixedKey", "Key", "KeySource", "about_refusal"]

_COMMAND_S = 30.0  # a command that asks for something waits for ever: nobody can answer
_GROUP = 0 if os.name == "posix" else None  # a group of its own: what the command has started ends with it


class Key:
    """One key, as it is sent; shows nothing of it.

    Args:
        value: what is sent; empty: no key.
    """

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value


class KeySource(Protocol):
    """Gives the key for a request."""

    @property
    def origin(self) -> str:
        """Where the user finds it, in words; empty: nowhere."""

    async def get(self) -> Key:
        """The key to use now.

        Raises:
            ProviderError: there is none that could be sent.
        """

    def accepted(self, key: Key) -> None:
        """The provider took this key."""

    def refused(self, key: Key) -> bool:
        """The provider refused this key; whether another try would come with a fresh one."""

    async def close(self) -> None:
        """Stop what is under way."""


class FixedKey:
    """A key that stays the same.

    Args:
        value: empty: no key.
        origin: in words, such as ``the environment variable OPENAI_API_KEY``; empty: nowhere.
    """

    def __init__(self, value: str, origin: str = "api_key") -> None:
        self.origin = origin
        self._key = Key(value)

    async def get(self) -> Key:
        """The key; see `KeySource.get`."""
        if not is_sendable(self._key.value):
            message = "the key must be one line of ASCII text (was it read with its line break?)"
            raise ProviderError(message, fault=Fault.LOCAL, sent=False)
        return self._key

    def accepted(self, key: Key) -> None:
        """Nothing to learn from."""

    def refused(self, key: Key) -> bool:
        """No other one can be had."""
        return False

    async def close(self) -> None:
        """Nothing is under way."""


class CommandKey:
    """A key that a command prints. It is run when the key is needed first, and when it is too old or was refused.

    It runs without a shell, in the background of the event loop, once for all requests that wait for it. Its errors
    are not shown, because they may hold the key.

    Args:
        command: its words as in a shell; ``~`` is the home folder.
        refresh_s: seconds for which a key is used; None: until it is refused.
        learn: called with every key that was printed, for those who must not show it.
        timeout_s: seconds that the command may take.
        clock: monotonic seconds.

    Raises:
        ValueError: there is no command, or a quote is not closed.
    """

    def __init__(
        self,
        command: str,
        refresh_s: float | None = None,
        *,
        learn: Callable[[str], None] = lambda key: None,
        timeout_s: float = _COMMAND_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._words = [os.path.expanduser(word) for word in shlex.split(command)]
        if not self._words:
            raise ValueError("there is no command")
        self.origin = f"the command {self._words[0]!r}"
        self._refresh_s, self._learn, self._timeout_s, self._clock = refresh_s, learn, timeout_s, clock
        self._key: Key | None = None
        self._fetched_at = 0.0
        self._refusals = 0  # keys that were refused one after the other
        self._fetching: asyncio.Task[Key | ProviderError] | None = None

    def __repr__(self) -> str:
        return f"CommandKey({self._words[0]!r})"

    async def get(self) -> Key:
        """The key, printed anew where that is due; see `KeySource.get`."""
        if self._key is not None and (self._refresh_s is None or self._clock() < self._fetched_at + self._refresh_s):
            return self._key
        task, loop = self._fetching, asyncio.get_running_loop()
        if task is None or task.done() or task.get_loop() is not loop:
            task = self._fetching = loop.create_task(self._fetch())
        found = await asyncio.shield(task)  # one request may give up, the others still wait
        if isinstance(found, Key):
            return found
        raise ProviderError(found.message, fault=found.fault, sent=False)  # each its own: errors collect frames

    def accepted(self, key: Key) -> None:
        """A key that worked may be had anew once it stops to work."""
        if key is self._key:
            self._refusals = 0

    def refused(self, key: Key) -> bool:
        """Forget this key. A fresh one is worth a try, but not where that was refused as well."""
        if key is self._key:
            self._key = None
            self._refusals += 1
        return self._refusals <= 1

    async def close(self) -> None:
        """End the command, if it runs in this event loop."""
        task = self._fetching
        if task is not None and not task.done() and task.get_loop() is asyncio.get_running_loop():
            task.cancel()
            await asyncio.wait([task])

    async def _fetch(self) -> Key | ProviderError:
        """Run the command; the failure is returned, so that no frame which holds the output hangs on it."""
        started_at = self._clock()
        output = await self._output()
        if isinstance(output, bytes):
            text = output.decode("ascii", "replace").strip()
            if text and is_sendable(text):
                self._learn(text)
                self._key, self._fetched_at = Key(text), started_at
                return self._key
            output = "did not print one line of ASCII text" if text else "printed nothing"
        return ProviderError(f"no key: {self.origin} {output}", fault=Fault.NO_KEY, sent=False)

    async def _output(self) -> bytes | str:
        """What the command printed, or in words why there is nothing."""
        try:
            process = await asyncio.create_subprocess_exec(
                *self._words, stdin=DEVNULL, stdout=PIPE, stderr=DEVNULL, process_group=_GROUP
            )
        except OSError as error:
            return f"cannot be started: {error.strerror or type(error).__name__}"
        try:
            async with asyncio.timeout(self._timeout_s):
                output, _ = await process.communicate()
        except TimeoutError:
            return f"did not end within {self._timeout_s:g} s (can it run without asking anything?)"
        finally:
            if process.returncode is None:
                await _kill(process)
        if process.returncode:
            return f"ended with exit code {process.returncode}: run it in a terminal to see why"
        return output


async def _kill(process: Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        if _GROUP is None:
            process.kill()
        else:
            os.killpg(process.pid, signal.SIGKILL)
    await process.wait()


def about_refusal(origin: str, status: int | None, message: str) -> str:
    """What to say of a key that was refused, with the place to look at.

    Args:
        origin: of the key.
        status: HTTP status; None: the body said so.
        message: the provider's words.
    """
    told = f" ({status})" if status else ""
    if not origin:
        return f"the provider wants a key{told}: {message}; set api_key"
    return f"the provider refused the key{told}: {message}; check {origin}"
