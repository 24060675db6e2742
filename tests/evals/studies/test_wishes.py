"""Wishes in another script: met with the multilingual encoder, and refused lines."""

import json
from pathlib import Path

import pytest

from whimbrel.evals.studies.wishes import measure_wishes, wishes_markdown
from whimbrel.tools.errors import DataError
from whimbrel.tools.text.multilingual import MULTILINGUAL

ITEMS = [("z1", "龙井 明前 250g", "茶叶"), ("z2", "气垫 慢跑鞋 42码", "跑鞋"), ("z3", "可充电 手电筒", "户外照明")]


def written(path: Path, lines: list[dict[str, object]]) -> Path:
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def test_wishes_find_items_of_the_topic_that_is_meant(tmp_path: Path) -> None:
    items = written(tmp_path / "items.jsonl", [{"item_id": i, "title": t, "topics": [topic]} for i, t, topic in ITEMS])
    wishes = [("想喝杯绿茶", "茶叶"), ("晨跑穿的鞋", "跑鞋"), ("晚上走路照路用的", "户外照明"), ("晨跑穿的鞋", "茶叶")]
    meant = written(tmp_path / "wishes.jsonl", [{"wish": wish, "topic": topic} for wish, topic in wishes])
    document = measure_wishes(items, meant, encoders=[MULTILINGUAL])
    figures = document["encoder"]["multilingual"]
    assert figures["item"]["value"] == 0.75  # the last wish means another topic than it is said to
    assert figures["item"]["n"] == 4
    assert "| multilingual | 0.750 [" in wishes_markdown(document)


def test_a_line_that_is_no_wish_is_refused_with_its_number(tmp_path: Path) -> None:
    items = written(tmp_path / "items.jsonl", [{"item_id": "z1", "title": "龙井"}])
    with pytest.raises(DataError, match=r"wishes\.jsonl:2"):
        measure_wishes(items, written(tmp_path / "wishes.jsonl", [{"wish": "茶", "topic": "茶叶"}, {"wish": 1}]))
