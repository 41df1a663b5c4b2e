"""Where one text goes on from another: what is repeated goes, what is new stays."""

from __future__ import annotations

import pytest

from routerlab.core.seam import INSTRUCTION, Seam, carry_on

TEXT = "The sky is blue because molecules scatter short waves more than long ones. The sky at night is another story."
ASKED = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Why?"}]


def joined(so_far: str, rest: str, *, exact: bool, size: int = 1) -> str:
    seam = Seam(so_far, exact=exact)
    pieces = [rest[start : start + size] for start in range(0, len(rest), size)]
    return so_far + "".join([*map(seam.feed, pieces), seam.end()])


@pytest.mark.parametrize("size", [1, 3, 1000])
@pytest.mark.parametrize("exact", [True, False])
def test_an_exact_rest_is_left_alone_at_every_cut(exact: bool, size: int) -> None:
    for cut in range(1, len(TEXT)):
        so_far = TEXT[:cut]
        rest = TEXT[len(so_far.rstrip()) :]  # blanks at the end were not seen
        assert joined(so_far, rest, exact=exact, size=size) == TEXT


@pytest.mark.parametrize("size", [1, 5, 1000])
@pytest.mark.parametrize("exact", [True, False])
def test_a_text_told_from_the_start_is_not_told_twice(exact: bool, size: int) -> None:
    for cut in range(20, len(TEXT)):
        assert joined(TEXT[:cut], TEXT, exact=exact, size=size) == TEXT


@pytest.mark.parametrize("size", [1, 4, 1000])
def test_a_repeated_word_or_sentence_goes(size: int) -> None:
    for cut in range(1, len(TEXT)):
        so_far = TEXT[:cut]
        for back in (1, 2, 6):
            words = so_far.rstrip().split(" ")
            start = len(" ".join(words[:-back])) + (1 if len(words) > back else 0)
            if any(char.isalpha() for char in so_far[start:]):
                assert joined(so_far, TEXT[start:], exact=False, size=size) == TEXT, (cut, back)


@pytest.mark.parametrize(
    ("so_far", "rest", "exact"),
    [("1", "1", True), ("1", "1", False), ("ha", "ha", True), ("x = 2", "2", False), ("Oslo is no", "t big", True)],
)
def test_what_may_be_chance_stays(so_far: str, rest: str, exact: bool) -> None:
    assert joined(so_far, rest, exact=exact) == so_far + rest


def test_what_is_new_comes_at_once() -> None:
    seam = Seam(TEXT, exact=True)
    assert seam.feed(" Quite") == " Quite"
    assert seam.feed(" so.") == " so."
    assert seam.end() == ""


def test_nothing_so_far_holds_nothing_back() -> None:
    assert Seam("", exact=False).feed("x") == "x"


def test_by_prefill_the_text_is_the_last_message_without_blanks_at_its_end() -> None:
    assert carry_on(ASKED, "Because of ", prefill=True) == (*ASKED, {"role": "assistant", "content": "Because of"})


def test_by_instruction_a_message_says_what_to_do() -> None:
    *before, last = carry_on(ASKED, "Because", prefill=False)
    assert before == [*ASKED, {"role": "assistant", "content": "Because"}]
    assert last == {"role": "user", "content": INSTRUCTION}


def test_an_answer_that_the_caller_began_is_one_with_the_text_so_far() -> None:
    begun = [*ASKED, {"role": "assistant", "content": "Well, "}]
    assert carry_on(begun, "because", prefill=True)[-1] == {"role": "assistant", "content": "Well, because"}
    assert len(carry_on(begun, "because", prefill=False)) == len(begun) + 1
