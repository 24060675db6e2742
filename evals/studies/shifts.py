"""Whether what is said of an interest comes true: the next event's topics, the shift, its kind, how sure one was.

The moment is an event of a held-out person: what is known is what happened before it. Weights are learned from other
people, or earlier, or are those shipped; whatever is compared is asked at the same moments. Right is a named shift if
the event bears one of `to_topics`; that none is named is right if it bears a topic of the five events before."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.learning.cases import Case, read_cases
from whimbrel.agent.learning.topic_moments import LEAST_HISTORY, PER_USER, TITLES, moments_of
from whimbrel.agent.learning.topics import LEAST_MOMENTS, TopicMoment, fit_next_topics, outcome_of
from whimbrel.agent.shift.next_topics import TOPIC_FEATURES, NextTopics, topic_features
from whimbrel.agent.shift.topic_history import TopicHistory
from whimbrel.evals.data.logs import Log, read_log
from whimbrel.evals.data.research_logs import is_frappe, is_lastfm, log_of, read_frappe, read_lastfm
from whimbrel.evals.metrics.decisions import abstention, measure_decisions
from whimbrel.evals.metrics.intervals import bootstrap_means, interval, percentile_interval, sign_flip_p
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.topic_habits import TopicHabits, TopicHabitsOverTime
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.text.titles import short_titles

Floats = NDArray[np.float64]
SHORTCUTS: Mapping[str, tuple[str, ...]] = {
    "frequency": ("ever",),
    "lately": ("ever", "lately"),
    "persistence": ("ever", "lately", "last event", "session"),
    "everybody": ("everybody", "everybody lately"),
    "markov": ("everybody", "everybody's sequence"),
    "habits of the hour": ("ever", "hour", "weekend"),
}
"""Sums of signals, each with weight 1, that stand beside the learned weights."""
ELSEWHERE = "whimbrel, learned elsewhere"
WEIGHED, LLM_WEIGHTS = 8, (0.0, 0.1, 0.2, 0.3, 0.5)
"""Likeliest topics that the language model weighs, and the weights of its likelihood that are tried where is
learned."""
ORDERLESS_PER_USER, MOST_ORDERLESS = 5, 300
WARM_UP, SPLIT = 0.3, 0.65
"""Shares of the log: before the first nothing is asked; what is learned from lies before the second, tests behind
it."""


@dataclass(frozen=True)
class Split:
    """Moments to learn from, moments of other people that are tested, and lines of the source that are wrong."""

    learned_from: list[TopicMoment]
    tested: list[TopicMoment]
    problems: Sequence[object] = ()


def read_moments(
    source: str,
    *,
    format: str | None = None,
    mapped: Sequence[tuple[str, str]] = (),
    moments: int = 2500,
    seed: int = 0,
    progress: Progress | None = None,
) -> Split:
    """Moments of a log in a format of `ingest`, of Last.fm or Frappe (folders), or of a file of cases.

    People are split in halves; of a log with times those learned from lie earlier too.

    Raises:
        ConfigError, DataError: as those formats do.
    """
    path = Path(source)
    if source.endswith(".jsonl") and format is None and path.is_file():
        read = list(read_cases(path))
        problems = [one for one in read if not isinstance(one, Case)]
        if len(problems) == len(read):
            raise DataError(f"{source!r} holds no case{f': {problems[0]}' if problems else ''}")
        return Split([], [_of_case(case) for case in read if isinstance(case, Case)], problems)
    if is_frappe(path):
        return _orderless(read_frappe(path), seed)
    if is_lastfm(path):
        return _timed(_Histories.of_log(log_of(read_lastfm(path))), moments, seed)
    return _timed(
        _Histories.of_log(read_log(open_source(source, format=format, mapped=mapped), progress)), moments, seed
    )


def _of_case(case: Case) -> TopicMoment:
    items = {item.item_id: item for item in case.blind.candidates}
    came = frozenset(topic for item_id in case.relevant if item_id in items for topic in items[item_id].topics)
    situation = {key: str(value) for key, value in case.blind.context.items() if key not in ("query", "group")}
    times = [item.time for item in case.blind.history]
    at = times[-1] if times and None not in times else None
    titles = tuple(short_titles(case.blind.history[-TITLES:]))
    return TopicMoment(case.blind.user_id, TopicHistory.of(case.blind.history), at, situation, None, came, titles)


@dataclass(frozen=True)
class _Histories:
    """Histories by user, each made when it is asked for, and the log of all."""

    users: list[str]
    of: Callable[[str], Sequence[Item]]
    log: InteractionLog

    @classmethod
    def of_log(cls, log: Log) -> "_Histories":
        order = np.argsort(log.user, kind="stable")
        bounds = np.searchsorted(log.user[order], np.arange(len(log.user_ids) + 1))
        number = {user: row for row, user in enumerate(log.user_ids)}

        def history(user: str) -> list[Item]:
            rows = order[bounds[number[user]] : bounds[number[user] + 1]]
            return [log.items[log.item[row]].model_copy(update={"time": float(log.time[row])}) for row in rows]

        events = (
            (float(time), log.user_ids[user], log.items[item].item_id, None)
            for time, user, item in zip(log.time, log.user, log.item, strict=True)
        )
        return cls(sorted(log.user_ids), history, InteractionLog.build(log.items, events))


def _timed(histories: _Histories, most: int, seed: int) -> Split:
    habits, times = TopicHabitsOverTime(histories.log), histories.log.time
    first, split = (float(times[int(len(times) * share)]) for share in (WARM_UP, SPLIT))
    per_user = max(PER_USER, -(-most // max(len(histories.users), 1)))
    found: tuple[list[TopicMoment], list[TopicMoment]] = ([], [])
    for number, row in enumerate(np.random.default_rng(seed).permutation(len(histories.users))):
        part, user = found[number % 2], histories.users[row]
        if len(part) < most // 2:
            since, until = ((first, split), (split, np.inf))[number % 2]
            part += moments_of(
                user, histories.of(user), habits, since=since, until=until, per_user=per_user, seed=seed + number
            )
        elif all(len(one) >= most // 2 for one in found):
            break
    return Split(*(sorted(part, key=lambda moment: moment.at or 0.0) for part in found))


def _orderless(events: Sequence[Interaction], seed: int) -> Split:
    """Events without times: each asked with others of its person as its history, in any order; habits are those of a
    third of the people for the second third, and of both for the last."""
    random = np.random.default_rng(seed)
    histories: dict[str, list[Interaction]] = {}
    for row in random.permutation(len(events)):
        histories.setdefault(events[row].user_id, []).append(events[row])
    users = [sorted(histories)[row] for row in random.permutation(len(histories))]
    third = len(users) // 3

    def of(asked: Sequence[str], known: Sequence[str]) -> list[TopicMoment]:
        habits = TopicHabits.of(_log_of([event for user in known for event in histories[user]]), before=np.inf)
        moments = []
        for user in asked:
            history = [event.model_copy(update={"time": None}) for event in histories[user][:MOST_ORDERLESS]]
            for place in range(min(ORDERLESS_PER_USER, len(history) - LEAST_HISTORY)):
                person = TopicHistory.of([*history[:place], *history[place + 1 :]], habits)
                event = history[place]
                titles = tuple(short_titles(history[-TITLES:]))
                moments.append(TopicMoment(user, person, None, event.context, habits, frozenset(event.topics), titles))
        return moments

    return Split(of(users[third : 2 * third], users[:third]), of(users[2 * third :], users[: 2 * third]))


def _log_of(events: Sequence[Interaction]) -> InteractionLog:
    items = {event.item_id: Item(item_id=event.item_id, title=event.title, topics=event.topics) for event in events}
    rows = [(event.time, event.user_id, event.item_id, event.context) for event in events]
    return InteractionLog.build(items.values(), rows)


def measure_shifts(
    split: Split,
    elsewhere: NextTopics,
    *,
    llm: LanguageModel | None = None,
    limit: int = 200,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Figures of topics, of whether the interest moves, and of what is said, with 95% intervals over users;
    `elsewhere` is what was learned from other logs. With a language model `limit` events are asked again with its
    likelihood of topics.

    Raises:
        DataError: no tested moment has topics.
    """
    progress = progress or NoProgress()
    tested = [moment for moment in split.tested if moment.label and len(moment.history.pair_topic)]
    if not tested:
        raise DataError("no event to be predicted bears topics and has a history that does")
    predictors = {ELSEWHERE: elsewhere}
    if len(split.learned_from) >= LEAST_MOMENTS:
        progress.step("Learning", None)
        predictors = {"whimbrel": fit_next_topics([split.learned_from], seed=seed)} | predictors
    _, users = np.unique([moment.user for moment in tested], return_inverse=True)
    main = next(iter(predictors))
    topics = {name: _topics(predictor, tested) for name, predictor in predictors.items()}
    if any(moment.situation for moment in tested):
        blind = [replace(moment, situation={}) for moment in split.learned_from]
        predictor = fit_next_topics([blind], seed=seed) if len(blind) >= LEAST_MOMENTS else predictors[main]
        topics["without the situation"] = _topics(predictor, [replace(moment, situation={}) for moment in tested])
    topics |= {name: _shortcut(parts, tested) for name, parts in SHORTCUTS.items()}
    document: dict[str, Any] = {
        "moments": len(tested),
        "users": int(users.max()) + 1,
        "learned from": len(split.learned_from),
        "topics": {name: _compared(found, topics[main], users, seed) for name, found in topics.items()},
        "system": {},
    }
    if llm is not None:
        document["llm lift"] = _lift(llm, predictors[main], split, tested, users, limit, seed, progress)
    progress.step("Saying what moves", len(tested) * len(predictors))
    groups = [np.flatnonzero(users == user) for user in range(int(users.max()) + 1)]
    for name, predictor in predictors.items():
        said = _said(predictor, tested, progress)
        document["system"][name] = {
            "kinds": dict(Counter(said.kinds)),
            "moves": measure_decisions(said.moved, said.moves, groups, seed=seed),
            "said": measure_decisions(said.right, said.confidence, groups, seed=seed)
            | {"right": float(said.right.mean()), "abstention": abstention(said.right, said.confidence)},
            "named": _named(said, users, seed),
        }
    return document


@dataclass(frozen=True)
class _Said:
    """By moment: the kind named, the confidence, whether it came true; whether the interest moved, and how probable
    that was held to be."""

    kinds: list[str]
    confidence: Floats
    right: NDArray[np.bool_]
    moves: Floats
    moved: NDArray[np.bool_]


def _said(predictor: NextTopics, tested: Sequence[TopicMoment], progress: Progress) -> _Said:
    rows = []
    for moment in tested:
        learned = predictor.model_for(moment.habits)
        outcome = outcome_of(learned, moment)
        named, stays = outcome.change, learned.stay_calibration.probability(outcome.stay_features)
        told = None
        if named and outcome.shift_features is not None:
            told = (learned.shift_calibration.probability(outcome.shift_features), outcome.shifted)
        rows.append(
            (named.kind if named else "none", *(told or (stays, outcome.stayed)), 1 - stays, not outcome.stayed)
        )
        progress.advance(1)
    kinds, confidence, right, moves, moved = zip(*rows, strict=True)
    return _Said(list(kinds), np.array(confidence), np.array(right), np.array(moves), np.array(moved))


def _named(said: _Said, users: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Of each kind named: how often, and how often it came true."""
    found = {}
    for kind in sorted(set(said.kinds)):
        here = np.array([one == kind for one in said.kinds])
        mean = interval(np.where(here, said.right.astype(float), np.nan), users, seed=seed)
        found[kind] = {"n": int(here.sum()), "right": mean.value, "right_ci": [mean.low, mean.high]}
        found[kind]["confidence"] = float(said.confidence[here].mean())
    return found


def _topics(predictor: NextTopics, tested: Sequence[TopicMoment]) -> Floats:
    """Log loss and whether the likeliest topic came, shape (moments, 2); a topic nobody knows has probability 1e-6."""
    rows = []
    for moment in tested:
        expected = predictor.model_for(moment.habits).predict(
            moment.history, at=moment.at, situation=moment.situation, habits=moment.habits
        )
        rows.append(_scored(expected.probability, moment))
    return np.array(rows)


def _lift(
    llm: LanguageModel,
    predictor: NextTopics,
    split: Split,
    tested: Sequence[TopicMoment],
    users: NDArray[np.int64],
    limit: int,
    seed: int,
    progress: Progress,
) -> dict[str, Any]:
    """What the model's likelihood of the likeliest topics adds, its weight chosen where is learned (else .2)."""
    random = np.random.default_rng(seed)
    rows = np.sort(random.permutation(len(tested))[:limit])
    learned = [split.learned_from[n] for n in random.permutation(len(split.learned_from))[: limit // 2]]
    progress.step("Asking the language model", len(rows) + len(learned))

    def asked(moments: Sequence[TopicMoment]) -> list[tuple[TopicMoment, Floats, list[int], Floats]]:
        found = []
        for moment in moments:
            expected = predictor.model_for(moment.habits).predict(
                moment.history, at=moment.at, situation=moment.situation, habits=moment.habits
            )
            names = moment.history.topic_names
            best = np.argsort(-expected.probability, kind="stable")[:WEIGHED].tolist()
            told = score_options(llm, history=moment.titles, wish="", options=[names[n] for n in best]).values
            values = np.zeros(len(best)) if told is None else (told - told.mean()) / max(float(told.std()), 1e-9)
            found.append((moment, expected.probability, best, values))
            progress.advance(1)
        return found

    def scored(found: Sequence[tuple[TopicMoment, Floats, list[int], Floats]], weight: float) -> Floats:
        table = []
        for moment, probability, best, values in found:
            changed = probability.copy()
            raised = probability[best] * np.exp(weight * values)
            changed[best] = raised / raised.sum() * probability[best].sum()
            table.append(_scored(changed, moment))
        return np.array(table)

    tried = asked(learned)
    weight = min(LLM_WEIGHTS, key=lambda w: float(scored(tried, w)[:, 0].mean())) if tried else 0.2
    found = asked([tested[row] for row in rows])
    _, own = np.unique(users[rows], return_inverse=True)
    document = _compared(scored(found, 0.0), scored(found, weight or 0.1), own, seed)
    return {"weight": weight, "reported with": weight or 0.1, "without the model": document}


def _shortcut(parts: Sequence[str], tested: Sequence[TopicMoment]) -> Floats:
    weights = np.array([1.0 if name in parts else 0.0 for name in TOPIC_FEATURES])
    rows = []
    for moment in tested:
        found = topic_features(moment.history, at=moment.at, situation=moment.situation, habits=moment.habits) @ weights
        raised = np.exp(found - found.max())
        rows.append(_scored(raised / raised.sum(), moment))
    return np.array(rows)


def _scored(probability: Floats, moment: TopicMoment) -> tuple[float, float]:
    rows = moment.label_rows()
    came = np.concatenate([probability[rows], np.zeros(len(moment.label) - len(rows))])
    return float(-np.log(np.maximum(came, 1e-6)).mean()), float(probability.argmax() in rows)


def _compared(found: Floats, reference: Floats, users: NDArray[np.int64], seed: int) -> dict[str, Any]:
    """Means with intervals, and the reference less this, paired."""
    document: dict[str, Any] = {"n": len(found)}
    for column, name in enumerate(("log loss", "top-1 accuracy")):
        mean = interval(found[:, column], users, seed=seed)
        difference = reference[:, column] - found[:, column]
        document[name], document[f"{name}_ci"] = mean.value, [mean.low, mean.high]
        document[f"{name}, whimbrel minus this"] = float(difference.mean())
        document[f"{name}, whimbrel minus this_ci"] = list(
            percentile_interval(bootstrap_means(difference, users, seed=seed))
        )
        document[f"{name}, p"] = sign_flip_p(difference, users, seed=seed)
    return document


def shifts_markdown(document: Mapping[str, Any]) -> str:
    """The tables in Markdown."""

    def cell(found: Mapping[str, Any], name: str) -> str:
        low, high = found[f"{name}_ci"]
        return f"{found[name]:.3f} [{low:.3f}, {high:.3f}]"

    lines = [
        f"{document['moments']:,} events of {document['users']:,} people; "
        + (
            f"learned from {document['learned from']:,} events of others\n"
            if document["learned from"] >= LEAST_MOMENTS
            else f"{document['learned from']} events of others are too few to learn from, {LEAST_MOMENTS} are needed\n"
        ),
        "| topics of the next event | log loss | whimbrel less this | top-1 accuracy | whimbrel less this |",
        "|---|---|---|---|---|",
    ]
    for name, found in sorted(document["topics"].items(), key=lambda pair: pair[1]["log loss"]):
        cells = [
            cell(found, part + more)
            for part in ("log loss", "top-1 accuracy")
            for more in ("", ", whimbrel minus this")
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    lines += [
        "",
        "| what was said | right | ECE | Brier | moves: base rate | average precision | ECE |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, found in document["system"].items():
        said, moves = found["said"], found["moves"]
        base = sum(came * count for _, came, count in moves["reliability"]) / moves["n"]
        lines.append(
            f"| {name} | {said['right']:.3f} | {said['ece']:.3f} | {cell(said, 'brier')} | {base:.3f} | "
            f"{cell(moves, 'average_precision')} | {moves['ece']:.3f} |"
        )
    if "llm lift" in document:
        lift = document["llm lift"]["without the model"]
        lines += [
            "",
            f"LLM lift ({lift['n']} events; weight {document['llm lift']['reported with']}): "
            + ", ".join(
                f"{name} {cell(lift, name + ', whimbrel minus this')}" for name in ("log loss", "top-1 accuracy")
            ),
        ]
    first = next(iter(document["system"].values()))
    lines += ["", "| kind | n | right | mean confidence |", "|---|---|---|---|"]
    lines += [
        f"| {kind} | {one['n']} | {cell(one, 'right')} | {one['confidence']:.3f} |"
        for kind, one in first["named"].items()
    ]
    lines += ["", "| answered, the surest first | right | least confidence |", "|---|---|---|"]
    lines += [
        f"| {share:.0%} | {right:.3f} | {least:.3f} |" for share, right, least in first["said"]["abstention"][3::4]
    ]
    return "\n".join(lines)
