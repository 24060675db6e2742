"""What is shipped with the agent, learned from several logs: `python -m whimbrel.evals.defaults SOURCE ... --out
FILE`."""

from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.learn_topics import learn
from whimbrel.evals.shifts import read_moments
from whimbrel.tools.formats import parse_map


def main(
    sources: Annotated[list[str], typer.Argument(metavar="SOURCE ...", help="Logs, each with a name: `name=source`.")],
    out: Annotated[Path, typer.Option("--out", metavar="FILE")] = Path("agent/next_topics.json"),
    map: Annotated[list[str] | None, typer.Option("--map", metavar="COLUMN=FIELD", help="As for `ingest`.")] = None,
    seed: Annotated[int, typer.Option("--seed")] = 0,
) -> None:
    """Learn the weights of `next_topics.json` from the first part of each log, each counting the same."""
    named = [source.partition("=")[::2] for source in sources]
    logs = [read_moments(source or name, mapped=parse_map(map or []), seed=seed).learned_from for name, source in named]
    learned = learn(logs, learned_from=", ".join(name for name, _ in named), seed=seed)
    out.write_text(learned.model_dump_json(indent=1) + "\n", "utf-8")
    print(learned.model_dump_json(indent=1))


if __name__ == "__main__":
    typer.run(main)
