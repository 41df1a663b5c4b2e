"""The server of simulated models: OpenAI's endpoints, its life and death."""

from __future__ import annotations

import base64
import gc
import math
import socket
import struct
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.core.simulated import SimulatedModel
from routerlab.simulation.server import SimulatedServer

PROMPT = "What is the capital of France?"
ANSWER = "Paris, on the river Seine, as everybody knows."
GOOD = {"model": "alpha", "messages": [{"role": "user", "content": PROMPT}]}


def test_a_whole_answer(serve: Any, ask: Any) -> None:
    body = ask(serve()).json
    assert body["object"] == "chat.completion"
    assert body["model"] == "alpha"
    choice = body["choices"][0]
    assert choice["message"] == {"role": "assistant", "content": ANSWER, "refusal": None}
    assert choice["finish_reason"] == "stop"
    usage = body["usage"]
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]


def test_a_stream(serve: Any, ask: Any) -> None:
    seen = ask(serve(), stream=True)
    assert seen.headers["content-type"].startswith("text/event-stream")
    assert seen.chunks[0]["choices"][0]["delta"]["role"] == "assistant"
    assert seen.text == ANSWER
    assert seen.chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert seen.events[-1] == "[DONE]"
    assert {chunk["object"] for chunk in seen.chunks} == {"chat.completion.chunk"}
    assert all("usage" not in chunk for chunk in seen.chunks)


def test_usage_of_a_stream_where_asked_for(serve: Any, ask: Any) -> None:
    server = serve()
    seen = ask(server, stream=True, stream_options={"include_usage": True})
    assert seen.chunks[-1]["choices"] == []
    assert seen.chunks[-1]["usage"] == ask(server).json["usage"]


def test_a_stream_arrives_step_by_step(serve: Any) -> None:
    server = serve({"alpha": {"tokens_per_s": 10, "ttft_s": 0.02}})
    body = {"model": "alpha", "messages": [{"role": "user", "content": PROMPT}], "stream": True}
    times = []
    with httpx.stream("POST", f"{server.url()}/chat/completions", json=body) as response:
        times = [time.perf_counter() for piece in response.iter_bytes() if piece]
    assert len(times) > 4
    assert times[-1] - times[0] > 0.1


def test_tool_calls_whole_and_streamed(serve: Any, ask: Any) -> None:
    server = serve()
    schema = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
    tools = [{"type": "function", "function": {"name": "get_weather", "parameters": schema}}]
    options = {"tools": tools, "tool_choice": "required"}
    choice = ask(server, **options).json["choices"][0]
    (call,) = choice["message"]["tool_calls"]
    assert (choice["finish_reason"], choice["message"]["content"]) == ("tool_calls", None)
    assert call["function"]["name"] == "get_weather"
    fragments = [
        fragment
        for chunk in ask(server, stream=True, **options).chunks
        for fragment in chunk["choices"][0]["delta"].get("tool_calls", [])
    ]
    assert len(fragments) == 3
    assert fragments[0]["id"] == call["id"]
    joined = "".join(fragment["function"]["arguments"] for fragment in fragments)
    assert joined == call["function"]["arguments"]


def test_embeddings(serve: Any, ask: Any) -> None:
    server = serve()
    body = ask(server, path="embeddings", input=["red car", "blue sea"], dimensions=8).json
    vectors = [row["embedding"] for row in body["data"]]
    assert [row["index"] for row in body["data"]] == [0, 1]
    assert [len(vector) for vector in vectors] == [8, 8]
    assert math.hypot(*vectors[0]) == pytest.approx(1.0)
    assert body["usage"]["total_tokens"] > 0
    single = ask(server, path="embeddings", input="red car", dimensions=8).json
    assert single["data"][0]["embedding"] == vectors[0]
    packed = ask(server, path="embeddings", input="red car", dimensions=8, encoding_format="base64").json
    unpacked = struct.unpack("<8f", base64.b64decode(packed["data"][0]["embedding"]))
    assert unpacked == pytest.approx(vectors[0], abs=1e-6)


def test_models_are_listed(serve: Any) -> None:
    server = serve({"alpha": {}, "beta": {"context_window": 4096}})
    for base in (server.url("alpha"), server.url("beta")):
        rows = httpx.get(f"{base}/models").json()["data"]
        assert [(row["id"], row["context_window"]) for row in rows] == [("alpha", 128_000), ("beta", 4096)]


def test_azure_addresses(serve: Any) -> None:
    server = serve({"alpha": {}, "beta": {}}, api_key="k")
    root = server.url().removesuffix("/v1")
    body = {"messages": [{"role": "user", "content": PROMPT}]}
    url = f"{root}/openai/deployments/beta/chat/completions?api-version=2024-10-21"
    assert httpx.post(url, json=body).status_code == 401
    answer = httpx.post(url, json=body, headers={"api-key": "k"})
    assert (answer.status_code, answer.json()["model"]) == (200, "beta")
    assert httpx.get(f"{root}/openai/v1/models", headers={"api-key": "k"}).status_code == 200


def test_a_key_is_asked_for(serve: Any) -> None:
    server = serve(api_key="right")
    url, body = f"{server.url()}/chat/completions", {"model": "alpha", "messages": [{"role": "user", "content": "x"}]}
    for headers, status in (
        ({}, 401),
        ({"Authorization": "Bearer wrong"}, 401),
        ({"Authorization": "Bearer right"}, 200),
    ):
        assert httpx.post(url, json=body, headers=headers).status_code == status
    assert httpx.get(f"{server.url()}/models").json()["error"]["code"] == "invalid_api_key"


@pytest.mark.parametrize(
    ("body", "status", "part"),
    [
        ("no json", 400, "could not parse"),
        ("[" * 100_000, 400, "could not parse"),
        ([], 400, "could not parse"),
        ({}, 400, "model"),
        ({"model": "alpha"}, 400, "'messages'"),
        ({"model": "alpha", "messages": []}, 400, "at least 1"),
        ({"model": "alpha", "messages": [{"role": "king", "content": "x"}]}, 400, "messages[0].role"),
        ({"model": "alpha", "messages": [{"role": "user"}]}, 400, "messages[0].content"),
        ({**GOOD, "temperature": 3}, 400, "temperature"),
        ({**GOOD, "max_tokens": 0}, 400, "max_tokens"),
        ({**GOOD, "max_tokens": True}, 400, "max_tokens"),
        ({**GOOD, "tools": [{}]}, 400, "tools"),
        ({**GOOD, "tool_choice": "auto"}, 400, "tool_choice"),
        ({**GOOD, "model": "omega"}, 404, "`omega`"),
        ({**GOOD, "max_tokens": 200_000}, 400, "maximum context length"),
    ],
)
def test_requests_are_checked_as_a_real_server_does(serve: Any, body: Any, status: int, part: str) -> None:
    url = f"{serve().url()}/chat/completions"
    answer = httpx.post(url, content=body) if isinstance(body, str) else httpx.post(url, json=body)
    assert answer.status_code == status
    assert part in answer.json()["error"]["message"]


@pytest.mark.parametrize(
    ("options", "path", "body", "part"),
    [
        ({"features": []}, "chat/completions", {"tools": [{"function": {"name": "f"}}]}, "tools"),
        ({"features": []}, "chat/completions", {"response_format": {"type": "json_object"}}, "response_format"),
        ({"capabilities": ["chat-completion"]}, "embeddings", {"input": "x"}, "not allowed"),
        ({"capabilities": ["text-embedding"]}, "chat/completions", {}, "not a chat model"),
        ({}, "embeddings", {}, "'input'"),
        ({}, "embeddings", {"input": [""]}, "input"),
        ({}, "embeddings", {"input": "x", "dimensions": 0}, "dimensions"),
    ],
)
def test_what_a_model_cannot_do(serve: Any, ask: Any, options: Any, path: str, body: Any, part: str) -> None:
    seen = ask(serve({"alpha": options}), path=path, **body)
    assert seen.status == 400
    assert part in seen.json["error"]["message"]


def test_pictures_need_vision(serve: Any) -> None:
    server = serve({"alpha": {"features": ["tools"]}, "beta": {}})
    content = [{"type": "text", "text": "x"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]
    statuses = [
        httpx.post(
            f"{server.url()}/chat/completions",
            json={"model": model, "messages": [{"role": "user", "content": content}]},
        ).status_code
        for model in ("alpha", "beta")
    ]
    assert statuses == [400, 200]


def test_unknown_addresses_are_told_in_json(serve: Any) -> None:
    url = serve().url()
    assert "Invalid URL (GET /v1/nothing)" in httpx.get(f"{url}/nothing").json()["error"]["message"]
    assert httpx.get(f"{url}/chat/completions").status_code == 405


def test_limits_and_their_headers(serve: Any, ask: Any) -> None:
    server = serve({"alpha": {"rpm": 2, "tpm": 1000}, "beta": {}})
    first = ask(server)
    assert first.headers["x-ratelimit-limit-requests"] == "2"
    assert first.headers["x-ratelimit-remaining-requests"] == "1"
    assert int(first.headers["x-ratelimit-remaining-tokens"]) < 1000
    assert first.headers["x-ratelimit-reset-requests"].endswith("ms")
    ask(server)
    refused = ask(server)
    assert refused.status == 429
    assert 20 < float(refused.headers["retry-after"]) <= 30
    assert "x-ratelimit-limit-requests" not in ask(server, model="beta").headers


def test_arrivals_are_counted_and_logged_whatever_becomes_of_them(serve: Any, ask: Any) -> None:
    server = serve({"alpha": {"script": [None, "unavailable", "reset"]}})
    for _ in range(4):
        ask(server)
    ask(server, max_tokens=0)
    ask(server, model="omega")
    assert (server.requests("alpha"), server.requests("omega"), server.requests("beta")) == (5, 1, 0)
    seen = [(record.model, record.status, record.faults) for record in server.log]
    assert seen == [
        ("alpha", 200, ()),
        ("alpha", 503, ("unavailable",)),
        ("alpha", None, ("reset",)),
        ("alpha", 200, ()),
        ("alpha", 400, ()),
        ("omega", 404, ()),
    ]
    assert all(record.path == "/v1/chat/completions" and abs(record.at - time.time()) < 60 for record in server.log)


def test_same_seed_same_answers_whatever_the_order(serve: Any) -> None:
    prompts = [f"Question {number}?" for number in range(40)]
    options = {"alpha": {"answers": {prompt: str(len(prompt)) for prompt in prompts}, "accuracy": 0.5}}

    def answers(order: list[str], workers: int, seed: int) -> dict[str, str]:
        with SimulatedServer(serve(options).models.values(), seed=seed) as server, httpx.Client() as client:

            def ask(prompt: str) -> str:
                body = {"model": "alpha", "messages": [{"role": "user", "content": prompt}]}
                answer = client.post(f"{server.url()}/chat/completions", json=body).json()
                return str(answer["choices"][0]["message"]["content"])

            with ThreadPoolExecutor(workers) as pool:
                return dict(zip(order, pool.map(ask, order), strict=True))

    first = answers(prompts, 1, seed=3)
    assert answers(prompts[::-1], 8, seed=3) == first
    assert answers(prompts, 1, seed=4) != first


def test_each_model_has_a_port_of_its_own(serve: Any) -> None:
    server = serve({"alpha": {}, "beta": {}})
    assert server.url("alpha") != server.url("beta")
    shared = serve({"alpha": {}, "beta": {}}, separate_ports=False)
    assert shared.url("alpha") == shared.url("beta") == shared.url()
    with pytest.raises(ConfigurationError, match="did you mean 'alpha'"):
        server.url("alpa")


@pytest.mark.usefixtures("no_leaks")
def test_it_comes_and_goes_without_a_trace() -> None:
    server = SimulatedServer([SimulatedModel("alpha"), SimulatedModel("beta")])
    for _ in range(20):
        with server, httpx.Client() as client:
            assert client.get(f"{server.url()}/models").status_code == 200
        server.stop()


def test_stopping_breaks_off_what_is_under_way(serve: Any, ask: Any) -> None:
    server = serve()
    server.faults.inject("alpha", "stall_midway")
    with ThreadPoolExecutor(4) as pool:
        waiting = [pool.submit(ask, server, stream=True) for _ in range(4)]
        while server.requests("alpha") < 4:
            time.sleep(0.002)
        started = time.perf_counter()
        server.stop()
        assert time.perf_counter() - started < 20.0
        assert all(isinstance(request.result().error, httpx.HTTPError) for request in waiting)


def test_it_comes_back_on_its_ports(serve: Any, ask: Any) -> None:
    server = serve()
    url = server.url()
    server.stop()
    assert isinstance(ask(server).error, httpx.ConnectError)
    server.start()
    assert server.url() == url
    assert ask(server).status == 200
    assert server.requests("alpha") == 1


def test_a_client_that_leaves_frees_its_request(serve: Any, ask: Any) -> None:
    server = serve()
    server.faults.inject("alpha", "stall")
    body = b'{"model": "alpha", "messages": [{"role": "user", "content": "x"}]}'
    host, port = server.url().split("/")[2].split(":")
    with socket.create_connection((host, int(port))) as half:
        half.sendall(b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: 999\r\n\r\n" + body)
    with pytest.raises(httpx.ReadTimeout):
        httpx.post(f"{server.url()}/chat/completions", content=body, timeout=httpx.Timeout(20.0, read=0.05))
    server.faults.clear()
    assert ask(server).status == 200


@pytest.mark.usefixtures("no_leaks")
def test_a_taken_port_leaves_nothing_behind() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        server = SimulatedServer([SimulatedModel("alpha")], port=taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            server.start()
    with pytest.raises(RuntimeError, match="start"):
        server.url()


def test_only_loopback_unless_asked_for() -> None:
    models = [SimulatedModel("alpha")]
    for host in ("0.0.0.0", "192.168.1.7", "example.org"):  # noqa: S104 - that is the point
        with pytest.raises(ConfigurationError, match="allow_remote"):
            SimulatedServer(models, host=host)
    SimulatedServer(models, host="0.0.0.0", allow_remote=True)  # noqa: S104
    with SimulatedServer(models, host="localhost") as server:
        assert httpx.get(f"{server.url()}/models").status_code == 200


def test_models_need_names_of_their_own() -> None:
    for models in ([], [SimulatedModel("alpha"), SimulatedModel("alpha")]):
        with pytest.raises(ConfigurationError, match="each name once"):
            SimulatedServer(models)


def test_a_forgotten_server_ends_when_it_is_collected() -> None:
    before = threading.enumerate()
    server = SimulatedServer([SimulatedModel("alpha")]).start()
    (thread,) = [one for one in threading.enumerate() if one not in before and one.name == "routerlab-simulated"]
    del server
    gc.collect()
    thread.join(30.0)
    assert not thread.is_alive()


def test_a_script_that_forgets_to_stop_it_ends_in_silence() -> None:
    code = (
        "from routerlab.core.simulated import SimulatedModel\n"
        "from routerlab.simulation.server import SimulatedServer\n"
        "server = SimulatedServer([SimulatedModel('alpha')]).start()\n"
        "print(server.url())\n"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-X", "dev", "-c", code],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("http://127.0.0.1:")


def test_open_connections_are_counted() -> None:
    server = SimulatedServer([SimulatedModel("alpha")])
    assert server.connections == 0
    with server, httpx.Client() as client:
        client.get(server.url() + "/models")
        assert server.connections == 1
        client.close()
        until = time.monotonic() + 30
        while server.connections and time.monotonic() < until:
            time.sleep(0.01)
        assert server.connections == 0
    assert server.connections == 0
