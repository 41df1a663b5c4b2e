"""routerlab: compare, route and fail over between LLM providers, in a notebook.

>>> import routerlab as rl
>>> lab = rl.Lab.demo()  # doctest: +SKIP
>>> lab.chat("Why is the sky blue?")  # doctest: +SKIP

Names are loaded when they are first used: importing the package costs next to nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from routerlab.core.version import VERSION as _VERSION

if TYPE_CHECKING:
    from routerlab.core.errors import (
        AuthenticationError,
        BadResponseError,
        CircuitOpenError,
        ConfigurationError,
        ContentFilterError,
        ContextWindowError,
        DatasetError,
        FailoverExhaustedError,
        InvalidRequestError,
        LabClosedError,
        LeaseLostError,
        ModelNotFoundError,
        NoModelAvailableError,
        ProviderUnavailableError,
        QuotaExceededError,
        RateLimitError,
        RequestError,
        RequestTimeoutError,
        RouterLabError,
        StoreError,
        StoreInUseError,
        StreamInterruptedError,
    )
    from routerlab.experiments import arrivals
    from routerlab.experiments.arrivals import load_arrivals
    from routerlab.experiments.datasets import Dataset, load_dataset
    from routerlab.experiments.judge import judge
    from routerlab.lab import Lab
    from routerlab.session.nested import allow_nested_loops
    from routerlab.views.opened import open_run
    from routerlab.views.outcomes import Outcomes, load_outcomes
    from routerlab.views.run import Run

__version__ = _VERSION

_HOMES = {
    "Dataset": "routerlab.experiments.datasets",
    "Lab": "routerlab.lab",
    "Outcomes": "routerlab.views.outcomes",
    "Run": "routerlab.views.run",
    "allow_nested_loops": "routerlab.session.nested",
    "arrivals": "routerlab.experiments",
    "judge": "routerlab.experiments.judge",
    "load_arrivals": "routerlab.experiments.arrivals",
    "load_dataset": "routerlab.experiments.datasets",
    "load_outcomes": "routerlab.views.outcomes",
    "open_run": "routerlab.views.opened",
}

__all__ = [
    "AuthenticationError",
    "BadResponseError",
    "CircuitOpenError",
    "ConfigurationError",
    "ContentFilterError",
    "ContextWindowError",
    "Dataset",
    "DatasetError",
    "FailoverExhaustedError",
    "InvalidRequestError",
    "Lab",
    "LabClosedError",
    "LeaseLostError",
    "ModelNotFoundError",
    "NoModelAvailableError",
    "Outcomes",
    "ProviderUnavailableError",
    "QuotaExceededError",
    "RateLimitError",
    "RequestError",
    "RequestTimeoutError",
    "RouterLabError",
    "Run",
    "StoreError",
    "StoreInUseError",
    "StreamInterruptedError",
    "__version__",
    "allow_nested_loops",
    "arrivals",
    "judge",
    "load_arrivals",
    "load_dataset",
    "load_outcomes",
    "open_run",
]


def __getattr__(name: str) -> Any:
    if name not in __all__:
        raise AttributeError(f"module 'routerlab' has no attribute {name!r}")
    import importlib

    value = getattr(importlib.import_module(_HOMES.get(name, "routerlab.core.errors")), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
