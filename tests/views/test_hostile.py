"""Names and replies that would break a page, a terminal or a file: every face of a run bears them."""

from __future__ import annotations

import csv
import io
import json
import re
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from rich.console import Console

import routerlab as rl
from routerlab.core.errors import ConfigurationError
from routerlab.experiments.scorer import Scorer
from routerlab.views.terminal import print_run

TURNED, HALF = "\u202etxt.exe", "half \ud800 a character"
REPLIES = [
    "</script><script>alert(1)</script>", "<!-- <script>", "\x1b]0;title\x07\x1b[31mred\x9b2J", TURNED, "nul\0nul",
    HALF, "=cmd()|' /C calc'!A0", "two\r\nlines", "x" * 300_000, "",
]  # fmt: skip
NAME = "../../up\n<script>alert(2)</script>\x1b[31m\u202e"
SCORER = "<i>\x1b[32m\u202e"
HARMFUL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Gateway(BaseHTTPRequestHandler):
    """Gives the reply whose number the prompt ends in."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["content-length"])))
        reply = REPLIES[int(asked["messages"][-1]["content"].split()[-1])]
        usage = {"prompt_tokens": 3, "completion_tokens": 5, "total_tokens": 8}
        choice = {"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}
        body = json.dumps({"model": "served<script>\x1b[31m\ud800", "choices": [choice], "usage": usage}).encode()
        self.send_response(200)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *words: Any) -> None:
        """Nothing."""


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[rl.Lab]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Gateway)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    provider = {"kind": "openai_compatible", "base_url": f"http://127.0.0.1:{server.server_port}/v1"}
    config = {"providers": {"sim": {**provider, "models": ["a", "b"]}}}
    with rl.Lab(config, store=tmp_path_factory.mktemp("runs") / "runs.db") as made:
        yield made
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module", params=["at hand", "reopened"])
def run(lab: rl.Lab, request: pytest.FixtureRequest) -> Any:
    items = [
        {"id": f"<b>{n}\n{reply[:9]}", "prompt": f"prompt {n}"} for n, reply in enumerate(REPLIES) if reply != HALF
    ]
    items.append({"id": "half", "prompt": f"prompt {REPLIES.index(HALF)}"})
    scorers = [Scorer(SCORER, lambda text, target, item: float(len(text) > 9))]
    variants = {"=v</script>\n\x1b[31m": {"model": "sim/a"}}
    made = lab.replay(
        items, models=lab.models, variants=variants, scorers=scorers, stream=False, name=NAME, preflight=False
    )
    assert made.progress.ok == made.progress.total == 30
    return made if request.param == "at hand" else rl.open_run(NAME, lab.config.store)


def test_pages_hold_signs_in_the_place_of_what_would_do_harm(run: Any, tmp_path: Path) -> None:
    side = run.side_by_side()
    pages = [run._repr_html_(), side._kept_html(), run.compare("sim/a", "sim/b")._repr_html_()]
    pages += [run.report(tmp_path / f"{text}.html", text=text).read_text(encoding="utf-8") for text in (False, True)]
    pages.append(side.save(tmp_path / "side.html").read_text(encoding="utf-8"))
    for page in pages:
        assert "<script" not in page
        assert "<!--" not in page
        assert not HARMFUL.search(page)
    assert not HARMFUL.search(json.dumps([side.page(), side._about()["headline"]], ensure_ascii=False))
    for kind in ("overview", "frontier", "breakers"):
        ET.parse(run.plot(kind).save(tmp_path / f"{kind}.svg"))  # noqa: S314 - our own


def test_a_terminal_only_shows_them(run: Any) -> None:
    out = io.StringIO()
    print_run(run, Console(file=out, width=100))
    assert not HARMFUL.search(out.getvalue() + str(run.side_by_side()))


def test_files_of_rows_hold_all_that_can_be_written(run: Any, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    expected = run.df["text"].tolist()
    assert "half \ufffd a character" in expected, "as in the records"
    assert pd.read_parquet(run.to_parquet(tmp_path / "a.parquet"))["text"].tolist() == expected
    lines = run.to_jsonl(tmp_path / "a.jsonl").read_text(encoding="utf-8").split("\n")
    assert [json.loads(line)["text"] for line in lines if line] == expected
    csv.field_size_limit(1_000_000)
    with run.to_csv(tmp_path / "a.csv", escape_formulas=True).open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["variant"] for row in rows} == {"sim/a", "sim/b", "'=v</script>\n\x1b[31m"}
    assert not [row["text"] for row in rows if row["text"].startswith("=")]
    assert run.to_otel(tmp_path / "a.otel", text=True) == 60


def test_replies_side_by_side_are_saved_whole_or_not_at_all(run: Any, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"there is no folder .*absent; make it first"):
        run.side_by_side().save(tmp_path / "absent" / "side.html")
    with pytest.raises(ConfigurationError, match=r"there is no folder .*absent; make it first"):
        run.plot().save(tmp_path / "absent" / "run.svg")
