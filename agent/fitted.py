"""What was learned from a log, kept in one folder: `STORE/fitted`, or where `whimbrel fit --out` put it."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

from whimbrel.agent.ranking.fusion import Fusion
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.atomic import replaced
from whimbrel.tools.log.click_rates import Appeal
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_embeddings import ItemFactors

NEXT_TOPICS, FUSION, APPEAL, FACTORS = "next_topics.json", "fusion.json", "appeal.json", "item_factors.npz"
FILES = (NEXT_TOPICS, FUSION, APPEAL, FACTORS)

T = TypeVar("T")


@dataclass(frozen=True)
class Fitted:
    """Which topics come next, what each signal is worth, items as vectors of the log, and how often what was shown was
    chosen."""

    topics: NextTopics
    fusion: Fusion
    factors: ItemFactors | None = None
    appeal: Appeal | None = None

    @classmethod
    def default(cls) -> Self:
        """What is shipped: learned from several logs; factors are only ever those of one's own."""
        return cls(NextTopics.default(), Fusion.default())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """What lies in a folder; what is absent is that which is shipped.

        Raises:
            DataError: a file is damaged, or of another version.
        """
        shipped = cls.default()
        topics = _read(folder / NEXT_TOPICS, lambda path: NextTopics.model_validate_json(path.read_text("utf-8")))
        fusion = _read(folder / FUSION, lambda path: Fusion.model_validate_json(path.read_text("utf-8")))
        factors = _read(folder / FACTORS, ItemFactors.load)
        appeal = _read(folder / APPEAL, lambda path: Appeal.model_validate_json(path.read_text("utf-8")))
        return cls(topics or shipped.topics, fusion or shipped.fusion, factors, appeal)

    def save(self, folder: Path) -> None:
        """Into a folder, each file replaced whole or not at all."""
        folder.mkdir(parents=True, exist_ok=True)
        for name, model in ((NEXT_TOPICS, self.topics), (FUSION, self.fusion), (APPEAL, self.appeal or Appeal())):
            with replaced(folder / name) as partial:
                partial.write_text(model.model_dump_json(indent=1), "utf-8")
        if self.factors is None:
            (folder / FACTORS).unlink(missing_ok=True)
        else:
            self.factors.save(folder / FACTORS)

    def for_log(self, log: InteractionLog) -> "Fitted":
        """The same with the factors in the order of a log, which may have grown since."""
        return self if self.factors is None else replace(self, factors=self.factors.of_log(log))


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
