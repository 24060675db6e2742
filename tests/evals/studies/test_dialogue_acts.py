"""What lines of annotated dialogues do is compared with the annotations."""

import json
from pathlib import Path

import pytest

from whimbrel.evals.studies.dialogue_acts import acts_markdown, measure_acts, read_acts
from whimbrel.tools.errors import DataError


def turn(participant: str, utterance: str, *intents: str) -> dict[str, object]:
    return {"participant": participant, "utterance": utterance, "dialogue_acts": [{"intent": name} for name in intents]}


def test_acts_are_counted_beside_their_annotations(tmp_path: Path) -> None:
    turns = [
        turn("USER", "Can you recommend a comedy?", "IQU"),
        turn("AGENT", "How about Up (2009) ?", "REC-S"),
        turn("USER", "I have seen that one", "SEE"),
        turn("USER", "Goodbye!", "REJ"),
    ]
    file = tmp_path / "dialogues.json"
    file.write_text(json.dumps([{"conversation": turns}]))
    document = measure_acts(read_acts(file))
    figures = {name: (row["n"], row["f1"]) for name, row in document["acts"].items()}
    assert figures == {"want": (1, 1.0), "known": (1, 1.0), "reject": (1, 0.0)}
    assert document["macro_f1"] == pytest.approx(2 / 3)
    assert "| macro | 3 |" in acts_markdown(document)


def test_a_file_without_dialogues_is_an_error(tmp_path: Path) -> None:
    file = tmp_path / "other.json"
    file.write_text("[{}]")
    with pytest.raises(DataError, match="no annotated dialogues"):
        read_acts(file)
