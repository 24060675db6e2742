"""Days and times are those of the zone in which the people live."""

from datetime import UTC, datetime

import pytest

from whimbrel.agent.explanation.days import day_of
from whimbrel.agent.explanation.events import event_line
from whimbrel.agent.schema.results import CitedEvent
from whimbrel.prompts.phrases import Language, load_phrases
from whimbrel.tools.timestamps import zone_of

SHANGHAI = zone_of("Asia/Shanghai")
FRIDAY_EVENING = datetime(2024, 4, 19, 22, 0, tzinfo=UTC).timestamp()
"""In Shanghai it is Saturday, 6:00."""


def test_an_event_late_in_the_evening_is_of_the_next_day_further_east() -> None:
    noon = datetime(2024, 4, 23, 12, 0, tzinfo=UTC).timestamp()  # a Tuesday in both zones
    assert day_of(FRIDAY_EVENING, noon, load_phrases("en")) == "last Friday"
    assert day_of(FRIDAY_EVENING, noon, load_phrases("en", SHANGHAI)) == "last Saturday"


@pytest.mark.parametrize(
    ("language", "words"), [("en", "Sat 20 April 2024, 06:00: bought 'Tea'"), ("zh", "2024年4月20日 06:00：买了“Tea”")]
)
def test_evidence_has_the_hour_of_the_zone(language: Language, words: str) -> None:
    event = CitedEvent(event_id="e", item_id="i", title="Tea", time=FRIDAY_EVENING, event="purchase")
    assert event_line(event, load_phrases(language, SHANGHAI)) == words


@pytest.mark.parametrize(
    ("moment", "day"),
    [
        (datetime(2024, 4, 28, 12, tzinfo=UTC), "本周五"),  # a Sunday of the same week, two days later
        (datetime(2024, 4, 29, 12, tzinfo=UTC), "上周五"),  # the Monday after it
    ],
)
def test_chinese_tells_this_week_from_the_last(moment: datetime, day: str) -> None:
    friday = datetime(2024, 4, 26, 9, tzinfo=UTC).timestamp()
    assert day_of(friday, moment.timestamp(), load_phrases("zh")) == day


@pytest.mark.parametrize(
    ("event", "english", "chinese"),
    [
        ("购买", "bought", "买了"),
        ("下单", "bought", "买了"),
        ("Order", "bought", "买了"),
        ("加入购物车", "put into the cart", "加购了"),
        ("add to cart", "put into the cart", "加购了"),
        ("收藏", "kept for later", "收藏了"),
        ("浏览", "looked at", "浏览了"),
    ],
)
def test_a_word_of_a_log_has_the_verb_of_what_was_done(event: str, english: str, chinese: str) -> None:
    assert load_phrases("en").events.verb(event, "wanted") == english
    assert load_phrases("zh").events.verb(event, "wanted") == chinese


def test_a_chinese_verb_before_its_noun_has_no_mark_of_the_past() -> None:
    events = load_phrases("zh").events
    assert events.modifying(events.verb("购买")) == "买"
    assert events.modifying(events.verb("?")) == "选择"
    assert load_phrases("en").events.modifying("bought") == "bought"
