"""Why an item is recommended: the events behind it first, the words after.

The signals that carried the item decide which of the person's events are its evidence, and what may be said of both.
The model words a reason from that and writes `[1]` and `[item]` for the names, which are put in afterwards: it can
garble no title. One that cites or names anything else is replaced by a plain sentence of our own.
"""

import re
from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache

import numpy as np
from pydantic import BaseModel, Field, create_model

from whimbrel.agent.language_models.grounding import prose_problem, unclosed, words_of
from whimbrel.agent.language_models.protocol import NO_USAGE, LanguageModel, Usage
from whimbrel.agent.ranking.rank import Ranked
from whimbrel.agent.schema.results import CitedEvent, Recommendation, Shift
from whimbrel.prompts import Message, load
from whimbrel.prompts.phrases import WORDINGS, Language, Wording
from whimbrel.tools.records import Interaction, Item, liked
from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.titles import TITLE_LENGTH

CITED = 2
"""Events that a reason rests on, at most."""
WORDED = ("others", "similarity", "shift")
"""Causes of which the model words the reason; the others are said plainly, since the events alone do not tell them."""
CAUSES = {
    "others": ("itemknn", "user_knn", "next_item", "co_occurrence", "embedding", "nearest_embedding"),
    "similarity": ("similarity", "nearest", "last", "words", "price", "repeat"),
    "shift": ("topics", "shift"),
    "recent_popularity": ("recent_popularity", "popularity", "age", "click_rate"),
    "novelty": ("novelty",),
    "likelihood": ("likelihood", "order"),
    "wish": ("wish",),
}
"""What may be said of an item, and the signals that tell of it."""
SHOWN = 1
"""Events that the model words a reason from, the strongest: with two, the smallest models mix them up."""

_ASIDE = re.compile(r"\s*\([^)]*\)|（[^）]*）|【[^】]*】|,\s*[\d./]+\s*\w*$|,\s*[\d./]+\s*\w*(?=\s*\()")
_PLACE = re.compile(r"\[(\d|item)\]")
_MARK = "\U00010530"
"""Begins the words that stand for names while a sentence is checked: a letter that no text of today holds."""
_INVERTED = re.compile(r"^(.+), (the|an?)$", re.IGNORECASE)


class ReasonReply(BaseModel):
    """The reply asked of the model: numbers of events, and a sentence that names them or holds their places."""

    events: list[int] = Field(min_length=1, max_length=CITED)
    reason: str = Field(min_length=1, max_length=140)


@dataclass(frozen=True)
class Reason:
    """A sentence, the events it rests on, and what carried the item, of CAUSES."""

    words: str
    evidence: Sequence[Interaction]
    cause: str


@dataclass(frozen=True)
class Explained:
    """Recommendations with their reasons; of the `asked` that the model worded, `problems` tells why each was replaced
    that was."""

    recommendations: tuple[Recommendation, ...]
    usage: Usage = NO_USAGE
    warnings: tuple[str, ...] = ()
    asked: int = 0
    problems: tuple[str, ...] = ()


def explain(
    ranked: Sequence[Ranked],
    *,
    history: Sequence[Interaction],
    vectors: Mapping[str, Vectors],
    shift: Shift,
    llm: LanguageModel | None,
    worded: int,
    language: Language = "en",
) -> Explained:
    """Reasons for ranked items, in order; the model words the first `worded`, the rest are plain sentences."""
    say = WORDINGS[language]
    latest = {item.item_id: item for item in liked(history) if isinstance(item, Interaction)}
    reasons = [_plain(entry, latest, vectors, shift, say) for entry in ranked]
    usage, problems = Usage(), []
    asked = [
        _asked(place, entry, reason, shift, language)
        for place, (entry, reason) in enumerate(zip(ranked[:worded], reasons, strict=False))
        if reason.cause in WORDED
        and reason.evidence
        and short_name(entry.candidate.item.title) != short_name(reason.evidence[0].title)
    ]
    for cause in WORDED:
        alike = [one for one in asked if one.cause == cause]
        if llm is None or not alike:
            continue
        verbs = frozenset(say.verb(reasons[one.place].evidence[0].event) for one in alike)
        schema, most = reply_schema(cause, verbs, language), 60 * say.token_factor
        replies = llm.generate([one.messages for one in alike], schema=schema, max_tokens=most)
        for one, reply in zip(alike, replies, strict=True):
            usage += reply.usage
            evidence = reasons[one.place].evidence[:SHOWN]
            problem = "fitted no schema"
            if reply.value is not None:
                named = reply.value.model_copy(update={"reason": one.filled(reply.value.reason)})
                item = ranked[one.place].candidate.item
                problem = reason_problem(named, item, evidence, language, of_others=cause == "others")
            if problem or reply.value is None:
                problems.append(problem)
            else:
                cited = [evidence[number - 1] for number in dict.fromkeys(reply.value.events)]
                reasons[one.place] = Reason(one.filled(reply.value.reason, aside=one.aside), cited, cause)
    told = "; ".join(dict.fromkeys(problems))
    warning = f"replaced by plain reasons: {len(problems)} of the model's {len(asked)} ({told})"
    return Explained(
        tuple(
            Recommendation(
                rank=place,
                item_id=entry.candidate.item.item_id,
                title=entry.candidate.item.title,
                score=entry.score,
                explanation=reason.words,
                evidence=tuple(CitedEvent.of(event) for event in reason.evidence),
                signals=entry.signals,
            )
            for place, (entry, reason) in enumerate(zip(ranked, reasons, strict=True), start=1)
        ),
        usage,
        (warning,) if problems else (),
        len(asked) if llm is not None else 0,
        tuple(problems),
    )


def _plain(
    entry: Ranked, latest: Mapping[str, Interaction], vectors: Mapping[str, Vectors], shift: Shift, say: Wording
) -> Reason:
    cause, evidence = _evidence(entry, latest, vectors)
    return Reason(plain_reason(entry, cause, evidence, shift, say), evidence, cause)


def _evidence(
    entry: Ranked, latest: Mapping[str, Interaction], vectors: Mapping[str, Vectors]
) -> tuple[str, list[Interaction]]:
    """What carried the item, and the person's events behind that, the strongest first."""
    if not latest:
        return ("wish" if entry.signals.get("wish", 0) > 0 else "recent_popularity"), []
    brought = {
        cause: sum(entry.signals.get(name, 0.0) for name in names)
        for cause, names in CAUSES.items()
        if not entry.signals.keys().isdisjoint(names)
    }
    together = {item_id: share for item_id, share in entry.candidate.seed_cosines.items() if item_id in latest}
    if not any(together.values()):
        brought.pop("others", None)
    cause = max(brought, key=lambda name: brought[name], default="similarity")
    if cause == "others":
        strength = together
    else:
        known = [item_id for item_id in latest if item_id in vectors]
        near = np.stack([vectors[item_id] for item_id in known]) @ entry.candidate.vector if known else np.zeros(0)
        strength = dict(zip(known, map(float, near), strict=True))
    strongest = sorted((id_ for id_ in strength if strength[id_] > 0), key=lambda id_: (-strength[id_], id_))
    chosen: dict[str, Interaction] = {}
    for item_id in strongest:
        chosen.setdefault(latest[item_id].title.casefold(), latest[item_id])
    return cause, list(chosen.values())[:CITED] or [list(latest.values())[-1]]


def plain_reason(entry: Ranked, cause: str, evidence: Sequence[Interaction], shift: Shift, say: Wording) -> str:
    """A sentence that says what the figures say and nothing else."""
    times = say.counted(entry.candidate.popularity)
    if not evidence:
        return (say.wish_popular if cause == "wish" else say.unknown_popular).format(times=times)
    topics = [topic for topic in shift.to_topics if topic in entry.candidate.item.topics]
    did = _did(evidence, say)
    if cause == "shift" and topics:
        return (say.stays if shift.kind == "none" else say.moves).format(topic=topics[0], did=did)
    if cause == "recent_popularity":
        return say.popular.format(times=times, did=did)
    others = say.others_too if len(evidence) == 1 else say.others_either
    sentences = {"others": others, "wish": say.fits_wish, "likelihood": say.likely, "novelty": say.rare}
    return sentences.get(cause, say.close).format(did=did, times=times)


def _did(evidence: Sequence[Interaction], say: Wording) -> str:
    """`bought Tea (1 May 2020) and Rusk (2 May 2020)`; each verb once where one follows the other."""
    parts: list[str] = []
    for event in evidence:
        verb = say.verb(event.event)
        told = say.event.format(title=event.title, day=datetime.fromtimestamp(event.time, tz=UTC))
        new = not parts or say.verb(evidence[len(parts) - 1].event) != verb
        parts.append(say.did.format(verb=verb, event=told) if new else told)
    return say.did_join.join(parts)


def reason_problem(
    reply: ReasonReply,
    item: Item,
    evidence: Sequence[Interaction],
    language: Language = "en",
    *,
    of_others: bool = False,
) -> str:
    """Why a reason of the model is not to be shown; empty where it is supported.

    It must cite given events, name each of them, then the item (named first, the item would seem to be among what the
    person did), then say how they belong together, in words that it was given (see `prose`). Only `of_others` may it
    tell what other people chose.
    """
    if not set(reply.events) <= set(range(1, len(evidence) + 1)):
        return "cites an event that was not given"
    if _MARK in reply.reason:
        return "brings in a sign that it was not given"
    say = WORDINGS[language]
    cited = {number: evidence[number - 1] for number in reply.events}
    topics = [topic for thing in (item, *cited.values()) for topic in thing.topics]
    verbs = [say.verb(event.event) for event in cited.values()]
    connecting = say.reason_words | (say.others_words if of_others else frozenset())
    marks = {"item": f"{_MARK}item", **{str(number): f"{_MARK}{number}" for number in cited}}
    titles = {"item": item.title, **{str(number): event.title for number, event in cited.items()}}
    sentence = _marked(reply.reason, titles, marks, say)
    given = [*titles.values(), *topics, *verbs, *marks.values()]
    known = connecting.union(*map(words_of, given))
    clauses = [words_of(clause, known) for clause in say.clauses(sentence)]
    words = [word for clause in clauses for word in clause]
    clause_at = [number for number, clause in enumerate(clauses) for _ in clause]

    def marked(name: str) -> list[int]:
        return [place for place, word in enumerate(words) if word == marks[name]]

    done_titles = " ".join(event.title for event in cited.values())
    item_at = sorted({*marked("item"), *_named(words, item.title, but=done_titles, say=say)})
    if not item_at:
        return "does not name the item"
    events_at = [
        marked(str(number)) or _named(words, event.title, but=item.title, say=say) for number, event in cited.items()
    ]
    if not all(events_at):
        return "does not name the event it cites"
    done = max(at[-1] for at in events_at)
    item_clause = clause_at[item_at[0]]
    parted = clause_at[done] < item_clause == clause_at[item_at[-1]] and set(verbs).isdisjoint(words[done + 1 :])
    if done > item_at[0] or (say.clause_ends and not parted):
        return "names the item among what the person did"
    after = words[item_at[-1] + 1 : bisect_right(clause_at, item_clause)]
    if say.reason_words.difference(say.common).isdisjoint(after):
        return "does not say what the item has to do with it"
    if sentence.count("'") % 2 or unclosed(sentence, say.quotes):
        return "opens a quotation that it does not close"
    return prose_problem(sentence, given, connecting=connecting, marks=say.marks)


def _marked(sentence: str, titles: Mapping[str, str], marks: Mapping[str, str], say: Wording) -> str:
    """The sentence with marks for names that stand as given, the longest first: what these say is no prose."""
    for name in sorted(titles, key=lambda name: -len(titles[name])):
        title, short = titles[name], short_name(titles[name])
        bare = (rf"(?<!\w){re.escape(form)}(?!\w)" for form in (title, short))
        for form in (re.escape(say.named.format(title=title)), re.escape(say.named.format(title=short)), *bare):
            sentence, count = re.subn(form, f" {marks[name]} ", sentence)
            if count:
                break
    return sentence


def _named(words: Sequence[str], title: str, *, but: str, say: Wording) -> list[int]:
    """Where telling words of a title stand; words of other titles tell only where it has none of its own."""
    telling = _telling(title, say) - _telling(but, say) or _telling(title, say)
    return [place for place, word in enumerate(words) if word in telling]


def _telling(text: str, say: Wording) -> set[str]:
    """Words that tell one title from others: no common ones and, where there are others, no figures."""
    words = {word for word in words_of(text) if word not in say.common}
    return {word for word in words if not word.isdigit()} or words


@dataclass(frozen=True)
class _Asked:
    """A reason asked of the model: the item's place in the ranking, the names by what stands for them, and what is
    known of the item's topic."""

    place: int
    cause: str
    names: Mapping[str, str]
    aside: str
    messages: list[Message]

    def filled(self, reason: str, *, aside: str = "") -> str:
        """A reason with names in their places, the aside behind the item's; a place that has no name stays."""
        names = {**self.names, "item": self.names["item"] + aside}
        return _PLACE.sub(lambda place: names.get(place[1], place[0]), " ".join(reason.split()))


def _asked(place: int, entry: Ranked, reason: Reason, shift: Shift, language: Language) -> _Asked:
    """What may be said of the item varies with its place, so that reasons are not all alike."""
    say, item, evidence = WORDINGS[language], entry.candidate.item, reason.evidence[:SHOWN]
    moved = [topic for topic in shift.to_topics if topic in item.topics]
    supported = {"shift": bool(moved), "others": entry.candidate.seed_cosines.get(evidence[0].item_id, 0) > 0}
    cause = reason.cause if supported.get(reason.cause, True) else "similarity"
    shared = [topic for topic in item.topics if topic in evidence[0].topics]
    topics, template = (moved, say.topic_moved_to) if cause == "shift" else (shared, say.topic_shared)
    relation = say.relations[cause][place % len(say.relations[cause])]
    titles = [short_name(event.title) for event in evidence]
    names = {str(number): say.named.format(title=title) for number, title in enumerate(titles, 1)}
    names["item"] = say.named.format(title=short_name(item.title))
    aside = template.format(topic=topics[0]) if topics else ""
    events = "\n".join(
        say.cited.format(number=number, verb=say.verb(event.event), title=title)
        for number, (event, title) in enumerate(zip(evidence, titles, strict=True), 1)
    )
    values = {"title": short_name(item.title), "events": events, "relation": relation}
    return _Asked(place, cause, names, aside, load("explain", version=3, language=language).messages(values))


@cache
def reply_schema(cause: str, verbs: frozenset[str], language: Language) -> type[ReasonReply]:
    """The reply with a pattern, to which a grammar can hold it: what a person did, and what the cause lets be said.

    The pattern is told to the model and not asked of its reply, which is checked for itself.
    """
    say = WORDINGS[language]
    sentences = (say.worded.format(verb="\0", relation=relation) for relation in say.relations[cause])
    pattern = "|".join(_literal(sentence).replace("\0", f"({'|'.join(sorted(verbs))})") for sentence in sentences)
    told = Field(min_length=1, max_length=140, json_schema_extra={"pattern": f"^({pattern})$"})
    return create_model("ReasonReply", __base__=ReasonReply, reason=(str, told))


def _literal(text: str) -> str:
    """A text as a pattern of itself, without escapes that llama.cpp does not know."""
    return re.sub(r"[.?*+(){}|]", r"[\g<0>]", re.sub(r"[\[\]]", r"\\\g<0>", text))


def short_name(title: str) -> str:
    """A title without brackets and size, as one would say it: `The Crow` for `Crow, The (1994)`, `Granola bars`."""
    said = _INVERTED.sub(r"\2 \1", _ASIDE.sub("", title).strip())
    return (said or title)[:TITLE_LENGTH]
