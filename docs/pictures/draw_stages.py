"""Draw the pictures of the stages: `python docs/pictures/draw_stages.py`.

Each picture is an SVG of its own, light or dark as the reader's system is, and needs no font or file beside it.
"""

import tomllib
from html import escape
from pathlib import Path

FOLDER = Path(__file__).parent
WIDTH, SIDE, MIDDLE, ROW, GAP, TOP = 840, 240, 280, 38, 8, 44
STYLE = """
  text { font: 13px system-ui, sans-serif; fill: #1f2937 }
  .head { font-weight: 600; fill: #4b5563 }
  .side { fill: #f3f4f6; stroke: #d1d5db }
  .step { fill: #e0e7ff; stroke: #a5b4fc }
  .flow { stroke: #6b7280; stroke-width: 1.5; fill: none }
  @media (prefers-color-scheme: dark) {
    text { fill: #e5e7eb } .head { fill: #9ca3af } .flow { stroke: #9ca3af }
    .side { fill: #1f2937; stroke: #4b5563 } .step { fill: #312e81; stroke: #6366f1 }
  }
"""


def picture(name: str, takes: list[str], steps: list[str], gives: list[str]) -> str:
    """Return the SVG of a stage: what it takes, its steps in order, and what it gives."""
    rows = max(map(len, (takes, steps, gives)))
    height = TOP + rows * (ROW + GAP) + GAP
    left, right = (WIDTH - MIDDLE) / 2, (WIDTH + MIDDLE) / 2
    numbered = [f"{number}. {step}" for number, step in enumerate(steps, 1)]
    columns = [
        ("takes", takes, "side", 0.5, SIDE),
        ("steps", numbered, "step", left, MIDDLE),
        ("gives", gives, "side", WIDTH - SIDE - 0.5, SIDE),
    ]
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img" '
        f'aria-label="{_label(name)}">',
        f"<style>{STYLE}</style>",
        '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
        '<path d="M0 1 7 4 0 7" class="flow"/></marker></defs>',
    ]
    middle = TOP + rows * (ROW + GAP) / 2 - GAP / 2
    for start, end in ((SIDE + 4, left - 3), (right + 4, WIDTH - SIDE - 3)):
        parts.append(f'<path class="flow" marker-end="url(#tip)" d="M{start:g} {middle:g}H{end:g}"/>')
    for head, texts, style, x, width in columns:
        parts.append(f'<text class="head" x="{x + width / 2:g}" y="24" text-anchor="middle">{head}</text>')
        first = middle - (len(texts) * (ROW + GAP) - GAP) / 2
        for number, text in enumerate(texts):
            y = first + number * (ROW + GAP)
            parts.append(f'<rect class="{style}" x="{x:g}" y="{y:g}" width="{width}" height="{ROW}" rx="6"/>')
            lines = _lines(text, width)
            for line, words in enumerate(lines):
                base = y + ROW / 2 + 4.5 + (line - (len(lines) - 1) / 2) * 15
                parts.append(f'<text x="{x + 12:g}" y="{base:g}">{escape(words)}</text>')
    return "\n".join([*parts, "</svg>", ""])


def _label(name: str) -> str:
    return f"{name.replace('-', ' ').capitalize()}: what it takes, its steps, what it gives"


def _lines(text: str, width: float) -> list[str]:
    """Break a text in two at the word that is nearest to its middle, if it is too long for a box."""
    if len(text) * 7 <= width - 24:
        return [text]
    spaces = [at for at, letter in enumerate(text) if letter == " "]
    at = min(spaces, key=lambda place: abs(place - len(text) / 2))
    return [text[:at], text[at + 1 :]]


def pictures() -> dict[str, str]:
    """Return the SVG of each stage, keyed by the name of its page."""
    stages = tomllib.loads((FOLDER / "stages.toml").read_text("utf-8"))
    return {name: picture(name, **parts) for name, parts in stages.items()}


if __name__ == "__main__":
    for name, svg in pictures().items():
        (FOLDER / "stages" / f"{name}.svg").write_text(svg, "utf-8")
