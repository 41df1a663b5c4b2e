"""The schedule of faults, edited while the models run."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from routerlab.core.errors import ConfigurationError
from routerlab.simulation.faults import FaultController, InjectedFault


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def controller(**options: Any) -> tuple[FaultController, Clock]:
    clock = Clock()
    faults = FaultController(clock=clock, **options)
    faults.attach("sim", ["alpha", "beta"])
    return faults, clock


def test_a_fault_comes_and_goes_with_time() -> None:
    faults, clock = controller()
    faults.outage("sim/alpha", after=5, duration=20)
    seen = []
    for _ in range(6):
        seen.append(len(faults.faults_for("sim/alpha")))
        clock.now += 5
    assert seen == [0, 1, 1, 1, 1, 0]
    assert faults.faults_for("sim/beta") == ()
    assert faults.active() == []


def test_what_is_on_the_schedule() -> None:
    faults, clock = controller()
    faults.slow("alpha", factor=3, after=10)
    faults.rate_limit("beta", retry_after=2, duration=8)
    clock.now += 3
    assert faults.active() == [
        InjectedFault("sim/alpha", "slow", 7.0, None, 1.0, {"factor": 3, "extra_s": 0.0}),
        InjectedFault("sim/beta", "rate_limit", 0.0, 5.0, 1.0, {"retry_after": 2}),
    ]
    assert repr(faults) == "FaultController(2 models, 2 faults)"


def test_clear_one_or_all() -> None:
    faults, _ = controller()
    for model in faults.models:
        faults.cut_streams(model)
    faults.clear("alpha")
    assert [fault.model for fault in faults.active()] == ["sim/beta"]
    faults.clear()
    assert faults.active() == []


def test_names() -> None:
    faults, _ = controller()
    faults.attach("other", ["beta", "gamma"])
    faults.outage("gamma")
    assert [fault.model for fault in faults.active()] == ["other/gamma"]
    for name, message in (
        ("beta", "ambiguous: write one of other/beta, sim/beta"),
        ("sim/alpa", "did you mean 'sim/alpha'"),
        ("alhpa", "did you mean 'sim/alpha'"),
        ("sim", "no simulated model 'sim'"),
    ):
        with pytest.raises(ConfigurationError, match=message):
            faults.outage(name)


def test_wrong_arguments_change_nothing() -> None:
    told: list[Any] = []
    faults, _ = controller(on_change=lambda *change: told.append(change))
    for arguments in ({"after": -1}, {"duration": 0}, {"probability": 2}, {"wrong": 1}):
        with pytest.raises(ConfigurationError):
            faults.inject("alpha", "slow", **arguments)  # type: ignore[arg-type]
    for name, value in (("after", "1"), ("after", None), ("duration", "x"), ("duration", True), ("probability", "x")):
        with pytest.raises(ConfigurationError, match=rf"^{name}\b.*, not {value!r}$"):
            faults.inject("alpha", "slow", **{name: value})
    with pytest.raises(ConfigurationError, match="did you mean 'stall'"):
        faults.inject("alpha", "stal")
    assert (faults.active(), told) == ([], [])


def test_changes_are_told() -> None:
    told: list[Any] = []
    faults, _ = controller(on_change=lambda *change: told.append(change))
    faults.outage("alpha", after=5, duration=20)
    faults.inject("beta", "slow", extra_s=1.5, probability=0.5)
    faults.clear()
    assert told == [
        ("fault_injected", "sim/alpha", "unavailable after 5 s for 20 s"),
        ("fault_injected", "sim/beta", "slow extra_s=1.5 for 50% of the requests"),
        ("fault_cleared", "sim/alpha", ""),
        ("fault_cleared", "sim/beta", ""),
    ]


def test_threads_lose_no_fault() -> None:
    faults, _ = controller()
    threads = [
        threading.Thread(target=lambda: [faults.inject("alpha", "no_done") for _ in range(100)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(faults.active()) == 800


def test_the_shortcuts_over_http(serve: Any, ask: Any) -> None:
    server = serve()
    assert ask(server).status == 200
    server.faults.outage("alpha")
    assert ask(server).status == 503
    server.faults.clear()
    server.faults.outage("alpha", how="reset")
    assert ask(server).status is None
    server.faults.clear("sim/alpha")
    server.faults.rate_limit("alpha", retry_after=3)
    assert ask(server).headers["retry-after"] == "3"
    server.faults.clear()
    assert ask(server).status == 200


def test_one_schedule_for_several_servers(serve: Any, ask: Any) -> None:
    shared = FaultController()
    one, two = serve(provider="one", faults=shared), serve(provider="two")
    two.faults = shared
    assert shared.models == ["one/alpha", "two/alpha"]
    shared.outage("two/alpha")
    assert (ask(one).status, ask(two).status) == (200, 503)
