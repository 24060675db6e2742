"""A made-up person, catalogue and request, with which models are checked and timed without a store."""

from dataclasses import dataclass

from whimbrel.agent.explanation.check import ReasonReply
from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.language_models.protocol import LanguageModel, Usage
from whimbrel.agent.profile.summarise import SummaryReply
from whimbrel.prompts import load

_KINDS = ("Green", "Small", "Roasted", "Organic", "Fresh", "Family size", "Frozen")
_THINGS = ("tea", "bread", "peas", "coffee", "soup", "cheese", "pasta", "rice", "apples", "crackers", "juice", "beans")
NAMES = tuple(f"{kind} {thing}, {12 + 2 * n} oz" for n, kind in enumerate(_KINDS) for thing in _THINGS)
"""84 names of a shop."""
UNRELATED = (
    "lamp",
    "coat",
    "river",
    "engine",
    "violin",
    "window",
    "carrot",
    "ladder",
    "mirror",
    "basket",
    "tunnel",
    "pen",
)
"""12 words of which none follows from another."""


@dataclass(frozen=True)
class AnsweredChoiceSet:
    """What a sample request cost, and how many of its replies fitted their schema."""

    usage: Usage
    replies: int
    fitting: int


def sample_request(llm: LanguageModel, number: int, *, candidates: int = 20) -> AnsweredChoiceSet:
    """The model's part of one request: a summary, eight topics and `candidates` weighed, three reasons; each `number`
    is another person."""
    history = [NAMES[(7 * number + 5 * n) % len(NAMES)] for n in range(15)]
    options = [NAMES[(11 * number + 3 * n + 1) % len(NAMES)] for n in range(candidates)]
    about = load("summarise").messages({"recent": f"{_THINGS[number % 12]}, Snacks", "earlier": "Household"})
    (summary,) = llm.generate([about], schema=SummaryReply, max_tokens=64)
    topics = score_options(llm, history=history, wish="", options=[thing.capitalize() for thing in _THINGS[:8]])
    ranked = score_options(llm, history=history, wish="", options=options)
    reasons = [
        load("explain", version=3).messages(
            {"title": title, "events": f"1. You bought '{history[-1]}'", "relation": "[item] goes well with it"}
        )
        for title in options[:3]
    ]
    worded = llm.generate(reasons, schema=ReasonReply, max_tokens=60)
    usage = sum((reply.usage for reply in worded), summary.usage + topics.usage + ranked.usage)
    fitting = (summary.value is not None) + sum(reply.value is not None for reply in worded)
    return AnsweredChoiceSet(usage, 1 + len(worded), fitting)
