"""The index of titles: rarer shared words count more, in scripts with and without spaces."""

import pytest

from whimbrel.tools.text.title_index import TitleIndex


@pytest.mark.parametrize(
    ("titles", "others", "best"),
    [
        (["Red kettle", "Blue kettle", "Green lamp"], ["A blue coat"], 1),
        (["红茶 一盒", "咖啡 一盒", "灯"], ["绿茶"], 0),
        (["The The The", "Rare thing", "The lamp"], ["the", "rare"], 1),
        (["नदी की बात", "हिन्दी गीत", "!!!"], ["हिन्दी"], 1),
        (["Cafe\u0301 table", "Tea"], ["Caf\u00e9"], 0),
    ],
)
def test_titles_that_share_rarer_words_come_first(titles: list[str], others: list[str], best: int) -> None:
    assert int(TitleIndex(titles).shared(others).argmax()) == best
    assert not TitleIndex(titles).shared(["nothing else"]).any()


def test_titles_without_words_share_nothing() -> None:
    assert TitleIndex([]).shared(["tea"]).shape == (0,)
    assert not TitleIndex(["", "!?", "🎈"]).shared(["", "😀"]).any()


def test_a_word_of_several_others_counts_once_for_each() -> None:
    index = TitleIndex(["Film 1994", "Film 1995"])
    (once, _), (twice, _) = index.shared(["A 1994"]), index.shared(["A 1994", "B 1994"])
    assert twice == pytest.approx(2 * once)
