"""Show a timeline in a terminal: a line for each period, then the present shift."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, tzinfo

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from whimbrel.agent.display.recommendations import shift_panel, shift_title
from whimbrel.agent.display.terminal import View
from whimbrel.agent.marks import COLOURS, LETTERS, MARKS, OTHERS, ink, percent
from whimbrel.agent.schema.results import Shift
from whimbrel.agent.shift.timeline import Period, Timeline
from whimbrel.agent.shift.topic_history import RECENT_EVENTS
from whimbrel.prompts.phrases import Language

LEAST_BAR, MOST_BAR = 16, 46
"""Least and most columns of a bar of topics."""
LEAST_MARK = 26
"""Least columns of a predicted shift."""
SHORT_GAP = 2
"""Up to this number of empty periods in a row get a line each. More empty periods share one line."""
DATES = {"month": "%b %Y", "quarter": "%b %Y", "year": "%Y", "decade": "%Y", "session": "%-d %b %Y %H:%M"}
DATES |= dict.fromkeys(("minute", "5 minutes", "15 minutes", "hour", "6 hours"), "%-d %b %H:%M")
"""The format of a period's beginning in a column or on an axis, keyed by unit. It is short, because space is scarce."""
CHINESE_DATES = {"month": "%Y-%m", "quarter": "%Y-%m", "year": "%Y", "decade": "%Y", "session": "%Y-%m-%d %H:%M"}
CHINESE_DATES |= dict.fromkeys(("minute", "5 minutes", "15 minutes", "hour", "6 hours"), "%m-%d %H:%M")
EXPECTED = 5
"""Most topics of the next event that are shown."""


def timeline(shown: Timeline, *, width: int, coloured: bool, view: View | None = None) -> RenderableType:
    """Show a timeline in a terminal of `width` columns. Without colours, letters still distinguish the topics."""
    view = view or View()
    parts: list[RenderableType] = []
    if shown.periods:
        leading = shown.leading()
        parts += [
            Text(heading(shown, view), style="bold"),
            _legend(leading, shown, view),
            _lines(shown, list(leading), width, coloured, view),
        ]
    parts.append(shift_panel(shown.shift, shift_title(shown.shift, view, at=shown.at), view))
    parts += [Text(sentence) for sentence in (*_next_event(shown, view), *_outlook(shown, view))]
    return Group(*parts, *view.notes(shown.warnings))


def _next_event(shown: Timeline, view: View) -> Iterator[str]:
    """Yield a sentence about the next event: its likeliest topics, and whether it leaves the latest topics."""
    if not shown.topics:
        return
    say = view.say.timeline
    sentences = [say.next_event.format(topics=_shares(shown.topics, view))]
    if shown.p_topic_change is not None:
        count = min(RECENT_EVENTS, shown.events)
        sentences.append(say.leaves.format(count=count, share=f"{shown.p_topic_change:.0%}"))
    yield view.say.writing.sentence_gap.join(sentences)


def _outlook(shown: Timeline, view: View) -> Iterator[str]:
    """Yield a sentence about the topics of the next days, if the store was fitted."""
    if shown.outlook is None:
        return
    say = view.say.timeline
    topics = _shares(shown.outlook.topics, view) or say.outlook_nothing
    if shown.outlook.new:
        topics += say.outlook_new.format(topics=_shares(shown.outlook.new, view))
    yield say.outlook.format(count=shown.outlook.days, topics=topics)


def _shares(topics: Mapping[str, float], view: View) -> str:
    return view.say.writing.comma.join(f"{topic} {share:.0%}" for topic, share in list(topics.items())[:EXPECTED])


def heading(shown: Timeline, view: View) -> str:
    """Write the title: the user, the number of events, the dates, and the length of a period."""
    say = view.say.timeline
    first, last = view.date(shown.periods[0].start), view.date(shown.periods[-1].end - 1)
    steps = say.in_units if shown.unit[0].isdigit() else say.by_unit
    return say.heading.format(
        who=view.say.screen.user.format(user=shown.user_id),
        events=say.events.format(count=shown.events),
        when=first if first == last else say.period.format(first=first, last=last),
        steps=steps.format(unit=say.units[shown.unit]),
    )


def dated(time: float, unit: str, zone: tzinfo = UTC, language: Language = "en") -> str:
    """Write the beginning of a period, as precisely as the length of the period requires."""
    known = CHINESE_DATES.get(unit, "%Y-%m-%d") if language == "zh" else DATES.get(unit, "%-d %b %Y")
    return f"{datetime.fromtimestamp(time, tz=zone):{known}}"


def shift_mark(shift: Shift, view: View) -> str:
    """Write a shift in short.

    It reads `temporal 97%`, `maybe 38%` if the shift is no headline, `stays 90%` if no shift is named, or `none` if
    nothing is known.
    """
    screen = view.say.screen
    if not shift.confidence:
        return screen.kinds[shift.kind]
    if shift.kind == "none":
        return screen.stays_mark.format(percent=percent(shift.confidence))
    if not shift.is_headline:
        return screen.maybe_mark.format(percent=percent(shift.confidence))
    return f"{screen.kinds[shift.kind]} {percent(shift.confidence)}%"


def _legend(leading: dict[str, float], shown: Timeline, view: View) -> RenderableType:
    """Show the letter and colour of each leading topic, with its share of all events, in two columns."""
    grid = Table.grid(padding=(0, 2), expand=False)
    for _ in range(2):
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1)
    entries = [
        Text.assemble((f" {letter} ", f"{ink(colour)} on {colour}"), f" {percent(share):>2}% {topic}")
        for letter, colour, (topic, share) in zip(LETTERS, COLOURS, leading.items(), strict=False)
    ]
    if (others := shown.others()) > 0:
        words = f" {percent(others):>2}% {view.say.timeline.others}"
        entries.append(Text.assemble((" · ", f"{ink(OTHERS)} on {OTHERS}"), words))
    if not entries:
        return Text(view.say.timeline.no_topics, style="dim")
    for row in range(0, len(entries), 2):
        grid.add_row(*entries[row : row + 2])
    return grid


def _lines(shown: Timeline, leading: list[str], width: int, coloured: bool, view: View) -> Table:
    """Show a line for each period: its beginning, its number of events, its topics, and the shift predicted then."""
    say = view.say.timeline
    unit = say.units[shown.unit]
    dates = [dated(period.start, shown.unit, view.zone, view.language) for period in shown.periods]
    date_width = max(map(cell_len, [*dates, unit]))  # an East Asian letter takes two columns
    events_width = max(cell_len(say.events_column), len(f"{shown.events:,}"))
    gaps = 3  # one column between two neighbours
    bar_width = min(max(width - date_width - events_width - LEAST_MARK - gaps, LEAST_BAR), MOST_BAR)
    mark_width = max(width - date_width - events_width - bar_width - gaps, 1)
    table = Table(box=None, pad_edge=False, padding=(0, 1, 0, 0), header_style="dim")
    table.add_column(unit, justify="right", no_wrap=True, width=date_width)
    table.add_column(say.events_column, justify="right", no_wrap=True, width=events_width)
    table.add_column(say.topics_column, width=bar_width, no_wrap=True)
    table.add_column(say.shift_column, width=mark_width, no_wrap=True)
    empty: list[Period] = []
    for period in (*shown.periods, None):  # None ends a gap at the end
        if period and not period.events:
            empty.append(period)
            continue
        if len(empty) > SHORT_GAP:
            table.add_row("...", "0", Text(say.without_events.format(count=len(empty)), style="dim"), "")
        else:
            for gap in empty:
                table.add_row(dated(gap.start, shown.unit), "0", "", "")
        empty = []
        if period:
            bar = _bar(period, leading, bar_width, coloured)
            mark = _mark(period, leading, view) if period.shifts else Text("")
            table.add_row(dated(period.start, shown.unit, view.zone, view.language), f"{period.events:,}", bar, mark)
    return table


def _bar(period: Period, leading: list[str], columns: int, coloured: bool) -> Text:
    """Draw the topics of a period. Each topic's columns begin with its letter and, if there is room, its share."""
    shares = [period.topics.get(topic, 0.0) for topic in leading]
    shares.append(max(sum(period.topics.values()) - sum(shares), 0.0))
    ends = [round(columns * min(sum(shares[: number + 1]), 1.0)) for number in range(len(shares))]
    bar = Text()
    for number, (share, start, end) in enumerate(zip(shares, [0, *ends], ends, strict=False)):
        letter, colour = (LETTERS[number], COLOURS[number]) if number < len(leading) else ("·", OTHERS)
        label = f"{letter}{percent(share)}%"
        words = label if len(label) <= end - start else letter
        filling = " " if coloured else "·" if letter == "·" else "-"
        bar.append(words.ljust(end - start, filling)[: end - start], f"{ink(colour)} on {colour}")
    return bar


def _mark(period: Period, leading: list[str], view: View) -> Text:
    """Name the shift that was predicted at the end of a period. Leading topics are named by their letters.

    A shift that is no headline has no symbol and is not bold.
    """
    letters = dict(zip(leading, LETTERS, strict=False))
    names = view.say.writing.comma.join(letters.get(topic, topic) for topic in period.shift.to_topics)
    towards = view.say.timeline.mark_to.format(topics=names) if names else ""
    mark = shift_mark(period.shift, view)
    if not period.shift.is_headline:
        return Text(f"  {mark}{towards}", style="dim")
    return Text.assemble((f"{MARKS[period.shift.kind]} {mark}", "bold"), towards)
