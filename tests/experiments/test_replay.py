"""The replay engine, driven by calls that are answered at once or held back on purpose."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Awaitable, Callable

import pytest

from routerlab.core.errors import ConfigurationError, InvalidRequestError, NoModelAvailableError, StoreError
from routerlab.core.types import CompletionResponse
from routerlab.experiments.datasets import load_dataset
from routerlab.experiments.replay import Arm, Replay, ReplayPlan
from routerlab.experiments.scorers import resolve_scorers
from routerlab.session.results import CallResult, CallSpec

Call = Callable[[CallSpec], Awaitable[CallResult]]


class Book:
    """Keeps rows in lists."""

    def __init__(self) -> None:
        self.tables: dict[str, list[dict]] = {}
        self.behind = False

    def keep(self):
        """At once."""

    def flush(self):
        """At once."""

    def add(self, table, row):
        self.tables.setdefault(table, []).append(dict(row))


def dataset(size=6):
    return load_dataset([{"prompt": f"say {n}", "answer": str(n)} for n in range(size)])


def plan(size=6, **options):
    options.setdefault("arms", (Arm("a", model="sim/a"), Arm("b", model="sim/b")))
    options.setdefault("seed", None)
    return ReplayPlan(dataset(size), **options)


def answer(spec, text=None, *, error=None, cost_usd=0.001, **columns):
    """A finished call that says what the prompt asked it to say."""
    said = spec.messages[-1]["content"].removeprefix("say ") if text is None else text
    row = {
        "call_id": f"{spec.item_id}-{spec.variant}-{spec.repeat}",
        "run_id": spec.run_id,
        "model": None if error else spec.model,
        "outcome": "move_on" if error else "ok",
        "failovers": 0,
        "cost_usd": None if error else cost_usd,
        **columns,
    }
    response = None if error else CompletionResponse(text=said)
    return CallResult(row["call_id"], spec, row, response, error)


async def at_once(spec):
    return answer(spec)


def test_each_item_goes_to_each_arm_and_repeat_and_is_scored():
    book = Book()
    replay = Replay(plan(repeats=2, scorers=resolve_scorers(["exact"])), call=at_once, recorder=book)

    asyncio.run(replay.run())

    rows = replay.rows()
    assert len(rows) == 6 * 2 * 2
    assert {(row["item_id"], row["variant"], row["repeat"]) for row in rows} == {
        (f"{n:05d}", arm, repeat) for n in range(1, 7) for arm in "ab" for repeat in (0, 1)
    }
    assert all(row["status"] == "ok" and row["score_exact"] == 1.0 for row in rows)
    assert rows[0]["prompt"] == "say 0"
    assert rows[0]["text"] == rows[0]["target"] == "0"
    assert rows[0]["model"] == "sim/a"
    assert len(book.tables["scores"]) == 24
    assert [row["item_id"] for row in book.tables["items"]] == [f"{n:05d}" for n in range(1, 7)]
    assert [row["status"] for row in book.tables["runs"]] == ["running", "done"]


def test_progress_counts_what_happened(virtual_loop):
    async def call(spec):
        await asyncio.sleep(1.0)
        if spec.item_id == "00002":
            return answer(spec, error=InvalidRequestError("too odd"))
        return answer(spec, failovers=1)

    replay = Replay(plan(), call=call, recorder=Book(), clock=virtual_loop.time)
    assert (replay.progress.total, replay.progress.done, replay.progress.status) == (12, 0, "pending")

    virtual_loop.run_until_complete(replay.run())

    progress = replay.progress
    assert (progress.done, progress.ok, progress.failed, progress.failovers) == (12, 10, 2, 10)
    assert progress.complete == progress.items == 6
    assert progress.status == "done"
    assert progress.eta_s is None
    assert progress.elapsed_s == 2.0
    assert progress.rate_per_s == pytest.approx(6.0)
    failed = [row for row in replay.rows() if row["status"] == "failed"]
    assert [(row["text"], row["error_message"]) for row in failed] == [(None, "too odd")] * 2


def test_at_most_concurrency_calls_are_in_flight_and_arms_take_turns():
    seen, flying, most = [], 0, 0

    async def call(spec):
        nonlocal flying, most
        flying += 1
        most = max(most, flying)
        seen.append(spec.variant)
        await asyncio.sleep(0)
        flying -= 1
        return answer(spec)

    asyncio.run(Replay(plan(size=20, concurrency=3), call=call, recorder=Book()).run())

    assert most == 3
    assert seen == ["a", "b"] * 20


def test_the_system_message_and_the_parameters_reach_the_call():
    specs = []

    async def call(spec):
        specs.append(spec)
        return answer(spec)

    made = plan(size=1, arms=[Arm("pool", pool="chat")], system="Be brief.", params={"max_tokens": 5}, deadline_s=7.0)
    asyncio.run(Replay(made, call=call, recorder=Book()).run())

    spec = specs[0]
    assert [message["content"] for message in spec.messages] == ["Be brief.", "say 0"]
    assert (spec.params, spec.pool, spec.model, spec.deadline_s) == ({"max_tokens": 5}, "chat", None, 7.0)
    assert (spec.run_id, spec.item_id, spec.repeat, spec.variant, spec.purpose) == (
        made.run_id,
        "00001",
        0,
        "pool",
        "replay",
    )
    assert spec.wait_max_s == 3.0


def test_stop_from_another_thread_cancels_what_flies_and_keeps_what_is_done():
    book, cancelled = Book(), []
    both_fly = asyncio.Event()

    async def call(spec):
        if spec.item_id <= "00002":
            return answer(spec)
        if spec.item_id == "00004":
            both_fly.set()
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(spec.item_id)
            raise
        raise AssertionError

    replay = Replay(plan(arms=[Arm("a", model="sim/a")], concurrency=2), call=call, recorder=book)

    async def main():
        running = asyncio.create_task(replay.run())
        await both_fly.wait()
        thread = threading.Thread(target=replay.stop)
        thread.start()
        await running
        thread.join()

    asyncio.run(main())

    assert [row["status"] for row in replay.rows()] == ["ok", "ok", "pending", "pending", "pending", "pending"]
    assert sorted(cancelled) == ["00003", "00004"]
    assert book.tables["runs"][-1]["status"] == replay.status == "stopped"


def test_cancelling_the_driving_task_is_a_stop_that_is_heard_of():
    book, flies = Book(), asyncio.Event()

    async def call(spec):
        flies.set()
        await asyncio.sleep(60)

    replay = Replay(plan(), call=call, recorder=book)

    async def main():
        running = asyncio.create_task(replay.run())
        await flies.wait()
        running.cancel()
        with pytest.raises(asyncio.CancelledError):
            await running
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())

    assert book.tables["runs"][-1]["status"] == "stopped"
    assert {row["status"] for row in replay.rows()} == {"pending"}


def test_a_run_that_was_stopped_before_it_began_sends_nothing():
    async def call(spec):
        raise AssertionError

    replay = Replay(plan(), call=call, recorder=Book())
    replay.stop()
    asyncio.run(replay.run())
    assert (replay.status, replay.progress.done) == ("stopped", 0)


def test_a_fault_of_the_engine_is_raised_and_recorded():
    book = Book()

    async def call(spec):
        raise ZeroDivisionError("no such call")

    with pytest.raises(ZeroDivisionError):
        asyncio.run(Replay(plan(), call=call, recorder=book).run())
    assert book.tables["runs"][-1]["status"] == "failed"


def test_a_scorer_runs_in_a_thread_and_its_error_is_kept():
    threads = set()

    def fussy(text, target):
        threads.add(threading.current_thread())
        if target == "3":
            raise LookupError("not this one")
        return 1

    book = Book()
    replay = Replay(plan(arms=[Arm("a", model="sim/a")], scorers=resolve_scorers([fussy])), call=at_once, recorder=book)
    asyncio.run(replay.run())

    assert threading.main_thread() not in threads
    assert [row["score_fussy"] for row in replay.rows()] == [1.0, 1.0, 1.0, None, 1.0, 1.0]
    errors = [(row["item_id"], row["value"], row["error"]) for row in book.tables["scores"] if row["error"]]
    assert errors == [("00004", None, "LookupError: not this one")]
    assert {row["status"] for row in replay.rows()} == {"ok"}


@pytest.mark.parametrize("deadly", [SystemExit, KeyboardInterrupt, asyncio.CancelledError, GeneratorExit])
def test_a_scorer_that_would_end_the_loop_or_the_worker_is_an_error_of_its_row(deadly):
    def leaving(text, target):
        raise deadly

    async def leaving_later(text, target):
        raise deadly

    book = Book()
    run = Replay(plan(scorers=resolve_scorers([leaving, leaving_later])), call=at_once, recorder=book)
    asyncio.run(run.run())
    assert (run.status, run.progress.ok) == ("done", 12)
    assert len(book.tables["scores"]) == 24
    assert all(deadly.__name__ in row["error"] for row in book.tables["scores"])


def test_a_lane_whose_model_cools_rests_and_then_finishes():
    tries: dict[str, int] = {}

    async def call(spec):
        tries[spec.item_id] = tries.get(spec.item_id, 0) + 1
        if spec.item_id == "00003" and tries[spec.item_id] == 1:
            return answer(spec, error=NoModelAvailableError("cooling", retry_after_s=0.02))
        return answer(spec)

    replay = Replay(plan(arms=[Arm("a", model="sim/a")], concurrency=1), call=call, recorder=Book())
    asyncio.run(replay.run())

    assert {row["status"] for row in replay.rows()} == {"ok"}
    assert tries == {f"{n:05d}": 2 if n == 3 else 1 for n in range(1, 7)}


def test_an_arm_whose_model_never_comes_back_leaves_its_items_pending(virtual_loop):
    async def call(spec):
        if spec.model == "sim/b":
            return answer(spec)
        return answer(spec, error=NoModelAvailableError("circuit open", retry_after_s=60.0))

    replay = Replay(plan(), call=call, recorder=Book(), clock=virtual_loop.time)
    virtual_loop.run_until_complete(replay.run())

    assert [row["status"] for row in replay.rows()] == ["pending", "ok"] * 6
    assert replay.status == "stopped"
    assert 1700 < virtual_loop.time() < 1900
    assert replay.notes == ["a: not available; 6 of its rows stay pending", "0 of 6 prompts complete on all 2"]


def test_a_run_gets_a_name_and_the_hashes_of_what_decides_it():
    def hashes(**options):
        book = Book()
        asyncio.run(Replay(plan(size=1, **options), call=at_once, recorder=book).run())
        row = book.tables["runs"][-1]
        return row["dataset_hash"], row["params_hash"]

    assert hashes() == hashes(concurrency=2, budget_usd=5.0)
    assert hashes()[0] == hashes(params={"max_tokens": 1})[0]
    assert hashes()[1] != hashes(params={"max_tokens": 1})[1]
    first, second = plan(), plan()
    assert re.fullmatch(r"replay-\d{8}-[0-9a-f]{8}", first.name), "a name of before would be gone on with"
    assert first.name != second.name
    assert first.run_id != second.run_id


@pytest.mark.parametrize(
    "options", [{"arms": ()}, {"arms": (Arm("a"), Arm("a"))}, {"concurrency": 0}, {"repeats": True}, {"budget_usd": 0}]
)
def test_a_plan_that_makes_no_sense_is_refused(options):
    with pytest.raises(ConfigurationError):
        plan(**options)


def test_a_conversation_is_sent_whole_and_shown_by_its_last_question():
    talk = [
        {"role": "system", "content": "Count."},
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": "two"},
        {"role": "user", "content": [{"type": "text", "text": "three"}, {"type": "image_url", "image_url": {}}]},
    ]
    specs = []

    async def call(spec):
        specs.append(spec)
        return answer(spec, "four")

    made = ReplayPlan(load_dataset([{"messages": talk}]), [Arm("a", model="sim/a")], system="Ignored.")
    replay = Replay(made, call=call, recorder=Book())
    asyncio.run(replay.run())
    assert list(specs[0].messages) == talk
    assert replay.rows()[0]["prompt"] == "three"


def test_a_row_counts_once_it_is_on_disk_and_only_then_does_the_next_call_begin():
    book, sent, answered, kept = Book(), [], [], []

    async def call(spec):
        assert len(sent) - len(kept) < 2
        sent.append(spec.item_id)
        await asyncio.sleep(0)
        answered.append(spec.item_id)
        return answer(spec)

    async def main():
        run = Replay(plan(arms=(Arm("a", model="sim/a"),), concurrency=2), call=call, recorder=book)

        def keep():
            assert run.progress.done == len(kept)
            kept[:] = answered

        book.keep = keep
        await run.run()
        return run

    run = asyncio.run(main())
    assert (run.status, run.progress.done) == ("done", 6)
    assert kept == sent


def test_a_store_that_is_behind_is_waited_for():
    book, sent = Book(), []

    async def call(spec):
        sent.append(spec.item_id)
        book.behind = True
        return answer(spec)

    async def main():
        run = Replay(plan(arms=(Arm("a", model="sim/a"),), concurrency=2), call=call, recorder=book)
        going = asyncio.create_task(run.run())
        while len(sent) < 2:  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0)
        await asyncio.sleep(0.05)
        counted = (len(sent), run.progress.done)
        while not going.done():
            book.behind = False
            await asyncio.sleep(0)
        return counted, run

    counted, run = asyncio.run(main())
    assert counted == (2, 0)
    assert (run.status, run.progress.done) == ("done", 6)


def test_a_loop_that_ends_in_mid_run_counts_what_is_on_disk():
    """It cancels everything in it, workers that wait for the store, too."""
    book, flying, begun, kept = Book(), asyncio.Semaphore(0), [], []

    async def call(spec):
        begun.append(spec)
        await flying.acquire()
        return answer(spec)

    async def main():
        run = Replay(plan(concurrency=4), call=call, recorder=book)
        going = asyncio.create_task(run.run())
        while len(begun) < 4:  # noqa: ASYNC110 - nobody would set an event
            await asyncio.sleep(0)
        book.behind, book.keep = True, lambda: kept.append(True)
        for number in (1, 2):
            flying.release()
            while len(kept) < number:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0)
        await asyncio.sleep(0)
        book.behind = False
        for task in asyncio.all_tasks() - {asyncio.current_task()}:
            task.cancel()
        await asyncio.wait([going])
        return run

    run = asyncio.run(main())
    assert (run.status, run.progress.done) == ("stopped", 2)
    assert sum(row["status"] == "ok" for row in run.rows()) == 2


def test_a_store_that_takes_nothing_fails_the_run_before_it_begins():
    def refuse(table, row):
        raise StoreError("taken away")

    book = Book()
    book.add = refuse
    run = Replay(plan(), call=at_once, recorder=book)
    with pytest.raises(StoreError, match="taken away"):
        asyncio.run(run.run())
    assert run.progress.status == "failed"


def test_answers_that_a_stop_left_without_scores_are_scored_when_the_run_goes_on():
    release, begun = threading.Event(), []

    def slow(text, target):
        begun.append(text)
        release.wait()
        return 1.0

    async def main():
        run = Replay(plan(scorers=resolve_scorers([slow]), concurrency=4), call=at_once, recorder=Book())
        going = asyncio.create_task(run.run())
        while len(begun) < 4:  # noqa: ASYNC110 - threads set no event of a loop
            await asyncio.sleep(0.001)
        run.stop()
        await going
        release.set()
        assert run.progress.done == 4
        again = run.again()
        await again.run()
        return again

    again = asyncio.run(main())
    assert again.status == "done"
    assert [row["score_slow"] for row in again.rows()] == [1.0] * 12


def test_a_disk_that_is_full_ends_the_run():
    book = Book()

    def full():
        raise StoreError("no space")

    async def call(spec):
        book.keep = full  # the items' fitted
        return answer(spec)

    run = Replay(plan(), call=call, recorder=book)
    with pytest.raises(StoreError, match="no space"):
        asyncio.run(run.run())
    assert (run.status, run.progress.done) == ("failed", 0)
