"""The manifest of a run: everything that its rankings depend on. Equal manifests give equal rankings, byte for byte."""

import hashlib
from dataclasses import asdict
from importlib import metadata, resources
from pathlib import Path
from typing import Any

from whimbrel.agent.fitted import FILES
from whimbrel.agent.learning.fitted_log import ITEMS, LOG
from whimbrel.evals.runs.plan import Plan
from whimbrel.tools.errors import DataError, WhimbrelError

LIBRARIES = ("numpy", "llama-cpp-python", "implicit", "gensim", "torch", "rectools")
"""Libraries whose versions can change a ranking."""


def manifest_of(plan: Plan) -> dict[str, Any]:
    """Return the manifest of a plan.

    Raises:
        DataError: a file of the plan cannot be read.
    """
    prompts = resources.files("whimbrel.prompts")
    prompt_files = sorted(file.name for file in prompts.iterdir() if file.name.endswith(".md"))
    return {
        "version": metadata.version("whimbrel"),
        "cases": _digest(plan.cases),
        "sessions": _digest(plan.sessions) if plan.sessions else None,
        "items": _digest(plan.items) if plan.items else None,
        "limit": plan.limit,
        "part": asdict(plan.part) if plan.part else None,
        "systems": list(plan.systems),
        "settings": asdict(plan.settings),
        "fitted": _fitted_digest(Path(plan.settings.fitted)) if plan.settings.fitted else None,
        # Only this system asks a language model.
        "model": _model_digest(plan.settings.llm) if "whimbrel" in plan.systems else None,
        "prompts": {name: hashlib.sha256(prompts.joinpath(name).read_bytes()).hexdigest() for name in prompt_files},
        "libraries": {name: _version(name) for name in LIBRARIES},
    }


def _digest(path: Path) -> str:
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while part := file.read(1 << 20):
                digest.update(part)
    except OSError as error:
        raise DataError(f"{str(path)!r} cannot be read: {error.strerror or error}") from error
    return digest.hexdigest()


def _fitted_digest(folder: Path) -> str:
    """Return a digest of all files of a fitted log. A missing file counts as "-"."""
    files = [folder / name for name in (*FILES, LOG, ITEMS)]
    return hashlib.sha256("".join(_digest(file) if file.is_file() else "-" for file in files).encode()).hexdigest()


def _model_digest(spec: str) -> str:
    """Return a digest of a model's file, and its build. If the model is not on this machine, return the spec."""
    from whimbrel.agent.language_models.local.openers import build_of

    try:
        build = build_of(spec)
        return f"{_digest(build.file)} {build.description}" if build else spec
    except WhimbrelError:
        return spec


def _version(name: str) -> str | None:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return None
