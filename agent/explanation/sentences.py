"""Write every true reason of an item from its facts, without a language model."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from itertools import groupby

import numpy as np

from whimbrel.agent.explanation.days import day_of
from whimbrel.agent.explanation.facts import LEAST_PEOPLE, Background, Facts, Likeness, Popular
from whimbrel.agent.explanation.names import short_name
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.event_meanings import meaning_of
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.retrieval.catalogue import CAPTION, IMAGE
from whimbrel.tools.timestamps import DAY_SECONDS

MOST = 0.5
"""More than this share of other people are "most" of them."""
SHARE, LEAST_OF = 0.2, 10
"""A share of other people is told from this value on, and of no fewer people."""
RARE, MOST_RARE = 0.05, 50
"""A topic is rare if at most this share of the log's items have it, and at most so many."""

TELLING: Mapping[str, float] = {"topic_rare": 0.8, "topic_top": 0.6, "topic_all": 0.6}
"""How much a form about shared topics tells, beside those that tell as much as their topics are rare."""
WEAK = -2.0
"""How much a sentence tells whose event has little to do with the item. Such a sentence is the last choice.

Readers found 74 of 150 reasons useful before this was so (docs/evaluation/explanations.md).
"""
FRESH_DAYS = 60
"""An item comes "after" an event of at most so many days ago."""


@dataclass(frozen=True)
class Sentence:
    """A true reason.

    Attributes:
        form: The field of `ReasonForms` from which it was written.
        cause: One of `cite.CAUSES`, or "" if it holds whatever ranked the item high.
        words: The sentence.
        events: The person's events that it rests on.
        known: What a model may word instead, keyed by the places of `GeneratedPhrases.relations`, and `day`.
        telling: How much it tells, from 0 to 1, or WEAK. It is higher the rarer a shared topic is, and the more often
            people who chose the event's item chose this than people do in general.
    """

    form: str
    cause: str
    words: str
    events: tuple[Interaction, ...]
    known: Mapping[str, str] = field(default_factory=dict)
    telling: float = 0.3


class Writer:
    """Writes the values that sentences take, for one person and moment."""

    def __init__(self, known: Background, say: Phrases) -> None:
        self.known, self.say = known, say
        # An event is named in many sentences of a list.
        self._verb = cache(say.events.verb)
        self._day = cache(lambda time: day_of(time, known.before, say))

    def did(self, events: Sequence[Interaction]) -> str:
        """Return `rated 'Tea' 5 and 'Rusk' 4 last Saturday`. Neighbours with the same verb and day share both words."""
        reasons, parts, verb_before = self.say.reasons, [], ""
        for (verb, day), alike in groupby(events, lambda event: (self.verb(event), self.day(event))):
            titles = [self._rated(event) for event in alike]
            sentence = reasons.did_again if verb == verb_before else reasons.did
            parts.append(sentence.format(verb=verb, titles=self.say.writing.conjunction.join(titles), day=day))
            verb_before = verb
        return reasons.also_did.join(parts)

    def last(self, latest: Interaction) -> str:
        """Return `last rated 'Tea' 5 yesterday`, without "last" if the person then disliked something."""
        did = self.did([latest])
        return self.say.reasons.last.format(did=did) if latest is self.known.history[-1] else did

    def which(self, event: Interaction) -> str:
        """Return `which you rated 5 last Saturday`."""
        which = self.say.reasons.which if self.rating(event) == "" else self.say.reasons.which_rated
        return which.format(
            verb=self.say.events.modifying(self.verb(event)), day=self.day(event), rating=self.rating(event)
        )

    def title(self, event: Item) -> str:
        """Return the event's title in quotation marks."""
        return self.say.writing.title.format(title=short_name(event.title))

    def verb(self, event: Interaction) -> str:
        """Return what the person did."""
        return self._verb(event.event, event.meaning)

    def day(self, event: Interaction) -> str:
        """Return when the person did it."""
        return self._day(event.time)

    def rating(self, event: Interaction) -> str:
        """Return the rating that the person gave, or an empty text."""
        return f"{event.rating:g}" if event.event == "rating" and event.rating is not None else ""

    @property
    def others_verb(self) -> str:
        """What other people did. If the log may record several kinds of events, it is the most general verb."""
        return self.say.events.verb(self.known.kind, meaning_of(self.known.kind))

    def people(self, count: int) -> str:
        """Return `12 other people`."""
        if count < LEAST_PEOPLE:
            return self.say.reasons.few.format(count=LEAST_PEOPLE)
        return self.say.reasons.people.format(count=count)

    def window(self, popular: Popular) -> str:
        """Return `in the last 7 days`, or with a date if the moment is unknown."""
        if np.isfinite(self.known.before):
            return self.say.reasons.windows[popular.window]
        return self.say.reasons.windows_until[popular.window].format(date=self.say.date(self.known.end))

    def quoted(self, words: Sequence[str]) -> str:
        """Return words of titles, each phrase in quotation marks."""
        return self.say.writing.listed([self.say.writing.title.format(title=phrase) for phrase in words])

    def _rated(self, event: Interaction) -> str:
        rating, title = self.rating(event), self.title(event)
        return self.say.reasons.title_rated.format(title=title, rating=rating) if rating else title


def sentences_of(facts: Facts, write: Writer) -> list[Sentence]:
    """Return every reason that the facts support, the more specific ones of each cause first."""
    if facts.latest is None:
        return [*_about_elsewhere(facts, write), *_without_history(facts, write)]
    return [
        *_about_others(facts, write),
        *_about_likeness(facts, write),
        *_about_modality(facts, write),
        *_about_interest(facts, write),
        *_about_popularity(facts, write),
        *_about_wishes(facts, facts.latest, write),
        *_about_the_rest(facts, facts.latest, write),
        # What the person did here says more, and can be looked up.
        *(() if facts.likeness or facts.others else _about_elsewhere(facts, write)),
    ]


def _about_elsewhere(facts: Facts, write: Writer) -> Iterator[Sentence]:
    """Write what the item shares with one of another store. The sentence cites no event: this store has none of it."""
    forms, item = write.say.reasons.forms, facts.elsewhere
    if item is None:
        return
    title, topics = write.title(item), write.known.rarest(write.known.shared_topics(facts.item, item))
    if topics:
        words = forms.elsewhere_topic.format(title=title, topics=write.say.writing.listed(topics))
        yield Sentence("elsewhere_topic", "similarity", words, (), telling=_rarity(topics, write))
    else:
        yield Sentence("elsewhere_close", "similarity", forms.elsewhere_close.format(title=title), (), telling=0.6)


def _without_history(facts: Facts, write: Writer) -> Iterator[Sentence]:
    forms = write.say.reasons.forms
    if popular := facts.popular:
        values = _popularity(popular, write)
        if facts.fits:
            yield Sentence("wish_popular", "wish", forms.wish_popular.format(**values), ())
        yield Sentence("unknown_popular", "", forms.unknown_popular.format(**values), ())
    if facts.fits:
        yield Sentence("wish_new", "wish", forms.wish_new, ())
    else:
        yield Sentence("wish_near", "wish", forms.wish_near, ())
    yield Sentence("unknown_new", "", forms.unknown_new, ())


def _about_others(facts: Facts, write: Writer) -> Iterator[Sentence]:
    forms, verb = write.say.reasons.forms, write.others_verb
    for together in facts.others:
        event, count, of = together.events[0], f"{together.count:,}", f"{together.of:,}"
        named = {"title": write.title(event), "which": write.which(event), "verb": verb}
        shared = write.known.rarest(write.known.shared_topics(facts.item, event))
        is_large = together.of >= LEAST_OF and together.count >= SHARE * together.of
        known = {"day": write.day(event), "count": count}
        if is_large:
            known["of"] = of  # a model words no share that is low
        if shared:
            known["topic"] = shared[0]
        people = write.people(together.count)
        if event.rating and write.rating(event) and event.rating == write.known.top_rating:
            words = forms.others_top.format(
                title=named["title"], rating=write.rating(event), day=write.day(event), verb=verb, people=people
            )
            yield Sentence("others_top", "others", words, (event,), known, telling=together.lift)
        if shared:
            topics = write.say.writing.listed(shared)
            words = forms.others_topic.format(**named, people=people, topics=topics)
            rare = _rarity(shared, write)
            yield Sentence("others_topic", "others", words, (event,), known, telling=rare)
        if shared and together.of >= LEAST_OF:
            words = forms.others_more.format(**named, topics=topics, count=count, of=of)
            yield Sentence("others_more", "others", words, (event,), known, telling=rare)
        if together.count > MOST * together.of:
            words = forms.others_most.format(**named, count=count, of=of)
            yield Sentence("others_most", "others", words, (event,), known, telling=together.lift)
        elif is_large:
            words = forms.others_share.format(did=write.did([event]), verb=verb, count=count, of=of)
            yield Sentence("others_share", "others", words, (event,), known, telling=together.lift)
        words = forms.others_count.format(**named, people=people)
        yield Sentence("others_count", "others", words, (event,), known, telling=together.lift if shared else WEAK)
    if facts.both:
        both = facts.both
        count, of = f"{both.count:,}", f"{both.of:,}"
        words = forms.others_both.format(did=write.did(both.events), verb=verb, count=count, of=of)
        telling = both.lift if both.count >= SHARE * both.of else WEAK
        yield Sentence("others_both", "others", words, both.events, telling=telling)


def _about_likeness(facts: Facts, write: Writer) -> Iterator[Sentence]:
    forms, listed = write.say.reasons.forms, write.say.writing.listed
    for likeness in facts.likeness:
        event, did = likeness.events[0], write.did(likeness.events[:1])
        named = {"title": write.title(event), "which": write.which(event)}
        if likeness.words:
            words = write.quoted(likeness.words)
            more = forms.words_more.format(**named, words=words)
            yield Sentence("words_more", "similarity", more, (event,), telling=0.6)
            yield Sentence("words", "similarity", forms.words.format(did=did, words=words), (event,), telling=0.5)
        elif likeness.topics:
            topics = listed(likeness.topics)
            for form in _topic_forms(facts, likeness, write):
                if form == "topic_rare":
                    count, of = write.known.topic_items[likeness.topics[0]], write.known.catalogue_size
                    words = forms.topic_rare.format(**named, topic=likeness.topics[0], count=f"{count:,}", of=f"{of:,}")
                elif form == "topic_top":
                    words = forms.topic_top.format(
                        title=named["title"], rating=write.rating(event), day=write.day(event), topics=topics
                    )
                elif form in {"topic", "topic_two"}:
                    both = likeness.events if form == "topic_two" else likeness.events[:1]
                    words = getattr(forms, form).format(did=write.did(both), topics=topics)
                else:
                    words = getattr(forms, form).format(**named, topics=topics)
                events = likeness.events if form == "topic_two" else (event,)
                known = {"day": write.day(event), "topic": likeness.topics[0]}
                telling = _rarity(likeness.topics, write) if form in {"topic", "topic_more"} else TELLING.get(form, 0.5)
                yield Sentence(form, "similarity", words, events, known, telling)
        else:
            yield Sentence("close", "similarity", forms.close.format(**named), (event,))


def _about_modality(facts: Facts, write: Writer) -> Iterator[Sentence]:
    if alike := facts.alike:
        named = {"title": write.title(alike.event), "which": write.which(alike.event)}
        forms = write.say.reasons.forms
        if alike.modality in {IMAGE, CAPTION}:
            yield Sentence("looks", "modality", forms.looks.format(**named), (alike.event,), telling=0.6)
        else:
            words = forms.modality.format(**named, modality=alike.modality.replace("_", " "))
            yield Sentence("modality", "modality", words, (alike.event,), telling=0.6)


def _topic_forms(facts: Facts, likeness: Likeness, write: Writer) -> Iterator[str]:
    """Name the forms about shared topics that are true, the more specific ones first."""
    event, known = likeness.events[0], write.known
    items = known.topic_items.get(likeness.topics[0], 0)
    if (
        items <= min(RARE * known.catalogue_size, MOST_RARE)
        and (known.log.rows([facts.item.item_id, event.item_id]) >= 0).all()
    ):
        yield "topic_rare"
    if event.rating and write.rating(event) and event.rating == known.top_rating:
        yield "topic_top"
    if len(likeness.topics) > 1:
        same = set(likeness.topics) == set(facts.item.topics) == set(event.topics)
        yield "topic_all" if same else "topic_several"
    if len(likeness.events) > 1:
        yield "topic_two"
    if known.end - event.time <= FRESH_DAYS * DAY_SECONDS:
        yield "topic_more"
    yield "topic"


def _about_interest(facts: Facts, write: Writer) -> Iterator[Sentence]:
    forms, habit, topic = write.say.reasons.forms, facts.habit, facts.expected
    moving = write.known.shift.is_headline
    if topic and facts.expected_after:
        form = "moves" if moving else "expected"
        words = getattr(forms, form).format(topic=topic, did=write.did([facts.expected_after]))
        known = {"day": write.day(facts.expected_after), "topic": topic}
        telling = 0.7 if moving else 0.4
        yield Sentence(form, "shift", words, (facts.expected_after,), known, telling)
        if facts.popular:
            words = forms.popular_expected.format(
                did=write.did([facts.expected_after]), topic=topic, **_popularity(facts.popular, write)
            )
            yield Sentence("popular_expected", "shift", words, (facts.expected_after,))
    elif topic and facts.latest:
        words = forms.expected_other.format(topic=topic, last=write.last(facts.latest))
        yield Sentence("expected_other", "shift", words, (facts.latest,))
    if habit:
        words = forms.habit.format(
            title=write.title(habit.event),
            day=write.day(habit.event),
            topic=habit.topic,
            count=habit.count,
            of=habit.of,
        )
        known = {"day": write.day(habit.event), "topic": habit.topic}
        yield Sentence("habit", "shift", words, (habit.event,), known, habit.count / habit.of)


def _about_popularity(facts: Facts, write: Writer) -> Iterator[Sentence]:
    forms, popular, latest = write.say.reasons.forms, facts.popular, facts.latest
    if facts.since and latest:
        words = forms.popular_since.format(
            did=write.did([latest]), verb=write.others_verb, people=write.people(facts.since)
        )
        yield Sentence("popular_since", "recent_popularity", words, (latest,), telling=WEAK)
    if not popular or not latest:
        return
    values = _popularity(popular, write)
    if likeness := _by_topics(facts):
        event = likeness.events[0]
        words = forms.popular_topic.format(
            title=write.title(event),
            which=write.which(event),
            topics=write.say.writing.listed(likeness.topics),
            **values,
        )
        telling = _rarity(likeness.topics, write)
        yield Sentence("popular_topic", "recent_popularity", words, (event,), telling=telling)
    words = forms.popular.format(last=write.last(latest), **values)
    yield Sentence("popular", "recent_popularity", words, (latest,), telling=WEAK)


def _about_wishes(facts: Facts, latest: Interaction, write: Writer) -> Iterator[Sentence]:
    """Say that the item fits only where it shows it. Otherwise its text is near to the wish, and no more is said."""
    forms, last, likeness = write.say.reasons.forms, write.last(latest), _by_topics(facts)
    if not facts.fits:
        if likeness:
            event, topics = likeness.events[0], write.say.writing.listed(likeness.topics)
            words = forms.near_topic.format(did=write.did([event]), topics=topics)
            yield Sentence("near_topic", "wish", words, (event,), telling=_rarity(likeness.topics, write))
        yield Sentence("near", "wish", forms.near.format(last=last), (latest,), telling=0.0)
        return
    if facts.expected and facts.expected_after:
        event = facts.expected_after
        words = forms.fits_expected.format(title=write.title(event), which=write.which(event), topic=facts.expected)
        yield Sentence("fits_expected", "wish", words, (event,), telling=0.6)
    if likeness:
        event, topics = likeness.events[0], write.say.writing.listed(likeness.topics)
        words = forms.fits_topic.format(did=write.did([event]), topics=topics)
        yield Sentence("fits_topic", "wish", words, (event,), telling=_rarity(likeness.topics, write))
    for together in facts.others[:1]:
        event, people = together.events[0], write.people(together.count)
        named = {"title": write.title(event), "which": write.which(event)}
        words = forms.fits_others.format(**named, people=people, verb=write.others_verb)
        yield Sentence("fits_others", "wish", words, (event,), telling=0.5)
    if facts.popular:
        words = forms.fits_popular.format(last=last, **_popularity(facts.popular, write))
        yield Sentence("fits_popular", "wish", words, (latest,))
    yield Sentence("fits", "wish", forms.fits.format(last=last), (latest,), telling=0.0)


def _about_the_rest(facts: Facts, latest: Interaction, write: Writer) -> Iterator[Sentence]:
    """Write what is said of rare items, of prices and of items chosen before, and the last resort."""
    forms, last, likeness = write.say.reasons.forms, write.last(latest), _by_topics(facts)
    count = write.known.people.of(facts.item.item_id)
    rare = {"verb": write.others_verb, "people": write.people(count)}
    if likeness:
        event, topics = likeness.events[0], write.say.writing.listed(likeness.topics)
        words = forms.rare_topic.format(did=write.did([event]), topics=topics, **rare)
        yield Sentence("rare_topic", "novelty", words, (event,), telling=0.5)
    yield Sentence("rare", "novelty", forms.rare.format(last=last, **rare), (latest,))
    yield Sentence("likely", "likelihood", forms.likely.format(last=last), (latest,))
    if facts.before:
        event, times = facts.before[-1], len(facts.before)
        form = "repeat" if times > 1 else "repeat_once"
        words = getattr(forms, form).format(verb=write.verb(event), count=times, day=write.day(event))
        yield Sentence(form, "similarity", words, (event,), telling=0.8)
    if facts.usual_price and facts.item.price:
        words = forms.price.format(last=last, price=f"{facts.item.price:.2f}", usual=f"{facts.usual_price:.2f}")
        yield Sentence("price", "similarity", words, (latest,), telling=0.5)
    yield Sentence("leftover", "", forms.leftover.format(last=last), (latest,))


def _popularity(popular: Popular, write: Writer) -> dict[str, str]:
    return {"verb": write.others_verb, "people": write.people(popular.count), "window": write.window(popular)}


def _rarity(topics: Sequence[str], write: Writer) -> float:
    """Return how much shared topics tell: 0.2 for one that every other item has, 1 for one in 250."""
    return min(max(map(write.known.weight, topics)) / 8, 1.0)


def _by_topics(facts: Facts) -> Likeness | None:
    return next((likeness for likeness in facts.likeness if likeness.topics), None)
