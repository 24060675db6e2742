"""Measure what a text encoder taught by a log adds, beside EASE and the untuned encoder, and in the whole ranking.

EASE, item embeddings and the encoder learn from the events before a cut. People are drawn who chose an item after it
that was new to them. Each moment is answered as a request at that moment, over the whole catalogue. An item that is not
retrieved counts 0.

Every system's weights are learned from one half of the people and tested on the other. The encoder has features and a
retrieval channel, so systems with it have candidates of their own.
"""

import resource
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.learning.choice_sets import TrainingQuery, choices_of, training_queries
from whimbrel.agent.learning.learn import Draw, first_query
from whimbrel.agent.learning.ranking import ChoiceSet, gains, learn_ranker
from whimbrel.agent.learning.taught_encoder import TeachConfig, require_torch, teach
from whimbrel.agent.learning.taught_worth import TAUGHT
from whimbrel.agent.pipeline import FEATURES as STAGES
from whimbrel.agent.pipeline import run
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.rankers import Ranker
from whimbrel.agent.state import Resources
from whimbrel.evals.data.catalogues import read_library
from whimbrel.evals.metrics.intervals import interval
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.learned_items import LearnedItems
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.store.store import open_store

UNTUNED = ("ease", "similarity", "nearest")
POPULAR = (*UNTUNED, "popularity", "recent_popularity")
WHOLE = tuple(name for name in FEATURES if name not in TAUGHT)
SYSTEMS: Mapping[str, tuple[str, ...]] = {
    "EASE": ("ease",),
    "EASE, untuned": UNTUNED,
    "EASE, untuned, tuned": (*UNTUNED, *TAUGHT),
    "EASE, untuned, popularity": POPULAR,
    "EASE, untuned, popularity, tuned": (*POPULAR, *TAUGHT),
    "whole ranking": WHOLE,
    "whole ranking, tuned": FEATURES,
}
"""The features of each system."""
PAIRS = {name: f"{name}, tuned" for name in SYSTEMS if f"{name}, tuned" in SYSTEMS}
"""Systems and the same with the tuned encoder."""
NOTHING = Ranker(weights={})
LEAST_CHOICES = 50

Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Measured:
    """The choices that are tested, and NDCG@10 of each system for each of them, shape (choices,)."""

    users: NDArray[np.int64]
    before_cut: NDArray[np.int64]
    reached: Mapping[str, NDArray[np.float64]]

    @property
    def slices(self) -> dict[str, Bools]:
        """All choices; the third whose items had the fewest events before the cut; those whose items had none."""
        lowest = np.sort(self.before_cut)[(len(self.before_cut) - 1) // 3]
        return {
            "all": np.ones(len(self.users), dtype=bool),
            "tail third": self.before_cut <= lowest,
            "cold": self.before_cut == 0,
        }


def measure_taught(
    source: str,
    *,
    moments: int = 600,
    warm_up: float = 0.7,
    config: TeachConfig | None = None,
    seed: int = 0,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure one log.

    Args:
        source: A store, or `SESSIONS,ITEMS` as for `whimbrel fit`.
        moments: Most moments to test.
        warm_up: The share of the log that is learned from.
        config: How the encoder is taught.
        seed: The seed of all random draws.
        progress: Where progress is shown.

    Raises:
        ConfigError: PyTorch is not installed.
        DataError: the log is too short.
    """
    require_torch()
    progress = progress or NoProgress()
    with _opened(source, progress) as catalogue:
        cut = first_query(catalogue.log, Draw(warm_up=warm_up))
        progress.step("Learning which items go together", None)
        items = LearnedItems.of(catalogue.log, before=cut)
        began, used = time.monotonic(), time.process_time()
        taught = teach(catalogue, before=cut, seed=seed, progress=progress, config=config)
        cost = {"seconds": time.monotonic() - began, "cpu_seconds": time.process_time() - used}
        if taught is None:
            raise DataError("no encoder was taught: the log is too short, or held-out people did not gain")
        queries = list(training_queries(catalogue, most=moments, warm_up=warm_up, seed=seed))
        queries.sort(key=lambda query: (query.before, query.user))
        # Its own weights would be those of another encoder's channel, so all channels are as shipped.
        plain = _choices(catalogue, items, queries, progress)
        beside = _choices(catalogue, replace(items, taught=taught), queries, progress)
        tested = _tested(catalogue, queries, plain, beside, cut, seed)
    return document_of(tested, seed) | {
        **cost,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        "retrieved": {"without": len(plain) / len(tested.users), "with": len(beside) / len(tested.users)},
    }


@contextmanager
def _opened(source: str, progress: Progress) -> Iterator[Catalogue]:
    if "," in source:
        yield read_library(source, progress)
    else:
        with open_store(source) as store:
            yield store


Chosen = tuple[int, str]
"""A moment and the id of an item that was chosen then."""


def _choices(
    catalogue: Catalogue, items: LearnedItems, queries: Sequence[TrainingQuery], progress: Progress
) -> dict[Chosen, ChoiceSet]:
    """Return the choice sets of the chosen items that are retrieved."""
    resources = Resources(catalogue, replace(Fitted.default(), items=items))
    progress.step("Reading choices" + (" beside the tuned encoder" if items.taught else ""), len(queries))
    sets: dict[Chosen, ChoiceSet] = {}
    for number, query in enumerate(queries):
        for choice in choices_of(run(query.request(), resources, STAGES), query, resources):
            if choice.asked is not None:
                sets[number, choice.asked.chosen_id] = replace(choice, asked=None)
        progress.advance(1)
    return sets


def _tested(
    catalogue: Catalogue,
    queries: Sequence[TrainingQuery],
    plain: Mapping[Chosen, ChoiceSet],
    beside: Mapping[Chosen, ChoiceSet],
    cut: float,
    seed: int,
) -> Measured:
    chosen = [(number, item_id) for number, query in enumerate(queries) for item_id in query.chose]
    names, users = np.unique([queries[number].user for number, _ in chosen], return_inverse=True)
    if len(chosen) < LEAST_CHOICES:
        raise DataError(f"only {len(chosen)} choices lie after the cut: use a longer log or a smaller --warm-up")
    half = np.random.default_rng(seed).permutation(len(names))[users] % 2
    events = catalogue.log.popularity(before=cut)[catalogue.log.rows([item_id for _, item_id in chosen])]
    reached = {
        name: _reached(chosen, half, beside if set(kept) & set(TAUGHT) else plain, kept, seed)
        for name, kept in SYSTEMS.items()
    }
    return Measured(users, events, reached)


def _reached(
    chosen: Sequence[Chosen],
    half: NDArray[np.int64],
    sets: Mapping[Chosen, ChoiceSet],
    kept: Sequence[str],
    seed: int,
) -> NDArray[np.float64]:
    """Return NDCG@10 of each choice by some features, with weights that the other half of the people taught."""
    mask, values = np.isin(FEATURES, kept), np.zeros(len(chosen))
    seen = {key: replace(sets[key], features=sets[key].features * mask) for key in chosen if key in sets}
    for number in (0, 1):
        others = [seen[key] for key, of in zip(chosen, half, strict=True) if of != number and key in seen]
        rows = [row for row, key in enumerate(chosen) if half[row] == number and key in seen]
        ranker = learn_ranker([others], NOTHING, seed=seed, trees=False, least=1)
        values[rows] = gains(_only(ranker, kept), [seen[chosen[row]] for row in rows])
    return values


def _only(ranker: Ranker, kept: Sequence[str]) -> Ranker:
    return Ranker(
        weights={name: weight for name, weight in ranker.weights.items() if name in kept},
        moving={name: weight for name, weight in ranker.moving.items() if name in kept},
    )


def document_of(tested: Measured, seed: int) -> dict[str, Any]:
    """Return NDCG@10 of each system and the gains of the tuned ones, by slice, as JSON values."""
    document: dict[str, Any] = {"systems": {}, "gains": {}}
    for part, rows in tested.slices.items():
        users = np.unique(tested.users[rows], return_inverse=True)[1]
        document["systems"][part] = {
            name: vars(interval(values[rows], users, seed=seed)) for name, values in tested.reached.items()
        }
        document["gains"][part] = {
            base: vars(interval((tested.reached[tuned] - tested.reached[base])[rows], users, seed=seed))
            for base, tuned in PAIRS.items()
        }
    return document


def markdown(document: Mapping[str, Any]) -> str:
    """Return the document of `measure_taught` as Markdown."""
    lines = []
    for part, systems in document["systems"].items():
        count = next(iter(systems.values()))["n"]
        lines += [
            f"{part} ({count:,} choices)",
            "",
            "| beside | NDCG@10 without | with it | gain |",
            "|---|---|---|---|",
        ]
        for base, tuned in PAIRS.items():
            gain, without = document["gains"][part][base], systems[base]["value"]
            lines.append(f"| {base} | {without:.4f} | {systems[tuned]['value']:.4f} | {_gain(gain, without)} |")
        lines.append("")
    retrieved = document["retrieved"]
    lines += [
        f"The chosen item is among the candidates in {retrieved['without']:.1%} of the choices, and in "
        f"{retrieved['with']:.1%} with the channel of the tuned encoder. It was taught in {document['seconds']:.0f} s "
        f"({document['cpu_seconds']:.0f} s of one core); the process took {document['peak_mb']:,.0f} MB at most.",
    ]
    return "\n".join(lines)


def _gain(gain: Mapping[str, float], without: float) -> str:
    if not gain["n"]:
        return "-"
    share = f" ({gain['value'] / without:+.0%})" if without else ""
    return f"{gain['value']:+.4f} [{gain['low']:+.4f}, {gain['high']:+.4f}]{share}"
