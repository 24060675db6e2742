"""Orders in plain words."""

import pytest

from whimbrel.agent.language_models.order_parser import parse_order


@pytest.mark.parametrize(
    ("text", "numbers"),
    [
        ("3, 1, 2", [3, 1, 2]),
        ("I would say: \n 3 > 1 > 2.", [3, 1, 2]),
        ("3. FIFA 12\n1. Halo 3\n2. Tetris 99", [3, 1, 2]),
        ("- [3] FIFA 12\n- [1] Halo", [3, 1]),
        ("1. FIFA 12\n2. Halo 3", []),  # counts, names no option
        ("FIFA 12 is best, then Halo 3", []),
        ("", []),
    ],
)
def test_an_order_in_words_is_read_without_guessing(text: str, numbers: list[int]) -> None:
    assert parse_order(text) == numbers
