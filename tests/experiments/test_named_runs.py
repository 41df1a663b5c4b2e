"""Runs by their name: opened for nothing, gone on with, refused, begun anew, read without keys, taken away."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import pytest

import routerlab as rl

DATA = [{"id": str(number), "prompt": f"item {number}", "target": f"item {number}"} for number in range(12)]
MODELS = ["sim/alpha", "sim/beta"]


@pytest.fixture
def lab(make_lab, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    priced = {"price": {"input": 1.0, "output": 2.0}}
    return make_lab(
        alpha=priced, beta=priced, lab={"store": tmp_path / "lab.db"}, pool={"breaker": {"reset_timeout": 0.5}}
    )


def sent(lab, requests_of):
    return sum(requests_of(lab, name) for name in ("alpha", "beta"))


def test_a_finished_run_is_opened_for_nothing(lab, requests_of, capsys):
    first = lab.replay(DATA, MODELS, scorers=["contains"], name="qa-v1")
    before = sent(lab, requests_of)
    again = lab.replay(DATA, MODELS, scorers=["contains"], name="qa-v1")
    assert sent(lab, requests_of) == before == 24 + 2
    assert again.run_id == first.run_id
    assert again.df.equals(first.df)
    assert again.progress.cost_usd == pytest.approx(first.progress.cost_usd)
    assert capsys.readouterr().err.splitlines()[-1] == "opened qa-v1: 24 rows, 0 calls, $0.00"
    assert len(lab.runs()) == 1


def test_without_a_store_the_same_kernel_goes_on_too(make_lab, requests_of):
    lab = make_lab(alpha={}, beta={})
    lab.replay(DATA, MODELS, name="qa", preflight=False)
    again = lab.replay(DATA, MODELS, name="qa", preflight=False)
    assert sent(lab, requests_of) == 24
    assert again.progress.ok == 24


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"dataset": DATA[:5]}, r"dataset: 'dataset' \(hash \w{12}\) → 'dataset' \(hash \w{12}\)"),
        ({"models": ["sim/alpha"]}, "models: sim/alpha, sim/beta → sim/alpha"),
        ({"max_tokens": 9}, r"params\.max_tokens: 8 → 9"),
        ({"temperature": 0}, r"params\.temperature: not given → 0"),
        ({"system": "Be brief."}, 'system: not given → "Be brief."'),
        ({"repeats": 2}, "repeats: 1 → 2"),
        ({"scorers": ["exact"]}, r'scorers: \["contains"\] → \["exact"\]'),
    ],
)
def test_something_else_under_the_same_name_is_refused_with_the_difference(lab, requests_of, change, words):
    asked = {"dataset": DATA, "models": MODELS, "scorers": ["contains"], "max_tokens": 8}
    lab.replay(**asked, name="qa", concurrency=3)
    before = sent(lab, requests_of)
    with pytest.raises(rl.ConfigurationError, match=words) as caught:
        lab.replay(**{**asked, **change}, name="qa")
    assert len(caught.value.problems) == 1
    assert "fresh=True" in str(caught.value)
    assert lab.replay(**asked, name="qa", concurrency=9, budget_usd=5.0).status == "done", "these decide no result"
    assert sent(lab, requests_of) == before


def test_fresh_pays_again_and_the_newest_run_has_the_name(lab, requests_of, tmp_path):
    first = lab.replay(DATA, MODELS, name="qa", preflight=False)
    second = lab.replay(DATA[:3], MODELS, name="qa", fresh=True, preflight=False)
    assert sent(lab, requests_of) == 24 + 6
    assert first.run_id != second.run_id
    assert len(lab.runs()) == 2
    assert rl.open_run("qa", tmp_path / "lab.db").run_id == second.run_id


def test_a_run_that_was_stopped_goes_on_where_it_was(lab, requests_of):
    lab.faults.slow("sim/alpha", extra_s=0.3)
    run = lab.replay(DATA, MODELS, name="qa", concurrency=2, preflight=False, wait=False)
    while run.progress.done < 6:
        run.wait(0.01)
    run.stop().wait()
    done = run.progress.done
    assert run.status == "stopped"
    lab.faults.clear()
    again = lab.replay(DATA, MODELS, name="qa", concurrency=2, preflight=False)
    assert (again.status, again.progress.ok, len(again.df)) == ("done", 24, 24)
    assert done >= 6
    assert 24 <= sent(lab, requests_of) <= 24 + 2


def test_a_run_that_is_at_work_is_not_begun_twice_in_one_process(lab, make_lab, tmp_path):
    lab.faults.slow("sim/alpha", extra_s=60)
    run = lab.replay(DATA, MODELS, name="qa", preflight=False, wait=False)
    other = make_lab(alpha={}, beta={}, lab={"store": tmp_path / "lab.db"})
    for one in (lab, other):
        with pytest.raises(rl.ConfigurationError, match="'qa' is at work already"):
            one.replay(DATA, MODELS, name="qa")
    with pytest.raises(rl.ConfigurationError, match="still at work"):
        run.delete()
    run.stop().wait()


def test_failed_rows_are_sent_again_when_asked(lab, requests_of):
    lab.faults.inject("sim/alpha", "status", status=400, message="too odd")
    run = lab.replay(DATA, MODELS, name="qa", preflight=False)
    assert (run.progress.ok, run.progress.failed) == (12, 12)
    assert lab.replay(DATA, MODELS, name="qa").progress.failed == 12, "they stay failed"
    before = sent(lab, requests_of)
    lab.faults.clear()
    run.retry_failed()
    assert (run.status, run.progress.ok, run.progress.failed) == ("done", 24, 0)
    assert sent(lab, requests_of) == before + 12, "those that failed"
    assert lab.replay(DATA, MODELS, name="qa").progress.ok == 24


def test_an_answer_without_another_to_compare_it_with_leaves_no_run_unfinished(lab, requests_of, capsys):
    lab.faults.inject("sim/alpha", "status", status=400, message="too odd")
    options = {"name": "qa", "preflight": False, "scorers": [rl.judge("sim/beta", pairwise=True)]}
    assert lab.replay(DATA, MODELS, **options).progress.failed == 12
    before = sent(lab, requests_of)
    lab.replay(DATA, MODELS, **options)
    assert "opened qa: 24 rows, 0 calls" in "".join(capsys.readouterr())
    assert sent(lab, requests_of) == before


def test_a_run_opens_without_a_lab_and_shows_the_same(lab, tmp_path):
    run = lab.replay(DATA, MODELS, scorers=["contains"], name="qa", system="Be brief.")
    df, summary = run.df, run.summary()
    lab.close()
    opened = rl.open_run("qa", tmp_path / "lab.db")
    assert opened.df.equals(df)
    assert opened.summary().equals(summary)
    assert opened.settings() == run.settings()
    assert opened.status == "done"
    assert (tmp_path / "report.html") == opened.report(tmp_path / "report.html")
    assert len(opened.traces(failovers=False)) > 0
    with pytest.raises(rl.ConfigurationError, match="opened to be read"):
        opened.retry_failed()
    with pytest.raises(rl.ConfigurationError, match="did you mean 'qa'"):
        rl.open_run("qa1", tmp_path / "lab.db")
    with pytest.raises(rl.StoreError, match="no run is kept in"):
        rl.open_run("qa")


def test_without_texts_a_run_goes_on_and_says_that_they_were_not_kept(make_lab, tmp_path, requests_of):
    options = {"store": tmp_path / "lab.db", "store_text": False}
    first = make_lab(alpha={}, beta={}, lab=options)
    first.replay(DATA, MODELS, scorers=["contains"], name="qa")
    first.close()
    second = make_lab(alpha={}, beta={}, lab=options)
    run = second.replay(DATA, MODELS, scorers=["contains"], name="qa")
    assert sent(second, requests_of) == 0
    assert run.df["text"].isna().all()
    assert run.df["score_contains"].notna().all()
    assert run.df["prompt"].tolist()[0] == "item 0", "that is the dataset's"
    assert set(run.df["note"]) == {"the text was not kept (store_text=False)"}
    assert rl.open_run("qa", tmp_path / "lab.db").df["prompt"].isna().all()


def test_a_deleted_run_leaves_nothing_in_the_store(lab, tmp_path):
    kept = lab.replay(DATA[:2], MODELS, name="kept")
    run = lab.replay(DATA, MODELS, scorers=["contains"], name="gone")
    run.delete()
    assert lab.runs()["name"].tolist() == ["kept"]
    assert len(run.df) == 24
    lab.close()
    reader = rl.open_run("kept", tmp_path / "lab.db")._recorder
    assert set(reader.columns("calls")["run_id"]) == {kept.run_id}
    calls = set(reader.columns("calls")["call_id"])
    for table in ("attempts", "texts", "decisions", "candidates"):
        assert set(reader.columns(table)["call_id"]) == calls, table
    assert not reader.columns("scores")["run_id"]


def test_a_bad_key_ends_the_run_before_it_begins(lab, requests_of):
    lab.faults.inject("sim/beta", "unauthorized")
    with pytest.raises(rl.AuthenticationError, match=r"(?s)was not begun.*sim/beta: AuthenticationError"):
        lab.replay(DATA, MODELS, name="qa")
    assert sent(lab, requests_of) == 2
    assert lab.calls()["purpose"].tolist() == ["preflight"] * 2
    assert lab.runs()["status"].tolist() == ["failed"]
    lab.faults.clear()
    lab.reset("sim")
    assert lab.replay(DATA, MODELS, name="qa").status == "done", "the same call goes on"


def test_a_pool_whose_every_key_is_refused_ends_the_run_before_it_begins_too(lab):
    for model in MODELS:
        lab.faults.inject(model, "unauthorized")
    with pytest.raises(rl.AuthenticationError, match=r"(?s)was not begun.*chat: AuthenticationError"):
        lab.replay(DATA, name="routed")
    assert set(lab.calls()["purpose"]) == {"preflight"}


@pytest.mark.parametrize("models", [MODELS, None])
@pytest.mark.parametrize("wrong", [{"temperature": "hot"}, {"max_tokens": -1}])
def test_a_refused_parameter_ends_the_run_before_it_begins(lab, models, wrong):
    with pytest.raises(rl.InvalidRequestError, match="was not begun"):
        lab.replay(DATA, models, **wrong)


def test_a_parameter_that_one_item_alone_has_wrong_fails_that_item_and_a_note_says_so(lab):
    data = [{**DATA[0], "params": {"temperature": "hot"}}, *DATA[1:]]
    run = lab.replay(data, MODELS, name="qa")
    assert (run.status, run.progress.ok, run.progress.failed) == ("done", 22, 2)
    notes = [f"{model}: 1 row failed (InvalidRequestError); error_message says why" for model in MODELS]
    assert run.notes == notes
    assert rl.open_run("qa", "lab.db").notes == notes
    with pytest.raises(rl.InvalidRequestError, match="was not begun"):
        lab.replay([{**item, "params": {"temperature": "hot"}} for item in DATA], MODELS)


def test_where_the_budget_is_spent_the_way_on_is_a_larger_one(lab, capsys):
    assert lab.replay(DATA, MODELS, name="qa", budget_usd=1e-6).status == "stopped"
    assert "; raise the budget to go on: lab.replay(…, name='qa')" in capsys.readouterr().err.splitlines()[-1]


def test_a_judge_that_the_budget_stops_says_so_and_how_to_go_on(lab, capsys):
    options = {"name": "qa", "max_tokens": 5, "scorers": [rl.judge("sim/beta")], "preflight": False}
    run = lab.replay(DATA, ["sim/alpha"], budget_usd=0.001, **options)
    assert (run.status, run.progress.done) == ("stopped", 12)
    assert "12 were not judged any more: the budget was reached, and the next call may cost $0.00" in run.notes[0]
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith("all rows are kept, and not all of them are judged; raise the budget to go on: lab.replay(")
    assert lab.replay(DATA, ["sim/alpha"], budget_usd=1.0, **options).status == "done"


def test_other_scorers_need_no_new_run(lab):
    lab.replay(DATA, MODELS, name="qa", scorers=["contains"])
    with pytest.raises(rl.ConfigurationError, match=r"no new run: rl\.open_run\('qa'\)\.score"):
        lab.replay(DATA, MODELS, name="qa", scorers=["exact"])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"budget_usd": "$2"}, r"budget_usd='\$2': expected a positive amount"),
        ({"give_up_after": "soon"}, "give_up_after: 'soon' is not a duration"),
        ({"name": " "}, "name=' ' is no name"),
        ({"models": []}, "models is empty"),
        ({"models": None, "variants": [{"model": "sim/alpha"}]}, "variants: expected a dict"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_sent(lab, requests_of, wrong, words):
    with pytest.raises(rl.ConfigurationError, match=words):
        lab.replay(DATA, **{"models": MODELS, **wrong})
    assert sent(lab, requests_of) == 0


TALK = [{"messages": [{"role": "system", "content": "Be kind."}, {"role": "user", "content": "Hi"}]}]


@pytest.mark.parametrize(
    ("items", "variant", "words"),
    [
        (TALK, {"prompt": "{prompt} Briefly."}, "item '00001' is a conversation, which goes as it is"),
        ([{"turns": ["a", "b"]}], {"prompt": "{prompt} Briefly."}, "item '00001' is a conversation"),
        (TALK, {"system": "Be brief."}, "its system reaches no item"),
    ],
)
def test_a_variant_that_would_change_nothing_is_refused(lab, requests_of, items, variant, words):
    with pytest.raises(rl.ConfigurationError, match=f"variant 'own': .*{words}"):
        lab.replay(items, ["sim/alpha"], variants={"own": {"model": "sim/alpha", **variant}})
    assert sent(lab, requests_of) == 0
    assert lab.replay([*TALK, "Hi"], variants={"own": {"model": "sim/alpha", "system": "x"}}).progress.ok == 2


def test_an_outage_at_the_preflight_is_waited_for(lab):
    lab.faults.inject("sim/beta", "unavailable", duration=1.0)
    run = lab.replay(DATA, MODELS, name="qa")
    assert (run.status, run.progress.ok) == ("done", 24)


def test_an_unknown_price_is_refused_where_there_is_a_budget(make_lab):
    lab = make_lab(alpha={}, beta={"price": {"input": 1.0, "output": 1.0}})
    with pytest.raises(rl.ConfigurationError, match="no price is known for sim/alpha;"):
        lab.replay(DATA, MODELS, budget_usd=1.0)
    run = lab.replay(DATA, MODELS, budget_usd=1.0, allow_unknown_prices=True)
    assert run.status == "done"
    assert "13 answers had no known price and do not count towards the budget" in run.notes  # a preflight, too


def test_a_dry_run_sends_nothing(lab, requests_of):
    estimate = lab.replay(DATA, MODELS, dry_run=True, max_tokens=10, budget_usd=0.0005)
    assert sent(lab, requests_of) == 0
    assert estimate.calls == 24
    assert estimate.df["calls"].tolist() == [12, 12]
    assert 0 < estimate.cost_usd < 0.01
    assert "reaches" in repr(estimate)
    assert "<table" in estimate._repr_html_()
    assert lab.runs().empty


def test_an_identical_request_is_answered_from_disk(lab, requests_of, tmp_path):
    first = lab.replay(DATA, MODELS, name="a", cache=True, preflight=False)
    assert not first.df["cached"].any()
    second = lab.replay(DATA, MODELS, scorers=["contains"], name="b", cache=True)
    assert sent(lab, requests_of) == 24, "not even a preflight"
    assert second.df["cached"].all()
    assert second.df["cost_usd"].eq(0).all()
    assert second.df["text"].tolist() == first.df["text"].tolist()
    assert (second.progress.cached, second.progress.cost_usd) == (24, 0.0)
    assert rl.open_run("b", tmp_path / "lab.db").progress.cost_usd == 0.0
    assert second.summary()["ok"].tolist() == [12, 12]
    assert lab.replay(DATA, MODELS, scorers=["contains"], name="b").df.equals(second.df)
    lab.replay(DATA, MODELS, name="c", cache=True, preflight=False, temperature=0.5)
    assert sent(lab, requests_of) == 48, "another parameter is another request"
    lab.replay(DATA, MODELS, name="d", cache=True, preflight=False, repeats=2)
    assert sent(lab, requests_of) == 72, "a repetition is one, too"
    assert (tmp_path / ".routerlab" / "cache.db").stat().st_mode & 0o777 == 0o600


def test_errors_are_never_cached(lab, requests_of):
    lab.faults.inject("sim/alpha", "status", status=400, message="too odd")
    assert lab.replay(DATA, MODELS, name="a", cache=True, preflight=False).progress.failed == 12
    lab.faults.clear()
    run = lab.replay(DATA, MODELS, name="b", cache=True, preflight=False)
    assert (run.progress.ok, run.progress.cached) == (24, 12)


def test_variants_of_prompt_and_parameters_are_compared_like_models(lab):
    run = lab.replay(
        DATA[:3],
        ["sim/alpha"],
        variants={
            "terse": {"model": "sim/alpha", "system": "Be brief.", "temperature": 0},
            "asked": {"model": "sim/beta", "prompt": "Say: {prompt}"},
        },
        name="qa",
        preflight=False,
    )
    df = run.df
    assert df["variant"].unique().tolist() == ["sim/alpha", "terse", "asked"]
    assert df[df["variant"] == "asked"]["prompt"].tolist()[0] == "Say: item 0"
    texts = lab.calls(text=True).set_index("variant")
    assert texts.loc["terse", "params"].tolist() == [{"temperature": 0}] * 3
    assert texts.loc["asked", "prompt"].tolist()[0].startswith("Say: item")
    assert run.summary("variant")["variant"].tolist() == ["sim/alpha", "terse", "asked"]
    assert ">terse</td>" in run._repr_html_()
    with pytest.raises(rl.ConfigurationError, match=r"variants\.terse\.params\.temperature: 0 → 1"):
        lab.replay(
            DATA[:3],
            ["sim/alpha"],
            variants={
                "terse": {"model": "sim/alpha", "system": "Be brief.", "temperature": 1},
                "asked": {"model": "sim/beta", "prompt": "Say: {prompt}"},
            },
            name="qa",
        )
    for wrong in (
        {"x": {"model": "sim/alpah"}},
        {"x": {"model": "sim/alpha", "prompt": "no place"}},
        {"x": "sim/alpha"},
    ):
        with pytest.raises(rl.ConfigurationError):
            lab.replay(DATA, variants=wrong)


def test_a_run_of_an_older_schema_opens_and_goes_on(lab, make_lab, tmp_path, requests_of):
    run = lab.replay(DATA, MODELS, scorers=["contains"], name="old", preflight=False)
    lab.close()
    with closing(sqlite3.connect(tmp_path / "lab.db")) as store:
        store.execute("ALTER TABLE scores DROP COLUMN reason")
        store.execute("ALTER TABLE runs DROP COLUMN notes")
        store.execute("PRAGMA user_version = 1")
        store.commit()
    old = rl.open_run("old", tmp_path / "lab.db")
    assert (old.notes, old.df["text"].tolist()) == ([], run.df["text"].tolist())
    later = make_lab(lab={"store": tmp_path / "lab.db"})
    assert later.replay(DATA, MODELS, scorers=["contains"], name="old").engine.opened
    assert sent(later, requests_of) == 0
