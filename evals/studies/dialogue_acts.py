"""Measure how well the rules read what a line of a dialogue does.

The dialogues are those of IARD (Cai and Chen, 2020): people talk with a recommender of films, and each line is
annotated with intents. The rules see the titles that the recommender has just named.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from whimbrel.agent.chat.reading import Act, Scene
from whimbrel.agent.chat.rules import read_line
from whimbrel.agent.chat.vocabulary import Vocabulary
from whimbrel.evals.metrics.intervals import bootstrap_counts, percentile_interval
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import Floats
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.field_table import FieldTable

GROUPS: Mapping[str, str] = {
    "IQU": "want",
    "CON": "want",
    "CRI-A": "narrow",
    "CRI-C": "narrow",
    "PRO": "narrow",
    "ANS": "narrow",
    "REF": "narrow",
    "CRI-F": "criticise",
    "REJ": "reject",
    "ACC": "accept",
    "SEE": "known",
    "INQ": "about_item",
    "OTH": "small_talk",
    "END": "leave",
}
"""The group of acts of each intent. NRE, ASK and STO have none: they are about the recommender or about nothing."""
ACTS: Mapping[Act, str] = {
    "want": "want",
    "narrow": "narrow",
    "allow": "narrow",
    "fact": "narrow",
    "subject": "narrow",
    "criticise": "criticise",
    "reject": "reject",
    "exclude": "reject",
    "accept": "accept",
    "known": "known",
    "about_item": "about_item",
    "why": "about_item",
    "compare": "about_item",
    "small_talk": "small_talk",
    "leave": "leave",
}
KINDS = [
    "Action",
    "Adventure",
    "Animation",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Family",
    "Fantasy",
    "History",
    "Horror",
    "Music",
    "Musical",
    "Mystery",
    "Romance",
    "Science Fiction",
    "Thriller",
    "War",
    "Western",
    "Children's",
]
"""Kinds of films that the catalogue of the dialogues has."""
DRAWS, SEED = 1000, 0
_TITLE = re.compile(r"([A-Z][^.()?!,<>]*?) \(\d{4}\)")


@dataclass(frozen=True)
class ReadLine:
    """The annotated and the read acts of one line, in groups."""

    dialogue: int
    labels: frozenset[str]
    predicted: frozenset[str]


def read_acts(path: str | Path) -> list[ReadLine]:
    """Read the lines of annotated dialogues by rules.

    Raises:
        DataError: The file cannot be read, or is no list of dialogues.
    """
    try:
        dialogues = json.loads(Path(path).read_text(encoding="utf-8-sig"))
        turns = [
            [(turn["participant"], _text(turn["utterance"]), _intents(turn)) for turn in one["conversation"]]
            for one in dialogues
        ]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise DataError(f"{str(path)!r} holds no annotated dialogues ({type(error).__name__}: {error})") from error
    titles = {title for dialogue in turns for _, words, _ in dialogue for title in _TITLE.findall(words)}
    items = [Item(item_id=f"kind {kind}", title=f"Film {kind}", topics=(kind,)) for kind in KINDS]
    items += [Item(item_id=title, title=title) for title in sorted(titles)]
    vocabulary = Vocabulary(FieldTable(items, [item.item_id for item in items]))
    return [line for number, dialogue in enumerate(turns) for line in _lines(number, dialogue, vocabulary)]


def _lines(number: int, dialogue: list[tuple[str, str, frozenset[str]]], vocabulary: Vocabulary) -> list[ReadLine]:
    listed: list[Item] = []
    lines: list[ReadLine] = []
    has_wishes = False
    for participant, words, labels in dialogue:
        if participant != "USER":
            named = dict.fromkeys(_TITLE.findall(words))
            listed = [Item(item_id=title, title=title) for title in named] or listed
            continue
        focus = (0,) if listed else ()
        reading = read_line(words, Scene(vocabulary, listed, focus, has_wishes=has_wishes))
        predicted = frozenset(ACTS[act] for act in reading.acts if act in ACTS)
        has_wishes |= bool(predicted & {"want", "narrow"})
        if labels:
            lines.append(ReadLine(number, labels, predicted))
    return lines


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("an utterance that is no text")
    return value


def _intents(turn: Mapping[str, Any]) -> frozenset[str]:
    return frozenset(GROUPS[act["intent"]] for act in turn.get("dialogue_acts") or () if act["intent"] in GROUPS)


def measure_acts(lines: list[ReadLine]) -> dict[str, Any]:
    """Return precision, recall and F1 of each group of acts, and their macro F1 with a bootstrap over dialogues."""
    groups = sorted({label for line in lines for label in line.labels})
    dialogues = max((line.dialogue for line in lines), default=-1) + 1
    counts = np.zeros((dialogues, len(groups), 3))
    for line in lines:
        for column, group in enumerate(groups):
            right, said, is_label = group in line.labels & line.predicted, group in line.predicted, group in line.labels
            counts[line.dialogue, column] += (right, said, is_label)
    total = counts.sum(axis=0)
    draws = [
        _f1(np.tensordot(part, counts, axes=1)).mean(axis=1)
        for part in bootstrap_counts(dialogues, seed=SEED, draws=DRAWS)
    ]
    low, high = percentile_interval(np.concatenate(draws)) if draws else (np.nan, np.nan)
    each = {
        group: {
            "n": int(total[column, 2]),
            "precision": float(total[column, 0] / max(total[column, 1], 1)),
            "recall": float(total[column, 0] / max(total[column, 2], 1)),
            "f1": float(_f1(total[column])),
        }
        for column, group in enumerate(groups)
    }
    return {
        "lines": len(lines),
        "dialogues": dialogues,
        "macro_f1": float(_f1(total).mean()),
        "ci": [low, high],
        "acts": each,
    }


def _f1(counts: Floats) -> Floats:
    """Return F1 of counts of right, read and annotated acts, shape (..., 3)."""
    return np.asarray(2 * counts[..., 0] / np.maximum(counts[..., 1] + counts[..., 2], 1))


def acts_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_acts` as a Markdown table."""
    low, high = document["ci"]
    lines = ["| act | n | precision | recall | F1 |", "|---" * 5 + "|"]
    for name, row in document["acts"].items():
        lines.append(f"| {name} | {row['n']} | {row['precision']:.2f} | {row['recall']:.2f} | {row['f1']:.2f} |")
    return "\n".join(
        [*lines, f"| macro | {document['lines']} |  |  | {document['macro_f1']:.3f} [{low:.3f}, {high:.3f}] |"]
    )
