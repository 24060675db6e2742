"""What the rules read in a line: the act, and what it says of the items that are wanted."""

from typing import Any

import pytest

from whimbrel.agent.chat.reading import Act, Question, Scene
from whimbrel.agent.chat.rules import read_line
from whimbrel.agent.chat.vocabulary import Vocabulary
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.field_table import FieldTable

RATINGS = ("PG", "PG-13", "R", "NR")
KINDS = ("Comedy", "Horror", "Drama", "Action", "Science Fiction", "Thriller", "War", "Adventure", "Romance", "Family")
SERVICES = ("Netflix", "Hulu", "Disney+")
FILMS = [
    Item(
        item_id=f"f{number}",
        title=title,
        topics=(KINDS[number % 10], KINDS[(number * 3 + 1) % 10]),
        fields={
            "runtime": 80 + 5 * number,
            "rating": 5.0 + number / 5,
            "content_rating": RATINGS[number % 4],
            "services": (SERVICES[number % 3],),
            "director": f"Director {'ABCDEFGHIJKLMNOP'[number]}-son",
            "released": f"{2000 + number}-05-01",
        },
    )
    for number, title in enumerate(
        [
            "Scream (1996)",
            "Matrix, The (1999)",
            "Toy Story",
            "Heat",
            "Up",
            "Alien Nation",
            "Red Dust",
            "Blue Hour",
            "Lost Song",
            "Old Bridge",
            "Cold River",
            "Deep Well",
            "Far Shore",
            "Grey Wall",
            "High Tide",
            "Inner Sea",
        ]
    )
]
GOODS = [
    Item(title=title, topics=topics, price=price, fields={"colour": colour, "weight": weight})
    for title, topics, price, colour, weight in [
        ("Coffee grinder", ("Coffee",), 114.0, "black", 900),
        ("Coffee beans", ("Coffee",), 9.5, "brown", 500),
        ("Leather gloves", ("Gloves",), 25.0, "black", 90),
        ("Green tea", ("Tea",), 4.0, "green", 100),
        ("Peanut bar", ("Snacks",), 1.5, "brown", 40),
        ("Rake", ("Garden",), 19.0, "red", 1500),
    ]
]


def scene(items: list[Item], **given: Any) -> Scene:
    table = FieldTable(items, [item.item_id for item in items])
    return Scene(Vocabulary(table), **{"listed": items[:5], "focus": (0,), **given})


FILM_SCENE, SHOP_SCENE = scene(FILMS), scene(GOODS)


def said(line: str, of: Scene = FILM_SCENE) -> tuple[Act, dict[str, Any]]:
    reading = read_line(line, of)
    parts = {name: value for name, value in vars(reading).items() if value and name not in {"act", "acts"}}
    if "conditions" in parts:
        parts["conditions"] = {f"{c.field} {c.op} {c.value}" for c in parts["conditions"]}
    return reading.act, parts


CONDITIONS = {
    "a comedy under 100 minutes": {"runtime <= 100.0", "topics contains Comedy"},
    "I want a sci-fi movie rated at least 7": {"rating >= 7.0", "topics contains Science Fiction"},
    "between 90 and 120 minutes": {"runtime >= 90.0", "runtime <= 120.0"},
    "an hour and a half at most": {"runtime <= 90.0"},
    "no longer than 2 hours": {"runtime <= 120.0"},
    "at most 1 h 45 min": {"runtime <= 105.0"},
    "I only have 90 minutes": {"runtime <= 90.0"},
    "films from the 90s": {"released >= 1990.0", "released <= 1999.0"},
    "newer than 2010": {"released > 2010.0"},
    "PG-13 or R": {"content_rating in ('PG-13', 'R')"},
    "rated R": {"content_rating == R"},
    "on Netflix or Hulu": {"services contains_any ('Netflix', 'Hulu')"},
    "action or comedy": {"topics contains_any ('Action', 'Comedy')"},
    "an action adventure": {"topics contains Action", "topics contains Adventure"},
    "directed by Director C-son": {"director == Director C-son"},
    "drama with a rating of 6.5 or higher": {"rating >= 6.5", "topics contains Drama"},
    "7+ rating": {"rating >= 7.0"},
    "110 max": {"runtime <= 110.0"},
    "critics should give it a 6 or more": {"rating >= 6.0"},
    "in the mood for a good scare": {"topics contains Horror"},
    "pg or unrated": {"content_rating in ('PG', 'NR')"},
    "mindestens 7 Sterne": {"rating >= 7.0"},
    "eine Komödie unter zwei Stunden": {"runtime <= 120.0", "topics contains Comedy"},
    "ich will einen Thriller mit mindestens 6 Punkten": {"rating >= 6.0", "topics contains Thriller"},
    "höchstens anderthalb Stunden": {"runtime <= 90.0"},
    "etwas von Netflix oder Hulu": {"services contains_any ('Netflix', 'Hulu')"},
    "想看喜剧片": {"topics contains Comedy"},
    "两个小时以内的科幻片": {"runtime <= 120.0", "topics contains Science Fiction"},
    "评分7分以上": {"rating >= 7.0"},
    "90分钟以内": {"runtime <= 90.0"},
    "Netflix上的喜剧": {"services contains Netflix", "topics contains Comedy"},
}


@pytest.mark.parametrize("line", CONDITIONS)
def test_limits_of_a_line_become_conditions(line: str) -> None:
    act, parts = said(line)
    assert (act, parts) == ("want", {"conditions": CONDITIONS[line]})


REFUSALS = {
    "nothing scary": {"Horror"},
    "I'd rather not watch drama": {"Drama"},
    "no horror, war or romance": {"Horror", "War", "Romance"},
    "I don't want anything with war in it": {"War"},
    "please no sci-fi": {"Science Fiction"},
    "I hate thrillers": {"Thriller"},
    "nothing violent": {"Action", "War", "Horror"},
    "not too scary": {"Horror"},
    "nichts Gruseliges": {"Horror"},
    "lieber kein Drama": {"Drama"},
    "ohne Krieg bitte": {"War"},
    "不要恐怖片": {"Horror"},
    "不想看战争片": {"War"},
}


@pytest.mark.parametrize("line", REFUSALS)
def test_what_is_refused_is_a_value_of_the_catalogue(line: str) -> None:
    act, parts = said(line)
    assert (act, set(parts.pop("refused"))) == ("exclude", REFUSALS[line])
    assert not parts


@pytest.mark.parametrize(
    ("line", "word"),
    [
        ("I am allergic to leather", "leather"),
        ("allergic to peanuts", "peanuts"),
        ("no polyester please", "polyester"),
        ("without gluten", "gluten"),
        ("ich bin allergisch gegen Nüsse", "Nüsse"),
        ("我对坚果过敏", "坚果"),
    ],
)
def test_a_refused_word_that_is_no_value_stays_as_it_was_said(line: str, word: str) -> None:
    assert said(line, SHOP_SCENE) == ("exclude", {"refused": (word,)})


ACTS: dict[str, tuple[Act, dict[str, Any]]] = {
    "why the first one?": ("why", {"items": (0,)}),
    "warum der zweite?": ("why", {"items": (1,)}),
    "为什么推荐第一个?": ("why", {"items": (0,)}),
    "thanks!": ("small_talk", {}),
    "danke!": ("small_talk", {}),
    "谢谢": ("small_talk", {}),
    "hi": ("small_talk", {}),
    "I'll take it": ("accept", {"items": (0,)}),
    "I'll watch Heat": ("accept", {"items": (3,)}),
    "ok let's go with that one": ("accept", {"items": (0,)}),
    "yeah that works, thanks": ("accept", {"items": (0,)}),
    "too long, keep it below 70 min": ("criticise", {"conditions": {"runtime <= 70.0"}, "items": (0,)}),
    "den nehme ich": ("accept", {"items": (0,)}),
    "就看第一部": ("accept", {"items": (0,)}),
    "I've seen it": ("known", {"items": (0,)}),
    "I already saw the second one": ("known", {"items": (1,)}),
    "I have already seen the Matrix": ("known", {"items": (1,)}),
    "den kenne ich schon": ("known", {"items": (0,)}),
    "看过了": ("known", {"items": (0,)}),
    "看过了第一个": ("known", {"items": (0,)}),
    "no": ("reject", {"items": (0,)}),
    "not the third": ("reject", {"items": (2,)}),
    "nicht der dritte": ("reject", {"items": (2,)}),
    "none of them": ("reject", {"items": (0, 1, 2, 3, 4)}),
    "another one": ("want", {"is_more": True}),
    "换一个": ("want", {"is_more": True}),
    "what is the second one about?": ("about_item", {"items": (1,)}),
    "how long is the first one?": ("about_item", {"items": (0,)}),
    "is it good?": ("about_item", {"items": (0,)}),
    "worum geht es bei dem zweiten?": ("about_item", {"items": (1,)}),
    "第二个讲什么?": ("about_item", {"items": (1,)}),
    "compare 1 and 3": ("compare", {"items": (0, 2)}),
    "vergleiche 1 und 3": ("compare", {"items": (0, 2)}),
    "比较第一个和第三个": ("compare", {"items": (0, 2)}),
    "what changed in my interests?": ("about_me", {"is_about_change": True}),
    "what do you know about me?": ("about_me", {}),
    "was weißt du über mich?": ("about_me", {}),
    "undo": ("undo", {}),
    "zurück": ("undo", {}),
    "撤销": ("undo", {}),
    "let's start over": ("subject", {"is_new_subject": True}),
    "can you recommend something?": ("want", {"is_more": True}),
    "Hi, I need something for tonight.": ("want", {}),
    "was soll ich heute schauen?": ("want", {}),
    "有什么好看的？": ("want", {}),
    "bye": ("leave", {}),
    "tschüss": ("leave", {}),
    "再见": ("leave", {}),
    "asdfgh qwerty": ("unclear", {}),
    "?!": ("unclear", {}),
    "show me 3": ("narrow", {"k": 3}),
    "any length is fine": ("narrow", {"dropped": ("runtime",)}),
    "die Länge ist egal": ("narrow", {"dropped": ("runtime",)}),
    "时长无所谓": ("narrow", {"dropped": ("runtime",)}),
    "something shorter": ("criticise", {"conditions": {"runtime < 80.0"}}),
    "too long": ("criticise", {"conditions": {"runtime < 80.0"}, "items": (0,)}),
    "zu lang": ("criticise", {"conditions": {"runtime < 80.0"}, "items": (0,)}),
    "太长了": ("criticise", {"conditions": {"runtime < 80.0"}, "items": (0,)}),
    "etwas Kürzeres bitte": ("criticise", {"conditions": {"runtime < 80.0"}}),
    "更短一点": ("criticise", {"conditions": {"runtime < 80.0"}}),
    "not too long": ("want", {"conditions": {"runtime <= 120.0"}}),
    "cheaper": ("narrow", {"missing": ("price",)}),
}


@pytest.mark.parametrize("line", ACTS)
def test_what_a_line_does(line: str) -> None:
    assert said(line) == ACTS[line]


def test_prices_are_limited_in_a_shop() -> None:
    assert said("coffee things under 20 euros", SHOP_SCENE) == (
        "want",
        {"conditions": {"price <= 20.0", "topics contains Coffee"}},
    )
    assert said("cheaper than 10 €", SHOP_SCENE)[1] == {"conditions": {"price <= 10.0"}}
    assert said("cheaper", SHOP_SCENE) == ("criticise", {"conditions": {"price < 114.0"}})
    assert said("something red", SHOP_SCENE)[1] == {"conditions": {"colour == red"}}


@pytest.mark.parametrize(
    "line", ["horror is fine after all", "Horror ist doch ok", "恐怖片也可以", "allow horror again"]
)
def test_what_was_refused_is_allowed_again(line: str) -> None:
    act, parts = said(line, scene(FILMS, refused=("Horror",)))
    assert act == "allow"
    assert "Horror" in parts["allowed"]
    assert set(parts) == {"allowed"}


RUNTIME, RATED = (
    Question(kind="narrow", field="runtime", text=""),
    Question(kind="narrow", field="content_rating", text=""),
)
GATE = Question(kind="gate", field="content_rating", text="")


@pytest.mark.parametrize(
    ("line", "question", "parts"),
    [
        ("100", RUNTIME, {"conditions": {"runtime <= 100.0"}}),
        ("two hours", RUNTIME, {"conditions": {"runtime <= 120.0"}}),
        ("I don't mind", RUNTIME, {"answer": "any", "dropped": ("runtime",)}),
        ("egal", RUNTIME, {"answer": "any", "dropped": ("runtime",)}),
        ("随便", RUNTIME, {"answer": "any", "dropped": ("runtime",)}),
        ("PG-13 or R", RATED, {"conditions": {"content_rating in ('PG-13', 'R')"}}),
        ("yes", GATE, {"answer": "yes"}),
        ("no thanks", GATE, {"answer": "no"}),
        ("ja bitte", GATE, {"answer": "yes"}),
    ],
)
def test_an_answer_is_about_the_question(line: str, question: Question, parts: dict[str, Any]) -> None:
    assert said(line, scene(FILMS, question=question))[1] == parts


def test_a_line_may_reject_and_refine() -> None:
    act, parts = said("I've seen it, something newer please")
    assert (act, parts["items"], parts["conditions"]) == ("known", (0,), {"released > 2000.0"})
    act, parts = said("I don't like war films, what about thrillers")
    assert (act, parts["refused"], parts["conditions"]) == ("exclude", ("War",), {"topics contains Thriller"})


@pytest.mark.parametrize(
    "line", ["x" * 10_000, "no " * 4000, "((((", "\x00\x1b[31m", "{item} {x} {n}", "[" * 300, "9" * 400]
)
def test_no_line_breaks_the_rules(line: str) -> None:
    for of in (FILM_SCENE, SHOP_SCENE):
        assert read_line(line, of).act
