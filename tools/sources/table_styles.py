"""Guess how the columns of a table write their values: times, decimal marks, and several topics in one text."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

from whimbrel.tools.errors import DataError
from whimbrel.tools.sources.cells import SEVERAL, decimal_mark, is_absent, listed, unescaped
from whimbrel.tools.sources.columns import Columns
from whimbrel.tools.sources.dates import is_local
from whimbrel.tools.sources.raw import Table
from whimbrel.tools.sources.rows import Styles
from whimbrel.tools.sources.table_options import TableOptions
from whimbrel.tools.sources.times import TimeStyle, day_comes_first, guessed_style, style_given
from whimbrel.tools.timestamps import zone_of

LONGEST_SEARCHED = 300  # characters of topics that are searched for separators
LEAST_SEVERAL = 0.2
"""If at least this share of the topic texts has a separator in it, a warning is given."""
_AMBIGUOUS_DATE = re.compile(r"^\s*\d{1,2}\s?[-/.]\s?\d{1,2}\s?[-/.]\s?(?:\d{4}|\d{2})(?=\D|$)")
_MONTH_FIRST_ZONES = re.compile(
    r"US/|America/(?:New_York|Chicago|Denver|Los_Angeles|Phoenix|Anchorage|Detroit|Boise|Indiana|Kentucky)"
)
"""Zones of the United States, which write the month first."""


def joined(name: str, first: Sequence[str | None], second: Sequence[str | None]) -> list[str | None]:
    """Return two columns of one field as one: a date and its clock, or a category and its subcategory."""
    mark = " " if name == "time" else "|"
    pairs = zip(first, second, strict=True)
    return [a if is_absent(b) else b if is_absent(a) else f"{a}{mark}{b}" for a, b in pairs]


def table_styles(
    columns: Columns,
    sample: Mapping[str, Sequence[str | None]],
    options: TableOptions,
    tables: Sequence[tuple[str, Table]],
) -> tuple[Styles, list[str]]:
    """Return how the columns write their values, and what a person should check."""

    def texts(name: str) -> list[str]:
        parts = [sample.get(column, ()) for column, field in columns.mapped if field == name]
        if len(parts) > 1:
            parts = [joined(name, parts[0], parts[1])]
        return [text for column in parts for text in column if text is not None and not is_absent(text)]

    mark = decimal_mark(texts("price"))
    time, warnings = _time_style(columns, texts("time"), options, tables, comma=mark == ",")
    topics = {unescaped(text) for text in texts("topics") if listed(text) is None}
    several = {text for text in topics if SEVERAL.search(text[:LONGEST_SEARCHED])}
    if several and not options.separators and len(several) >= LEAST_SEVERAL * len(topics):
        separators = Counter((SEVERAL.search(text[:LONGEST_SEARCHED]) or [""])[0].strip() for text in several)
        separator = separators.most_common(1)[0][0]
        example = min(text for text in several if separator in text)
        warnings.append(
            f"topics such as {example[:60]!r} look like several: to separate them, give --split '{separator}'"
        )
    return Styles(time, mark, options.separators), warnings


def _time_style(
    columns: Columns, texts: Sequence[str], options: TableOptions, tables: Sequence[tuple[str, Table]], *, comma: bool
) -> tuple[TimeStyle, list[str]]:
    zone = zone_of(options.timezone) if options.timezone else zone_of("UTC")
    style = style_given(options.time_format, zone) if options.time_format else None
    if style is not None:
        return style, []
    day_first = {"day-first": True, "month-first": False}.get(options.time_format)
    warnings: list[str] = []
    dates = [text for text in texts if _AMBIGUOUS_DATE.match(text)]
    if day_first is None and len(dates) * 2 > len(texts) > 0:
        # The first rows of a log are of one day or month, so that they seldom settle the order. The whole log does.
        names = [column for column, field in columns.mapped if field == "time"][:1]
        day_first = day_comes_first(_column(tables, names[0]))
        if day_first is None:
            day_first = (
                comma
                or "/" not in dates[0]
                or (bool(options.timezone) and not _MONTH_FIRST_ZONES.match(options.timezone))
            )
            order = "day" if day_first else "month"
            warnings.append(
                f"times such as {dates[0][:20]!r} were read with the {order} first, which no value settles: "
                f"to change that, give --time-format {'month' if day_first else 'day'}-first"
            )
    try:
        style = guessed_style(texts, zone, day_first, fixed=bool(options.time_format))
    except ValueError as error:
        raise DataError(f"{tables[0][0]!r}: {error}") from None
    if not options.timezone and texts and is_local(texts[0]):
        warnings.append(
            "times without a zone were read as UTC. If they are local, ingest into a new store with --timezone, as in "
            "Europe/Berlin"
        )
    return style, warnings


def _column(tables: Sequence[tuple[str, Table]], name: str) -> Iterator[str]:
    for _, table in tables:
        for batch in table.batches():
            yield from (text for text in batch.columns.get(name, ()) if text)
