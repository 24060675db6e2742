"""The results that pages state, kept in one file: each figure with its interval, its n, its command and its commit.

Pages are compared with this file, so that a page never states what no run gave. A kept run can replace figures.
"""

import json
import re
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from whimbrel import __version__
from whimbrel.evals.runs.files import RESULTS, read_document
from whimbrel.tools.errors import DataError
from whimbrel.tools.files.atomic import atomic_write

_Share = Annotated[float, Field(allow_inf_nan=False)]


class _Value(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class RunKeys(_Value):
    """Where the JSON results of a run hold a figure: keys with slashes between them."""

    value: str
    ci: str
    n: str


class Figure(_Value):
    """A figure that pages state.

    Attributes:
        value: The value.
        ci: Its 95% interval, if it has one.
        n: What it was measured on: cases, people or events.
        written: How pages write it: `.683 [.616, .748]`, `2.0` (percent) or `1,519 of 1,519` (a share of n as counts).
        command: The command that measured it.
        commit: The commit that it was measured at, or the version.
        date: The day.
        run: Where a run's results hold it; None if they do not.
        pages: Pages that state it.
    """

    value: _Share
    ci: tuple[_Share, _Share] | None
    n: Annotated[int, Field(ge=1)]
    written: Literal["decimal", "percent", "count"]
    command: str
    commit: str
    date: str
    run: RunKeys | None
    pages: tuple[str, ...]

    def text(self, part: str = "") -> str:
        """Return the figure as pages write it: whole, or only its `value` or `n`.

        Example:
            >>> facts = {"command": "", "commit": "", "date": "", "run": None, "pages": ()}
            >>> Figure(value=0.5, ci=(0.25, 1), n=2000, written="decimal", **facts).text()
            '.500 [.250, 1.000]'
            >>> Figure(value=0.5, ci=(0.25, 1), n=2000, written="count", **facts).text()
            '1,000 of 2,000'
        """
        if part == "n":
            return f"{self.n:,}"
        if self.written == "count":
            return f"{round(self.value * self.n):,} of {self.n:,}"
        if self.written == "percent":
            return f"{100 * self.value:.1f}"
        if part == "value" or self.ci is None:
            return _decimal(self.value)
        return f"{_decimal(self.value)} [{_decimal(self.ci[0])}, {_decimal(self.ci[1])}]"


class Line(_Value):
    """A line of a page, with figures as {NAME}, {NAME:value} or {NAME:n}."""

    page: str
    text: str


class KeptResults(_Value):
    """All figures by their names, and the lines of pages that state them."""

    figures: dict[str, Figure]
    lines: tuple[Line, ...]

    def write_line(self, line: Line) -> str:
        """Return a line with its figures.

        Raises:
            DataError: it names a figure that does not exist.
        """

        def written(match: re.Match[str]) -> str:
            name, _, part = match[1].partition(":")
            if name not in self.figures:
                raise DataError(f"a line of {line.page!r} names the figure {name!r}, which does not exist")
            return self.figures[name].text(part)

        return re.sub(r"\{([^{}]+)\}", written, line.text)


def kept_results_file() -> Path:
    """Return the file of the kept results."""
    return Path(str(resources.files("whimbrel.evals").joinpath("data", "results.json")))


def read_results(path: Path) -> KeptResults:
    """Read kept results.

    Raises:
        DataError: the file is absent or damaged.
    """
    try:
        return KeptResults.model_validate(read_document(path))
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        raise DataError(f"{str(path)!r}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from error


def differences(results: KeptResults, root: Path) -> Iterator[str]:
    """Yield a sentence for each page that lacks a line or a figure as it was measured.

    Args:
        results: The kept results.
        root: The folder of the pages.

    Raises:
        DataError: a page cannot be read.
    """
    for line in results.lines:
        if (words := results.write_line(line)) not in _lines(root / line.page):
            yield f"{line.page} lacks the line {words!r}"
    for name, figure in results.figures.items():
        for page in figure.pages:
            if not any(figure.text() in line for line in _lines(root / page)):
                yield f"{page} lacks {figure.text()!r} ({name})"


def _lines(page: Path) -> list[str]:
    try:
        return page.read_text("utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"page {str(page)!r} cannot be read ({error}): name the checkout with --pages") from error


def take_from_run(results: KeptResults, group: str, run: Path, command: str | None = None) -> KeptResults:
    """Return the results with the figures of a group as a run has them.

    Args:
        results: The kept results.
        group: The figures whose names begin with this word and a dot.
        run: The folder of a run, or a file with the JSON that a command printed.
        command: The command of the run, if it has changed.

    Raises:
        DataError: the group has no such figure, or the run does not hold one of its figures.
    """
    document = read_document(run / RESULTS if run.is_dir() else run)
    names = [name for name, figure in results.figures.items() if name.startswith(f"{group}.") and figure.run]
    if not names:
        groups = sorted({name.split(".")[0] for name, figure in results.figures.items() if figure.run})
        raise DataError(f"no figure of {group!r} can be read from a run: name one of {', '.join(groups)}")
    facts = {"commit": _commit(), "date": f"{datetime.now(UTC):%Y-%m-%d}"} | ({"command": command} if command else {})
    new = {name: _measured(results.figures[name], document, run).model_copy(update=facts) for name in names}
    return results.model_copy(update={"figures": {**results.figures, **new}})


def _measured(figure: Figure, document: dict[str, Any], run: Path) -> Figure:
    keys = figure.run or RunKeys(value="", ci="", n="")
    try:
        found = {name: _at(document, key) for name, key in keys.model_dump().items()}
        return Figure.model_validate(figure.model_dump() | found)
    except (KeyError, TypeError, ValidationError) as error:
        raise DataError(f"{str(run)!r} does not hold {keys.value!r} with its interval and n") from error


def _at(document: Any, keys: str) -> Any:
    for key in keys.split("/"):
        document = document[key]
    return document


def _commit() -> str:
    """Return the commit of the checkout, or the version if there is none."""
    command = ["git", "-C", str(Path(__file__).resolve().parent), "rev-parse", "--short", "HEAD"]
    try:
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()  # noqa: S603
    except (OSError, subprocess.CalledProcessError):
        return __version__


def keep(results: KeptResults, before: KeptResults, path: Path, root: Path) -> None:
    """Write results to their file, and replace the lines of pages that state old figures.

    Raises:
        DataError: a page cannot be read.
    """
    for line in results.lines:
        page = root / line.page
        old, new = before.write_line(line), results.write_line(line)
        lines = [new if words == old else words for words in _lines(page)]
        with atomic_write(page) as partial:
            partial.write_text("\n".join(lines) + "\n", "utf-8")
    with atomic_write(path) as partial:
        partial.write_text(json.dumps(results.model_dump(mode="json"), indent=1, ensure_ascii=False) + "\n", "utf-8")


def _decimal(value: float) -> str:
    return re.sub(r"^(-?)0\.", r"\1.", f"{value:.3f}")
