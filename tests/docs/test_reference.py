"""The documentation holds: generated pages are current, links resolve, commands exist, examples run."""

import re
import shlex
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.util._once import Once

from whimbrel.agent.cli.main import COMMAND_GROUP
from whimbrel.agent.cli.reference import command_tree, reference_pages
from whimbrel.agent.language_models.specs import MODEL_GROUP
from whimbrel.agent.pipeline import STAGES
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.evals.studies.boundaries import BOUNDARY_SYSTEMS
from whimbrel.evals.systems.registry import SYSTEM_GROUP, SYSTEMS
from whimbrel.tools.retrieval.channels import LEARNED_CHANNELS
from whimbrel.tools.sources.formats import ENTRY_POINT_GROUP, FORMATS, open_source
from whimbrel.tools.sources.ingest import ingest

ROOT = Path(__file__).parent.parent.parent
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *sorted(DOCS.rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
RUNNABLE = re.compile(r"<!-- runnable -->\n```python\n(.*?)^```$", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"(?:^|`)(?:\$ )?(whimbrel [a-z][^`\n#|]*)", re.MULTILINE)
README_LINES = 120
CODE = ("prompts", "tools", "agent", "evals", "tests")
FILES = [str(path) for folder in CODE for path in (ROOT / folder).rglob("*") if path.suffix != ".pyc"]
EXAMPLE_FILES = ("pyproject.toml", "preprocessor_config.json", "tuned_model.json")


def page_name(page: Path) -> str:
    return str(page.relative_to(ROOT))


def anchors_of(page: Path) -> set[str]:
    """Anchors of a page as GitHub makes them from its headings."""
    headings = re.findall(r"^#+ (.*)$", FENCE.sub("", page.read_text()), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def examples() -> list[Any]:
    return [
        pytest.param(code, id=f"{page_name(page)}:{number}")
        for page in PAGES
        for number, code in enumerate(RUNNABLE.findall(page.read_text()), start=1)
    ]


def test_reference_pages_are_those_that_the_code_generates() -> None:
    assert {path.name: path.read_text() for path in (DOCS / "reference").iterdir()} == reference_pages(), (
        "run `make reference`"
    )


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) <= README_LINES


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_links_between_pages_resolve(page: Path) -> None:
    for target in LINK.findall(FENCE.sub("", page.read_text())):
        if "://" in target:
            continue
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors_of(linked), target


def test_every_page_is_reached_from_the_index() -> None:
    linked = {(DOCS / target.partition("#")[0]).resolve() for target in LINK.findall((DOCS / "index.md").read_text())}
    assert set(DOCS.rglob("*.md")) - {DOCS / "index.md"} <= linked


@pytest.fixture(scope="module")
def whimbrel_command() -> Any:
    return command_tree()


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_commands_and_options_that_are_named_exist(page: Path, whimbrel_command: Any) -> None:
    for line in COMMAND.findall(page.read_text()):
        words = shlex.split(line.replace("'", "").replace('"', ""))[1:]
        command = whimbrel_command
        while words and hasattr(command, "commands") and words[0] in command.commands:
            command = command.commands[words.pop(0)]
        assert not hasattr(command, "commands") or not words or words[0] in ("...", "NAME"), line
        known = {name for option in command.params for name in [*option.opts, *option.secondary_opts]}
        for word in words:
            option = re.match(r"\[?(--[a-z0-9-]+)", word)
            assert option is None or option[1] in known | {"--help"}, f"{line}: {option[1]}"


@pytest.mark.parametrize("page", PAGES, ids=page_name)
def test_files_that_are_named_exist(page: Path) -> None:
    for name in re.findall(r"`([\w/]+\.(?:py|toml|json))`", page.read_text()):
        assert name in EXAMPLE_FILES or any(file.endswith(f"/{name}") for file in FILES), name


@pytest.mark.parametrize(
    ("page", "names"),
    [
        ("stages/rank.md", FEATURES),
        ("stages/retrieve.md", (*LEARNED_CHANNELS, "wished", "taste", "explore")),
        ("architecture.md", STAGES),
        ("tasks/your-log.md", FORMATS),
        ("tasks/evaluate.md", (*SYSTEMS, *BOUNDARY_SYSTEMS)),
        ("tasks/extend.md", (COMMAND_GROUP, ENTRY_POINT_GROUP, SYSTEM_GROUP, MODEL_GROUP)),
        ("tasks/langchain.md", [f"whimbrel.{stage}" for stage in STAGES]),
        ("tasks/python.md", ("ConfigError", "DataError", "StoreError", "ModelError")),
    ],
)
def test_a_page_that_lists_names_lists_all_of_them(page: str, names: Iterable[str]) -> None:
    assert [name for name in names if f"`{name}`" not in (DOCS / page).read_text()] == []


@pytest.fixture(scope="module")
def example_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that holds the store `shop` which the examples read."""
    folder = tmp_path_factory.mktemp("examples")
    shelves = {
        "Tea": ("Green tea", "Black tea", "Mint tea", "Chai"),
        "Snacks": ("Crisps", "Nuts", "Pretzels", "Crackers"),
    }
    lines = ["user_id,title,topics,time,context.place"]
    for user in range(40, 46):
        for day in range(1, 29):
            shelf = "Tea" if (user + day) % 3 else "Snacks"
            title = shelves[shelf][(user + day * day) % (3 if user == 42 else 4)]
            lines.append(
                f"{user},{title},{shelf},2017-05-{day:02}T{8 + user % 10:02}:00:00Z,{'work' if day % 2 else 'home'}"
            )
    (folder / "sales.csv").write_text("\n".join(lines) + "\n")
    ingest(open_source(str(folder / "sales.csv")), folder / "shop")
    return folder


@pytest.mark.parametrize("code", examples())
def test_python_examples_run(code: str, example_store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copytree(example_store, tmp_path / "examples")  # an example may change the store
    monkeypatch.chdir(tmp_path / "examples")
    monkeypatch.setattr(trace, "_TRACER_PROVIDER", None)  # an example may set one, which a process can do once
    monkeypatch.setattr(trace, "_TRACER_PROVIDER_SET_ONCE", Once())
    # The bundled model would take seconds; the examples show the same without one.
    exec(compile(code.replace('llm="bundled"', 'llm="none"'), "example", "exec"), {"__name__": "example"})
