"""Which pairs are shown, and what their labels say beside another scorer."""

from __future__ import annotations

from typing import Any

from routerlab.experiments.labels import label_agreement, pairs_to_label


def row(item: int, variant: str, text: str | None = "", **columns: Any) -> dict[str, Any]:
    made = {"item_id": f"{item:02d}", "repeat": 0, "variant": variant, "status": "ok"}
    return {**made, "text": text if text != "" else f"{variant} {item}", **columns}


def test_each_item_gives_one_pair_of_two_arms_on_sides_by_chance() -> None:
    rows = [row(item, variant) for item in range(40) for variant in "abc"]
    pairs = pairs_to_label(rows, 30)

    assert len(pairs) == 30
    assert len({first["item_id"] for first, _ in pairs}) == 30
    assert all(first["item_id"] == second["item_id"] for first, second in pairs)
    assert all(first["variant"] != second["variant"] for first, second in pairs)
    assert {first["variant"] for first, _ in pairs} == set("abc")
    assert pairs == pairs_to_label(rows, 30)
    assert pairs != pairs_to_label(rows, 30, seed=1)


def test_what_cannot_be_compared_or_is_labeled_is_not_shown() -> None:
    rows = [
        *(row(1, "a", "same"), row(1, "b", "same ")),
        *(row(2, "a"), row(2, "b", None)),
        *(row(3, "a"), row(3, "b", status="failed")),
        *(row(4, "a", score_label=1.0), row(4, "b", score_label=0.0), row(4, "c")),
        *(row(5, "a"), row(5, "b")),
    ]
    assert [first["item_id"] for first, _ in pairs_to_label(rows, 30)] == ["05"]


def test_agreement_is_on_the_better_one_of_each_labeled_pair() -> None:
    scores = [
        ((1, 0), (0.75, 0.5)),
        ((1, 0), (0.25, 0.5)),
        ((0.5, 0.5), (0.5, 0.5)),
        ((0, 1), (0, 1)),
        ((1, 0), (1, None)),
    ]
    rows = [
        row(item, variant, score_label=label[side], score_judge=judge[side])
        for item, (label, judge) in enumerate(scores)
        for side, variant in enumerate("ab")
    ]
    found = label_agreement([*rows, row(9, "a", score_judge=1.0), row(9, "b", score_judge=0.0)], "judge")

    assert found.n == 4
    assert found.share == 0.75
    assert found.counts == {(1, 1): 1, (1, 2): 1, ("tie", "tie"): 1, (2, 2): 1}
    assert found.kappa == (3 / 4 - 5 / 16) / (1 - 5 / 16)  # chance: 2 * 1, 1 * 2 and 1 * 1 of 16
