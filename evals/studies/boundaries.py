"""Boundaries of intent within sessions: systems, and the table that compares them."""

import json
from collections.abc import Callable, Sequence
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
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Item
from whimbrel.tools.text.item_vectors import title_vectors

Floats = NDArray[np.float64]
Sessions = Sequence[Sequence[Item]]
BoundarySystem = Callable[[Sessions], list[Floats]]
"""Sessions in, for each the probability of a switch after every item but the last."""

THRESHOLDS = {"whimbrel": SWITCH}
"""Probability from which a system says yes, where it is not .5."""
BOUNDARIES = "boundaries.jsonl"
CHUNK = 1000
"""Sessions of one call: their texts are encoded together, and they tell what is usual among them."""


def _whimbrel(sessions: Sessions) -> list[Floats]:
    title_vectors([item for session in sessions for item in session])  # encoded together, then remembered
    among = spread_of(sessions)
    return [switch_probabilities(session, among=among) for session in sessions]


def _always(sessions: Sessions) -> list[Floats]:
    """The intent changes at every step."""
    return [np.ones(len(session) - 1) for session in sessions]


def _topic_change(sessions: Sessions) -> list[Floats]:
    """It changes where two neighbours share no topic."""
    return [
        np.array([0.0 if set(one.topics) & set(next_.topics) else 1.0 for one, next_ in pairwise(session)])
        for session in sessions
    ]


def _similarity(sessions: Sessions) -> list[Floats]:
    """The less alike the titles of two neighbours, the likelier: 1 - cosine."""
    title_vectors([item for session in sessions for item in session])
    found = []
    for session in sessions:
        vectors = title_vectors(session)
        found.append(np.clip(1 - (vectors[:-1] * vectors[1:]).sum(axis=1), 0, 1).astype(np.float64))
    return found


BOUNDARY_SYSTEMS: dict[str, BoundarySystem] = {
    "whimbrel": _whimbrel,
    "always": _always,
    "topic-change": _topic_change,
    "similarity": _similarity,
}


def measure_boundaries(
    path: Path,
    names: Sequence[str],
    *,
    llm: str,
    seed: int,
    limit: int | None,
    out: Path | None,
    progress: Progress,
) -> dict[str, Any]:
    """Metrics of each system over all labelled pairs of neighbours, with 95% bootstrap intervals over sessions.

    Raises:
        ConfigError: no such system.
        DataError: the file cannot be read, or no line of it holds a case with a labelled pair.
    """
    unknown = [name for name in names if name not in BOUNDARY_SYSTEMS]
    if unknown:
        raise ConfigError(f"{unknown[0]!r} is no system for boundaries: give one of {', '.join(BOUNDARY_SYSTEMS)}")
    cases: list[BoundaryCase] = []
    problems: list[Problem] = []
    for read in read_boundary_cases(path):
        if isinstance(read, Problem):
            problems.append(read)
        else:
            cases.append(read)
        if len(cases) == limit:
            break
    labelled = [[label is not None for label in case.switch] for case in cases]
    truth = np.array([label for case in cases for label in case.switch if label is not None], dtype=bool)
    if not len(truth):
        raise DataError(f"{str(path)!r} holds no labelled pair" + (f": {problems[0]}" if problems else ""))
    sizes = [sum(known) for known in labelled]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    groups = [np.arange(start, start + size) for start, size in zip(starts[:-1], sizes, strict=True) if size]
    said: dict[str, list[Floats]] = {}
    for name in names:
        progress.step(f"Boundaries: {name}", len(cases))
        said[name] = []
        for start in range(0, len(cases), CHUNK):
            chunk = cases[start : start + CHUNK]
            said[name] += BOUNDARY_SYSTEMS[name]([case.items for case in chunk])  # the labels stay here
            progress.advance(len(chunk))
    systems = {}
    for name in names:
        probability = np.concatenate([all_[known] for all_, known in zip(said[name], labelled, strict=True)])
        threshold = THRESHOLDS.get(name, binary.THRESHOLD)
        systems[name] = measure_decisions(truth, probability, groups, seed=seed, threshold=threshold)
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
        _write(out, cases, said, document)
    return document


def _write(out: Path, cases: Sequence[BoundaryCase], said: dict[str, list[Floats]], document: dict[str, Any]) -> None:
    try:
        out.mkdir(parents=True, exist_ok=True)
        with (out / BOUNDARIES).open("w", encoding="utf-8") as file:
            for name, probabilities in said.items():
                for case, probability in zip(cases, probabilities, strict=True):
                    line = {
                        "case_id": case.case_id,
                        "system": name,
                        "probability": [round(float(p), 6) for p in probability],
                    }
                    file.write(json.dumps(line, ensure_ascii=False) + "\n")
        (out / "results.json").write_text(json.dumps(document, indent=1, ensure_ascii=False))
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror or error}") from error
