"""Names in few characters that are still told apart."""

from hypothesis import given
from hypothesis import strategies as st

from routerlab.views.words import short_names


def test_short_names_stay_whole():
    assert short_names(["sim/alpha", "sim/beta"]) == ["sim/alpha", "sim/beta"]


def test_a_long_name_keeps_both_ends():
    assert short_names(["openrouter/meta-llama/llama-3.3-70b-instruct", "a/b"], 20) == ["openrouter…-instruct", "a/b"]


def test_what_all_share_goes_first():
    names = [f"together/meta-llama-{n}-70b-instruct-turbo-preview" for n in range(12)]
    assert short_names(names, 20)[:2] == ["…0…", "…1…"]


@given(st.lists(st.text(min_size=1, max_size=60), min_size=1, max_size=20, unique=True), st.integers(16, 40))
def test_they_are_always_told_apart_and_fit(names, most):
    short = short_names(names, most)
    assert len(set(short)) == len(names)
    assert all(len(name) <= most for name in short)
