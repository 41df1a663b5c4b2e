"""Frozen records: dataclasses that cannot change, at a third of the usual price of defining one.

`dataclass(frozen=True)` compiles six methods for each class; with some forty classes that was half of what importing
the core cost. Here only ``__init__`` is compiled for each, the other methods are shared. `dataclasses.replace`,
`fields` and `asdict`, pickling, copying and pattern matching work as ever.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import MISSING, FrozenInstanceError, dataclass, field, fields
from typing import Any, TypeVar, dataclass_transform

__all__ = ["record"]

T = TypeVar("T")


@dataclass_transform(frozen_default=True, field_specifiers=(field,))
def record(cls: type[T]) -> type[T]:
    """Make a class a frozen, slotted dataclass.

    >>> @record
    ... class Point:
    ...     '''A place.'''
    ...     x: float
    ...     y: float = 0.0
    >>> Point(1.0), Point(1.0) == Point(1.0, 0.0)
    (Point(x=1.0, y=0.0), True)
    """
    cls.__doc__ = cls.__doc__ or cls.__name__  # without one, dataclass() asks `inspect` for a signature: 2 ms
    made: Any = dataclass(init=False, repr=False, eq=False, slots=True)(cls)
    made.__init__ = _init_of(made)
    made.__repr__, made.__eq__, made.__hash__ = _repr, _eq, _hash
    made.__setattr__, made.__delattr__ = _refuse_to_set, _refuse_to_delete
    made.__getstate__, made.__setstate__ = _values, _restore
    return made  # type: ignore[no-any-return]


def _init_of(cls: Any) -> Callable[..., None]:
    """``__init__``, which fills the slots directly: as fast as that of a class that is not frozen."""
    known: dict[str, Any] = {"MISSING": MISSING}
    parameters, lines = ["self"], []
    for place in fields(cls):
        name = place.name
        known[f"set_{name}"] = getattr(cls, name).__set__
        if place.default_factory is not MISSING:
            known[f"make_{name}"] = place.default_factory
            parameters.append(f"{name}=MISSING")
            lines.append(f"set_{name}(self, make_{name}() if {name} is MISSING else {name})")
            continue
        if place.default is not MISSING:
            known[f"default_{name}"] = place.default
        parameters.append(name if place.default is MISSING else f"{name}=default_{name}")
        lines.append(f"set_{name}(self, {name})")
    lines.append("self.__post_init__()" if hasattr(cls, "__post_init__") else "pass")
    exec(f"def __init__({', '.join(parameters)}):\n " + "\n ".join(lines), known)  # noqa: S102 - as dataclasses does
    init: Callable[..., None] = known["__init__"]
    init.__qualname__ = f"{cls.__qualname__}.__init__"
    return init


def _values(self: Any) -> tuple[Any, ...]:
    return tuple([getattr(self, name) for name in self.__match_args__])


def _restore(self: Any, values: tuple[Any, ...]) -> None:
    for name, value in zip(self.__match_args__, values, strict=True):
        object.__setattr__(self, name, value)


def _eq(self: Any, other: object) -> Any:
    return _values(self) == _values(other) if other.__class__ is self.__class__ else NotImplemented


def _hash(self: Any) -> int:
    return hash(_values(self))


def _repr(self: Any) -> str:
    shown = ", ".join([f"{name}={getattr(self, name)!r}" for name in self.__match_args__])
    return f"{type(self).__qualname__}({shown})"


def _refuse_to_set(self: Any, name: str, value: object) -> None:
    raise FrozenInstanceError(f"cannot assign to field {name!r}")


def _refuse_to_delete(self: Any, name: str) -> None:
    raise FrozenInstanceError(f"cannot delete field {name!r}")
