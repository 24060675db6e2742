"""Folders, imports, packaging and the README hold together."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
COMMANDS = (
    "ingest",
    "recommend",
    "shift",
    "chat",
    "demo",
    "fit",
    "forget",
    "models list",
    "models check",
    "models bench",
    "models pull",
    "eval rank",
    "eval log",
    "eval boundaries",
    "eval migration",
    "eval shift",
    "eval report",
    "eval agreement",
    "eval cost",
    "eval cross-domain",
    "eval defaults topics",
    "eval defaults fusion",
    "eval explanations",
    "eval lift",
    "eval planted",
    "eval scale",
    "eval validity",
)
FOLDERS = ("prompts", "tools", "agent", "evals")


def test_imports_keep_to_the_layers() -> None:
    """The contracts are in pyproject.toml; `make lint` checks them, too."""
    command = [str(Path(sys.executable).parent / "lint-imports"), "--no-logo", "--no-cache"]
    checked = subprocess.run(command, cwd=ROOT, check=False, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout


def test_every_folder_with_code_is_a_package() -> None:
    for folder in FOLDERS:
        for file in (ROOT / folder).rglob("*.py"):
            assert (file.parent / "__init__.py").is_file(), f"{file.parent} has no __init__.py"


@pytest.mark.slow
def test_a_wheel_works_elsewhere_with_its_prompts_and_tokenizer(tmp_path: Path) -> None:
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(tmp_path), str(ROOT)]
    subprocess.run(build, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "elsewhere")
    files = [*(ROOT / "prompts").glob("*.md"), *(ROOT / "prompts").glob("*.toml")]
    prompts = {f"whimbrel/prompts/{file.name}" for file in files}
    assert prompts | {"whimbrel/tools/text/minilm_tokenizer.json", "whimbrel/evals/reports/report.html"} <= names
    program = (
        "import sys; sys.meta_path = [f for f in sys.meta_path if 'editable' not in str(f).lower()];"
        "sys.modules.pop('whimbrel', None);"
        "from whimbrel.tools.text.minilm import ENGLISH; import whimbrel.tools;"
        "from whimbrel.prompts import load; load('explain', version=3);"
        "from whimbrel.prompts.phrases import load_phrases; load_phrases('zh');"
        "print(whimbrel.tools.__file__, ENGLISH.encode(['tea']).shape)"
    )
    elsewhere = dict(os.environ, PYTHONPATH=str(tmp_path / "elsewhere"))
    told = subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=elsewhere, check=True, capture_output=True, text=True
    ).stdout
    assert told.startswith(str(tmp_path))
    assert told.strip().endswith("(1, 384)")


def test_help_needs_no_heavy_library() -> None:
    heavy = ("chromadb", "langchain_core", "llama_cpp", "matplotlib", "numpy", "openai", "pydantic", "scipy", "sklearn")
    program = (
        "import sys; from whimbrel.agent.cli.main import build_app; build_app();"  # with the commands of evals
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True).stdout
    assert printed.strip() == "[]"


def test_every_command_is_in_the_documentation_and_has_an_example() -> None:
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
    documentation = "\n".join(page.read_text() for page in pages)
    for command in COMMANDS:
        assert f"whimbrel {command}" in documentation, command
        help_text = subprocess.run(
            [sys.executable, "-m", "whimbrel.agent.cli.main", *command.split(), "--help"],
            check=True,
            capture_output=True,
            text=True,
        ).stdout
        assert "Example: whimbrel" in help_text


def test_exported_names_exist() -> None:
    import whimbrel.agent

    for name in whimbrel.agent.__all__:
        assert getattr(whimbrel.agent, name).__name__ == name
    with pytest.raises(AttributeError):
        _ = whimbrel.agent.Nothing  # type: ignore[attr-defined]
