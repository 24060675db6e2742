"""Write the further vectors of items: those that a source gives, and those of images, which an encoder reads.

Each batch is written when it is made. An ingestion that was stopped goes on there, and a repeated one makes none again.
"""

import time
from collections.abc import Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import NamedTuple

import numpy as np

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.images.encoder import BUNDLED, HUB, ImageEncoder, open_image_encoder
from whimbrel.tools.images.files import FoundImage, ImageFolder
from whimbrel.tools.progress import Progress
from whimbrel.tools.retrieval.catalogue import IMAGE
from whimbrel.tools.sources.report import Modality
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.sources.staging import Staging, batches
from whimbrel.tools.sources.vectors import Reject
from whimbrel.tools.store.modalities import FROM_SOURCE, Maker
from whimbrel.tools.store.store import Store
from whimbrel.tools.text.encoder import Vectors

NO_ENCODER = "none"
VECTORS_AT_ONCE, IMAGES_AT_ONCE = 500, 128


def image_encoder_of(store: Store | None, spec: str | None) -> ImageEncoder | None:
    """Open the encoder of images that is asked for, else the one that a store keeps; None if there is none.

    Raises:
        ConfigError: it cannot be used.
    """
    spec = spec if spec is not None else (store.settings.image_encoder if store else "")
    return open_image_encoder(spec) if spec and spec != NO_ENCODER else None


def note_image_encoder(store: Store, spec: str | None) -> None:
    """Keep the encoder that is asked for, for the next source."""
    if spec is not None:
        is_file = spec not in {NO_ENCODER, BUNDLED} and not spec.startswith(HUB)
        store.settings.set_image_encoder(str(Path(spec).expanduser().resolve()) if is_file else spec)


def check_modalities(staging: Staging, store: Store, encoder: ImageEncoder | None) -> None:
    """Check that the vectors can be kept with those that the store has.

    Raises:
        ConfigError: a column is mapped to what the encoder makes.
        StoreError: the store has vectors of another maker or of another length.
    """
    if encoder is not None and IMAGE in staging.modalities:
        raise ConfigError(
            f"vector.{IMAGE} is a column of the source and also what --image-encoder makes: map the column to another "
            f"name, or give --image-encoder {NO_ENCODER}"
        )
    for name, length in staging.modalities.items():
        store.modalities.require_same(name, Maker(FROM_SOURCE, length))
    if encoder is not None:
        store.modalities.require_same(IMAGE, Maker(encoder.name, encoder.dimension))


def write_vectors(staging: Staging, store: Store, progress: Progress) -> dict[str, Modality]:
    """Write the vectors that a source gives. Return what was written, keyed by modality."""
    written = {}
    for name, length in staging.modalities.items():
        store.modalities.make(name, Maker(FROM_SOURCE, length))
        progress.step(f"Writing vectors ({name})", None)
        new = 0
        for told in batches(staging.vectors(name), VECTORS_AT_ONCE):
            digests = {item_id: digest for item_id, _, digest in told}
            known = store.item_records(list(digests))
            kept = store.modalities.origins(name, list(digests))
            changed = {
                item_id: np.array(vector, dtype=np.float32)
                for item_id, vector, digest in told
                if item_id in known and kept.get(item_id) != digest
            }
            store.modalities.put(name, changed, digests)
            new += len(changed)
        rejected = staging.rejected_parts(f"vector.{name}: ")
        written[name] = Modality(store.modalities.count(name), new, length, rejected)
    return written


def write_images(staging: Staging, store: Store, encoder: ImageEncoder, source: Source, progress: Progress) -> Modality:
    """Encode the images of the items of a source, and write their vectors."""
    item_ids, rejects = staging.with_images, list[Reject]()
    store.modalities.make(IMAGE, Maker(encoder.name, encoder.dimension))
    progress.step("Encoding images", len(item_ids))
    new, started = 0, time.monotonic()
    with ImageFolder(source.folder or Path()) as folder:
        for page in batches(item_ids, IMAGES_AT_ONCE):
            images = images_of(store, folder, page)
            vectors, problems = _encoded(store, encoder, images)
            store.modalities.put(IMAGE, vectors, images.origins)
            # An image that can no longer be read is a missing one, not the one that it was.
            store.modalities.remove(list(problems), IMAGE)
            rejects += [
                Reject(
                    *_place(staging, images.names[id_], source), problem, {"item_id": id_, "image": images.names[id_]}
                )
                for id_, problem in problems.items()
            ]
            new += len(vectors)
            progress.advance(len(page))
    staging.reject_images(rejects)
    seconds = time.monotonic() - started
    return Modality(store.modalities.count(IMAGE), new, encoder.dimension, len(rejects), seconds)


def _place(staging: Staging, image: str, source: Source) -> tuple[str, int]:
    file, line = staging.place_of_image(image)
    return file or source.name, line


class ItemImages(NamedTuple):
    """The images of items, each keyed by item: the names, the files, digests of these, and why others are not found."""

    names: dict[str, str]
    files: dict[str, FoundImage]
    origins: dict[str, str]
    problems: dict[str, str]


def images_of(store: Store, folder: ImageFolder, item_ids: Sequence[str]) -> ItemImages:
    """Find the images of items in a folder. An item without one is left out."""
    names = {id_: record.item.image for id_, record in store.item_records(item_ids).items() if record.item.image}
    found = {id_: folder.find(name) for id_, name in names.items()}
    files = {id_: image for id_, image in found.items() if not isinstance(image, str)}
    origins = {id_: digest_of(f"{names[id_]} {image.stamp}") for id_, image in files.items()}
    return ItemImages(names, files, origins, {id_: why for id_, why in found.items() if isinstance(why, str)})


def _encoded(store: Store, encoder: ImageEncoder, images: ItemImages) -> tuple[dict[str, Vectors], dict[str, str]]:
    """Return the vectors of images that are new or changed, and why others cannot be read."""
    kept = store.modalities.origins(IMAGE, list(images.origins))
    changed = [id_ for id_, origin in images.origins.items() if kept.get(id_) != origin]
    encoded = encoder.encode([images.files[id_].read() for id_ in changed])
    problems = images.problems | {changed[row]: problem for row, problem in encoded.problems.items()}
    return {changed[row]: vector for row, vector in zip(encoded.rows, encoded.vectors, strict=True)}, problems


def digest_of(text: str) -> str:
    """Return a short digest of a text."""
    return blake2b(text.encode(), digest_size=8).hexdigest()


def about_images(staging: Staging, store: Store, encoder: ImageEncoder | None) -> Iterator[str]:
    """Say that images wait for an encoder, unless it was said that there is none, or that no image is named."""
    if encoder is not None and not staging.with_images and not store.modalities.count(IMAGE):
        yield "--image-encoder has nothing to look at: no column names images; map one, as in --map COLUMN=image"
    if encoder is None and not store.settings.image_encoder and (count := len(staging.with_images)):
        yield f"{count:,} items name an image, which is not looked at: --image-encoder {BUNDLED} lets looks count"
