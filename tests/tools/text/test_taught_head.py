"""The head of a taught encoder: a linear map of the text's vector, plus what its known words add."""

import numpy as np
import pytest

from whimbrel.tools.text.distilled import pieces_of
from whimbrel.tools.text.encoder import DIMENSION
from whimbrel.tools.text.taught_head import TaughtHead

(TEA,), (RUSK, *_) = pieces_of(["tea", "rusk"])


def head_of(*pieces: int) -> TaughtHead:
    """The first two numbers of a vector; each known piece adds 3 to the second."""
    rows = np.tile(np.array([0, 3], dtype=np.float32), (len(pieces), 1))
    return TaughtHead(np.eye(DIMENSION, 2, dtype=np.float32), np.sort(np.array(pieces)), rows)


def test_a_vector_is_the_map_plus_the_sum_of_the_pieces_over_the_root_of_their_number() -> None:
    vectors = np.zeros((3, DIMENSION), dtype=np.float32)
    vectors[:, 0] = 4
    known, repeated, of_four = head_of(TEA).encode(["tea", "tea tea tea", "tea is not coffee"], vectors)
    assert known == pytest.approx([4 / 5, 3 / 5])
    assert repeated == pytest.approx(known)
    assert of_four == pytest.approx(np.array([4, 1.5]) / np.hypot(4, 1.5))


def test_pieces_that_were_not_in_the_log_add_nothing() -> None:
    vectors = np.eye(1, DIMENSION, dtype=np.float32)
    assert head_of(RUSK).encode(["tea"], vectors).tolist() == [[1, 0]]
    assert head_of(TEA).encode([], vectors[:0]).shape == (0, 2)


@pytest.mark.parametrize("wrong", ["order", "shape", "number"])
def test_arrays_that_do_not_fit_are_refused(wrong: str) -> None:
    whole = head_of(5, 9)
    whole.require_consistent()
    rows = whole.rows.copy()
    rows[0, 0] = np.nan
    damaged = {
        "order": TaughtHead(whole.axes, whole.pieces[::-1], whole.rows),
        "shape": TaughtHead(whole.axes, whole.pieces, whole.rows[:1]),
        "number": TaughtHead(whole.axes, whole.pieces, rows),
    }
    with pytest.raises(ValueError, match=r"order|shapes|finite"):
        damaged[wrong].require_consistent()
