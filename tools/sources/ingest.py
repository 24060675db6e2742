"""Ingestion: read the rows of a source into a staging database, then write items and histories to a store.

No row is dropped silently: each is counted as an event, an item, a repeat or a reject. The source is first read to its
end. Only then is the store changed, so a source that cannot be read leaves the store as it was. Every write can be
repeated. Running a killed ingestion again completes it. Running a completed one again changes nothing.
"""

import json
import shlex
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from itertools import chain
from pathlib import Path

from whimbrel.tools.errors import ConfigError, StoreError
from whimbrel.tools.event_meanings import MEANINGS, Meaning, meaning_of
from whimbrel.tools.images.captions import Captioner
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.retrieval.catalogue import CAPTION, IMAGE
from whimbrel.tools.sources.captions import check_captions, drop_stale_captions, write_captions
from whimbrel.tools.sources.item_vectors import (
    about_images,
    check_modalities,
    image_encoder_of,
    note_image_encoder,
    write_images,
    write_vectors,
)
from whimbrel.tools.sources.majority import record_of
from whimbrel.tools.sources.report import Ingested, Rejection
from whimbrel.tools.sources.rows import Source
from whimbrel.tools.sources.staged import kept_file, staged
from whimbrel.tools.sources.staging import Staging, batches, look_alike
from whimbrel.tools.store.person_files import REJECTS_FOLDER
from whimbrel.tools.store.store import Store, open_store
from whimbrel.tools.text.encoder import TextEncoder, encoder_text
from whimbrel.tools.text.encoders import encoder_for
from whimbrel.tools.text.minilm import ENGLISH
from whimbrel.tools.timestamps import iso

LONGEST_FILE_NAME = 60  # characters of the name of a source in the name of its file of rejects
MIN_PEOPLE_OF_LOG, LEAST_USERS_TO_HIDE = 3, 200
"""MIN_PEOPLE_OF_LOG people must have met an item of a log alone that has LEAST_USERS_TO_HIDE users or more."""
LARGE_CATALOGUE = 50_000
"""A new store of more items is encoded by the distilled encoder.

The exact one takes more than a minute for them on two cores. Fewer items are worth the wait: of the ten nearest, the
distilled vectors find a quarter to two thirds (docs/evaluation/ingestion.md).
"""
BATCH_SIZE = 2000  # items or users written at a time
_EARLY, _FUTURE_DAYS = 631152000.0, 366
"""Times before 1990, or this many days after the last plausible moment, are questioned."""


def ingest(
    source: Source,
    location: str | Path,
    *,
    command: str = "",
    progress: Progress | None = None,
    meanings: Mapping[str, Meaning] | None = None,
    timezone: str = "",
    min_people: int | None = None,
    encoder: TextEncoder | None = None,
    image_encoder: str | None = None,
    captioner: Captioner | None = None,
) -> Ingested:
    """Write the rows of a source to the store at `location`. The store is created if it does not exist.

    Args:
        source: The rows (see `open_source`).
        location: A folder, or the address of a Chroma server.
        command: The source as given on the command line, which the error about an interrupted ingestion shows. The
            default is the name of the source.
        progress: Shows the progress of the ingestion.
        meanings: Meanings of event words, which the store keeps (see `tools.event_meanings`).
        timezone: The zone in which the people live, which the store keeps; "" to leave it.
        min_people: How many people must have met an item before it is shown to others. The store keeps it. By default
            1 with a catalogue, and MIN_PEOPLE_OF_LOG for a log alone of LEAST_USERS_TO_HIDE users or more.
        encoder: The text encoder of a new store. The default is the one that reads the language of the items.
        image_encoder: What encodes the images of items (see `open_image_encoder`), which the store keeps; "none" to
            encode none. By default what the store keeps, if anything.
        captioner: What says what the images of items show. The store does not keep it.

    Raises:
        ConfigError: The store has vectors of another encoder than `encoder`, or that of images cannot be used.
        DataError: The source cannot be read to its end, or none of its rows is valid.
        StoreError: The store is locked, was made with another encoder, or fails.

    Example:
        ```python
        ingested = ingest(open_source("orders.csv"), "shop")
        print(ingested.events, ingested.rejected)
        ```
    """
    progress = progress or NoProgress()
    # An existing store is opened before the source is read, so that a lock or a wrong encoder is reported at once. A
    # new store is created only after the source was read, so that an unreadable source leaves no empty store behind.
    store = open_store(location, create=True, writing=True) if _exists(location) else None
    try:
        looker = image_encoder_of(store, image_encoder)
        with staged(source, progress, store=store, kept=kept_file(source, location)) as staging:
            store = store or open_store(location, create=True, writing=True)
            check_modalities(staging, store, looker)
            if captioner is not None:
                check_captions(staging, store)
            store.begin(command or source.name)
            read_before = store.settings.note_source(source.name, command)
            if meanings:
                store.settings.add_meanings(meanings)
            note_image_encoder(store, image_encoder)
            if timezone:
                store.settings.set_zone(timezone)
            if count := min_people or _default_min_people(staging, store):
                store.settings.set_min_people(count)
            language = _language(staging)
            _choose_encoder(store, encoder, language, staging.item_count)
            new_items, topics = _write_items(staging, store, progress)
            modalities = write_vectors(staging, store, progress)
            if looker is not None:
                modalities[IMAGE] = write_images(staging, store, looker, source, progress)
            if captioner is not None:
                modalities[CAPTION] = write_captions(staging, store, captioner, source, progress)
            else:
                drop_stale_captions(staging, store, source)
            new_events = _write_histories(staging, store, progress)
            progress.step("Indexing", None)
            # If the store holds nothing else, its log is that of the staging database.
            is_alone = new_events == staging.events and store.chunk_count() == staging.chunk_count
            store.finish(command or source.name, staging.event_columns if is_alone else None)
            rejects = _write_rejects(
                staging, store.folder / REJECTS_FOLDER / f"{source.name[:LONGEST_FILE_NAME]}.jsonl"
            )
            counts, words = staging.counts, staging.event_words()
            return Ingested(
                rows=counts.rows,
                item_rows=counts.item_rows,
                catalogue=counts.catalogue,
                events=staging.events,
                new_events=new_events,
                users=staging.users,
                items=staging.item_count,
                new_items=new_items,
                repeated=counts.valid - staging.events,
                rejected=counts.rejected,
                item_rejected=counts.item_rejected,
                rejects=rejects,
                span=staging.span,
                timezone=timezone,
                guessed=source.guessed,
                mended=dict(sorted(counts.mended.items())),
                rejections=[Rejection(*kind) for kind in staging.reject_reasons()],
                event_words=words,
                alike=look_alike(topics),
                unused=source.unused,
                modalities=modalities,
                warnings=[
                    *source.warnings,
                    *_about_earlier(source.name, read_before, command),
                    *_about_encoder(store, language),
                    *_questions(staging, words, store, meanings or {}),
                    *about_images(staging, store, looker),
                ],
            )
    except OSError as error:
        raise StoreError(f"the ingestion stopped ({error}): is the disk full? Run it again to complete it") from error
    finally:
        if store:
            store.close()


def _default_min_people(staging: Staging, store: Store) -> int:
    """Return how many people must have met an item before it is shown to others, or 0 to leave the setting.

    The titles of a log alone may be anybody's words, and an item that one person met may tell who that is. A catalogue
    is meant to be shown. Of a few people, nearly all items would be hidden.
    """
    if staging.counts.catalogue:
        return 1
    is_first = not store.item_count() and staging.users >= LEAST_USERS_TO_HIDE
    return MIN_PEOPLE_OF_LOG if is_first else 0


def _exists(location: str | Path) -> bool:
    """Return whether a store may exist at a location.

    Opening the store settles it: opening asks the server, and refuses a file in place of a folder.
    """
    folder = Path(location)
    is_address = str(location).startswith(("http://", "https://"))
    return is_address or folder.is_file() or (folder / "chroma.sqlite3").is_file()


def _language(staging: Staging) -> TextEncoder:
    """Return the encoder that reads the language of the source."""
    first = next(batches(staging.told(), BATCH_SIZE), [])
    records = [record_of(item_id, rows, {}, None) for item_id, rows in first]
    return encoder_for([record.item for record in records if record is not None])


def _choose_encoder(store: Store, given: TextEncoder | None, language: TextEncoder, items: int) -> None:
    """Choose the encoder of a new store. A store that holds items keeps that of their vectors."""
    if not store.item_count():
        encoder = given or language
        store.settings.set_encoder(encoder, is_distilled=encoder is ENGLISH and items > LARGE_CATALOGUE)
    elif given is not None and given is not store.encoder:
        raise ConfigError(
            f"the vectors of store {store.location!r} are those of the {store.encoder.title} text encoder: run "
            f"`whimbrel reencode --store {store.location} --encoder {given.title}` first"
        )


def _about_encoder(store: Store, language: TextEncoder) -> Iterator[str]:
    if store.settings.is_distilled:
        yield "the catalogue is large, so the vectors of its titles are those of the fast, distilled encoder"
    if store.encoder is not ENGLISH:
        yield f"titles and topics are read by the {store.encoder.title} text encoder, which knows every script"
    elif language is not ENGLISH:
        yield (
            "many titles are in a script that the English text encoder does not read: run `whimbrel reencode --store "
            f"{store.location} --encoder {language.title}`"
        )


def _write_items(staging: Staging, store: Store, progress: Progress) -> tuple[int, set[str]]:
    """Encode and write the items that are new or have new facts.

    Returns:
        The number of these items, and the topics of all items of the source.
    """
    known_topics = store.topic_names()
    spelling = staging.spelling(known_topics)
    count = staging.item_count
    progress.step("Encoding items", count)
    topics: set[str] = set()
    written = 0
    for told in batches(staging.told(), BATCH_SIZE):
        stored = store.item_records([item_id for item_id, _ in told])
        records = [record_of(item_id, rows, spelling, stored.get(item_id)) for item_id, rows in told]
        merged = [record for record in records if record is not None]
        topics.update(topic for record in merged for topic in record.item.topics)
        changed = [record for record in merged if stored.get(record.item.item_id) != record]
        progress.advance(len(told) - len(changed))
        if changed:
            texts = [encoder_text(record.item) for record in changed]
            store.put_items(changed, store.settings.encode_items(texts, advance=progress.advance))
            written += len(changed)
    new_topics = sorted(topics - known_topics)
    if new_topics:
        store.put_topics(new_topics, store.encoder.encode(new_topics))
    return written, topics


def _write_histories(staging: Staging, store: Store, progress: Progress) -> int:
    progress.step("Writing histories", staging.users)
    new_events = 0
    # The groups are of different users. While Chroma writes one of them, the next one is read.
    with ThreadPoolExecutor(1) as pool:
        pending: tuple[Future[int], int] | None = None
        for group in chain(batches(staging.histories(), BATCH_SIZE), [[]]):
            if pending:
                new_events += pending[0].result()
                progress.advance(pending[1])
            pending = (pool.submit(store.merge_histories, dict(group)), len(group)) if group else None
    return new_events


def _write_rejects(staging: Staging, path: Path) -> Path | None:
    """Write the rejected rows, one JSON document per line: file, line, reason and the fields of the row."""
    if not staging.has_rejects:
        path.unlink(missing_ok=True)
        return None
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", encoding="utf-8") as file:
        for document in staging.rejects():
            file.write(json.dumps(document, ensure_ascii=True) + "\n")
    return path


def _about_earlier(name: str, earlier: str, command: str) -> Iterator[str]:
    """Yield a warning if a source was read in another way before. What looks at images changes no event."""
    if earlier and _reading(earlier) != _reading(command):
        yield (
            f"{name!r} was read before, as `{earlier}`. The events of then stay beside those of now. If one of the "
            "two was wrong, ingest into a new store"
        )


def _reading(command: str) -> list[str]:
    parts = shlex.split(command)
    if "--image-encoder" in parts:
        at = parts.index("--image-encoder")
        return parts[:at] + parts[at + 2 :]
    return parts


def _questions(staging: Staging, words: Mapping[str, int], store: Store, given: Mapping[str, Meaning]) -> Iterator[str]:
    """Yield what a person should check: a span of time that is not plausible, and event words of no known meaning."""
    import time

    span = staging.span
    if span and (span[0] < _EARLY or span[1] > time.time() + _FUTURE_DAYS * 86400):
        yield (
            f"the events are from {iso(span[0])} to {iso(span[1])}: if that is wrong, say how times are written with "
            "--time-format"
        )
    store_meanings = store.settings.meanings
    unknown = [word for word in words if word != "interaction" and meaning_of(word, store_meanings) is None]
    if unknown:
        shown = ", ".join(repr(word) for word in unknown[:5])
        yield (
            f"event words of no known meaning count as chosen: {shown}. Say what they mean "
            f"({', '.join(MEANINGS)}), as in --events '{unknown[0]}=chosen'"
        )
    for word in given:
        if word not in words:
            yield f"--events: no row has the event word {word!r}"
