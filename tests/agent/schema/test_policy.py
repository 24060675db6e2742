"""The operator's policy holds whatever is said, and what is said can be seen and taken back."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from whimbrel.agent import Agent
from whimbrel.agent.chat.session import Session
from whimbrel.agent.chat.turn import Turn
from whimbrel.agent.schema.policy import Policy, load_policy, parse_facts
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.sources.formats import open_source_with_items
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.sources.table_options import parse_map

POLICY = Policy.model_validate(
    {
        "require": [{"field": "services", "op": "contains_any", "value": {"fact": "services"}}],
        "gate": [{"field": "rated", "op": "in", "value": ["R", "NC-17"]}],
        "disclose": [{"when": {"field": "sponsored", "op": "==", "value": True}, "words": "This is an advertisement."}],
        "one_at_a_time": True,
    }
)
KINDS = ("Comedy", "Horror", "Drama")
NAMES = [
    "Harbour",
    "Meadow",
    "Lantern",
    "Compass",
    "Orchard",
    "Glacier",
    "Violin",
    "Tunnel",
    "Saffron",
    "Parade",
    "Cobalt",
    "Thicket",
    "Anchor",
    "Velvet",
    "Quarry",
    "Willow",
    "Ember",
    "Canyon",
    "Mirror",
    "Falcon",
    "Marble",
    "Beacon",
    "Cactus",
    "Domino",
]


@pytest.fixture(scope="module")
def films(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of 24 films. Every second one is rated R, and every third one is on Hulu."""
    folder = tmp_path_factory.mktemp("films")
    rows = [
        {
            "item_id": f"f{number}",
            "title": name,
            "topics": [KINDS[number % 3 if number % 4 else 0]],
            "minutes": 80 + 3 * number,
            "rated": "R" if number % 2 else "PG",
            "services": ["Hulu"] if number % 3 == 0 else ["Netflix"],
            "sponsored": number % 5 == 0,
        }
        for number, name in enumerate(NAMES)
    ]
    (folder / "films.json").write_text(json.dumps(rows))
    (folder / "log.csv").write_text("user_id,item_id,time\nana,f0,2024-01-01\nana,f3,2024-01-02\n")
    mapped = parse_map([f"{name}=field.{name}" for name in ("minutes", "rated", "services", "sponsored")])
    ingest(open_source_with_items(str(folder / "log.csv"), str(folder / "films.json"), mapped=mapped), folder / "store")
    return folder / "store"


@pytest.fixture(scope="module")
def agent(films: Path) -> Iterator[Agent]:
    with Agent.open(films, llm="none") as agent:
        yield agent


def session(agent: Agent, **given: object) -> Session:
    return agent.chat("", policy=POLICY, **{"facts": {"services": ("Hulu",)}, **given})  # type: ignore[arg-type]


def titles(turn: Turn) -> list[str]:
    return [entry.title for entry in turn.recommendations.recommendations] if turn.recommendations else []


def until_a_list(talk: Session, turn: Turn, *, gate: str = "yes", lines: Sequence[str] = ()) -> Turn:
    """Answer questions until there is a list."""
    while turn.question:
        turn = talk.say(gate if turn.question.kind == "gate" else "I don't mind")
    return turn


def test_one_item_is_shown_and_it_is_available(agent: Agent) -> None:
    talk = session(agent)
    turn = until_a_list(talk, talk.open())
    assert len(titles(turn)) == 1
    assert next(iter(turn.fields.values()))["services"] == ("Hulu",)


def test_a_closed_gate_stays_closed(agent: Agent) -> None:
    talk = session(agent)
    turn = until_a_list(talk, talk.open(), gate="no")
    shown = set()
    while titles(turn):
        shown.update(fact["rated"] for fact in turn.fields.values())
        turn = until_a_list(talk, talk.say("another one"), gate="no")
    assert shown == {"PG"}


def test_an_item_behind_a_gate_comes_after_a_yes(agent: Agent) -> None:
    talk = session(agent)
    talk.open()
    turn = talk.say("rated R")
    kinds = []
    while turn.question:
        assert not titles(turn)
        kinds.append(turn.question.kind)
        turn = talk.say("yes" if turn.question.kind == "gate" else "I don't mind")
    assert kinds[-1] == "gate"
    assert next(iter(turn.fields.values()))["rated"] == "R"


def test_a_fact_that_the_policy_needs_is_asked_for(agent: Agent) -> None:
    talk = session(agent, facts=None)
    turn = talk.open()
    assert turn.question is not None
    assert (turn.question.kind, turn.question.field, turn.recommendations) == ("fact", "services", None)
    turn = talk.say("comedy")
    assert turn.question is not None
    assert turn.question.kind == "fact"
    turn = until_a_list(talk, talk.say("I have Netflix"))
    assert next(iter(turn.fields.values()))["services"] == ("Netflix",)


def test_what_must_be_said_is_said(agent: Agent) -> None:
    talk = session(agent)
    turn, told = until_a_list(talk, talk.open()), dict[bool, set[int]]()
    while titles(turn):
        (item_id,) = turn.fields
        told.setdefault(bool(turn.fields[item_id]["sponsored"]), set()).add(len(turn.disclosures.get(item_id, ())))
        turn = until_a_list(talk, talk.say("another one"))
    assert told == {True: {1}, False: {0}}


def test_no_question_is_asked_twice(agent: Agent) -> None:
    talk = session(agent)
    turn, asked = talk.open(), list[str]()
    for line in ("no idea", "comedy", "doesn't matter", "yes", "another one", "shorter", "another one", "no", "drama"):
        asked += [turn.question.text] if turn.question else []
        turn = talk.say(line)
    assert len(asked) == len(set(asked)) > 1


def test_undo_takes_back_one_change_after_the_other(agent: Agent) -> None:
    talk = agent.chat()
    talk.open()
    before = talk.state
    talk.say("no horror")
    talk.say("under 100 minutes")
    assert talk.state.conditions
    assert talk.say("undo").act == "undo"
    assert (talk.state.refused, talk.state.conditions) == (("Horror",), ())
    talk.say("undo")
    assert talk.state == before


def test_nothing_fits_and_what_would_have_to_give(agent: Agent) -> None:
    talk = agent.chat()
    talk.open()
    turn = talk.say("a comedy under 20 minutes")
    assert titles(turn) == []
    assert turn.recommendations is not None
    assert "would fit without: minutes at most 20" in turn.words


def test_later_words_win(agent: Agent) -> None:
    talk = agent.chat(k=3)
    talk.open()
    talk.say("under 100 minutes")
    turn = talk.say("at most 90 minutes")
    assert [(c.op, c.value) for c in turn.state.conditions] == [("<=", 90.0)]
    assert all(fact["minutes"] <= 90 for fact in turn.fields.values())  # type: ignore[operator]
    assert talk.say("any length is fine").state.conditions == ()


def test_what_is_known_or_rejected_does_not_come_again(agent: Agent) -> None:
    talk = agent.chat(k=2)
    first = talk.open()
    turn = talk.say("I have seen the first one")
    assert titles(first)[0] not in titles(turn)
    rejected = titles(turn)[1]
    turn = talk.say("not the second")
    assert rejected in turn.state.rejected.values()
    assert rejected not in titles(turn)


def test_what_a_person_takes_is_recorded(films: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(films, tmp_path / "copy")
    with Agent.open(tmp_path / "copy", llm="none") as agent:
        talk = agent.chat("ana", k=2)
        taken = titles(talk.open())[1]
        assert taken in talk.say("I'll take the second").words
        history = agent.store.history("ana")
        assert (history[-1].title, history[-1].event) == (taken, "accept")


def test_an_unknown_person_is_a_new_one_with_a_warning(agent: Agent) -> None:
    turn = agent.chat("nobody").open()
    assert titles(turn)
    assert any("'nobody'" in warning for warning in turn.warnings)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", "neither JSON nor TOML"),
        ('{"gate": [{"field": "x", "op": "~", "value": 1}]}', "gate.0.op"),
        ('{"require": [{"field": "x", "op": "in", "value": 1}]}', "takes a list"),
        ('{"one_at_a_time": "perhaps"}', "one_at_a_time"),
        ('{"forbid": []}', "forbid"),
        ("[]", "the policy"),
    ],
)
def test_a_policy_that_means_nothing_is_refused(text: str, words: str, tmp_path: Path) -> None:
    file = tmp_path / "policy.json"
    file.write_text(text)
    with pytest.raises(ConfigError, match=words):
        load_policy(file)


def test_a_policy_may_be_toml(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text('one_at_a_time = true\n[[gate]]\nfield = "rated"\nop = "=="\nvalue = "R"\n')
    assert load_policy(file).gate[0].value == "R"
    with pytest.raises(ConfigError, match="cannot be read"):
        load_policy(tmp_path / "absent.json")


def test_facts_are_names_with_values() -> None:
    assert parse_facts(["services=Hulu, Netflix", "age=30"]) == {"services": ("Hulu", "Netflix"), "age": ("30",)}
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        parse_facts(["Hulu"])
