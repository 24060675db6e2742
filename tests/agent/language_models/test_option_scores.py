"""Scores of options: likelihoods without a history are asked for once; no reply of a model breaks a ranking."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.agent import Agent, Item, ScriptedModel
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.graded_order import OrderReply
from whimbrel.agent.language_models.option_scores import LINEAR_NATS, OptionScores, score_options, titles_that_fit
from whimbrel.agent.language_models.parsers import parse_reply
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.agent.ranking.rankers import Ranker, Rankers
from whimbrel.tools.store.caches import NumberCache


def test_likelihoods_without_a_history_are_asked_for_once(tmp_path: Path) -> None:
    prompts: list[str] = []

    def likelihood(prompt: str, text: str) -> float:
        prompts.append(prompt)
        return -float(len(text))

    likelihood_cache = NumberCache(tmp_path, "k")
    model = ScriptedModel(likelihood=likelihood)
    first = score_options(model, history=["Tea"], wish="", options=["Rusk", "Scone"], likelihood_cache=likelihood_cache)
    second = score_options(
        model, history=["Jam"], wish="", options=["Scone", "Rusk", "Pie"], likelihood_cache=likelihood_cache
    )
    assert len([prompt for prompt in prompts if "Tea" in prompt or "Jam" in prompt]) == 5
    assert len(prompts) == 5 + 3
    assert first.values is not None
    assert second.values is not None
    assert np.isfinite(second.values).all()
    likelihood_cache.close()


def test_a_history_too_long_loses_what_repeats_then_what_is_oldest_and_says_so() -> None:
    model = ScriptedModel(context_tokens=100)  # room for 25 words
    history = ["old one", "Tea time", "Jam jar", "Tea time", *(f"thing number {n}" for n in range(5))]
    shown = titles_that_fit(history, model)
    assert shown == ["Tea time", *(f"thing number {n}" for n in range(5))][-len(shown) :]
    scores = score_options(model, history=history, wish="", options=["Rusk", "Pie"])
    assert scores.warnings == (f"the model saw {len(shown)} of the latest 9 events: its context has no room for more",)
    assert titles_that_fit(["a", "b"], model) == ["a", "b"]


def test_the_figures_are_the_gain_by_the_history_and_the_likelihood_without_it() -> None:
    def likelihood(prompt: str, text: str) -> float:
        return {"Rusk": -3.0, "Rake": -7.0, "Scone": -5.0}[text.strip()] + (2.0 * ("Tea" in prompt and "Rusk" in text))

    scores = score_options(
        ScriptedModel(likelihood=likelihood), history=["Tea"], wish="", options=["Rusk", "Rake", "Scone"]
    )
    assert scores.values is not None
    assert scores.values.tolist() == [2, 0, 0]
    figures = scores.figures()
    assert set(figures) == {"likelihood", "prior"}
    gain = np.arcsinh(2 / LINEAR_NATS)
    assert figures["likelihood"] == pytest.approx(np.array([2, -1, -1]) * gain / 3)
    assert figures["prior"] == pytest.approx(np.array([2, -2, 0]) / (8 / 3) ** 0.5)


def test_without_likelihoods_there_are_no_figures() -> None:
    assert OptionScores(None, Usage()).figures() == {}
    scores = score_options(
        ScriptedModel(likelihood=lambda prompt, text: float("nan")), history=[], wish="", options=["a"]
    )
    assert scores.figures() == {}
    assert scores.warnings == ("the model's likelihoods were left out: some are not finite",)


CANDIDATES = [
    Item(item_id=f"i{n}", title=title) for n, title in enumerate(["FIFA 12", "Halo 3", "Tetris", "Doom", "1942"])
]


_number = st.one_of(st.integers(-3, 9), st.floats(), st.text(max_size=4), st.none(), st.booleans(), st.integers())
_entry = st.one_of(
    _number, st.lists(_number, max_size=2), st.fixed_dictionaries({"option": _number}, optional={"grade": _number})
)
_numbers = st.lists(_entry, max_size=12)


_documents = st.one_of(
    _numbers,
    st.fixed_dictionaries({"best": _numbers}),
    st.dictionaries(st.text(max_size=6), _numbers, max_size=3),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)),
)


_texts = st.one_of(
    st.text(max_size=200),
    st.text(alphabet='{}[]",:0123456789 \n<>/`think.best-', max_size=120),
    _documents.map(json.dumps),
    st.tuples(st.text(max_size=30), _documents.map(json.dumps), st.text(max_size=30)).map("".join),
    st.tuples(_documents.map(json.dumps), st.integers(0, 40)).map(lambda pair: pair[0][: len(pair[0]) - pair[1]]),
    _documents.map(lambda document: f"<think>{json.dumps(document)}</think>```json\n{json.dumps(document)}\n```"),
    st.lists(st.integers(0, 9), max_size=9).map(lambda row: "\n".join(f"{number}. FIFA 12" for number in row)),
)


@pytest.fixture(scope="module")
def weighed() -> Fitted:
    """What was fitted, with a weight for a model's order of any candidates."""
    orders = Ranker(weights={}, models={"orders": {"others": 1.0, "order": 1.0, "grade": 0.5}})
    rankers = Rankers(retrieved=orders, given=orders, cold=orders)
    return replace(Fitted.default(), fusion=rankers)


@settings(max_examples=1000, deadline=None)
@given(_texts)
def test_no_reply_breaks_a_ranking_and_every_repair_is_counted(weighed: Fitted, text: str) -> None:
    model = ScriptedModel({"OrderReply": text}, scores=False, tier="orders")
    ranking = Agent(None, model, fitted=weighed).ranking([Item(item_id="h", title="Pong")], CANDIDATES)
    ids = [entry.candidate.item.item_id for entry in ranking.ranked]
    assert sorted(ids) == sorted(item.item_id for item in CANDIDATES)
    assert np.isfinite([entry.score for entry in ranking.ranked]).all()
    reply = parse_reply(text, OrderReply, Usage())
    usage, calls = ranking.usage, ranking.answer.calls
    assert calls in (2, 3)
    assert usage.generations == calls
    assert usage.misfits == (calls if reply.value is None else 0)
    if reply.value is not None:
        named = {entry.option for entry in reply.value.best if 1 <= entry.option <= len(CANDIDATES)}
        wrong = len(reply.value.best) - len(named)
        assert usage.repairs == calls * (reply.usage.repairs + wrong)
        assert bool(ranking.warnings) == bool(wrong or not named)
        assert bool(ranking.answer.figures) == bool(named)
    else:
        assert ranking.warnings
        assert not ranking.answer.figures
