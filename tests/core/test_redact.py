"""Secrets in every form they travel in."""

from __future__ import annotations

import base64
import json
import pickle
import time
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.redact import _GENERIC, _SIGNS, Private, Redactor, Secrets

SECRET = 'p@ss/w0rd+="x" ÿ?~\\'


@pytest.mark.parametrize(
    "form",
    [
        SECRET,
        SECRET.upper(),
        quote(SECRET, safe=""),
        quote(SECRET, safe="").lower(),
        quote(SECRET),
        quote_plus(SECRET),
        quote_plus(SECRET, safe="/?:@!$'()*,"),
        json.dumps(SECRET, ensure_ascii=False)[1:-1],
        base64.b64encode(SECRET.encode()).decode(),
        base64.urlsafe_b64encode(SECRET.encode()).decode(),
        base64.b64encode(SECRET.encode()).decode().rstrip("="),
    ],
)
def test_every_form_is_replaced(form: str) -> None:
    assert Redactor([SECRET]).redact(f"<{form}> and <{form}>") == "<***> and <***>"


@given(
    secret=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=40),
    before=st.binary(max_size=7),
    after=st.binary(max_size=7),
    urlsafe=st.booleans(),
)
def test_base64_at_any_offset(secret: str, before: bytes, after: bytes, urlsafe: bool) -> None:
    encode = base64.urlsafe_b64encode if urlsafe else base64.b64encode
    text = encode(before + secret.encode() + after).decode()
    shown = Redactor([secret]).redact(text)
    assert "***" in shown
    rest = shown.replace("***", "")
    assert len(rest) <= len(text) - (len(secret) * 8 // 6 - 2)


@given(st.text(min_size=8, max_size=30).filter(lambda text: len(text.strip()) >= 8), st.text(), st.text())
def test_a_secret_is_never_shown(secret: str, before: str, after: str) -> None:
    assert secret.strip() not in Redactor([secret]).redact(f"{before}{secret}{after}").replace("***", "")


@pytest.mark.parametrize(
    ("secret", "text", "shown"),
    [
        ("ollama", "no model ollama at ollama-host", "no model *** at ***-host"),
        ("none", "nonesuch, someone: none", "nonesuch, someone: ***"),
        ("abc", "abc", "abc"),
        ("", "text", "text"),
        ("  ", "a  b", "a  b"),
        ("longer-than-eight", "xlonger-than-eightx", "x***x"),
    ],
)
def test_short_secrets_do_not_wreck_a_message(secret: str, text: str, shown: str) -> None:
    assert Redactor([secret]).redact(text) == shown


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Authorization: Bearer abc.def-12345", "Authorization: Bearer ***"),
        ("Basic dXNlcjpwYXNz", "Basic ***"),
        ("Incorrect API key provided: sk-proj-ab12****wxyz.", "Incorrect API key provided: ***."),
        ('{"api_key": "0123456789abcdef"}', '{"api_key": "***"}'),
        ("https://host/v1?api-key=0123456789&x=1", "https://host/v1?api-key=***&x=1"),
        ("gsk_0123456789abcdef", "***"),
        ("AIzaSyA0123456789abcdefghij", "***"),
        ("hf_abcdefghijklmnop", "***"),
        ("eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.abc-_123", "***"),
    ],
)
def test_keys_that_are_not_ours_are_known_by_their_looks(text: str, shown: str) -> None:
    assert Redactor().redact(text) == shown


@pytest.mark.parametrize(
    "text",
    [
        "The model `gpt-4o-mini` does not exist",
        "bearer tokens are not accepted here",
        "task-force, risk-averse, ask-me",
        "max_tokens: 5 is too large for sk models",
        "basic usage",
        "",
    ],
)
def test_ordinary_words_stay(text: str) -> None:
    assert Redactor(["correct-horse-battery"]).redact(text) == text


@given(st.lists(st.sampled_from([*_SIGNS, *"\u0131\u017f\u212aé -_=:", ": ", '"', "Kk1234567890abcdef"])))
def test_looking_for_signs_first_misses_nothing(parts: list[str]) -> None:
    for text in ("".join(parts), "".join(parts).upper()):
        searched = _GENERIC.sub(lambda match: (match["keep"] or "") + "***", text)
        assert Redactor().redact(text) == searched


@pytest.mark.parametrize(
    "text", ["API_KEY=12345678", "ap\u0131-key: 12345678", "\u017fK-1234567", "ba\u017fic 12345678"]
)
def test_letters_that_count_as_ascii_hide_no_key(text: str) -> None:
    assert _GENERIC.search(text)
    assert "1234567" not in Redactor().redact(text)


def test_a_known_secret_is_found_with_letters_that_count_as_ascii() -> None:
    assert Redactor(["kinship-secret"]).redact("\u212a\u0130n\u017fh\u0131p-secret") == "***"


def test_several_secrets_the_longest_first() -> None:
    redactor = Redactor(["abcdefgh", "abcdefgh-ijkl"])
    assert redactor.redact("abcdefgh-ijkl abcdefgh") == "*** ***"


def test_an_excerpt_is_one_short_line() -> None:
    assert Redactor().excerpt("  one\n two\t three ") == "one two three"
    assert Redactor().excerpt("x" * 301) == "x" * 300 + "…"
    assert Redactor().excerpt("x" * 300) == "x" * 300


@pytest.mark.parametrize("start", [280, 290, 299, 300, 65_520, 65_530, 65_536])
def test_an_excerpt_never_ends_in_half_a_secret(start: int) -> None:
    secret = "correct-horse-battery-staple"
    for filler in (".", " "):
        assert "correct" not in Redactor([secret]).excerpt(filler * start + secret * 3, 70_000)


def test_a_huge_body_costs_no_time() -> None:
    redactor, started = Redactor(["correct-horse-battery"]), time.process_time()
    assert len(redactor.excerpt("<p>text " * 2**21)) == 301
    assert time.process_time() - started < 0.5


@pytest.mark.parametrize("secret", ["/+abcdefgh", "\\\\abcdefgh", 'abcdefgh\\"x', "%abcdefgh", "&abcdefgh"])
@pytest.mark.parametrize("run", ["\\", "%5c", "%25", "&amp;", "abcdefgh\\"])
def test_a_long_run_of_escapes_takes_linear_time(secret: str, run: str) -> None:
    text = "abcdefgh" + run * 50_000
    started = time.process_time()
    Redactor([secret]).mask(text)
    assert time.process_time() - started < 1


def test_it_shows_and_gives_away_nothing() -> None:
    redactor = Redactor([SECRET])
    assert repr(redactor) == str(redactor) == "Redactor(***)"
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(redactor)


def test_a_secret_that_comes_later_is_known_at_once() -> None:
    secrets = Secrets(["first-secret", ""])
    one, other = Redactor(secrets), Redactor(secrets)
    secrets.add("second-secret")
    secrets.add("second-secret")
    assert one.redact("first-secret second-secret") == other.redact("first-secret second-secret") == "*** ***"
    assert one.excerpt("x " * 40_000 + "second-secret").endswith("…")
    assert (len(secrets), "second-secret" in secrets, repr(secrets)) == (2, True, "Secrets(2)")


def test_only_the_last_fetched_secrets_are_kept() -> None:
    secrets = Secrets(["first-secret"])
    for number in range(100):
        secrets.add(f"token-number-{number:02}")
    assert len(secrets) == 33
    assert Redactor(secrets).redact("first-secret token-number-99 token-number-03") == "*** *** token-number-03"


def test_secrets_and_options_show_and_give_away_nothing() -> None:
    assert repr(Private(api_key=SECRET, headers={"a": SECRET})) == "Private(api_key=***, headers=***)"
    assert str({"options": Private(api_key=SECRET)}) == "{'options': Private(api_key=***)}"
    with pytest.raises(TypeError):
        pickle.dumps(Secrets([SECRET]))


@pytest.mark.parametrize(
    "text",
    {
        "json": r'{"x": "pass\"w\/rd & äöü"}',
        "json in json": r'"{\"x\": \"pass\\\"w/rd & \\u00e4\\u00f6\\u00fc\"}"',
        "json as Go writes it": r'{"x": "pass\"w/rd \u0026 äöü"}',
        "json as .NET writes it": r'{"x": "pass\u0022w/rd \u0026 \u00E4\u00F6\u00FC"}',
        "html": "<p>pass&quot;w/rd &amp; äöü</p>",
        "html by numbers": "<p>pass&#34;w&#x2F;rd &amp; &#228;&#xf6;ü</p>",
        "html in html": "<p>pass&amp;quot;w/rd &amp;amp; äöü</p>",
        "html in json": r'{"x": "pass&quot;w\/rd &amp; \u00e4\u00f6\u00fc"}',
        "quoted twice": quote(quote('pass"w/rd & äöü')),
        "quoted in part": "pass%22w/rd%20&%20äöü",
        "a query": "?x=pass%22w/rd+%26+%C3%A4%C3%B6%C3%BC",
        "json, quoted": quote(json.dumps('pass"w/rd & äöü')),
        "base64, quoted": quote(base64.b64encode('xx: pass"w/rd & äöü ÿ?>ÿ?>ÿ?>'.encode()).decode(), safe=""),
        "repr": repr("""it's pass"w/rd & äöü"""),
    }.items(),
    ids=lambda pair: pair[0],
)
def test_a_secret_is_found_however_it_is_escaped(text: tuple[str, str]) -> None:
    assert "***" in Redactor(['pass"w/rd & äöü']).mask(text[1])


def test_only_known_secrets_are_masked() -> None:
    redactor = Redactor(["correct-horse"])
    assert redactor.mask("correct-horse, sk-0123456789abcdef") == "***, sk-0123456789abcdef"


def test_secrets_of_others_count_as_well_those_learned_later_too() -> None:
    own, others = Secrets(["correct-horse"]), Secrets(["battery-staple"])
    redactor = Redactor(own)
    own.include(others)
    assert redactor.mask("correct-horse, battery-staple, third-of-them") == "***, ***, third-of-them"
    others.add("third-of-them")
    assert redactor.mask("third-of-them") == "***"


def test_what_may_hold_secrets_is_not_pickled() -> None:
    with pytest.raises(TypeError, match="not pickled"):
        pickle.dumps(Private(api_key="correct-horse"))


def test_an_excerpt_holds_no_terminal_escapes() -> None:
    assert (
        Redactor().excerpt("a\x1b]0;title\x07\n\x9b2J \u202eb \ud800")
        == "a\ufffd]0;title\ufffd \ufffd2J \ufffdb \ufffd"
    )
