"""Numbers in running text, as people and models write them."""

from __future__ import annotations

import math
import re

__all__ = ["last_number", "numbers_in", "only_number"]

_NUMBER = re.compile(
    r"""
    (?<![^\W_])(?<!\d\.)                        # not inside a word or a version: H2O, A7F2, 1.5.2
    (?P<sign>(?<![\w)])[-+\u2212])?             # a sign, but not the dash of 3-4 or of a date
    [$€£¥]?(?P<inner>(?<=[$€£¥])[-\u2212])?     # $5, -$5, $-5
    (?:
        (?:(?P<whole>\d+)[ ])?(?<!\d/)(?P<over>\d+)/(?P<under>\d+)(?![\d/])     # 3/4, 1 3/4; not a date
      | (?P<digits>\d{1,3}(?:,\d{3})+(?!\d)|\d+)?(?P<fraction>(?(digits)\.\d*|\.\d+))?
        (?(digits)|(?(fraction)|(?!)))          # at least one of the two
        (?:[eE](?P<exponent>[-+]?\d+)|\s?[x\xd7*]\s?10\s?(?:\^|\*\*)\s?(?P<power>[-+\u2212]?\d+))?
    )
    """,
    re.VERBOSE,
)

_MARKED = re.compile(r"####[ \t]*(\S+)[ \t]*$", re.MULTILINE)


def numbers_in(text: str) -> list[float]:
    """The finite numbers in ``text``, in order; currency and per cent signs are dropped (``15%`` is 15)."""
    values = (_value(match) for match in _NUMBER.finditer(text))
    return [value for value in values if value is not None and math.isfinite(value)]


def last_number(text: str) -> float | None:
    """The number that a reply ends on: the last one, or the one on a line ``#### 42``; None when there is none.

    Example:
        >>> last_number("Of the 1,200 there are 3/4 left, that is 900.")
        900.0
    """
    marked = _MARKED.findall(text)  # no heading such as "#### 3. Add them up"
    found = numbers_in(marked[-1]) if marked else []
    found = found or numbers_in(text)
    return found[-1] if found else None


def only_number(text: str) -> float | None:
    """The one number of a target, or the first after its ``####``; None for none and for several (a date, a code)."""
    _, marked, after = text.rpartition("####")
    found = numbers_in(after if marked else text)
    return found[0] if found and (marked or len(found) == 1) else None


def _value(match: re.Match[str]) -> float | None:
    part = match.groupdict()
    if part["under"] is not None:
        under = float(part["under"])
        size = float(part["whole"] or 0) + float(part["over"]) / under if under else None
    else:
        exponent = (part["exponent"] or part["power"] or "0").replace("\u2212", "-")
        size = float(f"{(part['digits'] or '0').replace(',', '')}{part['fraction'] or ''}e{exponent}")
    negative = {part["sign"], part["inner"]} & {"-", "\u2212"}
    return size if size is None or not negative else -size
