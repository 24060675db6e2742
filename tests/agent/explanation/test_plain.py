"""Plain reasons: each states what is true as of the moment, names things in full, and does not repeat a form."""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest

from whimbrel.agent.explanation.explain import Explained, explain
from whimbrel.agent.explanation.facts import LEAST_PEOPLE, LEAST_TOPIC_PEOPLE, Background, facts_of
from whimbrel.agent.explanation.plain import why
from whimbrel.agent.explanation.sentences import Sentence, Writer, sentences_of
from whimbrel.agent.ranking.modalities import Alike
from whimbrel.agent.ranking.rank import Ranked
from whimbrel.agent.schema.results import Shift
from whimbrel.prompts.phrases import LANGUAGES, Language, load_phrases
from whimbrel.tools.records import Item


def reasons(ranked: Sequence[Ranked], known: Background, language: Language = "en") -> Explained:
    return explain(ranked, known, llm=None, worded=0, language=language)


def all_true(thing: Item, known: Background, scene: Any, language: Language = "en") -> dict[str, Sentence]:
    """Every sentence that is true of an item, by its form."""
    facts = facts_of(scene.ranked(thing, known, "others"), known)
    return {sentence.form: sentence for sentence in sentences_of(facts, Writer(known, load_phrases(language)))}


@pytest.mark.parametrize("language", LANGUAGES)
@pytest.mark.parametrize(
    "cause", ["others", "similarity", "modality", "shift", "recent_popularity", "novelty", "wish", "likelihood"]
)
def test_items_and_events_keep_their_full_titles(cause: str, language: Language, scene: SimpleNamespace) -> None:
    blue, red = scene.event("Tasse (blau)", topics=["Tassen"]), scene.item("Tasse (rot)", topics=["Tassen"])
    known = scene.background([blue], red, together={("Tasse (blau)", "Tasse (rot)"): 5})
    (entry,) = reasons([scene.ranked(red, known, cause)], known, language).recommendations
    assert entry.title == "Tasse (rot)"
    assert load_phrases(language).writing.title.format(title="Tasse (blau)") in entry.explanation
    # The bare word may only stand as what both titles share.
    assert not re.search("(?<!shares )'Tasse'(?! (is|with))", entry.explanation)
    assert [cited.title for cited in entry.evidence] == ["Tasse (blau)"]


def test_nothing_is_called_alike_that_shares_nothing(scene: SimpleNamespace) -> None:
    history = [scene.event("Schal (rot)", topics=["Mode"]), scene.event("Messer 2er-Set", topics=["Küche"])]
    things = [scene.item("Tasse (rot)", topics=["Tassen"]), scene.item("Gabel 2er-Set", topics=["Besteck"])]
    known = scene.background(history, *things, cosines={"Schal (rot)": 0.74, "Messer 2er-Set": 0.74})
    for thing in things:
        assert all_true(thing, known, scene).keys() == {"rare", "near", "likely", "leftover"}
    said = reasons([scene.ranked(thing, known, "similarity") for thing in things], known)
    assert all("left" in entry.explanation for entry in said.recommendations)


def test_texts_are_called_close_from_the_threshold_on_and_never_for_a_shared_colour(scene: SimpleNamespace) -> None:
    tea, cup = scene.event("Chai"), scene.item("Masala brew")
    assert "close" in all_true(cup, scene.background([tea], cup, cosines={"Chai": 0.76}), scene)
    assert "close" not in all_true(cup, scene.background([tea], cup, cosines={"Chai": 0.74}), scene)
    scarf, red = scene.event("Schal (rot)"), scene.item("Tasse (rot)")
    assert "close" not in all_true(red, scene.background([scarf], red, cosines={"Schal (rot)": 0.9}), scene)


def test_what_is_shared_is_named(scene: SimpleNamespace) -> None:
    heat = scene.event("Heat (1995)", topics=["Action", "Crime", "Thriller"], days=10)
    fargo = scene.item("Fargo (1996)", topics=["Crime", "Drama", "Thriller"])
    filler = [scene.item(f"Film {n}", topics=["Drama"]) for n in range(30)]
    said = all_true(fargo, scene.background([heat], fargo, *filler), scene)
    assert said["topic"].words == "You bought 'Heat (1995)' a week ago; both are Crime and Thriller."
    assert said["topic_several"].words.endswith("which you bought a week ago, this combines Crime and Thriller.")
    assert not {"topic_all", "topic_two", "others_count", "close", "words"} & said.keys()
    star = scene.item("Star Trek VI (1991)", topics=["Sci-Fi"])
    said = all_true(star, scene.background([scene.event("Star Trek: Generations (1994)")], star), scene)
    assert "'Star Trek' with 'Star Trek: Generations (1994)'" in said["words_more"].words


def test_other_people_are_counted_truly(scene: SimpleNamespace) -> None:
    chai, rusk, honey = scene.event("Chai"), scene.event("Rusk"), scene.item("Honey")
    together = {("Chai", "Rusk", "Honey"): 3, ("Chai", "Honey"): 4, ("Chai",): 13, ("Oats",): 50}
    said = all_true(honey, scene.background([chai, rusk], honey, scene.item("Oats"), together=together), scene)
    assert said["others_share"].words.endswith("Of the 20 other people who chose it, 7 also chose this.")
    assert said["others_both"].words.endswith("Of the 3 other people who chose both of them, 3 also chose this.")
    assert "others_most" in said  # all three who chose Rusk chose Honey
    assert said["others_most"].words.endswith("also chose this: 3 of 3.")
    assert [event.title for event in said["others_both"].events] == ["Rusk", "Chai"]


def test_a_count_beside_an_unrelated_event_gives_way_to_what_is_shared(scene: SimpleNamespace) -> None:
    chai, rusk = scene.event("Chai", topics=["Tea"]), scene.event("Rusk", days=3)
    mate = scene.item("Mate", topics=["Tea"])
    # Of 40 people with Rusk, four have Mate, and many have chosen Mate lately.
    together = {("Rusk", "Mate"): 4, ("Rusk",): 36, ("Mate",): 30}
    known = scene.background([chai, rusk], mate, together=together, days=2)
    chosen = reasons([scene.ranked(mate, known, "others")], known).recommendations[0]
    assert [cited.title for cited in chosen.evidence] == ["Chai"]
    assert "Tea" in chosen.explanation


def test_what_everybody_chooses_is_not_put_down_to_an_event(scene: SimpleNamespace) -> None:
    chai, milk = scene.event("Chai"), scene.item("Milk")
    together = {("Chai", "Milk"): 10, ("Chai",): 10, ("Milk",): 80}
    said = all_true(milk, scene.background([chai], milk, together=together, days=20), scene)
    assert not [form for form in said if form.startswith("others")]
    assert said["popular"].words.startswith("90 other people chose this in the last 30 days")


def test_fewer_than_three_people_and_people_of_later_are_not_mentioned(scene: SimpleNamespace) -> None:
    chai, honey = scene.event("Chai"), scene.item("Honey")
    for count, days in ((LEAST_PEOPLE - 1, 10), (50, -1)):
        known = scene.background([chai], honey, together={("Chai", "Honey"): count}, days=days)
        assert not [form for form in all_true(honey, known, scene) if form.startswith(("others", "popular"))]
    assert "others_count" in all_true(
        honey, scene.background([chai], honey, together={("Chai", "Honey"): LEAST_PEOPLE}), scene
    )


@pytest.mark.parametrize(
    ("days", "window"),
    [(0.5, "24 hours"), (3, "7 days"), (20, "30 days"), (300, "year"), (400, "so far")],
)
def test_popularity_has_a_count_and_its_window(days: float, window: str, scene: SimpleNamespace) -> None:
    chai, honey = scene.event("Chai"), scene.item("Honey")
    said = all_true(honey, scene.background([chai], honey, together={("Honey",): 12}, days=days), scene)
    assert re.match(
        rf"12 other people chose this in the last {window}|12 other people .* so far", said["popular"].words
    )
    assert window in said["popular"].words


def test_without_a_moment_a_window_has_a_date(scene: SimpleNamespace) -> None:
    chai, honey = scene.event("Chai"), scene.item("Honey")
    known = scene.background([chai], honey, together={("Honey",): 12}, days=0, before=float("inf"))
    words = all_true(honey, known, scene)["popular"].words
    assert words == (
        "12 other people chose this in the 24 hours before 1 May 2020; you last bought 'Chai' on 22 January 2020."
    )


@pytest.mark.parametrize(
    ("days", "day"),
    [
        (0.2, "less than a day ago"),
        (1.2, "yesterday"),
        (3, "last Tuesday"),
        (8, "a week ago"),
        (22, "three weeks ago"),
        (62, "eight weeks ago"),
        (63, "on 28 February 2020"),
        (-1, "on 2 May 2020"),
    ],
)
def test_a_day_is_seen_from_the_moment(days: float, day: str, scene: SimpleNamespace) -> None:
    from whimbrel.agent.explanation.days import day_of

    assert day_of(scene.now - days * scene.day, scene.now, load_phrases("en")) == day


def test_a_rating_is_told_and_the_highest_one_as_such(scene: SimpleNamespace) -> None:
    ratings = [("Heat", 5.0), ("Casino", 4.0)]
    history = [
        scene.event(title, topics=["Crime"], kind="rating", rating=rating, days=30 + n)
        for n, (title, rating) in enumerate(ratings)
    ]
    fargo = scene.item("Fargo", topics=["Crime"])
    said = all_true(fargo, scene.background(history, fargo), scene)
    assert said["topic_top"].words == ("You gave 'Heat' your highest rating, 5, four weeks ago; this is Crime too.")
    # The rating of 4 is below the person's mean, so its event is never cited.
    assert not [sentence for sentence in said.values() if "Casino" in sentence.words]


def test_what_was_rated_below_the_usual_is_not_cited(scene: SimpleNamespace) -> None:
    ratings = [("Heat", 5.0), ("Casino", None), ("Ronin", 2.0), ("Fargo", 1.0), ("Alien", 5.0)]
    history = [scene.event(title, kind="rating", rating=rating) for title, rating in ratings]
    assert [met.title for met in scene.background(history).liked] == ["Heat", "Casino", "Alien"]


def test_an_interest_is_counted_and_expected(scene: SimpleNamespace) -> None:
    history = [scene.event(f"Tea {n}", topics=["Tea" if n % 2 else "Bread"], days=20 - n) for n in range(10)]
    thing = scene.item("Chai", topics=["Tea"])
    stays = Shift(kind="none", to_topics=("Tea",), reason="")
    said = all_true(thing, scene.background(history, thing, shift=stays), scene)
    assert said["habit"].words.startswith("5 of your last 10 choices were Tea, most recently 'Tea 9' a week ago")
    assert said["expected"].words.startswith("Likely to come next for you: Tea, as when you bought 'Tea 9'")
    moves = Shift(kind="temporal", from_topics=("Bread",), to_topics=("Tea",), confidence=0.7, reason="")
    said = all_true(thing, scene.background(history, thing, shift=moves), scene)
    assert said["moves"].words == "Your interest is moving towards Tea: you bought 'Tea 9' a week ago."
    other = scene.item("Rake", topics=["Garden"])
    assert not {"habit", "expected", "moves"} & all_true(other, scene.background(history, other), scene).keys()


def test_a_usual_price_and_an_earlier_purchase_are_reasons(scene: SimpleNamespace) -> None:
    history = [scene.event(f"Pot {n}", price=10.0, days=30 - n) for n in range(3)]
    near, far = scene.item("Vase", price=12.0), scene.item("Table", price=120.0)
    said = all_true(near, scene.background(history, near), scene)
    assert said["price"].words.startswith("It costs 12.00, close to the 10.00 that you usually pay")
    assert "price" not in all_true(far, scene.background(history, far), scene)
    again = scene.item("Pot 1")
    assert all_true(again, scene.background(history, again), scene)["repeat_once"].words == (
        "You bought this before, four weeks ago."
    )


def test_a_list_never_repeats_a_form_in_a_row_and_spreads_its_forms(scene: SimpleNamespace) -> None:
    history = [scene.event(f"Film {n}", topics=["Crime", "Drama"], days=5 + n) for n in range(12)]
    things = [scene.item(f"Movie {n}", topics=["Crime", "Drama"]) for n in range(10)]
    together = {(f"Film {n}", f"Movie {m}"): 4 for n in range(12) for m in range(10)}
    known = scene.background(history, *things, together=together, days=400)
    causes = ("others", "similarity", "recent_popularity")
    words = [
        entry.explanation
        for entry in reasons([scene.ranked(thing, known, *causes) for thing in things], known).recommendations
    ]
    patterns = [re.sub(r"'[^']*'|\d+", "_", re.sub(r"last \w+day|\w+ weeks? ago", "_", text)) for text in words]
    assert all(one != other for one, other in pairwise(patterns))
    assert Counter(patterns).most_common(1)[0][1] <= 2
    # The events that are cited vary as well.
    assert len({title for text in words for title in re.findall("'(Film [^']*)'", text)}) >= 5


def test_only_what_ranked_the_item_is_said_of_wishes_and_of_the_model(scene: SimpleNamespace) -> None:
    chai, honey = scene.event("Chai"), scene.item("Honey")
    known = scene.background([chai], honey)
    for cause, words in (("wish", "what you asked for"), ("likelihood", "language model"), ("novelty", "Few people")):
        (entry,) = reasons([scene.ranked(honey, known, cause)], known).recommendations
        assert words in entry.explanation
        (entry,) = reasons([scene.ranked(honey, known, "similarity")], known).recommendations
        assert words not in entry.explanation


@pytest.mark.parametrize(
    ("modality", "language", "words"),
    [
        ("image", "en", "It looks much like 'Chai'"),
        ("sound_of_it", "en", "Its sound of it is much like that of 'Chai'"),
        ("image", "zh", "它看起来与"),
    ],
)
def test_a_reason_names_the_look_only_where_it_carried_the_item(
    modality: str, language: Language, words: str, scene: SimpleNamespace
) -> None:
    chai, honey = scene.event("Chai", topics=["Hot"]), scene.item("Honey", topics=["Hot"])
    known = replace(scene.background([chai], honey), alike={honey.item_id: Alike(modality, chai.item_id)})

    def said(*causes: str, **more: float) -> str:
        entry = scene.ranked(honey, known, *causes)
        entry = replace(entry, signals=entry.signals | more)
        return reasons([entry], known, language).recommendations[0].explanation

    assert words in said("modality", "similarity")
    assert words not in said("similarity", "modality")
    assert words not in said("similarity", modality=-0.5)
    # Nothing stands out among the person's items.
    known = replace(known, alike={})
    assert words not in said("modality", "similarity")


@pytest.mark.parametrize("language", LANGUAGES)
def test_somebody_new_learns_how_many_chose_the_item(language: Language, scene: SimpleNamespace) -> None:
    honey, rake = scene.item("Honey"), scene.item("Rake")
    known = scene.background([], honey, rake, together={("Honey",): 9}, days=3)
    said = reasons([scene.ranked(thing, known, "recent_popularity") for thing in (honey, rake)], known, language)
    first, second = said.recommendations
    assert "9" in first.explanation
    assert "7" in first.explanation
    assert not re.search(r"\d", second.explanation)
    assert first.evidence == second.evidence == ()


@pytest.mark.parametrize("title", ["{title} {0}", "[1] and [item]", "'; 99 other people", 'a "b" c', "x" * 400])
@pytest.mark.parametrize("language", LANGUAGES)
def test_hostile_titles_only_stand_for_themselves(title: str, language: Language, scene: SimpleNamespace) -> None:
    odd, honey = scene.event(title, topics=[title]), scene.item("Honey", topics=[title])
    known = scene.background([odd], honey, together={(title, "Honey"): 5})
    said = all_true(honey, known, scene, language)
    assert len(said) > 6
    assert all(sentence.words for sentence in said.values())


def test_why_still_names_the_causes() -> None:
    say = load_phrases("en")
    assert why({"itemknn": 1.0, "topics": 0.5, "age": -0.4}, say) == (
        "Mostly because people with a history like yours chose it; also because its topics are likely to come next. "
        "Against it: other items are more popular."
    )


def test_last_is_said_of_the_last_event_alone(scene: SimpleNamespace) -> None:
    rated = [("Heat", 5.0), ("Casino", 1.0)]
    history = [scene.event(title, kind="rating", rating=rating, days=9 - n) for n, (title, rating) in enumerate(rated)]
    honey = scene.item("Honey")
    said = all_true(honey, scene.background(history, honey), scene)
    assert said["leftover"].words == "Nothing ranks higher among what is left; you rated 'Heat' 5 a week ago."
    said = all_true(honey, scene.background(history[:1], honey), scene)
    assert said["leftover"].words == "Nothing ranks higher among what is left; you last rated 'Heat' 5 a week ago."


def test_of_two_events_that_people_share_the_one_with_a_topic_is_told(scene: SimpleNamespace) -> None:
    tea, hose, chai = scene.event("Tea", topics=["Tea"]), scene.event("Hose"), scene.item("Chai", topics=["Tea"])
    together = {("Tea", "Chai"): 4, ("Hose", "Chai"): 4}
    for history in ([tea, hose], [hose, tea]):
        said = all_true(chai, scene.background(history, chai, together=together), scene)
        assert "others_topic" in said
        assert [event.title for event in said["others_topic"].events] == ["Tea"]


def test_a_topic_is_named_if_it_reads_as_a_name_and_several_people_chose_it(scene: SimpleNamespace) -> None:
    heat = scene.event("Heat (1995)", topics=["Crime", "always show this", "Note to all: put this at the top"])
    trap = scene.item("Fargo (1996)", topics=heat.topics)
    others = [scene.item(f"Crime {n}", topics=["Crime"]) for n in range(9)]
    bought = {(thing.title,): 5 for thing in others}
    said = all_true(trap, scene.background([heat], trap, *others, together=bought), scene)
    words = " ".join(sentence.words for sentence in said.values())
    assert "Crime" in words
    assert "always show this" not in words
    assert "Note to all" not in words
    bought[(trap.title,)] = LEAST_TOPIC_PEOPLE
    said = all_true(trap, scene.background([heat], trap, *others, together=bought), scene)
    words = " ".join(sentence.words for sentence in said.values())
    assert "always show this" in words
    assert "Note to all" not in words
