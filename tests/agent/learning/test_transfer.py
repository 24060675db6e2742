"""What was learned in one store, used in another: what moves, what does not, and what held-out people say of it."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.agent import Agent
from whimbrel.agent.fitted import ORIGIN, Fitted
from whimbrel.agent.learning import trials
from whimbrel.agent.learning.fit import Extras, fit_store
from whimbrel.agent.learning.fusion import Fusion, compare_beginnings, is_negative
from whimbrel.agent.learning.held_out import Verdict, gain_of
from whimbrel.agent.learning.ranking import ChoiceSet
from whimbrel.agent.origin import Origin
from whimbrel.agent.ranking.features import FEATURES
from whimbrel.agent.ranking.rankers import Ranker, Rankers
from whimbrel.agent.transfer import moved, read_fit
from whimbrel.tools.errors import ConfigError, DataError
from whimbrel.tools.log.ease import Ease
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.log.learned_items import LearnedItems
from whimbrel.tools.records import Item
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.store.store import open_store
from whimbrel.tools.store.vectors import reencode
from whimbrel.tools.text.multilingual import MULTILINGUAL

Run = Callable[..., tuple[int, str, str]]
SIZE, DAY = 60, 86400.0


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trials, "cache_folder", lambda: tmp_path / "cache")


def make_store(folder: Path, *, people: int, begin: float, prefix: str = "Thing") -> Path:
    """Make a store of people who go round a ring of things, so that the next thing is the one after the last."""
    random, lines = np.random.default_rng(0), ["user_id,item_id,title,topics,time"]
    for person in range(people):
        place, clock = int(random.integers(SIZE)), begin + person * 60
        for _ in range(8):
            place, clock = (place + 1) % SIZE, clock + DAY
            lines.append(f"u{person},{place},{prefix} {place},Ring {place % 3},{clock}")
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    ingest(open_source(str(folder / "log.csv")), folder / "store")
    return folder / "store"


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("ring"), people=60, begin=1e9)


@pytest.fixture(scope="module")
def later(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_store(tmp_path_factory.mktemp("later"), people=40, begin=1.2e9, prefix="Ding")


@pytest.fixture(scope="module")
def of_later(later: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What was learned from the later store, with the store as it was."""
    out, before = tmp_path_factory.mktemp("out") / "fitted", sorted(path.name for path in later.rglob("*"))
    with open_store(later) as store:
        fit_store(store, out=out)
    assert sorted(path.name for path in later.rglob("*")) == before
    return out


def one_sided(name: str, weight: float) -> Fitted:
    """Rankers for which one feature counts alone."""
    ranker = Ranker(weights={name: weight})
    return replace(Fitted.default(), fusion=Rankers(retrieved=ranker, given=ranker, cold=ranker))


def save(fitted: Fitted, folder: Path) -> Path:
    folder.mkdir()
    fitted.save(folder)
    return folder


def test_a_fit_elsewhere_leaves_the_store_and_names_its_origin(later: Path, of_later: Path) -> None:
    origin = Fitted.load(of_later).origin
    with open_store(later) as store:
        assert origin.people == 40
        assert origin.until is not None
        assert store.log.end is not None
        assert origin.until > store.log.end
        assert origin.is_same_shop(store)
        assert origin.shares_topics(store.log)
    assert "Ding" not in (of_later / ORIGIN).read_text()


def test_items_with_the_ids_of_another_shop_are_not_its_items(ring: Path, of_later: Path) -> None:
    with open_store(ring) as store:
        origin = read_fit(of_later).origin
        assert origin.known_items(store, store.log.item_ids) == frozenset()
        assert not origin.is_same_shop(store)
        assert moved(read_fit(of_later), store, Fitted.default(), "f").items == LearnedItems()


def test_models_of_items_move_for_the_same_items_alone() -> None:
    from scipy.sparse import csr_matrix

    weights = csr_matrix(np.array([[0, 1, 2], [3, 0, 4], [5, 6, 0]], dtype=np.float32))
    only = LearnedItems(None, Ease(["a", "b", "c"], weights, until=9.0)).only({"a", "c"})
    assert only.ease is not None
    assert only.ease.item_ids == ["a", "c"]
    assert only.ease.weights.toarray().tolist() == [[0, 2], [5, 0]]
    assert LearnedItems(None, Ease(["a"], weights[:1, :1], until=9.0)).only({"b"}).ease is None


def test_the_next_topics_move_only_where_topics_are_shared() -> None:
    own, other = Fitted.default(), Fitted.default().topics.model_copy(update={"learned_from": "elsewhere"})
    items = [Item(item_id=str(n), title=f"Tea {n}", topics=(topic,)) for n, topic in enumerate(["Tea", "Rusk"])]
    events = [(float(n), f"u{n % 3}", str(n % 2), None) for n in range(12)]
    here = InMemory(items, InteractionLog.build(items, events), timed=True)
    there = [item.model_copy(update={"topics": (f"{item.topics[0]}s",)}) for item in items]
    for of, kept in ((items, "elsewhere"), (there, own.topics.learned_from)):
        source = InMemory(of, InteractionLog.build(of, events), timed=True)
        fitted = replace(own, topics=other, origin=Origin.of(source, timed=True))
        assert moved(fitted, here, own, "f").topics.learned_from == kept


def test_a_fit_of_another_store_ranks_by_its_weights(run: Run, ring: Path, tmp_path: Path) -> None:
    fitted = save(one_sided("next_item", 2.0), tmp_path / "fitted")
    status, told, _ = run("recommend", "u1", "--store", ring, "--fitted", fitted, "--llm", "none", "--k", 3, "--json")
    answer = json.loads(told)
    assert status == 0
    assert set(answer["recommendations"][0]["signals"]) <= {"next_item", "evidence"}
    assert not [warning for warning in answer["warnings"] if "switched off" in warning]


def test_weights_by_which_people_lose_are_switched_off_with_a_word(ring: Path, tmp_path: Path) -> None:
    fitted = save(one_sided("next_item", -2.0), tmp_path / "fitted")
    with Agent.open(ring, "none", fitted=fitted) as agent, Agent(agent.store, None) as plain:
        answer, shipped = agent.recommend("u1", k=3), plain.recommend("u1", k=3)
        assert any("transfer is switched off" in warning for warning in answer.warnings)
        assert [e.item_id for e in answer.recommendations] == [e.item_id for e in shipped.recommendations]


def test_errors_are_one_clear_line(run: Run, ring: Path, later: Path, of_later: Path, tmp_path: Path) -> None:
    empty, changed = tmp_path / "empty", tmp_path / "changed"
    empty.mkdir()
    save(replace(Fitted.default(), origin=Origin(encoder="other")), changed)
    (tmp_path / "file").write_text("")
    recommend = ("recommend", "u1", "--store", ring, "--llm", "none")
    for arguments, told in (
        ((*recommend, "--fitted", empty), "is no fit (it has no fusion.json)"),
        ((*recommend, "--fitted", tmp_path / "absent"), "is no fit"),
        ((*recommend, "--fitted", changed), "has the text encoder 'other', this store has"),
        ((*recommend, "--fitted", of_later, "--at", 1.1e9), "later than the moment asked about"),
        ((*recommend, "--also-history", tmp_path / "absent"), "no store"),
        ((*recommend, "--also-history", ring), "this very store"),
        (("recommend", "u50", "--store", ring, "--llm", "none", "--also-history", later), "no user 'u50' in store"),
        (("recommend", "--all-users", "--store", ring, "--out", "x", "--fitted", of_later), "are for one user"),
        (("fit", "--sessions", "x", "--out", "y", "--from", of_later), "--from is for a store"),
        (("fit", "--store", ring, "--from", empty), "is no fit"),
        (("fit", "--store", ring, "--out", tmp_path / "file"), "is a file"),
    ):
        status, _, errors = run(*arguments)
        assert status == 1, arguments
        assert told in errors, arguments
        assert errors.count("\n") == 1, errors


def test_a_log_that_ended_is_the_present_unless_a_moment_is_named(ring: Path, of_later: Path) -> None:
    with Agent.open(ring, "none", fitted=of_later) as agent:
        assert agent.recommend("u1", k=2).recommendations
        with pytest.raises(DataError, match="later than the moment"):
            agent.recommend("u1", at=1.1e9)


def test_models_of_items_follow_the_order_of_the_store_and_its_views(later: Path, of_later: Path) -> None:
    with Agent.open(later, "none", fitted=of_later) as agent:
        assert agent.recommend("u1", k=2).recommendations
        view = agent.for_person("u1", ["Ring 1"])
        assert {entry.item_id for entry in view.recommend("u1", k=30).recommendations} <= set(
            view._catalogue.log.item_ids
        )
        for of in (agent, view):
            assert of._moved.items.ease is not None
            assert of._moved.items.ease.item_ids == of._catalogue.log.item_ids
        assert len(view._catalogue.log.item_ids) < len(agent.store.log.item_ids)


def choice_sets(count: int, chosen_by: str) -> Iterator[ChoiceSet]:
    """Yield choices of the candidate with the highest value of one feature, mostly."""
    random = np.random.default_rng(1)
    for number in range(count):
        features = random.normal(size=(10, len(FEATURES)))
        best = int(np.argmax(features[:, FEATURES.index(chosen_by)] + 0.7 * random.normal(size=10)))
        yield ChoiceSet(f"u{number % 40}", features, best)


def test_a_beginning_that_fits_the_target_wins_on_held_out_people_and_a_wrong_one_loses() -> None:
    choices = list(choice_sets(60, "itemknn"))  # too few to learn weights from, so the beginning decides
    good, bad = (Ranker(weights={"itemknn": weight}) for weight in (1.0, -1.0))
    nothing = Ranker(weights={"age": 0.1})
    assert compare_beginnings(choices, good, nothing).is_ahead
    assert compare_beginnings(choices, bad, nothing).is_behind
    assert is_negative(compare_beginnings(choices[:5], bad, nothing))  # a few choices may tell already
    assert not is_negative(compare_beginnings([], bad, nothing))
    many = list(choice_sets(300, "itemknn"))  # enough to learn nearly the same from either beginning
    assert abs(compare_beginnings(many, bad, nothing).gain) < 0.2 * abs(compare_beginnings(choices, bad, nothing).gain)


def test_where_a_source_is_dropped_its_channels_are_dropped_too() -> None:
    ranker, shipped = Ranker(weights={"itemknn": -1.0}), Rankers.default()
    source = Rankers(channels={"popular": 9.0}, retrieved=ranker, given=ranker, cold=ranker)
    choices = list(choice_sets(60, "itemknn"))
    begun = Fusion("f", source).begin("retrieved", shipped, choices, source, seed=0)
    assert (begun.channels, begun.retrieved) == (shipped.channels, shipped.retrieved)
    assert begun.given == source.given  # each kind is judged on its own
    kept = Fusion("f", shipped).begin("retrieved", source, choices, shipped, seed=0)
    assert (kept.channels, kept.retrieved) == (shipped.channels, shipped.retrieved)


def test_a_fit_from_another_store_says_what_became_of_it(ring: Path, of_later: Path, tmp_path: Path) -> None:
    with open_store(ring) as store:
        done = fit_store(store, Extras(source=of_later), out=tmp_path / "fitted")
    assert "began with" in done.words()
    assert "among" in done.words()
    origin = read_fit(tmp_path / "fitted").origin
    assert origin.until == read_fit(of_later).origin.until  # it knows of the later events too


def test_verdicts_count_people_and_not_moments() -> None:
    verdict = Verdict.of(np.array([1.0, 0.0, 0.0]), ["a", "a", "b"])
    assert (verdict.people, verdict.gain, verdict.error) == (2, 0.25, pytest.approx(0.25 / 2**0.5))
    assert not verdict.is_known
    assert gain_of([1, 3, 0]) == pytest.approx(0.5)
    assert Verdict(30, 0.1, 0.05).is_ahead
    assert Verdict(30, -0.1, 0.05).is_behind


def test_what_is_opened_beside_no_store_is_refused(of_later: Path) -> None:
    with pytest.raises(ConfigError, match="needs a store"):
        Agent.open(None, "none", fitted=of_later)


def test_a_fit_in_a_store_notes_the_encoder_of_the_store(tmp_path: Path) -> None:
    folder = make_store(tmp_path, people=60, begin=1e9)
    reencode(str(folder), MULTILINGUAL)
    with open_store(folder) as store:
        fit_store(store)
        assert read_fit(store.fitted).origin.encoder == MULTILINGUAL.name
        with pytest.raises(ConfigError, match="folder of a store"):
            fit_store(store, out=folder)
