"""A cluster of our own: processes on this machine, for one run."""

from __future__ import annotations

import logging
import threading
from typing import Any

from routerlab.core.errors import ConfigurationError, RouterLabError

__all__ = ["INSTALL", "OwnCluster"]

INSTALL = 'pip install "routerlab[dask]"'

_DEAF = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)"  # an interrupt is for who started the run
_FAILED = (
    'the processes of engine="dask" did not start; a script has to start a run behind `if __name__ == "__main__":`, '
    "because each process reads it once more"
)


class OwnCluster:
    """Starts and ends in whatever thread calls; a start cannot be cancelled halfway, it would leave processes behind.

    Nobody else can reach it: it is on loopback and encrypted, with keys made for it alone. Dask runs what it is sent,
    and other users of this machine could send something.

    Args:
        size: processes.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._cluster: Any = None
        self._wanted = False

    def start(self) -> tuple[str, Any]:
        """Start it; returns its address and its security.

        Raises:
            ConfigurationError: the package `cryptography` is missing.
            RouterLabError: the processes do not come up, or `close` was called meanwhile.
        """
        from distributed import Security

        self._wanted = True
        try:
            security = Security.temporary()
        except ImportError as error:
            raise ConfigurationError(f'engine="dask" needs the package cryptography: {INSTALL}') from error
        cluster = self._started(security)
        with self._lock:
            if self._wanted:
                self._cluster = cluster
                return cluster.scheduler_address, security
        cluster.close()
        raise RouterLabError("the cluster was closed while it started")

    def _started(self, security: Any) -> Any:
        from distributed import LocalCluster

        try:
            return LocalCluster(
                n_workers=self._size,
                threads_per_worker=1,
                processes=True,
                host="127.0.0.1",
                scheduler_kwargs={"dashboard": False, "dashboard_address": "127.0.0.1:0"},
                memory_limit=0,
                preload=_DEAF,
                security=security,
                silence_logs=logging.CRITICAL,
            )
        except (OSError, RuntimeError, TimeoutError) as error:
            raise RouterLabError(f"{_FAILED} ({error})") from error

    def close(self) -> None:
        """End it; one that is still starting ends as soon as it has."""
        with self._lock:
            self._wanted = False
            cluster, self._cluster = self._cluster, None
        if cluster is not None:
            cluster.close()
