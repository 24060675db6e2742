"""Measure whether wishes are met: whether the first item of the list has the topic that was meant.

The catalogue has no log, and nothing is known of the person. So the text encoder alone decides.
"""

import json
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.pipeline import RANK, run
from whimbrel.agent.schema.context import Context
from whimbrel.agent.state import Request, Resources
from whimbrel.evals.metrics.intervals import Interval, wilson
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.records import Item
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.text.encoder import TextEncoder
from whimbrel.tools.text.encoders import ENCODERS

Model = TypeVar("Model", bound=BaseModel)

CATALOGUE, WISHES = "chinese_shop.jsonl", "chinese_wishes.jsonl"


class MeantWish(BaseModel):
    """A wish in a customer's words, and the topic that they mean."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    wish: str
    topic: str


def measure_wishes(
    catalogue: Path | None = None,
    wishes: Path | None = None,
    *,
    encoders: Sequence[TextEncoder] = ENCODERS,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Ask for each wish with each encoder.

    Args:
        catalogue: A file of items, one JSON document a line. The default is a Chinese shop of 240 items of 40 topics.
        wishes: A file of lines `{"wish": ..., "topic": ...}`. The default is 200 wishes for that shop.
        encoders: The encoders.
        progress: Shows the progress.

    Returns:
        For each encoder, the number of wishes and the shares that are right, with 95% intervals: of the first item of
        the list, and of the first topic of the shift.

    Raises:
        DataError: a line is not valid.
    """
    progress = progress or NoProgress()
    items = _read(Item, catalogue, CATALOGUE)
    meant = _read(MeantWish, wishes, WISHES)
    document: dict[str, Any] = {"wishes": len(meant), "items": len(items), "encoder": {}}
    for encoder in encoders:
        progress.step(f"Wishes with the {encoder.title} encoder", len(meant))
        shop = InMemory(items, InteractionLog.build(items, []), timed=True, encoder=encoder)
        resources = Resources(shop, Fitted.default())
        topics_of = {item.item_id: item.topics for item in items}
        first_items = first_topics = 0
        for one in meant:
            state = run(Request(context=Context(query=one.wish), k=1), resources, RANK)
            first_items += any(one.topic in topics_of[entry.candidate.item.item_id] for entry in state.ranking.list)
            first_topics += state.prediction.shift.to_topics[:1] == (one.topic,)
            progress.advance(1)
        document["encoder"][encoder.title] = {
            "item": vars(wilson(first_items, len(meant))),
            "topic": vars(wilson(first_topics, len(meant))),
        }
    return document


def wishes_markdown(document: dict[str, Any]) -> str:
    """Return the result as a table."""
    lines = [
        f"{document['wishes']} wishes, {document['items']} items. Right is what has the topic that was meant.",
        "",
        "| text encoder | first item is right | first topic of the shift is right |",
        "|---|---|---|",
    ]
    for name, figures in document["encoder"].items():
        cells = [Interval(**figures[key]).words() for key in KEYS]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


KEYS = ("item", "topic")


def _read(model: type[Model], path: Path | None, shipped: str) -> list[Model]:
    source = path or files("whimbrel.evals.data").joinpath(shipped)
    text = source.read_text("utf-8")
    records = []
    for number, line in enumerate(text.splitlines(), start=1):
        try:
            records.append(model.model_validate(json.loads(line)))
        except (ValueError, ValidationError) as error:
            raise DataError(f"{path or shipped}:{number}: {str(error).splitlines()[0]}") from None
    if not records:
        raise DataError(f"{path or shipped} is empty")
    return records
