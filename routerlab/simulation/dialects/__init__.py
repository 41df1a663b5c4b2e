"""The wire formats that simulated models speak, one object each."""

from __future__ import annotations

from routerlab.simulation.dialects.anthropic import Anthropic
from routerlab.simulation.dialects.base import Dialect
from routerlab.simulation.dialects.cohere import Cohere
from routerlab.simulation.dialects.gemini import Gemini
from routerlab.simulation.dialects.ollama import Ollama
from routerlab.simulation.dialects.openai import OpenAI
from routerlab.simulation.dialects.responses import Responses

__all__ = ["DIALECTS", "dialect_of"]

_OPENAI = OpenAI()
DIALECTS: tuple[Dialect, ...] = (_OPENAI, Responses(), Anthropic(), Gemini(), Ollama(), Cohere())
"""Every format; OpenAI's is the one for whatever no other one claims."""


def dialect_of(path: str) -> Dialect:
    """In whose words an address is refused that nobody answers at."""
    return max((one for one in DIALECTS if path.startswith(one.prefix)), key=lambda one: len(one.prefix))
