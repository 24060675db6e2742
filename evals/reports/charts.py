"""Compute the coordinates of the charts of a report page, in the units of their view boxes."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from whimbrel.evals.reports.tables import figure
from whimbrel.evals.runs.document import PRIMARY
from whimbrel.evals.runs.results import Results

Row = Mapping[str, Any]

LEFT, RIGHT, TOP, BOTTOM = 50, 610, 20, 280
"""The area of the scatter plot within its box of 640 by 320."""
LABEL_HEIGHT, LABEL_WIDTH = 11, 105
"""Space that the name of a system takes."""
LEAST_SECONDS = 1e-5
"""Faster systems are drawn at this time, since a logarithmic axis has no zero."""


def reliability_diagrams(systems: Mapping[str, Row]) -> list[dict[str, Any]]:
    """Return the points of a reliability diagram for each system, in boxes of 160 by 160.

    A point with more decisions is larger.
    """
    return [
        {
            "name": name,
            "points": [
                {"x": 20 + 120 * predicted, "y": 140 - 120 * observed, "r": 1.5 + 5 * (count / row["n"]) ** 0.5}
                for predicted, observed, count in row["reliability"]
            ],
            "ece": row["ece"],
        }
        for name, row in systems.items()
    ]


def abstention_curves(shift: Mapping[str, Row]) -> list[dict[str, Any]]:
    """Return for each system how often predictions are right if only the most confident predictions are given.

    The curves are lines in boxes of 160 by 160.
    """
    return [
        {
            "name": name,
            "line": " ".join(
                f"{20 + 120 * share:.1f},{140 - 120 * right:.1f}" for share, right, _ in row["said"]["abstention"]
            ),
            "right": row["said"]["right"],
        }
        for name, row in shift.items()
        if row["said"]["abstention"]
    ]


def lift_by_slice(results: Results) -> list[dict[str, Any]]:
    """Return what the language model adds over all cases and in each slice.

    The positions of the marks refer to boxes of 100 by 10.
    """
    if not {"whimbrel", "whimbrel-none"} <= results.systems.keys():
        return []
    rows = [{"label": "all cases", **results.difference("whimbrel", "whimbrel-none", PRIMARY)}]
    rows += [
        {"label": label, **results.difference("whimbrel", "whimbrel-none", PRIMARY, within)}
        for label, within in results.slices.items()
    ]
    rows = [row for row in rows if row["n"] and not math.isnan(row["ci"][0])]
    # All rows share one scale, with 0 in the middle.
    widest = max((abs(end) for row in rows for end in row["ci"]), default=1) or 1
    for row in rows:
        row["at"], row["from"], row["to"] = (
            50 + 48 * value / widest for value in (row["difference"], row["ci"][0], row["ci"][1])
        )
    return rows


def quality_against_time(systems: Mapping[str, Row]) -> dict[str, Any]:
    """Return a scatter plot of the primary metric against seconds per case (logarithmic), in a box of 640 by 320.

    If there is no space for the name of a system, the name is listed under `unnamed` instead.
    """
    points = [
        (name, max(row["seconds"] / max(row["n"], 1), LEAST_SECONDS), row[PRIMARY], row[f"{PRIMARY}_ci"])
        for name, row in systems.items()
        if row[PRIMARY] is not None and row["n"]
    ]
    if not points:
        return {"points": [], "unnamed": [], "x": [], "y": []}
    low = math.floor(math.log10(min(seconds for _, seconds, _, _ in points)))
    # The axis runs between two different powers of ten.
    high = max(math.ceil(math.log10(max(seconds for _, seconds, _, _ in points))), low + 1)
    highest = max(ends[1] for *_, ends in points)
    # The smallest round step with which four ticks reach the highest interval.
    step = next(step for step in (0.025, 0.05, 0.1, 0.2, 0.25) if 4 * step >= highest or step == 0.25)
    steps = max(math.ceil(highest / step), 1)

    def x(seconds: float) -> float:
        return float(LEFT + (RIGHT - LEFT) * (math.log10(seconds) - low) / (high - low))

    def y(value: float) -> float:
        return float(BOTTOM - (BOTTOM - TOP) * value / (step * steps))

    drawn: list[dict[str, Any]] = []
    # The names of Whimbrel are placed first, then those of the best systems.
    for name, seconds, value, ends in sorted(points, key=lambda point: (not _is_ours(point[0]), -point[2])):
        drawn.append(
            {
                "name": name,
                "x": x(seconds),
                "y": y(value),
                "label": _label_height(x(seconds), y(value), drawn),
                "left": x(seconds) > 500,  # a name to the right would leave the box
                "low": y(ends[0]),
                "high": y(ends[1]),
                "ours": _is_ours(name),
            }
        )
    return {
        "points": drawn,
        "unnamed": [
            f"{point['name']} ({figure(systems[point['name']][PRIMARY])})" for point in drawn if not point["label"]
        ],
        "x": [{"at": x(10**power), "label": _seconds(10.0**power)} for power in range(low, high + 1)],
        "y": [{"at": y(step * n), "label": f"{step * n:.3g}"} for n in range(steps + 1)],
    }


def _is_ours(name: str) -> bool:
    return name.startswith("whimbrel")


def _label_height(x: float, y: float, drawn: Sequence[Row]) -> float | None:
    """Return a height at which the name of a point overlaps no other name; None if there is no such height nearby."""
    for moved in (0, -LABEL_HEIGHT, LABEL_HEIGHT, -2 * LABEL_HEIGHT, 2 * LABEL_HEIGHT):
        height = y + 4 + moved
        if not any(
            other["label"] and abs(height - other["label"]) < LABEL_HEIGHT and abs(x - other["x"]) < LABEL_WIDTH
            for other in drawn
        ):
            return height
    return None


def _seconds(value: float) -> str:
    return f"{value:g} s" if value >= 1 else f"{value * 1000:g} ms"
