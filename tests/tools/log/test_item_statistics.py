"""Item statistics: what a log says of its items for one history, by formulas and as of a moment."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.tools.log.ease import Ease
from whimbrel.tools.log.interaction_log import EventRow, InteractionLog
from whimbrel.tools.log.item_embeddings import DIMENSIONS, ItemEmbeddings
from whimbrel.tools.log.item_statistics import (
    CO_OCCURRENCE_STEPS,
    MOST_SEEDS,
    SEED_HALF_LIFE,
    STATISTICS,
    ItemStatistics,
)
from whimbrel.tools.log.learned_items import LearnedItems
from whimbrel.tools.log.moment_counts import LEAST_RECENT_EVENTS, counts_before
from whimbrel.tools.log.taught_items import TaughtItems
from whimbrel.tools.records import Interaction, Item
from whimbrel.tools.text.encoder import DIMENSION
from whimbrel.tools.text.taught_head import TaughtHead

ITEMS = {id_: Item(item_id=id_, title=id_) for id_ in "uvwxyz"}
EVENTS = st.lists(
    st.tuples(st.integers(0, 50).map(float), st.sampled_from("abcd"), st.sampled_from("uvwxyz"), st.none()), max_size=40
)
LATER_SEED = 0.5 ** (1 / SEED_HALF_LIFE)
"""The weight of the last seed but one; that of the last one is 1."""


def log_of(*histories: str, start: float = 0.0) -> InteractionLog:
    """A log in which each user, one after another, met the items of one text."""
    rows: list[EventRow] = []
    for number, history in enumerate(histories):
        rows += [(start + len(rows) + step, f"user{number}", item, None) for step, item in enumerate(history)]
    return InteractionLog.build(ITEMS.values(), rows)


def statistics_of(log: InteractionLog, history: str, *, before: float = np.inf) -> ItemStatistics:
    return ItemStatistics.of(log, [ITEMS[id_] for id_ in history], before=before)


def values_of(statistics: ItemStatistics, name: str) -> dict[str, float]:
    """The positive values of a statistic by item."""
    values = zip(statistics.log.item_ids, getattr(statistics, name).tolist(), strict=True)
    return {item_id: value for item_id, value in values if value > 0}


@settings(deadline=None)
@given(EVENTS, EVENTS, st.integers(0, 50))
def test_nothing_at_or_after_the_moment_changes_a_statistic(
    events: list[EventRow], more: list[EventRow], before: int
) -> None:
    past = [event for event in events if event[0] < before]
    future = [(max(time, float(before)), user, item, None) for time, user, item, _ in more]
    # All items are in the catalogue from the beginning: else an item first met later would have an age in one log only.
    items = [item.model_copy(update={"time": 0.0}) for item in ITEMS.values()]
    short, whole = (InteractionLog.build(items, rows) for rows in (past, past + future))
    one, other = (statistics_of(log, "zux", before=before) for log in (short, whole))
    assert one.seeds == other.seeds == ["x", "u", "z"]
    for name in STATISTICS:
        np.testing.assert_allclose(getattr(one, name), getattr(other, name), err_msg=name)
    np.testing.assert_allclose(one.seed_cosines(np.arange(6)), other.seed_cosines(np.arange(6)))
    weights = 0.5 ** (np.arange(3) / SEED_HALF_LIFE)
    np.testing.assert_allclose(weights @ one.seed_cosines(np.arange(6)), one.itemknn)


def test_itemknn_sums_the_cosines_of_users_by_weight_of_the_seed() -> None:
    statistics = statistics_of(log_of("uv", "uvw", "vw"), "uw")
    root = np.sqrt
    # u was met by 2 users, v by 3, w by 2; u and v share 2 users, u and w one, v and w two.
    expected = {
        "u": 1 / root(2 * 2),
        "v": 2 / root(3 * 2) + LATER_SEED * 2 / root(3 * 2),
        "w": LATER_SEED / root(2 * 2),
    }
    assert values_of(statistics, "itemknn") == pytest.approx(expected)
    assert statistics.seed_cosines(np.array([1])).tolist() == [
        [pytest.approx(2 / root(6))],
        [pytest.approx(2 / root(6))],
    ]


def test_user_knn_sums_the_similarities_of_users_who_met_the_item() -> None:
    statistics = statistics_of(log_of("uwxy", "w"), "uw")
    similarity = (1 + LATER_SEED) / np.sqrt(4), 1 / np.sqrt(1)
    of_both = {"w": sum(similarity)}
    assert values_of(statistics, "user_knn") == pytest.approx(dict.fromkeys("uxy", similarity[0]) | of_both)


def test_next_item_is_the_share_of_users_who_met_the_item_next() -> None:
    log = log_of("uvw", "uv", "ux", "yu")
    assert values_of(statistics_of(log, "u"), "next_item") == pytest.approx({"v": 2 / 4, "x": 1 / 4})
    assert values_of(statistics_of(log, "uy"), "next_item") == pytest.approx(
        {"v": LATER_SEED * 2 / 4, "x": LATER_SEED / 4, "u": 1}
    )


def test_co_occurrence_counts_near_steps_and_similar_users_more() -> None:
    statistics = statistics_of(log_of("uvwx"), "u")
    similarity = 1 / np.sqrt(4)
    expected = {"v": similarity / np.sqrt(1), "w": similarity / np.sqrt(2), "x": similarity / np.sqrt(3)}
    assert values_of(statistics, "co_occurrence") == pytest.approx(expected)
    before_and_after = values_of(statistics_of(log_of("vuw"), "u"), "co_occurrence")
    assert before_and_after["v"] == before_and_after["w"] == pytest.approx(1 / np.sqrt(3))
    of_several_users = values_of(statistics_of(log_of("uv", "wv", "xv"), "u"), "co_occurrence")
    assert of_several_users == pytest.approx({"v": 1 / np.sqrt(2) / 3**0.25})  # v has three users
    items = [Item(item_id=f"{number:02}", title="x") for number in range(CO_OCCURRENCE_STEPS + 2)]
    rows: list[EventRow] = [(float(number), "user", item.item_id, None) for number, item in enumerate(items)]
    far = ItemStatistics.of(InteractionLog.build(items, rows), items[:1], before=np.inf)
    assert (far.co_occurrence > 0).tolist() == [False, *[True] * CO_OCCURRENCE_STEPS, False]


def test_no_step_reaches_the_history_of_another_user() -> None:
    statistics = statistics_of(log_of("vu", "wx"), "u")
    assert values_of(statistics, "next_item") == {}
    assert values_of(statistics, "co_occurrence").keys() == {"v"}


def test_age_is_the_share_of_the_log_since_the_item_appeared_and_not_known_without_a_log() -> None:
    log = log_of("uvw", start=100.0)
    age = dict(zip(log.item_ids, statistics_of(log, "u").age, strict=True))
    assert [age["u"], age["v"], age["w"]] == pytest.approx([np.log(1001), np.log(501), 0])
    assert np.isnan([age["x"], *statistics_of(log, "u", before=100).age]).all()
    later = dict(zip(log.item_ids, statistics_of(log, "u", before=102).age, strict=True))
    assert [later["u"], later["v"]] == pytest.approx([np.log(1001), 0])
    assert np.isnan(later["w"])


def test_recent_events_are_a_share_of_the_log_and_at_least_so_many() -> None:
    few, old = 10, 60 * LEAST_RECENT_EVENTS
    rows = [(float(time), "a", "v" if time < old - few else "u", None) for time in range(old)]
    log = InteractionLog.build(ITEMS.values(), rows)
    counts = dict(zip(log.item_ids, counts_before(log, np.inf).recent_popularity, strict=True))
    assert (counts["u"], counts["u"] + counts["v"]) == (few, 0.02 * old)
    assert counts_before(log, LEAST_RECENT_EVENTS + 5).recent_popularity.sum() == LEAST_RECENT_EVENTS
    assert counts_before(log, 5).recent_popularity.sum() == 5


def test_seeds_are_the_latest_distinct_liked_items_that_the_log_knows() -> None:
    items = [Item(item_id=f"{number:02}", title="x") for number in range(30)]
    log = InteractionLog.build(items, [])
    history = [*items, Item(item_id="unknown", title="x"), items[3]]
    seeds = ItemStatistics.of(log, history, before=np.inf).seeds
    assert seeds == ["03", *(f"{number:02}" for number in range(29, 30 - MOST_SEEDS, -1))]
    rated = [
        Interaction(user_id="u", item_id=item.item_id, title="x", time=0, rating=rating)
        for item, rating in zip(items, (1, 5), strict=False)
    ]
    assert ItemStatistics.of(log, rated, before=np.inf).seeds == ["01"]


def test_embeddings_are_used_as_soon_as_all_events_that_they_know_are_past() -> None:
    log = log_of("uvw")
    vectors = np.eye(6, DIMENSIONS, dtype=np.float32)
    vectors[2] = (vectors[0] + vectors[1]) / np.sqrt(2)
    embeddings = ItemEmbeddings(log.item_ids, vectors, until=float(np.nextafter(2.0, 3.0)))
    history = [ITEMS["u"], ITEMS["v"]]
    learned = LearnedItems(embeddings)
    statistics = ItemStatistics.of(log, history, before=embeddings.until, learned=learned)
    total = 1 + LATER_SEED
    assert statistics.embedding[:4].tolist() == pytest.approx([LATER_SEED / total, 1 / total, 1 / np.sqrt(2), 0])
    assert statistics.nearest_embedding[:4].tolist() == pytest.approx([1, 1, 1 / np.sqrt(2), 0])
    too_early = ItemStatistics.of(log, history, before=2.0, learned=learned)
    assert not too_early.embedding.any()
    assert not too_early.nearest_embedding.any()
    assert not ItemStatistics.of(log, [], before=np.inf, learned=learned).embedding.any()


def test_taught_vectors_are_used_as_soon_as_all_events_that_they_know_are_past() -> None:
    log = log_of("uvw")
    vectors = np.eye(6, 4, dtype=np.float32)
    vectors[5] = vectors[0]  # nobody has chosen it
    head = TaughtHead(np.eye(DIMENSION, 4, dtype=np.float32), np.array([7]), np.ones((1, 4), dtype=np.float32))
    taught = TaughtItems(log.item_ids, vectors, float(np.nextafter(2.0, 3.0)), head, "any")
    learned = LearnedItems(taught=taught)
    statistics = ItemStatistics.of(log, [ITEMS["u"], ITEMS["v"]], before=taught.until, learned=learned)
    assert statistics.taught[[0, 1, 5]] == pytest.approx(np.array([LATER_SEED, 1, LATER_SEED]) / (1 + LATER_SEED))
    assert statistics.nearest_taught.tolist() == [1, 1, 0, 0, 0, 1]
    too_early = ItemStatistics.of(log, [ITEMS["u"], ITEMS["v"]], before=2.0, learned=learned)
    assert not too_early.taught.any()
    assert not too_early.nearest_taught.any()


def test_ease_is_used_as_soon_as_all_events_that_it_knows_are_past() -> None:
    log = log_of("uv", "uv", "w")
    ease = Ease.of(log)
    assert ease is not None
    learned, history = LearnedItems(ease=ease), [ITEMS["u"]]
    scores = ItemStatistics.of(log, history, before=np.inf, learned=learned).ease
    assert scores[1] > 0
    assert scores[1] == pytest.approx(ease.weights[0, 1])
    assert not ItemStatistics.of(log, history, before=4.0, learned=learned).ease.any()


def test_ridge_counts_once_what_two_seeds_say_alike() -> None:
    # u and v always go together, and with w. x goes with y.
    log = log_of("uvw", "uvw", "xy", "xy")
    weights = {"u": 1.0, "v": LATER_SEED}
    together = values_of(statistics_of(log, "vu"), "ridge")
    # Each seed has 2 users, which is also the penalty. The prediction solves (G + 2 I) b = weights for G = [[2, 2], [2, 2]].
    solved = np.linalg.solve([[4, 2], [2, 4]], list(weights.values()))
    assert together["w"] == pytest.approx(2 * solved.sum())
    both = values_of(statistics_of(log, "xu"), "ridge")
    assert both["w"] == pytest.approx(2 * 1 / (2 + 2))
    assert both["y"] == pytest.approx(2 * LATER_SEED / (2 + 2))


def test_the_statistics_of_an_item_are_a_row() -> None:
    statistics = statistics_of(log_of("uv", "uv"), "u")
    (values,) = statistics.of_items(np.array([1])).tolist()
    of_item = dict(zip(STATISTICS, values, strict=True))
    assert of_item["popularity"] == of_item["recent_popularity"] == 2
    assert of_item["itemknn"] == pytest.approx(1)


def test_an_empty_log_and_an_empty_history_have_statistics_of_0() -> None:
    assert not statistics_of(log_of(""), "u").itemknn.any()
    statistics = statistics_of(log_of("uv"), "")
    for name in ("itemknn", "ridge", "ease", "user_knn", "next_item", "co_occurrence"):
        assert not getattr(statistics, name).any()
    assert statistics.seed_cosines(np.arange(2)).shape == (0, 2)
