"""How an interest moved, in a terminal: a line a period, and the present shift."""

from datetime import UTC, datetime

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from whimbrel.agent.display.colours import COLOURS, LETTERS, MARKS, OTHERS, ink
from whimbrel.agent.display.terminal import moment, shift_lines
from whimbrel.agent.schema.results import Shift
from whimbrel.agent.shift.timeline import Period, Timeline
from whimbrel.agent.shift.topic_history import RECENT_EVENTS

LEAST_BAR, MOST_BAR, LEAST_MARK = 16, 46, 26
"""Columns of a bar, and those that a shift takes at least."""
SHORT_GAP = 2
"""Empty periods in a row that are shown each on a line; more of them share one."""
DATES = {"month": "%b %Y", "quarter": "%b %Y", "year": "%Y", "decade": "%Y", "session": "%-d %b %Y %H:%M"}
DATES |= dict.fromkeys(("minute", "5 minutes", "15 minutes", "hour", "6 hours"), "%-d %b %H:%M")
EXPECTED = 5
"""Topics of the next event that are shown."""


def timeline(found: Timeline, *, width: int, coloured: bool) -> RenderableType:
    """Made for a terminal of `width` columns: what letters tell stands without colours too."""
    parts: list[RenderableType] = []
    if found.periods:
        leading = found.leading()
        parts += [
            Text(heading(found), style="bold"),
            _legend(leading, found),
            _lines(found, list(leading), width, coloured),
        ]
    parts.append(
        Panel(
            shift_lines(found.shift),
            title=f"Interest shift as of {moment(found.at)} UTC: {found.shift.kind}",
            title_align="left",
        )
    )
    if found.topics:
        parts.append(Text(_expected(found)))
    if found.outlook:
        told = [("", found.outlook.topics), ("; new: ", found.outlook.new)]
        words = "".join(
            before + ", ".join(f"{topic} {share:.0%}" for topic, share in list(topics.items())[:EXPECTED])
            for before, topics in told
            if topics
        )
        parts.append(Text(f"The next {found.outlook.days} days: {words or 'nothing that can be told'}"))
    parts += [Text(f"Note: {warning}", style="yellow") for warning in found.warnings]
    return Group(*parts)


def _expected(found: Timeline) -> str:
    """The likeliest topics of the next event, and how probably it bears none of the latest ones."""
    likeliest = ", ".join(f"{topic} {share:.0%}" for topic, share in list(found.topics.items())[:EXPECTED])
    moves = (
        ""
        if found.p_topic_change is None
        else f"; {found.p_topic_change:.0%} that it bears no topic of the last {RECENT_EVENTS} events"
    )
    return f"The next event: {likeliest}{moves}"


def heading(found: Timeline) -> str:
    """Who, from when to when, in what periods."""
    first, last = dated(found.periods[0].start, "day"), dated(found.periods[-1].end - 1, "day")
    when = first if first == last else f"{first} to {last}"
    events = f"{found.events:,} event{'s' if found.events != 1 else ''}"
    steps = f"in steps of {found.unit}" if found.unit[0].isdigit() else f"by {found.unit}"
    return f"User {found.user_id}: {events}, {when}, {steps}"


def dated(time: float, unit: str) -> str:
    """A period's beginning, as exact as its length asks for."""
    return f"{datetime.fromtimestamp(time, tz=UTC):{DATES.get(unit, '%-d %b %Y')}}"


def towards(shift: Shift) -> str:
    """`temporal 97%`; `none` alone where nothing could be told."""
    return f"{shift.kind} {percent(shift.confidence)}%" if shift.confidence else shift.kind


def percent(share: float) -> int:
    """Whole percents, cut: 99.5% is not all, but a sum of rounded shares may miss its last digit."""
    return int(share * 100 + 1e-3)


def _legend(leading: dict[str, float], found: Timeline) -> RenderableType:
    grid = Table.grid(padding=(0, 2), expand=False)
    for _ in range(2):
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    entries = [
        Text.assemble((f" {letter} ", f"{ink(colour)} on {colour}"), f" {percent(share):>2}% {topic}")
        for letter, colour, (topic, share) in zip(LETTERS, COLOURS, leading.items(), strict=False)
    ]
    if (others := found.others()) > 0:
        entries.append(Text.assemble((" · ", f"{ink(OTHERS)} on {OTHERS}"), f" {percent(others):>2}% others"))
    if not entries:
        return Text("These events bear no topics.", style="dim")
    for row in range(0, len(entries), 2):
        grid.add_row(*entries[row : row + 2])
    return grid


def _lines(found: Timeline, leading: list[str], width: int, coloured: bool) -> Table:
    dates = [dated(period.start, found.unit) for period in found.periods]
    date, events = max(map(len, [*dates, found.unit])), max(len("events"), len(f"{found.events:,}"))
    bar = min(max(width - date - events - LEAST_MARK - 3, LEAST_BAR), MOST_BAR)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(found.unit, justify="right", no_wrap=True, width=date)
    table.add_column("events", justify="right", no_wrap=True, width=events)
    table.add_column("topics", width=bar, no_wrap=True)
    table.add_column("shift predicted then", width=max(width - date - events - bar - 3, 1), no_wrap=True)
    empty: list[Period] = []
    for period in (*found.periods, None):
        if period and not period.events:
            empty.append(period)
            continue
        if len(empty) > SHORT_GAP:
            table.add_row("...", "0", Text(f"{len(empty)} without events", style="dim"), "")
        else:
            for gap in empty:
                table.add_row(dated(gap.start, found.unit), "0", "", "")
        empty = []
        if period:
            mark = _mark(period, leading) if period.shifts else Text("")
            table.add_row(
                dated(period.start, found.unit), f"{period.events:,}", _bar(period, leading, bar, coloured), mark
            )
    return table


def _bar(period: Period, leading: list[str], columns: int, coloured: bool) -> Text:
    """Each topic's columns begin with its letter and, where there is room, its share."""
    shares = [period.topics.get(topic, 0.0) for topic in leading]
    shares.append(max(sum(period.topics.values()) - sum(shares), 0.0))
    edges = [round(columns * min(sum(shares[: n + 1]), 1.0)) for n in range(len(shares))]
    bar = Text()
    for n, (share, start, end) in enumerate(zip(shares, [0, *edges], edges, strict=False)):
        letter, colour = (LETTERS[n], COLOURS[n]) if n < len(leading) else ("·", OTHERS)
        told = f"{letter}{percent(share)}%"
        words = told if len(told) <= end - start else letter
        filling = " " if coloured else "·" if letter == "·" else "-"
        bar.append(words.ljust(end - start, filling)[: end - start], f"{ink(colour)} on {colour}")
    return bar


def _mark(period: Period, leading: list[str]) -> Text:
    letters = dict(zip(leading, LETTERS, strict=False))
    named = ", ".join(letters.get(topic, topic) for topic in period.shift.to_topics)
    return Text.assemble(
        (f"{MARKS[period.shift.kind]} {towards(period.shift)}", "bold"), f" to {named}" if named else ""
    )
