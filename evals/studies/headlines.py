"""Measure whether lists follow the shifts that they announce.

A shift is a headline if it is named with at least even chance. The list below it should then hold items of its topics.
People are drawn at random. Each is asked about at the moment of their last event, which neither the shift nor the list
has seen.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.access import NO_MODEL, ModelAccess
from whimbrel.agent.pipeline import RANK, SHIFT, run
from whimbrel.agent.state import Request, Resources
from whimbrel.evals.data.catalogues import named_sources, read_library
from whimbrel.evals.metrics.intervals import Interval, interval, wilson
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Interaction
from whimbrel.tools.retrieval.catalogue import Catalogue

LEAST_EVENTS = 10
"""People with fewer events are not drawn."""


@dataclass(frozen=True)
class HeadlineConfig:
    """Whom to ask about.

    Attributes:
        people: Number of people drawn from each log.
        k: Length of the lists.
        seed: Seed of the draw.
    """

    people: int = 600
    k: int = 10
    seed: int = 0


@dataclass(frozen=True)
class Headline:
    """A list below a headline.

    Attributes:
        share_of_list: The share of the listed items with a topic that the shift goes to.
        share_of_events: The share of all events of the log with such a topic.
        next_event: Whether the person's next event has such a topic.
    """

    share_of_list: float
    share_of_events: float
    next_event: bool


SHARES = tuple(field.name for field in fields(Headline))


def measure_headlines(
    sources: Sequence[str],
    config: HeadlineConfig,
    *,
    model: ModelAccess = NO_MODEL,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Measure the lists below headlines.

    Args:
        sources: Logs as `NAME=SOURCE`.
        config: Whom to ask about.
        model: The language model, if there is one.
        progress: Where progress is shown.

    Returns:
        For each log: the number of people, of headlines and of lists that hold an item of the shift. Then the mean
        shares of `Headline`, as value, low, high and n.

    Raises:
        DataError: a log cannot be read.
    """
    progress, document = progress or NoProgress(), {}
    for name, source in named_sources(sources).items():
        catalogue = read_library(source, progress)
        histories = _draw(catalogue, config)
        progress.step(f"Asking about people ({name})", len(histories))
        headlines = list(_headlines(catalogue, histories, config, model, progress))
        document[name] = {
            "people": len(histories),
            "headlines": len(headlines),
            "following": vars(wilson(sum(headline.share_of_list > 0 for headline in headlines), len(headlines))),
        } | {share: _mean(headlines, share, config.seed) for share in SHARES}
    return document


def headlines_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_headlines` as a Markdown table."""
    lines = [
        "| log | people | headlines | lists with such an item | share of the list | share of all events | next event |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, row in document.items():
        cells = [Interval(**row[share]).words() for share in ("following", *SHARES)]
        lines.append(f"| {name} | {row['people']} | {row['headlines']} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _mean(headlines: Sequence[Headline], share: str, seed: int) -> dict[str, float]:
    values = np.array([float(getattr(headline, share)) for headline in headlines])
    return vars(interval(values, np.arange(len(values)), seed=seed))


def _draw(catalogue: Catalogue, config: HeadlineConfig) -> list[Sequence[Interaction]]:
    """Draw the histories of people with enough events, the last of which is the only one at its time."""
    random, log = np.random.default_rng(config.seed), catalogue.log
    histories = list[Sequence[Interaction]]()
    for user in random.permutation(len(log.user_ids)):
        history = [event for event in catalogue.history(log.user_ids[user]) if isinstance(event, Interaction)]
        if len(history) >= LEAST_EVENTS and history[-2].time < history[-1].time:
            histories.append(history)
        if len(histories) == config.people:
            break
    return histories


def _headlines(
    catalogue: Catalogue,
    histories: Sequence[Sequence[Interaction]],
    config: HeadlineConfig,
    model: ModelAccess,
    progress: Progress,
) -> Iterator[Headline]:
    resources = Resources(catalogue, Fitted.default(), model)
    log = catalogue.log
    items = catalogue.items(log.item_ids)
    share_of_events = log.popularity(before=np.inf) / max(len(log.time), 1)
    for history in histories:
        request = Request(user_id=history[-1].user_id, at=history[-1].time, k=config.k)
        shift = run(request, resources, SHIFT).prediction.shift
        progress.advance(1)
        if not shift.is_headline:
            continue
        topics = set(shift.to_topics)
        listed = run(request, resources, RANK).ranking.list
        has_topic = np.array([bool(topics & set(items[item_id].topics)) for item_id in log.item_ids])
        yield Headline(
            share_of_list=sum(bool(topics & set(entry.candidate.item.topics)) for entry in listed)
            / max(len(listed), 1),
            share_of_events=float(share_of_events[has_topic].sum()),
            next_event=bool(topics & set(history[-1].topics)),
        )
