"""Any two mixins, and all eight, in one class: in any order, with a base of its own, without setup."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from routerlab.mixins import (
    CacheMixin,
    CircuitBreakerMixin,
    CircuitOpenError,
    CircuitState,
    ConfigValidatorMixin,
    FileSerializerMixin,
    HttpClientMixin,
    RollingWindowMixin,
    StreamingCheckpointMixin,
    TimeoutMixin,
)


class Connector:
    """A base interface with a constructor that knows nothing of mixins."""

    def __init__(self, name: str, *, region: str = "eu") -> None:
        self.name = name
        self.region = region


def use_http(it: Any) -> None:
    assert it._http_client is None
    assert it._http_auth_token is None
    assert sorted(it.RETRYABLE_STATUS_CODES) == [429, 500, 502, 503]
    with pytest.raises(RuntimeError, match="_init_http_client"):
        asyncio.run(it._http_get("/models"))


def use_cache(it: Any) -> None:
    assert it._cache_stats().size == 0
    it._cache_set("k", 0)
    assert it._cache_get("k") == 0


def use_files(it: Any) -> None:
    assert it._deserialize(it._serialize({"a": 1})) == {"a": 1}


def use_window(it: Any) -> None:
    assert it._get_rate("k") == 1.0
    it._record_sample("k", 0.5, success=False)
    assert (it._get_rate("k"), it._get_average("k"), it._get_score("k")) == (0.0, 0.5, 0.0)


def use_config(it: Any) -> None:
    assert it._validate_duration("5m") == 300.0


def use_breaker(it: Any) -> None:
    assert it.circuit_state is CircuitState.CLOSED
    for _ in range(5):
        it.record_failure(it.check_circuit())
    with pytest.raises(CircuitOpenError):
        it.check_circuit()


def use_timeout(it: Any) -> None:
    async def answer() -> int:
        return 42

    assert asyncio.run(it.with_timeout(answer())) == 42


def use_checkpoints(it: Any) -> None:
    assert it.checkpoint_stats()["total"] == 0
    it.create_checkpoint("r").record("text", 1)
    assert it.get_checkpoint("r").content_buffer == "text"


USES: dict[type, Callable[[Any], None]] = {
    HttpClientMixin: use_http,
    CacheMixin: use_cache,
    FileSerializerMixin: use_files,
    RollingWindowMixin: use_window,
    ConfigValidatorMixin: use_config,
    CircuitBreakerMixin: use_breaker,
    TimeoutMixin: use_timeout,
    StreamingCheckpointMixin: use_checkpoints,
}


def combine(*bases: type) -> type:
    return type("Combined", bases, {})


def use_all_of(mixins: tuple[type, ...], combined: type, *arguments: str) -> None:
    """Twice, one after the other: what the first instance did must not be seen by the second."""
    for _ in range(2):
        instance = combined(*arguments)
        for mixin in mixins:
            USES[mixin](instance)


@pytest.mark.parametrize("mixin", USES, ids=lambda mixin: mixin.__name__)
def test_each_alone(mixin: type) -> None:
    use_all_of((mixin,), mixin)
    use_all_of((mixin,), combine(mixin))


@pytest.mark.parametrize(
    "pair", list(itertools.permutations(USES, 2)), ids=lambda pair: "-".join(m.__name__ for m in pair)
)
def test_any_two_in_both_orders(pair: tuple[type, ...]) -> None:
    use_all_of(pair, combine(*pair))
    for combined in (combine(Connector, *pair), combine(*pair, Connector), combine(pair[0], Connector, pair[1])):
        use_all_of(pair, combined, "name")
        assert (combined("name", region="us").name, combined("name", region="us").region) == ("name", "us")


@pytest.mark.parametrize("seed", range(10))
def test_all_eight_in_any_order(seed: int) -> None:
    bases: list[type] = [Connector, *USES]
    random.Random(seed).shuffle(bases)
    use_all_of(tuple(USES), combine(*bases), "name")


def test_a_constructor_that_does_not_call_super() -> None:
    class Careless(*USES):  # type: ignore[misc]
        def __init__(self) -> None:
            self.ready = True

    use_all_of(tuple(USES), Careless)


def test_no_mixin_hides_a_name_of_another() -> None:
    shared = {"_clock", "_sleep", "_random"}
    for one, other in itertools.combinations(USES, 2):
        both = {name for name in vars(one) if not name.startswith("__")} & set(vars(other))
        assert both <= shared, f"{one.__name__} and {other.__name__} both define {both - shared}"


def test_one_clock_steers_them_all() -> None:
    provider: Any = combine(*USES)()
    now = 1000.0
    provider._clock = lambda: now
    provider._cache_set("k", 1)
    provider._record_sample("k", 0.5)
    checkpoint = provider.create_checkpoint("r")
    for _ in range(5):
        provider.record_failure()
    assert provider.circuit_state is CircuitState.OPEN
    now += 1_000_000.0
    assert provider._cache_get("k") is None
    assert provider._get_average("k") == 0.0
    assert checkpoint.duration == 1_000_000.0
    assert provider.circuit_state is CircuitState.HALF_OPEN


def test_a_connector_made_of_all(tmp_path: Path) -> None:
    """Every setup called, every part in use, over a transport that answers twice in a row."""
    asked: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        asked.append(str(request.url))
        return httpx.Response(503 if len(asked) == 1 else 200, json={"data": ["m"]})

    class Provider(Connector, *USES):  # type: ignore[misc]
        def __init__(self, name: str) -> None:
            super().__init__(name)
            self._init_http_client("http://provider.example/v1/", max_retries=1)
            self._init_cache(ttl_ms=1000)
            self._init_window(window_size=10)
            self.configure_circuit_breaker(failure_threshold=2)
            self.configure_timeout(default=5.0)
            self.configure_checkpoints(max_checkpoints=1)

        def _make_http_client(self, **kwargs: Any) -> httpx.AsyncClient:
            return httpx.AsyncClient(**{**kwargs, "transport": httpx.MockTransport(answer)})

        async def models(self) -> Any:
            cached = self._cache_get("models")
            if cached is not None:
                return cached
            permit = self.check_circuit()
            body = await self.with_timeout(self._http_get("/models"))
            self.record_success(permit)
            self._record_sample(self.name, 1.0)
            self._cache_set("models", body)
            self._atomic_write(tmp_path / "models.json", self._serialize(body))
            return body

    async def no_wait(_: float) -> None:
        return None

    async def run() -> None:
        provider = Provider("p")
        provider._sleep = no_wait
        assert await provider.models() == {"data": ["m"]} == await provider.models()
        assert provider._deserialize(provider._read_file(tmp_path / "models.json")) == {"data": ["m"]}
        assert provider._get_score("p") == 1.0
        await provider._close_http_client()

    asyncio.run(run())
    assert asked == ["http://provider.example/v1/models"] * 2
