"""The sequences of titles that a language model is tuned on: what each person chose, in order, before a moment."""

from collections.abc import Collection, Iterator, Sequence
from itertools import groupby, pairwise

import numpy as np

from whimbrel.agent.language_models.option_scores import HISTORY_SHOWN
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.text.titles import short_titles

WINDOW = HISTORY_SHOWN + 1
"""Most titles of a sequence: as many as a prompt shows, and the next one."""
MOST_SEQUENCES = 20_000
"""Most sequences that are drawn. No processor reads more in the time that it gets."""


def title_sequences(
    catalogue: Catalogue, *, before: float, without: Collection[str] = (), most: int = MOST_SEQUENCES, seed: int = 0
) -> list[list[str]]:
    """Draw sequences of titles, in random order. A long history gives several sequences.

    Args:
        catalogue: The items and the log.
        before: Only events before this moment are read.
        without: Ids of people whose events are not read.
        most: The most sequences.
        seed: The seed of all random draws.
    """
    random, log = np.random.default_rng(seed), catalogue.log
    # Only people of that time are drawn. A later person would otherwise change which of them are.
    people = np.unique(log.user[log.time < before])
    ids = sorted({log.user_ids[row] for row in people}.difference(without))
    sequences: list[list[str]] = []
    for number in random.permutation(len(ids)):
        history = catalogue.history(ids[number], before=before)
        sequences += _windows(short_titles(_distinct(history, random)), random)
        if len(sequences) >= most:
            break
    return [sequences[row] for row in random.permutation(len(sequences))[:most]]


def _distinct(history: Sequence[Item], random: np.random.Generator) -> Iterator[Item]:
    """Yield each item at its first event. Items of the same time come in random order, since theirs says nothing."""
    met: set[str] = set()
    for _, run in groupby(history, key=lambda event: event.time):
        events = list(run)
        timed = events[0].time is not None
        for row in random.permutation(len(events)) if timed else range(len(events)):
            if events[row].item_id not in met:
                met.add(events[row].item_id)
                yield events[row]


def _windows(titles: Sequence[str], random: np.random.Generator) -> Iterator[list[str]]:
    """Cut titles into sequences of at most WINDOW. The first cut is drawn, so no place is favoured."""
    first = int(random.integers(2, WINDOW + 1)) if len(titles) > WINDOW else len(titles)
    bounds = [0, *range(first, len(titles), WINDOW), len(titles)]
    for start, stop in pairwise(bounds):
        if stop - start > 1:
            yield list(titles[start:stop])
