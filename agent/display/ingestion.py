"""Show what an ingestion read, guessed, mended and rejected."""

from datetime import UTC, datetime

from rich.markup import escape

from whimbrel.agent.display.terminal import console
from whimbrel.tools.sources.report import Ingested

MOST_SHOWN = 8


def print_ingested(done: Ingested) -> None:
    """Print the report of an ingestion."""
    out = console()

    def line(name: str, text: str) -> None:
        out.print(f"[bold]{name:<10}[/bold]{escape(text)}", highlight=False, soft_wrap=True)

    further = {"of a catalogue": done.catalogue, "repeated": done.repeated, "rejected": done.rejected}
    rest = "".join(f", {count:,} {name}" for name, count in further.items() if count)
    line("Read", f"{_counted(done.rows, 'row')}: {_counted(done.events, 'event')} ({done.new_events:,} new){rest}")
    line("", f"{_counted(done.users, 'user')}, {_counted(done.items, 'item')} ({done.new_items:,} new or changed)")
    if done.span:
        first, last = (f"{datetime.fromtimestamp(time, tz=UTC):%-d %B %Y}" for time in done.span)
        line("Time", first if first == last else f"{first} to {last}")
    if done.event_words and set(done.event_words) != {"interaction"}:
        line("Events", _few([f"{word} {count:,}" for word, count in done.event_words.items()]))
    if done.guessed:
        line("Columns", ", ".join(f"{column} is {field}" for column, field in done.guessed.items()))
    if done.mended:
        line("Mended", "; ".join(f"{kind} ({count:,})" for kind, count in done.mended.items()))
    for number, rejection in enumerate(done.rejections[:MOST_SHOWN]):
        line(
            "" if number else "Rejected",
            f"{rejection.count:,} × {rejection.reason} (first in line {rejection.first_line:,})",
        )
    if done.alike:
        line("Alike", "; ".join(" / ".join(group) for group in done.alike[:MOST_SHOWN]) + " count as different topics")
    for number, warning in enumerate(done.warnings):
        line("" if number else "Check", warning)
    if done.rejects:
        out.print(f"The rejected rows and the reasons are in {done.rejects}", soft_wrap=True, markup=False)


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _few(words: list[str]) -> str:
    more = len(words) - MOST_SHOWN
    return ", ".join(words[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
