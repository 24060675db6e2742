"""What a store knows about its logs: meanings of event words, the zone, the encoder, and how each source was read."""

import json
from collections.abc import Callable, Iterable, Mapping
from datetime import tzinfo

from whimbrel.tools.event_meanings import Meaning
from whimbrel.tools.records import digest_of
from whimbrel.tools.store.notes import (
    AUDIT,
    DISTILLED,
    ENCODER,
    IMAGE_ENCODER,
    MEANINGS,
    MIN_PEOPLE,
    REENCODING,
    SENSITIVE,
    TIMEZONE,
    Notes,
)
from whimbrel.tools.text.distilled import encode_distilled
from whimbrel.tools.text.encoder import TextEncoder, Vectors
from whimbrel.tools.text.encoders import encoder_named
from whimbrel.tools.text.minilm import ENGLISH
from whimbrel.tools.timestamps import zone_of


class Settings:
    """The settings of a store, kept in its notes."""

    def __init__(self, notes: Notes) -> None:
        self._notes = notes

    @property
    def encoder(self) -> TextEncoder:
        """The encoder of all vectors. Vectors of two encoders are never mixed."""
        return encoder_named(self._notes.get(ENCODER) or ENGLISH.name)

    @property
    def is_distilled(self) -> bool:
        """Whether the items have vectors of the distilled encoder, which are in the space of the English one."""
        return bool(self._notes.get(DISTILLED))

    @property
    def encode_items(self) -> Callable[..., Vectors]:
        """The function that encodes the texts of items (see `TextEncoder.encode`)."""
        return encode_distilled if self.is_distilled else self.encoder.encode

    def set_encoder(self, encoder: TextEncoder, *, is_distilled: bool = False) -> None:
        """Set the encoder of all vectors. Vectors that are there must be computed again."""
        self._notes.put(encoder=encoder.name)
        if is_distilled:
            self._notes.put(distilled="yes")
        else:
            self._notes.remove(DISTILLED)

    def note_computed(self, name: str, count: int) -> None:
        """Note how many records of a collection have been re-encoded, if the store is being re-encoded."""
        if begun := self._notes.get(REENCODING):
            self._notes.put(reencoding=json.dumps({**json.loads(begun), name: count}))

    @property
    def meanings(self) -> dict[str, Meaning]:
        """The meanings that this store gives to event words of its own."""
        return dict(json.loads(self._notes.get(MEANINGS) or "{}"))

    def add_meanings(self, meanings: Mapping[str, Meaning]) -> None:
        """Give event words a meaning. An earlier meaning of the same word is replaced."""
        self._notes.put(meanings=json.dumps(self.meanings | dict(meanings), ensure_ascii=False))

    @property
    def zone(self) -> tzinfo:
        """The zone in which people live, whose hours and weekends are habits; UTC unless the log's was given."""
        return zone_of(self._notes.get(TIMEZONE) or "UTC")

    def set_zone(self, name: str) -> None:
        """Set the zone (see `zone_of`). It counts once the ingestion is finished."""
        self._notes.put(timezone=name)

    @property
    def min_people(self) -> int:
        """How many people must have met an item before it is shown to others; 1 if that was never set."""
        return int(self._notes.get(MIN_PEOPLE) or 1)

    def set_min_people(self, count: int) -> None:
        """Set how many people must have met an item before it is shown to others."""
        self._notes.put(min_people=str(count))

    def sensitive(self, user_id: str = "") -> tuple[str, ...]:
        """Return the topics that are marked as sensitive: for everybody, or by one person for themselves."""
        return self.marks.get(digest_of(user_id) if user_id else "", ())

    @property
    def marks(self) -> dict[str, tuple[str, ...]]:
        """All sensitive topics: those of everybody under "", those of a person under the digest of their id."""
        marks = self._notes.starting(SENSITIVE)
        return {name.removeprefix(SENSITIVE).strip(): tuple(json.loads(value)) for name, value in marks.items()}

    def set_sensitive(self, topics: Iterable[str], user_id: str = "") -> None:
        """Replace the topics that are marked as sensitive, for everybody or for one person."""
        if names := sorted(set(topics)):
            self._notes.put(**{_sensitive(user_id): json.dumps(names, ensure_ascii=False)})
        else:
            self._notes.remove(_sensitive(user_id))

    @property
    def image_encoder(self) -> str:
        """What encodes the images of items (see `open_image_encoder`); "" if nothing does."""
        return self._notes.get(IMAGE_ENCODER)

    def set_image_encoder(self, spec: str) -> None:
        """Set what encodes the images of items."""
        self._notes.put(image_encoder=spec)

    @property
    def is_audited(self) -> bool:
        """Whether what is shown is logged."""
        return bool(self._notes.get(AUDIT))

    def set_audited(self, is_audited: bool) -> None:
        """Set whether what is shown is logged. What was logged before stays."""
        if is_audited:
            self._notes.put(audit="yes")
        else:
            self._notes.remove(AUDIT)

    def note_source(self, name: str, command: str) -> str:
        """Note the command with which a source was read. Return the one of an earlier time if it was another one."""
        earlier = self._notes.command_of(name, command)
        return earlier if command and earlier != command else ""


def _sensitive(user_id: str) -> str:
    return f"{SENSITIVE} {digest_of(user_id)}" if user_id else SENSITIVE
