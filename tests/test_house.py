"""The house: floors import only from below, every module says what it makes public, the top level stays tidy."""

from __future__ import annotations

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TOP = 7

# Bottom to top; the packages beside the standard library that each floor may import itself.
FLOORS: dict[str, tuple[int, frozenset[str]]] = {
    "core": (0, frozenset()),
    "mixins": (1, frozenset({"httpx", "httpx_aiohttp", "aiohttp", "yaml", "msgpack"})),
    "providers": (2, frozenset({"httpx"})),
    "session": (3, frozenset({"pydantic", "genai_prices", "nest_asyncio2", "msgpack"})),
    "simulation": (4, frozenset({"starlette", "uvicorn"})),
    "experiments": (5, frozenset({"httpx", "numpy", "scipy", "pyarrow", "distributed", "jsonschema", "referencing"})),
    "views": (
        6,
        frozenset(
            {"numpy", "pandas", "plotly", "ipywidgets", "anywidget", "traitlets", "IPython", "rich", "resvg_py", "PIL"}
        ),
    ),
}
TOP_MODULES = {"__init__", "__main__", "cli", "lab", "testing"}
# The table of a provider's kinds names connectors of floors above it, as strings that are resolved at run time.
KINDS = "routerlab.session.kinds"

# Floor 0 is handed the time and the chance, and does no I/O.
# fmt: off
NOT_IN_CORE = {
    "_thread", "asyncio", "concurrent", "ctypes", "fcntl", "glob", "http", "io", "logging", "mmap",
    "multiprocessing", "os", "pathlib", "queue", "sched", "secrets", "select", "selectors", "shutil", "signal",
    "socket", "socketserver", "sqlite3", "ssl", "subprocess", "tempfile", "threading", "time", "urllib.error",
    "urllib.request", "uuid",
}
# fmt: on
NOT_CALLED_IN_CORE = {"open", "print", "input", "exec", "eval"}
CLOCKS = {"now", "utcnow", "today"}
# Compiles the `__init__` of each record from its fields, as the standard library's dataclasses do.
RECORDS = "routerlab.core.record"


@dataclass(frozen=True)
class Import:
    name: str  # dotted; of "from a import b": a.b
    line: int
    in_string: bool = False


def imports_of(source: str, module: str, *, is_package: bool = False) -> Iterator[Import]:
    """Every import of a module, wherever it stands: in functions, under TYPE_CHECKING, by call, in dotted strings."""
    package = module if is_package else module.rpartition(".")[0]
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (Import(alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = absolute("." * node.level + (node.module or ""), package)
            yield from (Import(f"{base}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and called_name(node) in {"import_module", "__import__"} and node.args:
            first = node.args[0]
            if isinstance(first, ast.Constant) and isinstance(first.value, str):
                yield Import(absolute(first.value, package), node.lineno)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and names_a_module(node.value):
            yield Import(node.value.partition(":")[0], node.lineno, in_string=True)


def absolute(name: str, package: str) -> str:
    bare = name.lstrip(".")
    climbs = len(name) - len(bare) - 1
    if climbs < 0:
        return name
    parts = package.split(".")
    return ".".join([*parts[: len(parts) - climbs], *([bare] if bare else [])])


def called_name(call: ast.Call) -> str:
    return call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")


def names_a_module(text: str) -> bool:
    match = re.fullmatch(r"routerlab\.(\w+)(\.\w+)*(:[\w.]+)?", text)
    return match is not None and (match[1] in FLOORS or match[1] in TOP_MODULES)


def floor_of(name: str) -> int:
    """The floor of one of our modules; what is not on a floor is the top (``from routerlab import Lab``)."""
    part = name.split(".")[1] if "." in name else ""
    return FLOORS[part][0] if part in FLOORS else TOP


def violations(source: str, module: str, *, is_package: bool = False) -> list[str]:
    """What ``module`` does that its floor may not, one text each."""
    floor = floor_of(module)
    found = [] if floor else list(core_violations(source))
    if module == RECORDS:
        found = [text for text in found if not text.endswith("calls exec()")]
    for used in imports_of(source, module, is_package=is_package):
        root = used.name.split(".")[0]
        place = f"{module}:{used.line}"
        if root == "routerlab":
            if floor_of(used.name) > floor and not (used.in_string and module == KINDS):
                found.append(f"{place} imports {used.name} from a floor above")
        elif root not in sys.stdlib_module_names:
            if floor < TOP and root not in FLOORS[module.split(".")[1]][1]:
                found.append(f"{place} imports {used.name}, which its floor may not")
        elif floor == 0 and any(f"{used.name}.".startswith(f"{banned}.") for banned in NOT_IN_CORE):
            found.append(f"{place} imports {used.name}: floor 0 has no clock, no I/O, no locks")
    return sorted(set(found))


def core_violations(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in NOT_CALLED_IN_CORE:
            yield f"line {node.lineno} calls {node.func.id}()"
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            if node.value.id == "random" and node.attr != "Random":
                yield f"line {node.lineno} takes chance from the module: random.{node.attr}"
            if node.value.id in {"datetime", "date"} and node.attr in CLOCKS:
                yield f"line {node.lineno} reads the clock: {node.value.id}.{node.attr}"
        elif isinstance(node, ast.Attribute) and node.attr in CLOCKS and ast.unparse(node.value) == "datetime.datetime":
            yield f"line {node.lineno} reads the clock: datetime.datetime.{node.attr}"
        elif isinstance(node, ast.ImportFrom) and node.module == "random":
            names = [alias.name for alias in node.names if alias.name != "Random"]
            yield from (f"line {node.lineno} takes chance from the module: random.{name}" for name in names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"random.Random", "Random"} and not node.args:
            yield f"line {node.lineno} makes a generator without a seed"


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted((ROOT / "routerlab").rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


@pytest.mark.parametrize("module", MODULES)
def test_floors_import_only_from_below(module: str) -> None:
    path = MODULES[module]
    source = path.read_text(encoding="utf-8")
    assert violations(source, module, is_package=path.name == "__init__.py") == []


def test_every_module_stands_on_a_floor() -> None:
    folders = {path.name for path in (ROOT / "routerlab").iterdir() if any(path.glob("*.py"))}
    assert folders == set(FLOORS)
    assert {path.stem for path in (ROOT / "routerlab").glob("*.py")} <= TOP_MODULES


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("routerlab.core.x", "import asyncio"),
        ("routerlab.core.x", "from os.path import join"),
        ("routerlab.core.x", "def f():\n    import time"),
        ("routerlab.core.x", "import numpy"),
        ("routerlab.core.x", "import random\nrandom.random()"),
        ("routerlab.core.x", "from random import choice"),
        ("routerlab.core.x", "import random\nrng = random.Random()"),
        ("routerlab.core.x", "from datetime import datetime\nat = datetime.now()"),
        ("routerlab.core.x", "import datetime\nat = datetime.datetime.utcnow()"),
        ("routerlab.core.x", "text = open('x').read()"),
        ("routerlab.core.x", "from routerlab.mixins.http import HttpMixin"),
        ("routerlab.core.x", "from ..mixins import http"),
        ("routerlab.core.x", "from .. import Lab"),
        ("routerlab.core.x", "import routerlab"),
        ("routerlab.core.x", "from routerlab import Lab"),
        ("routerlab.core.x", "import importlib\nimportlib.import_module('asyncio')"),
        (
            "routerlab.mixins.x",
            "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import routerlab.providers.base",
        ),
        ("routerlab.mixins.x", "async def f():\n    from routerlab import session"),
        ("routerlab.mixins.x", "import pandas"),
        ("routerlab.providers.x", "from importlib import import_module\nimport_module('..session.loop', __package__)"),
        ("routerlab.providers.x", "__import__('routerlab.session.loop')"),
        ("routerlab.providers.x", "import yaml"),
        ("routerlab.session.x", "kind = 'routerlab.simulation.server:Server'"),
        ("routerlab.session.kinds", "from routerlab.simulation.server import Server"),
        ("routerlab.simulation.x", "import numpy.random"),
        ("routerlab.experiments.x", "import pandas as pd"),
        ("routerlab.experiments.x", "TABLE = {'plot': 'routerlab.views.plots'}"),
        ("routerlab.views.x", "import httpx"),
        ("routerlab.views.x", "from routerlab.lab import Lab"),
        ("routerlab.views.x", "name = 'routerlab.cli:main'"),
    ],
)
def test_the_walker_sees_what_is_forbidden(module: str, source: str) -> None:
    assert len(violations(source, module)) == 1


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("routerlab.core.x", "import math, random\nfrom random import Random\nrng = random.Random(3)"),
        (
            "routerlab.core.x",
            "from urllib.parse import quote\nfrom .errors import RateLimitError\nfrom . import window",
        ),
        ("routerlab.mixins.x", "import os, asyncio, httpx\nfrom httpx_aiohttp import HttpxAiohttpClient"),
        ("routerlab.session.kinds", "KINDS = {'simulated': 'routerlab.simulation.connector:Simulated'}"),
        (
            "routerlab.session.x",
            "folder = '.routerlab/runs.db'\ntext = 'see routerlab.views for more'\nn = 'routerlab.db'",
        ),
        (
            "routerlab.views.x",
            "import pandas\nfrom routerlab.experiments import statistics\nfrom routerlab import core",
        ),
        ("routerlab.lab", "import pandas, httpx\nfrom routerlab.views import frames\nimport routerlab"),
    ],
)
def test_the_walker_lets_pass_what_is_allowed(module: str, source: str) -> None:
    assert violations(source, module) == []


def test_relative_imports_of_a_package_count_from_itself() -> None:
    assert [used.name for used in imports_of("from .errors import X", "routerlab.core", is_package=True)] == [
        "routerlab.core.errors.X"
    ]
    assert violations("from ..views import frames", "routerlab.core", is_package=True) != []


def order(name: str) -> tuple[int, str]:
    """Constants, then classes, then the rest, as ruff's RUF022 sorts."""
    return (0 if name.isupper() and len(name) > 1 else 1 if name[0].isupper() else 2, name)


@pytest.mark.parametrize("module", [module for module in MODULES if not module.endswith("__main__")])
def test_all_is_sorted_and_true(module: str) -> None:
    loaded = importlib.import_module(module)
    declared = list(getattr(loaded, "__all__", []))
    assert declared == sorted(set(declared), key=order)
    assert [name for name in declared if not hasattr(loaded, name)] == []
    tree = ast.parse(MODULES[module].read_text(encoding="utf-8"))
    defined = [
        node.name for node in tree.body if isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    public = {name for name in defined if not name.startswith("_")}
    assert public - set(declared) == set()


def test_the_top_level_holds_what_the_readme_shows() -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone: git knows what belongs to the project")
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    entries = {line.split("/")[0] for line in listed.splitlines()}
    house = {"README.md", "LICENSE", "pyproject.toml", "routerlab", "notebooks", "datasets", "tests"}
    assert house - entries == set()
    assert entries - house <= {".gitignore", ".ci"}


def test_licence_and_readme_are_there() -> None:
    assert (ROOT / "LICENSE").read_text(encoding="utf-8").startswith("MIT License")
    assert "routerlab" in (ROOT / "README.md").read_text(encoding="utf-8")
