"""EASE: the closed form, the regressions on neighbours, and the file."""

from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_matrix

from whimbrel.tools.log import ease
from whimbrel.tools.log.ease import PENALTIES, Ease, chosen_penalty, ease_weights
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.records import Item

USERS, SIZE, PENALTY = 60, 12, 5.0


def random_log(seed: int = 0) -> csr_matrix:
    return csr_matrix((np.random.default_rng(seed).random((USERS, SIZE)) < 0.3).astype(np.float32))


def log_of(*histories: str) -> InteractionLog:
    items = [Item(item_id=id_, title=id_) for id_ in "uvwx"]
    rows = [
        (float(user * 10 + step), f"user{user}", item, None)
        for user, history in enumerate(histories)
        for step, item in enumerate(history)
    ]
    return InteractionLog.build(items, rows)


def test_the_weights_are_those_of_a_ridge_regression_on_all_other_items() -> None:
    log = random_log()
    weights, table = ease_weights(log, penalty=PENALTY).toarray(), log.toarray()
    for item in range(SIZE):
        others = np.delete(np.arange(SIZE), item)
        inputs = table[:, others]
        expected = np.linalg.solve(inputs.T @ inputs + PENALTY * np.eye(SIZE - 1), inputs.T @ table[:, item])
        np.testing.assert_allclose(weights[others, item], expected, atol=1e-5)
        assert weights[item, item] == 0


def test_a_regression_on_neighbours_is_the_same_if_all_items_are_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    log = random_log()
    together = ease_weights(log, penalty=PENALTY).toarray()
    monkeypatch.setattr(ease, "DENSE_ITEMS", 0)
    np.testing.assert_allclose(ease_weights(log, penalty=PENALTY).toarray(), together, atol=1e-5)
    monkeypatch.setattr(ease, "NEIGHBOURS", 3)
    few = ease_weights(log, penalty=PENALTY)
    assert np.diff(few.tocsc().indptr).max() == 3


def test_only_the_greatest_weights_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ease_weights(random_log(), penalty=PENALTY).toarray()
    monkeypatch.setattr(ease, "KEPT", 4)
    kept = ease_weights(random_log(), penalty=PENALTY).toarray()
    assert ((kept != 0).sum(axis=1) == 4).all()
    for row, of_row in zip(kept, whole, strict=True):
        assert np.abs(row[row != 0]).min() >= np.sort(np.abs(of_row))[-4]


def test_items_of_one_user_have_no_weights() -> None:
    table = np.zeros((4, 3), dtype=np.float32)
    table[:3, :2] = 1
    table[3, 2] = 1
    assert not ease_weights(csr_matrix(table), penalty=1.0)[2].nnz
    assert not ease_weights(csr_matrix(np.eye(3, dtype=np.float32))).nnz


def test_held_out_users_choose_a_small_penalty_where_items_go_together() -> None:
    random = np.random.default_rng(0)
    # Each user has both items of two pairs, so a small penalty predicts the second item of a pair best.
    pairs = np.stack([random.permutation(30)[:2] for _ in range(2000)])
    together = np.zeros((2000, 60), dtype=np.float32)
    for column in (2 * pairs, 2 * pairs + 1):
        np.put_along_axis(together, column, 1.0, axis=1)
    assert chosen_penalty(csr_matrix(together)) in PENALTIES
    assert chosen_penalty(csr_matrix(np.eye(4, dtype=np.float32))) == PENALTIES[-1]  # nobody can be held out


def test_events_at_or_after_the_moment_change_nothing() -> None:
    early, late = log_of("uv", "uv"), log_of("uv", "uv", "uw", "uw")
    one, other = Ease.of(early), Ease.of(late, before=20.0)
    assert one is not None
    assert other is not None
    assert one.until == other.until == pytest.approx(11)
    np.testing.assert_array_equal(one.weights.toarray(), other.weights.toarray())
    assert Ease.of(late, before=0.0) is None


def test_later_items_of_a_history_weigh_more() -> None:
    weights = csr_matrix(np.array([[0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0], [0, 0, 0, 0]], dtype=np.float32))
    scores = Ease(list("uvwx"), weights, until=0.0).scores(np.array([1, 0]))
    assert scores.tolist() == pytest.approx([0, 0, 0.5 ** (1 / ease.HALF_LIFE), 1])
    assert not Ease(list("uvwx"), weights, until=0.0).scores(np.array([], dtype=np.int64)).any()


def test_a_file_holds_the_weights_and_a_damaged_one_is_refused(tmp_path: Path) -> None:
    learned = Ease.of(log_of("uv", "uv", "vw", "vw"))
    assert learned is not None
    learned.save(tmp_path / "ease.npz")
    again = Ease.load(tmp_path / "ease.npz")
    assert (again.item_ids, again.until) == (learned.item_ids, learned.until)
    np.testing.assert_array_equal(again.weights.toarray(), learned.weights.toarray())
    broken = csr_matrix(learned.weights)
    broken.data[0] = np.nan
    Ease(learned.item_ids, broken, 0.0).save(tmp_path / "ease.npz")
    with pytest.raises(ValueError, match="finite"):
        Ease.load(tmp_path / "ease.npz")
    outside = csr_matrix(learned.weights)
    outside.indices[0] = 99
    Ease(learned.item_ids, outside, 0.0).save(tmp_path / "ease.npz")
    with pytest.raises(ValueError, match="indices"):
        Ease.load(tmp_path / "ease.npz")
