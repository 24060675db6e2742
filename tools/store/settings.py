"""What a store knows about its logs: meanings of event words, the zone, the encoder, and how each source was read."""

import json
from collections.abc import Mapping
from datetime import tzinfo

from whimbrel.tools.event_meanings import Meaning
from whimbrel.tools.store.chroma import Database
from whimbrel.tools.timestamps import zone_of


class Settings:
    """The settings of a store, kept in the metadata of its database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @property
    def is_distilled(self) -> bool:
        """Whether the items have vectors of the distilled encoder. Vectors of two encoders are never mixed."""
        return bool(self._database.metadata.get("distilled"))

    def note_distilled(self) -> None:
        """Note that all items have vectors of the distilled encoder."""
        self._database.note(distilled=True)

    @property
    def meanings(self) -> dict[str, Meaning]:
        """The meanings that this store gives to event words of its own."""
        return dict(json.loads(self._database.metadata.get("meanings") or "{}"))

    def add_meanings(self, meanings: Mapping[str, Meaning]) -> None:
        """Give event words a meaning. An earlier meaning of the same word is replaced."""
        self._database.note(meanings=json.dumps(self.meanings | dict(meanings), ensure_ascii=False))

    @property
    def zone(self) -> tzinfo:
        """The zone in which people live, whose hours and weekends are habits; UTC unless the log's was given."""
        return zone_of(self._database.metadata.get("timezone") or "UTC")

    def set_zone(self, name: str) -> None:
        """Set the zone (see `zone_of`). It counts once the ingestion is finished."""
        self._database.note(timezone=name)

    def note_source(self, name: str, command: str) -> str:
        """Note the command with which a source was read. Return the one of an earlier time if it was another one."""
        commands = dict(json.loads(self._database.metadata.get("sources") or "{}"))
        earlier = str(commands.get(name) or "")
        self._database.note(sources=json.dumps(commands | {name: command}, ensure_ascii=False))
        return earlier if command and earlier != command else ""
