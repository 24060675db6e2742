"""The conditions that named values of a field set."""

from collections.abc import Sequence
from itertools import pairwise

from whimbrel.agent.chat.lexicon import any_of, compiled, concepts, language_of, lexicon
from whimbrel.agent.chat.vocabulary import FieldInfo, Value
from whimbrel.tools.conditions import Condition


def conditions_of(info: FieldInfo, values: Sequence[Value], text: str) -> list[Condition]:
    """Return the conditions that the named values of a field set.

    Of topics, all are wanted unless the line says "or". Of other lists, one is enough: a film on one of two services.
    """
    texts = tuple(dict.fromkeys(value.value for value in values))
    order = concepts()[info.concept].order if info.concept else ()
    if len(texts) == 1 and texts[0].casefold() in order:
        limited = _up_to(info, texts[0], values[0], text, order)
        if limited:
            return [limited]
    if info.kind == "text":
        single = Condition(field=info.name, op="==", value=texts[0])
        return [single if len(texts) == 1 else Condition(field=info.name, op="in", value=texts)]
    if len(texts) == 1:
        return [Condition(field=info.name, op="contains", value=texts[0])]
    gaps = [text[one.end : other.start] for one, other in pairwise(values)]
    if info.name != "topics" or any(compiled(r"\b(?:or|oder)\b|/|或").search(gap) for gap in gaps):
        return [Condition(field=info.name, op="contains_any", value=texts)]
    return [Condition(field=info.name, op="contains", value=value) for value in texts]


def _up_to(info: FieldInfo, value: str, named: Value, text: str, order: Sequence[str]) -> Condition | None:
    """Return the condition of a bound of ordered values: "PG-13 at most" is `PG` or `PG-13`. None without a bound."""
    words = lexicon(language_of(text)).amounts
    before, after = text[: named.start], text[named.end :]
    is_most = compiled(rf"\s*{any_of(words.or_less)}(?!\w)").match(after) or compiled(
        r"\b(?:at most|up to|max(?:imum)?|höchstens|maximal|bis)\s*$|最多$"
    ).search(before)
    is_least = compiled(rf"\s*{any_of(words.or_more)}(?!\w)").match(after)
    if not is_most and not is_least:
        return None
    rank = order.index(value.casefold())
    ranks = range(rank + 1) if is_most else range(rank, len(order))
    allowed = tuple(known for known in info.counts if known.casefold() in {order[number] for number in ranks})
    return Condition(field=info.name, op="in", value=allowed) if allowed else None
