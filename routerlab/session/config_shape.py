"""The shape of ``lab.yaml``: which keys there are, of which type and range; and pydantic's errors in plain words."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from typing import Annotated, Any, Literal, get_args, get_origin

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from routerlab.core.checks import is_number
from routerlab.core.strategies import STRATEGIES
from routerlab.core.suggest import nearest
from routerlab.mixins.config import ConfigValidatorMixin

__all__ = [
    "BreakerShape",
    "LabShape",
    "ModelShape",
    "PoolShape",
    "PriceShape",
    "ProviderShape",
    "RetryShape",
    "RoutingShape",
    "StrategyShape",
    "TimeoutsShape",
    "read_shape",
]

_LATER = {"limits", "budget", "budgets"}


def _number(value: Any) -> Any:
    if isinstance(value, bool):  # pydantic would read 1
        raise ValueError("expected a number, not true or false")
    return value


def _seconds(value: Any) -> Any:
    """A number of seconds, or a text such as ``60s``, ``0.5s``, ``5m``."""
    if isinstance(value, str):
        return ConfigValidatorMixin()._validate_duration(value)  # noqa: SLF001 - documented name
    if not is_number(value):
        raise ValueError(f"expected a duration such as '60s', '5m' or a number of seconds, not {_words(value)}")
    return value


def _target(value: Any) -> Any:
    if value == "auto":
        return None
    return _seconds(value)


def _strategy(value: Any) -> Any:
    return {"name": value} if isinstance(value, str) else value


def _known_strategy(name: str) -> str:
    if name not in STRATEGIES:
        raise ValueError(f"unknown strategy {name!r}{nearest(name, STRATEGIES)}")
    return name


def _by_name(value: Any) -> Any:
    """A list of names as a mapping of names to nothing special; a name alone is one, too."""
    if isinstance(value, str):
        value = [value]
    if not isinstance(value, list | tuple):
        return value
    for name in value:
        if not isinstance(name, str):
            raise ValueError(f"expected names of models, not {_words(name)}")
        if value.count(name) > 1:
            raise ValueError(f"{name!r} stands here twice")
    return {name: {} for name in value}


def _or_empty(value: Any) -> Any:
    return {} if value is None else value


Seconds = Annotated[float, BeforeValidator(_seconds), Field(gt=0, allow_inf_nan=False)]
Pause = Annotated[float, BeforeValidator(_seconds), Field(ge=0, allow_inf_nan=False)]
Whole = Annotated[int, BeforeValidator(_number)]
Positive = Annotated[int, BeforeValidator(_number), Field(ge=1)]
Amount = Annotated[float, BeforeValidator(_number), Field(ge=0, allow_inf_nan=False)]


class _Shape(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True, arbitrary_types_allowed=False)


class RetryShape(_Shape):
    """Immediate retries."""

    max_retries: Annotated[int, BeforeValidator(_number), Field(ge=0)] = 1
    initial_delay: Pause = 0.5
    max_delay: Pause = 8.0
    retry_after_max: Pause = 3.0


class BreakerShape(_Shape):
    """The circuit breaker."""

    failure_threshold: Positive = 5
    reset_timeout: Seconds = 60.0
    half_open_max: Positive = 1
    success_threshold: Positive = 1


class TimeoutsShape(_Shape):
    """The clocks; null switches one off."""

    connect: Seconds | None = None
    request: Seconds | None = None
    first_token: Seconds | None = None
    idle: Seconds | None = None
    total: Seconds | None = None


class StrategyShape(_Shape):
    """A strategy and its options."""

    name: Annotated[str, AfterValidator(_known_strategy)]
    weights: dict[str, Amount] | None = None
    return_after: Seconds | None = None


class RoutingShape(_Shape):
    """What a pool may say, and ``routing:`` for all of them."""

    strategy: Annotated[StrategyShape, BeforeValidator(_strategy)] | None = None
    retry: RetryShape | None = None
    breaker: BreakerShape | None = None
    timeouts: TimeoutsShape | None = None
    deadline: Seconds | None = None
    takeover_after: Seconds | None = None
    on_stream_failure: Literal["continue", "restart", "error", "buffer"] = "continue"
    on_content_filter: Literal["error", "move_on"] = "error"
    latency_target: Annotated[Annotated[float, Field(gt=0, allow_inf_nan=False)] | None, BeforeValidator(_target)] = (
        None
    )


class PoolShape(RoutingShape):
    """One pool."""

    capability: str = "chat-completion"
    models: list[str] | None = None
    default: bool = False


class PriceShape(_Shape):
    """USD per million tokens."""

    input: Amount
    output: Amount
    cached_input: Amount | None = None


class ModelShape(_Shape):
    """Other keys are the kind's own."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    capabilities: list[str] | None = None
    features: list[str] | None = None
    context_window: Positive | None = None
    price: PriceShape | None = None


class ProviderShape(_Shape):
    """Other keys are the connector's own, which checks them."""

    model_config = ConfigDict(extra="allow", hide_input_in_errors=True)

    kind: str | None = None
    models: Annotated[dict[str, Annotated[ModelShape, BeforeValidator(_or_empty)]], BeforeValidator(_by_name)] = Field(
        default_factory=dict
    )


class LabShape(_Shape):
    """All of ``lab.yaml``."""

    providers: dict[str, Annotated[ProviderShape, BeforeValidator(_or_empty)]] = Field(min_length=1)
    pools: dict[str, Annotated[PoolShape, BeforeValidator(_or_empty)]] = Field(default_factory=dict)
    routing: RoutingShape = Field(default_factory=RoutingShape)
    store: str | None = None
    store_text: bool = True
    max_records: Positive = 100_000
    drop_params: bool = False
    seed: Whole = 0


def read_shape(data: Any, problems: list[str]) -> LabShape | None:
    """Check the shape; what is wrong is added to `problems`.

    The shape of the rest is returned, so that all other mistakes are found too; None where too little is left for that.
    """
    try:
        return LabShape.model_validate(data)
    except ValidationError as error:
        wrong = error.errors()
    problems += [_problem(one["loc"], one["type"], one["msg"], one["input"]) for one in wrong]
    if any(_is_needed(one["loc"]) for one in wrong):
        return None
    for one in wrong:
        with contextlib.suppress(KeyError):  # it is gone with what stood around it
            data = _left(data, one["loc"][:-1] if one["type"] == "missing" else one["loc"])
    try:
        return LabShape.model_validate(data)
    except ValidationError:  # too little is left
        return None


def _left(data: Any, loc: tuple[int | str, ...]) -> dict[Any, Any]:
    """What is left of a mapping without a path; of a list, nothing is left."""
    key, rest = loc[0], loc[1:]
    inner = data[key]
    others = {name: value for name, value in data.items() if name != key}
    return {**others, key: _left(inner, rest)} if rest and isinstance(inner, Mapping) else others


def _is_needed(loc: tuple[int | str, ...]) -> bool:
    """Whether others would look wrong without it that are not: a provider, its kind, its models, what these can do."""
    if not loc or loc[0] != "providers":
        return not loc
    return len(loc) < 3 or loc[2] == "kind" or (loc[2] == "models" and (len(loc) < 5 or loc[4] == "capabilities"))


_EXPECTED = {
    "bool_parsing": "true or false",
    "bool_type": "true or false",
    "dict_type": "a mapping",
    "finite_number": "a finite number",
    "float_parsing": "a number",
    "float_type": "a number",
    "int_from_float": "a whole number",
    "int_parsing": "a whole number",
    "int_type": "a whole number",
    "list_type": "a list",
    "mapping_type": "a mapping",
    "model_attributes_type": "a mapping",
    "model_type": "a mapping",
    "string_type": "text",
}


def _problem(loc: tuple[int | str, ...], kind: str, message: str, given: Any) -> str:
    path = _path(loc)
    if kind == "extra_forbidden":
        if loc[-1] in _LATER:
            return f"{path}: {loc[-1]!r} is not supported in this version"
        return f"{path}: unknown key{nearest(str(loc[-1]), _keys_at(loc[:-1]))}"
    if kind == "missing":
        return f"{path}: is missing"
    if kind in _EXPECTED:
        return f"{path}: expected {_EXPECTED[kind]}, not {_words(given)}"
    if kind == "too_short":
        return f"{path}: expected at least one entry"
    message = message.removeprefix("Value error, ").replace("Input should be", "must be")
    return f"{path}: {message}"


def _path(loc: tuple[int | str, ...]) -> str:
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in loc)
    return path.lstrip(".") or "the configuration"


def _keys_at(loc: tuple[int | str, ...]) -> list[str]:
    """The keys that the shape knows at a path."""
    here: Any = LabShape
    for part in loc:
        if isinstance(here, type) and issubclass(here, BaseModel):
            here = _inner(here.model_fields[str(part)].annotation)
        else:
            here = _inner(get_args(here)[1])
    return list(here.model_fields)


def _inner(annotation: Any) -> Any:
    """The shape, or the mapping of shapes, inside ``Annotated`` and ``… | None``."""
    if get_origin(annotation) is dict or (isinstance(annotation, type) and issubclass(annotation, BaseModel)):
        return annotation
    return next((found for part in get_args(annotation) if (found := _inner(part)) is not None), None)


def _words(value: Any) -> str:
    """What a value is, without showing it."""
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true or false"
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, str):
        return "text"
    if isinstance(value, Mapping):
        return "a mapping"
    return "a list" if isinstance(value, list | tuple) else type(value).__name__
