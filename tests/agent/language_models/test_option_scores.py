"""Scores of options: likelihoods without a history are asked for once, orders are followed and repaired."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.agent import Agent, Item, ScriptedModel
from whimbrel.agent.language_models.option_scores import OrderReply, order_options, score_options, titles_that_fit
from whimbrel.agent.language_models.parsers import parse_reply
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.prompts import Message
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


CANDIDATES = [
    Item(item_id=f"i{n}", title=title) for n, title in enumerate(["FIFA 12", "Halo 3", "Tetris", "Doom", "1942"])
]


_numbers = st.lists(
    st.one_of(st.integers(-3, 9), st.floats(), st.text(max_size=4), st.none(), st.booleans(), st.integers()),
    max_size=12,
)


_documents = st.one_of(
    _numbers,
    st.fixed_dictionaries({"order": _numbers}),
    st.dictionaries(st.text(max_size=6), _numbers, max_size=3),
    st.recursive(st.none() | st.integers() | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3)),
)


_texts = st.one_of(
    st.text(max_size=200),
    st.text(alphabet='{}[]",:0123456789 \n<>/`think.order-', max_size=120),
    _documents.map(json.dumps),
    st.tuples(st.text(max_size=30), _documents.map(json.dumps), st.text(max_size=30)).map("".join),
    st.tuples(_documents.map(json.dumps), st.integers(0, 40)).map(lambda pair: pair[0][: len(pair[0]) - pair[1]]),
    _documents.map(lambda document: f"<think>{json.dumps(document)}</think>```json\n{json.dumps(document)}\n```"),
    st.lists(st.integers(0, 9), max_size=9).map(lambda row: "\n".join(f"{number}. FIFA 12" for number in row)),
)


@settings(max_examples=2000, deadline=None)
@given(_texts)
def test_no_reply_breaks_a_ranking_and_every_repair_is_counted(text: str) -> None:
    model = ScriptedModel({"OrderReply": text}, scores=False)
    ranking = Agent.open(None, model).ranking([Item(item_id="h", title="Pong")], CANDIDATES)
    ids = [entry.candidate.item.item_id for entry in ranking.ranked]
    assert sorted(ids) == sorted(item.item_id for item in CANDIDATES)
    reply = parse_reply(text, OrderReply, Usage())
    usage = ranking.usage
    assert usage.generations == 2
    assert usage.misfits == (2 if reply.value is None else 0)
    if reply.value is not None:
        valid = [number for number in dict.fromkeys(reply.value.order) if 1 <= number <= len(CANDIDATES)]
        wrong, omitted = len(reply.value.order) - len(valid), len(CANDIDATES) - len(valid)
        assert usage.repairs == 2 * (reply.usage.repairs + wrong + omitted)
        assert bool(ranking.warnings) == bool(wrong + omitted)
    else:
        assert ranking.warnings


@settings(max_examples=300, deadline=None)
@given(st.permutations(range(1, 7)), st.integers(1, 4))
def test_a_model_that_knows_what_it_wants_is_followed_whatever_the_order_shown(wanted: list[int], count: int) -> None:
    names = [f"thing {number}" for number in range(1, 7)]

    def by_wish(messages: object) -> dict[str, list[int]]:
        shown = [line for line in str(messages[-1]["content"]).splitlines() if ". thing " in line]  # type: ignore[index]
        numbers = {line.partition(". ")[2]: int(line.partition(". ")[0]) for line in shown}
        return {"order": [numbers[names[number - 1]] for number in wanted]}

    model = ScriptedModel({"OrderReply": by_wish}, scores=False)
    scores = order_options(model, history=[], wish="", options=names, permutations=count)
    assert scores.values is not None
    assert [int(index) + 1 for index in np.argsort(-scores.values, kind="stable")] == wanted
    assert scores.usage.repairs == 0


def test_a_model_that_repeats_what_it_is_shown_says_nothing_when_asked_both_ways() -> None:
    model = ScriptedModel({"OrderReply": {"order": [1, 2, 3, 4]}}, scores=False)
    scores = order_options(model, history=[], wish="", options=list("abcd"), permutations=2)
    assert scores.values is not None
    assert np.ptp(scores.values) == 0


def test_an_order_counts_by_how_much_it_stays_the_same_however_options_stand() -> None:
    options = [f"Thing {number}" for number in range(6)]

    def spread(llm: ScriptedModel) -> float:
        figures = score_options(llm, history=["Thing"], wish="", options=options, permutations=2).model_features()
        assert figures is not None
        return float(figures.std())

    def sure(messages: Sequence[Message]) -> dict[str, list[int]]:
        listed = re.findall(r"(\d+)\. (Thing \d)", messages[-1]["content"])
        return {"order": [int(number) for number, _ in sorted(listed, key=lambda pair: pair[1])]}

    assert spread(ScriptedModel({"OrderReply": sure}, scores=False)) == pytest.approx(1)
    assert spread(ScriptedModel({"OrderReply": {"order": [1, 2, 3, 4, 5, 6]}}, scores=False)) == pytest.approx(0)
