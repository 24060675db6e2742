"""Tokens of a vocabulary that is not at hand."""

from pathlib import Path

import pytest

from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.tokens import TokenCounter
from whimbrel.evals.models.sample import NAMES


def test_tokens_of_a_vocabulary_out_of_reach_are_estimated_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: LocalModel
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    count = TokenCounter("gpt-4.1-nano-unseen")
    assert count.how == "estimated from the bytes"
    for text in [*NAMES[:20], "有机绿茶，二十袋", "Zürich – Ελλάδα", "1234567890"]:
        assert count(text) >= bundled.count_tokens(text) * 0.9
