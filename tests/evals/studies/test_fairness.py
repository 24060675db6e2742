"""The study of fairness: groups of people, the tail, and the price of exposure."""

from pathlib import Path

import numpy as np
import pytest

from whimbrel.evals.data.people import read_people
from whimbrel.evals.studies.fairness import _is_head, _split, fairness_markdown, gini, measure_fairness
from whimbrel.tools.errors import DataError


def test_each_group_and_each_setting_is_measured(shop: Path, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_text("user;gender\nu1;F\nu2;M\nu3;F\n")
    document = measure_fairness(str(shop), users=20, exposures=(0.0, 0.5), people=read_people(file), maker="brand")
    assert list(document["settings"]) == ["0", "0.5"]
    assert document["settings"]["0"]["cost"]["value"] == 0
    assert document["settings"]["0.5"]["tail"]["value"] >= document["settings"]["0"]["tail"]["value"]
    assert {row["of"] for row in document["groups"]} >= {"gender"}
    assert "| gender | F |" in fairness_markdown(document)


def test_numbers_become_groups_of_equal_size_and_missing_facts_none() -> None:
    groups = {group: members.tolist() for _, group, members in _split("age", ["", *map(str, range(10, 19))])}
    assert [len(members) for members in groups.values()] == [3, 2, 4]
    assert {group: members.tolist() for _, group, members in _split("g", ["F", "", "M", "F"])} == {
        "F": [0, 3],
        "M": [2],
    }


def test_the_head_has_half_of_all_events() -> None:
    assert _is_head(np.array([1, 6, 2, 1])).tolist() == [False, True, False, False]
    assert gini(np.array([0, 0, 0, 4])) == 0.75


def test_a_file_without_facts_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    for content in ("", "user\nu1\n"):
        file.write_text(content)
        with pytest.raises(DataError):
            read_people(file)
    with pytest.raises(DataError):
        read_people(tmp_path / "absent.csv")
