"""Logs of research that are in no format of `ingest`: Last.fm's tags, Frappe's uses of apps in labelled situations."""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from whimbrel.evals.data.logs import Log
from whimbrel.tools.errors import DataError
from whimbrel.tools.records import Interaction, Item

LASTFM, FRAPPE = "user_taggedartists.dat", "frappe.csv"
EARLIEST_YEAR = 2005
"""Last.fm's tags begin then; earlier dates are errors."""
SITUATIONS = ("daytime", "weekday", "isweekend", "homework", "weather", "country")


def is_lastfm(folder: Path) -> bool:
    """Whether a folder is HetRec 2011's Last.fm (Cantador et al.)."""
    return (folder / LASTFM).is_file()


def is_frappe(folder: Path) -> bool:
    """Whether a folder is Frappe (Baltrunas et al., 2015)."""
    return (folder / FRAPPE).is_file()


def read_lastfm(folder: Path) -> list[Interaction]:
    """One event each time that somebody tags an artist: its topics are the tags given.

    Raises:
        DataError: a file is missing or of another form.
    """
    with _sound(folder):
        return _lastfm(folder)


def _lastfm(folder: Path) -> list[Interaction]:
    names = {row["tagID"]: row["tagValue"] for row in _rows(folder / "tags.dat")}
    artists = {row["id"]: row["name"] for row in _rows(folder / "artists.dat")}
    given: dict[tuple[float, str, str], list[str]] = {}
    for name in (LASTFM, "user_taggedartists_2.dat"):
        for row in _rows(folder / name) if (folder / name).is_file() else ():
            if not row["year"] or int(row["year"]) < EARLIEST_YEAR:
                continue
            day = datetime(int(row["year"]), int(row["month"]), int(row["day"]), tzinfo=UTC)
            key = (day.timestamp(), row["userID"], row["artistID"])
            given.setdefault(key, []).append(names.get(row["tagID"], row["tagID"]))
    return [
        Interaction(
            user_id=user,
            item_id=artist,
            title=artists.get(artist, artist),
            topics=tuple(tags[:32]),
            time=time,
            event="tag",
        )
        for (time, user, artist), tags in sorted(given.items())
    ]


def read_artists(folder: Path) -> Log:
    """The same as a log of artists who are known by their names alone.

    Raises:
        DataError: a file is missing or of another form.
    """
    return log_of([event.model_copy(update={"topics": ()}) for event in read_lastfm(folder)])


def read_frappe(folder: Path) -> list[Interaction]:
    """One event a row, in no order: all have the time 0. An app's topic is its category.

    Raises:
        DataError: a file is missing or of another form.
    """
    with _sound(folder):
        return _frappe(folder)


def _frappe(folder: Path) -> list[Interaction]:
    apps = {row["item"]: row for row in _rows(folder / "meta.csv")}
    found = []
    for row in _rows(folder / FRAPPE):
        app = apps.get(row["item"], {})
        category = app.get("category", "unknown")
        if category != "unknown":
            found.append(
                Interaction(
                    user_id=row["user"],
                    item_id=row["item"],
                    title=app.get("name") or row["item"],
                    topics=(category,),
                    time=0.0,
                    event="use",
                    context={key: row[key] for key in SITUATIONS if row.get(key, "unknown") != "unknown"},
                )
            )
    return found


@contextmanager
def _sound(folder: Path) -> Iterator[None]:
    """Tells what is wrong with the files of a folder."""
    try:
        yield
    except (KeyError, ValueError, csv.Error) as error:
        raise DataError(
            f"{str(folder)!r} is of another form than expected ({type(error).__name__}: {error})"
        ) from error


def log_of(events: Sequence[Interaction]) -> Log:
    """Events in order as a log. Two events of one item with other topics are of two items there."""
    items: dict[tuple[str, tuple[str, ...]], int] = {}
    users: dict[str, int] = {}
    rows = [
        (users.setdefault(event.user_id, len(users)), items.setdefault((event.item_id, event.topics), len(items)))
        for event in events
    ]
    titles = {(event.item_id, event.topics): event.title for event in events}
    if not rows:
        raise DataError("the log holds no event")
    user, item = np.array(rows, dtype=np.int64).reshape(-1, 2).T
    return Log(
        items=[Item(item_id=f"{key[0]} {number}", title=titles[key], topics=key[1]) for key, number in items.items()],
        user_ids=list(users),
        user=user,
        item=item,
        time=np.array([event.time for event in events], dtype=np.float64),
        rejected=0,
    )


def _rows(path: Path) -> Iterator[dict[str, str]]:
    """Rows of a table with tabs between columns; those with fewer columns than the head are left out."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                if None not in row.values():
                    yield {key.strip("\ufeff"): value for key, value in row.items() if key}
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
