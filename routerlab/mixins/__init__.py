"""Building blocks of connectors: inherit from any of them, in any order.

Names are loaded on first use, so that a connector without HTTP does not pay for httpx.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from routerlab.mixins.breaker import CircuitBreakerMixin, CircuitOpenError, CircuitState
    from routerlab.mixins.cache import CacheMixin, CacheStats
    from routerlab.mixins.cached_provider import CachedHttpProvider
    from routerlab.mixins.checkpoint import StreamCheckpoint, StreamingCheckpointMixin
    from routerlab.mixins.config import ConfigValidatorMixin
    from routerlab.mixins.files import FileSerializerMixin, SerializationFormat
    from routerlab.mixins.http import BadBodyError, HttpClientMixin
    from routerlab.mixins.timeout import RequestTimeoutError, TimeoutMixin
    from routerlab.mixins.window import RollingWindowMixin, Sample

__all__ = [
    "BadBodyError",
    "CacheMixin",
    "CacheStats",
    "CachedHttpProvider",
    "CircuitBreakerMixin",
    "CircuitOpenError",
    "CircuitState",
    "ConfigValidatorMixin",
    "FileSerializerMixin",
    "HttpClientMixin",
    "RequestTimeoutError",
    "RollingWindowMixin",
    "Sample",
    "SerializationFormat",
    "StreamCheckpoint",
    "StreamingCheckpointMixin",
    "TimeoutMixin",
]

_MODULES = {
    "BadBodyError": "http",
    "CacheMixin": "cache",
    "CacheStats": "cache",
    "CachedHttpProvider": "cached_provider",
    "CircuitBreakerMixin": "breaker",
    "CircuitOpenError": "breaker",
    "CircuitState": "breaker",
    "ConfigValidatorMixin": "config",
    "FileSerializerMixin": "files",
    "HttpClientMixin": "http",
    "RequestTimeoutError": "timeout",
    "RollingWindowMixin": "window",
    "Sample": "window",
    "SerializationFormat": "files",
    "StreamCheckpoint": "checkpoint",
    "StreamingCheckpointMixin": "checkpoint",
    "TimeoutMixin": "timeout",
}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value = globals()[name] = getattr(import_module(f"{__name__}.{_MODULES[name]}"), name)
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
