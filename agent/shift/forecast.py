"""Which topics a person's next window of time will hold: a probability for each, learned from a log.

A window is a stretch of time (or of events, where no times are known). For a person and a topic, figures of the past
windows stand beside those of everybody: how often and how lately the person met it, how much they take up at all, how
common it is and whether it rises, what people alike met, and what follows what they met last. Gradient-boosted trees
(LightGBM, Ke et al., 2017) turn them into a probability.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.errors import ConfigError, DataError

Floats = NDArray[np.float32]
HALF_LIVES = (1.5, 4.0, 10.0)
"""Windows after which a meeting counts half, by which the person's past is weighed."""
RECENT = 4
"""Windows that are recent: a topic in none of them is new."""
NEIGHBOURS, EMBEDDINGS = 100, 16
"""People alike, and dimensions of the space in which everybody lies."""
FOLLOWED = 8
"""Windows from which is counted what follows what."""
SMOOTHING = 20.0
UNMET_SHARE = 0.15
"""Share of the pairs of a person and a topic never met that are learned from, weighed up to all of them."""
ROUNDS, PATIENCE = 600, 30


@dataclass(frozen=True)
class Windows:
    """How often each user met each topic in each window, shape (windows, users, topics); the last is the latest."""

    topics: tuple[str, ...]
    counts: Floats

    @classmethod
    def of(
        cls,
        user: Sequence[int] | NDArray[np.int64],
        topic: Sequence[int] | NDArray[np.int64],
        window: Sequence[int] | NDArray[np.int64],
        *,
        users: int,
        topics: Sequence[str],
        windows: int,
    ) -> Self:
        """From one row a meeting."""
        counts = np.zeros((windows, users, len(topics)), dtype=np.float32)
        np.add.at(counts, (np.asarray(window), np.asarray(user), np.asarray(topic)), 1.0)
        return cls(tuple(topics), counts)

    def until(self, end: int) -> "Windows":
        """The windows before `end`."""
        return Windows(self.topics, self.counts[:end])

    def of_users(self, rows: NDArray[np.int64]) -> "Windows":
        """The same for some users."""
        return Windows(self.topics, self.counts[:, rows])

    @cached_property
    def met(self) -> Floats:
        """1 where a user met a topic in a window, else 0."""
        return (self.counts > 0).astype(np.float32)

    @cached_property
    def recent(self) -> NDArray[np.bool_]:
        """Whether a user met a topic in one of the RECENT last windows, shape (users, topics)."""
        return np.asarray(self.met[-RECENT:].any(axis=0))


@dataclass(frozen=True)
class Population:
    """What everybody did up to a moment: rates of topics, people to compare with, what follows what."""

    latest: Floats
    lately: Floats
    returning: Floats
    rarity: Floats
    tastes: Floats
    rates: Floats
    recent_rates: Floats
    axes: Floats
    follows: Floats

    @classmethod
    def of(cls, windows: Windows) -> Self:
        """From the windows of everybody up to now."""
        met = windows.met
        users, topics = met.shape[1:]
        latest, lately = met[-1].mean(axis=0), met[-RECENT:].mean(axis=(0, 1))
        again = (met[-1] * met[-2]).sum(axis=0) / (met[-2].sum(axis=0) + 1) if len(met) > 1 else np.zeros(topics)
        total = np.log1p(windows.counts.sum(axis=0))
        rarity = np.log(users / (1 + (total > 0).sum(axis=0))).clip(0.05)
        tastes = _unit(total * rarity)
        _, _, axes = np.linalg.svd(tastes if users <= 4000 else tastes[:: users // 4000], full_matrices=False)
        return cls(
            latest=latest,
            lately=lately,
            returning=np.asarray(again, dtype=np.float32),
            rarity=rarity.astype(np.float32),
            tastes=tastes,
            rates=met.mean(axis=0),
            recent_rates=met[-RECENT:].mean(axis=0),
            axes=axes[:EMBEDDINGS].astype(np.float32),
            follows=_follows(met[-FOLLOWED - 1 :]),
        )

    def alike(self, tastes: Floats, *, themselves: NDArray[np.int64] | None) -> tuple[Floats, Floats]:
        """Rates of topics among the people nearest to each taste, lately and ever; `themselves` are not their own
        neighbours."""
        similarity = tastes @ self.tastes.T
        if themselves is not None:
            similarity[np.arange(len(tastes)), themselves] = 0.0
        count = min(NEIGHBOURS, similarity.shape[1])
        nearest = np.argpartition(-similarity, count - 1, axis=1)[:, :count]
        weight = np.take_along_axis(similarity, nearest, axis=1)
        weight = weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)
        lately = np.stack([w @ self.recent_rates[n] for w, n in zip(weight, nearest, strict=True)])
        ever = np.stack([w @ self.rates[n] for w, n in zip(weight, nearest, strict=True)])
        return lately, ever


FEATURES = (
    *(f"met, half-life {h:g}" for h in HALF_LIVES),
    *(f"counted, half-life {h:g}" for h in HALF_LIVES),
    "share of windows",
    "in the last window",
    "windows since",
    "topics in the last window",
    "topics lately",
    "topics a window",
    "active lately",
    "rate in the last window",
    "rate lately",
    "rising",
    "returning",
    "people alike, lately",
    "people alike, ever",
    "people alike against all",
    "near in taste",
    "follows the last window",
)


def features(windows: Windows, population: Population, *, themselves: NDArray[np.int64] | None) -> Floats:
    """Figures of every user and topic, shape (users, topics, FEATURES); `themselves` are the users' rows in the
    population, None where they are not of it."""
    met, counted = windows.met, np.log1p(windows.counts)
    length, users, topics = met.shape
    age = np.arange(length)[::-1].astype(np.float32)
    columns: list[NDArray[np.floating[Any]]] = []
    for values in (met, counted):
        for half_life in HALF_LIVES:
            weight = 0.5 ** (age / half_life)
            columns.append(np.tensordot(weight / weight.sum(), values, 1))
    ever = met.mean(axis=0)
    since = np.where(met.any(axis=0), _since(met), np.float32(2 * length))
    breadth = met.sum(axis=2)
    tastes = _unit(np.log1p(windows.counts.sum(axis=0)) * population.rarity)
    lately, always = population.alike(tastes, themselves=themselves)
    columns += [ever, met[-1], since]
    columns += [_by_user(values, topics) for values in (breadth[-1], breadth[-RECENT:].mean(axis=0))]
    columns += [_by_user(breadth.mean(axis=0), topics), _by_user((breadth[-RECENT:] > 0).mean(axis=0), topics)]
    rising = population.latest / (population.lately + 1e-4)
    columns += [_by_topic(v, users) for v in (population.latest, population.lately, rising, population.returning)]
    columns += [lately, always, lately / (population.lately + 1e-3)]
    columns += [(tastes @ population.axes.T) @ population.axes, met[-1] @ population.follows]
    return np.stack(columns, axis=2).astype(np.float32)


class Forecast:
    """Trees that tell how likely the next window of a person holds a topic."""

    def __init__(self, booster: Any) -> None:
        self._booster = booster

    @classmethod
    def learn(cls, windows: Windows, *, ends: Sequence[int], validation: int, seed: int = 0) -> Self:
        """Learn what the windows at `ends` held from those before each; `validation` is the window that tells when to
        stop.

        Raises:
            ConfigError: LightGBM is not installed.
            DataError: too few windows, or nobody met anything.
        """
        lightgbm = _lightgbm()
        if min(ends, default=0) < 2 or validation < 2:
            raise DataError("a forecast of topics needs at least two windows before each that it learns from")
        random = np.random.default_rng(seed)
        rows, truths, weights = [], [], []
        for end in ends:
            figures, truth = examples(windows, end)
            known = truth | (figures[:, FEATURES.index("share of windows")] > 0)
            chosen = known | (random.random(len(truth)) < UNMET_SHARE)
            rows.append(figures[chosen])
            truths.append(truth[chosen])
            weights.append(np.where(known[chosen], 1.0, 1 / UNMET_SHARE))
        if not np.concatenate(truths).any():
            raise DataError("nobody met any topic in the windows to learn from")
        settings = {
            "objective": "binary",
            "learning_rate": 0.08,
            "num_leaves": 31,
            "min_data_in_leaf": 100,
            "feature_fraction": 0.6,
            "bagging_fraction": 0.7,
            "bagging_freq": 1,
            "seed": seed,
            "deterministic": True,
            "force_row_wise": True,
            "verbose": -1,
        }
        data = lightgbm.Dataset(np.concatenate(rows), np.concatenate(truths), weight=np.concatenate(weights))
        held, truth = examples(windows, validation)
        booster = lightgbm.train(
            settings,
            data,
            ROUNDS,
            valid_sets=[data.create_valid(held, truth)],
            callbacks=[lightgbm.early_stopping(PATIENCE, verbose=False)],
        )
        return cls(booster)

    def probabilities(
        self, windows: Windows, population: Population, *, themselves: NDArray[np.int64] | None = None
    ) -> NDArray[np.float64]:
        """Of every user and topic, shape (users, topics), each in [0, 1]."""
        figures = features(windows, population, themselves=themselves)
        flat = figures.reshape(-1, figures.shape[2])
        return np.asarray(self._booster.predict(flat), dtype=np.float64).reshape(figures.shape[:2])

    def save(self, path: Path) -> None:
        """As text."""
        path.write_text(self._booster.model_to_string())

    @classmethod
    def load(cls, path: Path) -> Self:
        """Raises: DataError: the file is none of ours."""
        lightgbm = _lightgbm()
        try:
            booster = lightgbm.Booster(model_str=path.read_text("utf-8"))
        except Exception as error:
            raise DataError(f"{str(path)!r} holds no forecast ({str(error)[:80]}): run `whimbrel fit` again") from error
        if booster.num_feature() != len(FEATURES):
            raise DataError(f"{str(path)!r} was made by another version: run `whimbrel fit` again")
        return cls(booster)


def examples(windows: Windows, end: int) -> tuple[Floats, NDArray[np.bool_]]:
    """Figures before window `end` and whether that window held the topic, flat over users and topics."""
    past = windows.until(end)
    everybody = np.arange(past.counts.shape[1])
    figures = features(past, Population.of(past), themselves=everybody)
    return figures.reshape(-1, figures.shape[2]), (windows.counts[end] > 0).reshape(-1)


def _follows(met: Floats) -> Floats:
    """How much likelier a topic is behind another than otherwise, shape (topics before, topics after)."""
    topics = met.shape[2]
    if len(met) < 2:
        return np.zeros((topics, topics), dtype=np.float32)
    before, after = met[:-1].reshape(-1, topics), met[1:].reshape(-1, topics)
    count = before.sum(axis=0)[:, None]
    lift = (before.T @ after) / (count + SMOOTHING) - after.mean(axis=0)[None] * count / (count + SMOOTHING)
    np.fill_diagonal(lift, 0.0)
    return np.asarray(lift, dtype=np.float32)


def _since(met: Floats) -> Floats:
    """Windows since a topic was last met, 0 for the last window."""
    return np.asarray(met[::-1].argmax(axis=0), dtype=np.float32)


def _unit(values: NDArray[Any]) -> Floats:
    return np.asarray(values / np.maximum(np.linalg.norm(values, axis=1, keepdims=True), 1e-9), dtype=np.float32)


def _by_user(values: NDArray[Any], topics: int) -> Floats:
    return np.asarray(np.repeat(values[:, None], topics, axis=1), dtype=np.float32)


def _by_topic(values: NDArray[Any], users: int) -> Floats:
    return np.asarray(np.repeat(values[None], users, axis=0), dtype=np.float32)


def _lightgbm() -> Any:
    try:
        import lightgbm
    except ImportError as error:
        raise ConfigError(f"LightGBM is not installed ({error}): run `make install`") from error
    return lightgbm
