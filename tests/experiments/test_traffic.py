"""Calls in the background."""

from __future__ import annotations

import time

import pytest

from routerlab.core.errors import ConfigurationError, LabClosedError
from routerlab.experiments.traffic import Traffic
from routerlab.session.results import CallSpec
from routerlab.simulation.traffic import constant

pytestmark = pytest.mark.usefixtures("no_leaks")


def wait_until(condition, seconds=30.0):
    end = time.monotonic() + seconds
    while not condition() and time.monotonic() < end:
        time.sleep(0.005)
    return condition()


def test_calls_come_at_their_pace_until_it_is_stopped(make_lab):
    lab = make_lab(alpha={})
    started = time.monotonic()
    traffic = lab.traffic("200/s", prompts=["a", "b"])
    assert traffic.running
    assert wait_until(lambda: traffic.sent["ok"] >= 20)
    assert 0.02 < time.monotonic() - started < 30
    traffic.stop()
    traffic.stop()
    assert not traffic.running
    calls = lab.calls(text=True).sort_values("scheduled_at")  # records come as calls end
    assert set(calls["purpose"]) == {"traffic"}
    assert calls["prompt"].tolist()[:4] == ["a", "b", "a", "b"]
    assert calls["queue_s"].notna().all()
    count = len(calls)
    time.sleep(0.05)
    assert len(lab.calls()) == count
    assert "stopped" in repr(traffic)


def test_failures_are_counted_not_raised(make_lab):
    lab = make_lab(alpha={"faults": ["invalid_request"]})
    traffic = lab.traffic("200/s", prompts=["a"])
    assert wait_until(lambda: traffic.sent["failed"] >= 3)
    assert traffic.running
    assert traffic.sent["ok"] == 0
    traffic.stop()
    assert "failed" in repr(traffic)


def test_what_would_pile_up_is_left_out(make_lab):
    lab = make_lab(alpha={"faults": ["stall"]})
    spec = CallSpec(messages=({"role": "user", "content": "x"},), capability="chat-completion", model="sim/alpha")
    traffic = Traffic(lab._session, constant(500), ["a"], spec, limit=2)
    assert wait_until(lambda: traffic.sent["skipped"] >= 5)
    assert wait_until(lambda: lab._session.snapshot("sim/alpha").in_flight == 2)
    traffic.stop()
    assert lab.calls()["outcome"].tolist() == ["cancelled"] * 2
    assert lab._session.snapshot("sim/alpha").in_flight == 0


@pytest.mark.parametrize("wrong", [{"model": "sim/alhpa"}, {"pool": "chatt"}, {"rate": "often"}])
def test_a_mistake_is_told_at_once(make_lab, wrong):
    lab = make_lab(alpha={})
    with pytest.raises(ConfigurationError):
        lab.traffic(**wrong)


def test_closing_the_lab_ends_it(make_lab):
    lab = make_lab(alpha={"faults": ["stall"]})
    traffic = lab.traffic("300/s")
    assert wait_until(lambda: lab._session.snapshot("sim/alpha").in_flight > 3)
    lab.close()
    assert not traffic.running
    assert set(lab.calls()["outcome"]) == {"cancelled"}
    traffic.stop()
    with pytest.raises(LabClosedError):
        lab.traffic()
