"""Connectors: what speaks a provider's wire format. `base` is the interface, `openai_compatible` the widest of them.

Modules are imported one by one; this package file imports nothing.
"""
