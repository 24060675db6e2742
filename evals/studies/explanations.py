"""Measure whether explanations keep to the facts, and how many of the model's reasons stand as it worded them.

Users and moments of their histories are drawn at random; the model words the reason of every item. Cited events are
looked up in the store. Names in an explanation are compared with those that may be named there. The same command
resumes a run.
"""

import random
import re
import statistics
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, ValidationError

from whimbrel.agent.agent import Agent
from whimbrel.agent.explanation.names import short_name
from whimbrel.agent.language_models.protocol import LanguageModel
from whimbrel.agent.pipeline import PipelineConfig, Request
from whimbrel.agent.schema.results import CitedEvent, Recommendation
from whimbrel.evals.metrics.intervals import Interval, wilson
from whimbrel.prompts.phrases import Language, Phrases, load_phrases
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Interaction
from whimbrel.tools.store.store import Store, open_store

if TYPE_CHECKING:
    from rich.table import Table

LEAST_EVENTS = 6
"""Users with fewer are not drawn."""

_QUOTED = re.compile(r"(?<!\w)'[^']*\w[^']*'(?!\w)|\"[^\"]*\w[^\"]*\"|“[^”]*\w[^”]*”|《[^》]*》|「[^」]*」")
_WORD = re.compile(r"[^\W\d_][\w'’]*")


class Settings(BaseModel):
    """What answers depend on."""

    model_config = ConfigDict(frozen=True)

    llm: str = "bundled"
    language: Language = "en"
    k: int = 10
    seed: int = 0


class Explanation(BaseModel):
    """One sentence, the events that it cites, what is wrong with those, and what it names beyond them."""

    item: str
    words: str
    bare: str
    cited: tuple[CitedEvent, ...]
    wrong: tuple[str, ...]
    named: tuple[str, ...]


class Answer(BaseModel):
    """The explanations of one request; of the `asked` that the model worded, why each was replaced that was."""

    store: str
    user_id: str
    at: float
    settings: Settings
    explanations: tuple[Explanation, ...]
    asked: int
    problems: tuple[str, ...]
    milliseconds: float


def wrong_citation(cited: CitedEvent, history: Sequence[Interaction], *, user_id: str, at: float) -> str:
    """What is wrong with a cited event; empty where the user's history holds it, as told, before `at`."""
    event = next((event for event in history if event.event_id == cited.event_id), None)
    if event is None or event.user_id != user_id:
        return "is no event of this user"
    if event.time >= at:
        return "did not happen before"
    told = (cited.item_id, cited.title, cited.time, cited.event)
    return "" if told == (event.item_id, event.title, event.time, event.event) else "is told otherwise"


def nobody_else(entry: Recommendation, log: InteractionLog, *, user_id: str, at: float) -> str:
    """What is wrong where a reason tells of others who did what is cited; empty where, for each cited event, somebody
    else met its item and the recommended one before `at`."""

    def met_by(item_id: str) -> set[int]:
        (row,) = log.rows([item_id])
        return set(log.user[(log.item == row) & (log.time < at)].tolist()) - {log.user_rows[user_id]}

    takers = met_by(entry.item_id)
    alone = any(takers.isdisjoint(met_by(cited.item_id)) for cited in entry.evidence)
    return "nobody else did that and chose the item" if alone else ""


def bare(words: str, *, titles: Sequence[str], topics: Sequence[str], days: Sequence[str]) -> str:
    """A sentence with `_` for each of these names, the longest first; in quotation marks or not."""
    names = {*titles, *map(short_name, titles), *topics, *days} - {""}
    either = "|".join(map(re.escape, sorted(names, key=lambda name: (-len(name), name))))
    quoted = rf"'(?:{either})'|“(?:{either})”|(?<![^\W_])(?:{either})(?![^\W_])"
    return re.sub(quoted, "_", words) if either else words


def named_beyond(rest: str, say: Phrases) -> list[str]:
    """What still looks like a name in a `bare` sentence: what is quoted, and capitalised words, unless one of our own
    words begins the sentence with it. A name in small letters without quotation marks is not seen."""
    own = say.generated.reason_words | say.generated.others_words | {"chosen", "nothing"}
    plain = _QUOTED.sub(" ", rest)
    begins = {match.end() for match in re.finditer(r"^|[.!?;:] ", plain)}
    capitalised = [match for match in _WORD.finditer(plain) if match[0][0].isupper()]
    return [match[0] for match in _QUOTED.finditer(rest)] + [
        match[0] for match in capitalised if match.start() not in begins or match[0].casefold() not in own
    ]


def measure_explanations(
    stores: Sequence[str], settings: Settings, *, llm: LanguageModel | None, n: int, out: Path, progress: Progress
) -> dict[str, Any]:
    """Answers for each store until they hold `n` explanations, appended to `out`, and what they come to.

    Raises:
        ConfigError: `out` cannot be written.
        StoreError: no store there.
    """
    answers = [answer for answer in _kept(out) if answer.settings == settings and answer.store in stores]
    for name in stores:
        done = {(answer.user_id, answer.at) for answer in answers if answer.store == name}
        count = sum(len(answer.explanations) for answer in answers if answer.store == name)
        progress.step(f"Explanations: {Path(name).name}", n)
        progress.advance(min(count, n))
        with open_store(name) as store:
            agent = Agent(store, llm, PipelineConfig(worded=settings.k, language=settings.language))
            for request in moments(store, settings):
                if count >= n:
                    break
                if (request.user_id, request.at) in done:
                    continue
                answer = _answer(agent, name, request, settings)
                _append(out, answer)
                answers.append(answer)
                count += len(answer.explanations)
                progress.advance(len(answer.explanations))
    by_store = {name: [answer for answer in answers if answer.store == name] for name in stores}
    return {
        "settings": settings.model_dump(),
        "all": _counted(answers),
        "stores": {Path(name).name: _counted(found) for name, found in by_store.items()},
    }


def moments(store: Store, settings: Settings) -> Iterator[Request]:
    """Every user with enough events, in an order drawn by the seed, just before an event of the latter half."""
    users = sorted(store.log.user_ids)
    random.Random(settings.seed).shuffle(users)  # noqa: S311
    for user_id in users:
        history = store.history(user_id)
        if len(history) >= LEAST_EVENTS:
            drawn = random.Random(f"{settings.seed} {user_id}")  # noqa: S311
            at = history[drawn.randrange(len(history) // 2, len(history))].time
            if history[0].time < at:
                yield Request(user_id, at=at, k=settings.k)


def _answer(agent: Agent, name: str, request: Request, settings: Settings) -> Answer:
    state, store = agent.run(request), agent.store
    explained, shift, at = state.explained, state.prediction.shift, request.at or 0.0
    history = store.history(request.user_id)
    items = store.items([entry.item_id for entry in explained.recommendations])
    told = [
        _judged(entry, items[entry.item_id].topics, shift.to_topics, history, store.log, request, settings.language)
        for entry in explained.recommendations
    ]
    return Answer(
        store=name,
        user_id=request.user_id,
        at=at,
        settings=settings,
        explanations=tuple(told),
        asked=explained.asked,
        problems=explained.problems,
        milliseconds=round(1000 * state.seconds["explain"], 1),
    )


def _judged(
    entry: Recommendation,
    topics: Sequence[str],
    towards: Sequence[str],
    history: Sequence[Interaction],
    log: InteractionLog,
    request: Request,
    language: Language,
) -> Explanation:
    say = load_phrases(language)
    wrong = [wrong_citation(cited, history, user_id=request.user_id, at=request.at or 0.0) for cited in entry.evidence]
    ids = {cited.event_id for cited in entry.evidence}
    theirs = {topic for event in history if event.event_id in ids for topic in event.topics}
    days = [datetime.fromtimestamp(cited.time, tz=UTC) for cited in entry.evidence if cited.time is not None]
    rest = bare(
        entry.explanation,
        titles=[entry.title, *(cited.title for cited in entry.evidence)],
        topics=[topic for topic in topics if topic in theirs.union(towards)],
        days=[f"{day:%-d %B %Y}" for day in days] + [f"{day.year}年{day.month}月{day.day}日" for day in days],
    )
    if say.reasons.others_mark in rest:
        wrong.append(nobody_else(entry, log, user_id=request.user_id, at=request.at or 0.0))
    return Explanation(
        item=entry.title,
        words=entry.explanation,
        bare=rest,
        cited=entry.evidence,
        wrong=tuple(filter(None, wrong)) if entry.evidence else ("cites nothing",),
        named=tuple(named_beyond(rest, say)),
    )


def _counted(answers: Sequence[Answer]) -> dict[str, Any]:
    told = [explanation for answer in answers for explanation in answer.explanations]
    cited = sum(len(explanation.cited) for explanation in told)
    wrong = Counter(problem for explanation in told for problem in explanation.wrong)
    asked, problems = sum(answer.asked for answer in answers), Counter(p for a in answers for p in a.problems)
    times = [answer.milliseconds for answer in answers]
    shapes = Counter(explanation.bare for explanation in told)
    return {
        "users": len({(answer.store, answer.user_id) for answer in answers}),
        "requests": len(answers),
        "explanations": len(told),
        "cited events": cited,
        "cited events sound": _share(cited - (wrong.total() - wrong["cites nothing"]), cited),
        "wrong citations": dict(wrong.most_common()),
        "name nothing else": _share(sum(not explanation.named for explanation in told), len(told)),
        "named beyond": dict(Counter(name for explanation in told for name in explanation.named).most_common(20)),
        "worded by the model": asked,
        "pass before repair": _share(asked - problems.total(), asked),
        "problems": dict(problems.most_common()),
        "different sentences, names left out": len(shapes),
        "share of the commonest": shapes.most_common(1)[0][1] / len(told) if told else None,
        "milliseconds a request": round(statistics.median(times), 1) if times else None,
    }


def _share(count: int, of: int) -> dict[str, Any] | None:
    found: Interval = wilson(count, of)
    return {"value": found.value, "ci": [found.low, found.high], "n": of} if of else None


def _kept(out: Path) -> Iterator[Answer]:
    """Answers of runs before; a line that was cut off is left out."""
    for line in out.read_text("utf-8").splitlines() if out.is_file() else ():
        try:
            yield Answer.model_validate_json(line)
        except ValidationError:
            continue


def _append(out: Path, answer: Answer) -> None:
    try:
        cut_off = out.is_file() and out.read_bytes()[-1:] not in (b"", b"\n")
        with out.open("a", encoding="utf-8") as file:
            file.write("\n" * cut_off + answer.model_dump_json() + "\n")
    except OSError as error:
        raise ConfigError(f"--out {str(out)!r} cannot be written: {error.strerror or error}") from error


def explanation_table(document: dict[str, Any]) -> "Table":
    """Stores by what was measured, with 95% intervals."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, padding=(0, 1))
    for column in ("store", "explanations", "cited events sound", "name nothing else", "pass before repair", "ms"):
        table.add_column(column, justify="left" if column == "store" else "right")
    for name, found in [*document["stores"].items(), ("all", document["all"])]:
        shares = (found[key] for key in ("cited events sound", "name nothing else", "pass before repair"))
        told = (f"{s['value']:.1%} [{s['ci'][0]:.1%}, {s['ci'][1]:.1%}]" if s else "-" for s in shares)
        table.add_row(name, str(found["explanations"]), *told, str(found["milliseconds a request"]))
    return table
