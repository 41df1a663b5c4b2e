"""A run as handle and as result, its figures, its report, its progress."""

from __future__ import annotations

import asyncio
import html
import io
import re
import signal
import threading
import time

import pandas as pd
import pytest
from rich.console import Console

import routerlab as rl
from routerlab.core.errors import ConfigurationError
from routerlab.experiments.plan import Progress
from routerlab.experiments.statistics import wilson_interval
from routerlab.views.figures import KINDS
from routerlab.views.history import history_text
from routerlab.views.lanes import Segment
from routerlab.views.markup import page_part
from routerlab.views.progress import progress_line, watch
from routerlab.views.rundata import histories
from routerlab.views.terminal import print_run


def until(condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_frame_has_a_row_for_every_item(run):
    df = run.df
    assert len(df) == 7
    assert df["status"].tolist() == ["ok"] * 6 + ["failed"]
    assert df["model"].tolist()[:5] == ["sim/alpha", "sim/alpha", "sim/beta", "sim/beta", "sim/beta"]
    assert df["score_exact"].tolist()[:6] == [1.0] * 6
    assert df["score_exact"].isna().tolist()[6]
    assert df["error_message"].tolist()[6] == "PROVIDERS WORDS"
    assert df["simulated"].all()
    assert df.attrs["status"] == "done"


def test_the_summary_by_model_counts_the_calls_that_reached_it(run, evil):
    summary = run.summary().set_index("model")
    assert summary.index.tolist() == ["sim/alpha", "sim/beta", evil]
    assert summary["calls"].tolist() == [4, 5, 1]
    assert summary["ok"].tolist() == [2, 3, 1]
    assert summary["failed"].tolist() == [2, 2, 0]
    assert summary["failovers"].tolist() == [2, 1, 0]
    assert summary.loc["sim/beta", "success"] == 0.6
    assert summary.loc["sim/beta", ["success_low", "success_high"]].tolist() == pytest.approx(wilson_interval(3, 5))
    assert summary.loc["sim/beta", "p50_latency_s"] == pytest.approx(0.2)  # its own attempts, not the whole call
    assert summary.loc["sim/beta", "cost_usd"] == pytest.approx(0.003)
    assert summary.loc["sim/beta", "score_exact"] == 1.0


def test_the_summary_by_variant_counts_its_items(run):
    row = run.summary("variant").iloc[0]
    assert row[["variant", "calls", "ok", "failed", "failovers"]].tolist() == ["chat", 7, 6, 1, 3]
    assert row["p95_latency_s"] > row["p50_latency_s"]
    with pytest.raises(ConfigurationError, match="variant"):
        run.summary("provider")


def test_the_history_says_when_a_breaker_opened_and_calls_moved_on(run):
    alpha, beta, _ = histories(run.data)
    assert [segment.state for segment in alpha.segments] == ["closed", "open"]
    assert alpha.segments[0] == Segment(0.0, pytest.approx(3.1), "closed")
    assert alpha.away == pytest.approx([2.1, 3.1])
    assert (len(alpha.ok), len(alpha.failed)) == (2, 2)
    assert [segment.state for segment in beta.segments] == ["closed"]
    assert history_text(run.data, 60).splitlines()[0].startswith("sim/alpha ")
    assert "█" in history_text(run.data, 60)


def test_events_of_the_run_tell_the_breakers_story(run, evil):
    start = run.data.start
    for at, old, new in ((1.0, "closed", "open"), (4.0, "open", "half_open"), (4.5, "half_open", "closed")):
        run._recorder.add("events", {"at": start + at, "kind": "breaker", "model": "sim/beta", "old": old, "new": new})
    run._recorder.add("events", {"at": start - 900, "kind": "breaker", "model": evil, "old": "open", "new": "closed"})
    _, beta, other = histories(run.data)
    assert [(s.start, s.state) for s in beta.segments] == [
        (0.0, "closed"),
        (pytest.approx(1.0), "open"),
        (pytest.approx(4.0), "half_open"),
        (pytest.approx(4.5), "closed"),
    ]
    assert [segment.state for segment in other.segments] == ["closed"]  # what was before the run is not its story


@pytest.mark.parametrize("kind", KINDS)
def test_each_figure_is_a_plotly_figure_and_a_picture(run, kind):
    figure = run.plot(kind)
    bundle, _ = figure._repr_mimebundle_()
    assert figure.figure.data
    assert set(bundle) == {"text/html", "image/svg+xml", "image/png", "text/plain"}
    everything = bundle["text/html"] + bundle["image/svg+xml"] + figure.figure.to_json()
    assert "<script" not in everything.replace("\\u003c", "<")
    assert "PROMPT" not in everything
    assert "REPLY" not in everything
    assert "PROVIDERS WORDS" not in everything


def test_an_unknown_figure_is_refused(run):
    with pytest.raises(ConfigurationError, match="overview"):
        run.plot("pie")


def test_the_report_stands_alone(run, tmp_path):
    page = run.report(tmp_path / "run.html").read_text()
    for word in (
        "a &lt;run&gt;",
        "By model",
        "Breakers",
        "Quality and cost",
        "Failovers",
        "Errors",
        "Settings",
        "Simulated",
    ):
        assert word in page
    assert "sim/alpha (503) → sim/beta" in page
    assert "FailoverExhaustedError" in page
    assert "prefers-color-scheme:dark" in page
    assert "default-src 'none'" in page
    links = re.findall(r"""(?:href=|src=|url\()["']?([^"')\s>]+)""", page)
    assert all(link.startswith("#") for link in links)  # patterns of its own pictures
    assert not re.search(r"<(script|link|img|iframe|object)\b", page)
    assert page.count("<svg") == page.count("</svg>") >= 7
    assert len(page) < 1_000_000


def test_the_report_keeps_texts_to_itself_unless_asked(start_run, tmp_path):
    run = start_run(system="SYSTEM", params={"max_tokens": 5, "stop": ["STOPWORD"]}).wait(60)
    private = run.report(tmp_path / "a.html").read_text()
    for secret in ("PROMPT", "REPLY", "PROVIDERS WORDS", "SYSTEM", "STOPWORD"):
        assert secret not in private
    assert "max_tokens=5" in private
    public = run.report(tmp_path / "b.html", text=True).read_text()
    for word in ("&lt;script&gt;PROMPT 1", "REPLY 00001", "PROVIDERS WORDS", "SYSTEM", "STOPWORD"):
        assert word in public
    assert "<script" not in public


def test_a_run_is_shown_in_one_line_in_html_and_in_a_terminal(run):
    assert re.fullmatch(r"<Run 'a <run>' done · 7 of 7 · 1 failed · 3 failovers · \$0\.006 · .*>", repr(run))
    page = run._repr_html_()
    assert "a &lt;run&gt;" in page
    assert "<script" not in page
    out = io.StringIO()
    for width in (80, 140):
        print_run(run, Console(file=out, width=width))
    assert max(map(len, out.getvalue().splitlines())) <= 140
    assert "sim/alpha" in out.getvalue()
    assert "evil/<script>" in out.getvalue()


def test_a_run_that_has_nothing_yet_has_all_its_faces(start_run, tmp_path):
    run = start_run([], size=3)
    assert run.wait(0.05).status == "running"
    assert run.df["status"].tolist() == ["pending"] * 3
    assert len(run.summary()) == 0
    assert run.summary("variant")["success"].isna().all()
    for kind in KINDS:
        assert run.plot(kind).png().startswith(b"\x89PNG")
        assert run.plot(kind).figure
    assert run.report(tmp_path / "run.html").exists()
    print_run(run, Console(file=io.StringIO()))
    assert run.stop().wait(60).status == "stopped"


def test_stop_keeps_what_is_finished(start_run):
    run = start_run(size=12)
    until(lambda: run.progress.done == 7)
    assert not run.over
    run.stop().wait(60)
    assert run.over
    assert run.status == "stopped"
    assert run.df["status"].value_counts().to_dict() == {"ok": 6, "pending": 5, "failed": 1}


def test_an_interrupt_stops_the_run_and_returns_it(start_run):
    class Watched(io.StringIO):
        def isatty(self):
            main = threading.main_thread().ident
            threading.Timer(0.1, lambda: signal.pthread_kill(main, signal.SIGINT)).start()
            return False

    run = start_run(size=12)
    until(lambda: run.progress.done == 7)
    assert watch(run, stream=Watched()) is run
    assert run.status == "stopped"
    assert (run.df["status"] == "ok").sum() == 6


def test_an_interrupt_before_anything_is_shown_stops_the_run_too(start_run):
    class Interrupted(io.StringIO):
        def isatty(self):
            raise KeyboardInterrupt

    run = start_run(size=12)
    assert watch(run, stream=Interrupted()) is run
    assert run.status == "stopped"


def test_a_run_can_be_awaited_and_cancelling_the_wait_stops_it(start_run):
    async def main():
        done = await start_run().finished()
        assert done.status == "done"
        stuck = start_run(size=12)
        waiting = asyncio.create_task(stuck.finished())
        await asyncio.sleep(0)  # a task that has not begun is cancelled without a word to what it runs
        while stuck.progress.done < 7:  # noqa: ASYNC110 - it goes on in another loop
            await asyncio.sleep(0.005)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        assert stuck.wait(60).status == "stopped"

    asyncio.run(main())


def test_what_breaks_the_run_itself_is_raised(start_run):
    run = start_run([[]])
    with pytest.raises(IndexError):
        run.wait(60)
    assert run.status == "failed"


def test_progress_in_a_log_is_lines_of_numbers(run):
    out = io.StringIO()
    watch(run, stream=out)
    line = out.getvalue()
    assert line.startswith("a <run> 100% 7/7 · done · 6 ok · 1 failed · 3 failovers · $0.006")
    assert "\x1b" not in line


def test_progress_in_a_terminal_is_a_bar(run):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    out = Terminal()
    watch(run, stream=out)
    assert "7/7 · done · 6 ok · 1 failed" in out.getvalue(), "on a line of its own: 80 columns are narrow"
    assert "━" in out.getvalue()


def test_progress_says_how_much_longer():
    now = Progress(100, 40, 39, 1, 3, 0.02, 8.0, 7.5, 5.0, "running")
    assert (
        progress_line(now) == " 40% 40/100 · 39 ok · 1 failed · 3 failovers · $0.02 of about $0.05 · 8.0/s · 7.5 s left"
    )
    assert progress_line(Progress(0)).strip().startswith("0/0")


def test_missing_is_missing_not_nan(run):
    assert run.df["cost_usd"].iloc[6] is pd.NA


def test_a_run_that_goes_on_stands_in_the_panel_once(tmp_path):
    with rl.Lab.demo(store=tmp_path / "runs.db") as lab:
        options = {"models": ["sim/alpha"], "name": "once"}
        first = lab.replay([{"prompt": "one"}], **options)
        again = lab.replay([{"prompt": "one"}], **options)
        other = lab.replay([{"prompt": "one"}], **{**options, "name": "other"})
        activity = lab._live.activity
        assert [run["name"] for run in activity.shown()["runs"]] == ["once", "other"]
        assert activity.run(first.run_id) is again  # so that its Stop button stops what is at work
        assert activity.run(other.run_id) is other


def test_dollars_are_no_formulas_to_a_notebook():
    assert 'class="routerlab mathjax_ignore' in page_part("from $1 to $2")


def test_the_report_compares_the_arms(keep_run, tmp_path):
    run = keep_run(120, ("sim/alpha", "sim/beta", "sim/gamma"))
    page = run.report(tmp_path / "run.html", margin=0.02).read_text()
    for sentence in run.compare(margin=0.02).sentences:
        assert html.escape(sentence) in page
    for word in ("sim/alpha against sim/gamma", "Quality and cost", "Quality and latency", "McNemar", "Holm"):
        assert word in page
    assert "PROMPT" not in page
    links = re.findall(r"""(?:href=|src=|url\()["']?([^"')\s>]+)""", page)
    assert all(link.startswith("#") for link in links)
    few = keep_run(4).report(tmp_path / "few.html").read_text()
    assert "4 prompts with a score of two arms: too few for a verdict." in few
    many = keep_run(12, [f"sim/{n}" for n in range(8)]).report(tmp_path / "many.html").read_text()
    assert "The 6 of 8 with the best scores, each with each." in many


def test_a_report_of_10000_rows_stays_small(keep_run, tmp_path):
    run = keep_run(5000, reply="<reply> " * 200)
    assert len(run) == 10_000
    assert run.report(tmp_path / "run.html").stat().st_size < 1_000_000
    page = run.report(tmp_path / "texts.html", text=True)
    assert page.stat().st_size < 6_000_000
    assert re.search(r"[\d,]+ of 5,000 rows are shown\.", page.read_text())
