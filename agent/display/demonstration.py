"""Show the demonstration in a terminal."""

from rich.console import RenderableType
from rich.panel import Panel
from rich.text import Text

from whimbrel.agent.demo import Demonstration, Next
from whimbrel.agent.display.terminal import View

SHOWN_BOUGHT = 12
"""Most titles of bought items that are shown."""


def setting(shown: Demonstration, households: int, view: View) -> str:
    """Describe the moment: the household, the time, and what is known."""
    answer = shown.recommendations
    return (
        f"The Complete Journey: a year of grocery shopping by {households} households. Household {answer.user_id} "
        f"begins to shop on {view.moment(answer.at)} UTC. Whimbrel only knows what was bought before that."
    )


def outcome(following: Next) -> RenderableType:
    """Show what was really bought next, and how much of it was recommended."""
    bought = "; ".join(following.bought[:SHOWN_BOUGHT])
    more = len(following.bought) - SHOWN_BOUGHT
    words = Text(f"{bought}{f' and {more} more' if more > 0 else ''}\n")
    words.append(outcome_sentence(following), style="bold")
    return Panel(words, title=f"What was bought in the next {following.days} days", title_align="left")


def outcome_sentence(following: Next) -> str:
    """Say how many recommended items were bought, and for how many others something of the same kind was bought.

    Example:
        >>> outcome_sentence(Next(days=14, bought=["Tea"], hits=1, topic_hits=1, of=5))
        '5 items were recommended, none of which the household had ever bought. In these 14 days it bought 1 of them.'
    """
    similar = following.topic_hits - following.hits  # `topic_hits` also counts the items that were bought themselves
    if following.hits:
        bought = f"bought {following.hits} of them"
        also = f", and something of the same kind as {similar} other{'' if similar == 1 else 's'}"
    else:
        bought = "did not buy it" if following.of == 1 else "bought none of them"
        also = f", but something of the same kind as {similar} of them"
    if similar <= 0:
        also = "" if following.hits else ", and nothing of the same kind"
    listed = (
        "1 item was recommended, which the household had never bought."
        if following.of == 1
        else f"{following.of} items were recommended, none of which the household had ever bought."
    )
    return f"{listed} In these {following.days} days it {bought}{also}."
