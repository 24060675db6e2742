"""The order in which a language model expects options, with a grade for each of the best.

A model prefers the options that it sees first. It is therefore shown the options in two directions. If the two orders
disagree, it is shown a third arrangement. Too many options for one prompt are split into windows.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import AfterValidator, BaseModel, BeforeValidator, Field

from whimbrel.agent.language_models.model_answer import ModelAnswer
from whimbrel.agent.language_models.order_parser import parse_order
from whimbrel.agent.language_models.protocol import NO_USAGE, Generation, LanguageModel, Usage
from whimbrel.prompts import Message, load

Floats = NDArray[np.float64]

NAMED = 10
"""How many of the best options the model is asked to name."""
LARGEST_WINDOW = 60
"""Most options in one prompt."""
BRACES_TOKENS, ENTRY_TOKENS = 24, 16
"""Most tokens of a reply: for its braces, and for each `{"option": 12, "grade": 7}` with its comma."""
NUMBER_TOKENS = 4
"""Tokens of an option's number, dot and line end."""
AGREEING = 0.5
"""Two orders disagree if their rank correlation is below this. A third arrangement then settles the order."""
BEST_GRADE = 10
NO_OPTION = 0
"""Stands in an order for an entry that is not a number. Options are numbered from 1."""
DIRECTIONS = 2


def _number(value: Any) -> Any:
    """Return a number of a reply as an integer. Models write `3`, `3.0`, `"3"`, `"#3"` and `"3."`."""
    if isinstance(value, str):
        digits = value.strip().lstrip("#[(").rstrip(".)]").split("/")[0].strip()[:9]  # `int` refuses endless numbers
        return int(digits) if digits.isdecimal() else NO_OPTION
    if isinstance(value, float):
        return round(value) if np.isfinite(value) and abs(value) < 1e9 else NO_OPTION
    return value if isinstance(value, int) and not isinstance(value, bool) else NO_OPTION


class GradedOption(BaseModel):
    """One option of a reply.

    Attributes:
        option: The number of the option; NO_OPTION if the reply has none.
        grade: How likely it is, from 0 to BEST_GRADE.
    """

    option: Annotated[int, BeforeValidator(_number)]
    grade: Annotated[int, BeforeValidator(_number)] = Field(default=0)


class OrderReply(BaseModel):
    """Reply of a model that was asked for the best options, the likeliest first."""

    best: Annotated[
        list[GradedOption],
        BeforeValidator(lambda value: _graded(value)),
        AfterValidator(lambda graded: _some(graded)),
        Field(max_length=200),
    ]

    @classmethod
    def from_words(cls, text: str) -> "OrderReply | None":
        """Read an order from plain text, see `parse_order`. Its options have the grade 0."""
        numbers = [number for number in parse_order(text) if number != NO_OPTION]
        return cls(best=[GradedOption(option=number) for number in numbers]) if numbers else None


def _graded(value: Any) -> Any:
    """Return the entries of a reply as documents. Some models write bare numbers or pairs of numbers.

    Raises:
        ValueError: there are no entries. Such a reply says nothing, so it must not be cached.
    """
    if not isinstance(value, list):
        return value
    if not value:
        raise ValueError("no options")
    entries = []
    for entry in value:
        if isinstance(entry, dict | GradedOption):
            entries.append(entry)
        elif isinstance(entry, list) and entry:
            entries.append({"option": entry[0], "grade": entry[1] if len(entry) > 1 else 0})
        else:
            entries.append({"option": entry})
    return entries


def _some(graded: list[GradedOption]) -> list[GradedOption]:
    """Refuse a reply of which no entry is a number.

    Raises:
        ValueError: there is none. Such a reply says nothing, so it must not be cached.
    """
    if not any(entry.option != NO_OPTION for entry in graded):
        raise ValueError("no options")
    return graded


@dataclass(frozen=True)
class OrderQuestion:
    """What a model is shown beside the options. Every part may be empty.

    Attributes:
        history: The person's latest events, one a line, the latest last.
        reading: What the person is about now.
        moment: The moment and the situation.
        wish: What the person asks for.
    """

    history: str = ""
    reading: str = ""
    moment: str = ""
    wish: str = ""

    def values(self) -> dict[str, str]:
        """Return the inputs of the prompt. An empty part becomes a dash."""
        return {name: value or "-" for name, value in vars(self).items()}


def order_options(
    llm: LanguageModel,
    question: OrderQuestion,
    options: Sequence[str],
    *,
    directions: int = DIRECTIONS,
    third: bool = True,
    language: str = "en",
) -> ModelAnswer:
    """Ask a model which options come next.

    The answer has these figures, each of mean 0:

    order: minus the logarithm of the mean position. Unnamed options share the mean of the positions that are left.
    grade: the mean grade, divided by BEST_GRADE. Unnamed options have the grade 0.
    agreement: `order` times the rank correlation of the model's orders. It is 0 after a single reply.

    Args:
        llm: The language model.
        question: What the model is shown beside the options.
        options: The options, each as one line.
        directions: 1 shows the options as given, 2 also in reverse.
        third: Whether a third arrangement is shown if the two orders disagree.
        language: The language of the prompt.

    Example:
        >>> from whimbrel.agent import ScriptedModel
        >>> model = ScriptedModel({"OrderReply": {"best": [{"option": 2, "grade": 9}]}}, scores=False)
        >>> order = order_options(model, OrderQuestion("Tea"), ["Rake", "Rusk"], directions=1)
        >>> order.figures["grade"].tolist()
        [-0.45, 0.45]
    """
    windows = _windows(llm, question, options, language)
    arranged = [
        [window if direction == 0 else window[::-1] for window in windows] for direction in range(max(directions, 1))
    ]
    asked = [_ask(llm, question, options, arrangement, language) for arrangement in arranged]
    orders = [order for order in asked if order.is_readable]
    if third and len(orders) == DIRECTIONS and _correlation(orders) < AGREEING:
        random = np.random.default_rng(0)  # a fixed seed: the same request is answered from the cache of replies
        asked.append(_ask(llm, question, options, [random.permutation(window) for window in windows], language))
        orders = [order for order in asked if order.is_readable]
    usage = sum((order.usage for order in asked), NO_USAGE)
    warnings = tuple(dict.fromkeys(warning for order in asked for warning in order.warnings))
    calls = len(asked) * len(windows)
    if not orders:
        return ModelAnswer({}, usage, warnings, calls)
    order_figure = _centred(-np.log(np.mean([order.positions for order in orders], axis=0)))
    figures = {
        "order": order_figure,
        "grade": _centred(np.mean([order.grades for order in orders], axis=0) / BEST_GRADE),
        "agreement": order_figure * (_correlation(orders) if len(orders) > 1 else 0.0),
    }
    return ModelAnswer(figures, usage, warnings, calls)


@dataclass(frozen=True)
class _Order:
    """One order of all options: positions from 1 and grades, shape (options,) each, if any reply could be read."""

    positions: Floats
    grades: Floats
    is_readable: bool
    usage: Usage
    warnings: tuple[str, ...]


def _windows(llm: LanguageModel, question: OrderQuestion, options: Sequence[str], language: str) -> list[Any]:
    """Split the options into windows of about equal size that fit the model's context."""
    empty = _messages(question, [], language)
    room = (
        llm.context_tokens
        - _reply_tokens(len(options))
        - sum(llm.count_tokens(message["content"]) for message in empty)
    )
    tokens = np.array([llm.count_tokens(option) + NUMBER_TOKENS for option in options])
    count = -(-len(options) // LARGEST_WINDOW)
    while True:
        # Every window holds options of all ranks, so the grades of different windows can be compared.
        windows = [np.arange(start, len(options), count) for start in range(count)]
        if count * 2 >= len(options) or all(tokens[window].sum() <= room for window in windows):
            return windows
        count += 1


def _reply_tokens(options: int) -> int:
    return BRACES_TOKENS + ENTRY_TOKENS * min(NAMED, options)


def _messages(question: OrderQuestion, lines: Sequence[str], language: str) -> list[Message]:
    numbered = "\n".join(f"{number}. {line}" for number, line in enumerate(lines, 1))
    return load("order", version=2, language=language).messages({**question.values(), "options": numbered})


def _ask(
    llm: LanguageModel, question: OrderQuestion, options: Sequence[str], windows: Sequence[Any], language: str
) -> _Order:
    conversations = [_messages(question, [options[row] for row in window], language) for window in windows]
    longest = max((len(window) for window in windows), default=0)
    replies = llm.generate(conversations, schema=OrderReply, max_tokens=_reply_tokens(longest))
    # The key of an option: named ones by grade and position, then all others. One window needs no grades.
    grades, places = np.zeros(len(options)), np.full(len(options), np.inf)
    usage, warnings, readable = NO_USAGE, list[str](), False
    for window, reply in zip(windows, replies, strict=True):
        named, problems, repairs = _named(reply, len(window))
        usage += reply.usage + Usage(repairs=repairs)
        warnings += problems
        readable = readable or bool(named)
        for place, (option, grade) in enumerate(named):
            grades[window[option - 1]], places[window[option - 1]] = grade, place
    if not readable:
        return _Order(places, grades, False, usage, tuple(warnings))
    keys = list(zip(-grades if len(windows) > 1 else np.zeros(len(options)), places, strict=True))
    named_rows = sorted(np.flatnonzero(np.isfinite(places)).tolist(), key=lambda row: keys[row])
    positions = np.full(len(options), (len(named_rows) + 1 + len(options)) / 2)
    positions[named_rows] = np.arange(1, len(named_rows) + 1)
    return _Order(positions, grades, True, usage, tuple(warnings))


def _named(reply: Generation[OrderReply], options: int) -> tuple[list[tuple[int, int]], list[str], int]:
    """Return the named options with their grades, what is wrong with the reply, and the number of repairs."""
    if reply.value is None:
        return [], [f"the model's order was left out: {reply.misfit or 'the reply did not fit the schema'}"], 0
    grades: dict[int, int] = {}
    for entry in reply.value.best:
        if 1 <= entry.option <= options:
            grades.setdefault(entry.option, min(max(entry.grade, 0), BEST_GRADE))
    wrong = len(reply.value.best) - len(grades)
    problems = [f"the model repeated or invented {wrong} numbers in its order"] if wrong else []
    if not grades:
        problems.append("the model's order was left out: it names no option")
    return list(grades.items()), problems, wrong


def _correlation(orders: Sequence[_Order]) -> float:
    """Return the mean rank correlation of all pairs of orders (Spearman), at least 0."""
    if orders[0].grades.size < 2:
        return 1.0  # There is only one order of a single option.
    # Unnamed options share a mean position, so positions are ranks with ties.
    correlations = np.asarray(np.corrcoef(np.stack([order.positions for order in orders])))
    pairs = correlations[np.triu_indices(len(orders), k=1)]
    return max(float(np.nan_to_num(pairs).mean()), 0.0)


def _centred(values: Floats) -> Floats:
    return np.asarray(values - values.mean())
