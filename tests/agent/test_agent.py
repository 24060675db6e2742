"""The agent from Python: the contract, with a scripted model, with the bundled one, and with none."""

from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent import Agent, DataError, Interaction, Item, ModelError, Recommendations, ScriptedModel
from whimbrel.agent.language_models.protocol import Likelihoods, Tier
from whimbrel.agent.state import PipelineConfig
from whimbrel.tools.store.store import open_store

AT = 1_600_000_000 + 34 * 86_400
REASON = {"events": [1], "reason": "Pure magic."}
POOL = [Item(item_id=title, title=title) for title in ("Rye bread", "Horror film night", "Garden hose", "White tea")]


def check(found: Recommendations, agent: Agent) -> None:
    assert Recommendations.model_validate_json(found.model_dump_json()) == found
    history = {event.event_id: event for event in agent.store.history(found.user_id)}
    ids = [entry.item_id for entry in found.recommendations]
    assert ids
    assert len(set(ids)) == len(ids)
    assert not set(ids) & {event.item_id for event in history.values() if event.time < found.at}
    for cited in [*found.shift.evidence, *(e for entry in found.recommendations for e in entry.evidence)]:
        assert history[cited.event_id].time < found.at
        assert history[cited.event_id].title == cited.title
    for entry in found.recommendations:
        assert entry.evidence
        assert sum(entry.signals.values()) == pytest.approx(entry.score, abs=1e-3)


def test_without_a_model(shop: Path) -> None:
    with Agent.open(shop, llm="none") as agent:
        found = agent.recommend("u5", AT, k=5)
        check(found, agent)
        assert found.usage.llm_calls == 0
        assert not any(
            "snack" in e.title for e in agent.recommend("u5", AT, {"query": "a table, no tea"}).recommendations
        )


def test_the_moment_may_be_told_by_the_context(shop: Path) -> None:
    with Agent.open(shop, None) as agent:
        told, asked = agent.recommend("u5", context={"time": AT}), agent.recommend("u5", AT)
        assert told.at == asked.at
        assert [one.item_id for one in told.recommendations] == [one.item_id for one in asked.recommendations]
        assert agent.recommend("u5", AT, {"time": "2020-01-01"}).at == asked.at


@pytest.mark.parametrize("k", [0, -1, 2.5, True, "3"])
def test_how_many_is_a_whole_number(shop: Path, k: object) -> None:
    with Agent.open(shop, None) as agent:
        with pytest.raises(ValueError, match="whole number"):
            agent.recommend("u5", AT, k=k)  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="whole number"):
            agent.choose([], k=k)  # type: ignore[arg-type]


def test_a_reason_that_names_nothing_real_is_replaced_with_a_warning(shop: Path) -> None:
    model = ScriptedModel({"SummaryReply": {"summary": "Lately mostly Tea."}, "ReasonReply": REASON})
    with Agent.open(shop, llm=model, config=PipelineConfig(worded=10)) as agent:
        found = agent.recommend("u5", AT, k=10)
        check(found, agent)
    assert any("replaced by plain reasons" in warning for warning in found.warnings)
    assert not any("magic" in entry.explanation for entry in found.recommendations)


def test_a_model_whose_replies_never_fit_leaves_the_list_that_there_is_without_it(shop: Path) -> None:
    with Agent.open(shop, llm="none") as agent:
        without = agent.recommend("u5", AT, k=5)
    with Agent.open(shop, llm=ScriptedModel()) as agent:
        found = agent.recommend("u5", AT, k=5)
        check(found, agent)
    assert found.recommendations == without.recommendations
    assert (found.summary, found.shift) == (without.summary, without.shift)
    assert found.usage.misfits == found.usage.llm_calls > 0
    (warning,) = found.warnings
    assert warning.startswith("without the language model: none of its replies could be used (")
    assert warning.endswith("): try another model")
    assert "summary was replaced" in warning


class Unreachable(ScriptedModel):
    """A model that nobody answers for."""

    def generate(self, *_: object, **__: object) -> list[Any]:  # type: ignore[override]
        raise ModelError("nobody answers: is the server running?")

    def log_likelihood(self, *_: object) -> Likelihoods:
        raise ModelError("nobody answers: is the server running?")


@pytest.mark.parametrize("tier", ["fills", "orders", "reads"])
def test_a_model_that_cannot_be_reached_leaves_the_list_that_there_is_without_it(shop: Path, tier: Tier) -> None:
    with Agent.open(shop, llm="none") as agent:
        without = agent.recommend("u5", AT, k=5)
        history = agent.store.history("u5", before=AT)
        shift, order = agent.predict_shift(history, at=AT), agent.rank(history, POOL)
    with Agent.open(shop, llm=Unreachable(tier=tier)) as agent:
        found = agent.recommend("u5", AT, k=5)
        assert agent.predict_shift(history, at=AT) == shift
        assert agent.rank(history, POOL) == order
    assert found.recommendations == without.recommendations
    assert (found.summary, found.shift) == (without.summary, without.shift)
    assert found.warnings == ("without the language model: nobody answers: is the server running?",)


def test_rank_needs_no_store_and_returns_every_candidate() -> None:
    agent = Agent.open(None, llm="none")
    history = [Item(item_id="h", title="Scream", topics=("Horror",))]
    pool = [
        Item(item_id=str(n), title=title) for n, title in enumerate(["Rye bread", "Horror film night", "Garden hose"])
    ]
    order = agent.rank(history, pool)
    assert sorted(order) == ["0", "1", "2"]
    assert order[0] == "1"
    assert agent.predict_shift(history).kind == "none"


def test_movielens_whole(ml100k: Path, tmp_path: Path) -> None:
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest

    assert ingest(open_source(str(ml100k)), tmp_path / "ml").events == 100_000
    with Agent.open(tmp_path / "ml", llm="none") as agent:
        for user_id in agent.store.log.user_ids[:50]:
            history = agent.store.history(user_id)
            check(agent.recommend(user_id, history[len(history) * 3 // 4].time + 1), agent)


@pytest.mark.slow
def test_the_bundled_model_end_to_end(shop: Path) -> None:
    with Agent.open(shop, llm="bundled") as agent:
        found = agent.recommend("u5", AT, k=3)
        check(found, agent)
    assert found.usage.completion_tokens > 0
    with Agent.open(None, llm="bundled") as alone:  # of what no log knows, the model's likelihood tells something
        pool = [Item(item_id=str(n), title=title) for n, title in enumerate(["Halloween", "Babe", "Scream 2"])]
        ranked = alone.ranking([Item(item_id="h", title="Scream")], pool).ranked
    assert all({"likelihood", "prior"} <= entry.signals.keys() for entry in ranked)
    assert all(sum(entry.signals.values()) == pytest.approx(entry.score) for entry in ranked)


FACTS = """user_id,item_id,title,time,topics
a,1,White bread,2020-01-01,Bakery
b,2,Cold lager,2020-01-02,Beer
b,3,Red Merlot,2020-01-03,Wine
b,4,Spaghetti,2020-01-04,Pasta
b,1,White bread,2020-01-05,Bakery
"""


@pytest.mark.parametrize(
    "later",
    [
        "b,9,Gin,2020-03-01,Alcohol\n",
        "b,1,RENAMED bread,2020-03-01,Sport\n",
        "".join(f"b,x{n},wine beer number {n},2020-03-01,Wine\n" for n in range(600)),
    ],
    ids=["a topic", "a name", "a statistics"],
)
def test_what_is_told_later_changes_no_answer(later: str, tmp_path: Path) -> None:
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest

    answers = []
    for number, rows in enumerate((FACTS, FACTS + later)):
        (tmp_path / f"{number}.csv").write_text(rows)
        ingest(open_source(str(tmp_path / f"{number}.csv")), tmp_path / f"s{number}")
        with Agent.open(tmp_path / f"s{number}", llm="none") as agent:
            contexts = [None, {"avoid": "alcohol"}, {"query": "something to drink"}, {"query": "no wine"}]
            found = [agent.recommend("a", "2020-02-01", context) for context in contexts]
        answers.append([f.model_dump(exclude={"usage"}) for f in found])
    assert answers[0] == answers[1]


def test_what_is_refused_is_not_wished(tmp_path: Path) -> None:
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest

    (tmp_path / "a.csv").write_text(FACTS)
    ingest(open_source(str(tmp_path / "a.csv")), tmp_path / "s")
    with Agent.open(tmp_path / "s", llm="none") as agent:
        for words in ("no wine", "something; I don\u2019t want wine", "I do not want wine"):
            found = agent.recommend("a", "2020-02-01", {"query": words})
            assert "Wine" not in found.shift.to_topics
            assert not any("Merlot" in entry.title for entry in found.recommendations)
        with pytest.raises(TypeError, match="mapping"):
            agent.recommend("a", context="place")  # type: ignore[arg-type]
        with pytest.raises(ValueError, match="place"):
            agent.recommend("a", context={"place": None})


def test_without_any_signal_every_candidate_is_ranked() -> None:
    pool = [Item(item_id=str(n), title=title) for n, title in enumerate(["Scream", "Halloween", "Babe"])]
    assert sorted(Agent.open(None, llm="none").rank([], pool)) == ["0", "1", "2"]


def test_what_was_rated_low_is_not_cited(tmp_path: Path) -> None:
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest

    rows = [f"u,Film about {thing},{10**9 + n},{rating}" for n, (thing, rating) in enumerate([("war", 1), ("love", 5)])]
    rows += [f"v,Film about {thing} too,{10**9},3" for thing in ("war", "love", "trains")]
    (tmp_path / "a.csv").write_text("user_id,title,time,rating\n" + "\n".join(rows) + "\n")
    ingest(open_source(str(tmp_path / "a.csv")), tmp_path / "s")
    with Agent.open(tmp_path / "s", llm="none") as agent:
        found = agent.recommend("u", 10**9 + 10)
    assert found.recommendations
    assert {event.title for entry in found.recommendations for event in entry.evidence} == {"Film about love"}


def test_what_a_person_turned_away_from_is_neither_followed_nor_recommended(tmp_path: Path) -> None:
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest

    (tmp_path / "a.csv").write_text(FACTS)
    ingest(open_source(str(tmp_path / "a.csv")), tmp_path / "s")
    with Agent.open(tmp_path / "s", llm="none") as agent:
        before = agent.recommend("a", "2030-01-01")
        taken = before.recommendations[0]
        agent.feedback("a", taken.item_id, "Dislike", "2025-12-31")
        after = agent.recommend("a", "2030-01-01")
        assert taken.item_id not in {entry.item_id for entry in after.recommendations}
        assert taken.title not in {event.title for entry in after.recommendations for event in entry.evidence}
        rest = [entry.item_id for entry in before.recommendations[1:]]
        assert [entry.item_id for entry in after.recommendations][: len(rest)] == rest
        agent.feedback("a", taken.item_id, "purchase", "2025-12-31T12:00")
        again = agent.recommend("a", "2030-01-01")
        assert again != after
        assert taken.item_id not in {entry.item_id for entry in again.recommendations}  # bought by now


def test_who_turns_away_later_had_not_done_so_yet() -> None:
    facts = {"user_id": "u", "item_id": "1", "title": "Scream", "topics": ["Horror"]}
    liked = Interaction.model_validate(facts | {"time": 10**9, "event": "rating"})
    later = Interaction.model_validate(facts | {"time": 2 * 10**9, "event": "dislike"})
    pool = [Item(item_id="2", title="Babe"), Item(item_id="3", title="Scream 2", topics=("Horror",))]
    agent, then = Agent.open(None, llm="none"), {"time": "2020-01-01"}
    as_of = [agent.ranking(history, pool, then).ranked for history in ([liked], [liked, later])]
    assert [entry.signals for entry in as_of[0]] == [entry.signals for entry in as_of[1]]
    assert as_of[0][0].candidate.item.item_id == "3"
    assert not any(entry.score for entry in agent.ranking([liked, later], pool).ranked)


def test_only_what_is_near_a_wish_is_said_to_fit_it(tmp_path: Path) -> None:
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest

    rows = ["user_id,title,topics,time"]
    for number, (title, topic) in enumerate([("Spade", "Garden"), ("Seeds", "Garden"), ("Mouse pad", "Office")] * 4):
        rows.append(f"u{number % 4},{title},{topic},{10**9 + number}")
    rows.append(f"me,Stapler,Office,{10**9}")
    (tmp_path / "a.csv").write_text("\n".join(rows) + "\n")
    ingest(open_source(str(tmp_path / "a.csv")), tmp_path / "s")
    with Agent.open(tmp_path / "s", llm="none") as agent:
        found = agent.recommend("me", 10**9 + 100, {"query": "something for the garden"})
    reasons = {entry.title: entry.explanation for entry in found.recommendations}
    assert [entry.title for entry in found.recommendations][2] == "Mouse pad"
    assert all("what you asked for" in reasons[title] for title in ("Spade", "Seeds"))
    assert "what you asked for" not in reasons["Mouse pad"]


def test_a_rare_item_is_told_to_be_one(tmp_path: Path) -> None:
    from whimbrel.agent.ranking.rank import RankConfig
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest

    statistics = "".join(f"c{n},{2 + n % 2},{['Cold lager', 'Red Merlot'][n % 2]},2020-01-06,Beer\n" for n in range(20))
    (tmp_path / "a.csv").write_text(FACTS + statistics)
    ingest(open_source(str(tmp_path / "a.csv")), tmp_path / "s")
    config = PipelineConfig(rank=RankConfig(novelty=10))
    with Agent.open(tmp_path / "s", llm="none", config=config) as agent:
        first = agent.recommend("a", "2020-02-01").recommendations[0]
    assert first.title == "Spaghetti"
    assert first.signals["novelty"] > 0
    assert first.explanation.startswith("Few people know it")


def test_feedback_is_known_to_the_next_request(tmp_path: Path) -> None:
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest

    (tmp_path / "a.csv").write_text(FACTS)
    ingest(open_source(str(tmp_path / "a.csv")), tmp_path / "s")
    with Agent.open(tmp_path / "s", llm="none") as agent:
        first = agent.recommend("new", "2030-01-01").recommendations[0] if "new" in agent.store.log.user_ids else None
        assert first is None
        known = agent.recommend("a", "2030-01-01")
        taken = known.recommendations[0]
        agent.feedback("a", taken.item_id, "Click", "2025-12-31", context={"place": "work"})
        after = agent.recommend("a", "2030-01-01")
        assert taken.item_id not in {entry.item_id for entry in after.recommendations}
        assert taken.title in {event.title for entry in after.recommendations for event in entry.evidence} | {
            event.title for event in agent.store.history("a")
        }
        assert agent.store.history("a")[-1].context == {"place": "work"}
        agent.feedback("new", taken.item_id, "click", "2025-12-31")
        assert agent.recommend("new", "2030-01-01").recommendations
        before = agent.recommend("a", "2025-12-31")
        assert taken.item_id in {entry.item_id for entry in before.recommendations}  # not known yet
        with pytest.raises(DataError, match="no item 'nothing'"):
            agent.feedback("a", "nothing", "click")
        with pytest.raises(DataError, match="feedback event"):
            agent.feedback("a", taken.item_id, "")
        log = agent.store.log
    with open_store(tmp_path / "s") as store:
        assert store.log.time.tolist() == log.time.tolist()
        store.fold()
        store._stored_log.build()
        rebuilt = store.log
        for name in ("time", "appeared", "pair_time", "item_pair_offset"):
            assert getattr(rebuilt, name).tolist() == getattr(log, name).tolist()


def test_who_is_forgotten_is_gone(tmp_path: Path) -> None:
    from whimbrel.tools.sources.formats import open_source
    from whimbrel.tools.sources.ingest import ingest

    (tmp_path / "a.csv").write_text(FACTS)
    ingest(open_source(str(tmp_path / "a.csv")), tmp_path / "s")
    with Agent.open(tmp_path / "s", llm="none") as agent:
        events = len(agent.store.log.time)
        assert agent.forget("a").events == events - len(agent.store.log.time) > 0
        with pytest.raises(DataError, match="no user 'a'"):
            agent.recommend("a")
    with open_store(tmp_path / "s") as store:
        assert "a" not in store.log.user_ids
        with pytest.raises(DataError, match="no user 'a'"):
            store.forget("a")
