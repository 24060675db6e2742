"""Let a model that can only fill places word reasons from a closed vocabulary.

The model writes `[1]` and `[item]` in place of names, and `[day]`, `[count]` and `[topic]` in place of facts. They are
filled in afterwards, so the model cannot garble one. A reason that says anything else is dropped.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from whimbrel.agent.explanation.check import ReasonReply, reason_problem, reply_schema
from whimbrel.agent.explanation.names import short_name
from whimbrel.agent.explanation.sentences import Sentence
from whimbrel.agent.explanation.worded import NO_FIT, Worded
from whimbrel.agent.language_models.protocol import Generation, LanguageModel, Usage
from whimbrel.prompts import Message, load
from whimbrel.prompts.phrases import Language, load_phrases
from whimbrel.tools.records import Item

WORDED_CAUSES = ("others", "similarity", "shift")
"""Causes whose reason the model may word. The events alone do not show any other cause, so the reasons of other causes
are always plain."""
REASON_TOKENS = 60
"""Most tokens of a reply in English."""

_PLACE = re.compile(r"\[(1|item|day|count|of|topic)\]")


@dataclass(frozen=True)
class _Task:
    """A reason that the model is to word.

    Attributes:
        position: The item's position in the list, from 0.
        item: The item.
        plain: The plain reason, whose first event and facts the model is given. A small model mixes up two events.
        relation: What the model is told of the item.
        names: The values, keyed by their placeholder.
        messages: The conversation that asks for the reason.
    """

    position: int
    item: Item
    plain: Sentence
    relation: str
    names: Mapping[str, str]
    messages: list[Message]

    def filled(self, reason: str) -> str:
        """Fill the values into a reason. A placeholder without a value stays as it is."""
        return _PLACE.sub(lambda place: self.names.get(place[1], place[0]), " ".join(reason.split()))


def word_closed(items: Sequence[Item], plain: Sequence[Sentence], *, llm: LanguageModel, language: Language) -> Worded:
    """Word the reasons of items, as far as their plain reasons have a fact that the model may word.

    Raises:
        ModelError: The model cannot be reached.
    """
    say, usage = load_phrases(language), Usage()
    tasks = [
        _task(position, item, sentence, language)
        for position, (item, sentence) in enumerate(zip(items, plain, strict=True))
        # Two things of the same name would read the same in one sentence.
        if sentence.known and short_name(item.title) != short_name(sentence.events[0].title)
    ]
    sentences, problems = dict[int, Sentence](), list[str]()
    for relation in dict.fromkeys(task.relation for task in tasks):  # a grammar then only allows what is known
        alike = [task for task in tasks if task.relation == relation]
        verbs = frozenset(say.events.verb(task.plain.events[0].event, task.plain.events[0].meaning) for task in alike)
        replies = llm.generate(
            [task.messages for task in alike],
            schema=reply_schema(relation, verbs, language),
            max_tokens=REASON_TOKENS * say.generated.token_factor,
        )
        for task, reply in zip(alike, replies, strict=True):
            usage += reply.usage
            problem = _problem(reply, task, language)
            if problem or reply.value is None:
                problems.append(problem)
            else:
                words = task.filled(reply.value.reason)
                sentences[task.position] = Sentence("closed", task.plain.cause, words, task.plain.events[:1])
    return Worded(sentences, usage, asked=len(tasks), problems=tuple(problems))


def _task(position: int, item: Item, plain: Sentence, language: Language) -> _Task:
    say, event = load_phrases(language), plain.events[0]
    relations = [
        relation
        for relation in say.generated.relations[plain.cause]
        if {*_PLACE.findall(relation)} <= {"item", *plain.known}
    ]
    relation = relations[position % len(relations)]  # the wording varies down the list
    quoted = {"1": short_name(event.title), "item": short_name(item.title)}
    names = {name: say.writing.title.format(title=title) for name, title in quoted.items()}
    names.update(plain.known)
    values = {
        "title": short_name(item.title),
        "events": say.generated.event_line.format(
            number=1, verb=say.events.verb(event.event, event.meaning), title=short_name(event.title)
        ),
        "relation": relation,
    }
    return _Task(position, item, plain, relation, names, load("explain", version=3, language=language).messages(values))


def _problem(reply: Generation[ReasonReply], task: _Task, language: Language) -> str:
    if reply.value is None:
        return reply.misfit or NO_FIT
    filled = reply.value.model_copy(update={"reason": task.filled(reply.value.reason)})
    return reason_problem(
        filled,
        task.item,
        task.plain.events[:1],
        language,
        of_others=task.plain.cause == "others",
        known=list(task.plain.known.values()),
    )
