"""Use in one store what was learned from another: the weights, and of the rest only what means the same there."""

from dataclasses import replace
from pathlib import Path

from whimbrel.agent.fitted import FUSION, Fitted
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.whole_files import complete
from whimbrel.tools.log.learned_items import LearnedItems
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.timestamps import iso


def read_fit(folder: Path) -> Fitted:
    """Read what `whimbrel fit --out` wrote.

    Raises:
        DataError: it is no fit, or is damaged.
    """
    complete(folder)
    if not (folder / FUSION).is_file():
        raise DataError(
            f"{str(folder)!r} is no fit (it has no {FUSION}): write one with `whimbrel fit --store DIR --out FITTED`"
        )
    return Fitted.load(folder)


def moved(fitted: Fitted, catalogue: Catalogue, own: Fitted, name: str) -> Fitted:
    """Return what of a fit another store may use. The rest is the store's own.

    The weights of channels, features and language models name no item, so all of them move. The models of the next
    topics move if the stores share their topics: how often people stay depends on how fine topics are. Models of items
    move for the items that are the same in both stores, if the store has no such models of its own.

    Args:
        fitted: What was learned elsewhere.
        catalogue: The store's catalogue.
        own: What was learned from the store.
        name: Where the fit lies.

    Raises:
        DataError: the fit was learned with another text encoder. Its cosines are others.
    """
    origin = fitted.origin
    require_encoder(name, origin.encoder, catalogue)
    items = own.items
    if items == LearnedItems():
        ids = {id_ for model in (fitted.items.embeddings, fitted.items.ease) if model for id_ in model.item_ids}
        items = fitted.items.only(origin.known_items(catalogue, sorted(ids)))
    topics = fitted.topics if origin.shares_topics(catalogue.log) else own.topics
    # A tuned language model knows the titles of its own log.
    return replace(fitted, topics=topics, items=items, click_rates=own.click_rates, adapter=own.adapter)


def require_encoder(name: str, encoder: str, catalogue: Catalogue) -> None:
    """Check that what comes from elsewhere has the text encoder of a store.

    Raises:
        DataError: it has another one.
    """
    if encoder != catalogue.encoder.name:
        raise DataError(
            f"{name!r} has the text encoder {encoder!r}, this store has {catalogue.encoder.name!r}: change one of the "
            "stores with `whimbrel reencode`"
        )


def require_earlier(fitted: Fitted, at: float | None, name: str) -> None:
    """Check that a fit learned from nothing that happened at or after a moment that somebody names.

    Raises:
        DataError: it did.
    """
    until = fitted.origin.until
    if at is not None and until is not None and until > at:
        raise DataError(
            f"{name!r} was learned from events until {iso(until)}, later than the moment asked about ({iso(at)}): ask "
            "about a later one, or fit the source as it was then"
        )
