"""Results in the shape of OpenAI's batch output."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

import routerlab as rl
from routerlab.experiments.batches import write_batch_results

OK = {
    "item_id": "r-1",
    "call_id": "c1",
    "status": "ok",
    "text": "Ünicode",
    "model": "sim/a",
    "served_model": "a-2024",
    "finish_reason": "stop",
    "prompt_tokens": 3,
    "completion_tokens": 4,
    "ended_at": 1_700_000_000.9,
}
FAILED = {"item_id": "r-2", "call_id": "c2", "status": "failed", "error_type": "RateLimitError", "error_message": "429"}
PENDING = {"item_id": "r-3", "status": "pending"}
TOOLS = {**OK, "item_id": "r-4", "call_id": "c4", "text": None, "finish_reason": "tool_calls"}


def lines(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_row_has_a_line_whether_it_was_answered_or_not(tmp_path: Path) -> None:
    path = write_batch_results([OK, FAILED, PENDING, TOOLS], tmp_path / "out.jsonl")
    written = lines(path)
    assert [line["custom_id"] for line in written] == ["r-1", "r-2", "r-3", "r-4"]
    assert written[0]["id"] == "batch_req_c1"
    assert written[0]["error"] is None
    assert written[0]["response"]["status_code"] == 200
    assert [line["response"] for line in written[1:]] == [None] * 3
    assert written[1]["error"] == {"code": "RateLimitError", "message": "429"}
    assert [line["error"]["code"] for line in written[2:]] == ["not_sent", "tool_calls_not_kept"]


def test_the_body_is_a_chat_completion_as_the_sdk_reads_it(tmp_path: Path) -> None:
    chat = pytest.importorskip("openai.types.chat")
    body = lines(write_batch_results([OK], tmp_path / "out.jsonl"))[0]["response"]["body"]
    completion = chat.ChatCompletion.model_validate(body, strict=True)
    assert completion.choices[0].message.content == "Ünicode"
    assert (completion.model, completion.created, completion.usage.total_tokens) == ("a-2024", 1_700_000_000, 7)


def test_a_frame_gives_the_same_lines_as_its_rows(tmp_path: Path) -> None:
    frame = pd.DataFrame([OK, FAILED, PENDING])
    frame["ended_at"] = pd.to_datetime([datetime(2023, 11, 14, 22, 13, 20, tzinfo=UTC), None, None])
    frame["prompt_tokens"] = frame["prompt_tokens"].astype("Int64")
    rows = lines(write_batch_results([OK, FAILED, PENDING], tmp_path / "rows.jsonl"))
    assert lines(write_batch_results(frame, tmp_path / "frame.jsonl")) == rows


def test_a_batch_goes_in_and_its_results_come_out(tmp_path: Path) -> None:
    bodies = [{"model": "x", "messages": [{"role": "user", "content": text}], "max_tokens": 40} for text in ("a", "b")]
    requests = [
        {"custom_id": f"r-{n}", "method": "POST", "url": "/v1/chat/completions", "body": body}
        for n, body in enumerate(bodies)
    ]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps(request) + "\n" for request in requests))
    with rl.Lab.demo() as lab:
        run = lab.replay(rl.load_dataset(tmp_path / "in.jsonl"))
        calls = lab.calls(text=True)
        sent = calls[calls["purpose"] == "replay"]["params"].tolist()
    written = lines(run.to_batch_jsonl(tmp_path / "out.jsonl"))
    assert [params["max_tokens"] for params in sent] == [40, 40]
    assert [line["custom_id"] for line in written] == ["r-0", "r-1"]
    assert [line["response"]["body"]["choices"][0]["message"]["content"] for line in written] == run.df["text"].tolist()
