"""Compute the vectors of a store again: after damage, or with another text encoder."""

import json
from collections.abc import Sequence

import numpy as np

from whimbrel.tools.errors import StoreError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.retrieval.catalogue import CAPTION
from whimbrel.tools.store.chroma import VECTORS, Database, connect
from whimbrel.tools.store.item_records import ItemRecord
from whimbrel.tools.store.lease import Lease
from whimbrel.tools.store.modalities import FROM_SOURCE, Modalities
from whimbrel.tools.store.notes import ENCODER, REENCODING, Notes
from whimbrel.tools.store.settings import Settings
from whimbrel.tools.store.store import open_store
from whimbrel.tools.store.user_records import UserRecords
from whimbrel.tools.text.encoder import TextEncoder, Vectors, encoder_text
from whimbrel.tools.text.encoders import encoder_for, encoder_named

WAIT_SECONDS = 75.0
"""How long a change waits for another process that writes."""


def compute_vectors(database: Database, name: str, settings: Settings, progress: Progress, *, start: int = 0) -> None:
    """Compute the vectors of a collection again from its records. Those of users need those of items.

    Args:
        database: The database.
        name: `items`, `topics` or `users`.
        settings: The settings of the store, with its encoder.
        progress: Shows the progress.
        start: The number of records that have their vectors already.
    """
    progress.step(f"Computing vectors of {name}", database.count(name))
    if name == "users":
        UserRecords(database).restore_vectors(lambda ids: _vectors_of(database, ids), settings.meanings)
        return
    done = 0
    for page in database.pages(name, "metadatas"):
        done += len(page)
        if done <= start:
            progress.advance(len(page))
            continue
        ids, metadatas = [id_ for id_, _ in page], [metadata for _, metadata in page]
        if name == "items":
            texts = [encoder_text(ItemRecord.from_metadata(metadata).item) for metadata in metadatas]
            database.upsert(name, ids, settings.encode_items(texts, advance=progress.advance), metadatas)
        else:
            database.upsert(name, ids, settings.encoder.encode(ids, advance=progress.advance))
        settings.note_computed(name, done)


def _vectors_of(database: Database, item_ids: Sequence[str]) -> dict[str, Vectors]:
    return {id_: np.asarray(vector, np.float32) for id_, vector in database.get("items", item_ids, "embeddings")}


def _encode_captions(database: Database, encoder: TextEncoder, progress: Progress) -> None:
    """Encode the captions of images again, unless a source gave their vectors."""
    name, maker = VECTORS + CAPTION, Modalities(database).maker(CAPTION)
    if maker is None or maker.name == FROM_SOURCE:
        return
    progress.step("Computing vectors of captions", database.count(name))
    for page in database.pages(name, "metadatas"):
        texts = [str(metadata["text"]) for _, metadata in page]
        vectors = encoder.encode(texts, advance=progress.advance)
        database.upsert(name, [id_ for id_, _ in page], vectors, [metadata for _, metadata in page])
    database.note_maker(name, encoder.name)


def _encoder_of_titles(database: Database) -> TextEncoder:
    first = next(database.pages("items", "metadatas"), [])
    return encoder_for(ItemRecord.from_metadata(metadata).item for _, metadata in first)


def reencode(
    location: str, encoder: TextEncoder | None = None, *, progress: Progress | None = None
) -> tuple[TextEncoder, int]:
    """Compute all vectors of a store with an encoder. If it is stopped, the same call goes on with it.

    Args:
        location: The folder or the address of the store.
        encoder: The encoder that the store has from then on. The default is the one of an interrupted call, or the one
            that reads the language of the items.
        progress: Shows the progress.

    Returns:
        The encoder and the number of items.

    Raises:
        StoreError: the store is absent, in use, or cannot be written.
        ConfigError: the encoder is not installed.
    """
    progress = progress or NoProgress()
    database = connect(location, create=False, writing=True, metadata={})
    try:
        database.require_writable()
        notes = Notes(database)
        settings = Settings(notes)
        with Lease(database, shared=database.is_shared).held(wait=WAIT_SECONDS):
            if notes.unfinished:
                raise StoreError(f"store {location!r} is unfinished: complete its ingestion first")
            begun = json.loads(notes.get(REENCODING) or "{}")
            encoder = encoder or (encoder_named(begun[ENCODER]) if begun else _encoder_of_titles(database))
            encoder.encode(["-"])  # an encoder that is not installed must not leave half a store
            is_same = begun.get(ENCODER) == encoder.name
            if not is_same:
                notes.put(**{REENCODING: json.dumps({ENCODER: encoder.name})})
                settings.set_encoder(encoder)
            compute_vectors(database, "items", settings, progress, start=begun.get("items", 0) if is_same else 0)
            compute_vectors(database, "topics", settings, progress)
            compute_vectors(database, "users", settings, progress)
            _encode_captions(database, settings.encoder, progress)
        items = database.count("items")
    finally:
        database.close()
    with open_store(location, writing=True) as store:
        store.complete_reencoding()
    return encoder, items
