"""Explanations are measured: citations are looked up, names are compared, and a run resumes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent import Agent, Interaction, Item, ScriptedModel
from whimbrel.agent.explanation.explain import Explained
from whimbrel.agent.schema.results import CitedEvent
from whimbrel.evals.studies.explanation_checks import foreign_names, pattern_of, without_names, wrong_others
from whimbrel.evals.studies.explanations import Settings, explanation_table, measure_explanations
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import NoProgress
from whimbrel.tools.store.store import open_store


def good(messages: list[dict[str, str]]) -> dict[str, object]:
    """The reason that a good model words from what it is given."""
    return {"events": [1], "reason": f"You bought [1], and {messages[-1]['content'].split('Known: ')[1]}."}


SETTINGS = Settings(llm="scripted", k=2)


@pytest.fixture
def measure(shop: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def measure(reply: object = good, *, n: int = 12, seed: int = 0) -> dict[str, Any]:
        model = ScriptedModel({"ReasonReply": reply, "SummaryReply": {"summary": "Lately mostly Tea."}})  # type: ignore[dict-item]
        settings = SETTINGS.model_copy(update={"seed": seed})
        out = tmp_path / "explanations.jsonl"
        return measure_explanations([str(shop)], settings, llm=model, n=n, out=out, progress=NoProgress())

    return measure


def test_true_explanations_are_counted_as_such(measure: Callable[..., dict[str, Any]]) -> None:
    document = measure()
    counts = document["all"]
    assert counts["explanations"] >= 12
    assert counts["cited events sound"]["value"] == counts["name nothing else"]["value"] == 1
    assert counts["worded by the model"] > 0
    assert (counts["pass before repair"]["value"], counts["pass before repair"]["n"]) == (
        1,
        counts["worded by the model"],
    )
    assert counts["wrong citations"] == counts["named beyond"] == counts["problems"] == {}
    assert explanation_table(document).row_count == 2


def test_a_run_resumes_and_keeps_to_its_settings(measure: Callable[..., dict[str, Any]], tmp_path: Path) -> None:
    out = tmp_path / "explanations.jsonl"
    first = measure(n=4)
    written = out.read_text("utf-8")
    assert measure(n=4) == first
    assert out.read_text("utf-8") == written
    out.write_text(written[:-20])
    assert measure(n=4)["all"]["explanations"] == first["all"]["explanations"]
    assert measure(n=8)["all"]["requests"] > first["all"]["requests"]
    assert measure(n=4, seed=1)["all"]["requests"] == first["all"]["requests"]


def test_replaced_reasons_are_counted_by_their_cause(measure: Callable[..., dict[str, Any]]) -> None:
    counts = measure({"events": [1], "reason": "Pure magic."})["all"]
    assert counts["pass before repair"]["value"] == 0
    assert counts["problems"] == {"does not name the item": counts["worded by the model"]}
    assert counts["cited events sound"]["value"] == 1


def test_an_event_of_somebody_else_or_of_later_is_found(
    measure: Callable[..., dict[str, Any]], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = Agent.run

    def cheating(of: Callable[[Any], Interaction]) -> None:
        def cheat(self: Agent, request: Any) -> Any:
            state, cited = run(self, request), CitedEvent.of(of(request))
            entries = (e.model_copy(update={"evidence": (cited,)}) for e in state.explained.recommendations)
            return replace(state, explained=Explained(tuple(entries), asked=1))

        monkeypatch.setattr(Agent, "run", cheat)

    with open_store(shop) as store:
        histories = {user: store.history(user) for user in store.log.user_ids}
    cheating(lambda request: next(events for user, events in histories.items() if user != request.user_id)[0])
    counts = measure(n=2)["all"]
    assert counts["wrong citations"] == {"is no event of this user": counts["cited events"]}
    assert counts["cited events sound"]["value"] == 0
    cheating(lambda request: histories[request.user_id][-1])
    assert measure(n=2, seed=1)["all"]["wrong citations"].keys() == {"did not happen before"}
    cheating(lambda request: histories[request.user_id][0].model_copy(update={"title": "Caviar"}))
    assert measure(n=2, seed=2)["all"]["wrong citations"].keys() == {"is told otherwise"}


@pytest.mark.parametrize(
    ("words", "foreign"),
    [
        ("You bought 'Green tea', and 'Rye bread' (also Food) goes with it.", []),
        ("It is similar to what you chose before: you bought 'Green tea' on 1 May 2020.", []),
        ("Others who bought Green tea chose Rye bread too.", []),
        ("You bought 'Green tea', and 'Casablanca' goes with it.", ["'Casablanca'"]),
        ("You bought Green tea, as did Humphrey, and Rye bread goes with it.", ["Humphrey"]),
        ("Casablanca goes with Green tea.", ["Casablanca"]),
        ("You bought 'Green teapots', and Rye bread goes with it.", ["'Green teapots'"]),
        ("You bought 'Green tea' on 2 May 2020.", ["May"]),
        ("你买了“Green tea”，“卡萨布兰卡”和它很搭配。", ["“卡萨布兰卡”"]),
    ],
)
def test_a_name_that_was_not_given_is_seen(words: str, foreign: list[str]) -> None:
    rest = without_names(words, titles=["Green tea", "Rye bread"], topics=["Food"], days=["1 May 2020"])
    assert foreign_names(rest, load_phrases("en")) == foreign


def test_the_figures_about_other_people_are_counted_again() -> None:
    from whimbrel.agent.schema.results import Recommendation

    items = [Item(item_id=name, title=name.upper()) for name in "abc"]
    rows = [(1.0, "u", "a"), (1.0, "v", "a"), (2.0, "v", "b"), (3.0, "w", "b"), (4.0, "w", "a"), (5.0, "x", "a")]
    log = InteractionLog.build(items, [(*row, None) for row in rows])

    def problem(item_id: str, at: float, *figures: int) -> str:
        cited = CitedEvent(event_id="e", item_id="a", title="A", time=1.0, event="click")
        entry = Recommendation(
            rank=1, item_id=item_id, title="?", score=0.0, explanation="", evidence=(cited,), signals={}
        )
        return wrong_others(entry, set(figures), log, user_id="u", at=at)

    assert problem("b", 2.5, 1) == ""
    assert problem("b", 1.5, 1) == ""  # v had not met it by then, but is one who met the cited item
    assert problem("b", 2.5, 2) != ""
    assert problem("b", 9.0, 2, 3) == ""
    assert problem("b", 9.0, 4) != ""
    assert problem("c", 9.0, 2) != ""


def test_a_pattern_is_what_is_left_without_names_days_and_figures() -> None:
    say = load_phrases("en")
    for words in (
        "You bought 'Green tea' last Friday and 'Rye bread' on 1 May 2020; both are Food.",
        "You bought 'Green tea' 5 three weeks ago; both are Food and Tea.",
        "You bought Rye bread yesterday; both are Tea, Food and Tea.",
    ):
        rest = without_names(words, titles=["Green tea", "Rye bread"], topics=["Food", "Tea"], days=["on 1 May 2020"])
        assert pattern_of(rest, say) == "You bought _; both are _."
    assert pattern_of("1,204 people chose it in the last 30 days.", say) == "# people chose it in the last # days."
