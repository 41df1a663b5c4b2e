"""A canary key goes out, comes back in every answer, and is shown nowhere."""

from __future__ import annotations

import asyncio
import base64
import json
import logging
import pickle
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from routerlab.core.failures import ProviderError
from routerlab.core.types import EmbeddingRequest
from routerlab.providers.openai_compatible import OpenAICompatibleProvider

KEY = "canary/7f3a+91bc=d2e8 Zq"
QUERY_KEY = "canary-in-the-query-55c1"
HEADER_KEY = "canary-in-a-header-08aa"
FORMS = [
    form
    for key in (KEY, QUERY_KEY, HEADER_KEY)
    for form in (key, quote(key, safe=""), base64.b64encode(key.encode()).decode())
]
ECHO = " | ".join(FORMS)
OPTIONS = {
    "api_key": KEY,
    "query": {"key": QUERY_KEY, "plain": "visible"},
    "headers": {"X-Auth-Token": HEADER_KEY, "Proxy-Authorization": f"Bearer {HEADER_KEY}"},
}


def raising(error: Exception) -> Callable[[httpx.Request], httpx.Response]:
    def answer(request: httpx.Request) -> httpx.Response:
        headers = dict(request.headers)  # a local that holds the key, as in the layers below
        raise type(error)(f"{error} {headers} {request.url}")

    return answer


def echo(status: int, kind: str = "application/json", wrap: str = "{}") -> Callable[[httpx.Request], httpx.Response]:
    return lambda _: httpx.Response(status, headers={"content-type": kind}, content=wrap.replace("{}", ECHO))


def as_json(body: Any) -> str:
    return json.dumps(body).replace('"ECHO', '"{}')


ANSWERS = {
    "error body": echo(401, wrap=as_json({"error": {"message": "ECHO", "code": "ECHO"}})),
    "plain body": echo(500, "text/plain"),
    "html": echo(200, "text/html", "<p>{}</p>"),
    "no choices": echo(200, wrap=as_json({"x": "ECHO"})),
    "error in a success": echo(200, wrap=as_json({"error": "ECHO"})),
    "refusal": echo(200, wrap=as_json({"choices": [{"message": {"refusal": "ECHO"}}]})),
    "redirect": lambda _: httpx.Response(302, headers={"location": f"https://u:{QUERY_KEY}@evil.example/{QUERY_KEY}"}),
    "error event": echo(200, "text/event-stream", "data: " + as_json({"error": {"message": "ECHO"}}) + "\n\n"),
    "text event": echo(200, "text/event-stream", "event: error\ndata: {}\n\n"),
    "reset": raising(httpx.ReadError("reset")),
    "refused": raising(httpx.ConnectError("refused")),
    "protocol": raising(httpx.LocalProtocolError("illegal header")),
    "value": raising(ValueError("bad")),
    "unexpected": raising(KeyError("odd")),
}


@pytest.mark.parametrize("verb", ["complete", "stream", "embed", "list_models"])
@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("name", ["openai", "azure"])
def test_no_error_shows_a_key(
    name: str,
    answer: Any,
    verb: str,
    scripted: Callable[..., Any],
    chat: Callable[..., Any],
    shown: Callable[[BaseException], str],
    caplog: pytest.LogCaptureFixture,
) -> None:
    caplog.set_level(logging.DEBUG)
    provider = scripted(answer, name, base_url="https://example.com", **OPTIONS)

    async def run() -> None:
        if verb == "stream":
            async for _ in provider.stream(chat()):
                pass
        elif verb == "embed":
            await provider.embed(EmbeddingRequest("c", "m", ("a",)))
        else:
            await (provider.complete(chat()) if verb == "complete" else provider.list_models())

    with pytest.raises(ProviderError) as caught:
        asyncio.run(run())
    text = shown(caught.value) + caplog.text + repr(provider)
    assert [form for form in FORMS if form[:20] in text] == []
    assert KEY.encode() not in pickle.dumps(caught.value)
    request = provider.requests[0]  # the key did go out
    assert KEY in (request.headers.get("api-key") or request.headers["authorization"])
    assert request.url.params["key"] == QUERY_KEY


def test_the_provider_shows_and_gives_away_nothing() -> None:
    provider = OpenAICompatibleProvider("mine", {"base_url": "https://example.com/v1", **OPTIONS})
    assert repr(provider) == str(provider) == "OpenAICompatibleProvider('mine', host='example.com')"
    with pytest.raises(TypeError):
        pickle.dumps(provider)


def test_what_goes_to_a_gateway_is_hidden_whatever_its_name(
    scripted: Callable[..., Any], chat: Callable[..., Any]
) -> None:
    answer = httpx.Response(400, json={"message": "team nlp-research of region north-7 sends application/json"})
    provider = scripted(
        answer, headers={"X-Team": "nlp-research", "Accept": "application/json"}, query={"region": "north-7"}
    )
    with pytest.raises(ProviderError, match=r"^team \*\*\* of region \*\*\* sends application/json$"):
        asyncio.run(provider.complete(chat()))
