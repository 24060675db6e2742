"""A history in another store: evidence of interest, never recommended or cited, and read as of the moment."""

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from whimbrel.agent.agent import Agent
from whimbrel.agent.elsewhere import Elsewhere, ItemElsewhere, merged
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.learning import trials
from whimbrel.agent.learning.held_out import Verdict
from whimbrel.agent.learning.trials import Trials, use_history
from whimbrel.agent.pipeline import RECOMMEND, run
from whimbrel.agent.schema.context import as_context
from whimbrel.agent.schema.results import Recommendations
from whimbrel.agent.state import PipelineConfig, Request, Resources
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.errors import DataError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.text.sensitive_topics import SensitiveTopics

SHELVES = {
    "Horror": ["Night of the vampire", "The haunted house", "Zombie cemetery", "Ghost in the cellar"],
    "Cooking": ["Soups and stews", "Baking bread at home", "The pasta cookbook", "Vegetable curries"],
    "Gardens": ["Pruning roses", "The kitchen garden", "Growing tomatoes", "Lawns and hedges"],
}


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trials, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A shop of books, and one of films with the same ids, in which `moved` watched horror and `late` something later."""
    folder, made = tmp_path_factory.mktemp("shops"), []
    books, films = ["user_id,item_id,title,topics,time"], ["user_id,item_id,title,topics,time"]
    numbered = [(topic, title) for topic, titles in SHELVES.items() for title in titles]
    for person in range(24):
        for step in range(4):
            row = (person + step * 5) % len(numbered)
            topic, title = numbered[row]
            books.append(f"u{person},{row},{title},{topic},{1e9 + person * 100 + step}")
    for person, topic, at in (("moved", "Horror", 9e8), ("u1", "Horror", 9e8), ("late", "Cooking", 2e9)):
        films += [f"{person},{n},Film: {title},{topic},{at + n}" for n, title in enumerate(SHELVES[topic])]
    for name, lines in (("books", books), ("films", films)):
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
        ingest(open_source(str(folder / f"{name}.csv")), folder / name)
        made.append(folder / name)
    return made[0], made[1]


@pytest.fixture
def agent(stores: tuple[Path, Path]) -> Iterator[Agent]:
    with Agent.open(stores[0], "none", also_history=stores[1]) as opened:
        yield opened


def topics_of(agent: Agent, answer: Recommendations) -> list[str]:
    items = agent.store.items([entry.item_id for entry in answer.recommendations])
    return [items[entry.item_id].topics[0] for entry in answer.recommendations]


def test_who_is_known_elsewhere_alone_gets_a_list_by_it(agent: Agent) -> None:
    answer = agent.recommend("moved", k=4)
    assert topics_of(agent, answer)[:3] == ["Horror"] * 3
    assert answer.path == ("No history here: 4 events in the other store show the interest.",)
    assert not [warning for warning in answer.warnings if "nothing is known" in warning]
    with pytest.raises(DataError, match="no user 'nobody'"):
        agent.recommend("nobody")


def test_items_elsewhere_are_neither_recommended_nor_cited(agent: Agent) -> None:
    for user in ("moved", "u1"):
        answer = agent.recommend(user, k=10)
        own = {event.event_id for event in agent.store.history(user)} if user == "u1" else set()
        cited = [event for entry in answer.recommendations for event in entry.evidence] + list(answer.shift.evidence)
        assert {event.event_id for event in cited} <= own
        assert not [entry for entry in answer.recommendations if entry.title.startswith("Film")]
        assert {entry.item_id for entry in answer.recommendations} <= set(agent.store.log.item_ids)


def test_what_a_person_has_from_elsewhere_under_the_same_title_is_not_recommended(
    stores: tuple[Path, Path], tmp_path: Path
) -> None:
    owned = SHELVES["Horror"][:2]
    rows = [f"same,x{n},{title.upper()},Horror,{9e8 + n}" for n, title in enumerate(owned)]
    (tmp_path / "club.csv").write_text("\n".join(["user_id,item_id,title,topics,time", *rows]) + "\n")
    ingest(open_source(str(tmp_path / "club.csv")), tmp_path / "club")
    with Agent.open(stores[0], "none", also_history=tmp_path / "club") as agent:
        listed = {entry.title for entry in agent.recommend("same", k=50).recommendations}
        again = {entry.title for entry in agent.recommend("same", context={"repeat": True}, k=50).recommendations}
    assert listed
    assert listed.isdisjoint(owned)
    assert set(SHELVES["Horror"][2:]) <= listed
    assert set(owned) <= again


def test_reasons_name_the_other_store_in_both_languages(stores: tuple[Path, Path]) -> None:
    for language, words in (("en", "In your other store you chose"), ("zh", "你在另一家店选过")):
        config = PipelineConfig.model_validate({"language": language})
        with Agent.open(stores[0], "none", config, also_history=stores[1]) as agent:
            answer = agent.recommend("moved", k=3)
        assert any(words in entry.explanation for entry in answer.recommendations)
        assert "4" in answer.path[0]


def test_only_events_before_the_moment_count(agent: Agent) -> None:
    assert not agent.recommend("late", at=1.5e9, k=2).path[0].startswith("No history here")
    assert agent.recommend("late", at=2.1e9, k=2).path[0].startswith("No history here: 4 events")


def test_sensitive_topics_of_either_store_hold(stores: tuple[Path, Path]) -> None:
    with Agent.open(stores[0], "none", also_history=stores[1]) as agent:
        elsewhere = agent._trials.elsewhere if agent._trials else None
        assert elsewhere
        before = {"before": float("inf")}
        assert len(elsewhere.read("moved", sensitive=SensitiveTopics([]), **before).events) == 4
        assert not elsewhere.read("moved", sensitive=SensitiveTopics(["Horror"]), **before).events
    with Agent.open(stores[1], "none") as other:
        other.mark_sensitive(["Horror"], "moved")
    try:
        with Agent.open(stores[0], "none", also_history=stores[1]) as agent:
            assert agent.recommend("moved", k=2).path == (
                "New person: nobody's history says what they like, so the list shows what people choose now.",
            )
    finally:
        with Agent.open(stores[1], "none") as other:
            other.mark_sensitive([], "moved")


def test_ids_elsewhere_are_not_ids_here(stores: tuple[Path, Path]) -> None:
    """Film 3 is no book 3: it counts by its text alone, and book 3 can still be recommended."""
    with Agent.open(stores[0], "none", also_history=stores[1]) as agent:
        elsewhere = agent._trials.elsewhere if agent._trials else None
        resources = Resources(agent.store, Fitted.default(), elsewhere=elsewhere)
        state = run(Request("moved", at=2.1e9, k=12), resources, RECOMMEND)
        assert state.recall.history == []
        assert len(state.recall.elsewhere) == 4
        assert "3" in {entry.item_id for entry in state.explained.recommendations}
        repeat = state.ranking.signals.get("repeat")
        assert repeat is None or not repeat.any()


def test_two_histories_are_one_in_order_of_time() -> None:
    own = [Item(title="b", time=2.0), Item(title="d", time=4.0)]
    there = [ItemElsewhere(title="a", time=1.0), ItemElsewhere(title="c", time=3.0)]
    assert [item.title for item in merged(own, there)] == ["a", "b", "c", "d"]
    assert [item.title for item in merged([Item(title="x")], there)] == ["a", "c", "x"]
    assert merged(own, []) is own


def test_a_history_elsewhere_without_a_gain_is_switched_off_with_a_word(agent: Agent) -> None:
    """Verdicts are given here as held-out people would give them: of those who are new, and of those who are not."""
    given = agent._trials
    assert given is not None

    class Judged(Trials):
        def of_history(self, until: float, *, new: bool, fitted: Fitted) -> Verdict:
            return Verdict(50, 0.1, 0.01) if new else Verdict(50, 0.0, 0.01)

    judged = Judged(given.catalogue, elsewhere=given.elsewhere)
    used, notes = use_history(judged, Request("moved"), 2.1e9, Fitted.default(), load_phrases("en"))
    assert used is given.elsewhere
    assert not notes
    known = replace(judged)
    # u1 has four events here, so one more makes them known.
    agent.feedback("u1", "0", "purchase", at=1.3e9)
    used, notes = use_history(known, Request("u1"), 2.1e9, Fitted.default(), load_phrases("en"))
    assert used is None
    assert "people with a history here gain nothing" in notes[0]


def test_held_out_people_of_both_stores_decide() -> None:
    """People who buy in one shop what they bought in the other gain by it; where the shops have nothing alike, not."""
    topics = list(SHELVES)
    items = [Item(item_id=f"{t} {n}", title=title, topics=(t,)) for t in topics for n, title in enumerate(SHELVES[t])]
    here, there = [], []
    for person in range(30):
        topic = topics[person % 3]
        here += [(1e9 + person * 10 + n, f"u{person}", f"{topic} {n}", None) for n in range(4)]
        there += [(9e8 + person * 10 + n, f"u{person}", f"{topic} {n}", None) for n in range(4)]
    shop, other = (InMemory(items, InteractionLog.build(items, events), timed=True) for events in (here, there))
    verdict = Trials(shop, elsewhere=Elsewhere(other, "other")).of_history(2e9, new=True, fitted=Fitted.default())
    assert 0 < verdict.people <= 30
    assert verdict.gain > 0
    strange = [Item(item_id=item.item_id, title=f"Screw M{n}", topics=("Tools",)) for n, item in enumerate(items)]
    tools = InMemory(strange, InteractionLog.build(strange, there), timed=True)
    flat = Trials(shop, elsewhere=Elsewhere(tools, "tools")).of_history(2e9, new=True, fitted=Fitted.default())
    assert flat.gain < verdict.gain


def test_each_path_of_a_cold_start_is_named(stores: tuple[Path, Path]) -> None:
    with Agent.open(stores[0], "none") as agent:
        assert agent.recommend("", k=2).path[0].startswith("New person: ")
        assert agent.recommend("", context={"query": "a ghost story"}, k=2).path[0].startswith("New person with a wish")
        assert agent.recommend("u2", k=2).path == ()
        document = json.loads(agent.recommend("u2", k=2).model_dump_json())
        assert document["path"] == []
    items = [Item(item_id=str(n), title=title, topics=(t,)) for t in SHELVES for n, title in enumerate(SHELVES[t])]
    items = [item.model_copy(update={"item_id": f"{n}"}) for n, item in enumerate(items)]
    with Agent(InMemory(items, InteractionLog.build(items, []), timed=True), None) as new_shop:
        state = new_shop.run(Request(context=as_context({"query": "a ghost story"}), at=1e9, k=3))
        assert state.kind == "cold"
        answer = new_shop.recommend("", at=1e9, context={"query": "a ghost story"}, k=3)
        assert "Nobody has chosen anything here yet" in answer.path[1]
        assert answer.recommendations
