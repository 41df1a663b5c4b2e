"""A configuration from what the environment offers: which well-known providers have a key."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from routerlab.core.capabilities import CHAT
from routerlab.core.errors import ConfigurationError, RequestError
from routerlab.core.failures import ProviderError, classify
from routerlab.core.redact import Private
from routerlab.core.types import ModelInfo, split_model
from routerlab.providers.presets import PRESETS, Preset
from routerlab.session.kinds import load_kind
from routerlab.session.loop import LoopThread

__all__ = ["config_from_env", "key_variables", "usual_variable"]

_NO_CHAT = (
    "audio", "babbage", "dall-e", "davinci", "embed", "image", "moderation", "ocr", "realtime", "rerank", "sora",
    "speech", "transcribe", "tts", "whisper",
)  # fmt: skip
_ALSO = {"GEMINI_API_KEY": "GOOGLE_API_KEY", "GOOGLE_API_KEY": "GEMINI_API_KEY", "CO_API_KEY": "COHERE_API_KEY"}
"""What some of the providers' own clients read as well."""


def key_variables(preset: Preset) -> tuple[str, ...]:
    """The environment variables that may hold the key of a preset, the usual one first; none for a local server.

    >>> key_variables(PRESETS["openai"]), key_variables(PRESETS["vllm"])
    (('OPENAI_API_KEY',), ())
    """
    named: Any = preset.api_key_env  # several: in a tuple, or between commas
    names = [name.strip() for name in (named.split(",") if isinstance(named, str) else named)]
    return tuple(dict.fromkeys(one for name in names if name for one in (name, _ALSO.get(name, name))))


def usual_variable(preset: Preset, environ: Mapping[str, str]) -> str:
    """The first of `key_variables` that is set; empty where none is."""
    return next((name for name in key_variables(preset) if environ.get(name)), "")


def config_from_env(models: Sequence[str] | None, environ: Mapping[str, str]) -> tuple[dict[str, Any], str]:
    """Make a configuration of the providers whose keys are in the environment.

    ``<PROVIDER>_BASE_URL`` (such as ``OPENAI_BASE_URL``) points a provider elsewhere; for a local server, which needs
    no key, it says that it is there. Azure's is ``AZURE_OPENAI_ENDPOINT``, too.

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
    found = _found(environ)
    if not found:
        raise ConfigurationError(
            "no provider's key is in the environment or in a file .env in the working folder "
            f"(looked for {_all_variables()}): set one, or try rl.Lab.demo()"
        )
    first = next((name for name in found if not PRESETS[name].deployments), None)
    if first is None:  # what is deployed there has names that only its owner knows
        (name, there), *_ = found.items()
        raise ConfigurationError(f"{name}: {there}; name its deployments, from_env(models=['{name}/…'])")
    listed = _listed(first, environ)
    config = _named([f"{first}/{name}" for name in listed], environ)
    return config, _report(found, first, len(listed))


def _found(environ: Mapping[str, str]) -> dict[str, str]:
    """The providers that the environment speaks of, and in words what it says; the first of those that share a key."""
    found: dict[str, str] = {}
    for name, preset in PRESETS.items():
        variable, url = usual_variable(preset, environ), _url(name, environ)
        if variable:
            found.setdefault(f"key in {variable}", name)
        elif url and not key_variables(preset):
            found[f"address in {url[0]}"] = name
    return {name: there for there, name in found.items()}


def _all_variables() -> str:
    each = dict.fromkeys(" or ".join(key_variables(preset)) for preset in PRESETS.values())
    return ", ".join(names for names in each if names)


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
    """Where a provider is, if the environment says so, and its key: set beside an address, it is meant for that."""
    preset, url = PRESETS.get(provider), _url(provider, environ)
    variable = usual_variable(preset, environ) if preset else ""
    return {
        **({"base_url": url[1]} if url else {}),
        **({"api_key": f"${{env:{variable}}}"} if variable else {}),
    }


def _url(provider: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """The variable that points a provider elsewhere, and its value. Who shares a key shares its address."""
    preset = PRESETS.get(provider)
    keys = key_variables(preset) if preset else ()
    names = [f"{provider.upper()}_BASE_URL", *(f"{key.removesuffix('_API_KEY')}_BASE_URL" for key in keys)]
    names += ["AZURE_OPENAI_ENDPOINT"] if provider == "azure" else []
    return next(((name, environ[name]) for name in names if environ.get(name)), None)


def _listed(provider: str, environ: Mapping[str, str]) -> list[str]:
    """Ask the provider for its models; those that surely do not chat are left out."""
    options = Private(_place(provider, environ))
    if variable := usual_variable(PRESETS[provider], environ):
        options.update(api_key=environ[variable], key_source=f"the environment variable {variable}")
    thread = LoopThread("routerlab-discovery")
    try:
        connector = load_kind(provider)(provider, options)

        async def ask() -> list[ModelInfo]:
            try:
                return await connector.list_models()
            except ProviderError as error:
                kind = classify(error).error or RequestError
                raise kind(f"{provider} was asked for its models: {error.message}", status=error.status) from error
            finally:
                await connector.close()

        models = thread.run(ask())
    finally:
        thread.stop()
    chatting = [model.name for model in models if _chats(model)]
    if not chatting:
        raise ConfigurationError(f"{provider} lists no chat models: name the models, from_env(models=['{provider}/…'])")
    return chatting


def _chats(model: ModelInfo) -> bool:
    """Whether a model may be asked: by what its provider says that it can do, else by its name."""
    if model.capabilities:
        return any(f"{capability}.".startswith(f"{CHAT}.") for capability in model.capabilities)
    return not any(word in model.name.lower() for word in _NO_CHAT)


def _report(found: Mapping[str, str], first: str, models: int) -> str:
    them = f"{models} models, {found[first]}; calls are routed among them"
    lines = [f"{first}: {them if models > 1 else f'1 model, {found[first]}; calls go to it'}"]
    for name, there in found.items():
        if name != first:
            what = "deployments" if PRESETS[name].deployments else "models"
            lines.append(f"{name}: {there}; not used, name its {what} to use them")
    return "\n".join(lines)
