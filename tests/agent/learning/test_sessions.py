"""Training logs: what the log says of an event reaches what is learned from."""

import json
from pathlib import Path

import pytest

from whimbrel.agent.learning.sessions import catalogue_of, read_training, training_of_catalogue
from whimbrel.tools.records import Interaction, liked, without_rejected

SESSION = {
    "user_id": "u",
    "items": ["a", "b", "c"],
    "times": [10.0, 20.0, 30.0],
    "events": ["rating", "rating", "dislike"],
    "ratings": [5, 1, None],
    "contexts": [{"place": "work"}, None, None],
}


def test_ratings_events_and_situations_of_a_session_reach_its_history(tmp_path: Path) -> None:
    (tmp_path / "sessions.jsonl").write_text(json.dumps(SESSION) + "\n")
    training = read_training(tmp_path / "sessions.jsonl", None)
    for catalogue in (catalogue_of(training), catalogue_of(training_of_catalogue(catalogue_of(training)))):
        history = catalogue.history("u")
        assert [event.item_id for event in liked(without_rejected(history))] == ["a"]
        assert [event.context for event in history if isinstance(event, Interaction)] == [{"place": "work"}, {}, {}]
        assert [event.item_id for event in catalogue.history("u", before=20.0)] == ["a"]
        assert [catalogue.log.situations[code] for code in catalogue.log.situation] == ['{"place": "work"}', "", ""]


@pytest.mark.parametrize("column", ["events", "ratings", "contexts"])
def test_a_column_of_another_length_or_type_is_passed_over(tmp_path: Path, column: str) -> None:
    for wrong in ([1], "rating", [[1], [2], [3]]):
        (tmp_path / "sessions.jsonl").write_text(json.dumps({**SESSION, column: wrong}) + "\n")
        history = catalogue_of(read_training(tmp_path / "sessions.jsonl", None)).history("u")
        assert [event.item_id for event in history] == ["a", "b", "c"]
