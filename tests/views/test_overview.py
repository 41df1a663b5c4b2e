"""A lab at a glance."""

from routerlab.core.types import ModelSnapshot, Price
from routerlab.views.overview import overview_html


def test_each_model_has_a_row_with_what_is_known():
    models = [
        ModelSnapshot("a/<b>x", "a", success_rate=0.5, score=0.25, latency_s=1.5, samples=2, price=Price(1.0, 2.5)),
        ModelSnapshot("b/y", "b", breaker="half_open"),
        ModelSnapshot("c/z", "c", breaker="open", out_because="the provider refused the key"),
    ]
    page = overview_html("A lab", models, {"chat": ["a/<b>x", "b/y"], "all": ["b/y"]})
    assert page.count("<tr>") == 1 + 3
    assert "<b>x" not in page
    for text in ("50.0 %", "0.250", "1.5", "1 in, 2.5 out", "chat, all", "◐ half-open", "○ open, the provider refused"):
        assert text in page


def test_a_closed_lab_is_one_line():
    assert "<table" not in overview_html("A lab (closed)", [], {})
