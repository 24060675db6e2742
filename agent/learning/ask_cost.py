"""What asking a hosted language model costs, estimated before it is asked."""

from whimbrel.agent.language_models.hosted.prices import price_of
from whimbrel.agent.language_models.protocol import NO_USAGE, Usage
from whimbrel.agent.language_models.specs import hosted_by

READING = Usage(llm_calls=1, prompt_tokens=1500, completion_tokens=330)
"""The mean of 382 readings of `whimbrel eval lift`, by the tokenizer of Qwen2.5 and with the schema."""
ORDERS = 2.25
"""Mean number of orders of a choice: two, and a third one in about every fourth choice of `whimbrel eval rank`."""
ORDER_TOKENS, OPTION_TOKENS, ORDER_REPLY_TOKENS = 480, 48, 130
"""Tokens of an order prompt without its options, of an option, and of the reply.

Means of 224 orders of `whimbrel eval lift`.
"""
OPTIONS = {"retrieved": 50, "given": 20}
"""Candidates that a model is shown, by their kind."""


def forecast_usage(asked: int) -> Usage:
    """Return what a model that reads and orders costs for `asked` choices of each kind of candidates.

    Example:
        >>> forecast_usage(100).llm_calls
        650
    """
    total = NO_USAGE
    for options in OPTIONS.values():
        orders = round(ORDERS * asked)
        total += Usage(
            llm_calls=asked * READING.llm_calls + orders,
            prompt_tokens=asked * READING.prompt_tokens + orders * (ORDER_TOKENS + options * OPTION_TOKENS),
            completion_tokens=asked * READING.completion_tokens + orders * ORDER_REPLY_TOKENS,
        )
    return total


def cost_words(spec: str, asked: int) -> str:
    """Return a sentence on what asking a hosted model costs; "" for a model on this machine.

    Args:
        spec: The spec of the model, as `openai:MODEL` or `openai:MODEL@ADDRESS`.
        asked: The choices of each kind of candidates.
    """
    hosted = hosted_by(spec)
    if hosted is None:
        return ""
    usage, price = forecast_usage(asked), price_of(hosted[0])
    tokens = usage.prompt_tokens + usage.completion_tokens
    dollars = f", about {price.of(usage):,.2f} USD" if price else ""
    return (
        f"Asking {spec} about {asked:,} choices of each kind takes about {usage.llm_calls:,} calls and "
        f"{round(tokens, -4):,} tokens{dollars}. Replies are kept, so the same command resumes."
    )
