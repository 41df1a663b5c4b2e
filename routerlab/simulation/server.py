"""A server of simulated models on loopback: real HTTP in a thread of its own."""

from __future__ import annotations

import asyncio
import contextlib
import ipaddress
import socket
import threading
import weakref
from collections.abc import Iterable
from types import TracebackType
from typing import Any, Self

from uvicorn.config import Config
from uvicorn.server import ServerState

from routerlab.core.errors import ConfigurationError
from routerlab.core.simulated import SimulatedModel
from routerlab.core.suggest import nearest
from routerlab.simulation.application import RequestRecord, SimulatedApplication
from routerlab.simulation.connection import Connection
from routerlab.simulation.dialects import DIALECTS
from routerlab.simulation.faults import FaultController

__all__ = ["SimulatedServer"]

_ROOTS = {dialect.kind: dialect.root for dialect in DIALECTS}
_BACKLOG = 2048
_KEEP_ALIVE_S = 75
_GRACE_S = 2.0


class SimulatedServer:
    """Serves simulated models in the wire formats of many providers; a request's address says which one it speaks.

    Args:
        models: who answers; their names must differ.
        provider: their provider's name in the schedule of faults.
        host: an address of this machine.
        port: 0: any free one; with `separate_ports` the first model's, the others take any.
        separate_ports: each model gets a port of its own, so that breaking the connections of one leaves the others
            alone; False: all share one.
        seed: of all answers: the same seed, the same answers.
        api_key: required of every request; None: no key is asked for.
        faults: the schedule of faults; None: a new one.
        allow_remote: accept a `host` that other machines can reach; there is no encryption.

    Raises:
        ConfigurationError: no models, two of the same name, or a host that is not loopback.

    Example:
        >>> with SimulatedServer([SimulatedModel("alpha")]) as server:
        ...     server.url("alpha").startswith("http://127.0.0.1:")
        True
    """

    def __init__(
        self,
        models: Iterable[SimulatedModel],
        *,
        provider: str = "sim",
        host: str = "127.0.0.1",
        port: int = 0,
        separate_ports: bool = True,
        seed: int = 0,
        api_key: str | None = None,
        faults: FaultController | None = None,
        allow_remote: bool = False,
    ) -> None:
        listed = list(models)
        self.models = {model.name: model for model in listed}
        if not listed or len(self.models) < len(listed):
            raise ConfigurationError("a simulated provider needs at least one model, and each name once")
        if not (allow_remote or _is_loopback(host)):
            raise ConfigurationError(f"{host!r} can be reached by other machines; allow_remote=True accepts that")
        self._host = host
        self._ports = dict.fromkeys(self.models if separate_ports else [""], 0)
        self._ports[next(iter(self._ports))] = port
        self._running: _Running | None = None
        self._finalizer: weakref.finalize[Any, Any] | None = None
        self._lock = threading.Lock()
        self._app = SimulatedApplication(
            listed, provider=provider, seed=seed, api_key=api_key, faults=faults or FaultController()
        )
        self._app.faults.attach(provider, self.models)

    @property
    def faults(self) -> FaultController:
        """The schedule of faults; set another one to share it between providers."""
        return self._app.faults

    @faults.setter
    def faults(self, faults: FaultController) -> None:
        faults.attach(self._app.provider, self.models)
        self._app.faults = faults

    @property
    def log(self) -> list[RequestRecord]:
        """The last thousand requests, oldest first."""
        return list(self._app.log)

    def requests(self, model: str) -> int:
        """How many requests for a model arrived, whatever became of them."""
        return self._app.requests(model)

    @property
    def connections(self) -> int:
        """How many connections of clients are open now, idle ones included."""
        running = self._running
        return 0 if running is None else len(running.state.connections)

    def url(self, model: str | None = None, kind: str = "openai") -> str:
        """The base URL that a client is given, such as ``http://127.0.0.1:50123/v1``.

        Args:
            model: whose; None: the first.
            kind: of the client: ``openai``, ``openai_responses``, ``anthropic``, ``gemini``, ``ollama``, ``cohere``.

        Raises:
            RuntimeError: the server has not been started yet.
            ConfigurationError: there is no such model, or no such kind.
        """
        if kind not in _ROOTS:
            raise ConfigurationError(f"no wire format {kind!r}{nearest(kind, _ROOTS)}")
        if model is not None and model not in self.models:
            raise ConfigurationError(f"no simulated model {model!r}{nearest(model, self.models)}")
        port = self._ports.get(model or "") or next(iter(self._ports.values()))
        if self._finalizer is None:
            raise RuntimeError("start the server first")
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{port}{_ROOTS[kind]}"

    def start(self) -> Self:
        """Listen and serve; a server that was stopped comes back on its ports. Starting twice is fine.

        Raises:
            OSError: a port is taken.
        """
        with self._lock:
            if self._running is None:
                sockets = self._bind()
                self._running = _Running(self._app, sockets)
                self._finalizer = weakref.finalize(self, self._running.stop)  # at exit, too
        return self

    def stop(self) -> None:
        """Break off all connections, end the thread, free the ports. Stopping twice is fine."""
        with self._lock:
            if self._running is not None and self._finalizer is not None:
                self._finalizer()
                self._running = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.stop()

    def __repr__(self) -> str:
        state = f"at {self.url()}" if self._running else "not running"
        return f"SimulatedServer({', '.join(self.models)}; {state})"

    def _bind(self) -> list[socket.socket]:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        sockets: list[socket.socket] = []
        try:
            for name, port in self._ports.items():
                sockets.append(socket.create_server((self._host, port), family=family, backlog=_BACKLOG))
                self._ports[name] = sockets[-1].getsockname()[1]
        except BaseException:
            for listener in sockets:
                listener.close()
            raise
        return sockets


class _Running:
    """The thread of a running server. It holds no reference to the `SimulatedServer`, so that one can be collected."""

    def __init__(self, app: SimulatedApplication, sockets: list[socket.socket]) -> None:
        self._app = app
        self._sockets = sockets
        self.state = ServerState()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._run, name="routerlab-simulated", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self) -> None:
        """End the thread, and wait for that."""
        if self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._stopping.set)
            if threading.current_thread() is not self._thread:  # the collector may run anywhere
                self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._stopping = asyncio.get_running_loop(), asyncio.Event()
        state = self.state
        config = _configuration(self._app)
        servers = [
            await self._loop.create_server(
                lambda: Connection(config=config, server_state=state, app_state={}), sock=listener, backlog=_BACKLOG
            )
            for listener in self._sockets
        ]
        self._ready.set()
        await self._stopping.wait()
        await self._accept_no_more()
        for server in servers:
            server.close()
        for connection in list(state.connections):
            connection.transport.abort()
        if state.tasks:
            await asyncio.wait(state.tasks, timeout=_GRACE_S)

    async def _accept_no_more(self) -> None:
        """A connection that asyncio has just accepted when its server closes is dropped without being closed."""
        with contextlib.suppress(NotImplementedError):  # Windows
            for listener in self._sockets:
                self._loop.remove_reader(listener)
        for _ in range(3):  # steps of the loop from accepted to connected
            await asyncio.sleep(0)


def _configuration(app: SimulatedApplication) -> Config:
    # log_config=None: the process's logging stays as it is
    config = Config(
        app.asgi,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
    )
    config.load()
    return config


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
