"""Show what an ingestion read, guessed, mended and rejected."""

from collections.abc import Iterator, Sequence
from datetime import datetime

from rich.markup import escape

from whimbrel.agent.display.terminal import console
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.tools.sources.report import Ingested, Modality
from whimbrel.tools.timestamps import zone_of

MOST_SHOWN = 8


def print_ingested(done: Ingested, captions: Usage | None = None) -> None:
    """Print the report of an ingestion, and what captions of images cost."""
    out = console()
    for name, lines in _sections(done, captions):
        for number, line in enumerate(lines[:MOST_SHOWN]):
            out.print(f"[bold]{'' if number else name:<10}[/bold]{escape(line)}", highlight=False, soft_wrap=True)
        if len(lines) > MOST_SHOWN:
            out.print(f"{'':<10}and {len(lines) - MOST_SHOWN} more", highlight=False)
    if done.rejects:
        out.print(f"The rejected rows and the reasons are in {done.rejects}", soft_wrap=True, markup=False)


def _sections(done: Ingested, captions: Usage | None) -> Iterator[tuple[str, Sequence[str]]]:
    further = {"of a catalogue": done.catalogue, "repeated": done.repeated, "rejected": done.rejected}
    rest = "".join(f", {count:,} {name}" for name, count in further.items() if count)
    yield (
        "Read",
        [
            f"{_counted(done.rows, 'row')}: {_counted(done.events, 'event')} ({done.new_events:,} new){rest}",
            f"{_counted(done.users, 'user')}, {_counted(done.items, 'item')} ({done.new_items:,} new or changed)",
        ],
    )
    if done.span:
        zone = zone_of(done.timezone or "UTC")
        first, last = (f"{datetime.fromtimestamp(time, tz=zone):%-d %B %Y}" for time in done.span)
        yield "Time", [first if first == last else f"{first} to {last}"]
    yield "Vectors", [_of_modality(name, of) for name, of in done.modalities.items()]
    if captions is not None:
        yield "Captions", [_of_captions(captions)]
    if set(done.event_words) != {"interaction"}:
        yield "Events", [_few([f"{word} {count:,}" for word, count in done.event_words.items()])]
    yield (
        "Columns",
        [", ".join(f"{column} is {field}" for column, field in done.guessed.items())] if done.guessed else [],
    )
    yield "Not used", [_few(list(done.unused))] if done.unused else []
    yield "Mended", [f"{kind} ({count:,})" for kind, count in done.mended.items()]
    yield (
        "Rejected",
        [
            f"{kind.count:,} × {kind.reason}" + (f" (first in line {kind.first_line:,})" if kind.first_line else "")
            for kind in done.rejections
        ],
    )
    yield "Alike", [f"{' and '.join(map(repr, group))} count as different topics" for group in done.alike]
    yield "Check", done.warnings


def _of_modality(name: str, of: Modality) -> str:
    speed = f", {of.per_second:,.0f} a second" if of.per_second else ""
    rejected = f", {of.rejected:,} rejected" if of.rejected else ""
    return f"{name}: {_counted(of.items, 'item')} ({of.new:,} new{speed}){rejected}"


def _of_captions(cost: Usage) -> str:
    known = f", {_counted(cost.remembered, 'caption')} known from before" if cost.remembered else ""
    dollars = f", {cost.cost_usd:.4f} US dollars" if cost.cost_usd else ""
    return f"{_counted(cost.llm_calls, 'call')}, {cost.prompt_tokens + cost.completion_tokens:,} tokens{dollars}{known}"


def _counted(count: int, thing: str) -> str:
    return f"{count:,} {thing}{'' if count == 1 else 's'}"


def _few(words: list[str]) -> str:
    more = len(words) - MOST_SHOWN
    return ", ".join(words[:MOST_SHOWN]) + (f" and {more} more" if more > 0 else "")
