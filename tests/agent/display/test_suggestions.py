"""What completes a line: commands, then what stands on the screen, then the catalogue."""

import time

import pytest

from whimbrel.agent.chat.turn import Turn
from whimbrel.agent.display.suggestions import LEAST_LETTERS, MOST, Suggestions, spoken
from whimbrel.agent.schema.results import Recommendation, Recommendations, RequestUsage, Shift
from whimbrel.prompts.phrases import LANGUAGES, Language, load_phrases
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.field_table import FieldTable

TITLES = {
    "Matrix, The (1999)": ("Science fiction",),
    "Terminator (1984)": ("Science fiction", "Thriller"),
    "Thin Man, The (1934)": ("Crime", "Thriller"),
    "Third Man, The (1949)": ("Thriller",),
    "恐怖之夜 (2001)": ("Horror",),
}


def table(titles: dict[str, tuple[str, ...]]) -> FieldTable:
    items = [Item(item_id=title, title=title, topics=topics) for title, topics in titles.items()]
    return FieldTable(items, [item.item_id for item in items])


def listed(*titles: str) -> Turn:
    entries = tuple(
        Recommendation(rank=rank, item_id=title, title=title, score=0.0, explanation="", signals={})
        for rank, title in enumerate(titles, start=1)
    )
    answer = Recommendations(
        user_id="",
        at=0.0,
        summary="",
        shift=Shift(kind="none", reason=""),
        recommendations=entries,
        usage=RequestUsage(),
    )
    return Turn("want", recommendations=answer)


@pytest.fixture
def suggestions() -> Suggestions:
    return Suggestions(table(TITLES), load_phrases("en").chat)


def texts(suggestions: Suggestions, line: str, *, is_asked: bool = True) -> list[str]:
    return [suggestion.text for suggestion in suggestions.complete(line, is_asked=is_asked)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_command_is_offered_and_says_what_it_does(language: Language) -> None:
    words = load_phrases(language).chat
    made = Suggestions(table(TITLES), words).complete("/", is_asked=False)
    assert {suggestion.text: suggestion.about for suggestion in made} == dict(words.commands)
    assert words.commands.keys() == load_phrases("en").chat.commands.keys()
    for command in words.commands:
        assert command in words.help or command == "/help"


def test_a_command_is_completed_and_less_takes_a_topic(suggestions: Suggestions) -> None:
    assert texts(suggestions, "/re") == ["/reset"]
    assert texts(suggestions, "/reset") == []
    assert texts(suggestions, "/why th") == []
    assert texts(suggestions, "/less ")[0] == "Thriller"  # the most items have it
    (suggestion,) = suggestions.complete("/less sci", is_asked=False)
    assert (suggestion.text, suggestion.replaces) == ("Science fiction", 3)


def test_what_stands_on_the_screen_comes_first(suggestions: Suggestions) -> None:
    assert texts(suggestions, "no thr", is_asked=False) == ["Thriller"]
    suggestions.show(listed("Third Man, The (1949)", "Thin Man, The (1934)"))
    assert texts(suggestions, "not the thi") == ["The Third Man", "The Thin Man"]
    suggestions.show(listed("Thin Man, The (1934)"))
    assert texts(suggestions, "not the thi") == ["The Thin Man", "The Third Man"]
    assert texts(suggestions, "is it thr")[0] == "Thriller"
    suggestions.show(Turn("why"))  # an answer without a list leaves the list on the screen
    assert texts(suggestions, "not the thi")[0] == "The Thin Man"


def test_a_word_needs_some_letters_and_one_word_alone_names_a_title_only_if_asked(suggestions: Suggestions) -> None:
    assert texts(suggestions, "no " + "the"[: LEAST_LETTERS - 1]) == []
    assert texts(suggestions, "like term", is_asked=False) == []
    assert texts(suggestions, "like term") == ["Terminator"]
    assert texts(suggestions, "like the ma", is_asked=False) == ["The Matrix"]
    assert texts(suggestions, "like matrix, t") == ["The Matrix"]


def test_chinese_needs_no_spaces(suggestions: Suggestions) -> None:
    (suggestion,) = suggestions.complete("我想看恐怖", is_asked=False)
    assert (suggestion.text, suggestion.replaces) == ("恐怖之夜", 2)


def test_a_large_catalogue_answers_each_key_at_once() -> None:
    many = Suggestions(
        table({f"The long title {number}": (f"Topic {number}",) for number in range(20_000)}),
        load_phrases("en").chat,
    )
    assert len(texts(many, "something like the long")) == MOST
    begin = time.perf_counter()
    for _ in range(20):
        texts(many, "something like the long title 1999")
    assert time.perf_counter() - begin < 20 * 0.05


@pytest.mark.parametrize(
    ("title", "said"),
    [("Matrix, The (1999)", "The Matrix"), ("Up (2009)", "Up"), ("Alien", "Alien"), ("Haine, La (1995)", "La Haine")],
)
def test_a_title_is_inserted_as_people_say_it(title: str, said: str) -> None:
    assert spoken(title) == said
