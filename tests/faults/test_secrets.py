"""A key that a provider echoes back in every form, hunted through everything that a lab leaves behind."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl

ECHO = "you sent {key}; again: {key}"
ANSWERS: dict[str, list[Any]] = {
    "in an error": ["read", ("answer", 401, {"error": {"message": ECHO, "code": "{key}"}})],
    "in an error page": ["read", ("answer", 500, f"<html>{ECHO}", {"content-type": "text/html", "x-echo": "{key}"})],
    "in a senseless answer": ["read", ("answer", 200, ECHO, {"content-type": "text/{key}"})],
    "in a redirect": ["read", ("answer", 307, ECHO, {"location": "http://{key}.example/{key}?{key}"})],
    "in an error inside a 200": ["read", ("answer", 200, {"error": {"message": ECHO, "type": "{key}"}})],
    "in an error event": ["read", "stream", ("chunks", {"error": {"message": ECHO}})],
    "in a status line": ["read", b"HTTP/1.1 {key} {key}\r\n\r\n"],
    "in a retry-after": ["read", ("answer", 429, ECHO, {"retry-after": "{key}"})],
    "in limits": ["read", ("answer", 503, ECHO, {"x-ratelimit-remaining-requests": "{key}"})],
}
SHOWN = {"in an error", "in an error page", "in a senseless answer", "in an error inside a 200", "in a retry-after"}


@pytest.mark.parametrize("name", ANSWERS)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
def test_an_echoed_key_is_found_nowhere(name: str, stream: bool, tmp_path: Path, stage, key_forms) -> None:
    """Error, traceback with locals and logs are searched by the bench; here frames, pictures, pickles and the disk."""
    store = tmp_path / "runs.db"
    bench = stage.bench(a=stage.server(ANSWERS[name]), b=stage.server(ANSWERS[name]), lab={"store": store})
    asked = bench.ask(stream=stream)
    assert asked.error is not None
    lab = bench.lab
    shown = [frame.to_csv() for frame in (lab.attempts(), lab.events(), lab.decisions(), lab.candidates())]
    shown += [lab.calls(text=True).to_csv(), lab.health().to_html(), lab.metrics().to_html()]
    shown += [str(asked.error.attempts), repr(lab._session.config), repr(lab._session.connectors)]
    lab.close()
    whole = "\n".join(shown).encode() + pickle.dumps(asked.error)
    whole += b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert not [form for form in key_forms if form.lower().encode() in whole.lower()]
    assert b"***" in whole or name not in SHOWN


def test_the_key_is_sent_all_the_same(stage, key_forms) -> None:
    server = stage.server()
    stage.bench(a=server).ask()
    assert f"authorization: bearer {key_forms[0]}".encode() in server.requests[0].lower()


def test_a_prompt_that_holds_a_known_key_is_redacted_before_it_is_written(tmp_path: Path, stage, key_forms) -> None:
    bench = stage.bench(a=stage.server(), lab={"store": tmp_path / "runs.db"})
    bench.lab.chat(f"my key is {key_forms[0]}")
    assert "***" in bench.lab.calls(text=True)["prompt"].tolist()[0]
    bench.lab.close()
    whole = b"".join(file.read_bytes() for file in tmp_path.iterdir())
    assert b"my key is ***" in whole
    assert not [form for form in key_forms if form.encode() in whole]


def test_a_lab_and_its_parts_are_not_pickled_with_a_key(stage, key_forms) -> None:
    lab = stage.bench(a=stage.server()).lab
    for part in (lab, lab._session, *lab._session.connectors.values(), lab._session.config):
        try:
            pickled = pickle.dumps(part)
        except Exception:  # noqa: BLE001, S112 - refused: that is as good
            continue
        assert key_forms[0].encode() not in pickled
    assert isinstance(lab, rl.Lab)
