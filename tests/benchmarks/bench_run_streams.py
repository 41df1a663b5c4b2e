"""What it costs that runs stream: calls/s of a replay that reads streams against one that reads whole answers."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from local_lab import local_lab
from measure import bar, interleave, ratio, show

from routerlab.experiments.datasets import Dataset, load_dataset
from routerlab.lab import Lab

PLAN = {1: 5, 40: 5, 200: 3}  # chunks of a streamed answer: rounds
ITEMS, CONCURRENCY = 1500, 128
AIM = 0.85


def main(*, quick: bool) -> None:
    data = load_dataset([f"item {number}" for number in range(20 if quick else ITEMS)])
    for chunks, rounds in ({2: 1} if quick else PLAN).items():
        with local_lab(chunks) as (lab, _):
            contenders: dict[str, Callable[[], int]] = {
                name: partial(replay, lab, data, stream=stream) for name, stream in (("whole", False), ("stream", True))
            }
            timings = interleave(contenders, rounds)
        show(f"replay, {CONCURRENCY} at once, {chunks} chunks an answer", timings, base="whole")
        bar("calls/s of streamed runs against whole answers", ratio(timings, "whole", "stream"), AIM, at_least=True)


def replay(lab: Lab, data: Dataset, *, stream: bool) -> int:
    run = lab.replay(data, ["local/m"], stream=stream, concurrency=CONCURRENCY, preflight=False, wait=False).wait()
    assert run.progress.ok == len(data)
    return len(data)
