"""Read what is known of people, such as gender and age, from a table."""

import csv
from pathlib import Path

from whimbrel.tools.clean import clean_text
from whimbrel.tools.errors import DataError


def read_people(path: Path) -> dict[str, dict[str, str]]:
    """Read a CSV file with a header. Its first column holds user ids, the others facts.

    Returns:
        The facts by name, keyed by user id.

    Raises:
        DataError: the file cannot be read, or has fewer than two columns.
    """
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            first = file.readline()
            separator = max(",;\t|", key=first.count)
            file.seek(0)
            head, *rows = [row for row in csv.reader(file, delimiter=separator) if row]
    except (OSError, UnicodeDecodeError, csv.Error, ValueError) as error:
        raise DataError(f"{str(path)!r} is no table in CSV with a header: {error}") from error
    if len(head) < 2:
        raise DataError(f"{str(path)!r} needs a column of user ids and a column of facts about them")
    names = [str(clean_text(name)) for name in head[1:]]
    return {
        row[0].strip(): {name: str(clean_text(value)) for name, value in zip(names, row[1:], strict=False)}
        for row in rows
    }
