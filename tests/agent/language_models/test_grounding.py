"""A sentence may say only what it was given."""

import pytest

from whimbrel.agent.language_models.grounding import has_unclosed_quote, prose_problem, words_of

GIVEN = ["You bought Green tea, 12 oz"]
CONNECTING = {"since", "you", "bought", "this", "is", "like"}


@pytest.mark.parametrize(
    ("sentence", "problem"),
    [
        ("Since you bought Green tea.", ""),
        ("Since you bought Green tea", "is not a whole sentence"),
        ("Since you bought [Green tea].", "is not plain text"),
        ("Since you bought\tGreen tea.", "contains control characters"),
        ("Green tea is like green tea is like.", "repeats itself"),
        ("Since you bought Black tea.", "uses a word that the model was not given"),
        ("Since you bought 15 Green tea.", "uses a number that the model was not given"),
    ],
)
def test_a_sentence_is_shown_only_if_all_its_words_are_given(sentence: str, problem: str) -> None:
    assert prose_problem(sentence, GIVEN, connecting=CONNECTING) == problem


def test_signs_count_where_marks_are_named() -> None:
    sentence = "Since you bought Green tea; this."
    assert prose_problem(sentence, GIVEN, connecting=CONNECTING) == ""
    assert (
        prose_problem(sentence, GIVEN, connecting=CONNECTING, marks=" .,")
        == "uses a character that the model was not given"
    )


def test_chinese_is_cut_into_known_words_and_leaves_figures_whole() -> None:
    assert words_of("最近绿茶15克", {"最近", "5", "克"}) == ["最近", "绿茶15", "克"]


@pytest.mark.parametrize(
    ("sentence", "is_unclosed"), [("“tea”", False), ("“tea", True), ("tea”", True), ("tea", False)]
)
def test_a_quotation_mark_needs_its_partner(sentence: str, is_unclosed: bool) -> None:
    assert has_unclosed_quote(sentence, ["“”"]) == is_unclosed
