"""Make up a log in which everybody has things of their own, and some left personal data.

What is somebody's own has a name that no language has, such as `qlomirate`. So a text that holds it tells whose it is.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

from whimbrel.evals.studies.personal_pieces import KINDS, Piece, make_piece
from whimbrel.evals.studies.scale import FIRST_TIME, WORDS
from whimbrel.tools.sources.rows import Row, Source
from whimbrel.tools.timestamps import DAY_SECONDS

NAME = r"q(?:[bdfgklmnprtvz][aeiou]){4}"
"""The form of a name that is somebody's own."""
OWN = ("id", "item", "title", "topic", "field", "context", "note")
"""What everybody has of their own. Of items and titles, they have two."""
PLACES = ("wish", "chat", "memory", "title", "context")
"""Where personal data are planted: typed as a wish, in a conversation, in one that is resumed, in an event."""
SHELVES, MOST_SHARED, DAYS = 12, 16, 40
"""Shelves that all share, most events of a person with shared items, and the days of the log."""


@dataclass(frozen=True, eq=False)
class Planted:
    """A piece of personal data, and in which of PLACES it is."""

    piece: Piece
    place: str


@dataclass(frozen=True)
class Person:
    """Somebody of the log.

    Attributes:
        own: The names of what is theirs alone, keyed by the kinds of OWN.
        planted: What they left.
    """

    own: Mapping[str, Sequence[str]]
    planted: Sequence[Planted]

    @property
    def user_id(self) -> str:
        """The id in the log."""
        return f"{self.own['id'][0]}-1"

    @property
    def note(self) -> str:
        """What they type in a conversation."""
        return f"something with {self.own['note'][0]}"

    @property
    def situation(self) -> dict[str, str]:
        """Their own situation, in which the latest events were."""
        company = [left.piece.words for left in self.planted if left.place == "context"]
        return {"place": f"the {self.own['context'][0]} house", **({"company": ", ".join(company)} if company else {})}

    def typed(self, *places: str) -> list[str]:
        """Return the sentences with personal data that they type at these places."""
        return [left.piece.sentence for left in self.planted if left.place in places]


def make_people(users: int, planted: int, random: Random) -> list[Person]:
    """Make up people. The planted pieces go round among the people, the kinds and the places."""
    taken: set[str] = set()

    def name() -> str:
        while (
            made := "q" + "".join(random.choice("bdfgklmnprtvz") + random.choice("aeiou") for _ in range(4))
        ) in taken:
            pass
        taken.add(made)
        return made

    left = [
        Planted(make_piece(KINDS[number % len(KINDS)], random), PLACES[number % len(PLACES)])
        for number in range(planted)
    ]
    return [
        Person({kind: [name() for _ in range(1 + (kind in ("item", "title")))] for kind in OWN}, left[number::users])
        for number in range(users)
    ]


def personal_source(people: Sequence[Person], random: Random) -> Source:
    """Return the log of these people as a source that can be ingested."""
    return Source("people", _rows(people, random))


def _rows(people: Sequence[Person], random: Random) -> Iterator[Row]:
    first, second = (line.split() for line in WORDS)
    for person in people:
        shelves, events = random.sample(range(SHELVES), 3), list[dict[str, Any]]()
        for _ in range(random.randint(2, MOST_SHARED)):
            # Some items are met by many people and others by few, whose other events weigh more then.
            rank = int((2 + len(people) / SHELVES) * random.random() ** 2)
            item = random.choice(shelves) + SHELVES * rank
            shelf = second[item % SHELVES]
            event = {
                "item_id": f"i{item}",
                "title": f"{first[item % len(first)]} {shelf} {item}",
                "topics": [f"{shelf}s"],
            }
            events.append(event | {"context": {"place": random.choice(["home", "work"])}, "fields": {"maker": "Oak"}})
        facts = {"topics": [f"{person.own['topic'][0]} craft"], "fields": {"maker": f"{person.own['field'][0]} works"}}
        facts |= {"context": person.situation}
        titles = [f"{title} harp" for title in person.own["title"]] + person.typed("title")
        ids = [*person.own["item"], *(f"{person.own['item'][0]}-{number}" for number in range(len(titles)))]
        events += [facts | {"title": title, "item_id": ids[number]} for number, title in enumerate(titles)]
        times = sorted(FIRST_TIME + random.uniform(0, DAYS * DAY_SECONDS) for _ in events)
        for time, event in zip(times, events, strict=True):
            yield Row("people", int(time), event | {"user_id": person.user_id, "time": time})
