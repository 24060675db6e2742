"""Orders of options: positions and grades, replies that are repaired, directions that cancel a bias, windows."""

import json
from collections.abc import Callable, Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.agent import ScriptedModel
from whimbrel.agent.language_models.graded_order import (
    BRACES_TOKENS,
    ENTRY_TOKENS,
    LARGEST_WINDOW,
    NAMED,
    OrderQuestion,
    OrderReply,
    order_options,
)
from whimbrel.prompts import Message

QUESTION = OrderQuestion("1. Tea", reading="Lately tea.", moment="Sat 05 Jul 2014 21:10", wish="something sweet")
LETTERS = list("abcde")


def shown(messages: Sequence[Message]) -> list[str]:
    """Return the options of a prompt, as they stand in it."""
    block = messages[-1]["content"].rpartition("<data>\n")[2].partition("\n</data>")[0]
    return [line.partition(". ")[2] for line in block.splitlines()]


def preferring(
    preference: Sequence[str], *, most: int = NAMED
) -> Callable[[Sequence[Message]], dict[str, list[dict[str, int]]]]:
    """Return a script that names the options it prefers, wherever they stand, with grades that fall by one."""

    def reply(messages: Sequence[Message]) -> dict[str, list[dict[str, int]]]:
        options = shown(messages)
        wanted = [name for name in preference if name in options][:most]
        return {"best": [{"option": options.index(n) + 1, "grade": max(10 - preference.index(n), 0)} for n in wanted]}

    return reply


def scripted(reply: object, **settings: object) -> ScriptedModel:
    return ScriptedModel({"OrderReply": reply}, scores=False, **settings)  # type: ignore[arg-type, dict-item]


def best_first(values: np.ndarray) -> list[int]:
    return np.argsort(-values, kind="stable").tolist()


def test_options_are_placed_as_named_and_the_unnamed_share_the_mean_of_the_positions_left() -> None:
    model = scripted({"best": [{"option": 3, "grade": 9}, {"option": 1, "grade": 4}]})
    order = order_options(model, QUESTION, LETTERS, directions=1)
    positions = np.array([2, 4, 1, 4, 4])  # 4 is the mean of 3, 4 and 5
    assert order.figures["order"] == pytest.approx(-np.log(positions) + np.log(positions).mean())
    grades = np.array([0.4, 0, 0.9, 0, 0])
    assert order.figures["grade"] == pytest.approx(grades - grades.mean())
    assert not order.figures["agreement"].any()  # a single reply agrees with nothing
    assert (order.calls, order.usage.repairs, order.warnings) == (1, 0, ())


def test_a_grade_outside_its_range_is_cut_to_it() -> None:
    model = scripted({"best": [{"option": 1, "grade": 97}, {"option": 2, "grade": -3}]})
    grades = order_options(model, QUESTION, ["a", "b"], directions=1).figures["grade"]
    assert grades.tolist() == [0.5, -0.5]


def test_repeats_and_inventions_are_left_out_and_counted() -> None:
    entries = [{"option": option, "grade": 5} for option in (3, 3, 9, 0, "five", 1)]
    order = order_options(scripted({"best": entries}), QUESTION, list("abcd"), directions=1)
    assert best_first(order.figures["order"])[:2] == [2, 0]
    assert order.usage.repairs == 4
    assert order.warnings == ("the model repeated or invented 4 numbers in its order",)


@pytest.mark.parametrize(
    "reply",
    [
        {"best": [{"option": "#4", "grade": "9/10"}, {"option": "2.", "grade": 6.0}]},
        {"best": [["4", 9], [2, "6"]]},
        {"best": [{"option": 4.0, "grade": 9}, {"option": "(2)", "grade": "6"}]},
        '```json\n{"best": [{"option": 4, "grade": 9}, {"option": 2, "grade": 6}]}\n```',
        '[{"option": 4, "grade": 9}, {"option": 2, "grade": 6}]',
    ],
)
def test_numbers_are_read_in_the_forms_that_models_write(reply: object) -> None:
    figures = order_options(scripted(reply), QUESTION, LETTERS, directions=1).figures
    assert best_first(figures["order"])[:2] == [3, 1]
    assert figures["grade"][3] - figures["grade"][0] == pytest.approx(0.9)
    assert figures["grade"][1] - figures["grade"][0] == pytest.approx(0.6)


@pytest.mark.parametrize("reply", ["I would say:\n4, 2", "4 > 2", "4. d\n2. b", '{"best": ["4", "2"]}'])
def test_an_order_without_grades_is_followed_with_the_grade_0(reply: str) -> None:
    figures = order_options(scripted(reply), QUESTION, LETTERS, directions=1).figures
    assert best_first(figures["order"])[:2] == [3, 1]
    assert not figures["grade"].any()


def test_words_are_read_as_an_order_only_if_they_are_one() -> None:
    read = OrderReply.from_words("3, 1")
    assert read is not None
    assert [(entry.option, entry.grade) for entry in read.best] == [(3, 0), (1, 0)]
    assert OrderReply.from_words("the third, I think") is None


@pytest.mark.parametrize("reply", ["the third, I think", "", '{"order": [1, 2]}', '{"best": 3}', '{"best": []}'])
def test_a_reply_that_names_nothing_gives_no_figures_and_says_so(reply: str) -> None:
    order = order_options(scripted(reply), QUESTION, LETTERS)
    assert order.figures == {}
    assert order.calls == 2
    (warning,) = order.warnings  # both directions failed alike, which is said once
    assert warning.startswith("the model's order was left out: ")


def test_a_direction_that_cannot_be_read_leaves_the_order_of_the_other() -> None:
    replies = iter(['{"best": [{"option": 2, "grade": 8}]}', "no idea"])
    order = order_options(scripted(lambda messages: next(replies)), QUESTION, LETTERS)
    assert best_first(order.figures["order"])[0] == 1
    assert not order.figures["agreement"].any()
    assert order.usage.misfits == 1
    assert len(order.warnings) == 1


def test_two_directions_cancel_a_model_that_always_prefers_what_stands_first() -> None:
    repeats = {"best": [{"option": number, "grade": 11 - number} for number in range(1, 6)]}
    order = order_options(scripted(repeats), QUESTION, LETTERS, third=False)
    assert order.calls == 2
    for figure in order.figures.values():
        assert figure == pytest.approx(np.zeros(5))


def test_a_third_arrangement_is_shown_only_if_two_directions_disagree() -> None:
    sure = scripted(preferring("cabde"))
    order = order_options(sure, QUESTION, LETTERS)
    assert (order.calls, len(sure.conversations)) == (2, 2)
    assert order.figures["agreement"] == pytest.approx(order.figures["order"])  # a rank correlation of 1
    first, second = (shown(messages) for messages in sure.conversations)
    assert (first, second) == (LETTERS, LETTERS[::-1])

    repeats = scripted({"best": [{"option": number, "grade": 11 - number} for number in range(1, 6)]})
    order = order_options(repeats, QUESTION, LETTERS)
    assert (order.calls, len(repeats.conversations)) == (3, 3)
    third = shown(repeats.conversations[-1])
    assert sorted(third) == LETTERS
    assert third not in (LETTERS, LETTERS[::-1])
    assert best_first(order.figures["order"])[0] == LETTERS.index(third[0])  # the first two cancel each other
    assert not order.figures["agreement"].any()
    assert len(order_options(repeats, QUESTION, LETTERS, directions=1).figures) == 3
    assert len(repeats.conversations) == 4


def test_the_same_question_is_asked_in_the_same_words() -> None:
    prompts = []
    for _ in range(2):
        model = scripted({"best": [{"option": 1, "grade": 9}]})
        order_options(model, QUESTION, [f"thing {number}" for number in range(9)])
        prompts.append(model.conversations)
    assert len(prompts[0]) == 3
    assert prompts[0] == prompts[1]


@settings(max_examples=100, deadline=None)
@given(st.permutations([f"thing {number}" for number in range(7)]), st.integers(1, 2))
def test_a_model_that_knows_what_it_wants_is_followed_whatever_the_order_shown(
    wanted: list[str], directions: int
) -> None:
    options = sorted(wanted)
    order = order_options(scripted(preferring(wanted)), QUESTION, options, directions=directions)
    assert [options[row] for row in best_first(order.figures["order"])] == wanted
    assert [options[row] for row in best_first(order.figures["grade"])] == wanted
    assert order.usage.repairs == 0


@pytest.mark.parametrize(("count", "windows"), [(60, 1), (61, 2), (130, 3)])
def test_a_prompt_shows_at_most_60_options_and_every_option_stands_in_one_window(count: int, windows: int) -> None:
    options = [f"thing {number}" for number in range(count)]
    model = scripted(preferring([f"thing {number}" for number in (count - 1, 7, 30)]), context_tokens=100_000)
    order = order_options(model, QUESTION, options)
    per_prompt = [shown(messages) for messages in model.conversations]
    assert len(per_prompt) == order.calls == 2 * windows
    assert max(map(len, per_prompt)) <= LARGEST_WINDOW
    for direction in (per_prompt[:windows], per_prompt[windows:]):
        assert sorted(name for window in direction for name in window) == sorted(options)
    assert max(map(len, per_prompt)) - min(map(len, per_prompt)) <= 1
    # The grades of different windows are compared: the best of all comes first, whatever its window.
    assert best_first(order.figures["order"])[:3] == [count - 1, 7, 30]


@pytest.mark.parametrize("context_tokens", [500, 600, 800])
def test_a_small_context_is_shown_the_options_in_several_windows_that_fit(context_tokens: int) -> None:
    options = [f"number {number} of the many things that a person may take" for number in range(40)]
    model = scripted(preferring([options[33], options[2]]), context_tokens=context_tokens)
    order = order_options(model, QUESTION, options, directions=1)
    assert order.calls == len(model.conversations) > 1
    for messages in model.conversations:
        reply = BRACES_TOKENS + ENTRY_TOKENS * min(NAMED, len(shown(messages)))
        assert sum(model.count_tokens(message["content"]) for message in messages) + reply <= context_tokens
    assert best_first(order.figures["order"])[:2] == [33, 2]


def test_the_prompt_shows_what_is_known_and_a_dash_for_what_is_not() -> None:
    model = scripted({"best": [1]})
    order_options(model, QUESTION, ["Rake", "Rusk"], directions=1)
    order_options(model, OrderQuestion(), ["Rake", "Rusk"], directions=1)
    full, empty = (messages[-1]["content"] for messages in model.conversations)
    for part in (*vars(QUESTION).values(), "1. Rake\n2. Rusk"):
        assert part in full
    assert empty.count("<data>\n-\n</data>") == 3
    assert "Asked at: -" in empty


@pytest.mark.parametrize("options", [[], ["Rusk"]])
def test_there_is_nothing_to_order_among_fewer_than_two_options(options: list[str]) -> None:
    order = order_options(scripted({"best": [{"option": 1, "grade": 9}]}), QUESTION, options)
    assert not any(figure.any() for figure in order.figures.values())
    assert order.calls <= 2


_numbers = st.one_of(st.integers(-3, 9), st.floats(), st.text(max_size=4), st.none(), st.booleans(), st.integers())
_entries = st.one_of(
    _numbers,
    st.lists(_numbers, max_size=3),
    st.fixed_dictionaries({"option": _numbers}, optional={"grade": _numbers, "why": st.text(max_size=4)}),
)


@settings(max_examples=500, deadline=None)
@given(st.lists(_entries, max_size=12), st.integers(1, 2))
def test_no_entry_breaks_an_order(entries: list[object], directions: int) -> None:
    text = json.dumps({"best": entries})
    order = order_options(scripted(text), QUESTION, list("abcd"), directions=directions)
    for figure in order.figures.values():
        assert figure.shape == (4,)
        assert np.isfinite(figure).all()
        assert figure.mean() == pytest.approx(0, abs=1e-9)
    if order.figures:
        assert np.ptp(order.figures["grade"]) <= 1
    else:
        assert order.warnings
