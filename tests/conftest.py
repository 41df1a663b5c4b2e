"""Labs that close themselves, and a check that a test leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from routerlab.lab import Lab

# A busy machine holds up one example in many, and proves nothing by that. The examples stay the same, so that a change
# is judged by what it changes; `pytest --hypothesis-profile=search` draws new ones.
_anywhere = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.register_profile("search", _anywhere, derandomize=False)
settings.register_profile("same examples", _anywhere, derandomize=True)
settings.load_profile("same examples")

QUICK = {"ttft_s": 0.001, "tokens_per_s": 5000, "capabilities": ["chat-completion"]}
_PATIENCE_S = 30.0  # a busy machine closes late; what is gone is seen at once
# fmt: off
_STATES = [  # the kernel's numbers: include/net/tcp_states.h
    "?", "ESTABLISHED", "SYN_SENT", "SYN_RECV", "FIN_WAIT1", "FIN_WAIT2", "TIME_WAIT", "CLOSE", "CLOSE_WAIT",
    "LAST_ACK", "LISTEN", "CLOSING", "NEW_SYN_RECV",
]
# fmt: on


def pytest_configure() -> None:
    """Hear Ctrl-C also where a shell started us in the background: the processes that tests start inherit that."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _sockets() -> dict[str, int]:
    """Open sockets of this process by their numbers in the system; none where it does not tell."""
    try:
        files = os.listdir("/proc/self/fd")
    except OSError:
        return {}
    return {link: int(file) for file in files if (link := _link(file)).startswith("socket:")}


def _link(file: str) -> str:
    try:
        return os.readlink(f"/proc/self/fd/{file}")
    except OSError:
        return ""


def _in_words(file: int) -> str:
    """Both ends of a socket, and the state of its connection."""
    try:
        with socket.socket(fileno=os.dup(file)) as copy:
            words = f"{copy.family.name} {_end(copy.getsockname)} - {_end(copy.getpeername)}"
            if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.type is socket.SOCK_STREAM:
                words += f" {_STATES[copy.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0]]}"
            return words
    except OSError:
        return "closed by now"


def _end(name: Callable[[], Any]) -> str:
    try:
        found = name()
    except OSError:
        return "nobody"
    return ":".join(map(str, found[:2])) if isinstance(found, tuple) else str(found)


def _left() -> Counter[str]:
    threads = [thread.name for thread in threading.enumerate() if thread.name.startswith("routerlab")]
    return Counter(threads) + Counter(sockets=len(_sockets()))


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail a test after which threads of routerlab or sockets are left; the message names them."""
    before, known = _left(), _sockets()
    yield
    end, pause_s = time.monotonic() + _PATIENCE_S, 0.01
    while (more := _left() - before) and time.monotonic() < end:
        gc.collect()  # it stops all threads, and those that are closing need their time: less and less of it
        time.sleep(pause_s)
        pause_s = min(2 * pause_s, 0.5)
    if more:
        new = [_in_words(file) for link, file in _sockets().items() if link not in known]
        pytest.fail(f"left behind: {dict(more)}; new sockets: {new}")


@pytest.fixture
def make_lab(no_leaks: None) -> Iterator[Callable[..., Lab]]:
    """Make a lab of simulated models over real HTTP; it is closed when the test ends.

    Arguments: options by the model's name (``alpha={"script": [...]}``); ``pool`` (keys of the pool ``chat``, which
    holds all models in this order); ``lab`` (keywords of `Lab`); ``providers`` (more of them). Retries come after
    10 ms.
    """
    labs: list[Lab] = []

    def make(*, pool: dict[str, Any] | None = None, lab: dict[str, Any] | None = None, **models: dict[str, Any]) -> Lab:
        models = models or {"alpha": {}, "beta": {}}
        chat = {"models": [f"sim/{name}" for name in models], "retry": {"initial_delay": 0.01}, **(pool or {})}
        config = {
            "providers": {"sim": {"kind": "simulated", "models": {name: QUICK | own for name, own in models.items()}}},
            "pools": {"chat": chat},
        }
        labs.append(Lab(config, **({"store": False} | (lab or {}))))
        return labs[-1]

    yield make
    for lab in labs:
        lab.close()
        assert not asyncio.all_tasks(lab._session.loop.loop)


@pytest.fixture
def requests_of() -> Callable[[Lab, str], int]:
    """How many requests for ``sim/<model>`` have arrived at its server."""

    def count(lab: Lab, model: str) -> int:
        return lab._session.connectors["sim"].server.requests(model)

    return count
