"""In which form a model runs fastest on this processor: measured once, in a process of its own, then remembered.

On some machines llama.cpp dies of instructions that the processor names and the system forbids (AMX in a sandbox): the
form that needs them is then left out.
"""

import hashlib
import json
import platform
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Self

from pydantic import BaseModel, ConfigDict, Field

from whimbrel.agent.language_models.local.llama import Llama, Row, cores, digest_of, load_library, requantised
from whimbrel.tools.errors import ModelError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.files.paths import cache_folder

READ, WRITTEN = 400, 60
"""Tokens that a request reads afresh and tokens it waits for one by one, about: they weigh the two speeds."""
TRIED_READING, TRIED_WRITING = 96, 6
WORTH_CHANGING = 0.9
_CONTEXT = 256
_FORMATS = {"Q8_0": 7, "BF16": 32, "F32": 0}
"""Formats into which a small model is tried, with llama.cpp's file types; BF16 only where the processor knows it."""
_MODEL_NAME = Path("/proc/cpuinfo")
_SOURCE = Path("source")
"""Stands in a finding for the file that was given."""


class Form(BaseModel):
    """A model file, whether its weights are repacked, by how many threads it writes, and the speeds found (tokens a
    second, 0 where they were not measured)."""

    model_config = ConfigDict(frozen=True)

    file: Path
    repacked: bool = True
    writing_threads: int = Field(default=1, ge=1, le=1024)
    reads: float = 0.0
    writes: float = 0.0

    @property
    def seconds(self) -> float:
        """What a request takes, about."""
        return READ / self.reads + WRITTEN / self.writes if self.reads and self.writes else float("inf")

    def unless(self, other: "Form") -> "Form":
        """This form, or the other where that is faster by more than the measurement errs."""
        return other if other.seconds < WORTH_CHANGING * self.seconds else self

    @property
    def words(self) -> str:
        """In a few words."""
        return (
            f"{self.file.name}, {'repacked' if self.repacked else 'as it lies'}, {self.writing_threads} writing thread"
            f"{'s' if self.writing_threads > 1 else ''}"
        )


def fastest_form(source: Path, *, small: bool, again: bool = False, tell: Callable[[str], None] | None = None) -> Form:
    """The form of a model file that is fastest here. The first time it is measured, which takes seconds (`tell` hears
    of it); `small` models are tried in other formats too, of which the fastest is kept beside the finding.

    Raises:
        ModelError: no such file, or llama.cpp cannot load it.
    """
    if not source.is_file():
        raise ModelError(f"no model file at {str(source)!r}: give the path of a GGUF file after `gguf:`")
    source = source.absolute()
    digest = digest_of(source)
    folder = cache_folder() / "models"
    found = folder / f"{digest}.{'small' if small else 'whole'}.{_machine()}.json"
    if not again and (known := _known(found, source)):
        return known
    if tell:
        tell(f"Finding the fastest form of {source.name} on this processor, once")
    files = [source]
    if small:
        files = [*_reformatted(source, folder, digest), source]
    with _Measuring() as measuring:
        best = measuring.measured(Form(file=files[0]))
        for file in files[1:]:
            best = best.unless(measuring.measured(Form(file=file)))
        for other in ({"repacked": False}, {"writing_threads": cores()}):
            best = best.unless(measuring.measured(best.model_copy(update=other)))
    if not best.reads:
        raise ModelError(
            f"llama.cpp dies as it reads {source.name!r} on this processor: use another model, or --llm none"
        )
    for file in files:
        if file not in (source, best.file):
            file.unlink(missing_ok=True)
    _remember(found, best, source)
    return best


def forget_form(source: Path, *, small: bool) -> Form:
    """Measure again, since the file that was found is damaged."""
    form = fastest_form(source, small=small)
    if form.file.parent == cache_folder() / "models":
        form.file.unlink(missing_ok=True)
    return fastest_form(source, small=small, again=True)


def _reformatted(source: Path, folder: Path, digest: str) -> list[Path]:
    bf16 = b"AVX512_BF16 = 1" in load_library().llama_print_system_info()
    made = []
    for name, kind in _FORMATS.items():
        target = folder / f"{source.name.split('.')[0]}-{digest}.{name}.gguf"
        if (name != "BF16" or bf16) and requantised(source, target, kind):
            made.append(target)
    return made


class _Measuring:
    """Measures forms in another process, begun again where it dies."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._process:
            self._process.communicate()

    def measured(self, form: Form) -> Form:
        """The form with its speeds. One that kills the process is measured as it lies instead of repacked; if that
        kills it too, or it does not load repacked, it has no speeds.

        Raises:
            ModelError: llama.cpp cannot load it.
        """
        if self._process is None or self._process.returncode is not None:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        line = _asked(self._process, form.model_dump_json())
        if not line:
            self._end()
            return form if not form.repacked else self.measured(form.model_copy(update={"repacked": False}))
        told = json.loads(line)
        if "error" not in told:
            return Form.model_validate(told)
        if form.repacked:
            return form
        raise ModelError(told["error"])


def _asked(process: "subprocess.Popen[str]", line: str) -> str:
    """What a process answers to a line; nothing where it died."""
    if process.stdin is None or process.stdout is None:
        return ""
    with suppress(BrokenPipeError):
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return process.stdout.readline()


def _answer(line: str) -> str:
    """What a process that measures says of a form."""
    try:
        return _measured(Form.model_validate_json(line)).model_dump_json()
    except ModelError as error:
        return json.dumps({"error": str(error)})


def _measured(form: Form) -> Form:
    """The form with its speeds."""
    llama = Llama(form.file, context_tokens=_CONTEXT, repacked=form.repacked, writing_threads=form.writing_threads)
    try:
        rows = [Row(100 + 7 * n, n, 0, n + 1 == TRIED_READING) for n in range(TRIED_READING)]
        _seconds(llama, rows[:8])
        llama.clear()
        reading = []
        for _ in range(2):
            llama.clear()
            reading.append(_seconds(llama, rows))
        writing = [_seconds(llama, [Row(100 + n, TRIED_READING + n, 0, True)]) for n in range(TRIED_WRITING)]
        return form.model_copy(
            update={"reads": TRIED_READING / min(reading), "writes": 1 / sorted(writing)[TRIED_WRITING // 2]}
        )
    finally:
        llama.close()


def _seconds(llama: Llama, rows: Sequence[Row]) -> float:
    started = time.perf_counter()
    llama.decode(rows)
    llama.logits(1)[0, 0]  # waits until it is there
    return time.perf_counter() - started


def _machine() -> str:
    """Names the processor and the build of llama.cpp that the finding holds for."""
    facts = [load_library().__version__, str(cores()), platform.machine(), _processor()]
    return hashlib.sha256("|".join(facts).encode()).hexdigest()[:12]


def _processor() -> str:
    try:
        lines = _MODEL_NAME.read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())


def _known(path: Path, source: Path) -> Form | None:
    """A finding names a file of our own, or none where the form is the source itself."""
    try:
        form = Form.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    if form.file == _SOURCE:
        return form.model_copy(update={"file": source})
    return form if form.file.parent == path.parent and form.file.is_file() else None


def _remember(path: Path, form: Form, source: Path) -> None:
    kept = form.model_copy(update={"file": _SOURCE}) if form.file == source else form
    with suppress(OSError), atomic_write(path) as partial:
        partial.write_text(kept.model_dump_json(indent=1))


if __name__ == "__main__":
    for asked in sys.stdin:
        print(_answer(asked), flush=True)
