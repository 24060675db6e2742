"""Sensitive topics are never inferred, shifted to, named or sent, by any door."""

import json
from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent.agent import Agent
from whimbrel.agent.batch.answering import ListRequest
from whimbrel.agent.batch.recommend_all import recommend_all
from whimbrel.agent.toolbox import toolbox
from whimbrel.evals.studies.recording_server import READER, recording_server
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.records import Item
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.text.sensitive_topics import SensitiveTopics

AT = "2020-12-01"
WORD = "garden"
"""The topic, which is a word of one title too: "Garden hose"."""
NAMES = ("flower pot", "rose seeds", "rake", "garden hose", "my garden", "the garden", '"garden"')


@pytest.fixture
def store(shop_csv: Path, tmp_path: Path) -> Path:
    ingest(open_source(str(shop_csv)), tmp_path / "store")
    return tmp_path / "store"


def names_it(value: Any) -> bool:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return any(name in text.lower().replace("\\", "") for name in NAMES)


def test_before_the_mark_the_topic_is_named_everywhere(store: Path) -> None:
    with Agent.open(store, "none") as agent:
        assert names_it(agent.recommend("u1", AT).model_dump(mode="json"))
        assert names_it(agent.timeline("u1", AT).model_dump(mode="json"))


def test_a_topic_that_is_sensitive_for_everybody_is_named_by_no_door(store: Path, tmp_path: Path) -> None:
    with recording_server() as server:
        with Agent.open(store, server.spec(READER)) as agent:
            assert agent.mark_sensitive(["GARDEN"]) == ("GARDEN",)
            answers: list[Any] = [
                agent.recommend(user, AT, {"place": "home"}).model_dump(mode="json") for user in ("u1", "u5")
            ]
            answers += [agent.timeline("u1", AT).model_dump(mode="json")]
            talk = agent.chat("u1", AT)
            for line in ("something for tea", "why the first?", "what do you know about me", "/state"):
                answers.append(talk.say(line).words)
            given = [
                Item(item_id=str(n), title=t, topics=("Garden",)) for n, t in enumerate(["Rake", "Spade", "Rose seeds"])
            ]
            tea = [Item(item_id=f"t{n}", title=f"Tea {n}", topics=("Tea",)) for n in range(3)]
            assert agent.rank([given[0], tea[0]], [*given[1:], *tea[1:]])[:2] == ["t1", "t2"]
            assert agent.predict_shift([*tea, *given]).to_topics in ((), ("Tea",))
        assert not [answer for answer in answers if names_it(answer)]
        requests = server.take()
        assert len(requests) > 5
        assert not [request for request in requests if names_it(request)]
    with Agent.open(store, "none") as agent:
        assert agent.store.settings.sensitive() == ("GARDEN",)


def test_forms_of_a_name_are_covered_and_other_words_are_not() -> None:
    sensitive = SensitiveTopics(["Depression", "STI", "心理健康", "C++ (old)"])
    covered = (
        "Depressions together",
        "Depressionen verstehen",
        "DEPRESSION",
        "an STI test",
        "关于心理健康的书",
        "c++ (OLD) way",
    )
    assert all(map(sensitive.covers, covered))
    for name, text in (
        ("Self-harm", "self\u2011harm"),
        ("Health", "health_beauty"),
        ("Érotique", "Erotique"),
        ("Women's health", "Women\u2019s health"),
        ("Health", "Heal\u200cth"),
    ):
        assert SensitiveTopics([name]).covers(text)
    assert not any(map(sensitive.covers, ("depressed", "stick", "impressions", "C++")))


def test_a_wish_that_names_it_is_not_used_and_a_line_is_not_sent(store: Path) -> None:
    with recording_server() as server:
        with Agent.open(store, server.spec(READER)) as agent:
            agent.mark_sensitive([WORD])
            answer = agent.recommend("u1", AT, {"query": "a garden hose", "place": "the garden"})
            assert load_phrases("en").notes.sensitive in answer.warnings
            talk = agent.chat("u1", AT)
            assert "sensitive" in talk.say("a hose for my garden").words
            assert talk.state.wants == ()
        assert not [request for request in server.take() if names_it(request)]


def test_a_persons_own_mark_holds_for_them_alone_and_is_forgotten_with_them(store: Path, tmp_path: Path) -> None:
    with Agent.open(store, "none") as agent:
        agent.mark_sensitive([WORD], "u1")
        assert not names_it(agent.recommend("u1", AT).model_dump(mode="json"))
        assert names_it(agent.recommend("u2", AT).model_dump(mode="json"))
    recommend_all(str(store), tmp_path / "lists.jsonl", ListRequest())
    lists = {
        answer["user_id"]: answer for answer in map(json.loads, (tmp_path / "lists.jsonl").read_text().splitlines())
    }
    assert not names_it(lists["u1"])
    assert names_it(lists["u2"])
    with Agent.open(store, "none") as agent:
        assert agent.forget("u1").removed["sensitive topics"] == 1
        assert agent.store.marks == {}


def test_an_open_conversation_goes_on_without_a_topic_that_is_marked_meanwhile(store: Path) -> None:
    with Agent.open(store, "none") as agent:
        talk = agent.chat("u1", AT)
        talk.open()
        assert WORD in talk.say("what do you know about me").words.lower()
        talk.say("something for the garden")
        agent.mark_sensitive(["garden"])
        lines = ("something else", "what do you know about me", "/state", "/why", "why the first?", "undo")
        for turn in map(talk.say, lines):
            listed = turn.recommendations.model_dump_json() if turn.recommendations else ""
            assert WORD not in turn.words.lower()
            assert not names_it(listed)


def test_tools_know_nothing_of_it(store: Path) -> None:
    with Agent.open(store, "none") as agent:
        words = [str(tool.invoke({})) for tool in toolbox(agent, "u1") if not tool.args]
        assert any('"Garden"' in said for said in words)
        agent.mark_sensitive([WORD], "u1")
        assert not [said for tool in toolbox(agent, "u1") if not tool.args and names_it(said := str(tool.invoke({})))]


def test_the_whole_store_can_still_be_written_and_exported(store: Path) -> None:
    with Agent.open(store, "none") as agent:
        item_id = agent.store.history("u1")[-1].item_id
        agent.mark_sensitive([WORD])
        agent.feedback("u1", item_id, "click", AT)
        assert agent.store.history("u1")[-1].item_id == item_id
        agent.mark_sensitive([])
        assert names_it(agent.recommend("u1", AT).model_dump(mode="json"))


@pytest.mark.parametrize("topics", [[""], ["x" * 201], [f"t{n}" for n in range(1001)]])
def test_impossible_marks_are_refused(topics: list[str], store: Path) -> None:
    with Agent.open(store, "none") as agent, pytest.raises(ConfigError):
        agent.mark_sensitive(topics)
