"""Show answers in a notebook: the JSON documents that commands print, as HTML.

Titles, reasons and names come from catalogues, people and models, so every text is escaped, and MathJax is kept away.
Text has the colour of the page and lines are grey, so that the same HTML is readable on a light and on a dark page.
Nothing is loaded from elsewhere.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from html import escape
from itertools import groupby
from typing import Any

from whimbrel.agent.marks import COLOURS, HEADLINE_CONFIDENCE, LETTERS, MARKS, OTHERS, ink, percent
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.event_meanings import meaning_of

Document = Mapping[str, Any]

LINE = "1px solid rgba(128,128,128,.45)"
FAINT = "opacity:.75;font-size:.9em"
MOST_EVENTS = 5
"""Most cited events of an item or a shift that are shown."""


def block(*parts: str) -> str:
    """Join parts into the HTML of one value. Notebooks typeset `$...$` in HTML as formulas, but not in this class."""
    style = "max-width:64em;line-height:1.45;overflow-x:auto"
    return f'<div class="tex2jax_ignore mathjax_ignore" style="{style}">{"".join(parts)}</div>'


def words(text: object, style: str = "") -> str:
    """Return a paragraph of escaped text; "" if the text is empty."""
    return f'<p style="margin:.3em 0;{style}">{escape(str(text))}</p>' if text else ""


def table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, caption: str = "") -> str:
    """Return a table.

    Args:
        heads: The heads of the columns, which are escaped here. There may be none.
        rows: The cells of each row, which are HTML already.
        caption: A title, which is escaped here.
    """
    cell = f"padding:.3em .7em .3em 0;text-align:left;vertical-align:top;border:0;border-bottom:{LINE}"
    over = f'<caption style="text-align:left;font-weight:bold;color:inherit">{escape(caption)}</caption>'
    head = "".join(f'<th scope="col" style="{cell};{FAINT}">{escape(name)}</th>' for name in heads)
    body = "".join(
        f'<tr style="background:none">{"".join(f"""<td style="{cell}">{part}</td>""" for part in row)}</tr>'
        for row in rows
    )
    style = "border-collapse:collapse;width:auto;margin:.5em 0;color:inherit;font-size:1em"
    return (
        f'<table style="{style}">{over if caption else ""}<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    )


def shift_html(shift: Document) -> str:
    """Show a shift: its probability, its topics, the reason and the events behind it."""
    say = load_phrases("en")
    screen, sure = say.screen, f"{percent(shift['confidence'])}%"
    is_none, is_headline = shift["kind"] == "none", shift["confidence"] >= HEADLINE_CONFIDENCE
    heading = screen.shift_title.format(kind=screen.kinds[shift["kind"]])
    rows = [
        (screen.from_, "" if is_none or not is_headline else ", ".join(shift["from_topics"])),
        (screen.next if is_none else screen.to if is_headline else screen.maybe_to, ", ".join(shift["to_topics"])),
        (screen.because, shift["reason"]),
    ]
    if shift["confidence"]:
        rows.insert(0, (screen.stays if is_none else screen.confidence, sure))
    cells = [(escape(label), escape(value)) for label, value in rows if value]
    if shift["evidence"]:
        cells.append((escape(screen.events), _events(shift["evidence"])))
    return block(table((), cells, caption=heading if is_none or is_headline else screen.maybe_title))


def recommendations_html(answer: Document) -> str:
    """Show a whole answer: the summary, the shift, and the list with its reasons and the events that they cite."""
    screen = load_phrases("en").screen
    who = screen.user.format(user=answer["user_id"]) if answer["user_id"] else screen.somebody_new
    title = screen.summary_title.format(who=who, moment=_moment(answer["at"]))
    notes = (screen.note.format(words=note) for note in (*answer["path"], *answer["warnings"]))
    return block(
        words(title, "font-weight:bold"),
        words(answer["summary"]),
        shift_html(answer["shift"]),
        _listed(answer["recommendations"]),
        *(words(note, FAINT) for note in notes),
    )


def turn_html(turn: Document) -> str:
    """Show a turn of a conversation: the words, the list with its reasons and facts, the question, and the wishes."""
    state = turn["state"]
    wanted = [
        *state["wants"],
        *(f"not {refused}" for refused in state["refused"]),
        *(f"{one['field']} {one['op']} {_value(one['value'])}" for one in state["conditions"]),
    ]
    return block(
        *(words(line) for line in turn["words"].splitlines()),
        _listed(turn["recommendations"] or ()),
        words(turn["question"] and turn["question"]["text"], "font-style:italic"),
        words(wanted and f"Taken into account: {'; '.join(wanted)}", FAINT),
        *(words(note, FAINT) for note in turn["warnings"]),
    )


def timeline_html(timeline: Document, *, unit: str, topics: Mapping[str, float], warnings: Sequence[str]) -> str:
    """Show a timeline: the topics and the predicted shift of each period, then the present shift.

    Args:
        timeline: The document that `whimbrel shift --json` prints.
        unit: The length of a period.
        topics: The leading topics with their shares, the most frequent first. They get colours.
        warnings: What the user should know.
    """
    say = load_phrases("en").timeline
    periods = timeline["timeline"]
    is_daily = all(period["from"].endswith("T00:00:00Z") for period in periods)
    legend = "".join(
        f'<span style="display:inline-block;margin-right:1.2em"><span style="background:{colour};color:{ink(colour)};'
        f'padding:0 .4em">{letter}</span> {percent(share)}% {escape(topic)}</span>'
        for letter, colour, (topic, share) in zip(LETTERS, COLOURS, topics.items(), strict=False)
    )
    rows = []
    for has_events, group in groupby(periods, key=lambda period: bool(period["events"])):
        shown = list(group)
        if not has_events:
            rows.append(("", "0", _faint(say.without_events.format(count=len(shown))), ""))
            continue
        for period in shown:
            start = period["from"][: 10 if is_daily else 16].replace("T", " ")
            cells = (start, f"{period['events']:,}", _bar(period["topics"], list(topics)), _mark(period))
            rows.append((f'<span style="white-space:nowrap">{cells[0]}</span>', *cells[1:]))
    heads = (say.units[unit], say.events_column, say.topics_column, say.shift_column)
    title = f"{load_phrases('en').screen.user.format(user=timeline['user_id'])}: the interest over time"
    return block(
        f"<div>{legend}</div>" if periods else "",
        table(heads, rows, caption=title) if periods else words(title, "font-weight:bold"),
        shift_html(timeline["shift"]),
        *(words(note, FAINT) for note in warnings),
    )


def interval_bar(low: float, value: float, high: float, *, most: float) -> str:
    """Draw a value with its interval, on a scale from 0 to `most`, which is above 0."""
    left, width, at = (100 * share / most for share in (low, high - low, value))
    return (
        '<div style="position:relative;width:12em;height:1.1em;background:rgba(128,128,128,.15)">'
        f'<div style="position:absolute;top:.35em;height:.4em;left:{left:.1f}%;width:{width:.1f}%;'
        f'background:rgba(68,119,170,.7)"></div><div style="position:absolute;top:.1em;height:.9em;left:{at:.1f}%;'
        'width:3px;background:currentColor"></div></div>'
    )


def _listed(entries: Sequence[Document]) -> str:
    """Return the list: each title with its reason, its facts, what must be said with it, and the cited events."""
    if not entries:
        return ""
    rows = []
    for entry in entries:
        facts = ", ".join(f"{name}: {_value(value)}" for name, value in entry.get("fields", {}).items())
        below = [_faint(note) for note in (facts, *entry["disclosures"]) if note]
        item = "<br>".join([f"<b>{escape(entry['title'])}</b>", escape(entry["explanation"]), *below])
        rows.append((str(entry["rank"]), item, _events(entry["evidence"]), f"{entry['score']:.2f}"))
    return table(("", "recommended", "your events", "score"), rows)


def _events(events: Sequence[Document]) -> str:
    """Return a line for each event: what the person did, and when."""
    say = load_phrases("en")
    lines = []
    for event in events[:MOST_EVENTS]:
        verb = say.events.verb(event["event"], meaning_of(event["event"]))
        moment = _moment(event["time"]) if event["time"] else say.screen.time_unknown
        lines.append(f"{escape(verb)} <i>{escape(event['title'])}</i> {_faint(moment)}")
    return "<br>".join(dict.fromkeys(lines))


def _bar(shares: Mapping[str, float], leading: Sequence[str]) -> str:
    """Draw the share of each topic. Leading topics have their letter and colour."""
    parts = [
        (shares[topic], colour, letter, topic)
        for topic, colour, letter in zip(leading, COLOURS, LETTERS, strict=False)
        if topic in shares
    ]
    rest = sum(shares.values()) - sum(part[0] for part in parts)
    parts += [(rest, OTHERS, "", load_phrases("en").timeline.others)] if rest > 0 else []
    drawn = "".join(
        f'<span title="{escape(topic)} {percent(share)}%" style="flex:0 0 {100 * share:.1f}%;background:{colour};'
        f'color:{ink(colour)};text-align:center;overflow:hidden;font-size:.8em">{letter}</span>'
        for share, colour, letter, topic in parts
    )
    return f'<div style="display:flex;width:18em;height:1.2em">{drawn}</div>'


def _mark(period: Document) -> str:
    """Name the shift that was predicted at the end of a period; "" if none was."""
    shift = period["shift"]
    if shift["kind"] == "none":
        return ""
    names = f"{shift['kind']} {percent(shift['confidence'])}% to {', '.join(shift['to_topics'])}"
    is_headline = shift["confidence"] >= HEADLINE_CONFIDENCE
    return f"<b>{MARKS[shift['kind']]} {escape(names)}</b>" if is_headline else _faint(f"maybe {names}")


def _faint(text: str) -> str:
    return f'<span style="{FAINT}">{escape(text)}</span>'


def _value(value: object) -> str:
    if isinstance(value, list | tuple):
        return ", ".join(map(_value, value))
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)


def _moment(time: str) -> str:
    return load_phrases("en").writing.moment.format(time=datetime.fromisoformat(time))
