"""What all wire formats have in common: addresses, keys, unknown models, answers that were begun, limits."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.core.seam import INSTRUCTION
from routerlab.simulation.dialects import DIALECTS, dialect_of

PROMPT = "What is the capital of France?"
ANSWER = "Paris, on the river Seine, as everybody knows."
KINDS = ["openai", "openai_responses", "anthropic", "gemini", "ollama", "cohere"]
KEYS = {
    "openai": {"Authorization": "Bearer k"},
    "openai_responses": {"Authorization": "Bearer k"},
    "anthropic": {"x-api-key": "k"},
    "gemini": {"x-goog-api-key": "k"},
    "ollama": {"Authorization": "Bearer k"},
    "cohere": {"Authorization": "Bearer k"},
}
BOTH = [pytest.param(False, id="whole"), pytest.param(True, id="stream")]


def test_each_kind_has_its_base_url(serve: Any) -> None:
    server = serve()
    root = server.url().removesuffix("/v1")
    urls = {kind: server.url(kind=kind).removeprefix(root) for kind in KINDS}
    paths = {
        "openai": "/v1",
        "openai_responses": "/v1",
        "anthropic": "",
        "gemini": "/v1beta",
        "ollama": "",
        "cohere": "",
    }
    assert urls == paths
    assert [dialect.kind for dialect in DIALECTS] == KINDS
    with pytest.raises(ConfigurationError, match="did you mean 'gemini'"):
        server.url(kind="gemni")


@pytest.mark.parametrize("kind", KINDS)
def test_all_formats_give_the_same_answer_at_the_same_port(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    prompt = ("user", "Tell me something new")
    told = talk(server, "openai", prompt).text
    assert told
    for stream in (False, True):
        assert talk(server, kind, prompt, stream=stream).text == told


@pytest.mark.parametrize("kind", KINDS)
def test_a_key_is_asked_for_where_the_format_has_it(serve: Any, talk: Any, kind: str) -> None:
    server = serve(api_key="k")
    status = 400 if kind == "gemini" else 401
    assert talk(server, kind).status == status
    wrong = {name: value.replace("k", "z") if value == "k" else "Bearer z" for name, value in KEYS[kind].items()}
    assert talk(server, kind, headers=wrong).status == status
    assert talk(server, kind, headers=KEYS[kind]).text == ANSWER


def test_geminis_key_may_stand_in_the_address(serve: Any, talk: Any) -> None:
    server = serve(api_key="k")
    assert talk(server, "gemini", path="/models/alpha:generateContent?key=k").text == ANSWER


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("openai_responses", "The model `omega` does not exist or you do not have access to it."),
        ("anthropic", "model: omega"),
        ("gemini", "models/omega is not found for API version v1beta, or is not supported for generateContent."),
        ("ollama", "model 'omega' not found"),
        ("cohere", "model 'omega' not found"),
    ],
)
def test_an_unknown_model_is_told_in_the_providers_words(serve: Any, talk: Any, kind: str, message: str) -> None:
    server = serve()
    path = "/models/omega:generateContent" if kind == "gemini" else None
    more = {} if kind == "gemini" else {"model": "omega"}
    seen = talk(server, kind, path=path, **more)
    assert seen.status == 404
    assert message in str(seen.json)
    assert (server.requests("omega"), server.log[-1].status) == (1, 404)


@pytest.mark.parametrize(
    ("path", "kind"),
    [
        ("/v1/nothing", "openai"),
        ("/v1/messages/nothing", "anthropic"),
        ("/v1/responses/nothing", "openai_responses"),
        ("/v1beta/nothing", "gemini"),
        ("/api/nothing", "ollama"),
        ("/v2/nothing", "cohere"),
        ("/", "openai"),
    ],
)
def test_an_unknown_address_is_told_in_the_words_of_whose_it_is(serve: Any, path: str, kind: str) -> None:
    assert dialect_of(path).kind == kind
    answer = httpx.get(serve().url(kind="ollama") + path)
    assert answer.status_code == 404
    assert f"Invalid URL (GET {path})" in answer.text


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("body", ["no json", "[]", "5", '{"model": 5}', '{"model": "alpha"}', "{}"])
def test_what_is_no_request_is_refused(serve: Any, kind: str, body: str) -> None:
    server = serve()
    paths = {"anthropic": "/v1/messages", "ollama": "/api/chat", "cohere": "/v2/chat", "openai": "/chat/completions"}
    path = {**paths, "openai_responses": "/responses", "gemini": "/models/alpha:generateContent"}[kind]
    answer = httpx.post(server.url(kind=kind) + path, content=body)
    assert answer.status_code in (400, 404)
    assert isinstance(answer.json(), dict)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_of_the_wrong_type_are_refused(serve: Any, talk: Any, kind: str) -> None:
    server = serve()
    for wrong in (5, "x", [5], {"a": 5}):
        for name in ("tools", "messages", "contents", "input", "generationConfig", "options", "system", "text"):
            seen = talk(server, kind, **{name: wrong})
            assert seen.status in (200, 400), (name, wrong, seen.body)


# --- answers that were begun -----------------------------------------------------------------------------------------


@pytest.mark.parametrize("stream", BOTH)
@pytest.mark.parametrize("kind", KINDS)
def test_a_last_message_of_the_assistant_is_carried_on(serve: Any, talk: Any, kind: str, stream: bool) -> None:
    begun = ("assistant", "Paris, on the river")
    assert talk(serve(), kind, ("user", PROMPT), begun, stream=stream).text == " Seine, as everybody knows."


@pytest.mark.parametrize("kind", KINDS)
def test_a_model_without_prefill_refuses_it(serve: Any, talk: Any, kind: str) -> None:
    server = serve({"alpha": {"features": ["tools", "json", "vision"]}})
    seen = talk(server, kind, ("user", PROMPT), ("assistant", "Paris"))
    assert seen.status == 400
    assert (
        "assistant" in seen.body.decode() or "user role" in seen.body.decode() or "from the user" in seen.body.decode()
    )
    assert talk(server, kind, ("assistant", "Paris"), ("user", PROMPT)).text == ANSWER


@pytest.mark.parametrize("kind", KINDS)
def test_an_instruction_to_go_on_needs_no_feature(serve: Any, talk: Any, kind: str) -> None:
    server = serve({"alpha": {"features": [], "overlap": 1}})
    begun, asked = ("assistant", "Paris, on"), ("user", INSTRUCTION)
    assert talk(server, kind, ("user", PROMPT), begun, asked).text == " on the river Seine, as everybody knows."


# --- limits ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "names"),
    [
        (
            "openai_responses",
            [f"x-ratelimit-{what}" for what in ("limit-requests", "remaining-tokens", "reset-tokens")],
        ),
        (
            "anthropic",
            [f"anthropic-ratelimit-{what}" for what in ("requests-limit", "tokens-remaining", "tokens-reset")],
        ),
        ("cohere", ["x-trial-endpoint-call-limit", "x-trial-endpoint-call-remaining"]),
        ("gemini", []),
        ("ollama", []),
    ],
)
def test_limits_are_told_as_the_provider_tells_them(serve: Any, talk: Any, kind: str, names: list[str]) -> None:
    server = serve({"alpha": {"rpm": 2, "tpm": 1000}})
    first = talk(server, kind)
    assert set(names) <= set(first.headers)
    assert any("limit" in name for name in first.headers) == bool(names)
    talk(server, kind)
    refused = talk(server, kind)
    assert refused.status == 429
    if kind == "gemini":
        delay = refused.json["error"]["details"][-1]["retryDelay"]
        assert 20 < float(delay.removesuffix("s")) <= 30
    else:
        assert 20 < float(refused.headers["retry-after"]) <= 30
