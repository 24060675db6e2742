"""Where interests migrate: which topics a person's next window of time will hold.

For every person and topic: will the next window contain it? In the harder form only topics count that none of the
person's recent windows contained. The last windows are the test, the one before them chooses thresholds, and all that
learns does so from windows before that: nothing of a tested window is known to any system.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import Case, read_cases
from whimbrel.agent.learning.forecast import best_threshold, train_forecaster
from whimbrel.agent.shift.forecast import Forecaster
from whimbrel.agent.shift.forecast_features import FEATURES, RECENT_WINDOWS, Population, TopicWindows, features
from whimbrel.evals.data.logs import Log, read_log
from whimbrel.evals.data.research_logs import is_lastfm, log_of, read_lastfm
from whimbrel.evals.metrics import binary
from whimbrel.evals.metrics.intervals import DRAWS, holm, percentile_interval
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Item
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.timestamps import DAY_SECONDS, hour_of, is_weekend

Floats = NDArray[np.float64]
Truth = NDArray[np.bool_]
TESTED, LEARNED_FROM = 3, 5
"""Windows that are tested, and windows at most that are learned from."""
MOST_TOPICS, MOST_USERS = 400, 5000
FORMS = ("all", "new")
BASELINE = "user-cf"


@dataclass(frozen=True)
class Meetings:
    """One row a meeting of a user with a topic: its window, and which part of day and week it fell in (0 to 7)."""

    windows: TopicWindows
    user: NDArray[np.int64]
    topic: NDArray[np.int64]
    window: NDArray[np.int64]
    part: NDArray[np.int64]


@dataclass(frozen=True)
class Pairs:
    """Scores of every system for users (rows) and topics at one window, and what came."""

    scores: dict[str, Floats]
    truth: Truth
    new: Truth
    users: NDArray[np.int64]


def meetings_of(log: Log, *, window_days: float, least_events: int) -> Meetings:
    """A log in windows of so many days, counted back from its end; a first window that is not whole is left out, as are
    people with fewer events."""
    often = np.flatnonzero(np.bincount(log.user) >= least_events)[:MOST_USERS]
    row = np.full(len(log.user_ids), -1)
    row[often] = np.arange(len(often))
    window = ((log.time.max() - log.time) / (window_days * DAY_SECONDS)).astype(np.int64)
    last = int((log.time.max() - log.time.min()) / (window_days * DAY_SECONDS))
    chosen = (row[log.user] >= 0) & (window < last)
    part = _part(log.time)
    return _meetings(
        log.items,
        row[log.user[chosen]],
        log.item[chosen],
        last - 1 - window[chosen],
        part[chosen],
        users=len(often),
        windows=last,
    )


def meetings_of_cases(path: Path, *, window_events: int) -> Meetings:
    """Histories of cases in windows of so many events, counted back from the end of each."""
    histories = [case.blind.history for case in read_cases(path) if isinstance(case, Case)]
    items = list({item.item_id: item for history in histories for item in history}.values())
    position = {item.item_id: row for row, item in enumerate(items)}
    windows = max((len(history) // window_events for history in histories), default=0)
    rows = [
        (user, position[item.item_id], windows - 1 - back // window_events)
        for user, history in enumerate(histories)
        for back, item in enumerate(reversed(history))
        if back // window_events < min(windows, len(history) // window_events)
    ]
    table = np.array(rows, dtype=np.int64).reshape(-1, 3)
    part = np.zeros(len(table), dtype=np.int64)
    return _meetings(items, table[:, 0], table[:, 1], table[:, 2], part, users=len(histories), windows=windows)


def measure_migration(
    meetings: Meetings, *, seed: int = 0, tested: int = TESTED, progress: Progress | None = None
) -> dict[str, Any]:
    """Figures of every system in both forms, with 95% intervals over users and how they compare with `user-cf` and with
    the best baseline.

    Raises:
        DataError: the log holds too few windows or no topic.
    """
    progress = progress or NoProgress()
    windows = meetings.windows
    count = len(windows.counts)
    tested = min(tested, max(count - 4, 1))
    validation = count - tested - 1
    ends = list(range(validation - 1, 1, -1))[:LEARNED_FROM]
    if not ends or not windows.topics:
        raise DataError(f"{count} windows with {len(windows.topics)} topics are too few: give a shorter window")
    progress.step("Learning what comes next", 2)
    learned = {"whimbrel": train_forecaster(windows, targets=ends, validation=validation, seed=seed)}
    progress.advance(1)
    boosted = _boosted(windows, ends, validation, seed)
    progress.advance(1)
    progress.step("Predicting windows", tested + 1)
    found = []
    for end in range(validation, count):
        found.append(_pairs(meetings, end, learned["whimbrel"], boosted))
        progress.advance(1)
    document: dict[str, Any] = {
        "windows": count,
        "users": int(windows.counts.shape[1]),
        "topics": len(windows.topics),
        "tested windows": tested,
        "recent windows": RECENT_WINDOWS,
    }
    return document | {form: _form(form, found[0], found[1:], seed) for form in FORMS}


def _pairs(meetings: Meetings, end: int, forecast: Forecaster, boosted: Callable[[TopicWindows], Floats]) -> Pairs:
    past = meetings.windows.until(end)
    population = Population.of(past)
    everybody = np.arange(past.counts.shape[1])
    figures = features(past, population, themselves=everybody)
    column = {name: figures[:, :, number].astype(np.float64) for number, name in enumerate(FEATURES)}
    active = np.flatnonzero(past.counts.sum(axis=(0, 2)) > 0)
    lately = past.counts[-RECENT_WINDOWS:].sum(axis=0)
    scores = {
        "whimbrel": forecast.probabilities(past, population, themselves=everybody),
        BASELINE: np.maximum(column["people alike, ever"], 0.0),
        "user-cf, recent": column["people alike, lately"],
        "frequency": column["share of windows"],
        "frequency, decayed": column["met, half-life 4"],
        "persistence": (lately / np.maximum(lately.sum(axis=1, keepdims=True), 1)).astype(np.float64),
        "markov": column["follows the last window"] + population.lately,
        "habits": _habits(meetings, end),
        "popularity": column["rate lately"],
        "boosted counts": boosted(past),
    }
    truth = meetings.windows.counts[end] > 0
    return Pairs({name: s[active] for name, s in scores.items()}, truth[active], ~past.recent[active], active)


def _boosted(
    windows: TopicWindows, ends: Sequence[int], validation: int, seed: int
) -> Callable[[TopicWindows], Floats]:
    """Gradient boosting over the counts of the last windows alone."""
    import lightgbm

    def figures(past: TopicWindows) -> NDArray[np.float32]:
        latest = past.counts[-RECENT_WINDOWS:]
        padded = np.concatenate([np.zeros((RECENT_WINDOWS - len(latest), *latest.shape[1:]), np.float32), latest])
        stacked = np.concatenate([padded, past.counts.sum(axis=0)[None], past.met.sum(axis=0)[None]])
        return np.moveaxis(stacked, 0, 2).reshape(-1, RECENT_WINDOWS + 2)

    rows = [(figures(windows.until(end)), (windows.counts[end] > 0).reshape(-1)) for end in ends]
    data = lightgbm.Dataset(np.concatenate([x for x, _ in rows]), np.concatenate([y for _, y in rows]))
    held = data.create_valid(figures(windows.until(validation)), (windows.counts[validation] > 0).reshape(-1))
    settings = {"objective": "binary", "learning_rate": 0.1, "num_leaves": 31, "seed": seed, "verbose": -1}
    stop = [lightgbm.early_stopping(20, verbose=False)]
    booster = lightgbm.train(settings, data, 300, valid_sets=[held], callbacks=stop)

    def score(past: TopicWindows) -> Floats:
        return np.asarray(booster.predict(figures(past)), dtype=np.float64).reshape(past.counts.shape[1:])

    return score


def _habits(meetings: Meetings, end: int) -> Floats:
    """Shares of topics among a user's meetings in the part of day and week of their latest one, drawn towards all of
    theirs."""
    users, topics = meetings.windows.counts.shape[1:]
    past = np.flatnonzero(meetings.window < end)
    latest = np.zeros(users, dtype=np.int64)
    latest[meetings.user[past]] = meetings.part[past]  # rows run from early to late
    here = past[meetings.part[past] == latest[meetings.user[past]]]
    habit, whole = np.zeros((users, topics)), np.zeros((users, topics))
    np.add.at(habit, (meetings.user[here], meetings.topic[here]), 1.0)
    np.add.at(whole, (meetings.user[past], meetings.topic[past]), 1.0)
    share = whole / np.maximum(whole.sum(axis=1, keepdims=True), 1)
    return np.asarray((habit + 5 * share) / (habit.sum(axis=1, keepdims=True) + 5))


def _form(form: str, validation: Pairs, tests: Sequence[Pairs], seed: int) -> dict[str, Any]:
    """One form's table: thresholds from the validation window, the rest from the tested ones."""
    systems: dict[str, dict[str, Any]] = {}
    draws: dict[str, Floats] = {}
    for name in validation.scores:
        chosen, truth = _asked(form, validation, name)
        threshold = best_threshold(chosen, truth)
        systems[name], draws[name] = _figures(form, tests, name, threshold, seed)
    reference = draws[BASELINE]
    best = max((name for name in systems if name != "whimbrel"), key=lambda name: systems[name]["f1"])
    p_values = {}
    for name in systems:
        ratio = percentile_interval(draws[name] / np.maximum(reference, 1e-12))
        systems[name]["f1 to user-cf"] = systems[name]["f1"] / max(systems[BASELINE]["f1"], 1e-12)
        systems[name]["f1 to user-cf_ci"] = list(ratio)
        if name != "whimbrel":
            difference = draws["whimbrel"] - draws[name]
            systems[name]["whimbrel minus this"] = systems["whimbrel"]["f1"] - systems[name]["f1"]
            systems[name]["whimbrel minus this_ci"] = list(percentile_interval(difference))
            p_values[name] = float(min(1.0, 2 * min((difference <= 0).mean(), (difference >= 0).mean()) + 1 / DRAWS))
    for name, p in holm(p_values).items():
        systems[name]["p"] = p
    return {"best baseline": best, "system": systems}


def _asked(form: str, pairs: Pairs, name: str) -> tuple[Floats, Truth]:
    """Scores and truth of the pairs that a form asks for, flat."""
    asked = pairs.new if form == "new" else np.ones_like(pairs.new)
    return pairs.scores[name][asked], pairs.truth[asked]


def _figures(
    form: str, tests: Sequence[Pairs], name: str, threshold: float, seed: int
) -> tuple[dict[str, Any], Floats]:
    flat = [_asked(form, pairs, name) for pairs in tests]
    scores, truth = np.concatenate([s for s, _ in flat]), np.concatenate([t for _, t in flat])
    users = 1 + max(int(pairs.users.max()) for pairs in tests)
    right, said, true = np.zeros(users), np.zeros(users), np.zeros(users)
    hits, asked = 0, 0
    for pairs in tests:
        open_ = pairs.new if form == "new" else np.ones_like(pairs.new)
        yes = (pairs.scores[name] >= threshold) & open_
        right[pairs.users] += (yes & pairs.truth).sum(axis=1)
        said[pairs.users] += yes.sum(axis=1)
        true[pairs.users] += (pairs.truth & open_).sum(axis=1)
        turned = (pairs.truth & open_).any(axis=1)
        first = np.where(open_, pairs.scores[name], -np.inf).argmax(axis=1)
        hits += int(pairs.truth[np.arange(len(first)), first][turned].sum())
        asked += int(turned.sum())
    random = np.random.default_rng(seed)
    weights = np.stack([np.bincount(random.integers(0, users, users), minlength=users) for _ in range(DRAWS)])
    f1 = 2 * (weights @ right) / np.maximum(weights @ said + weights @ true, 1e-12)
    negatives = truth.size - true.sum()
    recall = float(right.sum() / max(true.sum(), 1))
    kept = 1 - float((said - right).sum() / max(negatives, 1))
    figures = {
        "n": int(truth.size),
        "positive": int(truth.sum()),
        "users": int((said + true > 0).sum()),
        "threshold": float(threshold),
        "accuracy": float(((scores >= threshold) == truth).mean()),
        "balanced accuracy": (recall + kept) / 2,
        "top-1 accuracy": hits / max(asked, 1),
        "precision": float(right.sum() / max(said.sum(), 1)),
        "recall": recall,
        "f1": float(2 * right.sum() / max(said.sum() + true.sum(), 1)),
        "f1_ci": list(percentile_interval(f1)),
        "average_precision": binary.average_precision(truth, scores),
    }
    if name in ("whimbrel", "boosted counts"):
        figures["ece"] = binary.expected_calibration_error(truth, scores)
    return figures, f1


def _meetings(
    items: Sequence[Item],
    user: NDArray[np.int64],
    item: NDArray[np.int64],
    window: NDArray[np.int64],
    part: NDArray[np.int64],
    *,
    users: int,
    windows: int,
) -> Meetings:
    """Meetings of items become those of their topics, the most frequent ones."""
    frequency: dict[str, int] = {}
    times = np.bincount(item, minlength=len(items))
    for row, one in enumerate(items):
        for topic in one.topics:
            frequency[topic] = frequency.get(topic, 0) + int(times[row])
    topics = sorted(sorted(frequency, key=lambda topic: (-frequency[topic], topic))[:MOST_TOPICS])
    position = {topic: row for row, topic in enumerate(topics)}
    of_item = [[position[topic] for topic in one.topics if topic in position] for one in items]
    counts = np.array([len(of_item[number]) for number in item], dtype=np.int64)
    met = np.array([row for number in item for row in of_item[number]], dtype=np.int64)
    if not windows or not len(met):
        raise DataError("no window holds an event with a topic: map a column to topics, or give a shorter window")
    rows = np.repeat(np.arange(len(item)), counts)
    found = TopicWindows.of(user[rows], met, window[rows], users=users, topics=topics, windows=windows)
    return Meetings(found, user[rows], met, window[rows], part[rows])


def _part(time: Floats) -> NDArray[np.int64]:
    """Quarter of the day, and 4 more at the weekend (UTC)."""
    return np.asarray(4 * is_weekend(time) + hour_of(time) // 6, dtype=np.int64)


def migration_markdown(document: Mapping[str, Any]) -> str:
    """Both forms as Markdown."""
    parts = []
    for form in FORMS:
        found = document[form]["system"]
        first = next(iter(found.values()))
        asked = "All topics" if form == "all" else f"Topics of none of the last {RECENT_WINDOWS} windows"
        parts.append(
            f"{asked}: {first['n']:,} pairs, {first['positive']:,} positive, {document['users']:,} users, "
            f"{document['topics']} topics\n"
        )
        parts.append(
            "| system | F1 | to user-cf | precision | recall | balanced accuracy | top-1 | accuracy | AP | ECE |"
        )
        parts.append("|---|---|---|---|---|---|---|---|---|---|")
        for name in sorted(found, key=lambda name: -found[name]["f1"]):
            one = found[name]
            low, high = one["f1_ci"]
            ratio_low, ratio_high = one["f1 to user-cf_ci"]
            cells = [
                name,
                f"{one['f1']:.3f} [{low:.3f}, {high:.3f}]",
                f"{one['f1 to user-cf']:.2f} [{ratio_low:.2f}, {ratio_high:.2f}]",
                *(
                    f"{one[key]:.3f}"
                    for key in ("precision", "recall", "balanced accuracy", "top-1 accuracy", "accuracy")
                ),
                f"{one['average_precision']:.3f}",
                f"{one['ece']:.3f}" if "ece" in one else "",
            ]
            parts.append(f"| {' | '.join(cells)} |")
        parts.append("")
    return "\n".join(parts)


def read_meetings(
    source: str,
    *,
    format: str | None,
    mapped: Sequence[tuple[str, str]],
    window_days: float,
    window_events: int,
    least_events: int,
    progress: Progress | None = None,
) -> Meetings:
    """Meetings of a log in a format of `ingest`, or of a file of cases for `eval rank`.

    Raises:
        ConfigError, DataError: as those formats do.
    """
    if source.endswith(".jsonl") and format is None and _is_cases(Path(source)):
        return meetings_of_cases(Path(source), window_events=window_events)
    if window_days <= 0:
        raise ConfigError(f"a window of {window_days} days is none: give more than 0")
    if is_lastfm(Path(source)):
        log = log_of(read_lastfm(Path(source)))
    else:
        log = read_log(open_source(source, format=format, mapped=mapped), progress)
    return meetings_of(log, window_days=window_days, least_events=least_events)


def _is_cases(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return b'"history"' in file.readline(1 << 16)
    except OSError:
        return False
