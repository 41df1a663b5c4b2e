"""What somebody meets in the first hour: slips are told with the way out, remarks can be read, tables fit."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path
from typing import Any

import pytest

import routerlab as rl
from routerlab.cli import main
from routerlab.core.errors import ConfigurationError
from routerlab.experiments.variants import arms_of
from routerlab.views.rundraw import run_line, runs_panel
from routerlab.views.theme import LIGHT

NOTE = (
    "judge 'judge' (sim/gamma): 100 pairs judged for $0.083; 67 ties, 3 of them because the winner changed with the "
    "order"
)
SLIPS = {"concurency": "concurrency", "budget": "budget_usd", "model": "models", "scorer": "scorers"}
PARAMETERS = ("temperature", "max_tokens", "top_p", "top_k", "stop", "seed", "tools", "n", "user", "stream_options")


@pytest.mark.parametrize(("slip", "meant"), SLIPS.items())
def test_a_misspelt_option_is_no_parameter_of_the_models(slip: str, meant: str) -> None:
    with rl.Lab.demo() as lab:
        with pytest.raises(ConfigurationError, match=f"no option '{slip}'; did you mean '{meant}'"):
            lab.replay(["hello"], ["sim/alpha"], **{slip: 1})
        assert lab.calls().empty


def test_parameters_of_models_are_left_alone() -> None:
    with rl.Lab.demo() as lab:
        assert lab.replay(["hello"], ["sim/alpha"], dry_run=True, **dict.fromkeys(PARAMETERS, 1)).calls == 1
    with pytest.raises(ConfigurationError, match="did you mean 'model'"):
        arms_of(None, {"terse": {"modle": "sim/alpha"}}, None, "chat")


def test_no_picture_is_written_into_a_folder_that_is_missing(tmp_path: Path) -> None:
    with rl.Lab.demo() as lab:
        run = lab.replay(["hello"], ["sim/alpha", "sim/beta"], preflight=False)
        for save in (run.plot().save, run.side_by_side().save, lab.dashboard().save):
            with pytest.raises(ConfigurationError, match="there is no folder"):
                save(tmp_path / "missing" / "page.html")


def test_completion_offers_what_is_promised() -> None:
    assert dir(rl) == sorted(rl.__all__)
    with rl.Lab.demo() as lab:
        offered = dir(lab.replay(["hello"], ["sim/alpha"], preflight=False))
    assert {"df", "summary", "compare", "side_by_side", "report", "to_csv"} <= set(offered)
    assert not {"engine", "data", "start"} & set(offered)


def test_remarks_on_a_run_are_drawn_whole() -> None:
    run: dict[str, Any] = {"name": "qa", "status": "done", "done": 2, "ok": 2, "failed": 0, "total": 2, "failovers": 0}
    run |= {"cost": 0.1, "rate": 0.0, "eta": None, "elapsed": 2.0, "notes": [NOTE]}
    panel = runs_panel([run], LIGHT)
    drawn = "".join(node.render() for node in panel.nodes)
    texts = [node.text or "" for node in ET.fromstring(f"<g>{drawn}</g>").iter("text")]  # noqa: S314 - our own drawing
    assert " ".join(texts[1:]) == NOTE
    assert NOTE in run_line(run)
    assert panel.height > runs_panel([run | {"notes": []}], LIGHT).height


def test_a_run_of_the_command_line_streams_and_takes_arrivals_like_any_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command = "replay quickstart_qa --demo --models sim/alpha --limit 3 --name a --arrivals 50/s --quiet"
    assert main(command.split()) == 0
    df = rl.open_run("a").df
    assert df["streamed"].all()
    assert df["queue_s"].notna().all()
