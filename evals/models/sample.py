"""A made-up catalogue and request, to check and time models without a store."""

from dataclasses import dataclass

from whimbrel.agent.explanation.check import ReasonReply
from whimbrel.agent.language_models.option_scores import score_options
from whimbrel.agent.language_models.protocol import LanguageModel, Usage
from whimbrel.agent.profile.summarise import SummaryReply
from whimbrel.prompts import load

_KINDS = ("Green", "Small", "Roasted", "Organic", "Fresh", "Family size", "Frozen")
_THINGS = ("tea", "bread", "peas", "coffee", "soup", "cheese", "pasta", "rice", "apples", "crackers", "juice", "beans")
NAMES = tuple(f"{kind} {thing}, {12 + 2 * n} oz" for n, kind in enumerate(_KINDS) for thing in _THINGS)
"""84 names of products of a shop."""
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
"""12 words that have nothing to do with each other."""


@dataclass(frozen=True)
class SampleResult:
    """Outcome of a sample request.

    Attributes:
        usage: What it cost.
        replies: Replies asked for.
        fitting: Those that fitted their schema.
    """

    usage: Usage
    replies: int
    fitting: int


def sample_request(llm: LanguageModel, number: int, *, candidates: int = 20) -> SampleResult:
    """Ask a model what one request asks: a summary, scores of eight topics and of candidates, three reasons.

    Args:
        llm: The model.
        number: Each number is another person, with another history.
        candidates: Candidates to score.
    """
    # with these steps no name comes twice among 15 or 20
    history = [NAMES[(7 * number + 5 * n) % len(NAMES)] for n in range(15)]
    options = [NAMES[(11 * number + 3 * n + 1) % len(NAMES)] for n in range(candidates)]
    topics = f"{_THINGS[number % 12]}, Snacks"
    summary_prompt = load("summarise").messages({"recent": topics, "earlier": "Household"})
    (summary,) = llm.generate([summary_prompt], schema=SummaryReply, max_tokens=64)
    topic_scores = score_options(llm, history=history, wish="", options=[thing.capitalize() for thing in _THINGS[:8]])
    candidate_scores = score_options(llm, history=history, wish="", options=options)
    reason_prompts = [
        load("explain", version=3).messages(
            {"title": title, "events": f"1. You bought '{history[-1]}'", "relation": "[item] is [topic] too"}
        )
        for title in options[:3]
    ]
    reasons = llm.generate(reason_prompts, schema=ReasonReply, max_tokens=60)
    usage = sum((reason.usage for reason in reasons), summary.usage + topic_scores.usage + candidate_scores.usage)
    fitting = (summary.value is not None) + sum(reason.value is not None for reason in reasons)
    return SampleResult(usage, 1 + len(reasons), fitting)
