"""The files of a run folder.

`manifest.json` holds everything that the rankings depend on. `plan.json` holds the paths of the run's inputs.
`rankings.jsonl` has one line for each case and system. All lines of one system follow each other, in the order of the
cases. `outcomes.jsonl` has the same lines, with tied ranks, seconds, usage and failures.

Lines are only appended. Before a run resumes, both files are cut to the lines that are complete in both.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Annotated, Any, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whimbrel.tools.errors import ConfigError, DataError

RANKINGS, OUTCOMES = "rankings.jsonl", "outcomes.jsonl"
PLAN, MANIFEST, SKIPPED, RESULTS = "plan.json", "manifest.json", "skipped.json", "results.json"
BOUNDARIES = "boundaries.jsonl"
"""A run of `eval boundaries` has this file instead of rankings and outcomes."""


_Amount = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Probability = Annotated[float, Field(ge=0, le=1)]
_Position = Annotated[int, Field(ge=0, le=1 << 31)]


class _Line(BaseModel):
    """A line of a run about one case and system. Keys of other versions are ignored."""

    model_config = ConfigDict(frozen=True)

    case_id: str
    system: str


class RankingLine(_Line):
    """A line of `rankings.jsonl`: the ids of the ranked items, the best first, and warnings."""

    ranking: list[str]
    warnings: list[str]


class PredictedShift(BaseModel):
    """The shift that a system predicted for a case (see `agent.schema.results.Shift`)."""

    model_config = ConfigDict(frozen=True)

    kind: str
    confidence: _Probability
    to_topics: list[str]
    reason: str


class OutcomeLine(_Line):
    """A line of `outcomes.jsonl`.

    Attributes:
        ties: Each run of equal scores as first position, counted from 0, and length.
        failure: The system's error; "" if none.
        shift: The predicted shift, if there is one.
        said: What contributed to the first item's score, in words.
        moves: The predicted probability that the interest moves.
    """

    ties: list[tuple[_Position, _Position]]
    failure: str
    seconds: _Amount
    llm_calls: _Amount
    prompt_tokens: _Amount
    completion_tokens: _Amount
    cost_usd: _Amount
    shift: PredictedShift | None = None
    said: str = ""
    moves: _Probability | None = None


L = TypeVar("L", bound=_Line)


def read_rankings(folder: Path) -> Iterator[RankingLine]:
    """Yield the rankings of a run folder.

    Raises:
        DataError: a line is damaged.
    """
    return _read_lines(folder / RANKINGS, RankingLine)


def read_outcomes(folder: Path) -> Iterator[OutcomeLine]:
    """Yield the outcomes of a run folder.

    Raises:
        DataError: a line is damaged.
    """
    return _read_lines(folder / OUTCOMES, OutcomeLine)


def read_answers(folder: Path) -> Iterator[tuple[RankingLine, OutcomeLine]]:
    """Yield each ranking of a run folder with its outcome.

    Raises:
        DataError: a line is damaged, or the two files do not belong together.
    """
    outcomes = read_outcomes(folder)
    for line in read_rankings(folder):
        outcome = next(outcomes, None)
        if outcome is None or (outcome.case_id, outcome.system) != (line.case_id, line.system):
            raise DataError(f"{str(folder)!r}: no outcome for {line.system!r} on case {line.case_id!r}: run it again")
        yield line, outcome
    if next(outcomes, None) is not None:
        raise DataError(f"{str(folder)!r} has more outcomes than rankings: run it again")


def _read_lines(path: Path, kind: type[L]) -> Iterator[L]:
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield kind.model_validate_json(line)
            except ValidationError as error:
                first = error.errors(include_url=False, include_input=False)[0]
                where = ".".join(map(str, first["loc"]))
                raise DataError(f"{str(path)!r}, line {number}: {where and f'{where}: '}{first['msg']}") from error


def read_lines(path: Path) -> Iterator[Any]:
    """Return the documents of a file, one per line. If there is no file, there are no documents.

    Raises:
        DataError: a line is not JSON.
    """
    if not path.is_file():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, start=1):
            try:
                yield json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{str(path)!r}, line {number}: not JSON: {error}") from error


def read_document(path: Path) -> dict[str, Any]:
    """Return the JSON object of a file.

    Raises:
        DataError: the file is absent or damaged.
    """
    try:
        document = json.loads(path.read_text("utf-8"))
        if not isinstance(document, dict):
            raise ValueError("not a JSON object")
    except (OSError, ValueError, RecursionError) as error:
        raise DataError(f"{str(path)!r} cannot be read: {error}") from error
    return document


def append_line(file: IO[bytes], document: dict[str, Any]) -> None:
    """Append a document to a file and flush it at once."""
    file.write(json.dumps(document, ensure_ascii=False).encode() + b"\n")
    file.flush()


def claim(folder: Path, manifest: dict[str, Any]) -> None:
    """Create the folder of a run, or check that it holds a run with this manifest.

    Raises:
        ConfigError: the folder cannot be used, or holds another run.
    """
    path = folder / MANIFEST
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.is_file():
            # A manifest that is only partly written must not look like the manifest of another run.
            partial = path.with_suffix(".partial")
            partial.write_text(json.dumps(manifest, indent=1))
            partial.replace(path)
            return
        existing = read_document(path)
    except (OSError, ValueError, DataError) as error:
        raise ConfigError(f"run folder {str(folder)!r} cannot be used: {error}") from error
    # Both are compared as JSON, since a tuple of the manifest is a list in the file.
    differing = [key for key in manifest if existing.get(key) != json.loads(json.dumps(manifest[key]))]
    if differing:
        raise ConfigError(
            f"{str(folder)!r} holds a run with other {', '.join(differing)}: give another --out, or remove it"
        )


def mend(folder: Path) -> int:
    """Cut both files to the lines that are complete in both, and return the number of these lines."""
    paths = (folder / RANKINGS, folder / OUTCOMES)
    # A process may have been killed after it wrote to one of the two files.
    whole = min(_count_whole_lines(path) for path in paths)
    for path in paths:
        if path.is_file():
            with path.open("r+b") as file:
                for _ in range(whole):
                    file.readline()
                file.truncate(file.tell())
    return whole


def _count_whole_lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open("rb") as file:
        return sum(line.endswith(b"\n") for line in file)


def read_skipped(folder: Path) -> dict[str, str]:
    """Return the systems of a run that were skipped, with the reason of each."""
    try:
        return {name: str(reason) for name, reason in read_document(folder / SKIPPED).items()}
    except DataError:
        return {}
