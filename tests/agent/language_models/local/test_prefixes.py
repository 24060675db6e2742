"""States of prompts that are kept in memory."""

from whimbrel.agent.language_models.local.prefixes import PrefixCache, PromptState


def test_prefixes_stay_within_their_budget_and_the_latest_stay() -> None:
    prefixes = PrefixCache(100)
    for number in range(9):
        prefixes.put([number] * 5, PromptState(bytes(30)))
    longest = [prefixes.longest([number] * 5) for number in range(9)]
    assert [entry[0][0] for entry in longest if entry is not None][-3:] == [6, 7, 8]
    prefixes.put([1, 2], PromptState(bytes(10)), fixed=True)
    prefixes.drop()
    assert prefixes.longest([8] * 5) == ((1, 2), PromptState(bytes(10)))
