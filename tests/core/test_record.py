from __future__ import annotations

import copy
import pickle
from dataclasses import FrozenInstanceError, asdict, dataclass, field, fields, is_dataclass, replace

import pytest

from routerlab.core.record import record


@record
class Place:
    """A record with everything that a record may have."""

    name: str
    size: float = 1.0
    tags: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        if self.size < 0:
            raise ValueError("size")

    @property
    def doubled(self) -> float:
        return self.size * 2


@dataclass(frozen=True, slots=True)
class Plain:
    """What a record stands for."""

    name: str
    size: float = 1.0
    tags: list[str] = field(default_factory=list)


@record
class Nothing:
    """No fields."""


@record
class Other:
    """No fields either."""


def test_it_is_made_like_a_dataclass() -> None:
    assert Place("a") == Place("a", 1.0, [])
    assert Place("a").tags is not Place("a").tags
    assert Place(name="a", size=3.0).doubled == 6.0
    with pytest.raises(TypeError, match="missing 1 required positional argument: 'name'"):
        Place()  # type: ignore[call-arg]
    with pytest.raises(TypeError, match="colour"):
        Place("a", colour="red")  # type: ignore[call-arg]
    with pytest.raises(ValueError, match="size"):
        Place("a", -1.0)


def test_it_cannot_be_changed() -> None:
    place = Place("a")
    for change in (
        lambda: setattr(place, "size", 2.0),
        lambda: setattr(place, "new", 1),
        lambda: delattr(place, "size"),
    ):
        with pytest.raises(FrozenInstanceError):
            change()
    assert place == Place("a")
    assert not hasattr(place, "__dict__")


def test_it_compares_and_hashes_by_its_fields() -> None:
    assert Place("a") != Place("b")
    assert Place("a") != Plain("a")
    assert Nothing() == Nothing()
    assert Nothing() != Other()
    assert hash(Nothing()) == hash(Nothing())
    with pytest.raises(TypeError, match="unhashable"):
        hash(Place("a"))


def test_it_shows_itself_like_a_dataclass() -> None:
    assert repr(Place("a", 2.0, ["x"])) == repr(Plain("a", 2.0, ["x"])).replace("Plain", "Place")
    assert repr(Nothing()) == "Nothing()"


def test_the_tools_of_dataclasses_work() -> None:
    place = Place("a", 2.0, ["x"])
    assert is_dataclass(place)
    assert [f.name for f in fields(place)] == ["name", "size", "tags"]  # type: ignore[arg-type]
    assert asdict(place) == {"name": "a", "size": 2.0, "tags": ["x"]}  # type: ignore[call-overload]
    assert replace(place, size=5.0) == Place("a", 5.0, ["x"])  # type: ignore[type-var]
    match place:
        case Place(name, size):
            assert (name, size) == ("a", 2.0)


@pytest.mark.parametrize("value", [Place("a", 2.0, ["x"]), Nothing()], ids=repr)
def test_it_survives_pickling_and_copying(value: object) -> None:
    again = pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes
    assert again == copy.copy(value) == copy.deepcopy(value) == value
