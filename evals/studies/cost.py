"""Compare the tokens and seconds of a recommendation with bare llama.cpp in the same run.

The calls that a request makes to llama.cpp are recorded. Then the same calls are repeated without Whimbrel. Before the
request and before the repetition, the model forgets everything except its instructions.
"""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from whimbrel.agent import Agent
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.option_scores import HISTORY_SHOWN
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.ranking.rank import RankConfig
from whimbrel.agent.state import PipelineConfig
from whimbrel.evals.metrics.intervals import interval
from whimbrel.evals.models.recording import Recording
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.store.store import open_store


@dataclass(frozen=True)
class CostConfig:
    """What is measured.

    Attributes:
        llm: Spec of a local model.
        users: Number of users.
        scored: Number of candidates that the model scores.
        k: Number of items to recommend.
    """

    llm: str = "bundled"
    users: int = 10
    scored: int = 100
    k: int = 10


def measure_cost(store: str, config: CostConfig, *, progress: Progress | None = None) -> dict[str, Any]:
    """Measure requests of users that are evenly spread over a store.

    Returns:
        Each value of `request_cost` as its median over users, and as its mean with a 95% interval.

    Raises:
        ConfigError: the model is not a local one.
        StoreError: the store cannot be opened.
    """
    progress = progress or NoProgress()
    model = open_model(config.llm, remember=False)
    if not isinstance(model, LocalModel):
        raise ConfigError(f"{config.llm!r} is not a local model: give bundled or gguf:PATH")
    pipeline = PipelineConfig(rank=RankConfig(weighed=config.scored))
    with Agent(open_store(store), model, pipeline) as agent:
        ids = agent.store.log.user_ids
        chosen = [ids[number * len(ids) // config.users] for number in range(config.users)]
        progress.step("Recommending", len(chosen) + 1)
        agent.recommend(chosen[0], k=config.k)  # a first request also loads files
        progress.advance(1)
        costs = []
        for user_id in chosen:
            costs.append(request_cost(agent, model, user_id, k=config.k))
            progress.advance(1)
        # For comparison: the tokens of a prompt that lists the titles of all candidates.
        listed = [listed_tokens(agent, model, user_id, candidates=config.scored) for user_id in chosen]
    document: dict[str, Any] = {
        "model": config.llm,
        "form": model.build.description,
        "n": config.users,
        "k": config.k,
        "scored": config.scored,
    }
    for name in costs[0]:
        values = np.array([cost[name] for cost in costs], dtype=np.float64)
        mean = interval(values, np.arange(config.users), seed=0)
        document[name] = {"median": float(np.median(values)), "mean": mean.value, "mean_ci": [mean.low, mean.high]}
    document["titles_listed"] = float(np.median(listed))
    return document


def request_cost(agent: Agent, llm: LocalModel, user_id: str, *, k: int) -> dict[str, float]:
    """Measure one request: its seconds, its tokens, and the seconds of bare llama.cpp for the same calls."""
    llm.forget()
    with Recording(llm.llama) as recording:
        started = time.perf_counter()
        recommendations = agent.recommend(user_id, k=k)
        seconds = time.perf_counter() - started
    llm.forget()
    bare = recording.replay()
    llm.forget()
    usage = recommendations.usage
    return {
        "seconds": seconds,
        "bare_seconds": bare,
        "ratio": seconds / bare,
        "calls": usage.llm_calls,
        "prompt_tokens": usage.prompt_tokens,
        "cached_share": usage.cached_tokens / usage.prompt_tokens,
        "decoded_tokens": recording.rows,
        "written_tokens": usage.completion_tokens,
    }


def listed_tokens(agent: Agent, llm: LocalModel, user_id: str, *, candidates: int) -> int:
    """Count the tokens of a prompt that lists the latest titles and the candidates in numbered lines.

    Instructions are not counted.
    """
    history = agent.store.history(user_id)[-HISTORY_SHOWN:]
    options = list(agent.store.log.item_ids)[:candidates]
    items = agent.store.items(options)
    titles = [event.title for event in history] + [items[item_id].title for item_id in options]
    return llm.count_tokens("\n".join(f"{number}. {title}" for number, title in enumerate(titles)))


def cost_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_cost` as a Markdown table."""
    lines = [
        f"{document['model']} ({document['form']}): {document['n']} users, {document['scored']} candidates scored, "
        f"{document['k']} recommended",
        "",
        "| per request | median | mean | 95% |",
        "|---|---|---|---|",
    ]
    for name, values in document.items():
        if isinstance(values, dict):
            cells = [_figure(value) for value in (values["median"], values["mean"], *values["mean_ci"])]
            lines.append(f"| {name.replace('_', ' ')} | {cells[0]} | {cells[1]} | {cells[2]} to {cells[3]} |")
    return "\n".join([*lines, "", f"A prompt that lists all titles would take {document['titles_listed']:.0f} tokens."])


def _figure(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.3g}"
