"""A name is public if it stands, word for word, in a title that several people met."""

from whimbrel.agent.public_titles import PublicTitles
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item
from whimbrel.tools.store.in_memory import InMemory


def test_only_whole_words_of_titles_that_several_people_met_are_public() -> None:
    items = [Item(item_id="1", title="Banana Bread with Jane Austen"), Item(item_id="2", title="Letters of Bob Ray")]
    events = [(float(user), f"u{user}", "1", None) for user in range(3)] + [(9.0, "u1", "2", None)]
    is_public = PublicTitles(InMemory(items, InteractionLog.build(items, events), timed=True))
    assert is_public("jane austen")
    assert is_public("Jane   Austen")
    assert not is_public("Ana")  # a part of "Banana"
    assert not is_public("Bob Ray")  # one person met it
