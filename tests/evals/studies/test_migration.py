"""Where interests migrate: forecasts of topics, beside what is simpler, without a look at what is asked."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent import ConfigError, DataError
from whimbrel.agent.learning.forecast import train_forecaster, training_pairs
from whimbrel.agent.shift.forecast import Forecaster
from whimbrel.agent.shift.forecast_features import FORECAST_FEATURES, Population, TopicWindows, forecast_features
from whimbrel.evals.studies.migration import measure_migration
from whimbrel.evals.studies.topic_windows import Meetings, Windowing, read_meetings

USERS, TOPICS, WINDOWS = 120, 12, 16


def planted(seed: int = 0) -> TopicWindows:
    """Half of the people turn from topic to topic, each following the one before; the others keep to two of their own."""
    random = np.random.default_rng(seed)
    rows = []
    for user in range(USERS):
        tastes = random.choice(TOPICS, 2, replace=False)
        for window in range(WINDOWS):
            met = [(user + window) % TOPICS] if user % 2 else list(tastes[random.random(2) < 0.7])
            met += list(random.choice(TOPICS, 1)) if random.random() < 0.2 else []
            rows += [(user, topic, window) for topic in met]
    user, topic, window = np.array(rows).T
    return TopicWindows.of(user, topic, window, users=USERS, topics=[f"t{n}" for n in range(TOPICS)], windows=WINDOWS)


def meetings_in(windows: TopicWindows) -> Meetings:
    window, user, topic = np.nonzero(windows.counts)
    return Meetings(windows, user, topic, window, np.zeros(len(user), dtype=np.int64))


def test_a_forecast_learns_what_follows_what_and_what_stays() -> None:
    windows = planted()
    forecast = train_forecaster(windows, targets=range(4, 13), validation=13)
    past = windows.until(15)
    probability = forecast.probabilities(past, Population.of(past), themselves=np.arange(USERS))
    assert probability.shape == (USERS, TOPICS)
    assert ((probability >= 0) & (probability <= 1)).all()
    turning = np.arange(1, USERS, 2)
    assert (probability[turning].argmax(axis=1) == (turning + 15) % TOPICS).mean() > 0.9
    truth = windows.counts[15] > 0
    assert abs(probability.mean() - truth.mean()) < 0.03  # calibrated in the large


def test_figures_know_nothing_of_the_window_asked_for_nor_later() -> None:
    windows = planted()
    figures, truth = training_pairs(windows, 10)
    later = TopicWindows(windows.topics, windows.counts.copy())
    later.counts[10:] = 1 - (later.counts[10:] > 0)
    changed, other = training_pairs(later, 10)
    np.testing.assert_array_equal(figures, changed)
    assert (truth != other).all()
    assert figures.shape == (USERS * TOPICS, len(FORECAST_FEATURES))
    assert np.isfinite(figures).all()


def test_one_person_has_the_figures_that_they_have_among_all() -> None:
    past = planted().until(12)
    population = Population.of(past)
    everybody = forecast_features(past, population, themselves=np.arange(USERS))
    rows = np.array([3, 40])
    np.testing.assert_allclose(
        forecast_features(past.of_users(rows), population, themselves=rows), everybody[rows], atol=1e-5
    )


def test_a_forecast_is_kept_as_text_and_a_wrong_file_is_told(tmp_path: Path) -> None:
    windows = planted()
    forecast, past = train_forecaster(windows, targets=[8, 9], validation=10), windows.until(12)
    forecast.save(tmp_path / "forecast.txt")
    again = Forecaster.load(tmp_path / "forecast.txt")
    population = Population.of(past)
    np.testing.assert_allclose(again.probabilities(past, population), forecast.probabilities(past, population))
    (tmp_path / "forecast.txt").write_text("tree")
    with pytest.raises(DataError, match="whimbrel fit"):
        Forecaster.load(tmp_path / "forecast.txt")
    with pytest.raises(DataError, match="at least two windows"):
        train_forecaster(windows, targets=[1], validation=2)


def test_every_system_is_measured_in_both_forms_and_the_planted_one_is_won() -> None:
    document = measure_migration(meetings_in(planted()))
    for form in ("all", "new"):
        systems = document[form]["system"]
        assert {"whimbrel", "user-cf", "persistence", "frequency", "markov", "habits", "boosted counts"} <= set(systems)
        ours = systems["whimbrel"]
        assert ours["f1_ci"][0] <= ours["f1"] <= ours["f1_ci"][1]
        for name, row in systems.items():
            precision, recall = row["precision"], row["recall"]
            f1 = 2 * precision * recall / (precision + recall) if precision + recall else 0
            assert row["f1"] == pytest.approx(f1), name
            assert name == "whimbrel" or row["whimbrel minus this"] == pytest.approx(ours["f1"] - row["f1"])
        assert ours["f1"] > systems["user-cf"]["f1"]
    assert document["new"]["system"]["whimbrel"]["n"] < document["all"]["system"]["whimbrel"]["n"]


def test_a_log_and_a_file_of_cases_are_read_into_windows(shop_csv: Path, tmp_path: Path) -> None:
    meetings = read_meetings(str(shop_csv), Windowing(days=5, events=5, least_events=20))
    assert meetings.windows.counts.shape[1] == 12  # the twenty who bought one table are left out
    assert set(meetings.windows.topics) >= {"Bread", "Garden", "Tea"}
    cases = tmp_path / "cases.jsonl"
    history = [{"item_id": f"i{n}", "title": f"i{n}", "topics": [f"t{n // 3}"]} for n in range(13)]
    cases.write_text(
        json.dumps({"case_id": "c", "history": history, "candidates": history[:2], "relevant": ["i0"]}) + "\n"
    )
    windows = read_meetings(str(cases), Windowing(days=1, events=3, least_events=1)).windows
    assert windows.counts.shape == (4, 1, 5)
    assert windows.counts.sum() == 12  # the oldest event is of a window that is not whole
    assert windows.counts[-1, 0].tolist() == [0, 0, 0, 2, 1]


def test_the_command_prints_one_document(shop_csv: Path) -> None:
    command = [
        sys.executable,
        "-m",
        "whimbrel.agent.cli.main",
        "eval",
        "migration",
        str(shop_csv),
        "--window-days",
        "3",
    ]
    ended = subprocess.run([*command, "--json"], capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    assert set(json.loads(ended.stdout)) >= {"windows", "all", "new"}
    few = subprocess.run([*command[:-1], "400"], capture_output=True, text=True)
    assert few.returncode == 1
    assert "shorter window" in few.stderr


@pytest.mark.parametrize("days", [float("nan"), float("inf"), 0.0, 1e-7])
def test_windows_that_cut_no_log_are_refused(days: float) -> None:
    with pytest.raises(ConfigError, match="--window-days"):
        Windowing(days=days)
