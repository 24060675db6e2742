"""Draw a timeline as a picture: a stream of topics over time, with the shifts that were predicted."""

import io
import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, tzinfo
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.display.terminal import View
from whimbrel.agent.display.timeline_text import dated, heading, shift_mark
from whimbrel.agent.marks import COLOURS, LETTERS, OTHERS, ink, percent
from whimbrel.agent.schema.results import Shift
from whimbrel.agent.shift.timeline import Timeline
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.files.atomic import atomic_write

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES, DOTS_PER_INCH = (11.0, 6.4), 160
POINTS_PER_PERIOD = 24
"""Number of points that are drawn for each period."""
LONGEST_ID, LONGEST_NAME, LONGEST_LINE, LONGEST_TITLE = 24, 30, 125, 94
"""Most columns of text that fit in a picture of size INCHES: of a user's id, a topic, a line, and the title."""
ROOM_ACROSS = 0.085
"""The words of shifts are horizontal if neighbouring shifts are at least this share of the axis apart. Otherwise they
are vertical."""
LEAST_HEIGHT = 2.0
"""The height of the picture holds at least this number of events on each side of the middle line. A single event
therefore stays a narrow band."""
LEAST_LETTER = 0.04
"""A topic's layer gets its letter only if it reaches this share of the height somewhere."""
LEAST_LAYER = 0.002
"""Events with other topics, or with no topic, get a layer if they are more than this share of the events. A smaller
share may be a rounding error."""
MOST_TICKS = 7
"""Most dates under the axis."""
MARKERS = {"situational": "s", "temporal": "^", "contextual": "o", "none": "D"}
MAYBE_MARKER = "."
"""A shift that is no headline has a small dot instead of the symbol of its kind."""
INK, PALE, NO_TOPIC = "#222222", "#777777", "#b8b0a8"
FONT = "DejaVu Sans"
"""This font comes with matplotlib."""
OTHER_FONTS: tuple[str, ...] = ("CJK", "Han S", "WenQuanYi", "YaHei", "SimHei", "SimSun", "PingFang", "Hiragino")
OTHER_FONTS += ("Gothic", "Ming", "Fallback", "Arial Unicode", "Noto Sans")
"""Parts of the names of fonts that may have letters missing from FONT."""

_FIRST_SENTENCE = re.compile(r"(?<=\.)\s|(?<=。)")

Picture = Literal["svg", "png"]
Floats = NDArray[np.float64]


def picture_format(path: Path) -> Picture:
    """Return the picture format for a file's suffix.

    Raises:
        ConfigError: The suffix is neither .svg nor .png, or the folder does not exist.
    """
    suffix = path.suffix.lower()
    if suffix not in {".svg", ".png"}:
        raise ConfigError(f"--plot {str(path)!r}: name a file that ends in .svg or .png")
    if not path.parent.is_dir():
        raise ConfigError(f"--plot {str(path)!r}: there is no folder {str(path.parent)!r}")
    return "svg" if suffix == ".svg" else "png"


def write_plot(shown: Timeline, path: Path, *, zone: tzinfo = UTC) -> None:
    """Draw a timeline into a file. The file is either written completely or not at all.

    Args:
        shown: The timeline.
        path: The file.
        zone: The zone of all times.

    Raises:
        ConfigError: See `picture_format`.
        OSError: The file cannot be written.
    """
    picture = draw(shown, picture_format(path), zone=zone)
    with atomic_write(path) as partial:
        partial.write_bytes(picture)


def draw(shown: Timeline, format: Picture, *, zone: tzinfo = UTC) -> bytes:
    """Draw a timeline. The same timeline always gives the same bytes.

    Words in an SVG stay text, so that the reader's fonts can show letters that are missing from the fonts here.
    """
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "whimbrel"}), _quiet():
        figure = Figure(
            figsize=INCHES, dpi=DOTS_PER_INCH, facecolor="white", layout=ConstrainedLayoutEngine(h_pad=0.02, hspace=0)
        )
        # An SVG is shown with the reader's fonts, so its reason may have letters that are missing from the fonts here.
        view = View(zone=zone)
        _draw(figure, shown, view, with_reason=format == "svg" or not _letters_missing(shown.shift.reason))
        picture = io.BytesIO()
        title = f"Interest of user {shown.user_id} over time"
        metadata = {"Title": title, "Date": None} if format == "svg" else {"Title": title, "Software": None}
        figure.savefig(picture, format=format, metadata=metadata, bbox_inches="tight", pad_inches=0.2)
    return picture.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence the warning for each letter that no font has. Such a letter is drawn as a box."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def _draw(figure: "Figure", shown: Timeline, view: View, *, with_reason: bool) -> None:
    headline = _headline(shown, view, with_reason=with_reason)
    families, _ = _fonts(" ".join([headline, shown.user_id, *shown.leading()]))
    count = max(len(shown.periods), 1)
    now = count - 0.5 + max(0.035 * count, 0.06)
    low, high = -0.5 - 0.01 * count, now + 0.05 * count
    marked = [(n + 0.5, period.shift) for n, period in enumerate(shown.periods) if period.shifts] + [(now, shown.shift)]
    # Horizontal words need room. If marks are too close together, the words are vertical and need a higher strip.
    nearest = min((later[0] - earlier[0] for earlier, later in pairwise(marked)), default=high - low)
    upright = nearest < ROOM_ACROSS * (high - low)
    header, strip, stream = figure.subplots(3, 1, height_ratios=[0.62, 1.55 if upright else 0.7, 4.1])
    user = shortened(shown.user_id, LONGEST_ID)
    shortly = shown.model_copy(update={"user_id": user})
    title = heading(shortly, view) if shown.periods else f"User {user}: nothing is known yet"
    for words, y, size, weight in ((shortened(title, LONGEST_TITLE), 1, 13, "bold"), (headline, 0.5, 9, "normal")):
        header.text(
            0, y, words, size=size, weight=weight, color=INK, family=families, va="top", parse_math=False
        ).set_in_layout(False)
    for axes in (header, strip):
        axes.axis("off")
        axes.set_ylim(0, 1)
    strip.set_xlim(low, high)
    stream.set_xlim(low, high)
    handles = _stream(stream, shown)
    handles += _marks(strip, stream, marked, upright=upright)
    _dates(stream, shown, view.zone)
    legend = figure.legend(handles=handles, loc="outside right center", frameon=False, handlelength=1.4, fontsize=9)
    for text in legend.get_texts():
        text.set_fontfamily(families)
        text.set_parse_math(False)


def _headline(shown: Timeline, view: View, *, with_reason: bool) -> str:
    """Write the present shift in at most two lines.

    Lines are wrapped by width, because Chinese has no spaces at which to wrap. If there is no shift, the first sentence
    of the reason follows.
    """
    from rich.console import Console
    from rich.text import Text

    shift = shown.shift
    from_topics, to_topics = (
        ", ".join(shortened(topic, LONGEST_NAME) for topic in topics) for topics in (shift.from_topics, shift.to_topics)
    )
    words = f"Now ({view.moment(shown.at)}{' UTC' if view.zone is UTC else ''}): {shift_mark(shift, view)}"
    if shift.kind == "none":
        words += f"{f', next {to_topics}' if to_topics else ''}."
        words += f" {_FIRST_SENTENCE.split(shift.reason)[0]}" if with_reason else ""
    elif not shift.is_headline:
        words += f"{view.say.timeline.mark_to.format(topics=to_topics)}."
    else:
        words += f"{f', from {from_topics}' if from_topics else ''}{f' to {to_topics}' if to_topics else ''}."
    lines = [line.plain.rstrip() for line in Text(words).wrap(Console(width=LONGEST_LINE), LONGEST_LINE)]
    return "\n".join(lines[:2]) + (" ..." if len(lines) > 2 else "")


@dataclass(frozen=True)
class _Layer:
    """The number of events of one topic in each period, shape (periods,), and how they are drawn."""

    row: Floats
    colour: str
    label: str
    letter: str = ""


def _stream(axes: "Axes", shown: Timeline) -> list[Any]:
    """Draw the topics around a middle line, each as wide as its number of events. Returns the entries of the legend."""
    from matplotlib.patches import Patch

    leading, others = shown.leading(), shown.others()
    total = np.array([float(period.events) for period in shown.periods])
    bearing = np.array([sum(period.topics.values()) * period.events for period in shown.periods])
    rows = [np.array([period.topics.get(topic, 0.0) * period.events for period in shown.periods]) for topic in leading]
    layers = [
        _Layer(row, colour, f"{letter}  {shortened(topic, LONGEST_NAME)}  {percent(share)}%", letter)
        for row, colour, letter, (topic, share) in zip(rows, COLOURS, LETTERS, leading.items(), strict=False)
    ]
    legend = list(layers)
    for row, colour, label in (
        (bearing - sum(rows) if others > 0 else 0 * total, OTHERS, f"other topics  {percent(others)}%"),
        (total - bearing, NO_TOPIC, "no topic"),
    ):
        if row.sum() > LEAST_LAYER * total.sum():
            # Other topics are drawn half below and half above, so that the leading topics stay in the middle.
            around = _Layer(np.maximum(row, 0) / 2, colour, label)
            legend.append(around)
            layers = [around, *layers, around] if layers else [_Layer(2 * around.row, colour, label)]
    if not layers:
        axes.text(0.5, 0.5, "no events", transform=axes.transAxes, ha="center", color=PALE)
        axes.set_yticks([])
        return []
    x, heights = _smooth(np.stack([layer.row for layer in layers]))
    bottom = -heights.sum(axis=0) / 2
    top = float(max(-bottom.min(), LEAST_HEIGHT))
    for layer, height in zip(layers, heights, strict=True):
        axes.fill_between(x, bottom, bottom + height, facecolor=layer.colour, edgecolor="white", linewidth=0.6)
        widest = POINTS_PER_PERIOD // 2 + POINTS_PER_PERIOD * int(np.argmax(layer.row))
        if layer.letter and height[widest] > LEAST_LETTER * 2 * top:
            middle = bottom[widest] + height[widest] / 2
            axes.text(x[widest], middle, layer.letter, ha="center", va="center", size=8, color=ink(layer.colour))
        bottom = bottom + height
    axes.set_ylim(-1.05 * top, 1.05 * top)
    axes.set_yticks([])
    each = f"in {shown.unit}" if shown.unit[0].isdigit() else f"a {shown.unit}"
    most = int(max(total))
    axes.set_ylabel(f"width: events {each} (at most {most:,})", color=PALE, fontsize=9)
    return [Patch(facecolor=layer.colour, label=layer.label) for layer in legend]


def _smooth(rows: Floats) -> tuple[Floats, Floats]:
    """Interpolate rows with one value for each period, shape (rows, periods), without overshooting.

    Returns:
        The positions on the axis, shape (points,), and the values there, shape (rows, points).
    """
    # The first and the last value are repeated, so that the stream fills the whole axis.
    edged = np.concatenate([rows[:, :1], rows, rows[:, -1:]], axis=1)
    x = np.linspace(0, rows.shape[1], rows.shape[1] * POINTS_PER_PERIOD + 1) + 0.5
    left = np.minimum(x.astype(int), edged.shape[1] - 2)
    part = x - left
    eased = part * part * (3 - 2 * part)  # smoothstep, whose slope is 0 at both ends, so that rows have no corners
    return x - 1, edged[:, left] * (1 - eased) + edged[:, left + 1] * eased


def _marks(strip: "Axes", stream: "Axes", marked: Sequence[tuple[float, Shift]], *, upright: bool) -> list[Any]:
    """Mark each shift at the time of its prediction, and the present shift at the end. Returns the legend's entries."""
    from matplotlib.lines import Line2D

    for n, (x, shift) in enumerate(marked):
        present = n == len(marked) - 1
        line, colour = ("-", INK) if present else ((0, (3, 3)), PALE)
        stream.axvline(x, color=colour, linewidth=1.4 if present else 0.7, linestyle=line, zorder=3)
        maybe = shift.kind != "none" and not shift.is_headline
        marker = MAYBE_MARKER if maybe else MARKERS[shift.kind]
        strip.plot([x], [0], marker, color=INK, markerfacecolor=INK if present else "white", clip_on=False)
        words = f"{'now: ' if present else ''}{shift_mark(shift, View())}"
        strip.annotate(
            words if upright else words.replace(": ", ":\n").replace(" ", "\n"),
            (x, 0),
            (0, 9),
            textcoords="offset points",
            rotation=90 if upright else 0,
            ha="center",
            va="bottom",
            size=8,
            color=INK,
            weight="bold" if present else "normal",
        )
    kinds = dict.fromkeys(shift.kind for _, shift in marked if shift.is_headline)
    return [
        Line2D([], [], linestyle="", marker=MARKERS[kind], color=INK, markerfacecolor="white", label=f"{kind} shift")
        for kind in kinds
    ]


def _dates(axes: "Axes", shown: Timeline, zone: tzinfo) -> None:
    """Write dates under the axis: at the beginning of a unit of time, or in the middle of a session."""
    axes.tick_params(axis="x", colors=INK, labelsize=9)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    count = len(shown.periods)
    step = -(-count // MOST_TICKS) if count else 1
    rows = range(0, count, step)
    shift = 0.0 if shown.unit == "session" else 0.5
    dates = [dated(shown.periods[n].start, shown.unit, zone) for n in rows]
    if shown.unit == "session":
        dates = [date.replace(" ", "\n", 3).replace("\n", " ", 2) for date in dates]
    axes.set_xticks([n - shift for n in rows], dates)


def _letters_missing(words: str) -> bool:
    """Return whether words have letters that no font here has."""
    _, missing = _fonts(words)
    return bool(missing)


def _fonts(words: str) -> tuple[list[str], set[int]]:
    """Return installed fonts that together have the letters of some words, and the letters that none of them has."""
    from matplotlib.font_manager import fontManager, get_font

    def letters(path: str) -> set[int]:
        return set(get_font(path).get_charmap())

    plain = next(entry.fname for entry in fontManager.ttflist if entry.name == FONT)
    missing = {ord(letter) for letter in words if letter.isprintable()} - letters(plain)
    chosen = [FONT]
    for part in OTHER_FONTS if missing else ():
        for entry in fontManager.ttflist:
            if missing and part in entry.name and entry.name not in chosen and missing & (has := letters(entry.fname)):
                chosen.append(entry.name)
                missing -= has
    return [*chosen, "sans-serif"], missing


def shortened(words: str, longest: int) -> str:
    """Cut words to a width in columns. East Asian letters take two columns.

    Example:
        >>> shortened("Soft drinks and juices", 14)
        'Soft drinks...'
    """
    from rich.cells import cell_len, set_cell_size

    return words if cell_len(words) <= longest else f"{set_cell_size(words, longest - 3).rstrip()}..."
