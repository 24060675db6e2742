"""Measure systems that find the boundaries of intent within sessions."""

import json
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BoundaryCase, Problem, read_boundary_cases
from whimbrel.agent.profile.segment import SWITCH, spread_of, switch_probabilities
from whimbrel.evals.metrics import binary
from whimbrel.evals.metrics.decisions import measure_decisions
from whimbrel.evals.runs.document import without_nan
from whimbrel.evals.runs.files import BOUNDARIES, RESULTS
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Item
from whimbrel.tools.text.item_vectors import title_vectors

Floats = NDArray[np.float64]
Sessions = Sequence[Sequence[Item]]
BoundarySystem = Callable[[Sessions], list[Floats]]
"""Returns an array for each session: the probability of a switch after each item except the last."""

THRESHOLDS = {"whimbrel": SWITCH}
"""Thresholds of systems whose threshold is not .5. A pair is called a switch if its probability is at least that."""
CHUNK = 1000
"""Number of sessions in one call. Their texts are encoded in one batch. A system may standardise by their spread."""


def _whimbrel(sessions: Sessions) -> list[Floats]:
    title_vectors([item for session in sessions for item in session])  # encodes all titles in one batch; then cached
    among = spread_of(sessions)
    return [switch_probabilities(session, among=among) for session in sessions]


def _always(sessions: Sessions) -> list[Floats]:
    """Call every pair a switch."""
    return [np.ones(len(session) - 1) for session in sessions]


def _topic_change(sessions: Sessions) -> list[Floats]:
    """Call a pair a switch if its items share no topic."""
    return [
        np.array([0.0 if set(first.topics) & set(second.topics) else 1.0 for first, second in pairwise(session)])
        for session in sessions
    ]


def _similarity(sessions: Sessions) -> list[Floats]:
    """Return 1 - cosine of the titles as the probability."""
    title_vectors([item for session in sessions for item in session])
    probabilities = []
    for session in sessions:
        vectors = title_vectors(session)
        cosine = (vectors[:-1] * vectors[1:]).sum(axis=1)
        # Rounding can make a cosine larger than 1.
        probabilities.append(np.clip(1 - cosine, 0, 1).astype(np.float64))
    return probabilities


BOUNDARY_SYSTEMS: dict[str, BoundarySystem] = {
    "whimbrel": _whimbrel,
    "always": _always,
    "topic-change": _topic_change,
    "similarity": _similarity,
}


def measure_boundaries(
    path: Path, names: Sequence[str], *, seed: int, limit: int | None, out: Path | None, progress: Progress
) -> dict[str, Any]:
    """Measure systems on all labelled pairs of neighbouring items, with 95% bootstrap intervals over sessions.

    Args:
        path: File of boundary cases.
        names: Names of BOUNDARY_SYSTEMS.
        seed: Seed of the intervals.
        limit: Use only this many cases.
        out: Folder for probabilities and results; None to keep nothing.
        progress: Where progress is shown.

    Raises:
        ConfigError: a system does not exist, or `out` cannot be written.
        DataError: the file cannot be read, or has no labelled pair.
    """
    unknown = [name for name in names if name not in BOUNDARY_SYSTEMS]
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is not a system for boundaries: give one of {', '.join(BOUNDARY_SYSTEMS)}")
    cases, problems = _read(path, limit)
    labelled = [[label is not None for label in case.switch] for case in cases]
    truth = np.array([label for case in cases for label in case.switch if label is not None], dtype=bool)
    if not len(truth):
        raise DataError(f"{str(path)!r} has no labelled pair" + (f": {problems[0]}" if problems else ""))
    # The labelled pairs of all sessions are in one array. The pairs of one session form a group and are drawn together.
    ends = np.cumsum([sum(known) for known in labelled])
    starts = np.concatenate([[0], ends[:-1]])
    groups = [np.arange(start, end) for start, end in zip(starts, ends, strict=True) if end > start]
    probabilities = {name: _predict(name, cases, progress) for name in names}
    systems = {}
    for name in names:
        of_labelled = np.concatenate([p[known] for p, known in zip(probabilities[name], labelled, strict=True)])
        threshold = THRESHOLDS.get(name, binary.THRESHOLD)
        systems[name] = measure_decisions(truth, of_labelled, groups, seed=seed, threshold=threshold)
    document: dict[str, Any] = without_nan(
        {
            "system": systems,
            "cases": {
                "n": len(cases),
                "labelled pairs": len(truth),
                "switches": int(truth.sum()),
                "wrong lines": [str(problem) for problem in problems],
            },
        }
    )
    if out is not None:
        _write(out, cases, probabilities, document)
    return document


def _read(path: Path, limit: int | None) -> tuple[list[BoundaryCase], list[Problem]]:
    cases: list[BoundaryCase] = []
    problems: list[Problem] = []
    for line in read_boundary_cases(path):
        if isinstance(line, Problem):
            problems.append(line)
        else:
            cases.append(line)
        if len(cases) == limit:
            break
    return cases, problems


def _predict(name: str, cases: Sequence[BoundaryCase], progress: Progress) -> list[Floats]:
    """Return the probabilities of a system, one array for each case. The system is not shown the labels."""
    progress.step(f"Boundaries: {name}", len(cases))
    probabilities = []
    for start in range(0, len(cases), CHUNK):
        chunk = cases[start : start + CHUNK]
        probabilities += BOUNDARY_SYSTEMS[name]([case.items for case in chunk])
        progress.advance(len(chunk))
    return probabilities


def _write(
    out: Path, cases: Sequence[BoundaryCase], probabilities: Mapping[str, Sequence[Floats]], document: dict[str, Any]
) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / BOUNDARIES).open("w", encoding="utf-8") as file:
            for name, of_system in probabilities.items():
                for case, of_case in zip(cases, of_system, strict=True):
                    line = {
                        "case_id": case.case_id,
                        "system": name,
                        "probability": [round(float(p), 6) for p in of_case],
                    }
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
        (out / RESULTS).write_text(json.dumps(document, indent=1, ensure_ascii=False))
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror or error}") from error
