"""Write what the images of items show, as a vision model says it: the captions, and the vectors of these texts.

Each image is shown once. An ingestion that was stopped goes on there. A caption that fails is listed, and its item
stays without one.
"""

import time
from collections.abc import Mapping
from pathlib import Path

from whimbrel.tools.errors import ConfigError, ModelError
from whimbrel.tools.images.captions import SIDE, Caption, Captioner
from whimbrel.tools.images.files import FoundImage, ImageFolder, shrunk
from whimbrel.tools.progress import Progress
from whimbrel.tools.retrieval.catalogue import CAPTION
from whimbrel.tools.sources.item_vectors import VECTORS_AT_ONCE, ItemImages, digest_of, images_of
from whimbrel.tools.sources.report import Modality
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.sources.staging import Staging, batches
from whimbrel.tools.sources.vectors import Reject
from whimbrel.tools.store.modalities import FROM_SOURCE, Maker
from whimbrel.tools.store.store import Store
from whimbrel.tools.text.encoder import DIMENSION

CAPTIONS_AT_ONCE = 8


def check_captions(staging: Staging, store: Store) -> None:
    """Check that captions can be kept in a store.

    Raises:
        ConfigError: a column is mapped to what the captioner makes.
        StoreError: a source gave the store vectors of that name.
    """
    if CAPTION in staging.modalities:
        raise ConfigError(
            f"vector.{CAPTION} is a column of the source and also what --captions makes: map the column to another name"
        )
    store.modalities.require_same(CAPTION, _maker(store))


def write_captions(
    staging: Staging, store: Store, captioner: Captioner, source: Source, progress: Progress
) -> Modality:
    """Let a vision model say what the images of a source show, and write the captions with their vectors."""
    item_ids, rejects, stopped = staging.with_images, list[Reject](), ""
    store.modalities.make(CAPTION, _maker(store))
    progress.step("Captioning images", len(item_ids))
    new, started, by = 0, time.monotonic(), digest_of(captioner.digest)
    with ImageFolder(source.folder or Path()) as folder:
        for page in batches(item_ids, CAPTIONS_AT_ONCE):
            images = images_of(store, folder, page)
            kept = store.modalities.origins(CAPTION, page)
            origins = {id_: f"{origin} {by}" for id_, origin in images.origins.items()}
            asked = {id_: file for id_, file in images.files.items() if kept.get(id_) != origins[id_]}
            captions = {id_: Caption("", problem) for id_, problem in images.problems.items()}
            if not stopped:
                try:
                    captions |= _captions(captioner, asked)
                except ModelError as error:
                    stopped = str(error)
            if stopped:  # it would fail for the others too
                captions |= dict.fromkeys(asked, Caption("", stopped))
            texts = {id_: caption.text for id_, caption in captions.items() if not caption.problem}
            vectors = dict(zip(texts, store.encoder.encode(list(texts.values())), strict=True))
            store.modalities.put(CAPTION, vectors, origins, texts)
            failed = {id_: caption.problem for id_, caption in captions.items() if caption.problem}
            store.modalities.remove(_stale({id_: kept[id_] for id_ in failed if id_ in kept}, images), CAPTION)
            rejects += [
                Reject(source.name, 0, f"caption: {problem}", {"item_id": id_, "image": images.names[id_]})
                for id_, problem in failed.items()
            ]
            new += len(vectors)
            progress.advance(len(page))
    staging.reject_captions(rejects)
    return Modality(store.modalities.count(CAPTION), new, DIMENSION, len(rejects), time.monotonic() - started)


def drop_stale_captions(staging: Staging, store: Store, source: Source) -> None:
    """Remove the captions of images that a source has changed, where no captioner is given to make new ones."""
    maker = store.modalities.maker(CAPTION)
    if maker is None or maker.name == FROM_SOURCE:
        return
    with ImageFolder(source.folder or Path()) as folder:
        for page in batches(staging.with_images, VECTORS_AT_ONCE):
            kept = store.modalities.origins(CAPTION, page)
            store.modalities.remove(_stale(kept, images_of(store, folder, list(kept))), CAPTION)


def _maker(store: Store) -> Maker:
    return Maker(store.encoder.name, DIMENSION)


def _captions(captioner: Captioner, files: Mapping[str, FoundImage]) -> dict[str, Caption]:
    """Return what images show, keyed by item."""
    small = {id_: shrunk(file.read(), SIDE) for id_, file in files.items()}
    readable = {id_: image for id_, image in small.items() if isinstance(image, bytes)}
    captions = captioner.caption(list(readable.values())) if readable else []
    told = {id_: caption.cleaned() for id_, caption in zip(readable, captions, strict=True)}
    return told | {id_: Caption("", problem) for id_, problem in small.items() if isinstance(problem, str)}


def _stale(kept: Mapping[str, str], images: ItemImages) -> list[str]:
    """Return the items whose caption, of which `kept` tells the origin, is not of their image of now."""
    return [id_ for id_, origin in kept.items() if origin.partition(" ")[0] != images.origins.get(id_)]
