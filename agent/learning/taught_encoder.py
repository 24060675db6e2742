"""Teach a text encoder which items go together: from the texts of a history, the text of the next item.

The vector of a text is a linear map of its frozen vector, plus a vector of each of its word pieces (see `TaughtHead`).
A history is the mean of its latest items. It should be nearer to the next item than to those that other people chose
next (InfoNCE with negatives of the batch). The logarithm of a negative's popularity is taken off, since popular items
are negatives more often (Yi et al., 2019). Training ends once held-out people no longer gain.

It needs PyTorch (`pip install 'whimbrel[tune]'`). What was learned is used without it.
"""

from dataclasses import dataclass
from time import monotonic
from typing import TYPE_CHECKING, Any

import numpy as np

from whimbrel.tools.errors import ConfigError
from whimbrel.tools.log.interaction_log import Floats, InteractionLog, Ints
from whimbrel.tools.log.item_statistics import SEED_HALF_LIFE
from whimbrel.tools.log.taught_items import TaughtItems
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.text.encoder import Vectors, encoder_text
from whimbrel.tools.text.taught_head import TaughtHead, distinct_pieces

if TYPE_CHECKING:
    from whimbrel.tools.retrieval.catalogue import Catalogue

LEAST_STEPS = 2000
"""Fewest steps (an item chosen after another) of a log to teach an encoder."""
SEEDS = 8
"""How many of the latest items of a history are read."""
HELD_OUT, MOST_TESTED = 0.1, 1000
"""Share of the people held out to end training, and most of their steps that are ranked."""
TEST_BLOCK = 200  # steps; their scores of 70,000 items take 56 MB


@dataclass(frozen=True)
class TeachConfig:
    """How an encoder is taught.

    Attributes:
        dimensions: The length of a taught vector.
        epochs, patience: Most epochs, and the number of epochs in a row without a gain that ends training.
        epoch_steps: The steps that are drawn for an epoch.
        batch: Steps of a batch.
        rate: The learning rate of the word pieces. That of the map is a quarter.
        temperature: What cosines are divided by.
        dropped: Share of the numbers of the frozen vectors, and of the word pieces, that a batch does not see.
        minutes: No epoch begins after so many.
        with_pieces: Whether word pieces have vectors. Otherwise only the map is learned.
    """

    dimensions: int = 128
    epochs: int = 20
    patience: int = 3
    epoch_steps: int = 40_000
    batch: int = 512
    rate: float = 2e-3
    temperature: float = 0.07
    dropped: float = 0.3
    minutes: float = 10.0
    with_pieces: bool = True

    @property
    def batches(self) -> int:
        """The batches of an epoch."""
        return -(-self.epoch_steps // self.batch)


def require_torch() -> None:
    """Check that PyTorch is there.

    Raises:
        ConfigError: it is not installed.
    """
    from importlib.util import find_spec

    if find_spec("torch") is None:
        raise ConfigError("--tune-encoder needs PyTorch: pip install 'whimbrel[tune]'")


def teach(
    catalogue: "Catalogue",
    *,
    before: float = np.inf,
    seed: int = 0,
    progress: Progress | None = None,
    config: TeachConfig | None = None,
) -> TaughtItems | None:
    """Teach an encoder by the events earlier than `before`, and encode all items of the log.

    Args:
        catalogue: The items and the log.
        before: A time in Unix seconds.
        seed: The seed of all random draws.
        progress: Where progress is shown.
        config: How the encoder is taught.

    Returns:
        The vectors; None if the log is too short, or if held-out people did not gain at all.

    Raises:
        ConfigError: PyTorch is not installed.
    """
    require_torch()
    progress, config, ids = progress or NoProgress(), config or TeachConfig(), catalogue.log.item_ids
    steps = Steps.of(catalogue.log, before)
    if len(steps) < LEAST_STEPS:
        return None
    items, by_id = catalogue.items(ids), catalogue.item_vectors(ids)
    texts = [encoder_text(items[item_id]) for item_id in ids]
    vectors = np.stack([by_id[item_id] for item_id in ids])
    head = _train(steps, texts, vectors, config, seed, progress)
    if head is None:
        return None
    last = float(np.nextafter(steps.time.max(), np.inf))
    return TaughtItems(ids, head.encode(texts, vectors), last, head, catalogue.encoder.name)


@dataclass(frozen=True, eq=False)
class Steps:
    """The steps of a log: an item that somebody chose, after other items.

    Attributes:
        item, time: The item and the time of each of the log's pairs before the moment. They are grouped by user.
        user: The row of each pair's user.
        start: Where the pairs of each pair's user begin.
    """

    item: Ints
    time: Floats
    user: Ints
    start: Ints

    @classmethod
    def of(cls, log: InteractionLog, before: float) -> "Steps":
        """Read the pairs of a log that are earlier than `before`."""
        known = log.pair_time < before
        user = log.pair_user[known]
        start = np.searchsorted(user, user)
        return cls(log.pair_item[known], log.pair_time[known], user, start)

    @property
    def positions(self) -> Ints:
        """The pairs that have an earlier pair of the same user."""
        return np.flatnonzero(np.arange(len(self.item)) > self.start)

    def __len__(self) -> int:
        return len(self.positions)

    def histories(self, positions: Ints) -> tuple[Ints, Vectors]:
        """Return the SEEDS items before each of some pairs, the latest first, and their weights.

        The weights of a history add up to 1. A place before its beginning has item 0 with weight 0. Both have the
        shape (positions, SEEDS).
        """
        places = positions[:, None] - 1 - np.arange(SEEDS)
        known = places >= self.start[positions][:, None]
        weights = np.where(known, 0.5 ** (np.arange(SEEDS) / SEED_HALF_LIFE), 0.0)
        items = np.where(known, self.item[np.maximum(places, 0)], 0)
        return items, (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)


def _train(
    steps: Steps, texts: list[str], vectors: Vectors, config: TeachConfig, seed: int, progress: Progress
) -> TaughtHead | None:
    """Learn a head. Return the best one for held-out people; None if they do not gain."""
    import torch

    torch.manual_seed(seed)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # several threads that wait for each other are slower on a busy machine
    try:
        return _best_head(steps, _Model(texts, vectors, steps, config), config, seed, progress)
    finally:
        torch.set_num_threads(threads)


def _best_head(steps: Steps, model: "_Model", config: TeachConfig, seed: int, progress: Progress) -> TaughtHead | None:
    random = np.random.default_rng(seed)
    is_held = random.random(int(steps.user.max()) + 1) < HELD_OUT
    positions = steps.positions
    of_held = is_held[steps.user[positions]]
    tested, learned_from = random.permutation(positions[of_held])[:MOST_TESTED], positions[~of_held]
    best, best_rank, since_best, began = None, _reciprocal_rank(steps, tested, model.encoded()), 0, monotonic()
    progress.step("Teaching the text encoder", config.epochs * config.epoch_steps)
    for _ in range(config.epochs):
        # Of a short log, an epoch draws steps several times.
        for batch in np.array_split(random.choice(learned_from, config.epoch_steps), config.batches):
            model.learn(steps, batch)
            progress.advance(len(batch))
        reached = _reciprocal_rank(steps, tested, model.encoded())
        since_best += 1
        if reached > best_rank:
            best, best_rank, since_best = model.head(), reached, 0
        if since_best == config.patience or monotonic() - began > 60 * config.minutes:
            break
    return best


def _reciprocal_rank(steps: Steps, tested: Ints, encoded: Vectors) -> float:
    """Return the mean reciprocal rank of the next items of tested steps, among all items but those of the history."""
    ranks = []
    for start in range(0, len(tested), TEST_BLOCK):
        block = tested[start : start + TEST_BLOCK]
        history, weights = steps.histories(block)
        scores = np.einsum("sh,shd->sd", weights, encoded[history]) @ encoded.T
        rows, chosen = np.arange(len(block)), steps.item[block]
        of_chosen = scores[rows, chosen].copy()
        scores[rows[:, None], history] = -np.inf
        # Numbers of the same text may differ in the last digit.
        ranks.append(1 + (scores > of_chosen[:, None] + 1e-6).sum(axis=1))
    return float((1 / np.concatenate(ranks)).mean()) if ranks else 0.0


class _Model:
    """The head as tensors, with its optimiser."""

    def __init__(self, texts: list[str], vectors: Vectors, steps: Steps, config: TeachConfig) -> None:
        import torch

        pieces = distinct_pieces(texts)
        self._config, self._vectors = config, torch.from_numpy(vectors)
        self._lengths = torch.tensor([len(of_text) for of_text in pieces])
        self._offsets = torch.cumsum(self._lengths, 0) - self._lengths
        self._pieces, flat, texts_with = np.unique(np.concatenate(pieces), return_inverse=True, return_counts=True)
        self._flat = torch.from_numpy(flat)
        # A rare word tells more than a frequent one, so its vector moves further.
        rarity = np.log1p(len(texts) / texts_with)
        self._rarity = torch.from_numpy((rarity / rarity.mean()).astype(np.float32))
        # It starts as the frozen vectors without their smallest axes.
        axes = torch.linalg.eigh(self._vectors.T @ self._vectors).eigenvectors.flip(1)[:, : config.dimensions]
        self._axes = axes.contiguous().requires_grad_()
        self._rows = torch.zeros(len(self._pieces), config.dimensions).requires_grad_()
        counts = np.bincount(steps.item, minlength=len(texts)) + 0.5
        self._popularity = torch.from_numpy(np.log(counts / counts.sum()).astype(np.float32))
        groups = [{"params": [self._axes], "lr": config.rate / 4}]
        if config.with_pieces:
            groups.append({"params": [self._rows], "lr": config.rate})
        self._optimizer = torch.optim.Adam(groups)

    def learn(self, steps: Steps, positions: Ints) -> None:
        """Take one step of the optimiser: each history should be nearest to its own next item."""
        import torch
        from torch.nn import functional

        history, weights = steps.histories(positions)
        chosen = torch.from_numpy(steps.item[positions])
        rows, place = torch.unique(torch.cat([torch.from_numpy(history).ravel(), chosen]), return_inverse=True)
        vectors = self._encode(rows, dropped=self._config.dropped)
        of_history, of_chosen = vectors[place[: history.size]].view(*history.shape, -1), vectors[place[history.size :]]
        pooled = (torch.from_numpy(weights)[:, :, None] * of_history).sum(dim=1)
        scores = pooled @ of_chosen.T / self._config.temperature - self._popularity[chosen]
        # Neither the very item that was chosen nor one of the history is a negative.
        is_same = (chosen[:, None] == chosen) & ~torch.eye(len(chosen), dtype=torch.bool)
        met = torch.from_numpy(np.where(weights > 0, history, -1))
        is_met = (met[:, :, None] == chosen).any(dim=1) & (chosen[:, None] != chosen)
        loss = functional.cross_entropy(scores.masked_fill(is_same | is_met, -torch.inf), torch.arange(len(chosen)))
        self._optimizer.zero_grad()
        loss.backward()
        self._optimizer.step()

    def _encode(self, rows: Any, *, dropped: float = 0.0) -> Any:
        """Return the taught vectors of the items of these rows."""
        import torch
        from torch.nn import functional

        lengths = self._lengths[rows]
        starts = torch.cumsum(lengths, 0) - lengths
        places = torch.arange(int(lengths.sum())) + torch.repeat_interleave(self._offsets[rows] - starts, lengths)
        pieces = self._flat[places]
        weights = functional.dropout(self._rarity[pieces], dropped, training=dropped > 0)
        sums = functional.embedding_bag(pieces, self._rows, starts, mode="sum", per_sample_weights=weights)
        vectors = functional.dropout(self._vectors[rows], dropped, training=dropped > 0) @ self._axes
        return functional.normalize(vectors + sums / lengths[:, None].sqrt(), dim=1)

    def encoded(self) -> Vectors:
        """Return the taught vectors of all items."""
        import torch

        with torch.no_grad():
            parts = [self._encode(rows) for rows in torch.arange(len(self._vectors)).split(4096)]
            return np.asarray(torch.cat(parts).numpy())

    def head(self) -> TaughtHead:
        """Return what was learned so far, as arrays."""
        rows = (self._rows * self._rarity[:, None]).detach().numpy().copy()
        return TaughtHead(self._axes.detach().numpy().copy(), self._pieces.astype(np.int64), rows)
