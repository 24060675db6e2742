"""The story of a shift: planted histories, of which the right story is known, are told as they were planted."""

from collections.abc import Sequence

import pytest

from whimbrel.agent import Context, Interaction, Item
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.schema.results import Shift
from whimbrel.agent.shift.predict import ShiftQuery, predict_shift
from whimbrel.prompts.phrases import Language

DAY, HOUR = 86_400.0, 3600.0
MONDAY = 1_598_832_000.0  # 31 August 2020, midnight UTC


def event(time: float, *topics: str, place: str = "home") -> Interaction:
    return Interaction(
        user_id="u", item_id=f"{topics} {time}", title=topics[0], topics=topics, time=time, context={"place": place}
    )


def shift_of(
    history: Sequence[Item], at: float | None, situation: dict[str, str] | None = None, language: Language = "en"
) -> Shift:
    query = ShiftQuery(at=at, context=Context.model_validate(situation or {}))
    return predict_shift(history, query, model=ModelAccess(language=language)).shift


def evening_crime_then_baby_things() -> list[Interaction]:
    """Crime novels in the evening until 30 September, baby things in the morning since, and tea with both."""
    history = []
    for day in range(38):
        name, hour = ("Crime novels", 20) if day <= 30 else ("Baby things", 10)
        time = MONDAY + day * DAY + hour * HOUR
        history += [event(time, name), event(time + 600, "Tea")]
    return history


def test_evening_crime_novels_until_october_and_baby_things_in_all_sessions_since() -> None:
    shift = shift_of(evening_crime_then_baby_things(), MONDAY + 38 * DAY)
    assert (shift.kind, shift.to_topics, shift.from_topics) == ("temporal", ("Baby things",), ("Crime novels",))
    assert shift.reason.startswith(
        "Since 1 October 2020: Baby things (mostly in the morning, 6:00 to 12:00 UTC) in all 7 sessions; "
        "before that, in none of the 31 sessions. "
        "Until then: Crime novels (mostly in the evening, 18:00 to 24:00 UTC) in all 31 sessions, "
        "last on 30 September 2020; since then, in none of the 7 sessions. "
    )
    assert "Tea" not in shift.reason.split("The single likeliest")[0]  # it is as frequent as before


def test_weekend_climbing_is_told_with_the_part_of_the_week() -> None:
    history = [event(MONDAY + day * DAY + 12 * HOUR, "Climbing" if day % 7 >= 5 else "Tea") for day in range(60)]
    shift = shift_of(history, MONDAY + 61 * DAY + 12 * HOUR)
    assert (shift.kind, shift.to_topics, shift.from_topics) == ("temporal", ("Climbing",), ("Tea",))
    assert shift.reason.startswith(
        "Since 31 August 2020, at weekends: Climbing in all 16 sessions; on working days, in none of the 44 sessions. "
        "Instead, on working days: Tea in all 44 sessions; at weekends, in none of the 16 sessions."
    )


def test_work_and_home_are_told_with_their_names() -> None:
    # One day in four is at work, one week day after the other, so that no time tells the two apart.
    history = [
        event(MONDAY + day * DAY + 12 * HOUR, *(("Maps",) if day % 4 == 0 else ("Tea",)), place=place)
        for day, place in ((day, "work" if day % 4 == 0 else "home") for day in range(1, 60))
    ]
    shift = shift_of(history, MONDAY + 60 * DAY + 12 * HOUR, {"place": "work"})
    assert (shift.kind, shift.to_topics, shift.from_topics) == ("situational", ("Maps",), ("Tea",))
    assert shift.reason.startswith(
        "Since 1 September 2020, when place is work: Maps in all 14 sessions; "
        "when place is home, in none of the 45 sessions. "
        "Instead, when place is home: Tea in all 45 sessions; when place is work, in none of the 14 sessions."
    )


def test_several_other_situations_are_told_as_a_negation() -> None:
    places = ["work", "home", "train", "home"]
    history = [
        event(MONDAY + day * DAY, "Maps" if places[day % 4] == "work" else "Tea", place=places[day % 4])
        for day in range(1, 60)
    ]
    shift = shift_of(history, MONDAY + 60 * DAY, {"place": "work"})
    assert "when place is work: Maps in all 14 sessions; when place is not work, in none of the 45 s" in shift.reason


def test_a_situation_that_began_late_is_told_with_its_first_day() -> None:
    history = [
        event(MONDAY + day * DAY + 12 * HOUR, *(("Maps",) if works else ("Tea",)), place="work" if works else "home")
        for day, works in ((day, day >= 60 and day % 4 == 0) for day in range(1, 100))
    ]
    shift = shift_of(history, MONDAY + 100 * DAY + 12 * HOUR, {"place": "work"})
    assert shift.reason.startswith("Since 1 September 2020, when place is work (first on 30 October 2020): Maps in all")


def test_a_topic_that_is_equally_frequent_on_both_sides_is_never_named() -> None:
    # Bread is in every basket, alone or beside others, so its share of the topics falls at weekends.
    history = [
        event(MONDAY + day * DAY + 12 * HOUR, "Bread", *(("Climbing", "Ropes") if day % 7 >= 5 else ("Tea",)))
        for day in range(60)
    ]
    shift = shift_of(history, MONDAY + 61 * DAY + 12 * HOUR)
    assert shift.kind == "temporal"
    assert set(shift.to_topics) == {"Climbing", "Ropes"}
    assert shift.from_topics == ("Tea",)
    assert "Bread" not in shift.reason.split("The single likeliest")[0]


def test_the_open_session_and_the_latest_events_are_told_in_events() -> None:
    tea = [event(MONDAY + day * DAY + 600 * part, "Tea") for day in range(20) for part in range(3)]
    ropes = [event(MONDAY + 20 * DAY + 600 * part, "Ropes") for part in range(6)]
    shift = shift_of([*tea, *ropes], ropes[-1].time + 60)
    assert shift.reason.startswith(
        "In this session, since 20 September 2020: Ropes in all 6 events; before that, in none of the 60 events. "
        "Before this session: Tea in all 60 events, last on 19 September 2020; in this session, in none of the 6 events."
    )
    timeless = [Item(title=each.title, topics=each.topics) for each in (*tea, *ropes[:5])]
    assert shift_of(timeless, None).reason.startswith(
        "In the last 5 events: Ropes in all of them; before that, in none of the 60 events. "
        "Earlier: Tea in all 60 events; in the last 5 events, in none of them."
    )


def test_a_tiny_difference_in_what_comes_is_left_out_if_what_goes_is_beyond_doubt() -> None:
    history = [
        event(MONDAY + day * DAY + part * 600, f"Topic {day} {part}")
        for day in range(140)
        for part in range(0 if day % 7 >= 5 else 1, 3)
    ]
    history += [event(MONDAY + day * DAY + 2400, "Tea") for day in range(140) if day % 7 < 5]
    history += [event(MONDAY + day * DAY + 3000, "Maps") for day in (5, 6, 12)]
    shift = shift_of(sorted(history, key=lambda each: each.time), MONDAY + 145 * DAY)
    assert shift.kind == "temporal"
    assert "Maps" not in shift.reason
    assert shift.reason.startswith(
        "Since 31 August 2020, on working days: Tea in all 100 sessions; at weekends, in none of the 40 sessions."
    )


def test_a_name_with_a_comma_is_quoted() -> None:
    history = [event(MONDAY + day * DAY, "Candy, packaged" if day % 7 >= 5 else "Tea") for day in range(60)]
    assert "'Candy, packaged' in all 16 sessions" in shift_of(history, MONDAY + 61 * DAY).reason


def test_several_topics_are_joined_only_if_that_makes_the_difference_clearer() -> None:
    names = ["Maps", "Tents", "Ropes"]
    history = [event(MONDAY + day * DAY, names[day % 3] if day % 7 >= 5 else "Tea") for day in range(90)]
    shift = shift_of(history, MONDAY + 96 * DAY)
    assert set(shift.to_topics) == set(names)
    assert "at weekends: Ropes, Maps or Tents in all 25 sessions" in shift.reason
    only_maps = [event(each.time, "Maps", *each.topics) if each.topics[0] in names else each for each in history]
    assert "at weekends: Maps in all 25 sessions" in shift_of(only_maps, MONDAY + 96 * DAY).reason


@pytest.mark.parametrize(
    ("history", "at", "story"),
    [
        (
            evening_crime_then_baby_things(),
            MONDAY + 38 * DAY,
            "自2020年10月1日以来，7次会话全都有Baby things（多在上午，6:00至12:00 UTC）；此前，31次会话都没有。"
            "在那以前，31次会话全都有Crime novels（多在晚上，18:00至24:00 UTC）；"
            "此后，7次会话都没有，最后一次是2020年9月30日。",
        ),
        (
            [event(MONDAY + day * DAY, "Climbing" if day % 7 >= 5 else "Tea") for day in range(60)],
            MONDAY + 61 * DAY,
            "自2020年8月31日以来，周末，16次会话全都有Climbing；工作日，44次会话都没有。"
            "相反，工作日，44次会话全都有Tea；周末，16次会话都没有。",
        ),
    ],
)
def test_the_stories_are_the_same_in_chinese(history: list[Interaction], at: float, story: str) -> None:
    assert shift_of(history, at, language="zh").reason.startswith(story)
