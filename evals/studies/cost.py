"""What a recommendation costs in tokens and seconds, beside bare llama.cpp doing the same in the same run.

    python -m whimbrel.evals.studies.cost STORE --llm bundled --users 10 --scored 100

What the model has llama.cpp do at a request is recorded and then done again with nothing around it. The model forgets
everything but its instructions before each.
"""

import json
import time
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from whimbrel.agent import Agent
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.option_scores import HISTORY_SHOWN
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.pipeline import PipelineConfig
from whimbrel.agent.ranking.rank import RankConfig
from whimbrel.evals.metrics.intervals import interval
from whimbrel.evals.models.recording import Recording
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.store.store import open_store

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


def cost_of(agent: Agent, llm: LocalModel, user_id: str, *, k: int) -> dict[str, float]:
    """One request: seconds of all of it, of its stages that ask the model, and of bare llama.cpp; tokens."""
    llm.forget()
    with Recording(llm.llama) as recording:
        started = time.perf_counter()
        found = agent.recommend(user_id, k=k)
        seconds = time.perf_counter() - started
    llm.forget()
    bare = recording.replay()
    llm.forget()
    used = found.usage
    return {
        "seconds": seconds,
        "bare_seconds": bare,
        "ratio": seconds / bare,
        "calls": used.llm_calls,
        "prompt_tokens": used.prompt_tokens,
        "cached_share": used.cached_tokens / used.prompt_tokens,
        "decoded_tokens": recording.rows,
        "written_tokens": used.completion_tokens,
    }


def titles_listed(agent: Agent, llm: LocalModel, user_id: str, *, candidates: int) -> int:
    """Tokens that a prompt takes which lists the latest titles and the candidates by number, without its words."""
    history = agent.store.history(user_id)[-HISTORY_SHOWN:]
    options = list(agent.store.log.item_ids)[:candidates]
    items = agent.store.items(options)
    titles = [event.title for event in history] + [items[item_id].title for item_id in options]
    return llm.count_tokens("\n".join(f"{number}. {title}" for number, title in enumerate(titles)))


@app.command()
def main(
    store: Annotated[Path, typer.Argument(help="A store.")],
    llm: Annotated[str, typer.Option("--llm", help="A local model's spec.")] = "bundled",
    users: Annotated[int, typer.Option("--users", min=2, help="How many users are asked for.")] = 10,
    scored: Annotated[int, typer.Option("--scored", min=2, help="Candidates that the model scores.")] = 100,
    k: Annotated[int, typer.Option("--k", min=1, help="How many are recommended.")] = 10,
) -> None:
    """Print the medians over users with their 95% intervals as one JSON document."""
    model = open_model(llm, remember=False)
    if not isinstance(model, LocalModel):
        raise ConfigError(f"{llm!r} is no local model: give bundled or gguf:PATH")
    config = PipelineConfig(rank=RankConfig(weighed=scored))
    with Agent(open_store(store), model, config) as agent:
        ids = agent.store.log.user_ids
        chosen = [ids[place * len(ids) // users] for place in range(users)]
        agent.recommend(chosen[0], k=k)
        found = [cost_of(agent, model, user_id, k=k) for user_id in chosen]
        listed = [titles_listed(agent, model, user_id, candidates=scored) for user_id in chosen]
    document: dict[str, Any] = {"model": llm, "form": model.form.words, "n": users, "k": k, "scored": scored}
    for name in found[0]:
        values = np.array([one[name] for one in found], dtype=np.float64)
        mean = interval(values, np.arange(users), seed=0)
        document[name] = {"median": float(np.median(values)), "mean": mean.value, "mean_ci": [mean.low, mean.high]}
    document["titles_listed"] = float(np.median(listed))
    print(json.dumps(document, indent=1))


if __name__ == "__main__":
    app()
