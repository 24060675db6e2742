"""Check a claim that a model worded freely: it may only state what the facts of its item support.

A claim is dropped if one part of it lacks support. A check cannot understand a sentence, so it errs on the strict side:
words of praise, of promises and of the world's knowledge are refused unless a given text has them.
"""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import zip_longest

from whimbrel.agent.explanation.facts import Facts, Likeness, Together
from whimbrel.agent.explanation.names import short_name
from whimbrel.agent.explanation.sentences import Writer
from whimbrel.agent.language_models.grounding import HAN
from whimbrel.prompts.phrases import Language, load_phrases
from whimbrel.tools.records import Interaction

LONGEST_CLAIM = 240
"""Most characters of a claim. A sentence of 25 words has about 150."""
MOST_FACTS = 4
"""Most facts about one item that the model sees."""
RECENT_DAYS = 14
"""An event of at most so many days ago is recent."""
LEAST_BARE = 5
"""A title with fewer characters is only taken for a name where it stands in quotation marks."""

_PLACE = re.compile(r"\[(\d{1,3}|item)\]")
_PLAIN = re.compile(r"https?:|www\.|[<>{}\[\]`|*#\\]")
_QUOTED = re.compile(r"(?<!\w)'([^']+)'(?!\w)|\"([^\"]*)\"|“([^”]*)”|«([^»]*)»|„([^“”]*)[“”]|《([^》]*)》|「([^」]*)」")
_HAN = re.compile(f"[{HAN}]")
_NUMBER = re.compile(r"\d+(?:[.,:/]\d+)*")
_BEGINNING = re.compile(r"(?:^|[.!?:;…]\s+)[\s\"'“(]*([^\W\d_][\w'’-]*)")
_WORD = re.compile(rf"(?![{HAN}])[^\W\d_](?:(?![{HAN}])[\w'’-])*")


@dataclass(frozen=True)
class Given:
    """What a model was given about one item, and what is known of it.

    Attributes:
        facts: The facts of the item.
        events: The numbered events.
        write: The writer of the sentences of this person.
        lines: The facts in words.
        counted: The facts about other people in words, which are among `lines`.
        also: Other texts that the model was given: what is said of the person, and the shift.
        wished: Whether the item fits what the person asked for.
    """

    facts: Facts
    events: Mapping[int, Interaction]
    write: Writer
    lines: tuple[str, ...]
    counted: tuple[str, ...]
    also: tuple[str, ...]
    wished: bool

    @classmethod
    def of(
        cls, facts: Facts, events: Mapping[int, Interaction], write: Writer, *, wished: bool, also: tuple[str, ...]
    ) -> "Given":
        """Write the facts in words, at most MOST_FACTS of them."""
        about_people, about_item = _about_people(facts, events, write), _about_item(facts, events, write)
        wish = [write.say.reasons.facts.wish] if wished else []
        # Both kinds of facts in turn, so that neither fills the prompt alone.
        rest = [line for pair in zip_longest(about_item, about_people) for line in pair if line]
        return cls(facts, events, write, (*wish, *rest)[:MOST_FACTS], tuple(about_people), also, wished)

    def shared_with(self, event: Interaction) -> Likeness | None:
        """Return what the item shares with an event; None if that is nothing."""
        topics = self.write.known.shared_topics(self.facts.item, event)
        if topics:
            return Likeness((event,), tuple(topics))
        near = (likeness for likeness in self.facts.likeness if event in likeness.events)
        alike = self.facts.alike
        return next(near, Likeness((event,)) if alike and alike.event == event else None)


def _about_item(facts: Facts, events: Mapping[int, Interaction], write: Writer) -> list[str]:
    say, listed, lines = write.say.reasons.facts, write.say.writing.listed, list[str]()
    if facts.before:
        lines.append(say.repeat.format(count=len(facts.before)))
    for likeness in facts.likeness:
        numbers = _numbers_of(likeness.events, events)
        if not numbers:
            continue
        if likeness.topics:
            lines.append(say.topics.format(topics=listed(likeness.topics), events=numbers))
        elif likeness.words:
            lines.append(say.words.format(words=write.quoted(likeness.words), events=numbers))
        else:
            lines.append(say.close.format(events=numbers))
    if (alike := facts.alike) and (numbers := _numbers_of([alike.event], events)):
        modality = alike.modality.replace("_", " ")
        lines.append(say.modality.format(modality=modality, events=numbers))
    if habit := facts.habit:
        lines.append(say.habit.format(topic=habit.topic, count=habit.count, of=habit.of))
    if facts.expected:
        form = say.moves if write.known.shift.is_headline else say.expected
        lines.append(form.format(topic=facts.expected))
    if facts.usual_price and facts.item.price:
        lines.append(say.price.format(price=f"{facts.item.price:.2f}", usual=f"{facts.usual_price:.2f}"))
    return lines


def _about_people(facts: Facts, events: Mapping[int, Interaction], write: Writer) -> list[str]:
    say, verb, lines = write.say.reasons.facts, write.others_verb, list[str]()
    for together in facts.others[:1]:
        if numbers := _numbers_of(together.events, events):
            counts = {"count": f"{together.count:,}", "of": f"{together.of:,}"}
            lines.append(say.others.format(verb=verb, events=numbers, **counts))
    if popular := facts.popular:
        lines.append(say.popular.format(verb=verb, people=write.people(popular.count), window=write.window(popular)))
    return lines


def _numbers_of(some: Sequence[Interaction], events: Mapping[int, Interaction]) -> str:
    return ", ".join(f"[{number}]" for number, event in events.items() if event in some)


class ClaimChecker:
    """Checks the claims of one list, each of which must also differ from those before it."""

    def __init__(self, language: Language) -> None:
        self._language, self._say = language, load_phrases(language)
        self._free, self._seen = self._say.generated.free, set[str]()

    def problem(self, kind: str, evidence: Sequence[int], words: str, given: Given) -> str:
        """Say why a claim must not be shown; an empty text if it may be."""
        numbers, words = self._read(evidence, words, given)
        if not set(numbers) <= given.events.keys():
            return "cites an event that was not given"
        claim = _Claim(kind, words, tuple(given.events[number] for number in numbers), given)
        problem = next(filter(None, (check(claim) for check in self._checks)), "")
        if not problem:
            self._seen.add(claim.bare)
        return problem

    def filled(self, evidence: Sequence[int], words: str, given: Given) -> tuple[str, tuple[Interaction, ...]]:
        """Return a claim with its names, and the events that it cites."""
        numbers, words = self._read(evidence, words, given)
        titles = {str(number): event.title for number, event in given.events.items()} | {"item": given.facts.item.title}
        title = self._say.writing.title

        def name(place: re.Match[str]) -> str:
            return title.format(title=short_name(titles[place[1]]))

        return _PLACE.sub(name, words), tuple(given.events[number] for number in numbers)

    def _read(self, evidence: Sequence[int], words: str, given: Given) -> tuple[list[int], str]:
        """Return the numbers of the events that a claim cites or names, and its words with a mark at their end."""
        words = " ".join(words.split())
        titles = {str(number): event.title for number, event in given.events.items()} | {"item": given.facts.item.title}
        for place, title in sorted(titles.items(), key=lambda pair: -len(pair[1])):
            for form in {title, short_name(title)}:
                words = re.sub(rf"['\"“《「„]{re.escape(form)}['\"”》」“]", f"[{place}]", words)
                if len(form) >= LEAST_BARE:
                    words = re.sub(rf"(?<![\w\[]){re.escape(form)}(?![\w\]])", f"[{place}]", words)
        words = re.sub(r"['\"“《「](\[(?:\d{1,3}|item)\])['\"”》」]", r"\1", words)  # the title brings its own marks
        if words and words[-1] not in ".!?。！？":
            words += self._say.writing.full_stop
        named = [int(place) for place in _PLACE.findall(words) if place != "item"]
        return list(dict.fromkeys([*named, *evidence])), words

    @property
    def _checks(self) -> tuple[Callable[["_Claim"], str], ...]:
        return (
            self._form,
            self._people,
            self._names,
            self._figures,
            self._times,
            self._alikeness,
            self._interest,
            self._promises,
            self._deeds,
        )

    def _form(self, claim: "_Claim") -> str:
        if not claim.bare.strip(" .!?。！？\0") or len(claim.words) > LONGEST_CLAIM:
            return "is empty or too long"
        if _PLAIN.search(claim.bare) or not claim.words.isprintable():
            return "is not plain text"
        if claim.bare in self._seen:
            return "repeats another reason"
        if bool(_HAN.search(claim.bare)) != (self._language == "zh"):
            return "is in another language"
        if claim.kind == "event" and not claim.events:
            return "cites no event"
        return ""

    def _names(self, claim: "_Claim") -> str:
        quoted = [text for groups in _QUOTED.findall(claim.bare) for text in groups if text]
        if any(text.casefold() not in claim.given_text for text in quoted):
            return "quotes what was not given"
        known = set(map(str.casefold, _WORD.findall(claim.given_text)))
        starts = {match.start(1): match[1] for match in _BEGINNING.finditer(claim.bare)}
        for word in _WORD.finditer(claim.bare):
            folded = re.sub(r"['’]s$", "", word[0].casefold())
            if folded in known:
                continue
            # In Chinese, a word in Latin letters is a name. In English, a capital letter marks one.
            if self._language == "zh" or (word.start() not in starts and word[0] != "I" and word[0] != word[0].lower()):
                return "names what was not given"
            if word[0][0].isupper() and folded not in self._free.openers:
                return "begins with what may be a name"
        return ""

    def _figures(self, claim: "_Claim") -> str:
        allowed = {number for text in claim.texts for number in _NUMBER.findall(text)}
        allowed |= {number.replace(",", "") for number in allowed}
        numbers = _NUMBER.findall(claim.bare)
        if not set(numbers) <= allowed:
            return "has a figure that was not given"
        # Ratings must stand in the order of the events that the claim names.
        ratings = list(dict.fromkeys(filter(None, map(claim.given.write.rating, claim.named))))
        stated = list(dict.fromkeys(number for number in numbers if number in ratings))
        if not claim.counts and stated and stated != ratings:
            return "gives an event the rating of another"
        for word in _found(self._free.number_words, claim):
            value = self._free.numbers.get(word)
            things = {len(claim.events), len(claim.events) + 1}
            if word not in claim.given_text and value not in things and str(value) not in allowed:
                return "has a figure that was not given"
        return ""

    def _times(self, claim: "_Claim") -> str:
        write = claim.given.write
        ages = [(write.known.end - event.time) / 86_400 for event in claim.events]
        for word in _found(self._free.times, claim):
            lately = word in self._free.lately and ages and min(ages) <= RECENT_DAYS
            if not lately and word not in claim.given_text:
                return "names a time that was not given"
        days, text = {write.day(event).casefold() for event in claim.named}, claim.bare.casefold()
        if any(day in text for day in days) and not all(day in text for day in days):
            return "gives an event the day of another"
        return ""

    def _people(self, claim: "_Claim") -> str:
        speaks = bool(_found(self._free.people, claim)) or claim.kind in {"others", "popular"}
        if not speaks:
            return ""
        if not claim.counts:
            return "speaks of people whom no fact counts"
        figures = {number.replace(",", "") for number in _NUMBER.findall(claim.bare)}
        if figures.isdisjoint(map(str, claim.counts)):
            return "speaks of people without saying how many"
        people = re.findall(self._free.people_count, claim.bare.casefold())
        if not {number.replace(",", "") for number in people} <= {*map(str, claim.counts), *map(str, claim.of)}:
            return "has another number of people than the facts"
        return ""

    def _alikeness(self, claim: "_Claim") -> str:
        left = claim.given.write.known.shift.from_topics if claim.kind == "shift" else ()
        topics = [topic for topic in claim.named_topics if topic not in (*claim.given.facts.item.topics, *left)]
        about_item = "[item]" in claim.words or claim.kind != "event"
        if topics and (about_item or not claim.topics_of_events.issuperset(topics)):
            return "gives the item a topic that it does not have"
        if claim.kind != "likeness" and not _found(self._free.likeness, claim):
            return ""
        shared = [claim.given.shared_with(event) for event in claim.events]
        if not shared or not all(shared):
            return "calls things alike that share nothing"
        if any(topic not in likeness.topics for topic in claim.named_topics for likeness in shared if likeness):
            return "names a topic that is not shared"
        return ""

    def _interest(self, claim: "_Claim") -> str:
        facts, known = claim.given.facts, claim.given.write.known
        if claim.kind == "shift" and not (facts.expected or facts.habit):
            return "speaks of an interest that the item does not have"
        moving = known.shift.is_headline and facts.expected
        if _found(self._free.moves, claim) and not moving:
            return "speaks of a shift that was not predicted"
        if (claim.kind == "wish" or _found(self._free.wishes, claim)) and not claim.given.wished:
            return "speaks of a wish that the item does not fit"
        return ""

    def _deeds(self, claim: "_Claim") -> str:
        events = self._say.events
        done = {events.verb(event.event, event.meaning) for event in claim.events} | {events.other}
        if claim.counts:
            done.add(claim.given.write.others_verb)
        named = _found(sorted({*events.verbs.values(), *events.meanings.values()}), claim)
        feelings = _found(self._free.feelings, claim)
        rated = bool(claim.events) and all(event.rating is not None for event in claim.events)
        if not set(named) - set(feelings) <= done or (feelings and not rated and not set(feelings) <= done):
            return "says that the person did what they did not"
        return ""

    def _promises(self, claim: "_Claim") -> str:
        text = claim.given_text
        words = [word for word in _found(self._free.unsupported, claim) if word not in text]
        return "promises or praises what no fact supports" if words else ""


@dataclass(frozen=True)
class _Claim:
    kind: str
    words: str
    events: tuple[Interaction, ...]
    given: Given

    @cached_property
    def named(self) -> list[Interaction]:
        """The events that the words name, or all that are cited if they name none."""
        places = [int(place) for place in _PLACE.findall(self.words) if place != "item"]
        return [self.given.events[place] for place in dict.fromkeys(places)] or list(self.events)

    @cached_property
    def bare(self) -> str:
        """The words, with NUL in place of the names."""
        return _PLACE.sub("\0", self.words)

    @cached_property
    def texts(self) -> list[str]:
        """What the claim may use. Titles are not among it, because a part of one may name another item."""
        write = self.given.write
        of_events = [text for event in self.events for text in (write.day(event), write.rating(event), *event.topics)]
        # A number of people must not be taken for a rating.
        lines = (
            self.given.lines if self.counts else [line for line in self.given.lines if line not in self.given.counted]
        )
        lines = [_PLACE.sub("", line) for line in lines]
        return [*self.given.facts.item.topics, *of_events, *lines, *self.given.also]

    @cached_property
    def given_text(self) -> str:
        return "\n".join(self.texts).casefold()

    @cached_property
    def counts(self) -> set[int]:
        """The numbers of other people who chose the item, which the claim may state. It must state one of them."""
        popular = self.given.facts.popular
        if self.kind == "popular":
            return {popular.count} if popular else set()
        return {together.count for together in self._together}

    @cached_property
    def of(self) -> set[int]:
        """The numbers of other people who chose the events' items, which the claim may state as well."""
        return {together.of for together in self._together}

    @property
    def _together(self) -> list[Together]:
        if self.kind != "others":
            return []
        facts = self.given.facts
        together = filter(None, (*facts.others[:1], facts.both))
        return [
            fact
            for fact in together
            if all(event in self.events for event in fact.events) and all(event in fact.events for event in self.named)
        ]

    @cached_property
    def topics_of_events(self) -> set[str]:
        return {topic for event in self.events for topic in event.topics}

    @cached_property
    def named_topics(self) -> list[str]:
        """The topics that the claim names, of all that the model was given."""
        given, words = self.given, self.bare.casefold()
        shift = given.write.known.shift
        events = {topic for event in given.events.values() for topic in event.topics}
        topics = {*given.facts.item.topics, *events, *shift.to_topics, *shift.from_topics}
        return sorted(
            topic for topic in topics if re.search(rf"(?<![^\W_]){re.escape(topic.casefold())}(?![^\W_])", words)
        )


def _found(words: Iterable[str], claim: _Claim) -> list[str]:
    """Return which of these words a claim has. A word that ends with `*` stands for all that begin with it."""
    text = claim.bare.casefold()
    return [match[0] for word in words for match in [re.search(_pattern(word), text)] if match]


def _pattern(word: str) -> str:
    if _HAN.search(word):
        return re.escape(word)
    return rf"(?<!\w){re.escape(word.rstrip('*'))}" + (r"\w*" if word.endswith("*") else r"(?!\w)")
