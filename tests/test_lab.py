"""The lab as a notebook has it: verbs, frames, stores, secrets, and its end however it comes."""

from __future__ import annotations

import asyncio
import base64
import gc
import logging
import pickle
import signal
import sqlite3
import subprocess
import sys
import threading
import time
import traceback
import weakref
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import routerlab as rl
from routerlab.core.types import CompletionResponse, Delta, EmbeddingResponse
from routerlab.providers.base import ProviderConnector
from routerlab.session.tables import TABLES

pytestmark = pytest.mark.usefixtures("no_leaks")

KEY = "sk-canary-0123456789/abc+def"
EMBEDS = {"capabilities": ["chat-completion", "embedding"]}


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def ours():
    names = (thread.name for thread in threading.enumerate())  # one loop for all async scorers lives with the process
    return sorted(name for name in names if name.startswith("routerlab") and name != "routerlab-async-scorers")


# -- verbs -------------------------------------------------------------------------------------------------------------


def test_a_reply_has_everything(make_lab):
    lab = make_lab(alpha={"answers": {"2 + 2?": "4"}, "price": {"input": 1, "output": 2}})
    reply = lab.chat("2 + 2?", system="Be brief.", max_tokens=10)
    assert (reply.text, str(reply), reply.model, reply.served_model) == ("4", "4", "sim/alpha", "alpha")
    assert (reply.finish_reason, reply.reasoning, reply.tool_calls) == ("stop", "", [])
    assert reply.message == {"role": "assistant", "content": "4"}
    assert reply.parts == [("sim/alpha", "4")]
    assert reply.usage.total_tokens == reply.usage.prompt_tokens + reply.usage.completion_tokens
    assert reply.cost_usd == pytest.approx((reply.usage.prompt_tokens + 2 * reply.usage.completion_tokens) / 1e6)
    assert 0 < reply.latency_s < 30
    assert reply.raw["choices"][0]["message"]["content"] == "4"
    assert reply.call_id == lab.calls()["call_id"].tolist()[0]
    assert reply.call_id in repr(reply.trace) or reply.call_id[:16] in str(reply.trace)


def test_messages_are_a_prompt_too(make_lab):
    lab = make_lab(alpha={"answers": {"and now?": "yes"}})
    messages = [{"role": "user", "content": "first"}, {"role": "assistant", "content": "ok"}]
    assert lab.chat([*messages, {"role": "user", "content": "and now?"}]).text == "yes"
    texts = lab._session.recorder.columns("texts")
    assert [message["role"] for message in texts["request"][0]["messages"]] == ["user", "assistant", "user"]


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        ("", "the prompt is empty"),
        ("  \n", "the prompt is empty"),
        ("data.csv", "looks like a file"),
        ("runs/Questions.JSONL", "looks like a file"),
        (__file__, "load_dataset"),
        ([], "a prompt is a string or a list of messages"),
        (["hello"], "a prompt is a string or a list of messages"),
        (Path("x"), "not PosixPath"),
        (3, "not int"),
    ],
)
def test_what_is_no_prompt(make_lab, prompt, message):
    lab = make_lab(alpha={})
    for verb in (lab.chat, lab.stream, lab.explain):
        with pytest.raises(rl.ConfigurationError, match=message):
            verb(prompt)
    assert lab.calls().empty


def test_a_prompt_that_only_speaks_of_files_is_fine(make_lab):
    lab = make_lab(alpha={})
    assert lab.chat("What is a .csv file?").text
    assert lab.chat("first line\ndata.csv").text


@pytest.mark.parametrize("deadline", [0, -1, float("nan"), float("inf"), "soon", "5", True, [1]])
def test_what_is_no_deadline(make_lab, deadline):
    lab = make_lab(alpha={})
    with pytest.raises(rl.ConfigurationError, match="deadline"):
        lab.chat("hello", deadline=deadline)


def test_unknown_names_name_the_nearest(make_lab):
    lab = make_lab(alpha={})
    calls = [
        (lambda: lab.chat("x", model="sim/alhpa"), "did you mean 'sim/alpha'"),
        (lambda: lab.stream("x", pool="chta"), "did you mean 'chat'"),
        (lambda: lab.explain("x", model="sim/alpa"), "did you mean 'sim/alpha'"),
        (lambda: lab.replay(["x"], models=["sim/alfa"]), "did you mean 'sim/alpha'"),
        (lambda: lab.replay("data.jsonl"), r"load_dataset\('data.jsonl'\)"),
        (lambda: lab.breaker("sim/alphaa"), "did you mean 'sim/alpha'"),
        (lambda: lab.reset("simm"), "did you mean 'sim"),
        (lambda: lab.embed("x"), "serves"),
        (lambda: lab.embed([]), "at least one"),
        (lambda: lab.embed([3]), "list of strings"),
    ]
    for call, message in calls:
        with pytest.raises(rl.ConfigurationError, match=message):
            call()
    assert lab.calls().empty


def test_embed(no_leaks):
    models = {"v": {"capabilities": ["embedding"], "dimensions": 8}}
    with rl.Lab({"providers": {"sim": {"kind": "simulated", "models": models}}}, store=False) as lab:
        reply = lab.embed(["a", "b", "a"])
        assert (len(reply), reply.dimensions, reply.model) == (3, 8, "sim/v")
        assert reply[0] == reply[2] != reply[1]
        assert lab.embed("a")[0] == pytest.approx(reply[0])
        call = lab.calls().iloc[0]
        assert (call["purpose"], call["capability"]) == ("embed", "representation.embedding")
        assert lab.calls(text=True)["prompt"].tolist()[0] == "a\nb\na"
        lab.faults.outage("sim/v")
        with pytest.raises(rl.ProviderUnavailableError):
            lab.embed("a")


def test_explain_matches_what_then_happens_and_changes_nothing(make_lab, requests_of):
    lab = make_lab(alpha={}, beta={})
    lab.breaker("sim/alpha").open()
    before = lab.health().drop(columns=["seconds_to_probe"], errors="ignore").to_json()
    told = lab.explain("hello")
    assert "sim/beta" in str(told)
    assert "circuit open" in str(told)
    assert lab.calls().empty
    assert lab.decisions().empty
    assert requests_of(lab, "beta") == 0
    assert lab.health().drop(columns=["seconds_to_probe"], errors="ignore").to_json() == before
    assert lab.chat("hello").model == "sim/beta"


def test_breakers_by_hand(make_lab):
    lab = make_lab(alpha={}, beta={})
    breaker = lab.breaker("sim/alpha")
    assert breaker.state == "closed"
    breaker.open()
    assert breaker.state == "open"
    assert "a probe may be tried in" in repr(breaker)
    breaker.close()
    breaker.open()
    breaker.reset()
    assert breaker.state == "closed"
    assert lab.events()["new"].tolist() == ["open", "closed", "open", "closed"]


def test_frames_have_the_promised_columns_empty_or_not(make_lab):
    lab = make_lab(alpha={"script": ["unavailable"]})
    frames = {"calls": lab.calls, "attempts": lab.attempts, "events": lab.events, "decisions": lab.decisions}
    frames["candidates"] = lab.candidates
    for name, frame in frames.items():
        assert tuple(frame().columns) == TABLES[name].names
        assert frame().empty
    lab.chat("hello")
    lab.breaker("sim/alpha").open()
    for name, frame in frames.items():
        assert tuple(frame().columns) == TABLES[name].names
        assert not frame().empty
    text = lab.calls(text=True)
    assert list(text.columns[:3]) == ["prompt", "text", "params"]
    assert text["prompt"].tolist()[0] == "hello"
    assert text["text"].tolist()[0]
    assert "prompt" not in lab.calls().columns
    metrics = lab.metrics()
    assert metrics.attrs["loop_lag_s"] >= 0
    assert len(lab.health()) == 1


def test_injected_faults_are_events(make_lab):
    lab = make_lab(alpha={}, beta={})
    lab.faults.outage("sim/alpha", after=0, duration=30)
    assert lab.chat("hello").model == "sim/beta"
    lab.faults.clear("sim/alpha")
    events = lab.events()
    kinds = [kind for kind in events["kind"].tolist() if kind.startswith("fault")]
    assert kinds == ["fault_injected", "fault_cleared"]
    assert lab.faults is lab.faults


# -- stores ------------------------------------------------------------------------------------------------------------


def test_a_store_keeps_everything_and_opens_again(make_lab, tmp_path):
    path = tmp_path / "deep" / "runs.db"
    pool = {"on_stream_failure": "error"}
    lab = make_lab(alpha={"script": ["unavailable", None, "cut_stream"]}, beta={}, lab={"store": path}, pool=pool)
    lab.chat("hello")
    with pytest.raises(rl.StreamInterruptedError):
        list(lab.stream("hello"))
    lab.breaker("sim/beta").open()
    run = lab.replay(["a", "b"], models=["sim/alpha"], scorers=["contains"], name="kept", preflight=False)
    calls = lab.calls(text=True)
    lab.close()
    assert lab.calls(text=True).equals(calls)  # frames can still be read
    connection = sqlite3.connect(path)
    counts = {name: connection.execute(f"SELECT count(*) FROM {name}").fetchone()[0] for name in TABLES}  # noqa: S608
    connection.close()
    assert counts["calls"] == 4
    assert counts["runs"] == 1
    assert counts["items"] == 2
    assert all(counts.values()), counts
    again = make_lab(alpha={}, lab={"store": path})
    assert len(again.calls()) == 4
    again.chat("more")
    assert len(again.calls()) == 5
    assert set(again.calls()["run_id"].dropna()) == {run.run_id}


def test_two_labs_share_a_store(make_lab, tmp_path):
    path = tmp_path / "runs.db"
    one, two = (make_lab(alpha={}, lab={"store": path}) for _ in range(2))
    one.chat("one")
    two.chat("two")
    one.close()
    two.chat("three")
    assert two.calls(text=True)["prompt"].tolist() == ["one", "two", "three"]


def test_store_text_false_keeps_the_words_out_of_the_file(make_lab, tmp_path):
    path = tmp_path / "runs.db"
    lab = make_lab(alpha={"answers": {"confidential": "hush"}}, lab={"store": path, "store_text": False})
    lab.chat("confidential")
    lab.close()
    assert b"confidential" not in path.read_bytes()
    assert b"hush" not in path.read_bytes()


def test_without_a_store_runs_alone_are_kept(make_lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lab = make_lab(alpha={}, lab={"store": None})
    lab.chat("outside")
    assert not list(tmp_path.iterdir())
    lab.replay(["inside"], name="kept", preflight=False)
    lab.close()
    connection = sqlite3.connect(tmp_path / ".routerlab" / "runs.db")
    assert connection.execute("SELECT name FROM runs").fetchall() == [("kept",)]
    assert connection.execute("SELECT count(*) FROM calls").fetchall() == [(1,)]
    connection.close()


def test_store_false_writes_nothing(make_lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lab = make_lab(alpha={}, lab={"store": False})
    lab.chat("hello")
    assert lab.replay(["a"]).summary()["ok"].tolist() == [1]
    lab.close()
    assert not list(tmp_path.iterdir())


# -- threads, loops, interrupts ----------------------------------------------------------------------------------------


def test_async_twins_in_one_loop_and_in_another(make_lab):
    lab = make_lab(alpha=EMBEDS)

    async def all_of_them():
        reply = await lab.achat("hello")
        vectors = await lab.aembed(["a"])
        run = await lab.areplay(["a", "b"])
        pieces = [piece async for piece in lab.astream("hello")]
        return reply.text, len(vectors), run.status, "".join(pieces)

    first, second = asyncio.run(all_of_them()), asyncio.run(all_of_them())
    assert first == second
    assert first[0] == first[3]


def test_a_hundred_at_a_time(make_lab, requests_of):
    lab = make_lab(alpha={}, beta={})

    async def many():
        return await asyncio.gather(*(lab.achat(f"question {number}") for number in range(100)))

    replies = asyncio.run(many())
    assert len({reply.call_id for reply in replies}) == 100
    assert requests_of(lab, "alpha") == len(lab.attempts()) == 100


def test_a_cancelled_achat_is_recorded_and_closes_its_connection(make_lab):
    lab = make_lab(alpha={"faults": ["stall"]})

    async def main():
        task = asyncio.create_task(lab.achat("hello"))
        await asyncio.to_thread(wait_until, lambda: lab._session.snapshot("sim/alpha").in_flight)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await lab.achat("hello")

    asyncio.run(main())
    assert lab.calls()["outcome"].tolist() == ["cancelled"] * 2
    state = lab._session.snapshot("sim/alpha")
    assert (state.in_flight, state.samples) == (0, 0)


def test_a_scorer_may_use_the_lab(make_lab):
    lab = make_lab(alpha={"answers": {"judge": "1"}})

    def judged(text, target):
        return float(lab.chat("judge").text)

    run = lab.replay(["a", "b", "c"], scorers=[judged], concurrency=3, preflight=False)
    assert run.df["score_judged"].tolist() == [1.0] * 3
    assert len(lab.calls()) == 6


def test_a_sync_verb_in_the_labs_own_loop_is_a_clear_error(make_lab):
    lab = make_lab(alpha=EMBEDS)

    async def inside(verb):
        return verb()

    verbs = [lambda: lab.chat("x"), lambda: lab.embed("x"), lambda: list(lab.stream("x")), lambda: lab.explain("x")]
    for verb in verbs:
        with pytest.raises(rl.RouterLabError, match="a… twin"):
            lab._session.run(inside(verb))

    async def twin():
        return (await lab.achat("x")).text

    assert lab._session.run(twin())


def interrupt_when(condition):
    """Press Ctrl-C once it says something true; gives back the thread that does."""

    def press():
        if wait_until(condition):
            signal.raise_signal(signal.SIGINT)

    thread = threading.Thread(target=press)
    thread.start()
    return thread


def test_an_interrupt_ends_a_chat_and_leaves_the_lab_usable(make_lab, requests_of):
    lab = make_lab(alpha={"script": ["stall"]})
    pressing = interrupt_when(lambda: requests_of(lab, "alpha"))
    with pytest.raises(KeyboardInterrupt):
        lab.chat("hello")
    pressing.join()
    assert lab.calls()["outcome"].tolist() == ["cancelled"]
    assert requests_of(lab, "alpha") == 1
    assert lab.chat("hello").model == "sim/alpha"


def test_an_interrupt_ends_a_stream(make_lab):
    lab = make_lab(alpha={"faults": [{"kind": "stall_midway", "after_tokens": 1}]})
    pieces = []

    def read():
        for piece in lab.stream("hello"):
            pieces.append(piece)  # noqa: PERF402 - one by one: the other thread looks at them

    pressing = interrupt_when(lambda: pieces)
    with pytest.raises(KeyboardInterrupt):
        read()
    pressing.join()
    assert len(pieces) == 1
    assert wait_until(lambda: lab.calls()["outcome"].tolist() == ["cancelled"])
    assert lab.calls(text=True)["text"].tolist() == ["".join(pieces)]


def test_an_interrupted_replay_gives_what_it_has(make_lab, requests_of):
    lab = make_lab(alpha={"script": [None, None, None, *["stall"] * 8]})
    pressing = interrupt_when(lambda: requests_of(lab, "alpha") == 5)  # three are answered, two never will be
    run = lab.replay([f"question {number}" for number in range(20)], concurrency=2, preflight=False)
    pressing.join()
    assert run.status == "stopped"
    assert sorted(run.df["status"].tolist())[:4] == ["ok", "ok", "ok", "pending"]
    assert lab._session.snapshot("sim/alpha").in_flight == 0


# -- the end -----------------------------------------------------------------------------------------------------------


def test_after_closing_every_verb_says_so(make_lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lab = make_lab(alpha=EMBEDS, lab={"store": None})
    lab.chat("hello")
    lab.close()
    lab.close()
    assert lab.closed
    assert "(closed)" in repr(lab)
    verbs = [
        lambda: lab.chat("x"),
        lambda: lab.stream("x"),
        lambda: lab.embed("x"),
        lambda: lab.explain("x"),
        lambda: lab.replay(["x"]),
        lab.traffic,
        lab.health,
        lambda: lab.breaker("sim/alpha"),
        lambda: lab.reset("sim"),
        lambda: asyncio.run(lab.achat("x")),
        lambda: asyncio.run(lab.aembed("x")),
        lambda: asyncio.run(lab.areplay(["x"])),
    ]
    for verb in verbs:
        with pytest.raises(rl.LabClosedError, match="make a new one"):
            verb()
    assert len(lab.calls()) == 1
    assert not list(tmp_path.iterdir())


def test_closing_in_the_middle_of_everything(make_lab, tmp_path, monkeypatch):
    monkeypatch.setattr("routerlab.session.loop._PATIENCE_S", 180.0)  # whoever waits for it in vain waits for long
    lab = make_lab(
        alpha={"tokens_per_s": 20, "answers": {"long": "word " * 2_000}},
        beta={"faults": ["stall"]},
        pool={"models": ["sim/alpha"]},
        lab={"store": tmp_path / "runs.db"},
    )
    streams = [lab.stream("long") for _ in range(4)]
    for stream in streams:
        next(iter(stream._call.pipe.get, None))
    traffic = lab.traffic("200/s", prompts=["long"])
    run = lab.replay([f"q {number}" for number in range(50)], models=["sim/beta"], wait=False, preflight=False)
    errors = []

    def chat():
        try:
            lab.chat("long", model="sim/beta")
        except rl.RouterLabError as error:
            errors.append(error)

    chatting = threading.Thread(target=chat)
    chatting.start()
    assert wait_until(lambda: lab._session.snapshot("sim/beta").in_flight >= 9)
    started = time.monotonic()
    lab.close()
    assert time.monotonic() - started < 120
    chatting.join(30)
    assert [type(error) for error in errors] == [rl.LabClosedError]
    assert not traffic.running
    assert run.wait(30).over
    assert run.status == "stopped"
    assert not ours()
    assert set(lab.calls()["outcome"]) == {"cancelled"}
    assert lab.calls(text=True)["text"].str.startswith("word").sum() >= 4
    connection = sqlite3.connect(tmp_path / "runs.db")
    (kept,) = connection.execute("SELECT count(*) FROM calls").fetchone()
    connection.close()
    assert kept == len(lab.calls())


def test_a_lab_that_is_made_again_closes_the_old_one(make_lab):
    config = {"providers": {"sim": {"kind": "simulated", "models": ["alpha"]}}}
    gc.disable()  # what is not held goes at once: no cycle keeps it
    try:
        lab = rl.Lab(config, store=False)
        lab.chat("hello")
        lab.faults.outage("sim/alpha")
        with pytest.raises(rl.ProviderUnavailableError):
            lab.chat("hello")
        first = weakref.ref(lab)
        before = ours()
        lab = rl.Lab(config, store=False)
        assert wait_until(lambda: first() is None)
        assert wait_until(lambda: not Counter(ours()) - Counter(before))
        lab.chat("hello")
        lab.close()
    finally:
        gc.enable()


def test_collected_in_its_own_loop_thread(no_leaks):
    lab = rl.Lab({"providers": {"sim": {"kind": "simulated", "models": ["alpha"]}}}, store=False)
    lab.chat("hello")
    loop, cell = lab._session.loop.loop, [lab]
    del lab
    loop.call_soon_threadsafe(cell.clear)
    assert wait_until(lambda: not ours())
    assert loop.is_closed()


def test_collected_in_a_thread_that_closing_waits_for(no_leaks, tmp_path):
    """The writer's, the server's, a scorer's: the collector asks nobody."""
    for name in ("routerlab-simulated", "routerlab-store", "scorer"):
        config = {"providers": {"sim": {"kind": "simulated", "models": ["alpha"]}}}
        lab = rl.Lab(config, store=tmp_path / "runs.db")
        lab.chat("hello")
        cell = [lab]
        if name == "routerlab-simulated":
            loop = lab._session.connectors["sim"].server._running._loop
            del lab
            loop.call_soon_threadsafe(cell.clear)
        elif name == "scorer":
            loop = lab._session.loop.loop
            del lab
            loop.call_soon_threadsafe(lambda loop=loop, cell=cell: loop.run_in_executor(None, cell.clear))
        else:
            spool = lab._session.recorder.store._writer._spool
            spool.drop = lambda committed, cell=cell: cell.clear()  # what the writer does after a commit
            lab._session.recorder.add("events", {"at": 0.0, "kind": "x"})
            del lab, spool
        assert wait_until(lambda: not ours()), name


def test_collected_while_a_store_is_being_opened(no_leaks, tmp_path):
    """The registry of writers is locked then, and closing needs that lock."""
    from routerlab.session import store_writer

    lab = rl.Lab({"providers": {"sim": {"kind": "simulated", "models": ["alpha"]}}}, store=tmp_path / "runs.db")
    with store_writer._writers_lock:
        started = time.monotonic()
        del lab
        assert time.monotonic() - started < 60
    assert wait_until(lambda: not ours())


def test_two_labs_at_once_do_not_know_of_each_other(make_lab, requests_of):
    one, two = make_lab(alpha={}), make_lab(alpha={})
    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda number: (one if number % 2 else two).chat(f"{number}"), range(40)))
    assert requests_of(one, "alpha") == requests_of(two, "alpha") == 20
    one.close()
    assert two.chat("still here").text


def test_leaving_with_closes(no_leaks):
    with rl.Lab.demo() as lab:
        assert lab.models == ["sim/alpha", "sim/beta", "sim/gamma"]
        assert lab.chat("Why is the sky blue?").text
    assert lab.closed


SCRIPT = """
import sys
import routerlab as rl
lab = rl.Lab.demo(store=sys.argv[1])
run = lab.replay([{"prompt": "a", "target": "b"}], scorers=["contains"])
traffic = lab.traffic("100/s")
stream = lab.stream("hello")
background = lab.replay(["q"] * 500, wait=False)
lab.chat("Why is the sky blue?")
"""


def test_a_script_that_just_ends(tmp_path):
    path = tmp_path / "runs.db"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", SCRIPT, str(path)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=120, check=False, cwd=Path(__file__).parents[1]
    )
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    connection = sqlite3.connect(path)
    outcomes = dict(connection.execute("SELECT outcome, count(*) FROM calls GROUP BY outcome"))
    status = {status for (status,) in connection.execute("SELECT status FROM runs")}
    connection.close()
    assert outcomes["ok"] >= 2
    assert outcomes["cancelled"] >= 1
    assert status == {"done", "stopped"}


# -- secrets -----------------------------------------------------------------------------------------------------------


def forms(key):
    from urllib.parse import quote

    return {key, quote(key, safe=""), base64.b64encode(key.encode()).decode()}


def assert_clean(text, where):
    for form in forms(KEY):
        assert form not in text, where


def chain(error):
    seen = []
    while error is not None and error not in seen:
        seen.append(error)
        error = error.__cause__ or error.__context__
    return seen


@pytest.mark.parametrize("fault", ["echo", "unavailable", "reset", "stall", "not_json", "cut_stream"])
def test_a_key_is_nowhere(monkeypatch, tmp_path, caplog, fault):
    caplog.set_level(logging.DEBUG)
    monkeypatch.setenv("CANARY_API_KEY", KEY)
    model = {"ttft_s": 0.001, "faults": [] if fault == "echo" else [fault]}
    config = {
        "providers": {"sim": {"kind": "simulated", "api_key": "${env:CANARY_API_KEY}", "models": {"alpha": model}}},
        "pools": {"chat": {"retry": {"initial_delay": 0.01}, "timeouts": {"request": 0.1, "first_token": 0.1}}},
    }
    path = tmp_path / "runs.db"
    with rl.Lab(config, store=path) as lab:
        if fault == "echo":
            server, message = lab._session.connectors["sim"].server, f"Incorrect API key provided: {KEY}"
            server.faults.inject("alpha", "status", status=401, message=message, code="invalid_api_key")
            del server, message
        for verb in (lambda: lab.chat("hello"), lambda: list(lab.stream("hello"))):
            with pytest.raises(rl.RequestError) as caught:
                verb()
            caught.value.__traceback__ = caught.value.__traceback__.tb_next.tb_next  # without this test's own frames
            for error in chain(caught.value):
                assert_clean(repr(error) + str(error) + repr(vars(error)), "error")
                for frame, _ in traceback.walk_tb(error.__traceback__):
                    assert_clean(repr(frame.f_locals), f"locals of {frame.f_code.co_qualname}")
            assert_clean(pickle.dumps(caught.value).decode("latin-1"), "pickle")
        lab.reset("sim")
        run = lab.replay(["a"], models=["sim/alpha"], deadline=0.3, give_up_after=0.3, preflight=False)
        assert_clean(run.df.to_csv() + repr(run) + run._repr_html_(), "run")
        frames = [lab.calls(text=True), lab.attempts(), lab.events(), lab.decisions(), lab.candidates(), lab.health()]
        for frame in frames:
            assert_clean(frame.to_csv(), "frame")
        things = [lab, lab.config, lab._session, lab._session.connectors, lab._session.desk, lab.faults]
        for thing in things:
            assert_clean(repr(thing), type(thing).__name__)
    assert_clean(caplog.text, "log")
    for file in tmp_path.iterdir():
        assert_clean(file.read_bytes().decode("latin-1"), file.name)


def test_replies_and_errors_can_be_pickled(make_lab):
    lab = make_lab(alpha={}, beta={"faults": ["unavailable"]}, pool={"models": ["sim/alpha"]})
    reply = lab.chat("hello")
    copy = pickle.loads(pickle.dumps(reply))  # noqa: S301
    assert (copy.text, copy.model, copy.usage, copy.parts) == (reply.text, reply.model, reply.usage, reply.parts)
    for options in ({"model": "sim/beta"}, {"model": "sim/beta", "deadline": 0.001}):
        with pytest.raises(rl.RequestError) as caught:
            lab.chat("hello", **options)
        again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301
        assert (type(again), str(again), again.call_id) == (type(caught.value), str(caught.value), caught.value.call_id)


# -- one's own connector -----------------------------------------------------------------------------------------------


class Own(ProviderConnector):
    """As in the documentation of `ProviderConnector`."""

    async def complete(self, request):
        return CompletionResponse(request.messages[-1]["content"].upper(), finish_reason="stop")

    async def stream(self, request):
        yield Delta(text=request.messages[-1]["content"])
        yield Delta(finish_reason="stop")

    async def embed(self, request):
        return EmbeddingResponse(tuple((float(len(text)),) for text in request.inputs))


def test_a_connector_of_ones_own(no_leaks):
    models = {"m": {}, "v": {"capabilities": ["embedding"]}}
    with rl.Lab({"providers": {"own": {"kind": f"{__name__}:Own", "models": models}}}, store=False) as lab:
        assert lab.chat("hello").text == "HELLO"
        assert list(lab.stream("hello")) == ["hello"]
        assert lab.embed(["abc"])[0] == (3.0,)
        assert lab.chat("hello").cost_usd is None
        assert lab.calls()["simulated"].tolist() == [False] * 4
