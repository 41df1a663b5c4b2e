"""The package of mixins as a whole: lazy names, and all of them in one class."""

import itertools
import subprocess
import sys

import pytest

import routerlab.mixins as package


def test_names() -> None:
    assert package.__all__ == sorted(package.__all__)
    assert set(package.__all__) <= set(dir(package))
    assert all(getattr(package, name).__name__ == name for name in package.__all__)
    with pytest.raises(AttributeError, match="NoSuchMixin"):
        package.NoSuchMixin  # noqa: B018


@pytest.mark.parametrize(
    ("name", "absent"), [("TimeoutMixin", "httpx"), ("CircuitBreakerMixin", "httpx"), ("HttpClientMixin", "aiohttp")]
)
def test_a_mixin_costs_only_what_it_needs(name: str, absent: str) -> None:
    program = f"import sys; from routerlab.mixins import {name}; sys.exit({absent!r} in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


MIXINS = [getattr(package, name) for name in package.__all__ if name.endswith("Mixin")]


def test_there_are_eight() -> None:
    assert len(MIXINS) == 8


@pytest.mark.parametrize("bases", [*itertools.permutations(MIXINS, 2), MIXINS, MIXINS[::-1]])
def test_they_combine_in_any_order(bases: list[type]) -> None:
    """No two mixins use one name for different things: what only one of them sets up, works without the others."""
    connector = type("Connector", tuple(bases), {})()
    if package.CacheMixin in bases:
        connector._cache_set("key", 0)
        assert connector._cache_get("key") == 0
    if package.CircuitBreakerMixin in bases:
        connector.record_success(connector.check_circuit())
        assert connector.circuit_state is package.CircuitState.CLOSED
    if package.RollingWindowMixin in bases:
        connector._record_sample("model", 1.0)
        assert connector._get_average("model") == 1.0
    if package.StreamingCheckpointMixin in bases:
        assert connector.create_checkpoint("call").request_id == "call"
    if package.ConfigValidatorMixin in bases:
        assert connector._validate_duration("5m") == 300.0
    if package.FileSerializerMixin in bases:
        assert connector._deserialize(connector._serialize({"a": 1})) == {"a": 1}
    if package.HttpClientMixin in bases:
        connector._init_http_client("https://api.example.com")
        assert connector._http_client is not None
