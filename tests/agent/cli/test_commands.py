"""The command line: one document with --json, one line for an error, and the contract in both."""

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from whimbrel.agent import Recommendations, ScriptedModel
from whimbrel.agent.cli.main import main
from whimbrel.agent.demo import Next
from whimbrel.agent.display.demonstration import outcome_sentence
from whimbrel.agent.language_models.specs import SPECS
from whimbrel.evals.studies.validity import problems_of, read_log
from whimbrel.tools.sources.formats import open_source

AT = "2020-10-17T12:26:40Z"
EVENT_ID = r"\b[0-9a-f]{16}\b"
FIGURES = re.compile(rf"{EVENT_ID}|tokens|score|calls? of the language model|[+-]\d\.\d\d|the model's", re.IGNORECASE)
"""What a person's screen shows with --verbose only."""


class Ended(NamedTuple):
    status: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a command line in this process."""

    def run(*arguments: object, typed: str = "") -> Ended:
        monkeypatch.setattr(sys, "argv", ["whimbrel", *map(str, arguments)])
        monkeypatch.setattr(sys, "stdin", io.StringIO(typed))
        with pytest.raises(SystemExit) as ended:
            main()
            sys.exit(0)
        status = ended.value.code
        return Ended(status if isinstance(status, int) else 1, *capsys.readouterr())

    return run


def test_ingest_then_recommend_as_json(run: Run, shop_csv: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    done = run("ingest", shop_csv, "--store", store, "--json")
    assert done.status == 0
    counts = json.loads(done.out)
    assert (counts["rejected"], counts["users"]) == (0, 32)
    found = run("recommend", "u5", "--store", store, "--at", AT, "--llm", "none", "--json", "--k", 4)
    assert found.status == 0
    assert problems_of(found.out, read_log(open_source(str(shop_csv))), user_id="u5", k=4) == []
    assert json.loads(found.out)["at"] == AT
    people = run("recommend", "u5", "--store", store, "--at", "1602937600", "--llm", "none", "--context", "place=work")
    assert people.status == 0
    assert "Interest shift" in people.out
    verbose = run(
        "recommend", "u5", "--store", store, "--at", AT, "--llm", "none", "--context", "place=work", "--verbose"
    )
    assert re.search(rf"event {EVENT_ID}  \w{{3}} \d+ \w+ 2020, \d\d:\d\d  purchase", verbose.out)


def test_chat_answers_each_line_of_a_pipe_with_one_document(run: Run, shop: Path) -> None:
    said = "no furniture\n/why 1\n/more 1\n\n/less garden\nsomething for the garden\n/quit\nunheard\n"
    chat = run("chat", "u5", "--store", shop, "--at", AT, "--llm", "none", "--json", typed=said)
    assert chat.status == 0
    answers = [json.loads(line) for line in chat.out.splitlines()]
    assert len(answers) == 8
    for answer in answers:
        assert set(answer) == {"act", "words", "state", "question", "recommendations", "done", "warnings"}
    assert [answer["act"] for answer in answers[1:]] == [
        "exclude",
        "why",
        "want",
        "unclear",
        "exclude",
        "narrow",
        "leave",
    ]
    assert answers[6]["state"]["refused"] == ["Furniture"]
    assert answers[7]["words"] == "Goodbye."
    assert answers[7]["done"]
    words = run("chat", "--store", shop, "--llm", "none", typed="no furniture\n")
    assert words.status == 0
    assert "Left out: Furniture." in words.out


REPLACED = {"SummaryReply": {"summary": "You love life."}, "ReasonReply": {"events": [1], "reason": "Magic."}}


@pytest.mark.parametrize("verbose", [False, True])
@pytest.mark.parametrize(
    "command",
    [["recommend", "u5"], ["shift", "u1"], ["chat", "u5"]],
    ids=["recommend", "shift", "chat"],
)
def test_ids_and_figures_are_shown_with_verbose_only(
    command: list[str], verbose: bool, run: Run, shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("whimbrel.agent.agent.open_model", lambda *_, **__: ScriptedModel(REPLACED))
    options = ["--store", shop, "--at", AT, "--llm", "none", *(["--verbose"] if verbose else [])]
    ended = run(*command, *options, typed="/why 1\n")
    assert ended.status == 0
    assert bool(FIGURES.search(ended.out)) is verbose, ended.out


def test_a_warning_that_a_person_can_act_on_is_always_shown(run: Run, shop: Path) -> None:
    for command in (["recommend", "u5", "--k", 99], ["shift", "u5"]):
        ended = run(*command, "--store", shop, "--at", AT, "--llm", "none", "--context", "place=moon")
        assert "Note: " in ended.out
        assert "place moon" in " ".join(ended.out.split())


@pytest.mark.parametrize("of", [1, 2, 5])
def test_the_outcome_of_the_demonstration_agrees_in_number(of: int) -> None:
    for hits in range(of + 1):
        for topic_hits in range(hits, of + 1):
            words = outcome_sentence(Next(days=14, bought=["Tea"], hits=hits, topic_hits=topic_hits, of=of))
            assert not re.search(r"\b1 (\w+ )?(were|others|items)\b|\b[02-9] (was|other|item)\b|\b0\b", words), words
            assert words.startswith("1 item was" if of == 1 else f"{of} items were")


def test_models_list(run: Run) -> None:
    listed = json.loads(run("models", "list", "--json").out)["models"]
    assert [model["spec"] for model in listed] == list(SPECS)
    assert "bundled" in run("models", "list").out


@pytest.mark.slow
def test_the_demo_is_built_once_and_shows_what_came_next(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    first = run("demo", "--llm", "none", "--json")
    assert first.status == 0
    assert "Encoding items" in first.err
    shown = json.loads(first.out)
    following = shown.pop("next")
    found = Recommendations.model_validate(shown)
    assert found.shift.kind != "none"
    assert found.shift.evidence
    assert len(found.recommendations) == following["of"] == 5
    assert all(entry.evidence for entry in found.recommendations)
    assert following["bought"]
    assert 0 <= following["hits"] <= following["topic_hits"] <= 5
    again = run("demo", "--llm", "none", "--user", "1016")
    assert again.status == 0
    assert "Encoding items" not in again.err
    for part in ("User 1016", "Interest shift", "What was bought in the next 14 days"):
        assert part in again.out
    assert "no user '3'" in run("demo", "--llm", "none", "--user", "3").err


ERRORS = {
    "unknown user": (["recommend", "nobody", "--store", "SHOP", "--llm", "none"], "no user 'nobody'"),
    "no store": (["recommend", "u5", "--store", "NEW", "--llm", "none"], "make one with `whimbrel ingest"),
    "unknown time": (["recommend", "u5", "--store", "SHOP", "--at", "noon", "--llm", "none"], "no known format"),
    "milliseconds": (["recommend", "u5", "--store", "SHOP", "--at", "1602937600000"], "milliseconds?"),
    "context": (["recommend", "u5", "--store", "SHOP", "--context", "work"], "give KEY=VALUE"),
    "missing model": (["recommend", "u5", "--store", "SHOP", "--llm", "gguf:/no.gguf"], "no model file"),
    "broken model": (["recommend", "u5", "--store", "SHOP", "--llm", "gguf:CSV"], "is not a whole GGUF model"),
    "no chroma": (["recommend", "u5", "--store", "http://127.0.0.1:9", "--llm", "none"], "start one with `chroma run`"),
    "odd address": (["recommend", "u5", "--store", "http://127.0.0.1:x", "--llm", "none"], "is no address"),
    "no source": (["ingest", "/no/file.csv", "--store", "NEW"], "/no/file.csv"),
    "odd source": (["ingest", "CSV", "--store", "NEW", "--format", "xml"], "xml"),
    "wrong map": (["ingest", "CSV", "--store", "NEW", "--map", "name=title"], "no column 'name'; columns are: user_id"),
    "store is a file": (["ingest", "CSV", "--store", "CSV"], "cannot be made"),
}


@pytest.mark.parametrize("case", ERRORS)
def test_an_error_is_one_line_and_status_1(case: str, run: Run, shop: Path, shop_csv: Path, tmp_path: Path) -> None:
    arguments, words = ERRORS[case]
    places = {"SHOP": str(shop), "NEW": str(tmp_path / "new"), "CSV": str(shop_csv), "gguf:CSV": f"gguf:{shop_csv}"}
    ended = run(*(places.get(argument, argument) for argument in arguments))
    assert ended.status == 1
    assert ended.out == ""
    *progress, told = ended.err.splitlines()
    assert told.startswith("whimbrel: ")
    assert words in told
    assert all("Reading" in line for line in progress)
    assert not (tmp_path / "new").exists()


def test_a_damaged_store_is_an_error(run: Run, shop_csv: Path, tmp_path: Path) -> None:
    store = tmp_path / "store"
    assert run("ingest", shop_csv, "--store", store, "--json").status == 0
    (store / "chroma.sqlite3").write_bytes(b"SQLite format 3\0" + b"\xff" * 8000)
    ended = run("recommend", "u5", "--store", store, "--llm", "none")
    assert ended.status == 1
    assert "whimbrel: store" in ended.err


def test_forget_asks_or_is_told_not_to(run: Run, shop: Path, tmp_path: Path) -> None:
    store = tmp_path / "shop"
    shutil.copytree(shop, store)
    code, _, told = run("forget", "u3", "--store", str(store))
    assert code == 1
    assert "--yes" in told
    code, out, _ = run("forget", "u3", "--store", str(store), "--yes", "--json")
    assert code == 0
    assert json.loads(out)["events"] > 0
    code, _, told = run("recommend", "u3", "--store", str(store), "--llm", "none")
    assert (code, "no user 'u3'" in told) == (1, True)


def test_a_server_that_is_not_there_leaves_a_list_and_a_warning(run: Run, shop: Path) -> None:
    arguments = ("recommend", "u5", "--store", shop, "--at", AT, "--k", 3)
    without = Recommendations.model_validate_json(run(*arguments, "--json", "--llm", "none").out)
    address = "openai:m@http://127.0.0.1:9/v1"
    ended = run(*arguments, "--json", "--llm", address)
    assert ended.status == 0
    answer = Recommendations.model_validate_json(ended.out)
    assert answer.recommendations == without.recommendations
    (warning,) = answer.warnings
    assert warning.startswith("without the language model: ")
    assert "is the server run" in warning
    shown = run(*arguments, "--llm", address)
    assert shown.status == 0
    assert "without the language model" in " ".join(shown.out.split())
