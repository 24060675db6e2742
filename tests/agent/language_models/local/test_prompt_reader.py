"""Prompts are read from where they differ from what is held or saved."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from whimbrel.agent.language_models.local.llama import Row
from whimbrel.agent.language_models.local.prefixes import PrefixCache
from whimbrel.agent.language_models.local.prompt_reader import PromptReader


class FakeLlama:
    """Holds the tokens of sequence 0 and counts those that are read."""

    def __init__(self) -> None:
        self.held: list[int] = []
        self.tokens_read = 0
        self.restores = True

    def decode(self, rows: Sequence[Row]) -> None:
        assert [row.position for row in rows] == list(range(len(self.held), len(self.held) + len(rows)))
        self.held += [row.token for row in rows]
        self.tokens_read += len(rows)

    def logits(self, rows: int) -> Any:
        return np.full((rows, 1), float(sum(self.held)))

    def truncate(self, sequence: int, length: int = 0) -> bool:
        self.held = self.held[:length]
        return True

    def clear(self) -> None:
        self.held = []

    def state(self) -> bytes:
        return bytes(self.held)

    def restore(self, state: bytes) -> bool:
        self.clear()
        if self.restores:
            self.held = list(state)
        return self.restores


FIXED, TEA, JAM = list(range(100)), [101] * 60, [102] * 60


@pytest.fixture
def llama() -> FakeLlama:
    return FakeLlama()


@pytest.fixture
def reader(llama: FakeLlama) -> PromptReader:
    return PromptReader(llama, PrefixCache(1 << 20))  # type: ignore[arg-type]


def test_a_prompt_is_read_from_where_it_differs_from_the_last_one(reader: PromptReader, llama: FakeLlama) -> None:
    assert reader.read(FIXED + TEA) == 0
    assert reader.read(FIXED + JAM) == len(FIXED)
    assert llama.tokens_read == len(FIXED + TEA + JAM)
    assert llama.held == reader.tokens == FIXED + JAM


def test_fixed_instructions_are_restored_after_all_else_is_forgotten(reader: PromptReader, llama: FakeLlama) -> None:
    reader.read(FIXED + TEA, fixed_tokens=len(FIXED))
    reader.forget()
    assert llama.held == []
    assert reader.read(FIXED + JAM, fixed_tokens=len(FIXED)) == len(FIXED)
    assert llama.held == FIXED + JAM


def test_the_logits_behind_a_saved_prompt_are_those_of_reading_it(reader: PromptReader, llama: FakeLlama) -> None:
    reader.read(FIXED + TEA, save=True)
    fresh = reader.last_logits
    reader.read(JAM)
    assert reader.read(FIXED + TEA, save=True) == len(FIXED + TEA)
    assert fresh is not None
    assert reader.last_logits is not None
    assert reader.last_logits.tolist() == fresh.tolist() == [float(sum(FIXED + TEA))]


def test_a_state_that_cannot_be_restored_leaves_nothing_behind(reader: PromptReader, llama: FakeLlama) -> None:
    reader.read(FIXED + TEA, save=True)
    reader.read(FIXED[:20] + JAM)
    llama.restores = False
    assert reader.read(FIXED + TEA) == 0
    assert llama.held == reader.tokens == FIXED + TEA
