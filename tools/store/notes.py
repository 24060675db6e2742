"""What a store notes of itself: its generation, unfinished ingestions, and its settings.

Each note is a record of its own in the collection `notes`. A process that writes one note thus never restores an old
value of another. Stores of formats 2 and 3 have all notes in one metadata, from which they are moved when opened.
"""

import json
from collections.abc import Mapping
from uuid import uuid4

from whimbrel.tools.records import digest_of
from whimbrel.tools.store.chroma import Database

COLLECTION = "notes"
GENERATION, MEANINGS, TIMEZONE = "generation", "meanings", "timezone"
ENCODER, DISTILLED, REENCODING = "encoder", "distilled", "reencoding"
PRIVATE = "private"
"""The note of items that only somebody met who is being forgotten."""
MIN_PEOPLE, AUDIT, IMAGE_ENCODER = "min_people", "audit", "image_encoder"
SENSITIVE = "sensitive"
"""The note of sensitive topics. For those of one person, the digest of their id follows."""
UNFINISHED, SOURCE = "unfinished ", "source "
"""Notes of which there is one for each source. The digest of its name follows."""


class Notes:
    """The notes of a store, as texts keyed by name. They are read once, and again after `refresh`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._kept: dict[str, str] | None = None

    def get(self, name: str) -> str:
        """Return a note; "" if it is absent."""
        return self._all().get(name, "")

    def starting(self, prefix: str) -> dict[str, str]:
        """Return the notes whose names begin so, keyed by name."""
        return {name: value for name, value in self._all().items() if name.startswith(prefix)}

    def put(self, **notes: str) -> None:
        """Write notes. An earlier note of the same name is replaced."""
        self._database.put(COLLECTION, {name: {"value": value} for name, value in notes.items()})
        self.refresh()

    def remove(self, name: str) -> None:
        """Remove a note, which may be absent."""
        self._database.delete(COLLECTION, [name])
        self.refresh()

    def refresh(self) -> None:
        """Forget what was read, so that later writes of other processes are noticed."""
        self._kept = None

    def renew(self) -> None:
        """Note a new generation. Every process then knows that the derived files are stale."""
        self.put(generation=uuid4().hex)

    @property
    def generation(self) -> str:
        """The name of the present state of the histories and items. Events of the journal do not change it."""
        return self.get(GENERATION) or "0"

    @property
    def unfinished(self) -> list[str]:
        """The sources whose ingestion was begun and not finished."""
        return sorted(self.starting(UNFINISHED).values())

    def begin(self, source: str) -> None:
        """Note that the ingestion of a source has begun."""
        self.put(**{f"{UNFINISHED}{digest_of(source)}": source})

    def finish(self, source: str) -> None:
        """Note that the ingestion of a source is finished."""
        self.remove(f"{UNFINISHED}{digest_of(source)}")

    def command_of(self, source: str, command: str) -> str:
        """Note the command with which a source was read. Return that of an earlier time."""
        name = f"{SOURCE}{digest_of(source)}"
        earlier = self.get(name)
        self.put(**{name: command})
        return earlier

    def move_from(self, metadata: Mapping[str, object]) -> None:
        """Write the notes that the metadata of a store of an earlier format holds."""
        texts = {name: str(metadata[name]) for name in (GENERATION, MEANINGS, TIMEZONE) if metadata.get(name)}
        if metadata.get(DISTILLED):
            texts[DISTILLED] = "yes"
        for source in json.loads(str(metadata.get("unfinished") or "[]")):
            texts[f"{UNFINISHED}{digest_of(source)}"] = source
        for source, command in json.loads(str(metadata.get("sources") or "{}")).items():
            texts[f"{SOURCE}{digest_of(source)}"] = command
        if texts:
            self.put(**texts)

    def _all(self) -> dict[str, str]:
        if self._kept is None:
            self._database.recount(COLLECTION)
            self._kept = {
                name: str(metadata["value"])
                for page in self._database.pages(COLLECTION, "metadatas")
                for name, metadata in page
                if "value" in metadata
            }
        return self._kept
