"""The keys of what is said in a conversation."""

from collections.abc import Mapping
from typing import Annotated

from whimbrel.prompts.sentence_types import Counted, Table, counts, takes


class ChatPhrases(Table):
    """What is said in a conversation beside the lists.

    Attributes:
        language: The language of these sentences, as `concepts.toml` names it.
        looking_for: What is wanted, in the line below each answer.
        without: What is refused, in the same line.
        conditions: How a condition is written, keyed by its operator.
        or_: What stands before the last of several values.
        versus: What stands between two compared values.
        would_fit: How many items would fit without a condition.
        gate: The question whether items that the policy holds back may be shown.
        fact: The question for a fact that the policy needs.
        thinking: What is shown while an answer is made.
        how_to_leave: The answer to Ctrl-C on an empty line.
        a_topic: What stands beside a topic that completes a word.
        a_title: What stands beside a title that completes words.
        commands: What each command does, as its completion says it.
    """

    language: str
    help: str
    hello: str
    you_are_welcome: str
    goodbye: str
    forgotten: str
    wanted: Annotated[str, takes("wish")]
    left_out: Annotated[str, takes("names")]
    allowed: Annotated[str, takes("names")]
    dropped: Annotated[str, takes("names")]
    no_such_topic: Annotated[str, takes("topic")]
    less_of_what: str
    more_like: Annotated[str, takes("title")]
    no_number: Annotated[str, takes("number", "last")]
    no_number_given: str
    sensitive: str
    held_back: str
    no_command: Annotated[str, takes("command")]
    nothing_fits: str
    nothing_left: str
    all_met: Annotated[Counted, counts()]
    would_fit: Annotated[Counted, counts("condition", "field")]
    gate_would_fit: Annotated[Counted, counts("values")]
    not_understood: Annotated[str, takes("line", "example")]
    nothing_like: Annotated[str, takes("wish", "example")]
    an_example: str
    no_preference: str
    not_mentioned: Annotated[str, takes("wish")]
    no_field: Annotated[str, takes("name")]
    undone: str
    nothing_to_undo: str
    accepted: Annotated[str, takes("titles")]
    rejected: Annotated[str, takes("titles")]
    known: Annotated[str, takes("titles")]
    which_item: str
    no_list: str
    looking_for: Annotated[str, takes("wishes")]
    without: Annotated[str, takes("names")]
    nothing_said: str
    conditions: Mapping[str, str]
    or_: str
    versus: str
    yes: str
    no: str
    topics: str
    chosen_by: Annotated[str, takes("count")]
    also_chosen: Annotated[str, takes("titles")]
    your_events: Annotated[Counted, counts()]
    nobody_known: str
    gate: Annotated[str, takes("values")]
    gate_open: Annotated[str, takes("values")]
    gate_closed: Annotated[str, takes("values")]
    fact: Annotated[str, takes("name")]
    fact_of: Annotated[str, takes("title", "name", "value")]
    fact_unknown: Annotated[str, takes("title", "name")]
    fact_noted: Annotated[str, takes("name", "values")]
    unknown_user: Annotated[str, takes("user")]
    model_failed: Annotated[str, takes("error")]
    interrupted: str
    thinking: str
    how_to_leave: str
    resumed: str
    memory_empty: str
    memory_words: Mapping[str, str]
    memory_until: Annotated[str, takes("day")]
    memory_delete: str
    memory_deleted: Annotated[str, takes("titles")]
    memory_no_number: str
    a_topic: str
    a_title: str
    commands: Mapping[str, str]
