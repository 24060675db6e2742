"""What is shipped with the agent, learned from several logs, each counting the same:
`python -m whimbrel.evals.studies.defaults topics|fusion NAME=SOURCE ... --out FILE`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import typer

from whimbrel.agent.cli.main import run
from whimbrel.agent.display.terminal import ingest_progress
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.learning.learn import draw_channels, draw_choices, learn_channels, learn_fusion
from whimbrel.agent.learning.ranking import AnsweredChoiceSet, ChoiceSet, ask, learn_likelihood
from whimbrel.agent.learning.topics import learn
from whimbrel.agent.ranking.fusion import CandidateKind, Ranker, Rankers
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.evals.data.catalogues import read_library
from whimbrel.evals.studies.shifts import read_moments
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.progress import Progress
from whimbrel.tools.sources.tables import parse_map

KINDS: tuple[CandidateKind, ...] = ("retrieved", "given")
WHERES: tuple[CandidateKind, ...] = (*KINDS, "cold")
ORDER = 0.3
"""Weight of the order of a model without likelihoods, in log odds a deviation of an order that is sure: set, not
learned, since the models at hand repeat the order they are shown."""
NOTHING = Rankers(retrieved=Ranker(weights={}), given=Ranker(weights={}), cold=Ranker(weights={}))

Sources = Annotated[list[str], typer.Argument(metavar="NAME=SOURCE ...", help="Logs, each with a name.")]
app = typer.Typer(rich_markup_mode=None)


@app.command()
def topics(
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", metavar="FILE")] = Path("agent/next_topics.json"),
    map: Annotated[list[str] | None, typer.Option("--map", metavar="COLUMN=FIELD", help="As for `ingest`.")] = None,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Learn the weights of `next_topics.json` from the first part of each log."""
    named = [source.partition("=")[::2] for source in sources]
    logs = [read_moments(source or name, mapped=parse_map(map or []), seed=seed).learned_from for name, source in named]
    learned = learn(logs, learned_from=", ".join(name for name, _ in named), seed=seed)
    out.write_text(learned.model_dump_json(indent=1) + "\n", "utf-8")
    print(learned.model_dump_json(indent=1))


@app.command()
def fusion(
    sources: Sources,
    out: Annotated[Path, typer.Option("--out", metavar="FILE")] = Path("agent/fusion.json"),
    llm: Annotated[str, typer.Option("--llm", metavar="SPEC", help="Weighs also this model's likelihood.")] = "bundled",
    choices: Annotated[int, typer.Option("--choices", min=1, help="Of each log and kind of candidates.")] = 2000,
    asked: Annotated[int, typer.Option("--asked", min=1, help="Choices of each that the model is asked about.")] = 150,
    seed: Annotated[int, typer.Option("--seed", min=0)] = 0,
) -> None:
    """Learn the weights of `fusion.json`; a source is a log in a format of `ingest`, a folder of Last.fm, or
    `SESSIONS,ITEMS` as of `fit`.

    Beside it, FILE.without-NAME.json is learned from the logs but one each, to be tested on that one. What the model
    was asked before it is not asked again.
    """
    for source in sources:
        if Path(name := source.partition("=")[0]).name != name:
            raise ConfigError(f"{source!r}: give each log a name without slashes, as NAME=SOURCE")
    model = open_model(llm, remember=True)
    with ingest_progress() as progress:
        brought: dict[str, list[ChoiceSet]] = {}
        drawn: dict[str, dict[CandidateKind, list[ChoiceSet]]] = {}
        for source in sources:
            name, _, place = source.partition("=")
            library, topics = read_library(place or name, progress), NextTopics.default()
            brought[name] = draw_channels(library, topics, seed=seed, progress=progress)
            own = learn_channels([brought[name]], {}, seed=seed)
            drawn[name] = {
                kind: draw_choices(library, kind, topics, channels=own, most=choices, seed=seed, progress=progress)
                for kind in KINDS
            }
        progress.step(f"Learning from {', '.join(drawn)}", None)
        found = _learned(list(drawn.values()), list(brought.values()), seed)
        answers = {name: _asked(own, found, model, asked, name, progress) for name, own in drawn.items()}
        for left in [None, *drawn] if len(drawn) > 1 else [None]:
            used = [name for name in drawn if name != left]
            progress.step(f"Learning from {', '.join(used)}", None)
            if left is not None:
                found = _learned([drawn[name] for name in used], [brought[name] for name in used], seed)
            weighed: dict[str, Ranker] = {
                kind: learn_likelihood([answers[name][kind] for name in used], found.of(kind))
                for kind in answers[used[0]]
            }
            whole = {kind: weighed.get(kind) or found.of(kind) for kind in WHERES}
            ordered = {kind: fused.model_copy(update={"order": ORDER}) for kind, fused in whole.items()}
            learned = found.model_copy(update=ordered | {"learned_from": ", ".join(used)})
            file = out if left is None else out.with_suffix(f".without-{left}.json")
            file.write_text(learned.model_dump_json(indent=1) + "\n", "utf-8")


def _learned(
    drawn: Sequence[Mapping[CandidateKind, Sequence[ChoiceSet]]], brought: Sequence[Sequence[ChoiceSet]], seed: int
) -> Rankers:
    """Weights of channels and signals from several logs."""
    pools: dict[CandidateKind, Sequence[Sequence[ChoiceSet]]] = {kind: [own[kind] for own in drawn] for kind in KINDS}
    found = learn_fusion(NOTHING, pools, seed=seed, trees=False)
    return found.model_copy(update={"channels": learn_channels(brought, {}, seed=seed)})


def _asked(
    drawn: Mapping[CandidateKind, Sequence[ChoiceSet]],
    fusion: Rankers,
    llm: LanguageModel | None,
    most: int,
    name: str,
    progress: Progress,
) -> dict[CandidateKind, list[AnsweredChoiceSet]]:
    """What a model says of some choices of a log, of each kind."""
    if llm is None:
        return {}
    pools = {**drawn, "cold": [choice.without_log() for choice in drawn["given"]]}
    found: dict[CandidateKind, list[AnsweredChoiceSet]] = {}
    for kind, choices in pools.items():
        progress.step(f"Asking the language model ({name}, {kind})", min(len(choices), most))
        found[kind] = ask(choices[:most], fusion.of(kind), llm, advance=progress.advance)
    return found


if __name__ == "__main__":
    run(app)
