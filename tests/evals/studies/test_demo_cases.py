"""The cases of the demonstration: what is known at the cut, the lists that are measured, and the words of the outcome."""

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from whimbrel.agent import ConfigError
from whimbrel.agent.cli.main import build_app
from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Training
from whimbrel.evals.metrics.ranking import accuracy_at_k, f1_at_k
from whimbrel.evals.studies import demo_cases
from whimbrel.evals.studies.demo_cases import CASES, open_case
from whimbrel.evals.studies.demo_story import tell_story
from whimbrel.evals.studies.demo_table import CF, POPULARITY, WHIMBREL, measure_lists
from whimbrel.evals.systems.neighbours import userknn
from whimbrel.evals.systems.protocol import Settings
from whimbrel.tools.progress import NoProgress
from whimbrel.tools.records import Item
from whimbrel.tools.store.store import open_store


def items(letters: str) -> tuple[Item, ...]:
    return tuple(Item(item_id=letter, title=f"thing {letter}") for letter in letters)


def test_user_based_filtering_follows_the_most_similar_person() -> None:
    sessions = [("u", "abc"), ("v", "abx"), ("w", "y")]
    training = Training.of([(user, [(letter, None) for letter in letters]) for user, letters in sessions], {})
    scores = userknn(training, Settings())(BlindCase("1", "me", items("abc"), items("xy")))
    # v shares two of three items with the history, w none.
    np.testing.assert_allclose(np.asarray(scores), [2 / 3, 0], atol=1e-6)


def test_accuracy_and_f1_of_a_list_are_arithmetic() -> None:
    ranks = [1.0, 4.0, np.inf]  # one hit among three listed, two missed, of twenty candidates
    assert accuracy_at_k(ranks, k=3, candidates=20) == pytest.approx(1 - (2 + 2) / 20)
    assert f1_at_k(ranks, k=3) == pytest.approx(2 * (1 / 3) * (1 / 3) / (1 / 3 + 1 / 3))


def test_a_case_without_its_log_says_what_to_set(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("WHIMBREL_DATA", raising=False)
    monkeypatch.setattr(demo_cases, "demo_folder", lambda: tmp_path / "demo")
    for name in ("news", "social"):
        with pytest.raises(ConfigError, match=r"set WHIMBREL_DATA to the folder that holds"):
            open_case(name, NoProgress())
    monkeypatch.setenv("WHIMBREL_DATA", str(tmp_path))
    with pytest.raises(ConfigError, match="does not"):
        open_case("news", NoProgress())
    outcome = CliRunner().invoke(build_app("demo"), ["demo", "--case", "work"])
    assert outcome.exit_code == 2
    assert "shop, news, social" in outcome.output


def test_no_list_knows_what_came_after_the_cut(shop: Path) -> None:
    with open_store(shop) as store:
        log = demo_cases._case_of_store(store, CASES["shop"], 0)
        cut = store.log.time[int(len(store.log.time) * demo_cases.KNOWN_SHARE)]
        assert log.training.times is not None
        assert log.training.times.max() < cut
        for person in log.people:
            assert all(event.time < cut for event in person.history if event.time is not None)
            assert all(event.time >= cut for event in person.later if event.time is not None)
        document = measure_lists(log, CASES["shop"], people=6, progress=NoProgress())
    assert set(document["system"]) == {WHIMBREL, CF, POPULARITY}
    for row in document["system"].values():
        for figure in row.values():
            assert figure["ci"][0] <= figure["value"] <= figure["ci"][1]


def test_the_story_is_of_a_person_whose_list_moves_and_tells_hits_and_misses(shop: Path) -> None:
    with open_store(shop) as store:
        log = demo_cases._case_of_store(store, CASES["shop"], 0)
        story = tell_story(log, log.agent, NoProgress())
        person = next(person for person in log.people if person.user_id == story.user_id)
        chosen = {event.item_id for event in person.later}
    assert story.before.at < story.after.at == person.later[0].time
    assert story.hits_after == sum(entry.item_id in chosen for entry in story.after.recommendations)
    assert story.in_after >= story.in_before
    cited = [event.time or 0.0 for entry in story.after.recommendations for event in entry.evidence]
    assert all(time < story.after.at for time in cited)
    json.dumps(story.document())
