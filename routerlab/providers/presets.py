"""The well-known providers: where they are, which variable holds the key, what differs.

A preset is found by a provider's ``kind`` or, where that is not given, by its name in ``lab.yaml``, so that
``groq: {models: […]}`` is all there is to write.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from routerlab.core.errors import ConfigurationError

__all__ = ["PRESETS", "Preset", "find_preset", "preset"]


@dataclass(frozen=True, slots=True)
class Preset:
    """One well-known server.

    Attributes:
        name: its kind in ``lab.yaml``.
        title: its name in messages.
        base_url: of its API; empty where every customer has one of his own.
        api_key_env: the environment variable that usually holds the key; empty for a local server, which needs none.
        stream_usage: whether it takes ``stream_options: {include_usage: true}``; those that do not, send the usage of
            a stream unasked or refuse unknown fields.
        renames: parameters that it calls by another name.
        reasoning_limit: whether its reasoning models (o1, o3, gpt-5, …) take ``max_completion_tokens`` only.
        key_header: the header that carries the key; ``Authorization`` has the word ``Bearer`` before it.
        prefill: how it carries on from a last message of the assistant's: ``plain`` (just so), ``prefix`` (Mistral's
            flag), ``template`` (vLLM's two fields); empty: it does not, or nobody knows.
        deployments: whether the model stands in the path and the version in the query (Azure).
    """

    name: str
    title: str
    base_url: str = ""
    api_key_env: str = ""
    stream_usage: bool = True
    renames: Mapping[str, str] = field(default_factory=dict)
    reasoning_limit: bool = False
    key_header: str = "Authorization"
    prefill: str = ""
    deployments: bool = False


_ALL = (
    Preset("openai", "OpenAI", "https://api.openai.com/v1", "OPENAI_API_KEY", reasoning_limit=True),
    Preset("anthropic", "Anthropic", "https://api.anthropic.com/v1", "ANTHROPIC_API_KEY", key_header="x-api-key"),
    Preset(
        "gemini",
        "Google Gemini",
        "https://generativelanguage.googleapis.com/v1beta",
        "GEMINI_API_KEY",
        key_header="x-goog-api-key",
    ),
    Preset("openai_responses", "OpenAI (Responses)", "https://api.openai.com/v1", "OPENAI_API_KEY"),
    Preset(
        "azure",
        "Azure OpenAI",
        "",
        "AZURE_OPENAI_API_KEY",
        reasoning_limit=True,
        key_header="api-key",
        deployments=True,
    ),
    Preset("groq", "Groq", "https://api.groq.com/openai/v1", "GROQ_API_KEY", prefill="plain"),
    Preset(
        "mistral",
        "Mistral",
        "https://api.mistral.ai/v1",
        "MISTRAL_API_KEY",
        stream_usage=False,
        renames={"seed": "random_seed"},
        prefill="prefix",
    ),
    Preset("together", "Together AI", "https://api.together.xyz/v1", "TOGETHER_API_KEY"),
    Preset("deepseek", "DeepSeek", "https://api.deepseek.com", "DEEPSEEK_API_KEY"),
    Preset("openrouter", "OpenRouter", "https://openrouter.ai/api/v1", "OPENROUTER_API_KEY", prefill="plain"),
    Preset("cohere", "Cohere", "https://api.cohere.com", "CO_API_KEY"),
    Preset("ollama", "Ollama", "http://localhost:11434"),
    Preset("lmstudio", "LM Studio", "http://localhost:1234/v1"),
    Preset("vllm", "vLLM", "http://localhost:8000/v1", prefill="template"),
)

PRESETS: Mapping[str, Preset] = {one.name: one for one in _ALL}
"""All presets by their names."""


def preset(name: str) -> Preset:
    """The preset with this name.

    Raises:
        ConfigurationError: there is none; the message names the nearest.

    >>> preset("groq").api_key_env
    'GROQ_API_KEY'
    """
    if name in PRESETS:
        return PRESETS[name]
    from difflib import get_close_matches

    near = get_close_matches(name, PRESETS, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(PRESETS)}"
    raise ConfigurationError(f"no preset is called {name!r}: {hint}")


def find_preset(provider: str, kind: str | None = None) -> Preset | None:
    """The preset of a provider in ``lab.yaml``: by its kind, else by its own name; None for an unknown server.

    >>> find_preset("groq").title, find_preset("mine", "openai").title, find_preset("mine")
    ('Groq', 'OpenAI', None)
    """
    return PRESETS.get(kind or provider)
