"""From the options in ``lab.yaml`` to simulated models: all mistakes at once, each with its path."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from routerlab.core.capabilities import CapabilityTree
from routerlab.core.checks import is_number, is_whole
from routerlab.core.errors import ConfigurationError
from routerlab.core.features import FEATURES, read_features
from routerlab.core.simulated import Latency, SimulatedModel
from routerlab.core.simulated_faults import ScheduledFault
from routerlab.core.suggest import nearest
from routerlab.core.types import Price

__all__ = ["read_fault", "read_models"]

_FEATURES = ("json", "prefill", "tools", "vision")
_SCHEDULE = ("start", "duration", "probability")


def read_models(models: Any, path: str = "models") -> list[SimulatedModel]:
    """Read the models of a simulated provider.

    Args:
        models: names with their options (those of `SimulatedModel`), or just names.
        path: where this stands in the configuration, for messages.

    Raises:
        ConfigurationError: ``problems`` lists every mistake.

    >>> read_models({"alpha": {"ttft_s": 0.1, "price": {"input": 1, "output": 4}}})[0].price
    Price(input=1.0, output=4.0, cached_input=None)
    """
    if isinstance(models, list | tuple):
        models = dict.fromkeys(models)
    if not isinstance(models, Mapping) or not models:
        raise ConfigurationError(f"{path}: expected the names of models, with or without options, not {models!r}")
    problems: list[str] = []
    made = [_model(str(name), options or {}, f"{path}.{name}", problems) for name, options in models.items()]
    if problems:
        raise ConfigurationError("\n".join(problems), problems)
    return [model for model in made if model is not None]


def _model(name: str, options: Any, path: str, problems: list[str]) -> SimulatedModel | None:
    if not isinstance(options, Mapping):
        problems.append(f"{path}: expected a mapping of options, not {options!r}")
        return None
    values: dict[str, Any] = {}
    for key, value in options.items():
        reader = _READERS.get(key)
        if reader is None:
            problems.append(f"{path}.{key}: unknown option{nearest(str(key), _READERS)}")
            continue
        try:
            values[key] = reader(value)
        except (ValueError, TypeError) as error:
            problems.append(f"{path}.{key}: {error}")
    return SimulatedModel(name, **values)


def read_fault(value: Any) -> ScheduledFault:
    """Read one fault: the name of its kind, or a mapping of kind, ``start``, ``duration``, ``probability``, options.

    Raises:
        ConfigurationError: an unknown kind or option, or a value out of range.
    """
    if isinstance(value, str):
        return ScheduledFault(value)
    if not isinstance(value, Mapping) or "kind" not in value:
        raise ConfigurationError(f"expected the kind of a fault, or a mapping with a kind, not {value!r}")
    start_s = _number(value.get("start", 0.0))
    duration = value.get("duration")
    return ScheduledFault(
        str(value["kind"]),
        start_s,
        None if duration is None else start_s + _number(duration, positive=True),
        _number(value.get("probability", 1.0)),
        {key: option for key, option in value.items() if key not in ("kind", *_SCHEDULE)},
    )


def _number(value: Any, *, positive: bool = False) -> float:
    if not is_number(value) or not 0 <= value < float("inf"):
        raise ConfigurationError(f"expected a number of at least 0, not {value!r}")
    if positive and value == 0:
        raise ConfigurationError("expected a positive number, not 0")
    return float(value)


def _whole(value: Any) -> int:
    if not is_whole(value):
        raise ConfigurationError(f"expected a whole number of at least 1, not {value!r}")
    return value


def _count(value: Any) -> int:
    return 0 if value == 0 and is_number(value) else _whole(value)


def _latency(value: Any) -> Latency:
    if isinstance(value, Latency):
        return value
    if not isinstance(value, Mapping):
        return Latency(_number(value))
    _only(value, ("median", "sigma"))
    return Latency(_number(value.get("median")), _number(value.get("sigma", 0.0)))


def _probability(value: Any) -> float:
    number = _number(value)
    if number > 1:
        raise ConfigurationError(f"expected a number between 0 and 1, not {value!r}")
    return number


def _price(value: Any) -> Price | None:
    if value is None or isinstance(value, Price):
        return value
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"expected input and output, in USD per million tokens, not {value!r}")
    _only(value, ("input", "output", "cached_input"))
    cached = value.get("cached_input")
    return Price(_number(value.get("input")), _number(value.get("output")), None if cached is None else _number(cached))


def _answers(value: Any) -> dict[str, str]:
    if not isinstance(value, Mapping):
        raise ConfigurationError(f"expected a mapping from prompt to answer, not {type(value).__name__}")
    return {str(prompt): str(text) for prompt, text in value.items()}


def _features(value: Any) -> frozenset[str]:
    names = _names(value)
    for name in names:
        if name.removeprefix("-") not in FEATURES:
            raise ConfigurationError(f"unknown feature {name!r}{nearest(name, FEATURES)}")
    return read_features(names).intersection(_FEATURES)  # the others only route: no simulated model refuses them


def _capabilities(value: Any) -> tuple[str, ...]:
    tree = CapabilityTree()
    return tuple(tree.resolve(name) for name in _names(value))


def _names(value: Any) -> list[str]:
    if isinstance(value, str) or not all(isinstance(name, str) for name in value):
        raise ConfigurationError(f"expected a list of names, not {value!r}")
    return list(value)


def _list(value: Any) -> list[Any]:
    if not isinstance(value, list | tuple):
        raise ConfigurationError(f"expected a list of faults, not {value!r}")
    return list(value)


def _fault(value: Any) -> ScheduledFault:
    return value if isinstance(value, ScheduledFault) else read_fault(value)


def _only(value: Mapping[str, Any], known: tuple[str, ...]) -> None:
    for key in value:
        if key not in known:
            raise ConfigurationError(f"unknown key {key!r}{nearest(str(key), known)}")


def _optional(reader: Callable[[Any], Any]) -> Callable[[Any], Any]:
    return lambda value: None if value is None else reader(value)


_READERS: dict[str, Callable[[Any], Any]] = {
    "ttft_s": _latency,
    "tokens_per_s": _latency,
    "accuracy": _probability,
    "answers": _answers,
    "price": _price,
    "context_window": _optional(_whole),
    "features": _features,
    "capabilities": _capabilities,
    "dimensions": _whole,
    "overlap": _count,
    "rpm": _optional(_whole),
    "tpm": _optional(_whole),
    "faults": lambda value: tuple(_fault(fault) for fault in _list(value)),
    "script": lambda value: tuple(None if fault is None else _fault(fault) for fault in _list(value)),
}
