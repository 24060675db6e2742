"""Measure what images, sounds and other vectors of a store's items add to ranking, also for items with few events.

Everything is learned from the first part of the log. The last part is asked about. Each case is an item that a person
met for the first time, and the moment when they did. The pipeline answers as of that moment. The ranker without the
vectors was learned from the same choices, in which their figure is left out.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.learning.learn import Draw, learn_from, learn_rankers
from whimbrel.agent.learning.ranking import ChoiceSet
from whimbrel.agent.pipeline import FEATURES, QUERY, STAGES, retrieval_query, run
from whimbrel.agent.ranking.features import FEATURES as SIGNALS
from whimbrel.agent.ranking.features import LOG_FEATURES
from whimbrel.agent.ranking.rankers import CandidateKind, Ranker, Rankers
from whimbrel.agent.state import Request, Resources, State
from whimbrel.evals.data.catalogues import catalogue_in_memory
from whimbrel.evals.data.logs import Log, read_store
from whimbrel.evals.metrics.intervals import Interval, interval
from whimbrel.evals.metrics.ranking import ndcg_at_k
from whimbrel.evals.metrics.significance import sign_flip_p
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.retrieval.channels import search_channels
from whimbrel.tools.store.store import open_store
from whimbrel.tools.text.encoder import Vectors

LEARNED: tuple[CandidateKind, ...] = ("retrieved", "given")
KINDS: tuple[CandidateKind, ...] = (*LEARNED, "cold")
"""Kinds of candidates that are learned from and that are asked about. What is learned of given ones also teaches cold
ones, whose figures of the log are left out."""
CHANNEL = "modality"
K = 10
SAMPLED, NEAR = 99, 200
"""A list that is given has the chosen item and SAMPLED others, drawn from the NEAR that are about as popular."""
COLD_EVENTS = 10
"""An item with fewer events before the moment is cold."""
TESTED_FROM = 0.8
"""The share of the log that is only learned from."""
LEAST_HISTORY = 5
"""Items that a person met before a case."""


@dataclass(frozen=True)
class _Case:
    """A person, the moment, the item that they then met for the first time, and how many events it had."""

    user: int
    at: float
    chosen: int
    events: int


def measure_images(
    location: str, *, cases: int = 500, choices: int = 1000, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Measure ranking with and without the further vectors of a store.

    Args:
        location: A store with such vectors, which is only read.
        cases: The most cases of all items, and the most of cold ones.
        choices: The most choices of each kind to learn from.
        seed: Seed of the random draws.
        progress: Shows the progress.

    Returns:
        `modalities`: how many items have each. `weights`: what was learned for the figure, by kind of candidates.
        `results`: for each kind of candidates, and for all and for cold items, NDCG@10 `without` and `with`, the paired
        `gain` with its p-value, NDCG@10 of the order by the figure `alone`, and the share of cases whose item has such
        a vector. `found`: for all and for cold items, the share of cases whose item is among the retrieved candidates
        `without` and `with` the channel of these vectors, and by that channel `alone`.

    Raises:
        DataError: the store has no such vectors, or its log is too short.
    """
    progress = progress or NoProgress()
    progress.step("Reading the log", None)
    log = read_store(location)
    vectors = _vectors(location, log)
    begin = int(len(log.time) * TESTED_FROM)
    past = replace(log, user=log.user[:begin], item=log.item[:begin], time=log.time[:begin], details=_first(log, begin))
    learned = learn_from(
        catalogue_in_memory(past, vectors), kinds=LEARNED, draw=Draw(choices, seed=seed, progress=progress)
    )
    if not all(learned.choices.get(kind) for kind in LEARNED):
        raise DataError(f"the log of store {location!r} is too short to learn from")
    blind = {kind: [_blind(choice) for choice in of_kind] for kind, of_kind in learned.choices.items()}
    start = Fitted.default().fusion.model_copy(update={"channels": learned.fitted.fusion.channels})
    rankers: dict[str, Rankers] = {
        "without": learn_rankers(start, {kind: [of_kind] for kind, of_kind in blind.items()}, seed=seed),
        "with": learned.fitted.fusion,
        "alone": Rankers(**dict.fromkeys(KINDS, Ranker(weights={"modality": 1.0}))),
    }
    whole = catalogue_in_memory(log, vectors)
    resources = Resources(whole, learned.fitted.for_log(whole.log))
    has_vector = {
        item.item_id: any(np.isfinite(table[row, 0]) for table in vectors.values())
        for row, item in enumerate(log.items)
    }
    drawn = _cases(whole.log, float(log.time[begin]), seed)
    groups = {"all": drawn[:cases], "cold": [case for case in drawn if case.events < COLD_EVENTS][:cases]}
    results, found = list[dict[str, Any]](), list[dict[str, Any]]()
    for items, of_group in groups.items():
        progress.step(f"Retrieving {items} items", len(of_group))
        found.append({"items": items} | _row(_found(of_group, resources, progress), of_group, seed))
        progress.step(f"Asking about {items} items", len(LEARNED) * len(of_group))
        has = [has_vector[whole.log.item_ids[case.chosen]] for case in of_group]
        gains = _gains(of_group, resources, rankers, seed, progress)
        for kind in KINDS:
            row = {"candidates": kind, "items": items, "with_vector": float(np.mean(has)) if has else 0.0}
            results.append(row | _row(gains[kind], of_group, seed))
    return {
        "modalities": {name: int(np.isfinite(table[:, 0]).sum()) for name, table in vectors.items()},
        "items": len(log.items),
        "choices": {kind: len(of_kind) for kind, of_kind in learned.choices.items()},
        "weights": {kind: rankers["with"].of(kind).weights.get("modality", 0.0) for kind in KINDS},
        "channels": dict(learned.fitted.fusion.channels),
        "results": results,
        "found": found,
    }


def _vectors(location: str, log: Log) -> dict[str, Vectors]:
    """Return the further vectors of a store, keyed by modality, with a row for each item of the log."""
    ids = [item.item_id for item in log.items]
    with open_store(location) as store:
        known = store.modalities.of(ids)
        tables = {}
        for name, by_id in known.items():
            length = len(next(iter(by_id.values()))) if by_id else 1
            missing = np.full(length, np.nan, dtype=np.float32)
            tables[name] = np.stack([by_id.get(item_id, missing) for item_id in ids])
    if not tables:
        raise DataError(
            f"store {location!r} has no vectors of images or other modalities: ingest with --image-encoder, or with "
            "--map COLUMN=vector.NAME"
        )
    return tables


def _first(log: Log, count: int) -> Any:
    return log.details[:count] if log.details else None


def _blind(choice: ChoiceSet) -> ChoiceSet:
    return replace(choice, features=_without(choice.features))


def _without(features: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.asarray(features * np.isin(SIGNALS, "modality", invert=True))


def _cases(log: InteractionLog, begin: float, seed: int) -> list[_Case]:
    """Return the first meetings from `begin` on, in random order."""
    cases = list[_Case]()
    for user in range(len(log.user_ids)):
        pairs = slice(log.pair_offset[user], log.pair_offset[user + 1])
        items, times = log.pair_item[pairs], log.pair_time[pairs]
        for item, time in zip(items[times >= begin].tolist(), times[times >= begin].tolist(), strict=True):
            if (times < time).sum() >= LEAST_HISTORY:
                cases.append(_Case(user, time, item, 0))
    if not cases:
        raise DataError("nobody met a new item in the last part of the log")
    order = np.argsort(log.item, kind="stable")
    bounds = np.searchsorted(log.item[order], np.arange(len(log.item_ids) + 1))
    times_of = [log.time[order[bounds[item] : bounds[item + 1]]] for item in range(len(log.item_ids))]
    counted = [replace(case, events=int(np.searchsorted(times_of[case.chosen], case.at))) for case in cases]
    return [counted[row] for row in np.random.default_rng(seed).permutation(len(counted))]


def _gains(
    cases: Sequence[_Case], resources: Resources, rankers: Mapping[str, Rankers], seed: int, progress: Progress
) -> dict[CandidateKind, dict[str, NDArray[np.float64]]]:
    """Return NDCG@10 of each case by each ranker, in the order of the cases, for each kind of candidates."""
    gains = {kind: {name: np.zeros(len(cases)) for name in rankers} for kind in KINDS}
    # In order of time, since counts as of one moment make those of the next one cheap.
    for row in sorted(range(len(cases)), key=lambda row: cases[row].at):
        case, log = cases[row], resources.catalogue.log
        states: dict[CandidateKind, State] = {}
        for kind in LEARNED:
            states[kind] = run(_request(case, kind, resources.catalogue, seed + row), resources, FEATURES)
            progress.advance(1)
        without_log = states["given"].features * np.isin(SIGNALS, LOG_FEATURES, invert=True)
        states["cold"] = replace(states["given"], kind="cold", features=without_log)
        for kind, state in states.items():
            for name, of_name in rankers.items():
                ids = list(_order(state, name, of_name, resources))
                chosen = log.item_ids[case.chosen]
                gains[kind][name][row] = ndcg_at_k([ids.index(chosen) + 1 if chosen in ids else np.inf], k=K)
    return gains


def _found(cases: Sequence[_Case], resources: Resources, progress: Progress) -> dict[str, NDArray[np.float64]]:
    """Return for each case whether its item is retrieved without and with the channel, and by the channel alone."""
    found = {name: np.zeros(len(cases)) for name in ("without", "with", "alone")}
    weights = resources.fitted.fusion.channels
    for row in sorted(range(len(cases)), key=lambda row: cases[row].at):
        case, config = cases[row], resources.config
        state = run(_request(case, "retrieved", resources.catalogue, 0), resources, QUERY)
        ranks = search_channels(resources.catalogue, retrieval_query(state, resources), n=config.candidates)
        is_alone = {name: float(name == CHANNEL) for name in ranks.channels}
        for name, of in {"without": {**weights, CHANNEL: 0.0}, "with": weights, "alone": is_alone}.items():
            counts = [of.get(channel, 1.0) > 0 for channel in ranks.channels]
            is_found = (ranks.of_rows([case.chosen])[0, counts] > 0).any()
            found[name][row] = is_found and case.chosen in ranks.best_first(of)[: config.candidates]
        progress.advance(1)
    return found


def _request(case: _Case, kind: CandidateKind, catalogue: Any, seed: int) -> Request:
    log = catalogue.log
    request = Request(user_id=log.user_ids[case.user], at=case.at, k=K)
    if kind == "retrieved":
        return request
    popularity = log.popularity(before=case.at)
    pairs = slice(log.pair_offset[case.user], log.pair_offset[case.user + 1])
    free = log.known(before=case.at)
    free[log.pair_item[pairs]] = False  # also what is met later, which would be no wrong answer
    pool = np.flatnonzero(free)
    distance = np.abs(np.log1p(popularity[pool]) - np.log1p(popularity[case.chosen]))
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(pool))  # of those at equal distance, any may be near
    near = pool[shuffled[np.argsort(distance[shuffled], kind="stable")[:NEAR]]]
    rows = random.permutation([case.chosen, *random.choice(near, min(SAMPLED, len(near)), replace=False).tolist()])
    ids = [log.item_ids[row] for row in rows]
    items = catalogue.items(ids, before=case.at)
    return replace(request, candidates=[items[item_id] for item_id in ids])


def _order(state: State, name: str, rankers: Rankers, resources: Resources) -> Iterator[str]:
    """Yield the ids of the candidates of a state, the best first by these rankers."""
    features = _without(state.features) if name == "without" else state.features
    fitted = replace(resources.fitted, fusion=rankers)
    ranked = STAGES["rank"](replace(state, features=features), replace(resources, fitted=fitted))
    return (entry.candidate.item.item_id for entry in ranked.ranking.ranked)


def _row(gains: Mapping[str, NDArray[np.float64]], cases: Sequence[_Case], seed: int) -> dict[str, Any]:
    _, users = np.unique([case.user for case in cases], return_inverse=True)
    difference = gains["with"] - gains["without"]
    figures = {**gains, "gain": difference}
    return {name: _document(interval(values, users, seed=seed)) for name, values in figures.items()} | {
        "n": len(cases),
        "users": len(set(users.tolist())),
        "p": sign_flip_p(difference, users, seed=seed),
    }


def _document(of: Interval) -> dict[str, Any]:
    return {"value": of.value, "ci": [of.low, of.high]}


def images_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_images` as a Markdown table."""
    of = ", ".join(f"{count:,} with {name}" for name, count in document["modalities"].items())
    weights = ", ".join(f"{weight:+.3f} for {kind}" for kind, weight in document["weights"].items())
    lines = [
        f"{document['items']:,} items, {of}. Weight of the figure: {weights} candidates.",
        "",
        "| candidates | items | cases | people | NDCG@10 without | with | gain | p | alone |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in document["results"]:
        without, with_, gain, alone = (_words(row[name]) for name in ("without", "with", "gain", "alone"))
        counts, p = f"{row['n']:,} | {row['users']:,}", f"{row['p']:.3f}"
        lines.append(
            f"| {row['candidates']} | {row['items']} | {counts} | {without} | {with_} | {gain} | {p} | {alone} |"
        )
    lines += [
        "",
        "| items | cases | people | found without | with | gain | p | alone |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in document["found"]:
        without, with_, gain, alone = (_words(row[name]) for name in ("without", "with", "gain", "alone"))
        counts, p = f"{row['n']:,} | {row['users']:,}", f"{row['p']:.3f}"
        lines.append(f"| {row['items']} | {counts} | {without} | {with_} | {gain} | {p} | {alone} |")
    return "\n".join(lines)


def _words(value: Mapping[str, Any]) -> str:
    return f"{value['value']:.4f} [{value['ci'][0]:.4f}, {value['ci'][1]:.4f}]"
