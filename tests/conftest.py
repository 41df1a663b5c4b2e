"""Labs that close themselves, and a check that a test leaves nothing behind."""

from __future__ import annotations

import asyncio
import gc
import os
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from routerlab.lab import Lab

QUICK = {"ttft_s": 0.001, "tokens_per_s": 5000, "capabilities": ["chat-completion"]}


def _sockets() -> int:
    """Open sockets of this process; -1 where the system does not tell."""
    try:
        files = os.listdir("/proc/self/fd")
    except OSError:
        return -1
    return sum(_is_socket(file) for file in files)


def _is_socket(file: str) -> bool:
    try:
        return os.readlink(f"/proc/self/fd/{file}").startswith("socket:")
    except OSError:
        return False


def _left() -> dict[str, Any]:
    return {
        "threads": sorted(thread.name for thread in threading.enumerate() if thread.name.startswith("routerlab")),
        "sockets": _sockets(),
    }


@pytest.fixture
def no_leaks() -> Iterator[None]:
    """Fail a test after which threads of routerlab or sockets are left."""
    before = _left()
    yield
    end = time.monotonic() + 3
    while (after := _left()) != before and time.monotonic() < end:
        gc.collect()
        time.sleep(0.02)
    assert after == before


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
