"""An adapter that was tuned on a log: its file, what is known of it, and the opening of its base model with it."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.language_models.reply_cache import CachingModel
from whimbrel.agent.language_models.wrapped_model import WrappedModel
from whimbrel.prompts.phrases import Phrases, load_phrases
from whimbrel.tools.errors import ConfigError, DataError

ADAPTER, ADAPTER_FACTS = "tuned_model.gguf", "tuned_model.json"
ADAPTER_FILES = (ADAPTER, ADAPTER_FACTS)


class AdapterFacts(BaseModel):
    """What is known of an adapter.

    Attributes:
        base: The digest of the base model's file.
        base_name: The name of that file.
        until: The adapter learned only from events before this moment, on the log's time scale.
        seed: The seed of the training.
        steps: The steps of the training.
        tokens: The tokens of titles that were read.
        seconds: How long the training took.
        sequences: How many sequences there were to learn from.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    version: Literal[1] = 1
    base: str
    base_name: str
    until: float
    seed: int = Field(ge=0)
    steps: int = Field(ge=0)
    tokens: int = Field(ge=0)
    seconds: float = Field(ge=0)
    sequences: int = Field(ge=0)


@dataclass(frozen=True)
class Adapter:
    """An adapter's file, and what is known of it."""

    path: Path
    facts: AdapterFacts

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Return the adapter in a folder; None if there is none.

        Raises:
            DataError: A file is absent or damaged.
        """
        path, facts = folder / ADAPTER, folder / ADAPTER_FACTS
        if not path.is_file() and not facts.is_file():
            return None
        try:
            with path.open("rb") as opened:
                if opened.read(4) != b"GGUF":
                    raise ValueError("not a GGUF file")
            return cls(path, AdapterFacts.model_validate(json.loads(facts.read_text("utf-8"))))
        except (OSError, ValueError, RecursionError) as error:
            raise DataError(
                f"the tuned model in {str(folder)!r} is damaged: run `whimbrel fit --tune-model` again"
            ) from error

    def save(self, folder: Path) -> None:
        """Write the adapter into a folder."""
        shutil.copyfile(self.path, folder / ADAPTER)
        (folder / ADAPTER_FACTS).write_text(self.facts.model_dump_json(indent=1), "utf-8")


def source_of(llm: LanguageModel) -> Path:
    """Return the GGUF file of a local model.

    Raises:
        ConfigError: The model does not run in this process.
    """
    source = getattr(_innermost(llm), "source", None)
    if source is None:
        raise ConfigError(
            f"{llm.spec!r} does not run in this process, so it cannot be tuned: give bundled or gguf:PATH"
        )
    return Path(source)


def other_base(llm: LanguageModel, adapter: Adapter, say: Phrases) -> str:
    """Return why an adapter cannot be used with a model, for the user; "" if it can."""
    from whimbrel.agent.language_models.local.model_files import digest_of

    source = getattr(_innermost(llm), "source", None)
    if source is not None and digest_of(source) == adapter.facts.base:
        return ""
    return say.notes.other_model.format(base=adapter.facts.base_name, spec=llm.spec)


def tuned(llm: LanguageModel, adapter: Adapter) -> LanguageModel:
    """Open the base model of an adapter once more, with the adapter.

    Its digest differs from that of `llm`, so neither learned weights nor cached replies of one serve the other.

    Args:
        llm: The base model.
        adapter: The adapter.

    Raises:
        ConfigError: The adapter belongs to another model.
        ModelError: llama.cpp cannot load it.
    """
    from whimbrel.agent.language_models.local.model import LocalModel

    base = _innermost(llm)
    if why := other_base(llm, adapter, load_phrases("en")):
        raise ConfigError(why)
    assert isinstance(base, LocalModel)  # noqa: S101  # no other model has a source
    opened = LocalModel(base.build, spec=base.spec, source=base.source, adapter=adapter.path)
    return CachingModel(opened) if isinstance(llm, CachingModel) else opened


def _innermost(llm: LanguageModel) -> LanguageModel:
    while isinstance(llm, WrappedModel):
        llm = llm.model
    return llm
