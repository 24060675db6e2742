"""Conversations with a scripted person: success and breaches of the policy are told apart."""

import json
from pathlib import Path

import pytest

from whimbrel.agent.chat.lists import ListMaker
from whimbrel.agent.schema.policy import Policy
from whimbrel.evals.studies.dialogue import dialogue_markdown, measure_dialogues, read_catalogue, read_tasks
from whimbrel.evals.studies.scripted_user import Task
from whimbrel.tools.errors import DataError
from whimbrel.tools.records import Item

ITEMS = [
    Item(
        item_id=f"f{number}",
        title=title,
        topics=("Comedy",) if number % 2 else ("Horror",),
        fields={"genres": ("Comedy",) if number % 2 else ("Horror",), "runtime": 80 + 10 * number, "rated": "R"},
    )
    for number, title in enumerate(
        ["Harbour", "Meadow", "Lantern", "Compass", "Orchard", "Glacier", "Violin", "Tunnel"]
    )
]
COMEDY = {"field": "genres", "op": "contains", "value": "Comedy"}
SHORT = {"field": "runtime", "op": "<=", "value": 95}


def task(*constraints: tuple[dict[str, object], str], **given: object) -> Task:
    revealed = [{"constraint": constraint, "reveal": reveal} for constraint, reveal in constraints]
    return Task.model_validate({"id": "t", "constraints": revealed, **given})


def figures(one: Task, policy: Policy | None = None, trials: int = 4) -> dict[str, object]:
    document = measure_dialogues([one], ITEMS, policy=policy or Policy(), trials=trials)
    assert "| all (1) | 4 |" in dialogue_markdown(document) or trials != 4
    return dict(document["system"]["whimbrel"])


@pytest.mark.parametrize("reveal", ["volunteer", "on_ask", "hidden"])
def test_a_task_that_has_an_answer_is_solved(reveal: str) -> None:
    row = figures(task((COMEDY, "volunteer"), (SHORT, reveal)), Policy(one_at_a_time=True))
    assert (row["n"], row["pass^1"], row["pass^4"], row["policy_broken"]) == (4, 1.0, 1.0, 0)


def test_a_task_without_an_answer_is_solved_by_saying_so() -> None:
    impossible = {"field": "runtime", "op": "<=", "value": 20}
    constraints = ((COMEDY, "volunteer"), (impossible, "volunteer"))
    assert figures(task(*constraints, no_valid_recommendation=True))["pass^1"] == 1.0
    assert figures(task(*constraints))["pass^1"] == 0.0


def test_an_agent_that_breaks_the_policy_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    policy = Policy.model_validate({"gate": [{"field": "rated", "op": "==", "value": "R"}]})
    assert figures(task((COMEDY, "volunteer")), policy)["policy_broken"] == 0
    monkeypatch.setattr(ListMaker, "_gate_of", lambda self, memory, listed: None)
    row = figures(task((COMEDY, "volunteer")), policy)
    assert (row["pass^1"], row["policy_broken"]) == (0.0, 4)


def test_tasks_and_catalogues_are_checked(tmp_path: Path) -> None:
    tasks, catalogue = tmp_path / "tasks.jsonl", tmp_path / "catalogue.json"
    tasks.write_text('{"id": "a", "constraints": [{"constraint": {"field": "x", "op": "~"}, "reveal": "hidden"}]}\n')
    with pytest.raises(DataError, match="task 1"):
        read_tasks(tasks)
    catalogue.write_text(
        json.dumps([{"id": "f", "title": "Up", "genres": ["Family"], "runtime": 96, "overview": "Air."}])
    )
    (item,) = read_catalogue(catalogue)
    assert (item.item_id, item.topics, item.text, item.fact("runtime")) == ("f", ("Family",), "Air.", 96.0)
    catalogue.write_text('[{"id": "f"}]')
    with pytest.raises(DataError, match="item 1"):
        read_catalogue(catalogue)
    with pytest.raises(DataError, match="cannot be read"):
        read_catalogue(tmp_path / "absent.json")
