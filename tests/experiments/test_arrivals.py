"""When items arrive: rates, traces, what is wrong with a trace; runs in virtual time that wait for nobody."""

from __future__ import annotations

import asyncio
import pickle
from itertools import pairwise
from pathlib import Path
from statistics import fmean, pstdev

import pytest

import routerlab as rl
from routerlab.core.errors import ConfigurationError, DatasetError
from routerlab.core.types import CompletionResponse
from routerlab.experiments.arrivals import Arrivals, as_arrivals
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.plan import Arm, ReplayPlan
from routerlab.experiments.replay import Replay
from routerlab.session.recorder import Recorder
from routerlab.session.results import CallResult

TRACES = Path(__file__).parents[3] / "shared" / "data" / "traces"


def gaps(arrivals: Arrivals, n: int = 20_000) -> list[float]:
    return [second - first for first, second in pairwise(arrivals.times(n))]


def test_a_rate_is_kept_whatever_the_gaps_are():
    for arrivals in (rl.arrivals.constant("300/min"), rl.arrivals.poisson("5/s"), rl.arrivals.bursts(5, size=20)):
        assert arrivals.times(1)[0] == 0.0
        assert fmean(gaps(arrivals)) == pytest.approx(0.2, rel=0.03)
    assert pstdev(gaps(rl.arrivals.poisson("5/s"))) == pytest.approx(0.2, rel=0.05)


def test_chance_comes_from_the_seed():
    assert rl.arrivals.poisson("5/s", seed=1).times(9) == rl.arrivals.poisson("5/s", seed=1).times(9)
    assert rl.arrivals.poisson("5/s", seed=1).times(9) != rl.arrivals.poisson("5/s", seed=2).times(9)


@pytest.mark.parametrize(
    ("file", "size", "span_s"),
    [("azure_llm_2023_code.csv", 8819, 3435.948056), ("mooncake_synthetic.jsonl", 3993, 1022.025)],
)
def test_published_traces_are_read_as_they_are(file, size, span_s):
    if not (TRACES / file).is_file():
        pytest.skip("the trace is not here")
    arrivals = rl.load_arrivals(TRACES / file)
    assert arrivals.size == size
    times = arrivals.times(10**6)
    assert len(times) == size
    assert times[-1] == pytest.approx(span_s, abs=0.01)
    assert rl.load_arrivals(TRACES / file, speed=10).times(size)[-1] == pytest.approx(span_s / 10, abs=0.01)
    assert rl.load_arrivals(TRACES / file, limit=100).size == 100


def written(folder, name, text):
    path = folder / name
    path.write_text(text)
    return path


def test_times_may_be_dates_seconds_or_milliseconds_in_any_column(tmp_path):
    for name, text, options in (
        ("a.csv", "TIMESTAMP,n\n2023-11-16 18:17:03.9799600,1\n2023-11-16 18:17:05.4799600,2\n", {}),
        ("b.jsonl", '{"timestamp": 1000}\n{"timestamp": 2500}\n', {}),
        ("c.csv", "when\n10\n11.5\n", {"column": "when"}),
        ("d.csv", "when\n1000\n2500\n", {"column": "when", "unit": "ms"}),
        ("e.jsonl", '{"arrived_at": "2024-03-31T01:59:59+01:00"}\n{"arrived_at": "2024-03-31T03:00:00.5+02:00"}\n', {}),
    ):
        assert list(rl.load_arrivals(written(tmp_path, name, text), **options).times(9)) == pytest.approx([0.0, 1.5])


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "TIMESTAMP\n1\nsoon\n", "a.csv, line 3: TIMESTAMP='soon' is neither a number nor a date and time"),
        ("a.csv", "TIMESTAMP\n1\nnan\n", "line 3: TIMESTAMP='nan' is neither"),
        ("a.csv", "TIMESTAMP\n2\n1\n", "a.csv, line 3: it is earlier than the row before"),
        (
            "a.csv",
            "when\n2\n1\n",
            "a.csv, line 2: none of the columns TIMESTAMP, timestamp, arrived_at .*there are when",
        ),
        ("a.jsonl", '{"timestamp": 1}\n{"timestamp": \n', "a.jsonl, line 2: not valid JSON"),
        ("a.jsonl", '{"timestamp": null}\n', "line 1: timestamp=None is neither"),
        ("a.csv", "TIMESTAMP\n", "a.csv: no rows"),
        ("a.yaml", "- 1\n", "this format is not read here"),
    ],
)
def test_what_is_wrong_with_a_trace_is_told_with_its_line(tmp_path, name, text, words):
    with pytest.raises(DatasetError, match=words):
        rl.load_arrivals(written(tmp_path, name, text))


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: rl.load_arrivals("nowhere.csv"), "there is no such file"),
        (lambda: rl.load_arrivals("nowhere.csv", speed=0), "speed=0: expected a positive number"),
        (lambda: rl.load_arrivals("nowhere.csv", unit="h"), "unit='h'"),
        (lambda: as_arrivals("trace.csv"), r"pass rl.load_arrivals\('trace.csv'\)"),
        (lambda: as_arrivals("often"), "'often' is not a rate"),
        (lambda: as_arrivals(object()), "expected a rate such as '5/s'"),
        (lambda: as_arrivals([2.0, 1.0]), "in rising order"),
        (lambda: rl.arrivals.bursts("5/s", size=0), "size=0"),
        (lambda: plan(20, arrivals=as_arrivals([0.0, 1.0])), "too few for 20 items"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_sent(make, words):
    with pytest.raises(ConfigurationError, match=words):
        make()


def plan(size, models=("sim/a", "sim/b"), **options):
    return ReplayPlan(load_dataset([f"item {n}" for n in range(size)]), [Arm(m, model=m) for m in models], **options)


class Served:
    """A model that needs `seconds`; notes what came when, by the virtual clock."""

    def __init__(self, loop, seconds):
        self.loop, self.seconds = loop, seconds
        self.specs = []

    async def __call__(self, spec):
        started = self.loop.time()
        self.specs.append((started, spec))
        await asyncio.sleep(self.seconds)
        row = {"call_id": "c", "model": spec.model, "outcome": "ok", "cost_usd": None, "failovers": 0}
        row |= {"scheduled_at": spec.scheduled_at, "queue_s": started - spec.scheduled_at, "latency_s": self.seconds}
        return CallResult("c", spec, row, CompletionResponse("yes"))


def run_of(loop, served, made, **options):
    return Replay(made, call=served, recorder=Recorder(), clock=loop.time, wall=loop.time, **options)


def test_an_item_is_sent_to_all_models_when_it_arrives_whatever_became_of_the_others(virtual_loop):
    served = Served(virtual_loop, seconds=30.0)
    run = run_of(virtual_loop, served, plan(5, arrivals=as_arrivals("1/s"), concurrency=100))
    virtual_loop.run_until_complete(run.run())
    assert [(at, spec.variant) for at, spec in served.specs] == [(n, m) for n in range(5) for m in ("sim/a", "sim/b")]
    assert [row["queue_s"] for row in run.rows()] == [0.0] * 10


def test_what_there_is_no_room_for_waits_in_the_queue_and_its_latency_stays_its_own(virtual_loop):
    served = Served(virtual_loop, seconds=2.0)
    made = plan(50, models=["sim/a"], arrivals=as_arrivals("1/s"), concurrency=1)
    run = run_of(virtual_loop, served, made)
    seen = []

    async def watched():
        going = asyncio.ensure_future(run.run())
        await asyncio.sleep(40.5)
        seen.append(run.progress.late_s)
        await going

    virtual_loop.run_until_complete(watched())
    queue = sorted(row["queue_s"] for row in run.rows())
    assert queue == [float(n) for n in range(50)], "each waits a second longer than the one before"
    assert {row["latency_s"] for row in run.rows()} == {2.0}
    assert seen == [pytest.approx(40.5 - 21)]


def test_a_run_that_goes_on_goes_on_with_the_arrivals_that_are_left(virtual_loop):
    made = plan(10, models=["sim/a"], arrivals=as_arrivals("1/s"))
    served = Served(virtual_loop, 0.1)
    first = run_of(virtual_loop, served, made)

    async def stopped():
        going = asyncio.ensure_future(first.run())
        await asyncio.sleep(3.5)
        first.stop()
        await going
        await asyncio.sleep(100.0)

    virtual_loop.run_until_complete(stopped())
    assert first.progress.done == 4
    second = first.again()
    began = virtual_loop.time()
    virtual_loop.run_until_complete(second.run())
    assert [at - began for at, _ in served.specs[4:]] == pytest.approx([0, 1, 2, 3, 4, 5])
    assert second.progress.done == 10


def test_without_arrivals_nothing_is_scheduled(virtual_loop):
    specs = []

    async def call(spec):
        specs.append(spec)
        return CallResult("c", spec, {"call_id": "c", "outcome": "ok"}, CompletionResponse("yes"))

    virtual_loop.run_until_complete(run_of(virtual_loop, call, plan(3)).run())
    assert {spec.scheduled_at for spec in specs} == {None}


def test_arrivals_decide_what_a_run_is():
    assert "arrivals" not in plan(1).decisive_settings()
    assert plan(1, arrivals=as_arrivals("5/s")).decisive_settings()["arrivals"] == "constant 5/s"
    settings = {as_arrivals(times).settings() for times in ([0, 1], [0, 2], [5, 6], [0, 1, 2])}
    assert len(settings) == 3, "5 and 6 are 0 and 1"


def test_arrivals_travel():
    for arrivals in (rl.arrivals.poisson("5/s"), rl.arrivals.bursts("5/s"), as_arrivals([0, 1, 3])):
        assert pickle.loads(pickle.dumps(arrivals)).times(3) == arrivals.times(3)  # noqa: S301 - made here
