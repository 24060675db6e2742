"""What is evaluated is what users get: `recommend` and the ranking that `eval log` measures are one."""

import json
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent import Agent
from whimbrel.agent.cli.main import main
from whimbrel.agent.demo import open_demo
from whimbrel.agent.learning.cases import BlindCase, Case, read_cases
from whimbrel.agent.pipeline import RANK
from whimbrel.agent.ranking.rank import RankConfig
from whimbrel.agent.schema.results import Recommendations
from whimbrel.agent.state import PipelineConfig
from whimbrel.evals.data.folds import Target, case_of, rows_by_user
from whimbrel.evals.data.logs import Log, read_store
from whimbrel.evals.systems.whimbrel import request_of, scored
from whimbrel.tools.progress import NoProgress
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest

USERS, K = 50, 10
LATER = (
    timedelta(seconds=1),
    timedelta(hours=7),
    timedelta(days=1, hours=13),
    timedelta(days=3, hours=3),
    timedelta(days=5, hours=19),
)
"""How long after an event of the user it is asked: other hours and other days of the week."""


def cases_of(log: Log, folder: Path) -> list[BlindCase]:
    """Return a case for each of USERS users, as `eval log` writes and reads it, at a moment in their past."""
    random = np.random.default_rng(0)
    rows_of = list(rows_by_user(log))
    users = [user for user in random.permutation(len(rows_of)) if len(rows_of[user]) > 20][:USERS]
    path = folder / "cases.jsonl"
    with path.open("w") as file:
        for number, user in enumerate(users):
            rows = rows_of[user]
            latest = log.time[rows[random.integers(len(rows) // 2, len(rows))]]
            at = latest + LATER[number % len(LATER)].total_seconds()
            file.write(json.dumps(case_of(log, Target(user, float(at), rows[log.time[rows] >= at]), rows)) + "\n")
    cases = [case for case in read_cases(path, log.items) if isinstance(case, Case)]
    assert len(cases) == USERS
    moments = [datetime.fromtimestamp(case.blind.at or 0.0, tz=UTC) for case in cases]
    assert len({moment.hour for moment in moments}) > 5
    assert {moment.weekday() for moment in moments} == set(range(7))
    return [case.blind for case in cases]


def assert_served_is_evaluated(agent: Agent, case: BlindCase, served: Recommendations) -> None:
    """Compare a list that is served with what the harness ranks, both as of the moment of the case."""
    evaluated, state = scored(agent, case), agent.run(request_of(case), RANK)
    best = np.argsort(-evaluated.scores, kind="stable")[: len(served.recommendations)]
    assert [case.candidates[row].item_id for row in best] == [entry.item_id for entry in served.recommendations]
    assert [entry.score for entry in state.ranking.list] == [entry.score for entry in served.recommendations]
    assert [entry.signals for entry in state.ranking.list] == [entry.signals for entry in served.recommendations]
    assert evaluated.shift == served.shift


def test_films_are_served_as_they_are_evaluated(ml100k: Path, tmp_path: Path) -> None:
    ingest(open_source(str(ml100k)), tmp_path / "ml")
    cases = cases_of(read_store(str(tmp_path / "ml")), tmp_path)
    with Agent.open(tmp_path / "ml", llm="none") as agent:
        for case in cases:
            assert_served_is_evaluated(agent, case, agent.recommend(case.user_id, case.at, k=K))


@pytest.mark.slow
def test_the_demonstration_is_served_as_it_is_evaluated(tmp_path: Path) -> None:
    with open_demo("none", NoProgress(), lambda words: None) as agent:
        location = agent.store.location
    cases = cases_of(read_store(location), tmp_path)
    with Agent.open(location, llm="none") as agent:
        for case in cases:
            assert_served_is_evaluated(agent, case, agent.recommend(case.user_id, case.at, k=K))


def test_the_settings_of_ranking_hold_in_evaluation_too(shop: Path, tmp_path: Path) -> None:
    log = read_store(str(shop))
    rows = next(rows for user, rows in enumerate(rows_by_user(log)) if log.user_ids[user] == "u5")
    path = tmp_path / "case.jsonl"
    at = float(log.time[-1]) + 1  # garden things and tables, which u5 never bought, are sold unequally often by then
    path.write_text(json.dumps(case_of(log, Target(int(log.user[rows[0]]), at, rows), rows)))
    (case,) = (case.blind for case in read_cases(path, log.items) if isinstance(case, Case))
    lists = []
    for settings in (RankConfig(), RankConfig(diversity=0.9), RankConfig(novelty=5)):
        with Agent.open(shop, llm="none", config=PipelineConfig(rank=settings)) as agent:
            served = agent.recommend("u5", at, k=K)
            assert_served_is_evaluated(agent, case, served)
            lists.append([entry.item_id for entry in served.recommendations])
    assert len({tuple(ids) for ids in lists}) == len(lists)


SATURDAY = datetime(2024, 6, 1, 10, tzinfo=UTC)


def planted_saturdays(path: Path) -> float:
    """Write a log in which one person climbs on Saturdays and cooks on other days; return their last Saturday.

    The others do the same all week and end before, so that the last Saturday is the only case of the log.
    """
    shelves = {
        "Climbing": ["Chalk bag", "Climbing rope", "Harness", "Quickdraw", "Belay device", "Climbing shoes"],
        "Cooking": ["Frying pan", "Chef knife", "Stock pot", "Whisk", "Cutting board", "Spice rack"],
    }
    topics = {title: topic for topic, titles in shelves.items() for title in titles}
    lines, random = ["user_id,title,topics,time,event"], np.random.default_rng(0)

    def buy(user: str, topic: str, at: datetime) -> None:
        title = shelves[topic][int(random.integers(5))]
        lines.append(f"{user},{title},{topics[title]},{at.timestamp():.0f},purchase")

    for week in range(12):
        monday = SATURDAY - timedelta(days=5, weeks=12 - week)
        for day in range(6):
            for turn in range(3):
                at = monday + timedelta(days=day, minutes=7 * turn)
                buy("me", "Climbing" if day == 5 else "Cooking", at)
    for other in range(8):
        for step in range(30):
            at = SATURDAY - timedelta(days=100 - step, minutes=other)
            buy(f"other{other}", "Climbing" if other % 2 else "Cooking", at)
    lines.append(f"me,Climbing shoes,Climbing,{SATURDAY.timestamp():.0f},purchase")
    # Known to the log before, and met by nobody whose list is asked for.
    lines.append(f"other0,Climbing shoes,Climbing,{(SATURDAY - timedelta(days=90)).timestamp():.0f},purchase")
    lines.append(f"other1,Spice rack,Cooking,{(SATURDAY - timedelta(days=90)).timestamp():.0f},purchase")
    path.write_text("\n".join(lines) + "\n")
    return SATURDAY.timestamp()


def test_a_shift_at_the_moment_asked_about_is_in_the_ranking_that_is_measured(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    at = planted_saturdays(tmp_path / "log.csv")

    def run(*arguments: object) -> str:
        monkeypatch.setattr(sys, "argv", ["whimbrel", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            main()
        output = capsys.readouterr()
        assert not ended.value.code, output.err
        return output.out

    run("ingest", tmp_path / "log.csv", "--store", tmp_path / "store")
    served = Recommendations.model_validate_json(
        run("recommend", "me", "--store", tmp_path / "store", "--at", at, "--llm", "none", "--json", "--k", K)
    )
    assert served.shift.kind == "temporal"
    assert served.shift.to_topics == ("Climbing",)
    options = ("--protocol", "leave-last-out", "--system", "whimbrel-none", "--llm", "none", "--refits", 1)
    run("eval", "log", "--path", tmp_path / "log.csv", *options, "--out", tmp_path / "run", "--json")
    fold = tmp_path / "run" / "fold-1"
    rankings = [json.loads(line) for line in (fold / "rankings.jsonl").read_text().splitlines()]
    (ranking,) = (line["ranking"] for line in rankings if line["case_id"] == "me")
    assert ranking[: len(served.recommendations)] == [entry.item_id for entry in served.recommendations]
    outcomes = [json.loads(line) for line in (fold / "outcomes.jsonl").read_text().splitlines()]
    (shift,) = (line["shift"] for line in outcomes if line["case_id"] == "me")
    # The confidence is not compared: the run calibrates it on its own training log, the store by the shipped weights.
    assert (shift["kind"], tuple(shift["to_topics"])) == (served.shift.kind, served.shift.to_topics)
