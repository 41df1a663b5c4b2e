"""What a panel's buttons do."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from routerlab.views.activity import Activity
from routerlab.views.controls import FAULTS, Controls


@pytest.mark.parametrize("kind", [kind for kind, _ in FAULTS])
def test_every_fault_that_a_panel_offers_can_be_put_in(make_lab: Any, kind: str) -> None:
    lab = make_lab(alpha={})
    controls = Controls(lab._session, Activity(), lab.faults)
    said = asyncio.run(controls.act({"do": "fault", "model": "sim/alpha", "kind": kind, "duration": 1.0}))
    assert said == ""
    assert "fault_injected" in lab.events()["kind"].tolist()


def test_what_cannot_be_done_is_told(make_lab: Any) -> None:
    lab = make_lab(alpha={})
    controls = Controls(lab._session, Activity(), lab.faults)
    assert "could not be done" in asyncio.run(
        controls.act({"do": "fault", "model": "sim/alpha", "kind": "x", "duration": 1})
    )
    assert "could not be done" in asyncio.run(controls.act({"do": "dance"}))
