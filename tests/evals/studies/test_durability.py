"""The study of durability notices what was lost, and a writer notes what a store acknowledged."""

import json
from pathlib import Path

import pytest

from whimbrel.evals.studies import durability_writer
from whimbrel.evals.studies.durability import _checked, _ingested
from whimbrel.tools.store import store as store_module


def test_events_that_were_acknowledged_and_are_not_stored_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store_module, "FOLDED_AT", store_module.FOLDED_AT)  # the writer changes it
    location, notes = _ingested(tmp_path / "store", 0), tmp_path / "notes"
    durability_writer.main(location, str(notes), first=0, count=12, people=3, threads=2, folded_at=5)
    whole = _checked("whole", 1, location, [notes], 1.0)
    assert (whole.acknowledged, whole.lost, whole.not_in_log, whole.repeated) == (12, 0, 0, 0)
    with notes.open("a") as file:
        file.write(json.dumps(["person 0", 5.0]) + "\n")
    damaged = _checked("damaged", 1, location, [notes], 1.0)
    assert (damaged.acknowledged, damaged.lost, damaged.not_in_log) == (13, 1, 1)
