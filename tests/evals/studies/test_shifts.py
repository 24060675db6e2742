"""Whether what is said of an interest comes true: logs of research, a log, cases; blind to what comes."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent import DataError
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.evals.data.research_logs import log_of, read_frappe, read_lastfm
from whimbrel.evals.metrics.decisions import abstention
from whimbrel.evals.studies.shift_moments import read_moments
from whimbrel.evals.studies.shifts import measure_shifts, shifts_markdown


@pytest.fixture
def frappe(tmp_path: Path) -> Path:
    """Mail at work, games at home."""
    random = np.random.default_rng(0)
    rows = ["user\titem\tcnt\tdaytime\tweekday\tisweekend\thomework\tcost\tweather\tcountry\tcity"]
    for user in range(90):
        for _ in range(25):
            place = str(random.choice(["home", "work"]))
            item = int(random.random() < (0.9 if place == "work" else 0.1))
            rows.append(f"{user}\t{item}\t1\tmorning\tmonday\tworkday\t{place}\tfree\tunknown\tSpain\t0")
    (tmp_path / "frappe.csv").write_text("\n".join(rows))
    (tmp_path / "meta.csv").write_text("item\tcategory\tname\n0\tGames\tChess\n1\tMail\tPost\n")
    return tmp_path


def test_the_situation_tells_more_than_none(frappe: Path) -> None:
    assert read_frappe(frappe)[0].context.keys() == {"daytime", "weekday", "isweekend", "homework", "country"}
    document = measure_shifts(read_moments(str(frappe)), NextTopics.default())
    topics = document["topics"]
    assert topics["whimbrel"]["log loss"] < topics["without the situation"]["log loss"]
    assert topics["without the situation"]["log loss, whimbrel minus this_ci"][1] < 0
    assert topics["whimbrel"]["top-1 accuracy"] > 0.8
    assert document["system"]["whimbrel"]["said"]["ece"] < 0.15
    assert "without the situation" in shifts_markdown(document)


def test_lastfm_is_read_with_the_tags_of_a_day_as_one_event(tmp_path: Path) -> None:
    (tmp_path / "tags.dat").write_text("tagID\ttagValue\n1\tmetal\n2\tfolk\n")
    (tmp_path / "artists.dat").write_text("id\tname\turl\tpictureURL\n7\tNaïve\tu\tp\n", encoding="utf-8")
    head = "userID\tartistID\ttagID\tday\tmonth\tyear\n"
    (tmp_path / "user_taggedartists.dat").write_text(
        head + "3\t7\t1\t1\t4\t2009\n3\t7\t2\t1\t4\t2009\n3\t7\t2\t1\t4\t1956\nbroken\n"
    )
    (tmp_path / "user_taggedartists_2.dat").write_text(head + "4\t7\t2\t2\t5\t2010\n")
    first, second = read_lastfm(tmp_path)
    assert (first.user_id, first.title, first.topics) == ("3", "Naïve", ("metal", "folk"))
    assert second.topics == ("folk",)
    log = log_of([first, second])
    assert [item.topics for item in log.items] == [("metal", "folk"), ("folk",)]


@pytest.mark.parametrize(
    "rows", ["3\t7\t1\t1\t4\tx2009\n", "3\t7\t1\t31\t2\t2009\n", ""], ids=["no year", "no such day", "empty"]
)
def test_a_log_of_another_form_is_told(rows: str, tmp_path: Path) -> None:
    (tmp_path / "tags.dat").write_text("tagID\ttagValue\n1\tmetal\n")
    (tmp_path / "artists.dat").write_text("id\tname\turl\tpictureURL\n7\tA\tu\tp\n")
    (tmp_path / "user_taggedartists.dat").write_text("userID\tartistID\ttagID\tday\tmonth\tyear\n" + rows)
    with pytest.raises(DataError):
        read_moments(str(tmp_path))


def test_moments_know_nothing_of_what_came(shop_csv: Path) -> None:
    split = read_moments(str(shop_csv), moments=200)
    assert {moment.user for moment in split.learned_from}.isdisjoint({moment.user for moment in split.tested})
    for moment in split.tested:
        assert moment.history.times is None or moment.at is None or moment.history.times.max() < moment.at
        assert moment.label


@pytest.mark.parametrize(("at", "expected"), [(9e8, 9e8), (None, 5.0), ("2001-09-09T01:46:40Z", 1e9)])
def test_a_case_is_asked_at_its_own_moment_or_at_its_last_event(at: object, expected: float, tmp_path: Path) -> None:
    history = [{"item_id": f"i{n}", "title": f"i{n}", "topics": ["t"], "time": float(n)} for n in range(6)]
    case = {"case_id": "c", "history": history, "candidates": history[:2], "relevant": ["i0"], "at": at}
    (tmp_path / "cases.jsonl").write_text(json.dumps(case))
    (moment,) = read_moments(str(tmp_path / "cases.jsonl")).tested
    assert moment.at == expected
    assert moment.label == {"t"}


def test_an_abstention_curve_begins_with_the_most_confident() -> None:
    confidence = np.linspace(0, 1, 100)
    curve = abstention(confidence > 0.5, confidence)
    assert curve[0][1] == 1
    assert curve[-1] == [1.0, pytest.approx(0.5), 0.0]
    assert abstention(np.zeros(0, dtype=bool), np.zeros(0)) == []


def test_the_command_prints_one_document(frappe: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "whimbrel.agent.cli.main", "eval", "shift"]
    ended = subprocess.run([*command, str(frappe), "--json"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    document = json.loads(ended.stdout)
    assert {"moments", "users", "topics", "system"} <= document.keys()
    cases = tmp_path / "cases.jsonl"
    history = [{"item_id": f"i{n}", "title": f"i{n}", "topics": [f"t{n % 3}"]} for n in range(13)]
    line = {"case_id": "c", "history": history, "candidates": history[:2], "relevant": ["i0"]}
    cases.write_text("\n".join(json.dumps({**line, "case_id": f"c{n}"}) for n in range(4)))
    ended = subprocess.run([*command, str(cases)], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert "learned elsewhere" in ended.stdout
