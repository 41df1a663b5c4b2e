"""A configuration from what the environment offers: which well-known providers have a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.capabilities import CHAT
from routerlab.core.errors import ConfigurationError, RequestError
from routerlab.core.failures import ProviderError, classify
from routerlab.core.redact import Private
from routerlab.core.types import split_model
from routerlab.providers.presets import PRESETS
from routerlab.session.kinds import load_kind
from routerlab.session.loop import LoopThread

__all__ = ["config_from_env"]

_NO_CHAT = (
    "audio", "babbage", "dall-e", "davinci", "embed", "image", "moderation", "ocr", "realtime", "rerank", "sora",
    "speech", "transcribe", "tts", "whisper",
)  # fmt: skip


def config_from_env(models: Sequence[str] | None, environ: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Make a configuration of the providers whose keys are in the environment.

    ``<PROVIDER>_BASE_URL`` (such as ``OPENAI_BASE_URL``) points a provider elsewhere.

    Args:
        models: ``provider/model`` each, in the order of preference; None: what the first provider with a key lists.
        environ: the environment.

    Returns:
        The configuration, and what is there in words (empty where models were named).

    Raises:
        ConfigurationError: nothing was found, or a named model has no known provider.
        RequestError: the first provider could not be asked for its models; which one, as for a call.
    """
    if models is not None:
        return _named(models, environ), ""
    found = [name for name, preset in PRESETS.items() if preset.base_url and environ.get(preset.api_key_env)]
    if not found:
        variables = ", ".join(preset.api_key_env for preset in PRESETS.values() if preset.api_key_env)
        raise ConfigurationError(
            f"no provider's key is in the environment (looked for {variables}): set one, or try rl.Lab.demo()"
        )
    first = found[0]
    listed = _listed(first, environ)
    config = _named([f"{first}/{name}" for name in listed], environ)
    return config, _report(found, listed)


def _named(models: Sequence[str], environ: Mapping[str, str]) -> dict[str, Any]:
    if not models:
        raise ConfigurationError("from_env got an empty list of models: name at least one, or none at all")
    providers: dict[str, Any] = {}
    for full in models:
        try:
            provider, model = split_model(full)
        except ValueError as error:
            raise ConfigurationError(str(error)) from None
        providers.setdefault(provider, {**_place(provider, environ), "models": []})["models"].append(model)
    return {"providers": providers, "pools": {"chat": {"capability": CHAT, "models": list(models)}}}


def _place(provider: str, environ: Mapping[str, str]) -> dict[str, str]:
    """Where a provider is, if the environment says so; its key, set beside that address, is meant for it."""
    url = environ.get(f"{provider.upper()}_BASE_URL")
    if not url:
        return {}
    preset = PRESETS.get(provider)
    variable = preset.api_key_env if preset else ""
    return {"base_url": url, **({"api_key": f"${{env:{variable}}}"} if environ.get(variable) else {})}


def _listed(provider: str, environ: Mapping[str, str]) -> list[str]:
    """Ask the provider for its models; those that surely do not chat are left out."""
    variable = PRESETS[provider].api_key_env
    source = f"the environment variable {variable}"
    options = Private({**_place(provider, environ), "api_key": environ[variable], "key_source": source})
    thread = LoopThread("routerlab-discovery")
    try:
        connector = load_kind(provider)(provider, options)

        async def ask() -> list[str]:
            try:
                return [model.name for model in await connector.list_models()]
            except ProviderError as error:
                kind = classify(error).error or RequestError
                raise kind(f"{provider} was asked for its models: {error.message}", status=error.status) from error
            finally:
                await connector.close()

        names = thread.run(ask())
    finally:
        thread.stop()
    chatting = [name for name in names if not any(word in name.lower() for word in _NO_CHAT)]
    if not chatting:
        raise ConfigurationError(f"{provider} lists no chat models: name the models, from_env(models=['{provider}/…'])")
    return chatting


def _report(found: Sequence[str], listed: Sequence[str]) -> str:
    first, *others = found
    lines = [f"{first}: {len(listed)} models, key in {PRESETS[first].api_key_env}; calls are routed among them"]
    lines += [f"{name}: key in {PRESETS[name].api_key_env}; not used, name its models to use them" for name in others]
    return "\n".join(lines)
