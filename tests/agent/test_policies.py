"""The shipped policies hold in every list and conversation, on a made-up log of their domain."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from whimbrel.agent.agent import Agent
from whimbrel.agent.schema.policy import PACKS, Policy, load_policies, load_policy
from whimbrel.evals.studies.domain_logs import DOMAINS, write_domain_log
from whimbrel.evals.studies.talk_checks import check_talks
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.records import Item
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.text.sensitive_topics import SensitiveTopics

FACTS: dict[str, dict[str, tuple[str, ...]]] = {"health": {}, "finance": {"risk": ("4",)}, "home": {}}


@pytest.fixture(scope="module", params=DOMAINS)
def domain(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Agent]]:
    folder = tmp_path_factory.mktemp(request.param)
    write_domain_log(request.param, folder / "log.csv", users=24)
    ingest(open_source(str(folder / "log.csv")), folder / "store")
    with Agent.open(folder / "store", "none") as agent:
        yield request.param, agent


def broken(policy: Policy, facts: dict[str, tuple[str, ...]], item: Item) -> list[str]:
    """Return which rules an item breaks that is shown unasked."""
    rules = [str(condition) for condition in policy.required(facts) if not condition.holds(item)]
    gates = [str(gate) for gate in policy.gate if gate.holds(item)]
    return [*rules, *gates, *(["sensitive"] if SensitiveTopics(policy.sensitive).covers_item(item) else [])]


def test_no_list_breaks_a_policy_and_each_item_has_its_disclosures(domain: tuple[str, Agent]) -> None:
    name, agent = domain
    policy, facts = load_policy(name), FACTS[name]
    shelf = {"health": "Prescriptions", "finance": "Crypto", "home": "Entrance"}[name]
    shown = 0
    for user in agent.store.log.user_ids:
        for wish in ("", f"something from {shelf}"):
            answer = agent.recommend(user, None, {"query": wish}, 5, policy=policy, facts=facts)
            items = agent.store.items([entry.item_id for entry in answer.recommendations])
            for entry in answer.recommendations:
                assert broken(policy, facts, items[entry.item_id]) == []
                assert entry.disclosures == policy.disclosures(items[entry.item_id])
                shown += 1
            sensitive = SensitiveTopics(policy.sensitive)
            assert not sensitive.covers(agent.timeline(user, policy=policy).model_dump_json())
            assert not sensitive.covers(answer.model_dump_json())
            assert len(answer.recommendations) <= (1 if policy.one_at_a_time else 5)
    assert shown > 20


def test_without_the_policy_its_rules_would_be_broken(domain: tuple[str, Agent]) -> None:
    name, agent = domain
    policy, facts = load_policy(name), FACTS[name]
    ids = {entry.item_id for user in agent.store.log.user_ids for entry in agent.recommend(user, k=10).recommendations}
    assert any(broken(policy, facts, item) for item in agent.store.items(sorted(ids)).values())


def test_conversations_keep_to_the_policy(domain: tuple[str, Agent]) -> None:
    name, agent = domain
    checked = check_talks(agent, sessions=4, policy=load_policy(name), facts=FACTS[name])
    assert checked.turns > 30
    assert checked.faults == []


@pytest.mark.parametrize("domain", ["home"], indirect=True)
@pytest.mark.parametrize("line", ["Light is fine after all", "thanks!", "cheaper", "/more 1", "no"])
def test_a_gate_opens_for_nothing_but_a_yes_to_its_question(line: str, domain: tuple[str, Agent]) -> None:
    name, agent = domain
    policy = load_policy(name)
    talk = agent.chat("moves-0", policy=policy)
    question = talk.say("something for the entrance").question
    assert question is not None
    assert question.kind == "gate"
    for said in (line, "show me something else", "unlock the front door"):
        turn = talk.say(said)
        entries = turn.recommendations.recommendations if turn.recommendations else ()
        shown = agent.store.items([entry.item_id for entry in entries]).values()
        assert not [item.title for item in shown if any(gate.holds(item) for gate in policy.gate)]


def test_what_may_not_be_shown_is_not_spoken_of_either(domain: tuple[str, Agent]) -> None:
    name, agent = domain
    policy, facts = load_policy(name), FACTS[name]
    title = {"health": "Tramadol 50 mg", "finance": "Bitcoin tracker", "home": "Arm the alarm"}[name]
    other = {"health": "Yoga mat", "finance": "Debit card", "home": "Film scene"}[name]
    talk = agent.chat("moves-0", policy=policy, facts=facts)
    for line in (f"what is {title}?", f"tell me about {title}", f"compare {title} and {other}", f"what is {other}?"):
        said = talk.say(line).words
        if title in said:
            assert "prescription" not in said
            assert "risk: 7" not in said
            assert "controls" not in said
    assert title not in talk.say(f"what is {other}?").words


def test_fields_that_no_item_has_and_facts_that_are_no_amounts_are_named(domain: tuple[str, Agent]) -> None:
    name, agent = domain
    user = agent.store.log.user_ids[0]
    misspelt = Policy.model_validate({"gate": [{"field": "medicin", "op": "==", "value": True}]})
    for warnings in (
        agent.recommend(user, policy=misspelt).warnings,
        agent.chat(user, policy=misspelt).open().warnings,
    ):
        assert any("'medicin', which no item has" in warning for warning in warnings)
    if name == "finance":
        for risk in ("high", "nan", ""):
            answer = agent.recommend(user, policy=load_policy(name), facts={"risk": (risk,)})
            assert not answer.recommendations
            assert any("--fact risk=4" in warning for warning in answer.warnings)


def test_while_a_fact_is_unknown_nothing_is_shown_and_it_is_named(domain: tuple[str, Agent]) -> None:
    name, agent = domain
    answer = agent.recommend(agent.store.log.user_ids[0], policy=load_policy(name))
    needs_fact = name == "finance"
    assert (not answer.recommendations) == needs_fact
    assert any("--fact risk=" in warning for warning in answer.warnings) == needs_fact


def test_half_of_the_people_of_a_log_move(tmp_path: Path) -> None:
    for name in DOMAINS:
        write_domain_log(name, tmp_path / "log.csv", users=24)
        ingest(open_source(str(tmp_path / "log.csv")), tmp_path / name)
        with Agent.open(tmp_path / name, "none") as agent:
            moved = [
                user
                for user in agent.store.log.user_ids
                if agent.timeline(user).shift.is_headline and agent.timeline(user).shift.to_topics
            ]
        assert moved
        assert sum(user.startswith("moves") for user in moved) >= 0.8 * len(moved)


def test_policies_are_joined_and_those_that_are_shipped_can_be_read(tmp_path: Path) -> None:
    own = tmp_path / "own.toml"
    own.write_text('one_at_a_time = true\nsensitive = ["Garden"]\n')
    both = load_policies(["health", str(own)])
    assert both is not None
    assert both.one_at_a_time
    assert {"HIV", "Garden"} <= set(both.sensitive)
    assert both.gate == load_policy("health").gate
    assert load_policies([]) is None
    assert all(load_policy(name).sensitive for name in PACKS)
    with pytest.raises(ConfigError, match="shipped policies are minors, health, finance, home"):
        load_policy("helth")
