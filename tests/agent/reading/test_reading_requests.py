"""A request with a model that reads: what it reads is used by every stage, and no failure of it ends the request."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import pytest

from whimbrel.agent import Agent, Item, ModelError, Recommendations, ScriptedModel
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.protocol import Generation, Likelihoods, T, Tier
from whimbrel.agent.pipeline import RANK, RECOMMEND
from whimbrel.agent.ranking.rankers import Rankers
from whimbrel.agent.reading.fuse_shift import ShiftFusion
from whimbrel.agent.state import PipelineConfig, Request
from whimbrel.prompts import Message
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import Store, open_store

BEGIN = 1_600_000_000
AT = BEGIN + 40 * 86_400
KITCHEN = [("Green tea", "Tea"), ("Black tea", "Tea"), ("Rye bread", "Bread"), ("Wheat bread", "Bread")]
ALONE = "Set of violin strings"
"""An item that no channel of the log finds for the person: its one buyer has nothing else."""
READ: dict[str, Any] = {
    "now": "The person has taken up the violin.",
    "interests": [{"name": "making music", "events": [1, 2]}],
    "shift": {
        "kind": "situational",
        "from": ["Tea"],
        "to": ["Music"],
        "probability": 0.9,
        "events": [2],
        "why": "They have time for music now.",
    },
    "phrases": ["violin strings", "rosin"],
    "unwanted": ["coffee"],
}
WEIGHTS = {"others": 0.2, "order": 3.0, "grade": 1.0, "phrases": 1.0}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    """A store of 400 cups, a kitchen and an item that stands alone."""
    folder = tmp_path_factory.mktemp("bazaar")
    lines = ["user_id,title,topics,time,event"]
    for user in range(12):
        for day in range(30):
            title, topic = KITCHEN[(user + day) % (3 if user == 0 else 4)]
            lines.append(f"u{user},{title},{topic},{BEGIN + day * 86_400 + user},purchase")
    for number in range(400):
        at = BEGIN + (10 + number % 20) * 86_400
        lines.append(f"v{number % 40},Tea cup number {number},Cups,{at},purchase")
    lines.append(f"w,{ALONE},Music,{BEGIN},purchase")
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    ingest(open_source(str(folder / "log.csv")), folder / "store")
    with open_store(folder / "store") as opened:
        yield opened


def shown(messages: Sequence[Message]) -> list[str]:
    block = messages[-1]["content"].rpartition("<data>\n")[2].partition("\n</data>")[0]
    return [line.partition(". ")[2].partition(" [")[0].partition(";")[0] for line in block.splitlines()]


def naming(*titles: str) -> Any:
    """Return a script that names these titles first, or the first title by name where it is shown none of them."""

    def reply(messages: Sequence[Message]) -> dict[str, Any]:
        options = shown(messages)
        wanted = [title for title in titles if title in options] or [min(options)]
        return {"best": [{"option": options.index(title) + 1, "grade": 9} for title in wanted]}

    return reply


class Counted(ScriptedModel):
    """A model that counts the calls of it, and fails at one of them."""

    calls, fails_at = 0, 0

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        self.count()
        return super().generate(conversations, schema=schema, max_tokens=max_tokens)

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        self.count()
        return super().log_likelihood(prompt, continuations)

    def count(self) -> None:
        self.calls += 1
        if self.calls == self.fails_at:
            raise ModelError(f"broke off at call {self.calls}")


def model_of(tier: Tier = "reads", *, scores: bool = False, **replies: Any) -> Counted:
    scripts = {"ReadReply": READ, "OrderReply": naming(ALONE), "ReasonsReply": {"reasons": []}}
    return Counted({**scripts, **replies}, tier=tier, scores=scores)


def agent_of(store: Store, model: ScriptedModel | None, **settings: Any) -> Agent:
    weighed = {"reads": WEIGHTS, "orders": WEIGHTS, "fills": {"likelihood": 1.0}}
    shipped = Rankers.default()
    kinds = {
        kind: getattr(shipped, kind).model_copy(update={"models": weighed}) for kind in ("retrieved", "given", "cold")
    }
    fitted = replace(Fitted.default(), fusion=shipped.model_copy(update=kinds))
    return Agent(store, model, PipelineConfig(**settings), fitted=fitted)


def test_the_sentence_about_now_is_the_summary(store: Store) -> None:
    model = model_of()
    found = agent_of(store, model).recommend("u0", AT, k=3)
    assert found.summary.startswith(READ["now"])
    assert "Tea" in found.summary  # the counts follow
    assert "summary" not in " ".join(
        messages[0]["content"] for messages in model.conversations
    )  # nothing else is asked
    assert found.usage.stages["read"].llm_calls == 1
    assert found.usage.stages["summarise"].llm_calls == 0


def test_an_item_near_a_phrase_is_retrieved_that_no_other_channel_finds(store: Store) -> None:
    request = Request("u0", at=AT)
    without = agent_of(store, None).run(request, RANK)
    assert ALONE not in {candidate.item.title for candidate in without.candidates}
    state = agent_of(store, model_of()).run(request, RANK)
    (alone,) = [candidate for candidate in state.candidates if candidate.item.title == ALONE]
    assert alone.channels == {"phrases": 1}
    assert len(state.candidates) == len(without.candidates)
    signals = {entry.candidate.item.title: entry.signals for entry in state.ranking.ranked}
    assert signals[ALONE]["phrases"] == max(signal["phrases"] for signal in signals.values()) > 0


def test_the_models_order_decides_the_list(store: Store) -> None:
    model = model_of(OrderReply=lambda messages: naming(ALONE, sorted(shown(messages))[1])(messages))
    found = agent_of(store, model).recommend("u0", AT, k=5)
    second_by_name = sorted(shown(model.conversations[1]))[1]
    assert [entry.title for entry in found.recommendations][:2] == [ALONE, second_by_name]
    assert {"order", "grade", "phrases"} <= found.recommendations[0].signals.keys()
    other = agent_of(store, model_of(OrderReply=naming("Wheat bread"))).recommend("u0", AT, k=5)
    assert other.recommendations[0].title == "Wheat bread"
    assert second_by_name not in [entry.title for entry in other.recommendations]
    for answer in (found, other):
        assert Recommendations.model_validate_json(answer.model_dump_json()) == answer


def test_the_reading_is_told_to_the_model_that_orders(store: Store) -> None:
    model = model_of()
    agent_of(store, model).run(Request("u0", at=AT), RANK)
    first, second = model.conversations[1:]
    assert "Interests: making music. May want: violin strings, rosin. Not: coffee." in first[-1]["content"]
    assert shown(first) == shown(second)[::-1]
    assert ALONE in shown(first)


@pytest.mark.parametrize("scores", [False, True])
def test_a_request_takes_four_calls_even_if_the_two_orders_disagree(store: Store, scores: bool) -> None:
    model = model_of(scores=scores)
    found = agent_of(store, model).recommend("u0", AT, k=5)
    assert model.calls == found.usage.llm_calls == 4
    assert {name: stage.llm_calls for name, stage in found.usage.stages.items()} == {
        "read": 1,
        "summarise": 0,
        "predict_shift": 0,
        "rank": 2,
        "explain": 1,
    }
    repeating = model_of(OrderReply={"best": [1, 2, 3]}, scores=scores)
    disagreed = agent_of(store, repeating).recommend("u0", AT, k=5).usage
    # the third order takes the call that would word the reasons
    assert disagreed.llm_calls == repeating.calls == 4
    assert disagreed.stages["explain"].llm_calls == 0


def test_a_shift_that_the_model_reads_is_fused_with_that_of_the_statistics(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    even = ShiftFusion(statistics=0.5, model=0.5)
    monkeypatch.setattr(ShiftFusion, "default", lambda: even)
    without = agent_of(store, None).run(Request("u0", at=AT), RANK).prediction
    assert without.shift.kind == "none"
    # No event has the topic yet, so the statistics keep the fused probability below what is named.
    shift = agent_of(store, model_of()).recommend("u0", AT, k=3).shift
    assert (shift.kind, shift.to_topics) == ("none", without.shift.to_topics)
    assert shift.reason == f"{without.shift.reason} The language model rather expects Music (90%)."
    bread = {**READ, "shift": {**READ["shift"], "to": ["bread"]}}
    shift = agent_of(store, model_of(ReadReply=bread)).recommend("u0", AT, k=3).shift
    fused = even.probability(without.topics["Bread"], 0.9)
    assert fused > 0.5
    assert (shift.kind, shift.from_topics, shift.to_topics) == ("situational", ("Tea",), ("Bread",))
    assert shift.confidence == pytest.approx(fused, abs=1e-3)
    assert shift.reason.startswith("They have time for music now.")
    assert [event.title for event in shift.evidence] == ["Black tea"]  # the second of the events that were shown


def test_the_model_says_which_topics_a_wish_means(store: Store) -> None:
    wish = {"query": "something to play on"}
    shift = agent_of(store, model_of()).recommend("u0", AT, wish, k=3).shift
    assert (shift.kind, shift.to_topics) == ("contextual", ("Music",))


def test_given_candidates_are_ordered_by_the_model_too(store: Store) -> None:
    agent = agent_of(store, model_of(OrderReply=naming("Tea cup number 9")))
    pool = [Item(title=title) for title in ("Tea cup number 5", "Tea cup number 9", "Tea cup number 3")]
    assert agent.rank(store.history("u0"), pool)[0] == pool[1].item_id


def failures(store: Store, tier: Tier, *, scores: bool) -> Iterator[tuple[int, Counted, Recommendations]]:
    """Yield the answers of models that fail at their first call, at their second, and so on."""
    summary = {"SummaryReply": {"summary": "Lately mostly Tea."}}
    for call in range(1, 12):
        model = model_of(tier, scores=scores, **summary)
        model.fails_at = call
        answer = agent_of(store, model).recommend("u0", AT, k=4)
        if model.calls < call:
            return
        yield call, model, answer


@pytest.mark.parametrize(
    ("tier", "scores", "least"), [("reads", False, 4), ("reads", True, 4), ("orders", False, 4), ("fills", True, 3)]
)
def test_a_model_that_fails_at_any_call_leaves_a_list_and_one_warning(
    store: Store, tier: Tier, scores: bool, least: int
) -> None:
    without = agent_of(store, None).recommend("u0", AT, k=4)
    answers = list(failures(store, tier, scores=scores))
    assert len(answers) >= least
    for call, model, answer in answers:
        assert answer.warnings == (f"without the language model: broke off at call {call}",)
        assert model.calls == call  # it is not asked again in this request
        assert len(answer.recommendations) == 4
        assert all(entry.explanation for entry in answer.recommendations)
        assert Recommendations.model_validate_json(answer.model_dump_json()) == answer
    assert answers[0][2].recommendations == without.recommendations  # nothing came of the model
    assert answers[0][2].shift == without.shift


def test_what_the_model_said_before_it_failed_is_kept(store: Store) -> None:
    answers = {call: answer for call, _, answer in failures(store, "reads", scores=False)}
    assert all(answers[call].summary.startswith(READ["now"]) for call in (2, 3, 4))
    assert answers[4].recommendations[0].title == ALONE  # the order was there
    assert not any("order" in entry.signals for entry in answers[2].recommendations)


@pytest.mark.parametrize("schema", ["ReadReply", "OrderReply", "ReasonsReply"])
@pytest.mark.parametrize("reply", ["I would rather not say.", ""])
def test_a_reply_that_cannot_be_used_leaves_a_list_and_one_note(store: Store, schema: str, reply: str) -> None:
    found = agent_of(store, model_of(**{schema: reply})).recommend("u0", AT, k=4)
    assert len(found.recommendations) == 4
    (warning,) = found.warnings
    assert warning.startswith("the model's ")
    assert found.usage.misfits >= 1
    assert found.summary.startswith(READ["now"]) == (schema != "ReadReply")
    assert (found.recommendations[0].title == ALONE) == (schema == "ReasonsReply")


def test_a_failure_after_an_unusable_reply_is_the_only_warning(store: Store) -> None:
    model = model_of(ReadReply="I would rather not say.", SummaryReply={"summary": "Lately mostly Tea."})
    model.fails_at = 2
    found = agent_of(store, model).recommend("u0", AT, k=4)
    assert found.warnings == ("without the language model: broke off at call 2",)


def test_the_notes_on_several_unusable_replies_are_one(store: Store) -> None:
    prose = "I would rather not say."
    (note,) = agent_of(store, model_of(ReadReply=prose, ReasonsReply=prose)).recommend("u0", AT, k=4).warnings
    assert note.startswith("the model's reading of the person was left out")
    assert "; the model's reasons" in note


def test_a_model_of_which_no_reply_can_be_used_leaves_what_there_is_without_it_and_one_warning(store: Store) -> None:
    prose = dict.fromkeys(("ReadReply", "OrderReply", "ReasonsReply"), "I would rather not say.")
    found = agent_of(store, model_of(**prose)).recommend("u0", AT, k=4)
    without = agent_of(store, None).recommend("u0", AT, k=4)
    assert (found.recommendations, found.shift, found.summary) == (
        without.recommendations,
        without.shift,
        without.summary,
    )
    (warning,) = found.warnings
    assert warning.startswith("without the language model: none of its replies could be used (")


def test_a_failure_is_kept_in_the_state_and_every_stage_runs(store: Store) -> None:
    model = model_of()
    model.fails_at = 1
    steps: list[str] = []
    state = agent_of(store, model).run(Request("u0", at=AT), on_step=steps.append)
    assert str(state.failure) == "broke off at call 1"
    assert tuple(steps) == tuple(state.seconds) == RECOMMEND
    assert agent_of(store, model_of()).run(Request("u0", at=AT)).failure is None


def test_a_person_without_a_history_is_not_read(store: Store) -> None:
    model = model_of()
    found = agent_of(store, model).recommend("", AT, k=3)
    assert len(found.recommendations) == 3
    assert found.usage.stages["read"].llm_calls == 0


def test_the_tier_of_the_settings_counts_before_that_of_the_model(store: Store) -> None:
    model = model_of("fills", SummaryReply={"summary": "Lately mostly Tea."})
    found = agent_of(store, model, tier="reads").recommend("u0", AT, k=3)
    assert found.usage.stages["read"].llm_calls == 1
    model = model_of("reads", SummaryReply={"summary": "Lately mostly Tea."})
    found = agent_of(store, model, tier="orders").recommend("u0", AT, k=3)
    assert found.usage.stages["read"].llm_calls == 0
    assert found.usage.stages["summarise"].llm_calls == 1
