"""When the items of a run are sent: at a rate, or as requests arrived at a real service.

Without arrivals a run is a closed loop: a slow model gets fewer calls, and nobody sees how long they would have waited.
With arrivals the load does not ask how the model is doing; a call that starts late has waited, and that is its
``queue_s``.
"""

from __future__ import annotations

import itertools
import math
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from routerlab.core.chance import Chance
from routerlab.core.checks import is_number, is_whole
from routerlab.core.errors import ConfigurationError, DatasetError
from routerlab.experiments.rows import ENDINGS, Row, read_rows
from routerlab.simulation import traffic
from routerlab.simulation.traffic import parse_rate

__all__ = ["Arrivals", "as_arrivals", "bursts", "constant", "load_arrivals", "poisson"]

_COLUMNS = ("TIMESTAMP", "timestamp", "arrived_at")
_UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6}


@dataclass(frozen=True, slots=True, eq=False)
class Arrivals:
    """Moments at which something arrives, in seconds since the first.

    Attributes:
        name: says what they are, in words.
        size: how many there are; None: without end.
    """

    name: str
    size: int | None = None
    _times: Callable[[], Iterable[float]] = field(kw_only=True)

    def times(self, n: int) -> array[float]:
        """The first `n`, or as many as there are; the first is 0.

        >>> list(constant("2/s").times(3))
        [0.0, 0.5, 1.0]
        """
        return array("d", itertools.islice(self._times(), n))

    def settings(self) -> str:
        """What they are, as plain data; two that differ say so."""
        return self.name if self.size is None else f"{self.name}, hash {sha256(self.times(self.size)).hexdigest()[:12]}"

    def __repr__(self) -> str:
        many = "" if self.size is None else f": {self.size:,} arrivals"
        return f"<Arrivals {self.name}{many}>"


def constant(rate: str | float) -> Arrivals:
    """One after the other, all gaps the same.

    Args:
        rate: ``"5/s"``, ``"100/min"``, or a number per second.
    """
    per_s = parse_rate(rate)
    return Arrivals(f"constant {_said(rate)}", _times=partial(_in_groups, per_s, 1))


def poisson(rate: str | float, *, seed: int = 0) -> Arrivals:
    """As those of many users who know nothing of each other.

    Args:
        rate: in the long run.
        seed: the same seed gives the same arrivals.
    """
    per_s = parse_rate(rate)
    name = f"Poisson {_said(rate)}, seed {seed}"
    return Arrivals(name, _times=partial(_by_chance, per_s, seed))


def bursts(rate: str | float, *, size: int = 10) -> Arrivals:
    """Some at once, then nothing, then some at once.

    Args:
        rate: in the long run.
        size: how many arrive together, at least 1.

    >>> list(bursts("2/s", size=2).times(5))
    [0.0, 0.0, 1.0, 1.0, 2.0]
    """
    per_s = parse_rate(rate)
    if not is_whole(size):
        raise ConfigurationError(f"size={size!r}: expected a whole number of at least 1")
    name = f"bursts of {size}, {_said(rate)}"
    return Arrivals(name, _times=partial(_in_groups, per_s, size))


def load_arrivals(
    path: str | os.PathLike[str],
    *,
    speed: float = 1.0,
    column: str | None = None,
    unit: str | None = None,
    limit: int | None = None,
) -> Arrivals:
    """Read when requests arrived from a trace, such as Azure's LLM inference trace (CSV) or Mooncake's (JSONL).

    Args:
        path: a file with a row per request, the earliest first (any of a dataset's formats but YAML).
        speed: 10 plays it ten times as fast.
        column: where the times are; None: ``TIMESTAMP``, ``timestamp`` or ``arrived_at``.
        unit: of numbers: ``"s"``, ``"ms"`` or ``"us"``; None: milliseconds in ``timestamp`` (as Mooncake's), else
            seconds. Dates and times (``2023-11-16 18:17:03.9799600``) need none.
        limit: only the first so many.

    Raises:
        ConfigurationError: an option makes no sense.
        DatasetError: a line has no time, or an earlier one than the line before; file, line and reason are said.
    """
    file = Path(path)
    if not is_number(speed) or not 0 < speed < math.inf:
        raise ConfigurationError(f"speed={speed!r}: expected a positive number (10: ten times as fast)")
    if unit is not None and unit not in _UNITS:
        raise ConfigurationError(f"unit={unit!r}: expected one of {', '.join(map(repr, _UNITS))}")
    if not file.is_file() or file.suffix.lower() not in ENDINGS or file.suffix.lower() in {".yaml", ".yml"}:
        what = "this format is not read here" if file.is_file() else "there is no such file"
        raise DatasetError(f"{os.fspath(path)}: {what}; expected a CSV or JSON Lines file with a row per request")
    rows = itertools.islice(read_rows(file, encoding="utf-8", delimiter=None), limit)
    moments = list(_moments(rows, column, unit))
    if not moments:
        raise DatasetError(f"{file.name}: no rows, so nothing arrives")
    times = array("d", ((moment - moments[0]) / speed for moment in moments))
    at = "" if speed == 1 else f" at {speed:g} times its speed"
    return Arrivals(f"{file.name}{at}", len(times), _times=partial(iter, times))


def as_arrivals(given: Any) -> Arrivals:
    """What ``arrivals=`` may be: `Arrivals`, a rate (constant), or seconds in rising order.

    Raises:
        ConfigurationError: anything else.
    """
    if isinstance(given, Arrivals):
        return given
    if isinstance(given, str | int | float) and not isinstance(given, bool):
        if isinstance(given, str) and given.lower().endswith(ENDINGS):
            raise ConfigurationError(f"arrivals={given!r} is a file: pass rl.load_arrivals({given!r})")
        return constant(given)
    try:
        moments = [float(moment) for moment in given]
    except (TypeError, ValueError):
        raise ConfigurationError(
            f"arrivals={given!r}: expected a rate such as '5/s', rl.arrivals.poisson('5/s'), "
            "rl.load_arrivals(path), or a list of seconds"
        ) from None
    if not moments or not all(map(math.isfinite, moments)) or moments != sorted(moments):
        raise ConfigurationError("arrivals: expected a list of finite seconds, at least one, in rising order")
    times = array("d", (moment - moments[0] for moment in moments))
    return Arrivals("a list of times", len(times), _times=partial(iter, times))


def _said(rate: str | float) -> str:
    return rate if isinstance(rate, str) else f"{rate:g}/s"


def _in_groups(per_s: float, size: int) -> Iterator[float]:
    return (number // size * size / per_s for number in itertools.count())


def _by_chance(per_s: float, seed: int) -> Iterator[float]:
    return itertools.accumulate(traffic.poisson(per_s, Chance(seed, "arrivals")), initial=0.0)


def _moments(rows: Iterable[Row], column: str | None, unit: str | None) -> Iterator[float]:
    latest = -math.inf
    for row in rows:
        if row.problem:
            raise _bad(row, row.problem)
        moment = _moment(row, column, unit)
        if moment < latest:
            raise _bad(row, "it is earlier than the row before: a trace goes from the earliest to the latest")
        yield moment
        latest = moment


def _moment(row: Row, column: str | None, unit: str | None) -> float:
    name = column or next((name for name in _COLUMNS if name in row.fields), None)
    if name is None or name not in row.fields:
        wanted = f"no column {name!r}" if name else f"none of the columns {', '.join(_COLUMNS)}"
        raise _bad(row, f"{wanted} (column= names another; there are {', '.join(row.fields) or 'none'})")
    value = row.fields[name]
    try:
        moment = float(value) * _UNITS[unit or ("ms" if name == "timestamp" else "s")]
    except (TypeError, ValueError):
        moment = _date(value)
    if not math.isfinite(moment):
        raise _bad(row, f"{name}={value!r} is neither a number nor a date and time")
    return moment


def _date(value: Any) -> float:
    """Seconds since the epoch, of a time without a zone as if it were UTC's; NaN where it is none."""
    try:
        found = datetime.fromisoformat(str(value).strip())
    except ValueError:
        return math.nan
    return (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()


def _bad(row: Row, reason: str) -> DatasetError:
    return DatasetError(f"{row.place}: {reason}", [f"{row.place}: {reason}"])
