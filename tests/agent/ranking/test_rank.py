"""Ranking by what was learned and by what a language model says of the best candidates."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from whimbrel.agent import ScriptedModel
from whimbrel.agent.language_models.access import NO_MODEL, ModelAccess
from whimbrel.agent.language_models.protocol import Tier
from whimbrel.agent.ranking.ask_model import Person, Wish, ask_model, reading_figures
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.rank import RankConfig, Ranking, rank
from whimbrel.agent.ranking.rankers import Ranker
from whimbrel.agent.reading.read_person import Reading
from whimbrel.prompts import Message
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.candidates import Candidate, Candidates
from whimbrel.tools.text.minilm import ENGLISH

TITLES = [f"Thing {number}" for number in range(8)]
PERSON = Person([Item(item_id="h", title="Oolong tea", topics=("Tea",))])


def candidates(titles: Sequence[str] = TITLES) -> Candidates:
    return Candidates(
        [Item(item_id=f"i{number}", title=title) for number, title in enumerate(titles)], ENGLISH.encode(titles)
    )


def falling(count: int = len(TITLES)) -> np.ndarray:
    """Return features by which each candidate is better than the next by 1."""
    features = np.zeros((count, len(FEATURES)))
    features[:, FEATURES.index("itemknn")] = -np.arange(count)
    return features


def shown(messages: Sequence[Message]) -> list[str]:
    block = messages[-1]["content"].rpartition("<data>\n")[2].partition("\n</data>")[0]
    return [line.partition(". ")[2].partition(";")[0] for line in block.splitlines()]


def wanting(*titles: str) -> ScriptedModel:
    """Return a model that names these titles, where it is shown them."""

    def reply(messages: Sequence[Message]) -> dict[str, Any]:
        options = shown(messages)
        return {"best": [{"option": options.index(title) + 1, "grade": 9} for title in titles if title in options]}

    return ScriptedModel({"OrderReply": reply}, scores=False)


def ranked(ranker: Ranker, llm: ScriptedModel | None = None, *, tier: Tier = "orders", **settings: Any) -> Ranking:
    config, person = settings.pop("config", RankConfig()), settings.pop("person", PERSON)
    model = ModelAccess(llm, tier=tier) if llm else NO_MODEL
    ranking = rank(candidates(), falling(), ranker=ranker, person=person, model=model, config=config)
    for entry in ranking.ranked:
        assert sum(entry.signals.values()) == pytest.approx(entry.score, abs=1e-3)
    return ranking


def titles_of(ranking: Ranking) -> list[str]:
    return [entry.candidate.item.title for entry in ranking.ranked]


def ranker_of(tier: Tier = "orders", **weights: float) -> Ranker:
    return Ranker(weights={"itemknn": 1.0}, models={tier: weights})


def test_without_a_model_the_order_is_that_of_the_features() -> None:
    assert titles_of(ranked(ranker_of())) == TITLES


def test_the_order_follows_the_probability_of_a_topic_change() -> None:
    ranker = Ranker(weights={"itemknn": -1.0}, moving={"itemknn": 2.0})
    for p_topic_change, expected in ((0.9, TITLES), (0.1, TITLES[::-1]), (None, TITLES)):
        assert titles_of(ranked(ranker, person=Person(p_topic_change=p_topic_change))) == expected


def test_a_models_order_decides_by_its_weight_and_the_other_signals_shrink_by_their_factor() -> None:
    ranker = ranker_of(others=0.1, order=4.0)
    ranking = ranked(ranker, wanting("Thing 6", "Thing 3"))
    assert titles_of(ranking)[:2] == ["Thing 6", "Thing 3"]
    signals = {entry.candidate.item.title: entry.signals for entry in ranking.ranked}
    assert signals["Thing 5"]["itemknn"] == pytest.approx(-0.5)  # 0.1 of what it is without the model
    # The first position has the logarithm 0, the second the logarithm of 2.
    assert signals["Thing 6"]["order"] - signals["Thing 3"]["order"] == pytest.approx(4 * np.log(2), abs=1e-3)
    assert ranking.answer.calls == 2
    assert ranking.usage.llm_calls == 2


def test_a_model_without_a_usable_reply_leaves_the_order_as_it_was() -> None:
    ranking = ranked(ranker_of(others=0.1, order=4.0), ScriptedModel({"OrderReply": "no idea"}, scores=False))
    without = ranked(ranker_of())
    assert [(entry.score, entry.signals) for entry in ranking.ranked] == [
        (entry.score, entry.signals) for entry in without.ranked
    ]
    assert ranking.usage.misfits == 2
    (warning,) = ranking.warnings
    assert warning.startswith("the model's order was left out")


@pytest.mark.parametrize("weights", [{}, {"others": 0.5}, {"order": 0.0}, {"likelihood": 1.0}, {"phrases": 1.0}])
def test_a_model_whose_order_has_no_weight_is_not_asked_for_one(weights: dict[str, float]) -> None:
    model = wanting("Thing 6")
    ranking = ranked(ranker_of(**weights), model)
    assert model.conversations == []
    assert titles_of(ranking) == TITLES
    assert ranking.ranked[1].signals == {"itemknn": -1.0}


def test_the_weights_of_another_tier_do_not_count() -> None:
    model = wanting("Thing 6")
    assert titles_of(ranked(ranker_of("orders", order=9.0), model, tier="reads")) == TITLES
    assert model.conversations == []


def test_only_the_best_are_shown_and_the_others_get_the_contribution_of_the_least_likely() -> None:
    model = wanting("Thing 2", "Thing 0")
    ranking = ranked(ranker_of(others=1.0, order=1.0), model, config=RankConfig(weighed=4))
    for messages in model.conversations:
        assert sorted(shown(messages)) == TITLES[:4]
    assert shown(model.conversations[0]) != TITLES[:4]  # an order that says nothing
    assert shown(model.conversations[1]) == shown(model.conversations[0])[::-1]
    assert ranking.asked == (0, 1, 2, 3)
    signals = {entry.candidate.item.title: entry.signals["order"] for entry in ranking.ranked}
    assert {signals[title] for title in TITLES[4:]} == {min(signals[title] for title in TITLES[:4])}
    assert titles_of(ranking)[-4:] == TITLES[4:]


def test_a_small_model_is_asked_for_likelihoods_of_the_same_weights_as_before() -> None:
    model = ScriptedModel(likelihood=lambda prompt, text: 4.0 * ("Oolong" in prompt and "Thing 6" in text))
    ranking = ranked(ranker_of("fills", likelihood=20.0, prior=0.0, others=0.1), model, tier="fills")
    assert titles_of(ranking)[0] == "Thing 6"
    assert ranking.ranked[1].signals.keys() == {"itemknn", "likelihood"}
    assert ranking.ranked[1].signals["itemknn"] == 0  # the best by the features; `others` is for orders alone
    assert ranking.ranked[-1].signals["itemknn"] == -7
    assert model.conversations == []


@pytest.mark.parametrize(
    ("k", "orders", "weighed"), [(5, False, 20), (25, False, 50), (40, False, 60), (5, True, 50), (40, True, 60)]
)
def test_twice_the_list_is_weighed_within_bounds(k: int, orders: bool, weighed: int) -> None:
    assert RankConfig().for_list(k, orders=orders).weighed == weighed
    assert RankConfig(weighed=7).for_list(k, orders=orders).weighed == 7


def test_candidates_near_a_phrase_gain_and_candidates_near_an_unwanted_one_lose() -> None:
    titles = ["Garden hose", "Rose seeds", "Green tea", "Black tea"]
    reading = Reading(phrase_vectors=ENGLISH.encode(["hoses", "seeds"]), unwanted_vectors=ENGLISH.encode(["green tea"]))
    figures = reading_figures(ENGLISH.encode(titles), reading)
    assert set(figures) == {"phrases", "unwanted"}
    assert figures["phrases"][:2].min() > figures["phrases"][2:].max()
    assert figures["unwanted"].argmax() == 2
    for figure in figures.values():
        assert (figure.mean(), figure.std()) == pytest.approx((0, 1), abs=1e-6)
    assert reading_figures(ENGLISH.encode(titles), Reading()) == {}
    ranker = Ranker(weights={}, models={"reads": {"phrases": 1.0, "unwanted": -1.0}})
    person = Person(reading=reading)
    features = np.zeros((4, len(FEATURES)))
    model = ModelAccess(wanting(), tier="reads")
    ranking = rank(candidates(titles), features, ranker=ranker, person=person, model=model, config=RankConfig())
    assert set(titles_of(ranking)[:2]) == set(titles[:2])
    assert titles_of(ranking)[-1] == "Green tea"
    assert ranking.answer.calls == 0


def test_no_candidates_are_no_ranking() -> None:
    model = ModelAccess(wanting(), tier="orders")
    nothing = np.empty((0, len(FEATURES)))
    nobody = Candidates()
    assert not rank(
        nobody, nothing, ranker=ranker_of(order=1.0), person=PERSON, model=model, config=RankConfig()
    ).ranked


def test_the_figures_of_an_answer_stand_in_the_order_of_the_candidates() -> None:
    answer = ask_model(candidates(), PERSON, ModelAccess(wanting("Thing 6"), tier="orders"), directions=2)
    assert {name: int(figure.argmax()) for name, figure in answer.figures.items()} == dict.fromkeys(
        ("order", "grade", "agreement"), 6
    )


def test_a_model_is_told_what_the_log_says_of_an_option() -> None:
    history = [Item(item_id="h", title="Oolong tea", topics=("Tea",)), Item(item_id="g", title="Rusk")]
    vector = ENGLISH.encode(["x"])[0]
    options = [
        Candidate(Item(item_id="h", title="Oolong tea", price=3), vector, statistics={"popularity": 9.0}),
        Candidate(
            Item(item_id="a", title="Teapot", topics=("Kitchen",)),
            vector,
            seed_cosines={"h": 0.2, "g": 0.6, "z": 0.9},
            seed_users={"h": 7, "g": 3, "z": 8},
            statistics={"popularity": 40.0},
        ),
        Candidate(Item(item_id="b", title="Rake"), vector, seed_cosines={"h": 0.5}, seed_users={"h": 2}),
    ]
    model = wanting("Teapot")
    person = Person(
        history,
        wish=Wish("something warm"),
        reading=Reading(now="Lately tea.", phrases=("tea pots",)),
        at=1_404_594_600.0,
        situation={"place": "home"},
    )
    ask_model(options, person, ModelAccess(model, tier="reads"), directions=1)
    prompt = model.conversations[0][-1]["content"]
    lines = {line.partition(". ")[2] for line in prompt.splitlines()}
    assert "Oolong tea price 3.00; had before; chosen by 9" in lines
    assert "Teapot [Kitchen]; chosen by 40; 3 of them also chose 'Rusk'" in lines  # the nearest item of the history
    assert "Rake" in lines  # two people may be chance
    for part in (
        "1. Oolong tea [Tea]\n2. Rusk",
        "Lately tea. May want: tea pots.",
        "something warm",
        "Asked at: Sat 05 Jul 2014 21:10, place home",
    ):
        assert part in prompt


def test_a_likelihood_depends_on_the_titles_of_the_history_and_on_the_wish() -> None:
    prompts: list[str] = []

    def likelihood(prompt: str, text: str) -> float:
        prompts.append(prompt)
        return -float(len(text))

    model = ModelAccess(ScriptedModel(likelihood=likelihood))
    answer = ask_model(candidates(), Person(PERSON.history, wish=Wish("something warm")), model, directions=2)
    assert set(answer.figures) == {"likelihood", "prior"}
    assert any("Oolong tea" in prompt and "something warm" in prompt for prompt in prompts)


@pytest.mark.parametrize(("accounts", "is_first"), [(1, False), (5, False), (60, True)])
def test_words_that_few_people_stand_behind_do_not_come_first(accounts: int, is_first: bool) -> None:
    wish = ENGLISH.encode(["a green oolong tea from Taiwan"])[0]
    titles = [*TITLES, "Oolong tea", "Green tea", "A green oolong tea from Taiwan"]
    items = [Item(item_id=f"i{number:02}", title=title) for number, title in enumerate(titles)]
    events = [(float(user), f"u{user}", item.item_id, None) for item in items[:-1] for user in range(40)]
    events += [(float(user), f"maker {user}", items[-1].item_id, None) for user in range(accounts)]
    log = InteractionLog.build(items, events)
    statistics = ItemStatistics.of(log, [items[0]], before=99.0)
    asked = Candidates(items, ENGLISH.encode(titles), log=statistics)
    person = replace(PERSON, wish=Wish("a green oolong tea from Taiwan", wish))
    features = falling(len(titles)) / 100
    ranking = rank(
        asked, features, ranker=Ranker(weights={"itemknn": 1.0}), person=person, model=NO_MODEL, config=RankConfig()
    )
    assert (ranking.ranked[0].candidate.item.title == titles[-1]) == is_first
    assert sum(ranking.ranked[0].signals.values()) == pytest.approx(ranking.ranked[0].score)
    without_log = Candidates(items, ENGLISH.encode(titles))
    ranking = rank(
        without_log,
        features,
        ranker=Ranker(weights={"itemknn": 1.0}),
        person=person,
        model=NO_MODEL,
        config=RankConfig(),
    )
    assert ranking.ranked[0].candidate.item.title == titles[-1]
