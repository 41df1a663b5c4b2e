"""promptfoo's YAML and CSV: what is read, and what is refused by name and place."""

from __future__ import annotations

from pathlib import Path

import pytest

import routerlab as rl
from routerlab.core.errors import DatasetError
from routerlab.experiments.datasets import load_dataset

SUITE = """\
description: Translations
prompts:
  - 'Translate {{text}} to {{ language }}.'
  - file://short.txt
defaultTest:
  vars: {language: French}
  assert:
    - {type: latency, threshold: 5000}
tests:
  - description: greeting
    vars:
      text: [Hello, Bye]
    assert:
      - type: not-icontains
        value: '{{text}}'
  - vars: {text: "4", language: Dutch}
    metadata: {topic: numbers}
"""


def write(folder: Path, text: str = SUITE, name: str = "promptfooconfig.yaml", **files: str) -> Path:
    (folder / "short.txt").write_text("{{text}} ({{language}})?\n")
    for file, content in files.items():
        (folder / file.replace("_", ".")).write_text(content)
    (folder / name).write_text(text)
    return folder / name


def problems(path: Path) -> list[str]:
    with pytest.raises(DatasetError) as error:
        load_dataset(path)
    return error.value.problems


def test_each_test_with_each_prompt_and_combination_is_an_item(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path))
    assert [(item.id, item.prompt) for item in dataset] == [
        ("t1v1p1", "Translate Hello to French."),
        ("t1v1p2", "Hello (French)?"),
        ("t1v2p1", "Translate Bye to French."),
        ("t1v2p2", "Bye (French)?"),
        ("t2p1", "Translate 4 to Dutch."),
        ("t2p2", "4 (Dutch)?"),
    ]
    assert dataset[2].metadata == {
        "description": "greeting",
        "vars": {"language": "French", "text": "Bye"},
        "assert": [{"type": "latency", "threshold": 5000}, {"type": "not-icontains", "value": "Bye"}],
    }
    assert dataset[4].metadata["topic"] == "numbers"
    assert load_dataset(dataset.to_records()).items == dataset.items


def test_lists_of_several_variables_make_their_product(tmp_path: Path) -> None:
    text = "prompts: ['{{a}}{{b}}{{c.d}}']\ntests: [{vars: {a: [1, 2], b: [x, 'y'], c: {d: true}}}]\n"
    assert [item.prompt for item in load_dataset(write(tmp_path, text))] == ["1xtrue", "1ytrue", "2xtrue", "2ytrue"]


def test_without_tests_each_prompt_is_sent_once(tmp_path: Path) -> None:
    files = {"two_txt": "One\n---\nTwo\n", "chat_json": '[{"role": "user", "content": "Hi"}]'}
    dataset = load_dataset(write(tmp_path, "prompts: [file://two.txt, file://chat.json, Plain]\n", **files))
    assert [item.prompt for item in dataset] == ["One", "Two", None, "Plain"]
    assert dataset[2].to_messages() == [{"role": "user", "content": "Hi"}]


def test_tests_stand_in_files_of_csv_and_yaml_too(tmp_path: Path) -> None:
    files = {
        "more_csv": (
            "q,__expected1,__expected2,__description,__metadata:topic\n2+2,4,not-contains: five,sum,maths\nHi,,,,\n"
        ),
        "more_yaml": "- vars: {q: Bye}\n  assert: [{type: similar, value: x}]\n- vars: {q: Ho}\n",
    }
    path = write(tmp_path, "prompts: ['{{q}}']\ntests: [file://more.csv, file://more.yaml]\n", **files)
    dataset = load_dataset(path, on_error="skip")
    assert [item.prompt for item in dataset] == ["2+2", "Hi", "Ho"]
    assert dataset[0].metadata == {
        "description": "sum",
        "topic": "maths",
        "vars": {"q": "2+2"},
        "assert": [{"type": "equals", "value": "4"}, {"type": "not-contains", "value": "five"}],
    }
    assert len(dataset.skipped) == 1
    assert dataset.skipped[0].startswith("more.yaml, line 2, [0].assert[0]: the assertion type 'similar'")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (
            "prompts: [Hi]\nproviders: [openai:gpt-5]\n",
            "line 2, providers: 'providers' is not supported; lab.replay is told which models to ask",
        ),
        ("prompts: [Hi]\nscenarios: []\n", "line 2, scenarios: 'scenarios' is not supported"),
        ("prompts: [Hi]\ntests:\n- options: {}\n", "line 3, tests[0].options: 'options' is not supported"),
        ("prompts: [Hi]\ntests:\n- provider: x\n", "line 3, tests[0].provider: 'provider' is not supported"),
        ("prompts: [Hi]\ntests:\n- threshold: 0.5\n", "line 3, tests[0].threshold: 'threshold' is not supported"),
        (
            "prompts: [Hi]\ntests:\n- assert:\n  - type: is-json\n  - type: llm-rubric\n    value: x\n",
            "line 5, tests[0].assert[1]: the assertion type 'llm-rubric' is not supported (supported: equals, ",
        ),
        (
            "prompts: [Hi]\ntests:\n- assert:\n  - {type: equals, value: x, transform: y}\n",
            "line 4, tests[0].assert[0]: 'transform' of an assertion of type 'equals' is not supported",
        ),
        (
            "prompts: ['{{ x | upper }}']\ntests:\n- vars: {x: a}\n",
            "line 3, tests[0]: prompt 1: Nunjucks logic is not supported, only {{name}}: found '{{ x | upper }}'",
        ),
        (
            "prompts: ['{% if x %}a{% endif %}']\ntests:\n- vars: {x: a}\n",
            "line 3, tests[0]: prompt 1: Nunjucks logic is not supported, only {{name}}: found '{% if x %}'",
        ),
        (
            "prompts: ['{{text}}']\ntests:\n- vars: {test: a}\n",
            "line 3, tests[0]: prompt 1: there is no variable 'text'; did you mean 'test'?",
        ),
        (
            "prompts: [Hi]\ntests:\n- vars: {x: file://x.txt}\n",
            "line 3, tests[0].vars.x: a variable that is a template or a file: 'file://x.txt'",
        ),
        ("prompts: [Hi]\ntests:\n- vars: {x: []}\n", "line 3, tests[0].vars.x: a variable without a value"),
        ("prompts: [Hi]\ntests: file://make.js\n", "line 2, tests: tests from 'file://make.js' are not supported"),
        (
            "prompts: [file://x.py]\n",
            "line 1, prompts[0]: the prompt 'file://x.py' is not supported, only files of text (.txt, .md) and chats",
        ),
        ("prompts: [x.txt]\n", "line 1, prompts[0]: the prompt 'x.txt' looks like a file: write 'file://x.txt'"),
        ("prompts:\n- {id: a, raw: b}\n", "line 2, prompts[0]: a prompt that is an object is not supported"),
        (
            "prompts: [Hi]\ndefaultTest:\n  assert:\n  - type: factuality\n",
            "line 4, defaultTest.assert[0]: the assertion type 'factuality' is not supported",
        ),
    ],
)
def test_everything_else_is_refused_by_name_with_its_place(tmp_path: Path, text: str, problem: str) -> None:
    found = problems(write(tmp_path, text))
    assert len(found) == 1
    assert found[0].startswith(f"promptfooconfig.yaml, {problem}")


def test_a_refused_setting_can_be_skipped_and_is_listed(tmp_path: Path) -> None:
    dataset = load_dataset(write(tmp_path, SUITE + "providers: [x]\n"), on_error="skip")
    assert (len(dataset), len(dataset.skipped)) == (6, 1)


CSV = (
    "question,__expected,__expected2\nCapital of France?,icontains: paris,not-regex:\\d\n2+2?,4,\nJSON?,is-json,a: b\n"
)


def test_a_table_with_expected_columns_is_a_dataset_with_assertions(tmp_path: Path) -> None:
    (tmp_path / "tests.csv").write_text(CSV)
    dataset = load_dataset(tmp_path / "tests.csv")
    assert [(item.prompt, item.metadata["assert"]) for item in dataset] == [
        (
            "Capital of France?",
            [{"type": "icontains", "value": "paris"}, {"type": "not-regex", "value": "\\d"}],
        ),
        ("2+2?", [{"type": "equals", "value": "4"}]),
        ("JSON?", [{"type": "is-json"}, {"type": "equals", "value": "a: b"}]),
    ]
    assert load_dataset(tmp_path / "tests.csv", prompt="Briefly: {question}")[1].prompt == "Briefly: 2+2?"


@pytest.mark.parametrize(
    ("column", "value", "reason"),
    [
        ("__expected", "llm-rubric: kind", "__expected: 'llm-rubric' is not supported"),
        ("__expected3", "not-similar(0.8):x", "__expected3: 'similar' is not supported"),
        ("__expected", "javascript: output.length", "__expected: 'javascript' is not supported"),
        ("__expected", "file://check.py", "is not supported"),
        ("__expected", "is-json: {}", "is-json with a value"),
        ("__prefix", "Say: ", "the column '__prefix' is not supported"),
        ("__metadata:tags[]", "a,b", "the column '__metadata:tags[]' is not supported"),
    ],
)
def test_what_a_table_may_not_hold_is_told_with_its_line(tmp_path: Path, column: str, value: str, reason: str) -> None:
    other = "__expected9" if column.startswith("__expected") else "__expected"
    (tmp_path / "tests.csv").write_text(f"question,{column},{other}\nHi,{value!s},\n".replace("a,b", '"a,b"'))
    (found,) = problems(tmp_path / "tests.csv")
    assert found.startswith("tests.csv, line 2: ")
    assert reason in found


def test_a_table_without_a_prompt_is_told_with_the_fields_it_has(tmp_path: Path) -> None:
    (tmp_path / "tests.csv").write_text("city,__expected\nRome,Italy\n")
    (found,) = problems(tmp_path / "tests.csv")
    assert found.startswith("tests.csv, line 2: no prompt, or an empty one (fields: city; looked for: prompt, ")
    with pytest.raises(DatasetError, match=r"no field 'ciy' \(fields: city; did you mean 'city'\?\)"):
        load_dataset(tmp_path / "tests.csv", prompt="ciy")


def test_a_replay_scores_assertions_unless_told_otherwise(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tests.csv").write_text("prompt,__expected\nHi,not-equals: x\nHo,equals: x\n")
    with rl.Lab.demo() as lab:
        run = lab.replay(load_dataset("tests.csv"))
        assert run.df["score_asserts"].tolist() == [1.0, 0.0]
        assert lab.replay(load_dataset("tests.csv"), scorers=[]).scorers == []
