"""Check a reason that the language model worded: it may only say what the model was given."""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from functools import cache

from pydantic import BaseModel, Field, create_model

from whimbrel.agent.explanation.cite import CITED
from whimbrel.agent.explanation.names import short_name
from whimbrel.agent.language_models.grounding import HAN, has_unclosed_quote, prose_problem, words_of
from whimbrel.prompts.phrases import Language, Phrases, load_phrases
from whimbrel.tools.records import Interaction, Item

LONGEST_REASON = 140
"""Most characters of a reason before its names are filled in."""

_NAME_MARK = "\U00010530"
"""Begins the marks that replace names while a sentence is checked. It is a letter of Caucasian Albanian, which no
present-day catalogue holds."""


class ReasonReply(BaseModel):
    """The reply that the model is asked for.

    Attributes:
        events: The numbers, from 1, of the events that the reason cites.
        reason: A sentence that names the events and the item, or has `[1]` and `[item]` in their places.
    """

    events: list[int] = Field(min_length=1, max_length=CITED)
    reason: str = Field(min_length=1, max_length=LONGEST_REASON)


@cache
def reply_schema(relation: str, verbs: frozenset[str], language: Language) -> type[ReasonReply]:
    """Build the reply's schema with a pattern that a grammar can enforce.

    The pattern allows the sentences with this relation, with any of `verbs` for what the person did. The model sees the
    pattern. A reply is not matched against it, because `reason_problem` checks the reply.
    """
    # NUL stands for the verbs while the rest of the sentence is escaped. With several relations to choose from, the
    # bundled model takes the same one for every item.
    sentence = load_phrases(language).generated.reason.format(verb="\0", relation=relation)
    pattern = _literal(sentence).replace("\0", f"({'|'.join(sorted(verbs))})")
    reason = Field(min_length=1, max_length=LONGEST_REASON, json_schema_extra={"pattern": f"^({pattern})$"})
    return create_model("ReasonReply", __base__=ReasonReply, reason=(str, reason))


def _literal(text: str) -> str:
    """Return a pattern that matches the text itself. It only uses escapes that llama.cpp's grammars know."""
    # Most special characters go into brackets, as in `[.]`. Brackets themselves cannot, so they get a backslash.
    return re.sub(r"[.?*+(){}|]", r"[\g<0>]", re.sub(r"[\[\]]", r"\\\g<0>", text))


def reason_problem(
    reply: ReasonReply,
    item: Item,
    evidence: Sequence[Interaction],
    language: Language = "en",
    *,
    of_others: bool = False,
    known: Sequence[str] = (),
) -> str:
    """Say why a model's reason must not be shown.

    A reason must cite events that the model was given, and must name each of them. After the events it must name the
    item, because an item that is named first would seem to be among what the person did. Then it must say how they
    belong together, in words that the model was given (see `language_models.grounding`).

    Args:
        reply: The model's reply with all names filled in.
        item: The recommended item.
        evidence: The events that the model was given.
        language: The language of the sentence.
        of_others: Whether the sentence may say what other people chose.
        known: Further texts that the model was given, such as a number of people.

    Returns:
        What the sentence does wrong, as in "does not name the item". It is empty if the sentence may be shown.
    """
    if not set(reply.events) <= set(range(1, len(evidence) + 1)):
        return "cites an event that was not given"
    if _NAME_MARK in reply.reason:
        return "uses a character that the model was not given"
    say = load_phrases(language)
    generated = say.generated
    cited = {str(number): evidence[number - 1] for number in reply.events}
    titles = {"item": item.title, **{number: event.title for number, event in cited.items()}}
    marks = {name: f"{_NAME_MARK}{name}" for name in titles}
    sentence = _with_marks(reply.reason, titles, marks, say)
    topics = [topic for thing in (item, *cited.values()) for topic in thing.topics]
    verbs = [say.events.verb(event.event, event.meaning) for event in cited.values()]
    given = [*titles.values(), *topics, *verbs, *marks.values(), *known]
    connecting = generated.reason_words | (generated.others_words if of_others else frozenset())
    problem = _order_problem(sentence, titles, marks, verbs, connecting.union(*map(words_of, given)), say)
    if problem:
        return problem
    if sentence.count("'") % 2 or has_unclosed_quote(sentence, generated.quotes):
        return "opens a quotation that it does not close"
    return prose_problem(sentence, given, connecting=connecting, marks=generated.marks)


def _order_problem(
    sentence: str,
    titles: Mapping[str, str],
    marks: Mapping[str, str],
    verbs: Sequence[str],
    known: frozenset[str],
    say: Phrases,
) -> str:
    """Say what is wrong with the order of a sentence.

    The order is: what the person did, then the item, then how they belong together.
    """
    generated = say.generated
    clauses = [words_of(clause, known) for clause in generated.clauses(sentence)]
    words = [word for clause in clauses for word in clause]
    clause_of = [number for number, clause in enumerate(clauses) for _ in clause]

    def marked(name: str) -> list[int]:
        return [position for position, word in enumerate(words) if word == marks[name]]

    event_titles = {name: title for name, title in titles.items() if name != "item"}
    all_event_titles = " ".join(event_titles.values())
    item_at = sorted({*marked("item"), *_positions(words, titles["item"], other=all_event_titles, say=say)})
    # A part of a title may be the name of another item, so only the whole title is a name.
    if not marked("item"):
        return "does not name the item"
    events_at = [marked(name) for name in event_titles]
    if not all(events_at):
        return "does not name the event it cites"
    last_event = max(positions[-1] for positions in events_at)
    item_clause = clause_of[item_at[0]]
    # In a language in which the order does not show the roles, the item needs a clause of its own. No verb for what the
    # person did may follow the last event.
    apart = clause_of[last_event] < item_clause == clause_of[item_at[-1]]
    apart = apart and set(verbs).isdisjoint(words[last_event + 1 :])
    if last_event > item_at[0] or (generated.clause_ends and not apart):
        return "names the item among what the person did"
    # A topic may repeat a word of the title, so what follows is counted from the name itself.
    after_item = words[marked("item")[-1] + 1 : bisect_right(clause_of, item_clause)]
    if generated.reason_words.difference(generated.common_words).isdisjoint(after_item):
        return "does not say what the item has to do with it"
    return ""


def _with_marks(sentence: str, titles: Mapping[str, str], marks: Mapping[str, str], say: Phrases) -> str:
    """Replace names with marks, the longest first, so that a title's words do not count as words of the sentence."""
    for name in sorted(titles, key=lambda name: -len(titles[name])):
        forms = (titles[name], short_name(titles[name]))
        quoted = [re.escape(say.writing.title.format(title=form)) for form in forms]
        # Chinese has no spaces, so a bare title may stand between Chinese letters.
        bare = [rf"(?<![^\W{HAN}]){re.escape(form)}(?![^\W{HAN}])" for form in forms]
        for pattern in (*quoted, *bare):
            sentence, count = re.subn(pattern, f" {marks[name]} ", sentence)
            if count:
                break
    return sentence


def _positions(words: Sequence[str], title: str, *, other: str, say: Phrases) -> list[int]:
    """Return where the distinctive words of a title stand.

    Words that the `other` title shares are only used if the title has no words of its own.
    """
    telling = _telling(title, say) - _telling(other, say) or _telling(title, say)
    return [position for position, word in enumerate(words) if word in telling]


def _telling(text: str, say: Phrases) -> set[str]:
    """Return the words that distinguish a title: no common words, and numbers only if there are no other words."""
    words = {word for word in words_of(text) if word not in say.generated.common_words}
    return {word for word in words if not word.isdigit()} or words
