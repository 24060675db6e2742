"""What was learned from a log, kept in one folder: `STORE/fitted`, or where `whimbrel fit --out` put it."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from whimbrel.agent.ranking.fusion import Rankers
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_embeddings import ItemEmbeddings

NEXT_TOPICS, FUSION, CLICK_RATES, EMBEDDINGS = "next_topics.json", "fusion.json", "click_rates.json", "item_factors.npz"
FILES = (NEXT_TOPICS, FUSION, CLICK_RATES, EMBEDDINGS)

T = TypeVar("T")


@dataclass(frozen=True)
class Fitted:
    """Which topics come next, what each signal is worth, items as vectors of the log, and how often what was shown was
    chosen."""

    topics: NextTopics
    fusion: Rankers
    embeddings: ItemEmbeddings | None = None
    click_rates: ClickRates | None = None

    @classmethod
    def default(cls) -> Self:
        """What is shipped: learned from several logs; embeddings are only ever those of one's own."""
        return cls(NextTopics.default(), Rankers.default())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What lies in a folder; what is absent is that which is shipped.

        Raises:
            DataError: a file is damaged, or of another version.
        """
        shipped = cls.default()
        topics = _read(folder / NEXT_TOPICS, lambda path: NextTopics.model_validate_json(path.read_text("utf-8")))
        fusion = _read(folder / FUSION, lambda path: Rankers.model_validate_json(path.read_text("utf-8")))
        embeddings = _read(folder / EMBEDDINGS, ItemEmbeddings.load)
        click_rates = _read(folder / CLICK_RATES, lambda path: ClickRates.model_validate_json(path.read_text("utf-8")))
        return cls(topics or shipped.topics, fusion or shipped.fusion, embeddings, click_rates)

    def save(self, folder: Path) -> None:
        """Into a folder, each file replaced whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, model in (
            (NEXT_TOPICS, self.topics),
            (FUSION, self.fusion),
            (CLICK_RATES, self.click_rates or ClickRates()),
        ):
            with atomic_write(folder / name) as partial:
                partial.write_text(model.model_dump_json(indent=1), "utf-8")
        if self.embeddings is None:
            (folder / EMBEDDINGS).unlink(missing_ok=True)
        else:
            self.embeddings.save(folder / EMBEDDINGS)

    def for_log(self, log: InteractionLog) -> "Fitted":
        """The same with the embeddings in the order of a log, which may have grown since."""
        return self if self.embeddings is None else replace(self, embeddings=self.embeddings.for_log(log))


def read_topics(path: Path) -> NextTopics:
    """A file of what was learned of topics.

    Raises:
        DataError: it cannot be read, is damaged, or of another version.
    """
    found = _read(path, lambda path: NextTopics.model_validate_json(path.read_text("utf-8")))
    if found is None:
        raise DataError(f"no file {str(path)!r}")
    return found


def _read(path: Path, read: Callable[[Path], T]) -> T | None:
    if not path.is_file():
        return None
    try:
        return read(path)
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile) as error:
        raise DataError(f"{str(path)!r} is damaged or of another version: run `whimbrel fit` again") from error
