"""The study of orders in texts: they are written where it says, and gains are counted in places."""

import json
from pathlib import Path

from whimbrel.agent.agent import Agent
from whimbrel.evals.studies.stuffing import PLACES, measure_stuffing, orders, stuffing_markdown


def test_there_are_thirty_different_orders_of_each_kind() -> None:
    kinds = orders()
    assert len(kinds) == 11
    assert all(len(set(texts)) == 30 for texts in kinds.values())


def test_each_kind_is_measured_in_each_place(tmp_path: Path) -> None:
    items = [{"item_id": str(n), "title": f"Oak table number {n}", "topics": ["Tables"]} for n in range(8)]
    case = {"case_id": "c", "history": items[:3], "context": {}, "candidates": items[3:], "relevant": ["4"]}
    path = tmp_path / "cases.jsonl"
    path.write_text(json.dumps(case) + "\n")
    with Agent.open(None, "none") as agent:
        document = measure_stuffing(agent, path, each=1)
    places = {(row["kind"], row["place"]) for row in document["rows"]}
    assert {("grades", place) for place in PLACES} | {("the history joined", "whole title")} <= places
    assert document["all orders"]["n"] == 30
    stuffed = document["all stuffed titles"]["signals"]
    assert stuffed["words"]["gain"] > 0 > stuffed["evidence"]["gain"]
    markdown = stuffing_markdown(document)
    assert "| all stuffed titles |" in markdown
    assert "| evidence |" in markdown
