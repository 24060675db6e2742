"""The wheel, the container file and the extras hold what they promise."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FOLDERS = ("agent", "evals", "prompts", "tools")
DATA_FILES = {
    "whimbrel/py.typed",
    "whimbrel/__init__.pyi",
    "whimbrel/agent/serving/page.html",
    "whimbrel/agent/policies/minors.toml",
    "whimbrel/agent/ranking/shipped_weights.json",
    "whimbrel/evals/data/results.json",
    "whimbrel/evals/reports/report.html",
    "whimbrel/prompts/en.toml",
    "whimbrel/prompts/zh.toml",
    "whimbrel/tools/text/minilm_tokenizer.json",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = sorted(PROJECT["project"]["optional-dependencies"])


def tracked(folder: str) -> set[str]:
    """The files of a folder that belong to the project, by their names in the wheel."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", folder],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return {f"whimbrel/{name}" for name in listed.stdout.splitlines() if (ROOT / name).is_file()}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the source archive, and with the wheel that was built from it."""
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", str(out), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return out


@pytest.mark.slow
def test_the_wheel_has_every_module_and_all_data(built: Path) -> None:
    if not (ROOT / ".git").exists():
        pytest.skip("no git: the files of the project are unknown")
    (wheel,) = built.glob("*.whl")
    names = set(zipfile.ZipFile(wheel).namelist())
    expected = set().union(*(tracked(folder) for folder in FOLDERS)) | DATA_FILES
    assert expected - names == set()
    assert {name for name in names if name.startswith(("agent/", "evals/", "prompts/", "tools/", "tests/"))} == set()


@pytest.mark.slow
def test_the_wheel_is_for_every_system_by_its_metadata(built: Path) -> None:
    (wheel,) = built.glob("*.whl")
    assert wheel.name.endswith("-py3-none-any.whl")
    archive = zipfile.ZipFile(wheel)
    (metadata,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
    text = archive.read(metadata).decode()
    assert f"Requires-Python: {PROJECT['project']['requires-python']}" in text
    assert set(re.findall(r"^Provides-Extra: (.+)$", text, re.M)) == set(EXTRAS)
    assert not re.search(r"^Requires-Dist: .*(sys_platform|platform_system|@ )", text, re.M)


@pytest.mark.slow
def test_the_source_archive_has_real_files_where_the_checkout_has_links(built: Path) -> None:
    (source,) = built.glob("*.tar.gz")
    with tarfile.open(source) as archive:
        members = archive.getmembers()
    assert [member.name for member in members if member.issym() or member.islnk()] == []
    names = {member.name.split("/", 1)[-1] for member in members}
    assert {f"src/{name}" for name in DATA_FILES} <= names


def test_the_container_file_copies_what_exists_and_runs_without_root() -> None:
    lines = (ROOT / "Containerfile").read_text().replace("\\\n", " ").splitlines()
    copied = [line.split()[1:-1] for line in lines if line.startswith("COPY ") and "--from" not in line]
    assert copied
    assert [path for paths in copied for path in paths if not (ROOT / path).exists()] == []
    assert {folder for paths in copied for folder in paths} >= {"src", *FOLDERS}
    final = lines[max(number for number, line in enumerate(lines) if line.startswith("FROM ")) :]
    users = [line.split()[1] for line in final if line.startswith("USER ")]
    assert users
    assert users[-1] not in ("root", "0")
    (health,) = (line for line in final if line.startswith("HEALTHCHECK "))
    assert "/healthz" in health
    (command,) = (line for line in final if line.startswith("CMD "))
    assert "--token-file" in command  # other addresses than loopback need tokens


@pytest.mark.skipif(
    "WHIMBREL_CHECK_EXTRAS" not in os.environ, reason="asks the package index: set WHIMBREL_CHECK_EXTRAS"
)
@pytest.mark.parametrize("extra", [extra for extra in EXTRAS if extra != "sasrec"])
def test_an_extra_resolves(extra: str) -> None:
    """`sasrec` is left out: RecTools asks for an older NumPy than it needs, see `make sasrec`."""
    command = [sys.executable, "-m", "pip", "install", "--dry-run", "--quiet", "--no-build-isolation"]
    resolved = subprocess.run(
        [*command, "--constraint", "constraints.txt", f".[{extra}]"],
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
    )
    assert resolved.returncode == 0, resolved.stderr[-2000:]
