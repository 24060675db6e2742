"""The sentences of both languages: the same keys, the same values, and numbers that agree."""

from collections.abc import Iterator
from typing import Any

import pytest

from whimbrel.agent.explanation.cite import CAUSES
from whimbrel.agent.explanation.closed import WORDED_CAUSES
from whimbrel.prompts.phrases import LANGUAGES, Counted, Language, Phrases, load_phrases, read_phrases


def keys(table: dict[str, Any], above: str = "") -> Iterator[str]:
    for key, value in table.items():
        if isinstance(value, dict):
            yield from keys(value, f"{above}{key}.")
        else:
            yield f"{above}{key}"


def test_both_files_have_the_same_keys() -> None:
    english, chinese = (sorted(keys(read_phrases(language))) for language in ("en", "zh"))
    assert english == chinese
    assert len(english) > 100


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_cause_kind_and_signal_has_words(language: Language) -> None:
    from whimbrel.agent.shift.next_topics import TOPIC_FEATURES

    say = load_phrases(language)
    assert say.why.because.keys() == say.why.despite.keys() == CAUSES.keys()
    assert say.generated.relations.keys() == set(WORDED_CAUSES)
    assert say.shift.signals.keys() == set(TOPIC_FEATURES)
    assert say.screen.kinds.keys() == {"situational", "temporal", "contextual", "none"}


@pytest.mark.parametrize(
    ("table", "key", "value"),
    [
        ("summary", "so_far", "So far: {topics}."),
        ("summary", "so_far", "So far."),
        ("summary", "sofar", "So far: {recent}."),
        ("reasons", "people", {"one": "one other", "other": "many others"}),
        ("reasons", "people", {"one": "one other"}),
        ("shift", "weekdays", ["on Mondays"]),
    ],
)
def test_a_sentence_that_takes_other_values_is_refused(table: str, key: str, value: object) -> None:
    document = read_phrases("en")
    Phrases.model_validate(document)
    document[table][key] = value
    with pytest.raises(ValueError, match=key):
        Phrases.model_validate(document)


def test_a_count_agrees_with_its_noun() -> None:
    events = Counted(one="{count} event", other="{count} events")
    assert [events.format(count=count) for count in (0, 1, 2, 1000)] == [
        "0 events",
        "1 event",
        "2 events",
        "1,000 events",
    ]


def test_a_list_reads_as_in_a_sentence() -> None:
    writing = load_phrases("en").writing
    assert [writing.listed(names) for names in ([], ["Tea"], ["Tea", "Soup"], ["Tea", "Soup", "Eggs"])] == [
        "",
        "Tea",
        "Tea and Soup",
        "Tea, Soup and Eggs",
    ]
