"""The fusion of signals: learned from choices, additive, kept and read; what can be asked of a ranking."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from whimbrel.agent import Agent, Context, DataError, Item
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.learning.choice_sets import choice_sets, training_queries
from whimbrel.agent.learning.learn import Draw, learn_from
from whimbrel.agent.learning.ranking import ChoiceSet, gains, learn_channel_weights, learn_ranker, scores
from whimbrel.agent.pipeline import FEATURES as TO_FEATURES
from whimbrel.agent.pipeline import run
from whimbrel.agent.ranking.diversity import diverse
from whimbrel.agent.ranking.features import FEATURES, LOG_FEATURES
from whimbrel.agent.ranking.rankers import Ranker, Rankers
from whimbrel.agent.state import Resources
from whimbrel.tools.arrays import standardise
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.item_statistics import ItemStatistics
from whimbrel.tools.log.learned_items import LearnedItems
from whimbrel.tools.retrieval.candidates import Candidate, retrieve
from whimbrel.tools.retrieval.channels import LEARNED_CHANNELS, RetrievalQuery, reciprocal
from whimbrel.tools.retrieval.interest import interest_of
from whimbrel.tools.store.in_memory import InMemory

NOTHING = Ranker(weights={})


def chosen_by(signal: str, count: int, *, seed: int = 0, sharp: float = 2.0) -> list[ChoiceSet]:
    """Choices that follow one signal, with noise."""
    random, found = np.random.default_rng(seed), []
    for number in range(count):
        table = random.normal(size=(12, len(FEATURES)))
        worth = sharp * table[:, FEATURES.index(signal)] + random.gumbel(size=12)
        found.append(ChoiceSet(f"u{number % 80}", table, int(worth.argmax())))
    return found


@pytest.mark.parametrize("signal", ["itemknn", "topics"])
def test_the_signal_that_choices_follow_gets_the_weight(signal: str) -> None:
    learned = learn_ranker([chosen_by(signal, 600)], NOTHING, trees=False)
    weight = learned.weights[signal]
    assert weight == pytest.approx(2.0, abs=0.4)
    others = [abs(value) for name, value in learned.weights.items() if name != signal]
    assert max(others, default=0.0) < 0.25 * weight
    unseen = chosen_by(signal, 200, seed=5)
    assert gains(learned, unseen).mean() > 2 * gains(NOTHING, unseen).mean()


def moved_by(high: str, low: str, count: int, *, seed: int = 0) -> list[ChoiceSet]:
    """Choices that follow one signal where the topic is likely to change, and another where it is likely to stay."""
    random, sets = np.random.default_rng(seed), []
    for number in range(count):
        table, p_topic_change = random.normal(size=(12, len(FEATURES))), (0.9, 0.1)[number % 2]
        followed = table[:, FEATURES.index(high if p_topic_change > 0.5 else low)]
        sets.append(
            ChoiceSet(f"u{number % 80}", table, int((2 * followed + random.gumbel(size=12)).argmax()), p_topic_change)
        )
    return sets


def test_what_is_followed_only_if_the_topic_changes_gets_a_weight_that_moves() -> None:
    learned = learn_ranker([moved_by("next_item", "topics", 1200)], NOTHING, trees=False)
    # The planted weights are 2 and 0 at the probabilities 0.1 and 0.9, so the mixture is steeper at 0 and 1.
    assert learned.moving["next_item"] > 1.6 > 0.5 > learned.weights.get("next_item", 0.0)
    assert learned.weights["topics"] > 1.6 > 0.5 > learned.moving.get("topics", 0.0)
    unseen = moved_by("next_item", "topics", 300, seed=5)
    fixed = learned.model_copy(update={"moving": {}})
    assert gains(learned, unseen).mean() > gains(fixed, unseen).mean() + 0.05


def test_the_order_follows_the_probability_that_the_topic_changes() -> None:
    ranker = Ranker(weights={"topics": 2.0}, moving={"next_item": 2.0})
    features = np.zeros((2, len(FEATURES)))
    features[0, FEATURES.index("next_item")] = features[1, FEATURES.index("topics")] = 1.0
    signals = ("next_item", "topics")
    for p_topic_change, weights in ((0.9, (1.8, 0.2)), (0.1, (0.2, 1.8)), (0.5, (1, 1)), (None, (1, 1))):
        contributions = ranker(features, p_topic_change=p_topic_change)
        assert tuple(contributions[name].max() for name in signals) == pytest.approx(weights)
        choice = ChoiceSet("u", features, 0, p_topic_change)
        assert scores(ranker, choice) == pytest.approx(weights)
    assert ranker(features)["topics"] == pytest.approx([0, 1])


def test_choices_that_do_not_tell_how_likely_a_change_is_move_no_weight() -> None:
    learned = learn_ranker([chosen_by("itemknn", 300)], NOTHING, trees=False)
    assert learned.moving == {}


@pytest.mark.parametrize(("signal", "counts"), [("words", False), ("itemknn", True)])
def test_likeness_never_speaks_against_an_item(signal: str, counts: bool) -> None:
    weight = learn_ranker([chosen_by(signal, 600, sharp=-2.0)], NOTHING, trees=False).weights.get(signal, 0.0)
    assert (weight < -1) if counts else (weight == 0)


def test_too_few_choices_leave_what_was_begun_with() -> None:
    begun = Ranker(weights={"nearest": 1.0})
    assert learn_ranker([chosen_by("itemknn", 99)], begun) == begun


def test_trees_find_what_weights_cannot_and_stay_away_where_there_is_nothing() -> None:
    random, crossed = np.random.default_rng(1), []
    for number in range(1500):
        table = random.normal(size=(12, len(FEATURES)))
        worth = 4 * (table[:, 0] > 0) * (table[:, 1] > 0) + random.gumbel(size=12) * 0.3
        crossed.append(ChoiceSet(f"u{number}", table, int(worth.argmax())))
    learned = learn_ranker([crossed[:1200]], NOTHING)
    plain = learned.model_copy(update={"trees": ""})
    assert learned.trees
    assert gains(learned, crossed[1200:]).mean() > gains(plain, crossed[1200:]).mean() + 0.02
    brought = learned(crossed[0].features)
    assert set(brought) <= set(FEATURES)
    needless = [bool(learn_ranker([chosen_by("itemknn", 600, seed=seed)], NOTHING).trees) for seed in range(8)]
    assert sum(needless) <= 2


def misleading(count: int, *, seed: int = 0) -> list[ChoiceSet]:
    """Choices that mostly follow co-occurrence. In the others, it is so far off that a likelihood gives it up."""
    random, sets, column = np.random.default_rng(seed), [], FEATURES.index("co_occurrence")
    for number in range(count):
        table = random.normal(size=(12, len(FEATURES)))
        chosen = int(table[:, column].argmax())
        if number % 3 == 0:
            chosen = int(table[:, column].argmin())
            table[chosen, column] = -20.0
        sets.append(ChoiceSet(f"u{number % 80}", table, chosen))
    return sets


def test_a_ranker_is_never_behind_its_best_part() -> None:
    learned = learn_ranker([misleading(600)], NOTHING, trees=False)
    unseen, part = misleading(200, seed=5), Ranker(weights={"co_occurrence": 1.0})
    assert gains(learned, unseen).mean() == pytest.approx(gains(part, unseen).mean(), abs=0.02)
    assert gains(part, unseen).mean() > 0.6
    # Where the weights are ahead of every part, no part takes a share.
    of_two = learn_ranker([chosen_by("itemknn", 300) + chosen_by("next_item", 300)], NOTHING, trees=False)
    assert min(of_two.weights["itemknn"], of_two.weights["next_item"]) > 0.5


def test_the_channel_that_finds_what_is_chosen_gets_the_weight() -> None:
    random, found, follows = np.random.default_rng(3), [], LEARNED_CHANNELS.index("next_item")
    for number in range(300):
        worth = np.array([reciprocal(1 + random.permutation(40)) for _ in LEARNED_CHANNELS]).T
        found.append(ChoiceSet(f"u{number}", worth, int(worth[:, follows].argmax())))
    learned = learn_channel_weights([found], {})
    assert learned["next_item"] > 3
    assert np.mean(list(learned.values())) == pytest.approx(1.0, abs=0.01)
    assert min(learned.values()) >= 0
    assert learn_channel_weights([found[:99]], {"next_item": 2.0}) == {"next_item": 2.0}


def test_retrieval_listens_to_the_channels_that_are_worth_most() -> None:
    library = walks()
    history = [library.items([f"i{n:03}"])[f"i{n:03}"] for n in (100, 101, 102)]
    interest = interest_of(history, library.item_vectors([item.item_id for item in history]))

    def first(weights: dict[str, float]) -> list[Candidate]:
        return list(retrieve(library, RetrievalQuery(history, np.inf, interest), weights=weights, n=10))

    nothing = dict.fromkeys((*LEARNED_CHANNELS, "taste"), 0.0)
    for channel in ("next_item", "popular", "short"):
        places = [found.channels.get(channel, 99) for found in first(nothing | {channel: 5.0})]
        assert places == list(range(1, 11))
    assert "i103" in [found.item.item_id for found in first(nothing | {"next_item": 5.0})[:3]]


def test_a_price_that_few_things_keep_to_is_searched_for() -> None:
    library = walks()
    history = [library.items(["i200"])["i200"]]
    interest = interest_of(history, library.item_vectors(["i200"]))
    found = retrieve(library, RetrievalQuery(history, np.inf, interest), max_price=20.0, n=15)
    assert len(found) == 15
    assert all(candidate.item.price is not None and candidate.item.price <= 20 for candidate in found)


def test_channels_that_tell_nothing_stay_as_they_were() -> None:
    random = np.random.default_rng(4)

    def noise() -> list[ChoiceSet]:
        size = (60, len(LEARNED_CHANNELS))
        values = [random.choice([0.0, 0.3, 0.6, 1.0], size=size) for _ in range(400)]
        return [ChoiceSet(f"u{number}", value, int(random.integers(60))) for number, value in enumerate(values)]

    unchanged = [learn_channel_weights([noise()], {"co_occurrence": 2.0}) == {"co_occurrence": 2.0} for _ in range(5)]
    assert sum(unchanged) >= 4


def test_an_item_of_the_moment_itself_has_no_age() -> None:
    items = [Item(item_id=name, title=name) for name in "abc"]
    log = InteractionLog.build(items, [(1.0, "u", "a", None), (5.0, "u", "b", None), (9.0, "v", "c", None)])
    ages = ItemStatistics.of(log, items[:1], before=9.0).age
    assert np.isnan(ages[2])
    assert np.isfinite(ages[:2]).all()


def walks(people: int = 260, *, seed: int = 0) -> InMemory:
    """People who go round a ring of things, each from somewhere, with a stray step now and then."""
    random, size = np.random.default_rng(seed), 300
    items = [Item(item_id=f"i{n:03}", title=f"Thing {n}", topics=(f"t{n // 50}",), price=1.0 + n) for n in range(size)]
    rows, clock = [], 0
    for person in range(people):
        place = int(random.integers(size))
        for _ in range(12):
            place = (place + 1) % size if random.random() < 0.8 else int(random.integers(size))
            clock += 60
            rows.append((1.6e9 + clock, f"u{person}", items[place].item_id, None))
    return InMemory(items, InteractionLog.build(items, rows), timed=True)


def test_a_fit_finds_what_a_log_tells_and_ranks_by_it() -> None:
    library = walks()
    learned = learn_from(library, draw=Draw(most=400))
    weights = learned.fitted.fusion.retrieved.weights
    assert len(learned.choices["retrieved"]) > 100
    assert weights["next_item"] > 0.4
    agent = Agent(library, None, fitted=learned.fitted)
    history = [library.items([f"i{n:03}"])[f"i{n:03}"] for n in (100, 101, 102)]
    first = [entry.candidate.item.item_id for entry in agent.choose(history).ranked[:5]]
    assert "i103" in first
    assert not {item.item_id for item in history} & {e.candidate.item.item_id for e in agent.choose(history).ranked}
    assert agent.rank(history, list(library.items(["i250", "i103", "i020"]).values()))[0] == "i103"


def test_choices_know_nothing_of_what_comes_after_them() -> None:
    library = walks()
    log = library.log
    cut = float(log.time[len(log.time) * 3 // 4])
    early = log.time < cut
    names = (log.user_ids, log.item_ids)
    rows = [
        (float(t), names[0][u], names[1][i], None)
        for t, u, i in zip(log.time[early], log.user[early], log.item[early], strict=True)
    ]
    short = InMemory(library.all_items(), InteractionLog.build(library.all_items(), rows), timed=True)
    items = LearnedItems.of(log, before=float(log.time[len(log.time) // 2]))
    drawn = [moment for moment in training_queries(short, most=60, warm_up=0.6) if moment.before < cut]
    fitted = replace(Fitted.default(), items=items)
    for where in ("retrieved", "given"):
        seen, whole = (choice_sets(drawn, Resources(of, fitted), where) for of in (short, library))
        told = [name not in ("age",) for name in FEATURES]
        assert len(seen) == len(whole) > 5
        if where == "retrieved":  # what is listed is drawn by how often it came, in another catalogue otherwise
            assert all(np.allclose(a.features[:, told], b.features[:, told]) for a, b in zip(seen, whole, strict=True))


def test_a_history_with_topics_is_ranked_against_a_log_without() -> None:
    items = [Item(item_id=f"i{n}", title=f"Thing {n}") for n in range(3)]
    rows = [(float(n), "u", f"i{n}", None) for n in range(3)]
    agent = Agent(InMemory(items, InteractionLog.build(items, rows), timed=True), None)
    history = [Item(item_id="h", title="Green tea", topics=("Tea",))]
    assert sorted(agent.rank(history, items)) == ["i0", "i1", "i2"]
    assert agent.predict_shift(history).kind == "none"


def test_the_moment_of_a_context_is_the_end_of_what_is_known() -> None:
    library = walks()
    agent = Agent(library, None)
    history = library.history("u200")
    moment = history[5].time
    assert moment is not None
    found, whole = (agent.choose(h, {"time": moment}).ranked for h in (history[:5], history))
    assert [(e.candidate.item.item_id, e.score) for e in found] == [(e.candidate.item.item_id, e.score) for e in whole]
    late = library.log.appeared >= moment
    assert not {e.candidate.item.item_id for e in whole} & {library.log.item_ids[row] for row in np.flatnonzero(late)}


def test_damaged_trees_and_other_signals_are_refused(tmp_path: Path) -> None:
    grown = Rankers.default().model_copy(update={"given": NOTHING.with_trees("tree\nversion=v4\n")})
    text = grown.model_dump_json()
    for wrong in (
        text.replace("version=v4", "version=v"),
        text.replace('["similarity","nearest"', '["nearest","similarity"'),
    ):
        assert wrong != text
        (tmp_path / "fusion.json").write_text(wrong)
        with pytest.raises(DataError, match="whimbrel fit"):
            Fitted.load(tmp_path)


def test_unknown_figures_tell_nothing() -> None:
    assert standardise(np.array([np.nan, np.nan])).tolist() == [0, 0]
    assert standardise(np.array([1.0, np.nan, 3.0])).tolist() == [-1, 0, 1]
    assert standardise(np.array([2.0, 2.0])).tolist() == [0, 0]
    choice = chosen_by("itemknn", 1)[0].without_log()
    assert not choice.features[:, [FEATURES.index(name) for name in LOG_FEATURES]].any()
    assert choice.features[:, FEATURES.index("nearest")].any()


def test_a_diverse_list_takes_what_is_unlike() -> None:
    def chosen(vectors: Sequence[Sequence[float]], scores: Sequence[float], **settings: Any) -> list[int]:
        return diverse(np.array(vectors, dtype=np.float32), np.array(scores), k=2, **settings)

    three = [[1, 0], [0.9, 0.436], [0, 1]]
    assert chosen(three, [3.0, 2.9, 2.0]) == [0, 1]
    assert chosen(three, [3.0, 2.9, 2.0], diversity=0.7) == [0, 2]
    assert chosen([[1, 0], [1, 0]], [1.0, 0.5]) == [0]
    assert chosen([[1, 0], [1, 0]], [1.0, 0.5], near_duplicates=True) == [0, 1]


def test_what_cannot_be_had_or_costs_too_much_comes_last_or_not_at_all() -> None:
    library = walks()
    agent = Agent(library, None)
    history = list(library.items(["i010", "i011"]).values())
    context = Context(unavailable=("i012",), max_price=100.0)
    found = [entry.candidate.item for entry in agent.choose(history, context).ranked]
    assert found
    assert all(item.item_id != "i012" and (item.price or 0) <= 100 for item in found)
    given = list(library.items(["i250", "i012", "i013"]).values())
    assert agent.rank(history, given, context)[0] == "i013"


def test_each_new_item_of_a_basket_is_a_choice_without_the_others() -> None:
    items = [Item(item_id=f"i{n:02}", title=f"thing {n}") for n in range(60)]
    events: list[tuple[float, str, str, None]] = []
    random = np.random.default_rng(0)
    for user in range(40):
        for basket in range(3):
            for item in random.choice(60, 4, replace=False):
                events.append((float(1000 * basket + user), f"u{user}", f"i{item:02}", None))
    library = InMemory(items, InteractionLog.build(items, events), timed=True)
    drawn = list(training_queries(library, most=20, warm_up=0.6))
    assert max(len(moment.chose) for moment in drawn) > 1
    for moment in drawn:
        assert all(item.time is not None and item.time < moment.before for item in moment.history)
        assert not {item.item_id for item in moment.history} & set(moment.chose)
    found = choice_sets(drawn, Resources(library, Fitted.default()), "retrieved")
    chosen = [set(moment.chose) for moment in drawn]
    assert len(found) > len(drawn)
    for choice in found:
        asked = choice.asked
        assert asked is not None
        state = run(asked.request, asked.resources, TO_FEATURES)
        ids = [candidate.item.item_id for candidate in state.candidates]
        assert len(ids) == len(choice.features)
        assert any(asked.chosen_id in own and not (own - {asked.chosen_id}) & set(ids) for own in chosen)
