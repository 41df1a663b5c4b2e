"""Keys never reach a message: providers echo them back, proxies print them, and notebooks are mailed."""

from __future__ import annotations

import re
import sys
from collections.abc import Collection, Iterable, Iterator
from typing import Any

from routerlab.core.plain import plain

__all__ = ["MASK", "Private", "Redactor", "Secrets"]

MASK = "***"
"""What stands in the place of a secret."""
_LONG = 8  # from this length on a secret is searched inside words and in its encoded forms too
_SHORT = 4  # below this length there is nothing worth hiding, and every message would be full of masks
_LEARNED = 32  # secrets that are remembered after they were fetched: the oldest of them have long expired
_SCAN = 65_536  # characters of a body that an excerpt is looked for in; bodies may have 32 MiB

# Keys that are not ours (a gateway's own, half-masked echoes such as "sk-ab****yz") are known by their looks.
_GENERIC = re.compile(
    r"(?P<keep>\b(?:bearer|basic)\s+|\b(?:api[-_]?key|access[-_]?token)[\"']?\s*[=:]\s*[\"']?)[\w.~+/*=-]{8,}"
    r"|\b(?:sk|pk|rk|csk)-[\w*-]{6,}|\b(?:gsk|hf|r8)_\w{12,}|\b(?:xai|pplx|nvapi)-[\w-]{12,}|\bAIza[\w-]{20,}"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*",
    re.IGNORECASE,
)

# What a text must contain, in lower case, before one of these can match: seeing that there is none of it costs a
# hundredth of searching with the pattern.
_SIGNS = (
    *("bearer", "basic", "apikey", "api-key", "api_key", "accesstoken", "access-token", "access_token"),
    *("sk-", "pk-", "rk-", "gsk_", "hf_", "r8_", "xai-", "pplx-", "nvapi-", "aiza", "eyj"),
)

_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_ESCAPES = "\\%&"
"""What an escape begins with, in JSON, URLs and HTML."""
_ESCAPED_CHARS = 16  # of one escaped character, at most, or almost always
_BACKSLASH = r"(?:\\|%(?:25)*5c)"
_ESCAPE = re.compile(
    rb"%(?:25)*([\da-f]{2})|\\+u([\da-f]{4})|&(?:amp;)*(?:#0*(\d{1,7})|#x0*([\da-f]{1,6})|(amp|lt|gt|quot|apos));",
    re.IGNORECASE,
)
_OPEN_ESCAPE = re.compile(
    rf"(?:{_BACKSLASH}+(?:u[\da-f]{{0,3}})?|%(?:25)*[\da-f]?|&(?:amp;)*[#\w]{{0,9}})\Z", re.IGNORECASE
)


class Private(dict[str, Any]):
    """A mapping that may hold secrets: it shows its keys, in tracebacks with locals too, and no value.

    >>> Private(api_key="correct-horse")
    Private(api_key=***)
    """

    def __repr__(self) -> str:
        return f"Private({', '.join(f'{key}={MASK}' for key in self)})"

    def __reduce_ex__(self, protocol: Any) -> Any:
        raise TypeError("what may hold secrets is not pickled")


class Secrets(Collection[str]):
    """What must not be shown; grows while keys are fetched, and every `Redactor` made of it knows them at once.

    Args:
        known: from the beginning; never forgotten.
    """

    __slots__ = ("_known", "_learned", "_others")

    def __init__(self, known: Iterable[str] = ()) -> None:
        self._known = frozenset(filter(None, known))
        self._learned: tuple[str, ...] = ()
        self._others: Secrets | None = None

    def add(self, secret: str) -> None:
        """Remember one more; of those added so, the last 32."""
        if secret not in self:
            self._learned = (*self._learned, secret)[-_LEARNED:]

    def include(self, others: Secrets) -> None:
        """Count these in from now on, and whatever they learn; they take the place of those included before."""
        self._others = others

    @property
    def version(self) -> tuple[object, ...]:
        """Not equal to what it was after each change."""
        return (self._learned,) if self._others is None else (self._learned, id(self._others), self._others.version)

    def __contains__(self, secret: object) -> bool:
        return secret in self._known or secret in self._learned

    def __iter__(self) -> Iterator[str]:
        yield from self._known
        yield from self._learned
        yield from self._others or ()

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __repr__(self) -> str:
        return f"Secrets({len(self)})"

    def __reduce__(self) -> Any:
        raise TypeError("Secrets are not pickled")


class Redactor:
    """Replaces secrets in texts by ``***``, whatever form they come in.

    Args:
        secrets: keys, tokens, passwords. Each is found as it is and escaped for URLs, HTML or JSON (once, or again),
            and so is its base64 (both alphabets, at any offset, so inside ``Basic …`` too), in any case. Of four to
            seven characters it is replaced only where it stands alone; a shorter one is no secret. Of `Secrets` later
            ones are known, too.

    >>> redact = Redactor(["correct-horse"]).redact
    >>> redact("no such key: correct-horse")
    'no such key: ***'
    >>> redact("Authorization: Bearer abcdefgh123")
    'Authorization: Bearer ***'
    """

    __slots__ = ("_begin", "_forms", "_longest", "_pattern", "_secrets", "_signs", "_version")

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._secrets = secrets if isinstance(secrets, Secrets) else Secrets(secrets)
        self._learn()

    def _learn(self) -> None:
        version = self._secrets.version
        forms = {form: pattern for secret in self._secrets for form, pattern in _forms(secret)}
        longest_first = sorted(forms, key=len, reverse=True)
        self._longest = _ESCAPED_CHARS * max(map(len, forms), default=0)
        self._signs = tuple({_sign(form) for form in forms})
        self._pattern = re.compile("|".join(map(forms.__getitem__, longest_first)), re.IGNORECASE)
        self._forms = _by_beginning(forms)
        first = "".join(char or _ESCAPES for char in self._forms)
        self._begin = re.compile(f"[{re.escape(first)}]" if first else "(?!)", re.IGNORECASE)
        self._version = version  # last: another thread may be reading

    def mask(self, text: str) -> str:
        """``text`` without the secrets that are known; what only looks like a key stays."""
        if self._version != self._secrets.version:
            self._learn()
        if any(map(_lower(text).__contains__, self._signs)):
            text = self._pattern.sub(MASK, text)
        return text

    @property
    def beginning(self) -> re.Pattern[str]:
        """Finds what could be the first character of a secret known by now; where it finds none, there is none."""
        if self._version != self._secrets.version:
            self._learn()
        return self._begin

    def open_end(self, text: str) -> int:
        """Where the part of a text begins that could be the first characters of a secret; its length: there is none.

        A secret that the text ends in counts, too: more characters could make a longer one of it.
        """
        if self._version != self._secrets.version:
            self._learn()
        start = max(0, len(text) - self._longest)  # a beginning is no longer
        for match in self._pattern.finditer(text, start) if any(map(_lower(text).__contains__, self._signs)) else ():
            if match.end() == len(text) or self._could_grow(text[match.start() :]):
                return match.start()
            start = match.end()
        while (found := self._begin.search(text, start)) is not None:
            if self._could_grow(text[found.start() :]):
                return found.start()
            start = found.start() + 1
        return len(text)

    def _could_grow(self, text: str) -> bool:
        plain = _plain(text, cut=True)
        forms = self._forms.get(plain[:1], ())
        return any(form.startswith(plain) and (form != plain or len(form) < _LONG) for form in forms)

    def redact(self, text: str) -> str:
        """``text`` without secrets, known ones and what looks like a key."""
        text = self.mask(text)
        if any(map(_lower(text).__contains__, _SIGNS)):
            text = _GENERIC.sub(lambda match: (match["keep"] or "") + MASK, text)
        return text

    def excerpt(self, text: str, limit: int = 300) -> str:
        """The beginning of ``text`` on one line, without secrets and terminal escapes: at most ``limit`` characters and
        an ellipsis.

        Redacts before it cuts: half a key is a secret too.
        """
        head = self.redact(text[:_SCAN])
        if len(text) > _SCAN:  # the cut may have gone through a key
            head = head[: -self._longest or None]
        line = plain(" ".join(head.split()))
        return line if len(line) <= limit else line[:limit].rstrip() + "…"

    def __repr__(self) -> str:
        return "Redactor(***)"

    def __reduce__(self) -> Any:
        raise TypeError("a Redactor holds secrets and is not pickled")


def _lower(text: str) -> str:
    """``text`` in lower case, ASCII letters as `re.IGNORECASE` sees them: three others count as i and s for it."""
    if not text.isascii():
        text = text.replace("\u0130", "i").replace("\u0131", "i").replace("\u017f", "s")
    return text.lower()


def _plain(text: str, *, cut: bool = False) -> str:
    """``text`` in lower case, with nothing escaped any more; of one that was cut, without a last half escape."""
    if "\\" in text or "%" in text or "&" in text:
        text = _OPEN_ESCAPE.sub("", text) if cut else text
        data = _ESCAPE.sub(_unescaped, text.encode(errors="replace"))
        data = _ESCAPE.sub(_unescaped, data)  # JSON in a URL, HTML in JSON
        text = data.decode(errors="ignore").replace("\\", "")
    return _lower(text)


def _unescaped(match: re.Match[bytes]) -> bytes:
    byte, unit, decimal, hexadecimal, name = match.groups()
    if byte:
        return bytes([int(byte, 16)])
    if name:
        return _NAMED[name.decode().lower()].encode()
    code = int(decimal) if decimal else int(unit or hexadecimal, 16)
    return chr(min(code, sys.maxunicode)).encode(errors="replace")


def _forms(secret: str) -> Iterator[tuple[str, str]]:
    """The forms in which one secret may appear, none of them escaped, each with the pattern that finds it."""
    secret = secret.strip()
    if len(secret) < _SHORT:
        return
    if len(secret) < _LONG:
        yield secret, rf"(?<!\w){re.escape(secret)}(?!\w)"
        return
    for form in {secret, secret.replace(" ", "+")}:  # the second in a query
        yield form, _escapable(form)
    for form in _base64_forms(secret.encode()):
        yield form, _escapable(form) + r"[\w+/-]?=*"  # the last character depends on what follows


def _by_beginning(forms: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Forms as `_plain` has texts, by their first character; under "" all whose first one may be escaped."""
    found: dict[str, set[str]] = {}
    for form in forms:
        plain = _plain(form)
        for first in (plain[:1], "" if _is_escaped(form[0]) else plain[:1]):
            found.setdefault(first, set()).add(plain)
    return {first: tuple(sorted(many)) for first, many in found.items()}


def _is_escaped(char: str) -> bool:
    """Whether a character may be escaped: not a letter, a digit or one of the four that URLs, JSON and HTML spare."""
    return not (char.isascii() and (char.isalnum() or char in "-._~"))


def _escapable(form: str) -> str:
    """A pattern for a text that may be escaped, once or again.

    Each run of backslashes is taken whole, and none in front: a pattern that could begin anywhere in a long run, or
    divide it, would take the square of its length.
    """
    chars = re.sub(r"\\+", r"\\", form)
    return _anyhow(chars[0], "", "") + "".join(_anyhow(char, "*+", "++") for char in chars[1:])


def _anyhow(char: str, some: str, more: str) -> str:
    """A pattern for a character as it is, behind backslashes, and escaped for a URL, for JSON and for HTML."""
    if not _is_escaped(char):
        return re.escape(char)
    before = some and _BACKSLASH + some
    plain = _BACKSLASH + more if char == "\\" else before + re.escape(char)
    quoted = before + "".join(f"%(?:25)*{byte:02x}" for byte in char.encode(errors="replace"))
    units = char.encode("utf-16-be", errors="replace").hex()
    escaped = (_BACKSLASH + more).join(["", *(f"u{units[at : at + 4]}" for at in range(0, len(units), 4))])
    names = "".join(f"|{name}" for name, named in _NAMED.items() if named == char)
    return f"(?:{plain}|{quoted}|{escaped}|&(?:amp;)*(?:#0*{ord(char)}|#x0*{ord(char):x}{names});)"


def _sign(form: str) -> str:
    """What a text must contain, in lower case, where this form is in it; it finds the few worth a search."""
    return max("".join(" " if _is_escaped(char) else char for char in form).split(" "), key=len).lower()


def _base64_forms(secret: bytes) -> Iterator[str]:
    """The secret inside a base64 text, as far as it does not depend on what is around it: one for each alignment."""
    from binascii import b2a_base64

    for offset, spoiled in ((0, 0), (1, 2), (2, 3)):  # characters that depend on the bytes before the secret
        padded = b2a_base64(bytes(offset) + secret, newline=False).decode().rstrip("=")
        whole = padded[spoiled:] if (offset + len(secret)) % 3 == 0 else padded[spoiled:-1]
        yield from {whole, whole.replace("+", "-").replace("/", "_")}
