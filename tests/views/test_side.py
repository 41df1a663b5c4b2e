"""Replies side by side: what a page is told, what a table and a file hold, what stays out."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import routerlab as rl
from routerlab.core.errors import ConfigurationError
from routerlab.experiments.lines import Line
from routerlab.views.panel import asset
from routerlab.views.side import SideBySide
from routerlab.views.sidecells import CODE, DIFFERS, line_view

EVIL = "<img src=x onerror=alert(1)>"
SAID = {
    "alpha": ["It is 4.", f"{EVIL} no", "right-to-left \u202e and \x1b[31m"],
    "beta": ["It is 5.", f"{EVIL} yes", "half \x00 a character"],
    "gamma": ["It is 4.", "no", "```\ncode = 1\n```\nafter"],
}


def rows() -> list[dict[str, Any]]:
    return [
        {"item_id": f"q{n}", "variant": arm, "repeat": 0, "status": "ok", "prompt": f"{EVIL} {n}?", "text": said[n],
         "target": ["4", "four"], "score_exact": float("4" in said[n]), "latency_s": 0.2, "cost_usd": 0.001,
         "requested_model": arm, "model": arm}
        for n in range(3) for arm, said in SAID.items()
    ]  # fmt: skip


def cells(page: dict[str, Any], item: str) -> list[dict[str, Any]]:
    return next(line["cells"] for line in page["lines"] if line["id"] == item)


def test_a_line_tells_texts_differences_scores_and_costs() -> None:
    alpha, beta, gamma = cells(SideBySide(rows(), ["exact"]).page(), "q0")

    assert [text for text, kind in beta["parts"] if kind & DIFFERS] == ["5"]
    assert [text for text, kind in alpha["parts"] if kind & DIFFERS] == ["4"], "beta lacks it"
    assert [kind for _, kind in gamma["parts"]] == [0]
    assert (alpha["scores"], beta["scores"]) == ([("✓", "exact", "1")], [("✗", "exact", "0")])
    assert beta["facts"] == ["200 ms", "$0.001"]


def test_controls_and_marks_of_direction_are_seen_and_code_is_told() -> None:
    alpha, beta, gamma = cells(SideBySide(rows()).page(), "q2")

    assert "".join(text for text, _ in alpha["parts"]) == "right-to-left [U+202E] and ␛[31m"
    assert "".join(text for text, _ in beta["parts"]) == "half ␀ a character"
    assert "".join(text for text, kind in gamma["parts"] if kind & CODE) == "```\ncode = 1\n```"


def test_failures_and_gaps_are_told_in_words() -> None:
    first = {"prompt": "Why?", "text": None}
    states = {
        "failed": {**first, "status": "failed", "error_type": "RateLimitError", "error_message": EVIL},
        "waits": {**first, "status": "pending"},
        "mute": {**first, "status": "ok", "text": " \n"},
        "lost": {**first, "status": "ok"},
        "other": {**first, "status": "ok", "text": "x", "requested_model": "a/b", "model": "c/d", "prompt": "How so?"},
    }
    line = Line("i", 1, "Why?", {"k": 1}, states)
    view = line_view(line, [*states, "absent"], ["exact"], most=100)

    words = ["".join(text for text, _ in cell["parts"]) for cell in view["cells"]]
    assert words == [
        f"Failed: RateLimitError: {EVIL}", "Not reached.", "An empty reply.", "The text was not kept.", "x",
        "Not reached.",
    ]  # fmt: skip
    assert view["cells"][4]["facts"] == ["answered by c/d"]
    assert view["cells"][4]["asked"]["parts"] == [("How so?", 0)]
    assert view["target"]["parts"] == [('{"k": 1}', 0)]


def test_pages_are_small_and_whole_texts_are_sent_when_asked_for() -> None:
    many = [{**row, "item_id": f"i{n}", "text": row["text"] * 2000} for n in range(15) for row in rows()]
    side = SideBySide([{**row, "item_id": f"{row['item_id']}-{place // 3}"} for place, row in enumerate(many)])
    sent: list[Any] = []
    side.widget.send = sent.append
    page = side.page(99)

    assert (page["number"], page["pages"], page["found"], len(page["lines"])) == (3, 3, 45, 5)
    assert len(json.dumps(side.page())) < 20 * 4 * 2 * 3000
    cell = page["lines"][0]["cells"][0]
    assert cell["more"] > 0
    side._heard(None, {"view": "v", "ask": 1, "key": page["lines"][0]["key"]}, None)
    assert sent[0]["line"]["cells"][0]["more"] == 0


@pytest.mark.parametrize(
    ("asked", "found"),
    [
        ({"query": {"search": "YES"}}, ["q1"]),
        ({"query": {"show": "disagreements"}}, ["q0"]),
        ({"query": {"show": "wrong", "arm": "beta"}}, ["q0", "q1", "q2"]),
        ({"query": {"show": 7, "order": "x", "arm": [], "search": None}, "reference": "nobody"}, ["q0", "q1", "q2"]),
        ({"query": "nonsense"}, ["q0", "q1", "q2"]),
    ],
)  # fmt: skip
def test_a_page_may_ask_for_anything(asked: dict[str, Any], found: list[str]) -> None:
    side = SideBySide(rows(), ["exact"])
    sent: list[Any] = []
    side.widget.send = sent.append
    side._heard(None, {"view": "v", "ask": 1, "page": 1, **asked}, None)
    side._heard(None, "nonsense", None)
    side._heard(None, {"view": "v", "key": 10**6}, None)

    (answer,) = sent
    assert [line["id"] for line in answer["page"]["lines"]] == found
    assert (answer["view"], answer["ask"]) == ("v", 1)


def test_the_table_is_escaped_folded_and_bounded(tmp_path: Path) -> None:
    long = [{**row, "text": row["text"] + " word" * 2000} for row in rows()]
    side = SideBySide(long, ["exact"], name=EVIL)
    html, page = side.html(n=2), side.save(tmp_path / "side.html").read_text(encoding="utf-8")

    for text in (html, page):
        assert "<img" not in text
        assert "&lt;img src=x onerror=alert(1)&gt;" in text
        assert re.search(r"<details><summary[^>]*>show all: 9,\d+ more characters", text)
        assert "<u style" in text
    assert "2 of 3 rows are shown" in html
    assert "<script" not in page
    assert len(side._kept_html()) < 120_000
    with pytest.raises(ValueError, match=r"ends in \.html"):
        side.save(tmp_path / "side.txt")


def test_without_static_texts_only_a_page_with_a_kernel_gets_them() -> None:
    side = SideBySide(rows(), ["exact"], static=False)
    state = json.dumps(side.widget.get_state(["about", "first"]))

    assert "It is" not in state + side._kept_html()
    assert "It is 4." in json.dumps(SideBySide(rows()).widget.get_state(["first"]))


def test_the_frame_has_a_row_per_prompt() -> None:
    frame = SideBySide(rows(), ["exact"], arms=["beta", "alpha"]).df

    assert list(frame.columns) == [
        "item_id", "repeat", "prompt", "target", "spread", "difference",
        *(f"{name}_{arm}" for arm in ("beta", "alpha")
          for name in ("text", "status", "score_exact", "latency_s", "cost_usd")),
    ]  # fmt: skip
    assert frame["item_id"].tolist() == ["q0", "q1", "q2"]
    assert frame["spread"].tolist() == [1.0, 0.0, 0.0]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"order": "best"}, "order='best': expected one of disagreement"),
        ({"n": 0}, "n=0: expected a whole number"),
        ({"scorer": "exakt"}, "did you mean 'exact'"),
        ({"arms": ["alfa"]}, "did you mean 'alpha'"),
    ],
)
def test_mistakes_are_told(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(words)):
        SideBySide(rows(), ["exact"], **options)
    with pytest.raises(ConfigurationError, match="no column 'text'"):
        SideBySide([{key: value for key, value in row.items() if key != "text"} for row in rows()])


def test_runs_comparisons_and_results_from_elsewhere_have_it(tmp_path: Path) -> None:
    models = {name: {"ttft_s": 0.001, "tokens_per_s": 5000, "answers": {"Why?": name}} for name in ("a", "b", "c")}
    config = {"providers": {"sim": {"kind": "simulated", "models": models}}}
    with rl.Lab(config, store=tmp_path / "runs.db") as lab:
        run = lab.replay(rl.load_dataset([{"prompt": "Why?", "answer": "a"}]), ["sim/a", "sim/b", "sim/c"],
                         scorers="exact", name="why")  # fmt: skip
    side = run.side_by_side()
    frame = side.df

    assert repr(side) == "<SideBySide why · 1 prompt · 3 arms · simulated>"
    assert "1 disagree by exact, 0 with a failure" in str(side)
    assert frame.equals(rl.open_run("why", tmp_path / "runs.db").side_by_side().df)
    assert run.compare("sim/c", "sim/a").side_by_side().arms == ["sim/c", "sim/a"]
    assert rl.Outcomes.from_frame(run.df).side_by_side().df["text_sim/b"].tolist() == ["b"]


def test_what_a_frame_lacks_is_not_told() -> None:
    frame = pd.DataFrame([{**row, "cached": None, "target": None} for row in rows()])
    frame.loc[0, ["model", "requested_model"]] = "named"
    frame["status"] = ["failed", *["ok"] * 8]
    frame.loc[3:, ["model", "requested_model", "prompt"]] = float("nan")
    outcomes = rl.Outcomes.from_frame(frame.convert_dtypes())
    lines = outcomes.side_by_side(order="dataset").page()["lines"]

    assert outcomes.outcomes().left_out["alpha"]["other_model"] == 0
    assert [cell["facts"] for cell in lines[1]["cells"]] == [["200 ms", "$0.001"]] * 3
    assert (lines[1]["prompt"]["parts"], lines[1]["target"]["parts"]) == ([], [])


def test_model_text_enters_the_page_as_text_alone() -> None:
    script = asset("side.js")

    assert not re.search(r"innerHTML|outerHTML|insertAdjacent|document\.write|eval\(", script)
