"""What was learned from a log, in one folder: `STORE/fitted`, or the folder that `whimbrel fit --out` wrote."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from pydantic import BaseModel

from whimbrel.agent.ranking.rankers import Rankers
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_embeddings import ItemEmbeddings

# The names of the files stay as they are, whatever the code calls their contents: fitted folders outlive versions.
NEXT_TOPICS, FUSION, CLICK_RATES, EMBEDDINGS = "next_topics.json", "fusion.json", "click_rates.json", "item_factors.npz"
FILES = (NEXT_TOPICS, FUSION, CLICK_RATES, EMBEDDINGS)

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Fitted:
    """What was learned from a log.

    Attributes:
        topics: The model of the topics of the next event.
        fusion: The weights of retrieval channels and of features.
        embeddings: Item embeddings of the log; None where it was too small to learn them.
        click_rates: How often items were chosen when they were shown; None where that was not learned.
    """

    topics: NextTopics
    fusion: Rankers
    embeddings: ItemEmbeddings | None = None
    click_rates: ClickRates | None = None

    @classmethod
    def default(cls) -> Self:
        """Return what is shipped with the package, learned from several logs; it has no embeddings or click rates."""
        return cls(NextTopics.default(), Rankers.default())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read what `save` wrote; what is shipped stands in for an absent file.

        Example:
            Fitted.load(Path("shop/fitted")).fusion.learned_from

        Raises:
            DataError: a file is damaged, or of another version.
        """
        shipped = cls.default()
        return cls(
            topics=_read_model_if_present(folder / NEXT_TOPICS, NextTopics) or shipped.topics,
            fusion=_read_model_if_present(folder / FUSION, Rankers) or shipped.fusion,
            embeddings=_read_if_present(folder / EMBEDDINGS, ItemEmbeddings.load),
            click_rates=_read_model_if_present(folder / CLICK_RATES, ClickRates),
        )

    def save(self, folder: Path) -> None:
        """Write a file for each part into a folder, which is made where it is absent; files are replaced whole."""
        folder.mkdir(parents=True, exist_ok=True)
        models = {NEXT_TOPICS: self.topics, FUSION: self.fusion, CLICK_RATES: self.click_rates or ClickRates()}
        for name, model in models.items():
            with atomic_write(folder / name) as partial:
                partial.write_text(model.model_dump_json(indent=1), "utf-8")
        # Embeddings of an earlier fit know another state of the log, so they must not stay beside the new files.
        if self.embeddings is None:
            (folder / EMBEDDINGS).unlink(missing_ok=True)
        else:
            self.embeddings.save(folder / EMBEDDINGS)

    def for_log(self, log: InteractionLog) -> "Fitted":
        """Return the same with the embeddings in the order of a log that may have grown since."""
        return self if self.embeddings is None else replace(self, embeddings=self.embeddings.for_log(log))


def read_topics(path: Path) -> NextTopics:
    """Read a file that holds a model of the topics of the next event.

    Raises:
        DataError: the file is absent, damaged, or of another version.
    """
    topics = _read_model_if_present(path, NextTopics)
    if topics is None:
        raise DataError(f"no file {str(path)!r}")
    return topics


def _read_model_if_present(path: Path, model: type[Model]) -> Model | None:
    return _read_if_present(path, lambda path: model.model_validate_json(path.read_text("utf-8")))


def _read_if_present(path: Path, read: Callable[[Path], T]) -> T | None:
    if not path.is_file():
        return None
    try:
        return read(path)
    # All that JSON, pydantic and numpy raise for a file that was cut, changed or written by another version.
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile) as error:
        raise DataError(f"{str(path)!r} is damaged or of another version: run `whimbrel fit` again") from error
