"""What a person is warned of in a Chinese answer is Chinese, and its times are those of the store's zone."""

import re
from pathlib import Path

import pytest

from whimbrel.agent import Agent
from whimbrel.agent.schema.policy import Policy
from whimbrel.agent.state import PipelineConfig

AT = 1_600_000_000 + 34 * 86_400
ENGLISH_WORDS = re.compile(r"\b(?:the|of|is|no|not|to|has|items?|list|needs|reads|nothing|known|before)\b")


@pytest.fixture(scope="module")
def warnings(shop: Path) -> dict[str, tuple[str, ...]]:
    """The warnings of requests that each deserve one."""
    with Agent.open(shop, llm="none", config=PipelineConfig(language="zh")) as agent:
        unseen = agent.recommend("u5", AT, {"place": "moon"}, 5).warnings
        short = agent.recommend("u5", AT, k=200).warnings
        before = agent.recommend("u5", 1_500_000_000, k=1).warnings
        policy = Policy.model_validate(
            {"require": [{"field": "maker", "op": "contains_any", "value": {"fact": "makers"}}]}
        )
        ruled = agent.recommend("u5", AT, k=1, policy=policy).warnings
        talk = agent.chat("nobody", AT, policy=policy).open().warnings
    return {"unseen": unseen, "short": short, "before": before, "policy": ruled, "talk": talk}


@pytest.mark.parametrize("case", ["unseen", "short", "before", "policy", "talk"])
def test_a_warning_of_a_chinese_answer_is_chinese(case: str, warnings: dict[str, tuple[str, ...]]) -> None:
    assert warnings[case]
    for warning in warnings[case]:
        assert re.search("[\u4e00-\u9fff]{4}", warning), warning
        assert not ENGLISH_WORDS.search(warning), warning
