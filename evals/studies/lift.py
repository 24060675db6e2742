"""What a language model adds where no log tells of the candidates, in one log after the other:
`python -m whimbrel.evals.studies.lift NAME=SOURCE ... --llm bundled`.

A choice is one event among 20 items, half of the others drawn alike, half as often as they were met. Weights, of the
signals and of the model's likelihoods, come from the other logs, so that choices of the log tested on teach nothing;
then, as `fit` would have it, also from the log's other people, in PARTS. A source is what `evals.libraries` reads. What
the model was asked before it is not asked again, so that a run that was stopped goes on.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
import typer

from whimbrel.agent.cli.main import run
from whimbrel.agent.cli.options import JsonOption, print_json
from whimbrel.agent.display.terminal import ingest_progress
from whimbrel.agent.language_models.specs import open_model
from whimbrel.agent.learning.learn import draw_choices
from whimbrel.agent.learning.ranking import AnsweredChoiceSet, ChoiceSet, ask, gains_asked, learn, learn_likelihood
from whimbrel.agent.ranking.fusion import ANSWERS, Ranker
from whimbrel.agent.shift.next_topics import NextTopics
from whimbrel.evals.data.catalogues import read_library
from whimbrel.evals.metrics.intervals import Interval, interval, sign_flip_p
from whimbrel.evals.runs.plan import Part
from whimbrel.tools.errors import ConfigError

NOTHING = Ranker(weights={})
UNWEIGHED = dict.fromkeys((*ANSWERS, "order"), 0.0)
OTHERS, OWN = "other logs", "own people"
"""Where weights come from."""
PARTS = 5

app = typer.Typer(rich_markup_mode=None)


@dataclass(frozen=True)
class Lift:
    """NDCG@10 of a log's choices without and with a model, the difference with its p, and the mean weights."""

    without: Interval
    with_: Interval
    lift: Interval
    p: float
    weights: Mapping[str, float]


@app.command()
def main(
    sources: Annotated[list[str], typer.Argument(metavar="NAME=SOURCE ...", help="Logs, each with a name.")],
    llm: Annotated[str, typer.Option("--llm", metavar="SPEC", help="The model.")] = "bundled",
    learned: Annotated[int, typer.Option("--choices", min=1, help="Of each log, that signals are weighed by.")] = 1000,
    asked: Annotated[
        int, typer.Option("--asked", min=1, help="Choices of each log that the model is asked about.")
    ] = 200,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Of all chance.")] = 0,
    json: JsonOption = False,
) -> None:
    """Measure what a model adds to each log's ranking when its weights were learned from the others."""
    model = open_model(llm, remember=True)
    if model is None or len(sources) < 2:
        raise ConfigError("give two logs or more, and a model with --llm")
    choices: dict[str, list[ChoiceSet]] = {}
    answers: dict[str, list[AnsweredChoiceSet]] = {}
    with ingest_progress() as progress:
        for source in sources:
            name, _, place = source.partition("=")
            library = read_library(place or name, progress)
            choices[name] = draw_choices(
                library, "cold", NextTopics.default(), channels={}, most=learned, seed=seed, progress=progress
            )
            progress.step(f"Asking the language model ({name})", min(len(choices[name]), asked))
            answers[name] = ask(choices[name][:asked], NOTHING, model, advance=progress.advance)
    found = {name: lifts_of(name, choices, answers, seed=seed) for name in choices if answers[name]}
    if json:
        logs = {name: {source: _document(one) for source, one in lifts.items()} for name, lifts in found.items()}
        print_json({"llm": llm, "logs": logs})
    else:
        print(markdown(found))


def lifts_of(
    name: str,
    choices: Mapping[str, Sequence[ChoiceSet]],
    answers: Mapping[str, Sequence[AnsweredChoiceSet]],
    *,
    seed: int,
) -> dict[str, Lift]:
    """Of one log, with weights from the others, and with such as its own other people taught on top."""
    others = [other for other in choices if other != name]
    own = answers[name]
    fused = learn([choices[other] for other in others], NOTHING, seed=seed, trees=False)
    weighed = learn_likelihood([answers[other] for other in others], fused)
    parts = [Part(number, PARTS, seed) for number in range(PARTS)]
    taught = {part: _taught(weighed, part, choices[name], own, seed) for part in parts}
    of_user = {answer.choice.user: next(taught[p] for p in parts if p.holds(answer.choice.user)) for answer in own}
    return {
        OTHERS: _lift(own, [weighed] * len(own), seed),
        OWN: _lift(own, [of_user[answer.choice.user] for answer in own], seed),
    }


def _taught(
    begun: Ranker, part: Part, choices: Sequence[ChoiceSet], answers: Sequence[AnsweredChoiceSet], seed: int
) -> Ranker:
    """What the people of a log outside a part teach."""
    fused = learn([[choice for choice in choices if not part.holds(choice.user)]], begun, seed=seed, trees=False)
    return learn_likelihood([[answer for answer in answers if not part.holds(answer.choice.user)]], fused)


def _lift(answers: Sequence[AnsweredChoiceSet], fused: Sequence[Ranker], seed: int) -> Lift:
    """Each answer weighed as told beside it."""
    pairs = list(zip(answers, fused, strict=True))
    without = np.concatenate([gains_asked(one.model_copy(update=UNWEIGHED), [answer]) for answer, one in pairs])
    with_ = np.concatenate([gains_asked(one, [answer]) for answer, one in pairs])
    users = np.unique([answer.choice.user for answer in answers], return_inverse=True)[1]
    weights = {part: float(np.mean([getattr(one, part) for one in fused])) for part in UNWEIGHED}
    return Lift(
        interval(without, users, seed=seed),
        interval(with_, users, seed=seed),
        interval(with_ - without, users, seed=seed),
        sign_flip_p(with_ - without, users, seed=seed),
        {part: weight for part, weight in weights.items() if weight},
    )


def markdown(found: Mapping[str, Mapping[str, Lift]]) -> str:
    """As a table."""
    head = "| log | weights from | n | NDCG@10 without | with the model | lift | p | weights |\n" + "|---" * 8 + "|\n"
    return head + "\n".join(
        f"| {name} | {source} | {one.lift.n} | {one.without.value:.3f} | {one.with_.value:.3f} | "
        f"{one.lift.value:+.3f} [{one.lift.low:+.3f}, {one.lift.high:+.3f}] | {one.p:.3f} | "
        + ", ".join(f"{part} {weight:.2f}" for part, weight in one.weights.items())
        + " |"
        for name, lifts in found.items()
        for source, one in lifts.items()
    )


def _document(one: Lift) -> dict[str, Any]:
    spans = {"without": one.without, "with": one.with_, "lift": one.lift}
    return {name: vars(span) for name, span in spans.items()} | {"p": one.p, "weights": dict(one.weights)}


if __name__ == "__main__":
    run(app)
