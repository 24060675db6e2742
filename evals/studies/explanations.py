"""Measure whether explanations keep to the facts, and how many of the model's reasons are kept unchanged.

Users and moments of their histories are drawn at random. The model words the reason of every item. Cited events are
looked up in the store. Names in an explanation are compared with the names that the model was given. The same command
resumes a run.
"""

import random
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from whimbrel.agent.agent import Agent
from whimbrel.agent.explanation.days import day_of
from whimbrel.agent.explanation.likeness import shared_words
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.schema.results import CitedEvent, Recommendation
from whimbrel.agent.state import PipelineConfig, Request
from whimbrel.evals.metrics.intervals import wilson
from whimbrel.evals.studies.explanation_checks import (
    foreign_names,
    pattern_of,
    without_names,
    wrong_citation,
    wrong_others,
)
from whimbrel.prompts.phrases import Language, load_phrases
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Interaction
from whimbrel.tools.store.store import Store, open_store

if TYPE_CHECKING:
    from rich.table import Table

LEAST_EVENTS = 6
"""Users with fewer events are not drawn."""
FOREIGN_NAMES_SHOWN = 20
_NUMBER = re.compile(r"\d+(?:,\d{3})*")


class Settings(BaseModel):
    """The settings that an answer depends on."""

    model_config = ConfigDict(frozen=True)

    llm: str = "bundled"
    language: Language = "en"
    k: int = 10
    seed: int = 0


class Explanation(BaseModel):
    """One checked explanation. The file of answers holds it as part of an `Answer`.

    Attributes:
        item: Title of the recommended item.
        words: The explanation.
        pattern: The explanation with marks for names, days and numbers (`pattern_of`).
        cited: The events that the explanation cites.
        wrong: The errors in these citations.
        named: Names in the explanation that the model was not given.
    """

    item: str
    words: str
    pattern: str
    cited: tuple[CitedEvent, ...]
    wrong: tuple[str, ...]
    named: tuple[str, ...]


class Answer(BaseModel):
    """The explanations of one request.

    `asked` is the number of reasons that the model worded. `problems` lists why a reason of the model was replaced.
    """

    store: str
    user_id: str
    at: float
    settings: Settings
    explanations: tuple[Explanation, ...]
    asked: int
    problems: tuple[str, ...]
    milliseconds: float


def measure_explanations(
    stores: Sequence[str], settings: Settings, *, llm: LanguageModel | None, n: int, out: Path, progress: Progress
) -> dict[str, Any]:
    """Collect answers until there are `n` explanations for each store, and count their errors.

    Args:
        stores: Stores to recommend from.
        settings: What answers depend on. Answers with other settings in `out` are not used.
        llm: The language model that words reasons.
        n: Least number of explanations for each store.
        out: File that answers are appended to.
        progress: Where progress is shown.

    Raises:
        ConfigError: `out` cannot be written.
        StoreError: a store cannot be opened.
    """
    answers = [answer for answer in _read_answers(out) if answer.settings == settings and answer.store in stores]
    for name in stores:
        done = {(answer.user_id, answer.at) for answer in answers if answer.store == name}
        count = sum(len(answer.explanations) for answer in answers if answer.store == name)
        progress.step(f"Explanations: {Path(name).name}", n)
        progress.advance(min(count, n))
        with open_store(name) as store:
            agent = Agent(store, llm, PipelineConfig(worded=settings.k, language=settings.language))
            # The draw is the same each time, so a run that was stopped can continue it.
            for request in draw_requests(store, settings):
                if count >= n:
                    break
                if (request.user_id, request.at) in done:
                    continue
                answer = _answer(agent, name, request, settings)
                _append(out, answer)
                answers.append(answer)
                count += len(answer.explanations)
                progress.advance(len(answer.explanations))
    return {
        "settings": settings.model_dump(),
        "all": _summarise(answers),
        "stores": {
            Path(name).name: _summarise([answer for answer in answers if answer.store == name]) for name in stores
        },
    }


def draw_requests(store: Store, settings: Settings) -> Iterator[Request]:
    """Return one request for each user with enough events, in random order of users.

    The moment of a request is the time of a random event in the second half of the user's history.
    """
    users = sorted(store.log.user_ids)
    random.Random(settings.seed).shuffle(users)  # noqa: S311
    for user_id in users:
        history = store.history(user_id)
        if len(history) >= LEAST_EVENTS:
            # Each user has a separate generator, so the moment does not depend on the users drawn before.
            draw = random.Random(f"{settings.seed} {user_id}")  # noqa: S311
            at = history[draw.randrange(len(history) // 2, len(history))].time
            if history[0].time < at:
                yield Request(user_id, at=at, k=settings.k)


@dataclass(frozen=True)
class Facts:
    """The facts that an explanation is checked against.

    Attributes:
        user_id: The user who gets the recommendation.
        at: The moment of the recommendation.
        history: The user's events.
        log: The events of all users.
        to_topics: The topics that the predicted shift moves to.
        language: Language of the explanation.
    """

    user_id: str
    at: float
    history: Sequence[Interaction]
    log: InteractionLog
    to_topics: Sequence[str]
    language: Language


def _answer(agent: Agent, name: str, request: Request, settings: Settings) -> Answer:
    state, store = agent.run(request), agent.store
    at, explained = request.at or 0.0, state.explained
    facts = Facts(
        request.user_id,
        at,
        store.history(request.user_id),
        store.log,
        state.prediction.shift.to_topics,
        settings.language,
    )
    items = store.items([entry.item_id for entry in explained.recommendations])
    return Answer(
        store=name,
        user_id=request.user_id,
        at=at,
        settings=settings,
        explanations=tuple(
            check_explanation(entry, items[entry.item_id].topics, facts) for entry in explained.recommendations
        ),
        asked=explained.asked,
        problems=explained.problems,
        milliseconds=round(1000 * state.seconds["explain"], 1),
    )


def check_explanation(entry: Recommendation, topics: Sequence[str], facts: Facts) -> Explanation:
    """Check the explanation of one recommended item, which has these topics."""
    phrases = load_phrases(facts.language)
    wrong = [wrong_citation(cited, facts.history, user_id=facts.user_id, at=facts.at) for cited in entry.evidence]
    cited_ids = {cited.event_id for cited in entry.evidence}
    events = [event for event in facts.history if event.event_id in cited_ids]
    cited_topics = {topic for event in events for topic in event.topics}
    # After every given name is removed, the rest must hold no name.
    rest = without_names(
        entry.explanation,
        titles=[entry.title, *(cited.title for cited in entry.evidence), *_shared_words(entry)],
        # A topic may be named if the item shares it with a cited event, or if the interest shifts to it.
        topics=[topic for topic in topics if topic in cited_topics.union(facts.to_topics)],
        days=[day_of(event.time, facts.at, phrases) for event in events],
    )
    if phrases.reasons.others_mark in rest:
        known = {f"{event.rating:g}" for event in events if event.rating is not None}
        known |= {number for window in phrases.reasons.windows.values() for number in _NUMBER.findall(window)}
        figures = {int(number.replace(",", "")) for number in _NUMBER.findall(rest) if number not in known}
        wrong.append(wrong_others(entry, figures, facts.log, user_id=facts.user_id, at=facts.at))
    return Explanation(
        item=entry.title,
        words=entry.explanation,
        pattern=pattern_of(rest, phrases),
        cited=entry.evidence,
        wrong=tuple(filter(None, wrong)) if entry.evidence else ("cites nothing",),
        named=tuple(foreign_names(rest, phrases)),
    )


def _shared_words(entry: Recommendation) -> list[str]:
    """Return the words that the titles of the item and of its cited events share, which a reason may quote."""
    return [phrase for cited in entry.evidence for phrase in shared_words(entry.title, cited.title)]


def _summarise(answers: Sequence[Answer]) -> dict[str, Any]:
    explanations = [explanation for answer in answers for explanation in answer.explanations]
    cited = sum(len(explanation.cited) for explanation in explanations)
    wrong = Counter(problem for explanation in explanations for problem in explanation.wrong)
    wrong_events = wrong.total() - wrong["cites nothing"]
    names = Counter(name for explanation in explanations for name in explanation.named)
    asked = sum(answer.asked for answer in answers)
    problems = Counter(problem for answer in answers for problem in answer.problems)
    times = [answer.milliseconds for answer in answers]
    patterns = Counter(explanation.pattern for explanation in explanations)
    return {
        "users": len({(answer.store, answer.user_id) for answer in answers}),
        "requests": len(answers),
        "explanations": len(explanations),
        "cited events": cited,
        "cited events sound": _share(cited - wrong_events, cited),
        "wrong citations": dict(wrong.most_common()),
        "name nothing else": _share(sum(not explanation.named for explanation in explanations), len(explanations)),
        "named beyond": dict(names.most_common(FOREIGN_NAMES_SHOWN)),
        "worded by the model": asked,
        "pass before repair": _share(asked - problems.total(), asked),
        "problems": dict(problems.most_common()),
        "patterns": len(patterns),
        "commonest pattern": dict(patterns.most_common(1)),
        "commonest_pattern": patterns.most_common(1)[0][1] / len(explanations) if explanations else None,
        "milliseconds a request": round(statistics.median(times), 1) if times else None,
    }


def _share(count: int, of: int) -> dict[str, Any] | None:
    """Return a share with its interval; None if `of` is 0."""
    share = wilson(count, of)
    return {"value": share.value, "ci": [share.low, share.high], "n": of} if of else None


def _read_answers(out: Path) -> Iterator[Answer]:
    """Return the answers of earlier runs. An incomplete line is left out."""
    # A file in another encoding holds no answers. Its bytes are replaced, so that each line is left out by itself.
    for line in out.read_text("utf-8", errors="replace").splitlines() if out.is_file() else ():
        try:
            yield Answer.model_validate_json(line)
        except ValidationError:
            continue


def _append(out: Path, answer: Answer) -> None:
    try:
        # A run that was killed may have left half a line. The next answer must begin on a new line.
        was_cut_off = out.is_file() and out.read_bytes()[-1:] not in (b"", b"\n")
        with out.open("a", encoding="utf-8") as file:
            file.write("\n" * was_cut_off + answer.model_dump_json() + "\n")
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror or error}") from error


def explanation_table(document: dict[str, Any]) -> "Table":
    """Return a table of the stores, with shares and their 95% intervals."""
    from rich.table import Table

    keys = ("cited events sound", "name nothing else", "pass before repair")
    heads = ("cited events are true", "no other names", "kept as the model worded it")
    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for number, head in enumerate(("store", "explanations", *heads, "commonest pattern", "ms per request")):
        table.add_column(head, justify="right" if number else "left")
    for name, row in [*document["stores"].items(), ("all", document["all"])]:
        shares = (row[key] for key in keys)
        cells = (f"{s['value']:.1%} [{s['ci'][0]:.1%}, {s['ci'][1]:.1%}]" if s else "-" for s in shares)
        commonest = row["commonest_pattern"]
        pattern = f"{commonest:.1%}" if commonest is not None else "-"
        table.add_row(name, str(row["explanations"]), *cells, pattern, str(row["milliseconds a request"]))
    return table
