"""A real Jupyter kernel to run cells in, as a notebook does: requests in, messages out, interrupts as signals."""

import contextlib
import json
import os
import queue
import re
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

import pytest
from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpecManager

ROOT = Path(__file__).parents[2]
PATIENCE_S = 180.0  # a busy machine starts a kernel late

PRELUDE = """
import asyncio, gc, os, threading, time
import routerlab as rl

MODELS = {name: {"ttft_s": 0.002, "tokens_per_s": 5000,
                 "capabilities": ["chat-completion", "embedding"]} for name in ("alpha", "beta")}

def fast():
    "A lab of two quick models."
    return rl.Lab({"providers": {"sim": {"kind": "simulated", "models": MODELS}}}, store=False)

def stall(how="stall"):
    "From now on, no model ends an answer."
    for model in lab.models:
        lab.faults.inject(model, how)

def slow(seconds):
    for model in lab.models:
        lab.faults.slow(model, extra_s=seconds)

def under_way(requests, hold=False):
    "With so many requests at the models, and a file ``shown``: leaves ``under_way``, holds the loop to ``released``."
    def leave():
        open("under_way", "w").close()
        while hold and not os.path.exists("released"):
            time.sleep(0.005)
    def watch():
        server = lab._session.connectors["sim"].server
        while not os.path.exists("shown") or sum(server.requests(model) for model in MODELS) < requests:
            time.sleep(0.005)
        lab._session.loop.loop.call_soon_threadsafe(leave)
    threading.Thread(target=watch, daemon=True).start()

def outcomes():
    return lab.attempts()["outcome"].tolist()

def working():
    "Tasks in the lab's loop; a closing connection may take a moment."
    end = time.monotonic() + 15
    while (tasks := len(asyncio.all_tasks(lab._session.loop.loop))) and time.monotonic() < end:
        time.sleep(0.02)
    return tasks

def held():
    "What the process holds, garbage aside (a traceback that IPython shows is a cycle)."
    gc.collect()
    return {"threads": threading.active_count(), "files": len(os.listdir("/dev/fd")), "tasks": len(asyncio.all_tasks())}

"""


@dataclass
class Cell:
    """One execute request and what came back.

    Attributes:
        status: ``ok``, ``error`` or ``aborted`` (never run); None while it is not over.
        outputs: MIME bundles of displays and of the result, in their order.
        updates: ``(seconds, bundle)`` of each update of a display.
        error: the exception's class and text.
        began, ended: epoch seconds by the kernel's clock.
    """

    msg_id: str
    status: str | None = None
    stdout: str = ""
    stderr: str = ""
    outputs: list[dict] = field(default_factory=list)
    updates: list[tuple[float, dict]] = field(default_factory=list)
    error: str = ""
    traceback: str = ""
    began: float = 0.0
    ended: float = 0.0
    idle: bool = False


class Kernel:
    """A kernel of this interpreter, with nothing of the user's configuration.

    Args:
        folder: its working directory; its own files go below it, too.

    Use it in ``with``: then it is ready, and ended whatever happens.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._sockets = tempfile.TemporaryDirectory(prefix="rl-")  # their paths must be short
        self.manager = KernelManager(
            kernel_name="python3",
            kernel_spec_manager=KernelSpecManager(kernel_dirs=[]),  # only ipykernel's own: this interpreter
            connection_file=str(Path(self._sockets.name) / "kernel.json"),
            transport="tcp" if os.name == "nt" else "ipc",  # a port that was free may be taken a moment later
        )
        env = {name: value for name, value in os.environ.items() if not name.startswith(("JUPYTER", "IPYTHON"))}
        path = [str(ROOT), *filter(None, [env.get("PYTHONPATH")])]
        env |= {"IPYTHONDIR": str(folder / "ipython"), "PYTHONPATH": os.pathsep.join(path)}
        self.manager.start_kernel(cwd=str(folder), env=env)
        self.client = self.manager.client()
        self.client.start_channels()
        self._cells: dict[str, Cell] = {}
        self.told: list[tuple[float, dict]] = []  # the states that live panels were given, and when

    def __enter__(self) -> Self:
        try:
            self.client.wait_for_ready(timeout=PATIENCE_S)
            self.ok(PRELUDE)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *error: object) -> None:
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)
        self.manager.cleanup_resources()
        self._sockets.cleanup()

    @property
    def pid(self) -> int:
        return self.manager.provisioner.pid

    def submit(self, code: str) -> Cell:
        """Send a cell without waiting, as a click on *Run* does. An error does not abort the cells behind it."""
        cell = Cell(self.client.execute(code, stop_on_error=False))
        self._cells[cell.msg_id] = cell
        return cell

    def finish(self, *cells: Cell, timeout: float = PATIENCE_S) -> Cell:
        """Wait until all are over; gives back the last."""
        self._pump(lambda: all(cell.idle and cell.status for cell in cells), timeout, cells)
        return cells[-1]

    def run(self, code: str, timeout: float = PATIENCE_S) -> Cell:
        return self.finish(self.submit(code), timeout=timeout)

    def ok(self, code: str, timeout: float = PATIENCE_S) -> Cell:
        """Run a cell that must not fail."""
        cell = self.run(code, timeout)
        assert cell.status == "ok", cell.traceback or cell
        return cell

    def value(self, expression: str, timeout: float = PATIENCE_S):
        """The value of an expression in the kernel, through JSON."""
        return json.loads(self.ok(f"import json as _json; print(_json.dumps({expression}))", timeout).stdout)

    def wait_for_file(self, file: Path, timeout: float = PATIENCE_S) -> None:
        """Wait until a cell has left it."""
        self._pump(file.exists, timeout, ())

    def wait_for(self, cell: Cell, text: str, timeout: float = PATIENCE_S) -> None:
        """Wait until a running cell has printed a text, or shown it in a display."""
        self._pump(lambda: text in f"{cell.stdout}{cell.outputs}{cell.updates}", timeout, [cell])

    def wait_for_panel(self, done: int, timeout: float = PATIENCE_S) -> None:
        """Wait until a panel says that so many rows of a run are done."""
        self._pump(lambda: any(run["done"] >= done for _, run in self.runs()), timeout, ())

    def runs(self) -> list[tuple[float, dict]]:
        """What panels were told of runs: when, and the run's progress."""
        found = []
        for at, state in self.told:
            told = (state.get("tick") or state.get("whole") or {}).get("x", {})
            found += [(at, run) for run in told.get("runs", ())]
        return found

    def interrupt(self) -> None:
        """The notebook's stop button."""
        self.manager.interrupt_kernel()

    def _pump(self, over, timeout, cells) -> None:
        end = time.monotonic() + timeout
        while not over():
            assert time.monotonic() < end, f"still waiting after {timeout} s: {list(cells)}"
            for channel, wait in ((self.client.iopub_channel, 0.05), (self.client.shell_channel, 0.0)):
                with contextlib.suppress(queue.Empty):
                    self._take(channel.get_msg(timeout=wait))

    def _take(self, message) -> None:
        if message["msg_type"] in {"comm_open", "comm_msg"}:
            self.told.append((message["header"]["date"].timestamp(), message["content"]["data"].get("state", {})))
        cell = self._cells.get(message["parent_header"].get("msg_id"))
        if cell is None:
            return
        kind, content, at = message["msg_type"], message["content"], message["header"]["date"].timestamp()
        if kind == "execute_reply":
            cell.status = content["status"]
        elif kind == "status":
            if content["execution_state"] == "busy":
                cell.began = at
            else:
                cell.idle, cell.ended = True, at
        elif kind == "stream":
            setattr(cell, content["name"], getattr(cell, content["name"]) + content["text"])
        elif kind in {"display_data", "execute_result"}:
            cell.outputs.append(content["data"])
        elif kind == "update_display_data":
            cell.updates.append((at, content["data"]))
        elif kind == "error":
            cell.error = f"{content['ename']}: {content['evalue']}"
            cell.traceback = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(content["traceback"]))


@pytest.fixture(scope="session")
def _shared_kernel(tmp_path_factory):
    with Kernel(tmp_path_factory.mktemp("kernel")) as kernel:
        yield kernel


@pytest.fixture
def kernel(_shared_kernel):
    """A kernel with an open ``lab`` in it, in good health; shared by all tests that leave it alive."""
    _shared_kernel.ok("lab = fast()")
    return _shared_kernel


@pytest.fixture
def own_kernel(tmp_path):
    """For a test that ends, restarts or patches its kernel."""
    with Kernel(tmp_path) as kernel:
        kernel.ok("lab = fast()")
        yield kernel
