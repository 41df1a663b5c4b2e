"""The decisions, with no I/O at all: time and chance are passed in, nothing here waits or opens a socket.

Modules are imported one by one (``from routerlab.core.breaker import CircuitBreaker``); this package file imports
nothing, so that a connector author pays only for what is used.
"""
