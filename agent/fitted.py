"""The models learned from a log, in one folder: `STORE/fitted`, or the folder that `whimbrel fit --out` wrote."""

import zipfile
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self, TypeVar

import numpy as np
from pydantic import BaseModel

from whimbrel.agent.language_models.adapter import ADAPTER_FILES, Adapter
from whimbrel.agent.origin import UNKNOWN, Origin
from whimbrel.agent.ranking.rankers import Rankers
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.whole_files import check_files, whole_files
from whimbrel.tools.log.click_rates import ClickRates
from whimbrel.tools.log.ease import Ease
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_embeddings import ItemEmbeddings
from whimbrel.tools.log.learned_items import NO_LEARNED_ITEMS, LearnedItems
from whimbrel.tools.log.taught_items import TaughtItems
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.text.encoder import encoder_text

# These file names must not change, even if classes are renamed: newer versions read folders that older ones wrote.
NEXT_TOPICS, FUSION, CLICK_RATES = "next_topics.json", "fusion.json", "click_rates.json"
EMBEDDINGS, EASE, TAUGHT, ORIGIN = "item_factors.npz", "ease.npz", "taught_items.npz", "origin.json"
CALIBRATED = "calibrated.json"
"""What an ingestion learned of the signals. It is used until `whimbrel fit` has learned more."""
FILES = (NEXT_TOPICS, FUSION, CLICK_RATES, EMBEDDINGS, EASE, TAUGHT, ORIGIN, *ADAPTER_FILES)

T = TypeVar("T")
Model = TypeVar("Model", bound=BaseModel)


@dataclass(frozen=True)
class Fitted:
    """The models learned from a log.

    Attributes:
        topics: The model that predicts the topics of the next event.
        fusion: The weights of retrieval channels and of features.
        items: What the log taught about its items.
        click_rates: How often items were chosen when they were shown; None if that was not learned.
        origin: The log that all this was learned from.
        adapter: What tunes a language model to the log; None if none was tuned.
    """

    topics: NextTopics
    fusion: Rankers
    items: LearnedItems = NO_LEARNED_ITEMS
    click_rates: ClickRates | None = None
    origin: Origin = UNKNOWN
    adapter: Adapter | None = None

    @classmethod
    def default(cls) -> Self:
        """Return the shipped models, which were learned from several logs. They know no items or click rates."""
        return cls(NextTopics.default(), Rankers.default())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the files that `save` wrote. The shipped model replaces an absent file, if there is one.

        Example:
            Fitted.load(Path("shop/fitted")).fusion.learned_from

        Raises:
            DataError: a file is damaged or was written by another version.
        """
        shipped = cls.default()
        check_files(folder, "run `whimbrel fit` again")
        return cls(
            topics=_read_model_if_present(folder / NEXT_TOPICS, NextTopics) or shipped.topics,
            fusion=_read_model_if_present(folder / FUSION, Rankers) or _calibrated(folder) or shipped.fusion,
            items=LearnedItems(
                _read_if_present(folder / EMBEDDINGS, ItemEmbeddings.load),
                _read_if_present(folder / EASE, Ease.load),
                _read_if_present(folder / TAUGHT, TaughtItems.load),
            ),
            click_rates=_read_model_if_present(folder / CLICK_RATES, ClickRates),
            origin=_read_model_if_present(folder / ORIGIN, Origin) or UNKNOWN,
            adapter=Adapter.load(folder),
        )

    def save(self, folder: Path) -> None:
        """Write one file for each model into an empty folder (see `whole_files`)."""
        rates = self.click_rates or ClickRates()
        models = {NEXT_TOPICS: self.topics, FUSION: self.fusion, CLICK_RATES: rates, ORIGIN: self.origin}
        for name, model in models.items():
            (folder / name).write_text(model.model_dump_json(indent=1), "utf-8")
        items = self.items
        for name, of_items in {EMBEDDINGS: items.embeddings, EASE: items.ease, TAUGHT: items.taught}.items():
            if of_items is not None:
                of_items.save(folder / name)
        if self.adapter is not None:
            self.adapter.save(folder)

    def for_log(self, log: InteractionLog) -> "Fitted":
        """Return a copy that follows the item order of a log, which may have grown since the fit."""
        return replace(self, items=self.items.for_log(log))

    def for_catalogue(self, catalogue: Catalogue) -> "Fitted":
        """Return a copy for the log of a catalogue. Items that are new since the fit get their taught vectors."""
        fitted = self.for_log(catalogue.log)
        taught = fitted.items.taught
        if taught is None or taught.encoder != catalogue.encoder.name or not taught.not_encoded:
            return fitted
        ids = [taught.item_ids[row] for row in taught.not_encoded]
        items, vectors = catalogue.items(ids), catalogue.item_vectors(ids)
        known = [item_id for item_id in ids if item_id in vectors]
        texts = [encoder_text(items[item_id]) for item_id in known]
        rows = catalogue.log.rows(known)
        encoded = taught.with_texts(rows, texts, np.array([vectors[item_id] for item_id in known]))
        return replace(fitted, items=replace(fitted.items, taught=encoded))


def save_calibrated(rankers: Rankers, folder: Path) -> None:
    """Write the rankers of a calibration into a folder of fitted models."""
    with whole_files(folder, [CALIBRATED]) as new:
        (new / CALIBRATED).write_text(rankers.model_dump_json(indent=1), "utf-8")


def _calibrated(folder: Path) -> Rankers | None:
    """Return the rankers of a calibration. Those of another version are left out until the next ingestion."""
    try:
        return _read_model_if_present(folder / CALIBRATED, Rankers)
    except DataError:
        return None


def read_topics(path: Path) -> NextTopics:
    """Read the model that predicts the topics of the next event.

    Raises:
        DataError: the file is absent, damaged, or was written by another version.
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
    # JSON, pydantic and numpy raise these if the file was cut, changed or written by another version.
    except (OSError, EOFError, ValueError, KeyError, TypeError, RecursionError, zipfile.BadZipFile) as error:
        raise DataError(f"{str(path)!r} is damaged or of another version: run `whimbrel fit` again") from error
