"""Secrets in a stream, cut anywhere: never shown, and nothing else waits."""

import base64
import itertools
import json
from html import escape
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from routerlab.core.redact import Redactor
from routerlab.core.stream_mask import StreamMask, without_half

KEY = 'sk-live/"abc+def"==XYZ-0123456789'
KEYS = [KEY, "correct-horse", "correct-horse-battery", "abcd"]
FORMS = [
    KEY,
    quote(KEY, safe=""),
    json.dumps(KEY)[1:-1],
    base64.b64encode(b"x" + KEY.encode() + b"y").decode(),
    KEY.upper(),
    quote(quote(KEY, safe=""), safe=""),
    quote(base64.b64encode(b"x" + KEY.encode() + b"?>?>?>").decode(), safe=""),
    "".join(char if char.isalnum() or char == "-" else f"\\u{ord(char):04x}" for char in KEY),
    "".join(char if char.isalnum() or char == "-" else f"&#x{ord(char):X};" for char in KEY),
    escape(KEY).replace("&", "&amp;"),
    quote(json.dumps(KEY)),
]


def through(text, cuts, secrets=KEYS):
    mask = StreamMask(Redactor(secrets))
    places = sorted({0, len(text), *(cut % (len(text) + 1) for cut in cuts)})
    pieces = [mask.feed(text[a:b]) for a, b in itertools.pairwise(places)]
    return "".join([*pieces, mask.end()])


@pytest.mark.parametrize("form", FORMS)
def test_no_cut_lets_a_key_through(form):
    text = f"so the key is {form}, keep it"
    whole = Redactor(KEYS).mask(text)
    assert form not in whole
    for cut in range(len(text) + 1):
        assert through(text, [cut]) == whole
    assert through(text, range(len(text))) == whole, "one character at a time"


@given(
    st.lists(
        st.sampled_from([*FORMS, "correct", "cor", "sk-", "abc", " abcd ", "xabcdx", "\\", "/", '"', "é", "\n"]),
        max_size=8,
    ),
    st.lists(st.integers(0, 400), max_size=40),
)
def test_whatever_comes_in_whatever_pieces_no_key_comes_out(words, cuts):
    text = "".join(words)
    shown = through(text, cuts)
    assert Redactor(KEYS).mask(shown) == shown
    for form in (KEY, "correct-horse"):
        assert form.lower() not in shown.lower()


@given(st.text(alphabet="abcdefghijklmnopqrstuvwxyz ", max_size=200), st.lists(st.integers(0, 200), max_size=30))
def test_what_is_no_secret_comes_out_as_it_was(text, cuts):
    assert through(text, cuts, ["QQQQ-not-in-it-1234"]) == text


def test_nothing_waits_that_cannot_be_a_beginning():
    mask = StreamMask(Redactor(["correct-horse"]))
    assert mask.feed("it is ") == "it is "
    assert mask.feed("c") == ""
    assert mask.feed("at") == "cat"
    assert mask.feed("co") == ""
    assert mask.feed("rx") == "corx"


def test_without_secrets_pieces_are_passed_on_as_they_are():
    piece = "a piece"
    assert StreamMask(Redactor()).feed(piece) is piece


@pytest.mark.parametrize("kept", range(len("correct-horse")))
def test_half_a_key_at_the_end_is_masked_from_eight_characters_on(kept):
    text = "key: " + "correct-horse"[:kept]
    expected = "key: ***" if kept >= 8 else text
    assert through(text, [6, 9], ["correct-horse"]) == expected
    assert without_half(text, Redactor(["correct-horse"])) == expected


def test_a_short_secret_counts_only_where_it_stands_alone():
    assert through("pin abcd.", range(9)) == "pin ***."
    assert through("xabcdx", range(6)) == "xabcdx"


def test_a_secret_that_goes_on_in_another_is_waited_for():
    secrets = ["correct-horse", "correct-horse-battery"]
    assert through("correct-horse-battery!", range(22), secrets) == "***!"
    assert through("correct-horse!", range(14), secrets) == "***!"


def test_a_long_piece_takes_linear_time():
    redactor = Redactor(["c" * 40 + "orrect-horse"])
    mask = StreamMask(redactor)
    text = "c" * 2_000_000
    assert len(mask.feed(text)) > 1_999_000
    assert len(mask.end()) < 100
