"""MIND, the log of Microsoft News (Wu et al., 2020): `news.tsv` and `behaviors.tsv`, plain or gzipped."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from whimbrel.tools.errors import DataError
from whimbrel.tools.sources.lines import Line, read_lines
from whimbrel.tools.sources.rows import Row, Source
from whimbrel.tools.timestamps import parse_time

_FILES = ("news.tsv", "behaviors.tsv")
_NEWS = ("news_id", "category", "subcategory", "title", "abstract", "url", "title_entities", "abstract_entities")
_BEHAVIORS = ("impression_id", "user_id", "time", "history", "impressions")


class Impression(NamedTuple):
    """A list of news shown to a user: the news they clicked, and their history of earlier clicks, oldest first."""

    user_id: str
    time: float
    history: list[str]
    clicked: list[str]


def read_mind(folder: Path) -> Source:
    """Read the folder of a MIND data set: news first, then clicks.

    A click has the time of its impression. The clicks of a history have no times in the files. They are placed one
    second apart, and the last one is a second before the user's earliest impression. Their order is right, but their
    hours and the gaps between them mean nothing.

    Raises:
        DataError: A file of the data set is missing.
    """
    news, behaviors = (_file(folder, name) for name in _FILES)
    return Source(folder.resolve().name, _rows(news, behaviors), news.stat().st_size + behaviors.stat().st_size)


def is_mind(folder: Path) -> bool:
    """Return whether a folder holds both files of a MIND data set."""
    return all(any((folder / f"{name}{end}").is_file() for end in ("", ".gz")) for name in _FILES)


def _file(folder: Path, name: str) -> Path:
    file = next((path for end in ("", ".gz") if (path := folder / f"{name}{end}").is_file()), None)
    if file is None:
        raise DataError(f"{str(folder)!r} holds no {name}: MIND is a folder with {' and '.join(_FILES)} (.gz too)")
    return file


def _rows(news: Path, behaviors: Path) -> Iterator[Row]:
    for line in read_lines(news):
        try:
            cells = _cells(line, _NEWS)
        except ValueError as error:
            yield _rejected(news, line, line.position, error)
            continue
        item = {
            "item_id": cells["news_id"],
            "title": cells["title"],
            "topics": [cells["category"], cells["subcategory"]],
            "text": cells["abstract"],
        }
        yield Row(news.name, line.number, item, line.position, catalogue=True)
    start = news.stat().st_size
    earliest = _earliest(behaviors)  # read in a first pass: a history belongs before the earliest impression
    for line in read_lines(behaviors):
        position = start + line.position
        try:
            impression = _impression(line)
        except ValueError as error:
            yield _rejected(behaviors, line, position, error)
            continue
        user_id, time, history, clicked = impression
        if earliest.get(user_id) == time:
            del earliest[user_id]  # every impression of a user repeats the history, so it is used once
            for seconds, news_id in zip(range(len(history), 0, -1), history, strict=True):
                click = {"user_id": user_id, "item_id": news_id, "time": time - seconds, "event": "click"}
                yield Row(behaviors.name, line.number, click, position)
        for news_id in clicked:
            click = {"user_id": user_id, "item_id": news_id, "time": time, "event": "click"}
            yield Row(behaviors.name, line.number, click, position)


def _earliest(behaviors: Path) -> dict[str, float]:
    """Return the time of each user's earliest impression. The lines of the file are not in order of time."""
    earliest: dict[str, float] = {}
    for line in read_lines(behaviors):
        try:
            impression = _impression(line)
        except ValueError:
            continue
        earliest[impression.user_id] = min(impression.time, earliest.get(impression.user_id, impression.time))
    return earliest


def _impression(line: Line) -> Impression:
    """Parse one line of `behaviors.tsv`. News without a label, as in the test set, do not count as clicks.

    Raises:
        ValueError: The line does not have the expected form.
    """
    cells = _cells(line, _BEHAVIORS)
    try:
        time = parse_time(datetime.strptime(cells["time"], "%m/%d/%Y %I:%M:%S %p"))
    except ValueError:
        raise ValueError(f"time {cells['time'][:40]!r}: expected one like 11/11/2019 9:05:58 AM") from None
    clicked = []
    for shown in cells["impressions"].split():
        news_id, dash, label = shown.rpartition("-")
        # The id may contain a dash, so the label is what follows the last dash.
        if dash and not (news_id and label in ("0", "1")):
            raise ValueError(f"impressions: {shown[:40]!r} ends in neither -0 nor -1")
        if dash and label == "1":
            clicked.append(news_id)
    return Impression(cells["user_id"], time, cells["history"].split(), clicked)


def _cells(line: Line, names: tuple[str, ...]) -> dict[str, str]:
    if line.problem:
        raise ValueError(line.problem)
    cells = [cell.strip() for cell in line.text.split("\t")]
    if len(cells) != len(names):
        raise ValueError(f"{len(cells)} values, expected {len(names)}")
    return dict(zip(names, cells, strict=True))


def _rejected(path: Path, line: Line, position: int, error: ValueError) -> Row:
    return Row(path.name, line.number, {"line": line.text[:1000]}, position, str(error))
