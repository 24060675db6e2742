"""Choice of the model build that runs fastest on this processor, measured once and then saved.

Speeds are measured in a separate process, since llama.cpp may crash. This happens if the processor lists instructions
that the system forbids, such as AMX in a sandbox. A build that needs them is then left out.
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

from whimbrel.agent.language_models.local.library import available_cores, load_library
from whimbrel.agent.language_models.local.llama import Llama, Row
from whimbrel.agent.language_models.local.model_files import digest_of, requantise
from whimbrel.tools.errors import ModelError
from whimbrel.tools.files.atomic import atomic_write
from whimbrel.tools.files.paths import cache_folder

# About as many tokens as a request reads and writes. They are the weights of the two speeds.
TOKENS_READ, TOKENS_WRITTEN = 400, 60
# The tokens that a measurement reads and writes.
SAMPLE_READ, SAMPLE_WRITTEN = 96, 6
# A build replaces the best one if it takes less than this share of its time. A smaller gain may be a measuring error.
WORTH_CHANGING = 0.9

_CONTEXT_TOKENS = 256
# The formats in which a small model is tried, with llama.cpp's file types.
_FORMATS = {"Q8_0": 7, "BF16": 32, "F32": 0}
_PROCESSOR_FILE = Path("/proc/cpuinfo")
# Stands for the source file in a saved build, since the source file may be moved.
_SOURCE = Path("source")


class ModelBuild(BaseModel):
    """A model file, and how llama.cpp runs it.

    Attributes:
        file: A GGUF file. It is the source or holds the same weights in another format.
        repacked: Whether llama.cpp changes the layout of the weights for this processor.
        writing_threads: Number of threads that write.
        reads: Tokens read per second; 0 if not measured.
        writes: Tokens written per second; 0 if not measured.
    """

    model_config = ConfigDict(frozen=True)

    file: Path
    repacked: bool = True
    writing_threads: int = Field(default=1, ge=1, le=1024)
    reads: float = 0.0
    writes: float = 0.0

    @property
    def seconds(self) -> float:
        """The estimated time of a request in seconds; infinite if not measured."""
        return TOKENS_READ / self.reads + TOKENS_WRITTEN / self.writes if self.reads and self.writes else float("inf")

    @property
    def description(self) -> str:
        """The file, the layout and the number of threads, in a few words."""
        layout = "repacked" if self.repacked else "as it lies"
        threads = f"{self.writing_threads} writing thread{'s' if self.writing_threads > 1 else ''}"
        return f"{self.file.name}, {layout}, {threads}"

    def or_if_faster(self, other: "ModelBuild") -> "ModelBuild":
        """Return the other build if it is clearly faster, else this one. See `WORTH_CHANGING`."""
        return other if other.seconds < WORTH_CHANGING * self.seconds else self


def fastest_build(
    source: Path, *, small: bool, again: bool = False, tell: Callable[[str], None] | None = None
) -> ModelBuild:
    """Return the fastest build of a model file on this processor.

    The first call measures the builds, which takes seconds. Later calls return the saved result.

    Args:
        source: A GGUF file.
        small: Whether to try other formats too. The file of the fastest format is kept in the folder of saved builds.
        again: Whether to measure even if a build is saved.
        tell: Called with a sentence before the builds are measured.

    Raises:
        ModelError: There is no such file, or llama.cpp cannot load it.
    """
    if not source.is_file():
        raise ModelError(f"no model file at {str(source)!r}: give the path of a GGUF file after `gguf:`")
    source = source.absolute()
    digest = digest_of(source)
    folder = cache_folder() / "models"
    saved = folder / f"{digest}.{'small' if small else 'whole'}.{_machine_id()}.json"
    if not again and (build := _load(saved, source)):
        return build
    if tell:
        tell(f"Finding the fastest build of {source.name} on this processor (done only once)")
    files = [*_other_formats(source, folder, digest), source] if small else [source]
    with _Measuring() as measuring:
        best = measuring.measure(ModelBuild(file=files[0]))
        for file in files[1:]:
            best = best.or_if_faster(measuring.measure(ModelBuild(file=file)))
        for change in ({"repacked": False}, {"writing_threads": available_cores()}):
            best = best.or_if_faster(measuring.measure(best.model_copy(update=change)))
    if not best.reads:
        raise ModelError(
            f"llama.cpp crashes when it reads {source.name!r} on this processor: use another model, or --llm none"
        )
    for file in files:
        if file not in (source, best.file):
            file.unlink(missing_ok=True)
    _save(saved, best, source)
    return best


def replace_damaged_build(source: Path, *, small: bool) -> ModelBuild:
    """Delete the damaged file of the saved build. Measure again and return the fastest build."""
    build = fastest_build(source, small=small)
    if build.file.parent == cache_folder() / "models":  # the source itself is never deleted
        build.file.unlink(missing_ok=True)
    return fastest_build(source, small=small, again=True)


def _other_formats(source: Path, folder: Path, digest: str) -> list[Path]:
    """Write the model in other formats; return the files that could be written."""
    # BF16 is only worth trying if the processor has instructions for it
    has_bf16 = b"AVX512_BF16 = 1" in load_library().llama_print_system_info()
    files = []
    for name, file_type in _FORMATS.items():
        target = folder / f"{source.name.split('.')[0]}-{digest}.{name}.gguf"
        if (name != "BF16" or has_bf16) and requantise(source, target, file_type):
            files.append(target)
    return files


class _Measuring:
    """Measures builds in another process. If that process crashes, it is started again."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._process:
            self._process.communicate()

    def measure(self, build: ModelBuild) -> ModelBuild:
        """Return the build with its speeds.

        If a repacked build crashes the process, it is measured without repacking. The speeds stay 0 if that crashes
        too. They also stay 0 if a repacked build cannot be loaded.

        Raises:
            ModelError: llama.cpp cannot load a build that is not repacked.
        """
        if self._process is None or self._process.returncode is not None:
            self._process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", __name__], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
        answer = _exchange(self._process, build.model_dump_json())
        if not answer:
            self._end()
            return build if not build.repacked else self.measure(build.model_copy(update={"repacked": False}))
        measured = json.loads(answer)
        if "error" not in measured:
            return ModelBuild.model_validate(measured)
        if build.repacked:
            return build
        raise ModelError(measured["error"])


def _exchange(process: "subprocess.Popen[str]", line: str) -> str:
    """Send a line to a process and return its answer; empty if the process crashed."""
    if process.stdin is None or process.stdout is None:
        return ""
    with suppress(BrokenPipeError):
        process.stdin.write(line + "\n")
        process.stdin.flush()
    return process.stdout.readline()


def _answer(line: str) -> str:
    """Return the answer of the measuring process to a build."""
    try:
        return _measure_here(ModelBuild.model_validate_json(line)).model_dump_json()
    except ModelError as error:
        return json.dumps({"error": str(error)})


def _measure_here(build: ModelBuild) -> ModelBuild:
    """Return the build with its speeds, measured in this process."""
    llama = Llama(
        build.file, context_tokens=_CONTEXT_TOKENS, repacked=build.repacked, writing_threads=build.writing_threads
    )
    try:
        # any tokens will do if they differ from each other
        rows = [Row(100 + 7 * n, n, 0, n + 1 == SAMPLE_READ) for n in range(SAMPLE_READ)]
        _timed_decode(llama, rows[:8])  # the first batch also sets up the context
        llama.clear()
        reading = []
        for _ in range(2):
            llama.clear()
            reading.append(_timed_decode(llama, rows))
        writing = [_timed_decode(llama, [Row(100 + n, SAMPLE_READ + n, 0, True)]) for n in range(SAMPLE_WRITTEN)]
        return build.model_copy(
            update={"reads": SAMPLE_READ / min(reading), "writes": 1 / sorted(writing)[SAMPLE_WRITTEN // 2]}
        )
    finally:
        llama.close()


def _timed_decode(llama: Llama, rows: Sequence[Row]) -> float:
    started = time.perf_counter()
    llama.decode(rows)
    llama.logits(1)[0, 0]  # waits until they are computed
    return time.perf_counter() - started


def _machine_id() -> str:
    """Return a name for this processor and version of llama.cpp. A saved model build is valid only for them."""
    facts = [load_library().__version__, str(available_cores()), platform.machine(), _processor_name()]
    return hashlib.sha256("|".join(facts).encode()).hexdigest()[:12]


def _processor_name() -> str:
    try:
        lines = _PROCESSOR_FILE.read_text("utf-8", "replace").splitlines()
    except OSError:
        return platform.processor()
    return next((line for line in lines if line.startswith("model name")), platform.processor())


def _load(path: Path, source: Path) -> ModelBuild | None:
    """Return a saved build; None if there is none or its file is missing.

    The file must be the source or be in the folder of saved builds. Any other path in a saved build is ignored.
    """
    try:
        build = ModelBuild.model_validate_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    if build.file == _SOURCE:
        return build.model_copy(update={"file": source})
    return build if build.file.parent == path.parent and build.file.is_file() else None


def _save(path: Path, build: ModelBuild, source: Path) -> None:
    saved = build.model_copy(update={"file": _SOURCE}) if build.file == source else build
    with suppress(OSError), atomic_write(path) as partial:  # if writing fails, the next process measures again
        partial.write_text(saved.model_dump_json(indent=1))


if __name__ == "__main__":
    for build_line in sys.stdin:
        print(_answer(build_line), flush=True)
