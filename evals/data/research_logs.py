"""Read research data sets that `ingest` does not read.

They are Last.fm (tags that users give to artists) and Frappe (uses of apps in labelled situations).
"""

import csv
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import numpy as np

from whimbrel.evals.data.logs import Log
from whimbrel.tools.errors import DataError
from whimbrel.tools.records import MOST_TOPICS, Interaction, Item

LASTFM, FRAPPE = "user_taggedartists.dat", "frappe.csv"
EARLIEST_YEAR = 2005
"""The tags of Last.fm begin in this year. Earlier dates in the file are errors."""
SITUATION_COLUMNS = ("daytime", "weekday", "isweekend", "homework", "weather", "country")


def is_lastfm(folder: Path) -> bool:
    """Return whether a folder holds the Last.fm data of HetRec 2011 (Cantador et al.)."""
    return (folder / LASTFM).is_file()


def is_frappe(folder: Path) -> bool:
    """Return whether a folder holds the Frappe data (Baltrunas et al., 2015)."""
    return (folder / FRAPPE).is_file()


def read_lastfm(folder: Path) -> list[Interaction]:
    """Read one event for each user, artist and day with a tag. The topics of the event are the tags of that day.

    Raises:
        DataError: a file is missing or of another form.
    """
    with _refusing_other_forms(folder):
        return _lastfm(folder)


def _lastfm(folder: Path) -> list[Interaction]:
    names = {row["tagID"]: row["tagValue"] for row in _rows(folder / "tags.dat")}
    artists = {row["id"]: row["name"] for row in _rows(folder / "artists.dat")}
    given: dict[tuple[float, str, str], list[str]] = {}
    for name in (LASTFM, "user_taggedartists_2.dat"):
        for row in _rows(folder / name) if (folder / name).is_file() else ():
            if not row["year"] or int(row["year"]) < EARLIEST_YEAR:
                continue
            # The file holds dates without hours, so all tags of a user for an artist on a day are one event.
            day = datetime(int(row["year"]), int(row["month"]), int(row["day"]), tzinfo=UTC)
            key = (day.timestamp(), row["userID"], row["artistID"])
            given.setdefault(key, []).append(names.get(row["tagID"], row["tagID"]))
    return [
        Interaction(
            user_id=user,
            item_id=artist,
            title=artists.get(artist, artist),
            topics=tuple(tags[:MOST_TOPICS]),
            time=time,
            event="tag",
        )
        for (time, user, artist), tags in sorted(given.items())
    ]


def read_artists(folder: Path) -> Log:
    """Read the same events as a log whose artists have only names, no topics.

    Raises:
        DataError: a file is missing or of another form.
    """
    return log_of([event.model_copy(update={"topics": ()}) for event in read_lastfm(folder)])


def read_frappe(folder: Path) -> list[Interaction]:
    """Read one event for each row. The topic of an app is its category.

    The data set has no times, so every event has the time 0.

    Raises:
        DataError: a file is missing or of another form.
    """
    with _refusing_other_forms(folder):
        return _frappe(folder)


def _frappe(folder: Path) -> list[Interaction]:
    apps = {row["item"]: row for row in _rows(folder / "meta.csv")}
    events = []
    for row in _rows(folder / FRAPPE):
        app = apps.get(row["item"], {})
        category = app.get("category", "unknown")
        # An app without a category has no topic to predict.
        if category != "unknown":
            events.append(
                Interaction(
                    user_id=row["user"],
                    item_id=row["item"],
                    title=app.get("name") or row["item"],
                    topics=(category,),
                    time=0.0,
                    event="use",
                    context={key: row[key] for key in SITUATION_COLUMNS if row.get(key, "unknown") != "unknown"},
                )
            )
    return events


@contextmanager
def _refusing_other_forms(folder: Path) -> Iterator[None]:
    """Turn parsing errors into a DataError that names the folder."""
    try:
        yield
    except (KeyError, ValueError, csv.Error) as error:
        raise DataError(f"{str(folder)!r} is not of the expected form ({type(error).__name__}: {error})") from error


def log_of(events: Sequence[Interaction]) -> Log:
    """Return events as a log, in the same order.

    In a log each item has one set of topics. If events of one item differ in topics, they become different items.

    Raises:
        DataError: there are no events.
    """
    items: dict[tuple[str, tuple[str, ...]], int] = {}
    users: dict[str, int] = {}
    rows = [
        (users.setdefault(event.user_id, len(users)), items.setdefault((event.item_id, event.topics), len(items)))
        for event in events
    ]
    titles = {(event.item_id, event.topics): event.title for event in events}
    if not rows:
        raise DataError("the log has no event")
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
    """Return the rows of a tab-separated table. Rows with fewer columns than the header are left out."""
    try:
        with path.open(encoding="utf-8", errors="replace", newline="") as file:
            for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE):
                # csv fills the missing columns of a short row with None.
                if None not in row.values():
                    # The name of the first column may begin with a byte order mark.
                    yield {key.strip("\ufeff"): value for key, value in row.items() if key}
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
