"""Explanations measured: what is cited is looked up, what is named is compared, a run goes on where it stopped."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from langchain_core.runnables import RunnableLambda

from whimbrel.agent import Interaction, Item, ScriptedModel
from whimbrel.agent.explanation.explain import Explained
from whimbrel.agent.schema.results import CitedEvent
from whimbrel.evals.metrics.intervals import wilson
from whimbrel.evals.studies import explanations
from whimbrel.evals.studies.explanations import (
    Settings,
    bare,
    explanation_table,
    measure_explanations,
    named_beyond,
    nobody_else,
)
from whimbrel.prompts.phrases import WORDINGS
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import NoProgress
from whimbrel.tools.store.store import open_store

GOOD = {"events": [1], "reason": "You bought [1], and [item] goes together with it."}
SETTINGS = Settings(llm="scripted", k=2)


@pytest.fixture
def measure(shop: Path, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    def measure(reply: object = GOOD, *, n: int = 12, seed: int = 0) -> dict[str, Any]:
        model = ScriptedModel({"ReasonReply": reply, "SummaryReply": {"summary": "Lately mostly Tea."}})  # type: ignore[dict-item]
        settings = SETTINGS.model_copy(update={"seed": seed})
        out = tmp_path / "explanations.jsonl"
        return measure_explanations([str(shop)], settings, llm=model, n=n, out=out, progress=NoProgress())

    return measure


def test_what_holds_is_counted_as_such(measure: Callable[..., dict[str, Any]]) -> None:
    document = measure()
    found = document["all"]
    assert found["explanations"] >= 12
    assert found["cited events sound"]["value"] == found["name nothing else"]["value"] == 1
    assert found["worded by the model"] > 0
    assert (found["pass before repair"]["value"], found["pass before repair"]["n"]) == (1, found["worded by the model"])
    assert found["wrong citations"] == found["named beyond"] == found["problems"] == {}
    assert explanation_table(document).row_count == 2


def test_a_run_goes_on_where_it_stopped_and_keeps_to_its_settings(
    measure: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
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
    found = measure({"events": [1], "reason": "Pure magic."})["all"]
    assert found["pass before repair"]["value"] == 0
    assert found["problems"] == {"does not name the item": found["worded by the model"]}
    assert found["cited events sound"]["value"] == 1


def test_an_event_of_somebody_else_or_of_later_is_found(
    measure: Callable[..., dict[str, Any]], shop: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    built = explanations.build_pipeline

    def cheating(of: Callable[[Any], Interaction]) -> None:
        def build(*given: Any) -> Any:
            def change(found: dict[str, Any]) -> dict[str, Any]:
                cited = CitedEvent.of(of(found["request"]))
                entries = (e.model_copy(update={"evidence": (cited,)}) for e in found["explained"].recommendations)
                return {**found, "explained": Explained(tuple(entries), asked=1)}

            return built(*given) | RunnableLambda(change)

        monkeypatch.setattr(explanations, "build_pipeline", build)

    with open_store(shop) as store:
        told = {user: store.history(user) for user in store.log.user_ids}
    cheating(lambda request: next(events for user, events in told.items() if user != request.user_id)[0])
    found = measure(n=2)["all"]
    assert found["wrong citations"] == {"is no event of this user": found["cited events"]}
    assert found["cited events sound"]["value"] == 0
    cheating(lambda request: told[request.user_id][-1])
    assert measure(n=2, seed=1)["all"]["wrong citations"].keys() == {"did not happen before"}
    cheating(lambda request: told[request.user_id][0].model_copy(update={"title": "Caviar"}))
    assert measure(n=2, seed=2)["all"]["wrong citations"].keys() == {"is told otherwise"}


@pytest.mark.parametrize(
    ("words", "beyond"),
    [
        ("You bought 'Green tea', and 'Rye bread' (also Food) goes with it.", []),
        ("It is close to what you know: you bought Green tea (1 May 2020).", []),
        ("Others who bought Green tea chose Rye bread too.", []),
        ("You bought 'Green tea', and 'Casablanca' goes with it.", ["'Casablanca'"]),
        ("You bought Green tea, as did Humphrey, and Rye bread goes with it.", ["Humphrey"]),
        ("Casablanca goes with Green tea.", ["Casablanca"]),
        ("You bought 'Green teapots', and Rye bread goes with it.", ["'Green teapots'"]),
        ("You bought 'Green tea' on 2 May 2020.", ["May"]),
        ("你买了“Green tea”，“卡萨布兰卡”和它很搭配。", ["“卡萨布兰卡”"]),
    ],
)
def test_a_name_that_was_not_given_is_seen(words: str, beyond: list[str]) -> None:
    rest = bare(words, titles=["Green tea", "Rye bread"], topics=["Food"], days=["1 May 2020"])
    assert named_beyond(rest, WORDINGS["en"]) == beyond


def test_the_score_interval_is_wilsons() -> None:
    found = wilson(10, 10)  # low = n / (n + z^2)
    assert (found.value, found.low, found.high) == (1, pytest.approx(10 / (10 + 1.959964**2)), pytest.approx(1))
    half = wilson(50, 100)
    assert half.low + half.high == pytest.approx(1)
    assert half.low == pytest.approx(0.4038, abs=1e-4)


def test_others_are_told_of_only_where_somebody_else_did_it() -> None:
    from whimbrel.agent.schema.results import Recommendation

    items = [Item(item_id=name, title=name.upper()) for name in "abc"]
    rows = [(1.0, "u", "a"), (1.0, "v", "a"), (2.0, "v", "b"), (3.0, "w", "b"), (4.0, "w", "a")]
    log = InteractionLog.build(items, [(*row, None) for row in rows])

    def said(item_id: str, at: float) -> str:
        cited = CitedEvent(event_id="e", item_id="a", title="A", time=1.0, event="click")
        entry = Recommendation(
            rank=1, item_id=item_id, title="?", score=0.0, explanation="", evidence=(cited,), signals={}
        )
        return nobody_else(entry, log, user_id="u", at=at)

    assert said("b", 2.5) == ""
    assert said("b", 1.5) != ""  # v had not met it by then
    assert said("c", 9.0) != ""
