"""Measure what weights learned from one log are worth on another: unused, used, refitted, and fused.

The target's weights are learned from moments before a point in time, by the choices of 1, 10 or 100% of its people.
Lists are then asked for at later moments. Statistics of the log are those of each moment, for every system. Models of
items (EASE, embeddings) are left out, since only weights are compared. Sessions without times are split by people
instead, and their lists are given.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.fitted import FUSION, Fitted
from whimbrel.agent.learning.cases import Problem, read_boundary_cases
from whimbrel.agent.learning.choice_sets import TrainingQuery, training_queries
from whimbrel.agent.learning.fusion import Fusion
from whimbrel.agent.learning.learn import Draw, draw_channel_choices, draw_choices, learn_channels, learn_rankers
from whimbrel.agent.learning.ranking import ChoiceSet, gains
from whimbrel.agent.learning.sessions import Training, catalogue_of
from whimbrel.agent.learning.trials import Trials
from whimbrel.agent.pipeline import QUERY, STAGES, run
from whimbrel.agent.ranking.rankers import CandidateKind, Rankers
from whimbrel.agent.state import Request, Resources
from whimbrel.agent.transfer import read_fit
from whimbrel.evals.metrics.intervals import Interval, interval
from whimbrel.evals.metrics.ranking import ndcg_at_k
from whimbrel.tools.errors import DataError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.store.store import open_store

Floats = NDArray[np.float64]

K = 10
PARTS = (0.01, 0.1, 1.0)
"""The shares of the target's people whose choices are learned from."""
LEARNED_UNTIL, WARM_UP = 0.8, 0.6
"""The share of the log before the moments that lists are asked for, and, of that share, before those learned from."""
HALF = 2
"""Sessions are split into halves: to learn from, and to test on."""


@dataclass(frozen=True)
class TransferConfig:
    """How much is measured.

    Attributes:
        users: How many people lists are asked for.
        choices: How many moments the target's weights are learned from.
        seed: The seed of all draws.
    """

    users: int = 300
    choices: int = 400
    seed: int = 0


@dataclass(frozen=True)
class _Systems:
    """The weights that are compared, keyed by name, and what was said of the source while they were fused."""

    rankers: Mapping[str, Rankers]
    words: Mapping[str, str]


def measure_transfer(
    source: str, target: str, config: TransferConfig | None = None, *, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure the weights of a source on a target.

    Args:
        source: A store whose weights were learned, a folder of `whimbrel fit --out`, or sessions (.jsonl).
        target: A store, or sessions (.jsonl) as for `whimbrel eval boundaries`.
        config: How much is measured.
        progress: Shows the progress.

    Returns:
        `system`: NDCG@10 of each system with its interval, and its difference from what is shipped (`gain`); for fused
        weights also the difference from the better of their parts (`fused`). `trial`: what the check of
        `recommend --fitted` says.

    Raises:
        DataError: the source has no learned weights, or the target is too short.
    """
    config, progress = config or TransferConfig(), progress or NoProgress()
    if target.endswith(".jsonl"):
        weights = (
            _learned(_draw_cold(source, config, progress), "cold", Rankers.default(), config.seed)
            if source.endswith(".jsonl")
            else _weights_of(source)
        )
        return _measure_sessions(weights, target, config, progress)
    with open_store(target) as store:
        return _measure_store(_weights_of(source), store, config, progress)


def _weights_of(source: str) -> Rankers:
    folder = Path(source)
    if (folder / FUSION).is_file():
        return read_fit(folder).fusion
    with open_store(source) as store:
        fusion = Fitted.load(store.fitted).fusion
    if fusion == Rankers.default():
        raise DataError(f"nothing was learned from store {source!r}: run `whimbrel fit --store {source} --out FITTED`")
    return fusion


def _measure_store(source: Rankers, store: Catalogue, config: TransferConfig, progress: Progress) -> dict[str, Any]:
    log = store.log
    until = float(log.time[int(len(log.time) * LEARNED_UNTIL)])
    draw = Draw(config.choices, config.seed, progress, warm_up=WARM_UP, until=until)
    start = Fitted.default()
    of_channels = draw_channel_choices(store, start, draw)
    channels = learn_channels([of_channels], start.fusion.channels, seed=config.seed)
    with_channels = start.fusion.model_copy(update={"channels": channels})
    choices = draw_choices(store, "retrieved", replace(start, fusion=with_channels), draw)
    progress.step("Learning weights", len(PARTS))
    systems = _systems(source, "retrieved", choices, of_channels, config.seed, progress)
    queries = _one_each(training_queries(store, most=4 * config.users, warm_up=LEARNED_UNTIL, seed=config.seed), config)
    progress.step("Asking for lists", len(queries))
    values: dict[str, list[float]] = {name: [] for name in systems.rankers}
    resources = Resources(store, start)
    for query in queries:
        request = Request(user_id=query.user, at=query.before, context=query.context, k=K)
        state = run(request, resources, QUERY)
        gain_of: dict[str, float] = {}  # some systems have the same weights
        for name, rankers in systems.rankers.items():
            if (key := rankers.model_dump_json(exclude={"learned_from"})) not in gain_of:
                ranked = state
                for stage in ("retrieve", "compare", "rank"):
                    ranked = STAGES[stage](ranked, replace(resources, fitted=replace(start, fusion=rankers)))
                ids = [entry.candidate.item.item_id for entry in ranked.ranking.list]
                ranks = [ids.index(item_id) + 1 if item_id in ids else K + 1 for item_id in query.chose]
                gain_of[key] = ndcg_at_k(ranks, k=K)
            values[name].append(gain_of[key])
        progress.advance(1)
    trial = Trials(store, replace(start, fusion=source), "source").of_weights(until)
    document = _document(values, systems, config.seed)
    return document | {"moments": len(queries), "choices": len(choices), "trial": trial.words()}


def _one_each(queries: Any, config: TransferConfig) -> list[TrainingQuery]:
    drawn: dict[str, TrainingQuery] = {}
    for query in queries:
        drawn.setdefault(query.user, query)
        if len(drawn) == config.users:
            break
    if not drawn:
        raise DataError("the target is too short: nobody chose anything new at its end")
    return sorted(drawn.values(), key=lambda query: (query.before, query.user))


def _measure_sessions(source: Rankers, target: str, config: TransferConfig, progress: Progress) -> dict[str, Any]:
    choices = _draw_cold(target, config, progress)
    people = [str(user) for user in np.random.default_rng(config.seed).permutation(sorted({c.user for c in choices}))]
    tested_people = set(people[::HALF])
    learned = [choice for choice in choices if choice.user not in tested_people]
    tested = sorted((c for c in choices if c.user in tested_people), key=lambda choice: choice.user)
    progress.step("Learning weights", len(PARTS))
    systems = _systems(source, "cold", learned, [], config.seed, progress)
    values = {name: gains(rankers.cold, tested).tolist() for name, rankers in systems.rankers.items()}
    document = _document(values, systems, config.seed, [choice.user for choice in tested])
    return document | {"moments": len(tested), "choices": len(learned), "trial": ""}


def _draw_cold(path: str, config: TransferConfig, progress: Progress) -> list[ChoiceSet]:
    return draw_choices(_sessions(path), "cold", Fitted.default(), Draw(4 * config.choices, config.seed, progress))


def _sessions(path: str) -> InMemory:
    """Read sessions as a log in which each session is a person."""
    cases = []
    for case in read_boundary_cases(Path(path)):
        if isinstance(case, Problem):
            raise DataError(f"{path!r}, {case}")
        cases.append(case)
    items = {item.item_id: item for case in cases for item in case.items}
    return catalogue_of(Training.of(((c.case_id, [(i.item_id, None) for i in c.items]) for c in cases), items))


def _learned(
    choices: Sequence[ChoiceSet],
    kind: CandidateKind,
    start: Rankers,
    seed: int,
    of_channels: Sequence[ChoiceSet] = (),
) -> Rankers:
    channels = learn_channels([list(of_channels)], start.channels, seed=seed) if of_channels else start.channels
    begun = start.model_copy(update={"channels": channels})
    return learn_rankers(begun, {kind: [list(choices)]}, seed=seed, trees=False)


def _systems(
    source: Rankers,
    kind: CandidateKind,
    choices: Sequence[ChoiceSet],
    of_channels: Sequence[ChoiceSet],
    seed: int,
    progress: Progress,
) -> _Systems:
    shipped = Rankers.default()
    rankers, words = {"shipped": shipped, "transferred": source}, dict[str, str]()
    people = [str(user) for user in np.random.default_rng(seed).permutation(sorted({c.user for c in choices}))]
    for part in PARTS:
        among = set(people[: max(round(part * len(people)), 1)])
        known = [choice for choice in choices if choice.user in among]
        of_known = [choice for choice in of_channels if choice.user in among]
        rankers[f"fitted on {part:.0%}"] = _learned(known, kind, shipped, seed, of_known)
        fusion = Fusion("source", source)
        begun = fusion.begin(kind, shipped, known, source, seed=seed)
        rankers[f"fused with {part:.0%}"] = _learned(known, kind, begun, seed, of_known)
        words[f"fused with {part:.0%}"] = f"{len(known)} choices of {len(among)} people{fusion.words({kind: kind})}"
        progress.advance(1)
    return _Systems(rankers, words)


def _document(
    values: Mapping[str, Sequence[float]], systems: _Systems, seed: int, users: Sequence[str] | None = None
) -> dict[str, Any]:
    count = len(next(iter(values.values())))
    rows = np.unique(users, return_inverse=True)[1] if users else np.arange(count)
    arrays = {name: np.array(of) for name, of in values.items()}

    def figures(of: Floats) -> dict[str, Any]:
        return _as_json(interval(of, rows, seed=seed))

    document: dict[str, Any] = {}
    for name, of in arrays.items():
        document[name] = {"ndcg@10": figures(of), "gain": figures(of - arrays["shipped"])}
        if name.startswith("fused"):
            parts = ("transferred", name.replace("fused with", "fitted on"))
            better = max(parts, key=lambda part: float(arrays[part].mean()))
            document[name] |= {
                "better part": better,
                "fused": figures(of - arrays[better]),
                "words": systems.words[name],
            }
    return {"system": document}


def _as_json(of: Interval) -> dict[str, Any]:
    return {"value": of.value, "ci": [of.low, of.high], "n": of.n}


def transfer_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_transfer` as Markdown."""
    lines = [
        f"{document['moments']} moments; weights of the target from {document['choices']} choices. "
        f"{document['trial'] and 'The check of `recommend --fitted`: ' + document['trial'] + '.'}",
        "",
        "| weights | NDCG@10 | beside the shipped | beside the better part |",
        "|---|---|---|---|",
    ]
    for name, row in document["system"].items():
        fused = f"{_words(row['fused'], '+')} ({row['better part']})" if "fused" in row else ""
        lines.append(f"| {name} | {_words(row['ndcg@10'])} | {_words(row['gain'], '+')} | {fused} |")
    lines += ["", *(f"- {name}: {row['words']}" for name, row in document["system"].items() if "words" in row)]
    return "\n".join(lines)


def _words(of: Mapping[str, Any], sign: str = "") -> str:
    low, high = of["ci"]
    return Interval(of["value"], low, high, of["n"]).words(sign)
