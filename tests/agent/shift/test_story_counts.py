"""Every statement of a story holds: a reader who only has the events and the sentence counts the same numbers."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent import Context, Item
from whimbrel.agent.shift.predict import ShiftQuery, predict_shift
from whimbrel.evals.data.logs import Log, read_log
from whimbrel.evals.studies.planted import KINDS, planted_log
from whimbrel.tools.sources.completejourney import household_ids, read_completejourney
from whimbrel.tools.sources.formats import open_source

GAP = 3 * 3600
DAYS = ["Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"]
PARTS = {"night": 0, "morning": 6, "afternoon": 12, "evening": 18}
DATE = r"\d+ \w+ \d{4}"
COUNT = r"(?:all|both|none|[\d,]+)(?: of)?(?: the)?(?: [\d,]+)? (?:them|sessions|events)"
MOMENTS = ("Since", "Before", "In this session, since", "Before this session, which began on")
SENTENCE = re.compile(
    rf"(?P<here>.+?): (?P<topics>.+?)(?: \(mostly (?P<part>[^)]+)\))? in (?P<now>{COUNT})(?:, last on (?P<last>{DATE}))?; "
    rf"(?P<there>.+?), in (?P<then>{COUNT})\. ?"
)


@dataclass
class Reader:
    """Recounts the sentences of a story from the events alone.

    `since` is the first moment of the segment, once a sentence has given it.
    """

    history: Sequence[Item]
    at: float | None
    since: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def read(self, reason: str) -> int:
        """Recount a reason. Returns how many sentences with counts it has."""
        story, sentences = reason.split("The single likeliest")[0], 0
        while story.strip():
            sentence = SENTENCE.match(story)
            assert sentence, story
            self.check(sentence)
            story, sentences = story[sentence.end() :], sentences + 1
        return sentences

    def check(self, sentence: re.Match[str]) -> None:
        here, names = self.side(sentence["here"], sentence["there"]), self.names(sentence["topics"])
        has = [bool(set(names) & set(event.topics)) for event in self.history]
        self.expect(sentence, "now", self.counted(here, has, sentence["now"]))
        self.expect(sentence, "then", self.counted([not inside for inside in here], has, sentence["then"]))
        events = [event for event, holds in zip(self.history, has, strict=True) if holds]
        if sentence["last"]:
            self.expect(sentence, "last", day_of(events[-1]))
        if sentence["part"] and np.mean([in_part(event, sentence["part"]) for event in events]) < 0.9:
            self.wrong.append(sentence["part"])

    def expect(self, sentence: re.Match[str], key: str, words: str) -> None:
        if sentence[key] != words:
            self.wrong.append(f"{sentence[key]!r} is {words!r} in {sentence[0]!r}")

    def names(self, words: str) -> list[str]:
        """Find the topics in a list, the longest first, because a name may begin with another name."""
        found = []
        for name in sorted({topic for event in self.history for topic in event.topics}, key=len, reverse=True):
            words, times = re.subn(rf"(?:^|(?<=, )|(?<= or )|(?<=')){re.escape(name)}(?=$|, | or |')", "", words)
            found += [name] * times
        return found

    def counted(self, side: Sequence[bool], has: Sequence[bool], words: str) -> str:
        """Count the sessions or events of a side that have a topic, and word the count as the sentence does."""
        units: dict[int, bool] = {}
        numbers = self.sessions() if "session" in words else range(len(self.history))
        for number, inside, holds in zip(numbers, side, has, strict=True):
            if inside:
                units[number] = units.get(number, False) or holds
        count, of = sum(units.values()), len(units)
        if words.endswith("them"):
            return "all of them" if count == of else "none of them" if not count else f"{count:,} of them"
        noun = "sessions" if "session" in words else "events"
        if count == of:
            return f"both {noun}" if of == 2 else f"all {of:,} {noun}"
        return f"{count:,} of the {of:,} {noun}" if count else f"none of the {of:,} {noun}"

    def sessions(self) -> Iterator[int]:
        number, before = 0, 0.0
        for event in self.history:
            time = event.time or 0.0
            number += before > 0 and time - before > GAP
            before = time
            yield number

    def side(self, here: str, there: str) -> list[bool]:
        """Return which events the first place of a sentence names. The second place names all others."""
        if found := re.fullmatch(r"In the last ([\d,]+) events", here):
            return [len(self.history) - number <= int(found[1].replace(",", "")) for number in range(len(self.history))]
        if here == "Earlier":
            return [not latest for latest in self.side(there[0].upper() + there[1:], here)]
        if found := re.fullmatch(rf"(?:{'|'.join(MOMENTS)}) (?:(\d\d:\d\d) UTC on )?({DATE})", here):
            moment = f"{found[2]} {found[1] or '00:00'} +0000"
            self.since = datetime.strptime(moment, "%d %B %Y %H:%M %z").timestamp()
        if found or here in {"Since then", "In this session", "Until then", "Before this session"}:
            return [((event.time or 0.0) >= self.since) == here.startswith(("Since", "In")) for event in self.history]
        found = re.fullmatch(rf"(?:Since (?P<day>{DATE})|Instead|So far), (?P<where>.+)", here)
        assert found, here
        if found["day"] and found["day"] != day_of(self.history[0]):
            self.wrong.append(here)
        return self.habit(found["where"], there)

    def habit(self, where: str, elsewhere: str) -> list[bool]:
        """Return which events a habit names. `At other hours` and the like name what `elsewhere` does not."""
        if where in {"at other hours", "on other days", "in the rest of the year"}:
            return [not inside for inside in self.habit(elsewhere, where)]
        first = re.search(rf" \(first on ({DATE})\)$", where)
        inside = [self.is_habit(event, where[: first.start()] if first else where) for event in self.history]
        if first and first[1] != day_of(self.history[inside.index(True)]):
            self.wrong.append(where)
        return inside

    def is_habit(self, event: Item, words: str) -> bool:
        time = event.time or 0.0
        weekday = datetime.fromtimestamp(time, tz=UTC).weekday()
        if found := re.fullmatch(r"between (\d\d):00 and (\d\d):00 UTC", words):
            first, end, hour = int(found[1]), int(found[2]), time % 86_400 / 3600
            return first <= hour < end if first < end else hour >= first or hour < end
        if words in {"at weekends", "on working days"}:
            return (weekday >= 5) == (words == "at weekends")
        if found := re.fullmatch(r"on (\w+day)s", words):
            return DAYS[weekday] == found[1]
        if words == "at this time of the year":
            apart = abs(time - (self.at or 0.0)) / 86_400 % 365.25
            return min(apart, 365.25 - apart) <= 30
        found = re.fullmatch(r"when (.+?) is (not )?(.+)", words)
        assert found, words
        return (str(getattr(event, "context", {}).get(found[1])) == found[3]) != bool(found[2])


def day_of(event: Item) -> str:
    return f"{datetime.fromtimestamp(event.time or 0, tz=UTC):%-d %B %Y}"


def in_part(event: Item, words: str) -> bool:
    moment = datetime.fromtimestamp(event.time or 0, tz=UTC)
    for part, first in PARTS.items():
        if part in words:
            return first <= moment.hour < first + 6
    return (moment.weekday() >= 5) == (words == "at weekends")


def recounted(
    history: Sequence[Item], at: float | None, situation: dict[str, str] | None = None
) -> tuple[int, list[str]]:
    """Predict a shift and recount its reason. Returns the number of counting sentences, and what is wrong."""
    shift = predict_shift(history, ShiftQuery(at=at, context=Context.model_validate(situation or {}))).shift
    if shift.kind == "none" or shift.reason.startswith("The topics changed"):
        return 0, []
    reader = Reader(history, at)
    return reader.read(shift.reason), reader.wrong


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not kind.startswith("stationary")])
def test_the_counts_of_planted_shifts_hold(kind: str) -> None:
    random = np.random.default_rng([11, *kind.encode()])
    sentences = 0
    for _ in range(20):
        log = planted_log(kind, random)
        count, wrong = recounted(log.history, log.at, dict(log.situation))
        assert not wrong
        sentences += count
    assert sentences >= 15


def drawn(log: Log, random: np.random.Generator, moments: int) -> Iterator[tuple[list[Item], float]]:
    """Draw histories of a log, each up to a random event of a random user."""
    for user in random.permutation(len(log.user_ids)):
        rows = np.flatnonzero(log.user == user)
        for row in random.integers(len(rows) // 3, len(rows), moments):
            at = float(log.time[rows[row]])
            known = [number for number in rows if log.time[number] < at]
            yield [log.items[log.item[n]].model_copy(update={"time": float(log.time[n])}) for n in known], at


@pytest.mark.slow
@pytest.mark.parametrize("name", ["ml-100k", "completejourney"])
def test_the_counts_of_stories_of_real_people_hold(name: str, request: pytest.FixtureRequest) -> None:
    """100 stories of each log are recounted."""
    if name == "completejourney":
        log = read_log(read_completejourney(households=household_ids()[::12]))
    else:
        folder: Path = request.getfixturevalue("ml100k")
        log = read_log(open_source(str(folder)))
    told = 0
    for history, at in drawn(log, np.random.default_rng(0), 6):
        sentences, wrong = recounted(history, at)
        assert not wrong
        told += sentences > 0
        if told == 100:
            break
    assert told == 100
