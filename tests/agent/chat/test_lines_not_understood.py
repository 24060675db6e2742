"""A line that means nothing here is asked again, an open choice is no wish, and a question about an item is answered."""

import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from whimbrel.agent import Agent
from whimbrel.agent.chat.session import Session
from whimbrel.agent.chat.turn import Turn
from whimbrel.agent.state import PipelineConfig
from whimbrel.prompts.phrases import Language, load_phrases
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest

ENGLISH = [
    ("Green tea", "Tea"), ("Black tea", "Tea"), ("Mint tea", "Tea"), ("Tent for two", "Camping"), ("Camping lamp", "Camping"),
    ("Sleeping bag", "Camping"), ("Wool socks", "Clothes"), ("Rain jacket", "Clothes"), ("Rake", "Garden"), ("Rose seeds", "Garden"),
]  # fmt: skip
CHINESE = [
    ("龙井绿茶", "茶叶"), ("铁观音", "茶叶"), ("茉莉花茶", "茶叶"), ("双人帐篷", "户外"), ("露营灯", "户外"),
    ("睡袋", "户外"), ("羊毛袜", "服饰"), ("雨衣", "服饰"), ("竹耙子", "园艺"), ("玫瑰种子", "园艺"),
]  # fmt: skip


def opened(folder: Path, language: Language) -> Agent:
    """An agent of a shop in which each item was bought four times."""
    rows = ENGLISH if language == "en" else CHINESE
    lines = ["user_id,title,topics,price,time,event"]
    lines += [
        f"u{n % 4},{rows[n % 10][0]},{rows[n % 10][1]},{5 + n % 10},{1_600_000_000 + n * 1000},purchase"
        for n in range(40)
    ]
    source = folder / f"{language}.csv"
    source.write_text("\n".join(lines) + "\n", encoding="utf-8")
    ingest(open_source(str(source)), folder / language)
    return Agent.open(folder / language, llm="none", config=PipelineConfig(language=language))


@pytest.fixture(scope="module")
def session_of(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[Language], Session]]:
    """Returns a new conversation of somebody new, in a language."""
    folder = tmp_path_factory.mktemp("shops")
    with opened(folder, "en") as english, opened(folder, "zh") as chinese:
        agents = {"en": english, "zh": chinese}
        yield lambda language: agents[language].chat("", 1_600_100_000.0)


SessionOf = Callable[[Language], Session]


def titles(turn: Turn) -> list[str]:
    assert turn.recommendations is not None
    return [entry.title for entry in turn.recommendations.recommendations]


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("zh", "阿巴阿巴"), ("zh", "哈啦哈啦"), ("zh", "噜噜噜"), ("zh", "二加二等于几"), ("zh", "我头疼"),
        ("en", "asdf qwer"), ("en", "blorp zzyzx"), ("en", "sdfsdf"), ("en", "lorem ipsum"),
    ],
)  # fmt: skip
def test_a_line_that_is_near_nothing_is_asked_again_with_an_example(
    session_of: SessionOf, language: Language, line: str
) -> None:
    session = session_of(language)
    session.open()
    turn = session.say(line)
    assert (turn.act, turn.recommendations) == ("unclear", None)
    assert turn.state.is_empty
    assert line in turn.words or "/help" in turn.words
    assert re.search("Tea|Camping" if language == "en" else "茶叶|户外", turn.words)


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("zh", "随便"), ("zh", "随便看看吧"), ("zh", "你定吧"), ("zh", "听你的"), ("zh", "都行"), ("zh", "什么都可以"), ("zh", "没想法"),
        ("en", "whatever"), ("en", "surprise me"), ("en", "I don't mind"), ("en", "up to you"), ("en", "dunno"), ("en", "no preference"),
    ],
)  # fmt: skip
def test_an_open_choice_is_no_wish(session_of: SessionOf, language: Language, line: str) -> None:
    session = session_of(language)
    opening = titles(session.open())
    turn = session.say(line)
    assert turn.act == "want"
    assert turn.state.is_empty
    assert titles(turn) == opening
    assert load_phrases(language).chat.no_preference in turn.words


@pytest.mark.parametrize(
    ("language", "line"),
    [
        ("zh", "第二个有什么特点"), ("zh", "第二个值得买吗"), ("zh", "2号有哪些优点？"), ("zh", "第二个适合老人用吗"), ("zh", "第二款是什么材质的"),
        ("en", "what is special about the second"), ("en", "is the second one any use in winter?"),
        ("en", "does number 2 come with a guarantee?"), ("en", "tell me a bit more regarding the second"),
    ],
)  # fmt: skip
def test_a_question_about_an_item_is_answered(session_of: SessionOf, language: Language, line: str) -> None:
    session = session_of(language)
    second = titles(session.open())[1]
    turn = session.say(line)
    assert (turn.act, turn.recommendations) == ("about_item", None)
    assert second in turn.words
    assert turn.state.is_empty


@pytest.mark.parametrize(
    ("language", "line", "act"),
    [
        ("zh", "有没有比第二个便宜的", "criticise"), ("en", "is there anything cheaper than the second?", "criticise"),
        ("zh", "第二个不要", "reject"), ("en", "I'll take the second", "accept"),
    ],
)  # fmt: skip
def test_what_only_names_an_item_is_no_question_about_it(
    session_of: SessionOf, language: Language, line: str, act: str
) -> None:
    session = session_of(language)
    session.open()
    assert session.say(line).act == act


@pytest.mark.parametrize(("language", "line"), [("zh", "我想买火箭"), ("en", "I want a rocket")])
def test_a_wish_for_what_is_not_there_is_not_confirmed_as_met(
    session_of: SessionOf, language: Language, line: str
) -> None:
    session = session_of(language)
    session.open()
    turn = session.say(line)
    say = load_phrases(language)
    assert turn.recommendations is not None
    fits = say.reasons.forms.wish_new.rstrip(".。")
    assert not any(fits in entry.explanation for entry in turn.recommendations.recommendations)
    assert ("mentions" if language == "en" else "没有条目提到") in turn.words


@pytest.mark.parametrize(
    ("language", "line", "named"),
    [
        ("zh", "比较1和2", (0, 1)), ("zh", "比较一下第一个和第三个", (0, 2)), ("zh", "对比2、4", (1, 3)), ("zh", "比较前两个", (0, 1)),
        ("zh", "比较最后两个", (3, 4)), ("zh", "比较1和2和3和4", (0, 1, 2, 3)),
        ("en", "compare 1 and 2", (0, 1)), ("en", "compare 1 and 2.", (0, 1)), ("en", "compare the first with the third", (0, 2)),
        ("en", "compare the first two", (0, 1)), ("en", "compare 1, 2, 3 and 4", (0, 1, 2, 3)),
    ],
)  # fmt: skip
def test_exactly_those_are_compared_that_are_named(
    session_of: SessionOf, language: Language, line: str, named: tuple[int, ...]
) -> None:
    session = session_of(language)
    listed = titles(session.open())
    turn = session.say(line)
    assert turn.act == "compare"
    say = load_phrases(language)
    expected = say.chat.versus.join(say.writing.title.format(title=listed[position]) for position in named)
    assert turn.words.splitlines()[0] == expected


def test_a_number_that_the_list_does_not_have_is_named(session_of: SessionOf) -> None:
    for session, line in ((session_of("zh"), "比较1和9"), (session_of("en"), "compare 1 and 9")):
        session.open()
        assert "9" in session.say(line).words


@pytest.mark.parametrize(("language", "more"), [("zh", "还有吗"), ("en", "more")])
def test_what_was_shown_for_an_earlier_wish_comes_again_for_a_new_one(
    session_of: SessionOf, language: Language, more: str
) -> None:
    session = session_of(language)
    shown = set(titles(session.open()))
    shown |= set(titles(session.say(more)))
    assert len(shown) == 10
    none = session.say(more)
    assert load_phrases(language).chat.all_met.format(count=10) in none.words
    assert none.recommendations is not None
    refused = session.say("no tea" if language == "en" else "不要茶叶")
    assert len(titles(refused)) == 5
    rest = titles(session.say(more))  # seven fit, and five of them were just shown
    assert len(rest) == 2
    assert load_phrases(language).chat.all_met.format(count=7) in session.say(more).words
