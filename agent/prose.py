"""Whether a sentence of a model says only what it was given, as far as this can be told without understanding it.

The test is a closed vocabulary: a sentence may use the words of the texts that it was given and the connecting words
below, none of which says anything of the world (no negation, no praise, no cause).
"""

import re
from collections.abc import Collection, Iterable

WORD = re.compile(r"\w+")
REPEATED = 3
"""Words in a row that a sentence may not say twice."""

CONNECTING = frozenset(
    WORD.findall(
        """
        a about add added adds after again all along alongside also an and another are as at be been before
        beside both but by chose close closely come comes complement complements continue continues earlier
        event events fit fits focus follow followed follows for from further go goes going have i in interest
        interested interests into is it item items its join joins keep kind lately later latest like likes line
        long longer main mainly matches matter more mostly move moved moves moving near nearest new next now of
        often on one or other over pair pairs past person picks primarily recent recently related relates same
        shared shares shift shifted shifting shifts similar since so some still style subject suit suits that
        the their them theme then these they this those time to together too topic topics toward towards turn
        turned turning type until up was well were what where which while with you your
        """
    )
)


REASON = frozenset(
    WORD.findall(
        """
        a alongside also an and are as because belong belongs close complement complements fit fits for from go goes
        interest is it its kind like match matches near of pair pairs related same share shares similar so style suit
        suits that the theme these this to together too topic topics type well with you your
        """
    )
)
"""Connecting words of a reason: fewer, since it claims what a person did."""


def prose_problem(sentence: str, given: Iterable[str], *, connecting: Collection[str] = CONNECTING) -> str:
    """Why a sentence is not to be shown; empty where it is fine: whole, plain, without repetition, and of words
    that are connecting or occur in the texts `given`."""
    if not re.search(r"[.!?。！？]$", sentence.strip()):
        return "is no whole sentence"
    if re.search(r"https?:|www\.|[<>{}\[\]`|*#]", sentence):
        return "is no plain sentence"
    if not sentence.isprintable():
        return "holds control characters"
    words = WORD.findall(sentence.casefold())
    runs = [tuple(words[n : n + REPEATED]) for n in range(len(words) - REPEATED + 1)]
    if len(set(runs)) < len(runs):
        return "repeats itself"
    known = frozenset(connecting).union(*(WORD.findall(text.casefold()) for text in given))
    unsupported = next((word for word in words if word not in known), None)
    if unsupported is not None:
        kind = "a figure" if any(c.isdigit() for c in unsupported) else "a word"
        return f"brings in {kind} that it was not given"
    return ""
