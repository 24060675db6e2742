"""Read MovieLens in three forms: 100K (`u.data`), 1M (`ratings.dat`, also MovieTweetings), latest (`ratings.csv`)."""

import csv
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from whimbrel.tools.errors import DataError
from whimbrel.tools.sources.rows import Row, Source

_FILMS = {"u.data": "u.item", "ratings.dat": "movies.dat", "ratings.csv": "movies.csv"}


def read_movielens(folder: Path) -> Source:
    """Read a MovieLens folder: films first, then ratings.

    Overviews (`item_features.csv`) and posters (`posters/`, `posters.zip`) are read if the folder holds them.

    Raises:
        DataError: The ratings or the films are missing.
    """
    ratings = next((name for name in _FILMS if (folder / name).is_file()), None)
    if ratings is None:
        raise DataError(f"{str(folder)!r} holds no MovieLens log: expected one of {', '.join(_FILMS)}")
    catalogue = _FILMS[ratings]
    if not (folder / catalogue).is_file():
        raise DataError(f"{str(folder)!r} holds {ratings} but no {catalogue}: films without titles cannot be ingested")
    total = (folder / catalogue).stat().st_size + (folder / ratings).stat().st_size
    return Source(folder.resolve().name, _rows(folder, catalogue, ratings), total, folder=folder)


def _rows(folder: Path, catalogue: str, ratings: str) -> Iterator[Row]:
    films = _genre_films if catalogue == "u.item" else _named_films
    position = 0
    for row in films(folder, catalogue):
        position = row.position
        yield row
    names = ("user_id", "item_id", "rating", "time")
    for row in _records(folder / ratings, names, skip_header=ratings.endswith(".csv")):
        fields = dict(row.fields, event="rating") if not row.problem else row.fields
        yield Row(row.file, row.line, fields, position + row.position, row.problem)


def _genre_films(folder: Path, catalogue: str) -> Iterator[Row]:
    """Yield the films of 100K. Their genres are 19 flags, and their release is a date."""
    genres = [row.fields["genre"] for row in _records(folder / "u.genre", ("genre", "number")) if not row.problem]
    names = ("item_id", "title", "release", "video", "address", *genres)
    texts, posters = _overviews(folder), _posters(folder)  # MovieLens itself has neither
    for row in _records(folder / catalogue, names):
        fields = row.fields
        if row.problem:
            yield row
            continue
        item_id = fields["item_id"]
        film = {
            "item_id": item_id,
            "title": fields["title"],
            "topics": [genre for genre in genres if fields[genre] == "1" and genre != "unknown"],
            "text": texts.get(item_id, ""),
            "image": posters.format(item_id) if posters else None,
            "time": _release(fields["release"]),
            "fields": _year(fields["title"]),
        }
        yield Row(row.file, row.line, _without_empty(film), row.position, catalogue=True)


def _named_films(folder: Path, catalogue: str) -> Iterator[Row]:
    """Yield the films of 1M and latest. Their genres are names separated by `|`."""
    for row in _records(folder / catalogue, ("item_id", "title", "topics"), skip_header=catalogue.endswith(".csv")):
        if row.problem:
            yield row
            continue
        topics = "" if row.fields["topics"] == "(no genres listed)" else row.fields["topics"]
        film = dict(row.fields, topics=topics, fields=_year(row.fields["title"]))
        yield Row(row.file, row.line, _without_empty(film), row.position, catalogue=True)


def _year(title: str) -> dict[str, int]:
    """Return the year that a title ends with, as in `Heat (1995)`."""
    year = re.search(r"\((\d{4})\)\s*$", title)
    return {"year": int(year[1])} if year else {}


def _records(path: Path, names: tuple[str, ...], *, skip_header: bool = False) -> Iterator[Row]:
    """Yield the lines of a file as rows. The cells of a row are keyed by column name."""
    name, position, split = path.name, 0, _splitter(path)
    try:
        with path.open("rb") as file:
            for line, data in enumerate(file, start=1):
                position += len(data)
                text = _decoded(data).rstrip("\r\n")
                if not text or (skip_header and line == 1):  # only the CSV files of latest have a header
                    continue
                try:
                    cells = split(text)
                except csv.Error as error:
                    yield Row(name, line, {"row": text[:1000]}, position, f"not CSV: {error}")
                    continue
                if len(cells) != len(names):
                    yield Row(name, line, {"row": text}, position, f"{len(cells)} values, expected {len(names)}")
                    continue
                yield Row(name, line, dict(zip(names, cells, strict=True)), position)
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error


def _splitter(path: Path) -> Callable[[str], list[str]]:
    """Return the function that splits a line into cells: at `::`, tab or `|`, or by the rules of CSV."""
    if path.suffix == ".csv":
        return lambda text: next(csv.reader([text]), [])
    separator = "::" if path.suffix == ".dat" else "\t" if path.name == "u.data" else "|"
    return lambda text: text.split(separator)


def _decoded(data: bytes) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError:
        return data.decode("latin-1")  # 100K and 1M are encoded in Latin-1, later data sets in UTF-8


def _release(text: str) -> float | None:
    """Return the time of a date such as `01-Jan-1995`; None if the text is not a date."""
    try:
        return datetime.strptime(text, "%d-%b-%Y").replace(tzinfo=UTC).timestamp()
    except ValueError:
        return None


def _overviews(folder: Path) -> dict[str, str]:
    """Return the tagline and overview of each film, keyed by item id."""
    path = folder / "item_features.csv"
    if not path.is_file():
        return {}
    with path.open(encoding="utf-8", errors="replace", newline="") as file, suppress(csv.Error):
        return {
            row["movie_id"]: " ".join(part for part in (row.get("tagline"), row.get("overview")) if part)
            for row in csv.DictReader(file)
            if row.get("movie_id")
        }
    return {}


def _posters(folder: Path) -> str:
    """Return a pattern of image paths in which `{}` stands for the item id; "" if there are no posters.

    The pattern names a file, or a member of an archive as `ARCHIVE.zip!MEMBER`.
    """
    if (folder / "posters").is_dir():
        return str(folder.resolve() / "posters" / "{}.jpg")
    if (folder / "posters.zip").is_file():
        return f"{folder.resolve() / 'posters.zip'}!posters/{{}}.jpg"
    return ""


def _without_empty(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if value not in (None, "", {})}
