"""The search for cyclic garbage is rarer while a run goes on, and as before afterwards."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Iterator

import pytest

from routerlab.experiments.garbage import rare_searches

PYTHONS = (700, 10, 10)


@pytest.fixture(autouse=True)
def _as_before() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(*PYTHONS)
    yield
    gc.set_threshold(*before)


def test_it_is_rarer_meanwhile() -> None:
    with rare_searches():
        assert gc.get_threshold() == (20_000, 10, 10)
    assert gc.get_threshold() == PYTHONS


def test_an_error_restores_it_too() -> None:
    with pytest.raises(ValueError, match="no"), rare_searches():
        raise ValueError("no")
    assert gc.get_threshold() == PYTHONS


def test_the_last_of_several_restores_it() -> None:
    first, second = rare_searches(), rare_searches()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert gc.get_threshold()[0] == 20_000
    second.__exit__(None, None, None)
    assert gc.get_threshold() == PYTHONS


@pytest.mark.parametrize("own", [(0, 10, 10), (50_000, 5, 5)], ids=["off", "rarer"])
def test_what_somebody_has_chosen_stands(own: tuple[int, int, int]) -> None:
    gc.set_threshold(*own)
    with rare_searches():
        assert gc.get_threshold() == own
    assert gc.get_threshold() == own


def test_what_somebody_changes_meanwhile_stands() -> None:
    with rare_searches():
        gc.set_threshold(1_000, 3, 3)
    assert gc.get_threshold() == (1_000, 3, 3)


def test_in_threads() -> None:
    async def one() -> None:
        with rare_searches():
            await asyncio.sleep(0.001)

    threads = [threading.Thread(target=lambda: asyncio.run(one())) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert gc.get_threshold() == PYTHONS
