"""How an interest moved, as a picture: topics over time as a stream, and the shifts predicted on the way."""

import io
import os
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.display.colours import COLOURS, LETTERS, OTHERS, ink
from whimbrel.agent.display.terminal import moment
from whimbrel.agent.display.timeline_text import dated, heading, percent, towards
from whimbrel.agent.schema.results import Shift
from whimbrel.agent.shift.timeline import Timeline
from whimbrel.tools.errors import ConfigError

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

INCHES, DOTS = (11.0, 6.4), 160
FINE = 24
"""Points drawn from one period to the next."""
LONGEST_ID, LONGEST_NAME, LONGEST_LINE, LONGEST_TITLE = 24, 30, 125, 94
ROOM = 0.085
"""Share of the axis between shifts from which on there is room for words across."""
LEAST_HEIGHT = 2.0
"""Events, on each side of the middle, that fill the height: a single one stays a band."""
LEAST_LETTER = 0.04
"""Share of the height that a stream must have somewhere to bear its letter."""
LEAST_LAYER = 0.002
"""Share of the events below which what bears no leading topic is not drawn: shares are rounded."""
MOST_TICKS = 7
MARKERS = {"situational": "s", "temporal": "^", "contextual": "o", "none": "D"}
INK, PALE, NO_TOPIC = "#222222", "#777777", "#b8b0a8"
FONT = "DejaVu Sans"
"""Comes with matplotlib."""
OTHER_FONTS: tuple[str, ...] = ("CJK", "Han S", "WenQuanYi", "YaHei", "SimHei", "SimSun", "PingFang", "Hiragino")
OTHER_FONTS += ("Gothic", "Ming", "Fallback", "Arial Unicode", "Noto Sans")
"""Parts of the names of fonts that may have the letters which that one lacks."""

Picture = Literal["svg", "png"]
Floats = NDArray[np.float64]


def picture_format(path: Path) -> Picture:
    """By the suffix.

    Raises:
        ConfigError: another suffix, or a folder that is not there.
    """
    suffix = path.suffix.lower()
    if suffix not in {".svg", ".png"}:
        raise ConfigError(f"--plot {str(path)!r}: name a file that ends in .svg or .png")
    if not path.parent.is_dir():
        raise ConfigError(f"--plot {str(path)!r}: there is no folder {str(path.parent)!r}")
    return "svg" if suffix == ".svg" else "png"


def write_plot(found: Timeline, path: Path) -> None:
    """The picture in a file, whole or not at all.

    Raises:
        ConfigError: as `picture_format`.
        OSError: the file cannot be written.
    """
    drawn = draw(found, picture_format(path))
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        unfinished.write_bytes(drawn)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def draw(found: Timeline, format: Picture) -> bytes:
    """The same picture for the same timeline, byte for byte. Letters of an SVG stay text, so that the reader's fonts
    show those that the fonts here lack."""
    import matplotlib
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine

    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "whimbrel"}), _quiet():
        figure = Figure(
            figsize=INCHES, dpi=DOTS, facecolor="white", layout=ConstrainedLayoutEngine(h_pad=0.02, hspace=0)
        )
        _draw(figure, found)
        drawn = io.BytesIO()
        title = f"Interest of user {found.user_id} over time"
        metadata = {"Title": title, "Date": None} if format == "svg" else {"Title": title, "Software": None}
        figure.savefig(drawn, format=format, metadata=metadata, bbox_inches="tight", pad_inches=0.2)
    return drawn.getvalue()


@contextmanager
def _quiet() -> Iterator[None]:
    """A letter that no font has is drawn as a box, without a warning for each."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        warnings.filterwarnings("ignore", message="Matplotlib currently does not support")
        yield


def _draw(figure: "Figure", found: Timeline) -> None:
    told = _headline(found)
    families = _families(" ".join([told, found.user_id, *found.leading()]))
    count = max(len(found.periods), 1)
    now = count - 0.5 + max(0.035 * count, 0.06)
    low, high = -0.5 - 0.01 * count, now + 0.05 * count
    marked = [(n + 0.5, period.shift) for n, period in enumerate(found.periods) if period.shifts] + [(now, found.shift)]
    nearest = min((later[0] - earlier[0] for earlier, later in pairwise(marked)), default=high - low)
    upright = nearest < ROOM * (high - low)
    header, strip, stream = figure.subplots(3, 1, height_ratios=[0.62, 1.55 if upright else 0.7, 4.1])
    user = shortened(found.user_id, LONGEST_ID)
    known = found.model_copy(update={"user_id": user})
    title = heading(known) if found.periods else f"User {user}: nothing is known yet"
    for words, y, size, weight in ((shortened(title, LONGEST_TITLE), 1, 13, "bold"), (told, 0.5, 9, "normal")):
        header.text(
            0, y, words, size=size, weight=weight, color=INK, family=families, va="top", parse_math=False
        ).set_in_layout(False)
    for axes in (header, strip):
        axes.axis("off")
        axes.set_ylim(0, 1)
    strip.set_xlim(low, high)
    stream.set_xlim(low, high)
    handles = _stream(stream, found)
    handles += _marks(strip, stream, marked, upright=upright)
    _dates(stream, found)
    legend = figure.legend(handles=handles, loc="outside right center", frameon=False, handlelength=1.4, fontsize=9)
    for text in legend.get_texts():
        text.set_fontfamily(families)
        text.set_parse_math(False)


def _headline(found: Timeline) -> str:
    """The present shift in two lines at most, wrapped by width: there are no spaces in Chinese."""
    from rich.console import Console
    from rich.text import Text

    shift = found.shift
    came, next_ = (
        ", ".join(shortened(topic, LONGEST_NAME) for topic in topics) for topics in (shift.from_topics, shift.to_topics)
    )
    words = f"Now ({moment(found.at)} UTC): {towards(shift)}"
    if shift.kind == "none":
        words += f"{f', next {next_}' if next_ else ''}; {shift.reason}."
    else:
        words += f"{f', from {came}' if came else ''}{f' to {next_}' if next_ else ''}."
    lines = [line.plain.rstrip() for line in Text(words).wrap(Console(width=LONGEST_LINE), LONGEST_LINE)]
    return "\n".join(lines[:2]) + (" ..." if len(lines) > 2 else "")


@dataclass(frozen=True)
class _Layer:
    """One topic's events in each period."""

    row: Floats
    colour: str
    label: str
    letter: str = ""


def _stream(axes: "Axes", found: Timeline) -> list[Any]:
    """The topics around a middle line, as wide as they have events; what explains them."""
    from matplotlib.patches import Patch

    leading, others = found.leading(), found.others()
    total = np.array([float(period.events) for period in found.periods])
    bearing = np.array([sum(period.topics.values()) * period.events for period in found.periods])
    rows = [np.array([period.topics.get(topic, 0.0) * period.events for period in found.periods]) for topic in leading]
    layers = [
        _Layer(row, colour, f"{letter}  {shortened(topic, LONGEST_NAME)}  {percent(share)}%", letter)
        for row, colour, letter, (topic, share) in zip(rows, COLOURS, LETTERS, leading.items(), strict=False)
    ]
    explained = list(layers)
    for row, colour, label in (
        (bearing - sum(rows) if others > 0 else 0 * total, OTHERS, f"other topics  {percent(others)}%"),
        (total - bearing, NO_TOPIC, "no topic"),
    ):
        if row.sum() > LEAST_LAYER * total.sum():
            around = _Layer(np.maximum(row, 0) / 2, colour, label)
            explained.append(around)
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
        widest = FINE // 2 + FINE * int(np.argmax(layer.row))
        if layer.letter and height[widest] > LEAST_LETTER * 2 * top:
            middle = bottom[widest] + height[widest] / 2
            axes.text(x[widest], middle, layer.letter, ha="center", va="center", size=8, color=ink(layer.colour))
        bottom = bottom + height
    axes.set_ylim(-1.05 * top, 1.05 * top)
    axes.set_yticks([])
    each = f"in {found.unit}" if found.unit[0].isdigit() else f"a {found.unit}"
    most = int(max(total))
    axes.set_ylabel(f"width: events {each} (at most {most:,})", color=PALE, fontsize=9)
    return [Patch(facecolor=layer.colour, label=layer.label) for layer in explained]


def _smooth(rows: Floats) -> tuple[Floats, Floats]:
    """Rows of one value a period, at its middle, with values between them that overshoot neither neighbour."""
    edged = np.concatenate([rows[:, :1], rows, rows[:, -1:]], axis=1)
    place = np.linspace(0, rows.shape[1], rows.shape[1] * FINE + 1) + 0.5
    left = np.minimum(place.astype(int), edged.shape[1] - 2)
    part = place - left
    eased = part * part * (3 - 2 * part)
    return place - 1, edged[:, left] * (1 - eased) + edged[:, left + 1] * eased


def _marks(strip: "Axes", stream: "Axes", marked: Sequence[tuple[float, Shift]], *, upright: bool) -> list[Any]:
    """Each shift where it was predicted, and last the present one, with kind and confidence."""
    from matplotlib.lines import Line2D

    for n, (x, shift) in enumerate(marked):
        present = n == len(marked) - 1
        line, colour = ("-", INK) if present else ((0, (3, 3)), PALE)
        stream.axvline(x, color=colour, linewidth=1.4 if present else 0.7, linestyle=line, zorder=3)
        strip.plot([x], [0], MARKERS[shift.kind], color=INK, markerfacecolor=INK if present else "white", clip_on=False)
        words = f"{'now: ' if present else ''}{towards(shift)}"
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
    kinds = dict.fromkeys(shift.kind for _, shift in marked if shift.kind != "none")
    return [
        Line2D([], [], linestyle="", marker=MARKERS[kind], color=INK, markerfacecolor="white", label=f"{kind} shift")
        for kind in kinds
    ]


def _dates(axes: "Axes", found: Timeline) -> None:
    """Units of time are told where they begin, sessions in their middle."""
    axes.tick_params(axis="x", colors=INK, labelsize=9)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    count = len(found.periods)
    step = -(-count // MOST_TICKS) if count else 1
    rows = range(0, count, step)
    shift = 0.0 if found.unit == "session" else 0.5
    dates = [dated(found.periods[n].start, found.unit) for n in rows]
    if found.unit == "session":
        dates = [date.replace(" ", "\n", 3).replace("\n", " ", 2) for date in dates]
    axes.set_xticks([n - shift for n in rows], dates)


def _families(words: str) -> list[str]:
    """Fonts that are here and together have the letters, as far as any do."""
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
    return [*chosen, "sans-serif"]


def shortened(words: str, longest: int) -> str:
    """Cut to a width; letters of East Asia are two wide."""
    from rich.cells import cell_len, set_cell_size

    return words if cell_len(words) <= longest else f"{set_cell_size(words, longest - 3).rstrip()}..."
