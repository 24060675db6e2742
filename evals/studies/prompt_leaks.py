"""Search the prompts of many people for what is another's, and for planted personal data, and count connections.

A model server on loopback keeps each request (see `recording_server`). Each person of a made-up log talks, resumes the
talk and gets recommendations, through the code that users run. Commands then run with traces turned on, and their
connections are counted.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory
from typing import Any

from whimbrel.agent.agent import Agent
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.protocol import Generation, Likelihoods, T
from whimbrel.agent.language_models.specs import open_some_model
from whimbrel.agent.language_models.wrapped_model import WrappedModel
from whimbrel.agent.state import PipelineConfig
from whimbrel.evals.metrics.intervals import wilson
from whimbrel.evals.studies.connections import connections_of
from whimbrel.evals.studies.personal_log import (
    NAME,
    OWN,
    PLACES,
    Person,
    Planted,
    make_people,
    personal_source,
)
from whimbrel.evals.studies.personal_pieces import KINDS
from whimbrel.evals.studies.recording_server import READER, SCORER, RecordingServer, recording_server
from whimbrel.prompts import Message
from whimbrel.tools.progress import NoProgress, Progress
from whimbrel.tools.sources.ingest import MIN_PEOPLE_OF_LOG, ingest
from whimbrel.tools.store.store import open_store

SENSITIVE = ("topic", "item", "title", "field")
"""What things with somebody's own topic have of their own."""
QUESTIONS = (
    "what is the first one about?",
    "how do they compare, the first and the second?",
    "why the first?",
)
"""What everybody asks in a conversation, after a wish of their own."""
RESUMED = "thanks, that is what I meant yesterday"
"""What everybody says when the conversation is resumed. The prompts then hold what was wanted before."""
PART = 4
"""A piece is seen in part if a word of it of so many characters is in a request."""
_SCHEMA = re.compile(r'"json_schema": {"name": "(\w+)"')


@dataclass
class Tally:
    """What requests held.

    Attributes:
        owners: The person and the kind of each name that is somebody's own.
        commands: Counts of each command: requests, bytes, own ids, and what is another's by its kind.
        prompts: How many requests asked for each schema.
        examples: The words around the first leak of each kind, command and schema.
        marked: The ids of people whose own topic is sensitive. Neither requests nor answers may name what has it.
        asked, seen, partly: The planted pieces that a prompt held before it was masked, that a request holds, and of
            which a request holds a word.
    """

    owners: Mapping[str, tuple[Person, str]]
    commands: dict[str, Counter[str]] = field(default_factory=lambda: defaultdict(Counter))
    prompts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    marked: set[str] = field(default_factory=set)
    asked: set[Planted] = field(default_factory=set)
    seen: set[Planted] = field(default_factory=set)
    partly: set[Planted] = field(default_factory=set)

    @classmethod
    def of(cls, people: Iterable[Person]) -> "Tally":
        """Begin a tally."""
        own = [(name, person, kind) for person in people for kind in OWN for name in person.own[kind]]
        return cls({name: (person, kind) for name, person, kind in own})

    def add(self, requests: Iterable[str], person: Person, command: str, asked: Iterable[str] = ()) -> None:
        """Count the requests of a command of a person.

        Args:
            requests: Their bodies.
            person: The person.
            command: The command. What words reasons is counted as "reasons".
            asked: The prompts before they were masked.
        """
        for request in requests:
            schema = found[1] if (found := _SCHEMA.search(request)) else "likelihood"
            counts = self.commands["reasons" if schema.startswith("Reason") else command]
            counts.update(requests=1, bytes=len(request.encode()))
            self.prompts[schema] += 1
            plain = request.casefold()
            for match in {match[0]: match for match in re.finditer(NAME, plain)}.values():
                owner, kind = self.owners.get(match[0], (person, ""))
                if owner is person:
                    is_marked = person.user_id in self.marked and kind in SENSITIVE
                    kind = "own_id" if kind == "id" else "sensitive" if is_marked else ""
                if not kind:
                    continue
                counts[kind] += 1
                around = plain[max(match.start() - 60, 0) : match.end() + 30]
                self.examples.setdefault(f"{kind}, {command}, {schema}", around)
            for left in person.planted:
                words = left.piece.words.casefold()
                parts = [part for part in re.split(r"[\s,]+", words) if len(part) >= PART]
                if words in plain:
                    self.seen.add(left)
                elif any(re.search(rf"(?<!\w){re.escape(part)}(?!\w)", plain) for part in parts):
                    self.partly.add(left)
        whole = "\n".join(asked).casefold()
        self.asked |= {left for left in person.planted if left.piece.words.casefold() in whole}

    def add_answer(self, words: str, person: Person, command: str) -> None:
        """Count what a person whose topic is sensitive was shown of it."""
        self.commands[command].update(answers=1)
        if person.user_id in self.marked:
            names = {match[0] for match in re.finditer(NAME, words.casefold())}
            hidden = names & {name for kind in SENSITIVE for name in person.own[kind]}
            self.commands[command].update(shown=len(hidden))
            if hidden:
                self.examples.setdefault(f"sensitive, {command}, answer", min(hidden))

    def document(self, people: Iterable[Person]) -> dict[str, Any]:
        """Return the counts."""
        counts = sum(self.commands.values(), Counter[str]())
        planted = [left for person in people for left in person.planted]
        return {
            "requests": counts["requests"],
            "bytes": counts["bytes"],
            "others": {kind: counts[kind] for kind in OWN},
            "own_id": counts["own_id"],
            "marked": len(self.marked),
            "answers": counts["answers"],
            "sensitive": counts["sensitive"] + counts["shown"],
            "commands": {name: dict(self.commands[name]) for name in sorted(self.commands)},
            "prompts": dict(sorted(self.prompts.items())),
            "examples": self.examples,
            "planted": {kind: self._row(left for left in planted if left.piece.kind == kind) for kind in KINDS},
            "places": {place: self._row(left for left in planted if left.place == place) for place in PLACES},
            "missed": sorted(f"{left.piece.kind}, {left.place}: {left.piece.sentence}" for left in self.seen),
        }

    def _row(self, planted: Iterable[Planted]) -> dict[str, int]:
        pieces = set(planted)
        of = {"asked": self.asked, "seen": self.seen, "partly": self.partly - self.seen}
        return {"planted": len(pieces), **{name: len(pieces & kept) for name, kept in of.items()}}


class Unmasked(WrappedModel):
    """Keeps the prompts that it hands to a model which masks them."""

    def __init__(self, spec: str) -> None:
        super().__init__(open_some_model(spec))
        self.asked: list[str] = []

    def generate(
        self, conversations: Sequence[Sequence[Message]], *, schema: type[T], max_tokens: int
    ) -> list[Generation[T]]:
        """Return one reply per conversation."""
        self.asked += [message["content"] for messages in conversations for message in messages]
        return super().generate(conversations, schema=schema, max_tokens=max_tokens)

    def log_likelihood(self, prompt: str, continuations: Sequence[str]) -> Likelihoods:
        """Return the log-likelihoods of continuations."""
        self.asked += [prompt, *continuations]
        return super().log_likelihood(prompt, continuations)

    def take(self) -> list[str]:
        """Return the prompts since the last call."""
        taken, self.asked = self.asked, []
        return taken


def measure_leaks(
    users: int, planted: int, *, sensitive: int = 0, seed: int = 0, progress: Progress | None = None
) -> dict[str, Any]:
    """Let everybody of a made-up log talk and get recommendations, and search what the model server was sent.

    Args:
        users: The number of people. Half of them are served by a model that reads, half by one that gives likelihoods.
        planted: The number of pieces of personal data.
        sensitive: How many people's own topics are marked as sensitive, half of them for everybody.
        seed: The seed of the log and of the pieces.
        progress: Shows the progress.

    Returns:
        Counts of requests and bytes, of what is another's by its kind (`others`), and of own ids. For each kind of
        personal data, how many pieces were `planted`, stood in a prompt before it was masked (`asked`), and were
        `seen` by the server, whole or `partly`. `addresses` counts the connections of commands by address.
    """
    progress = progress or NoProgress()
    random = Random(seed)  # noqa: S311
    people = make_people(users, planted, random)
    tally = Tally.of(people)
    with TemporaryDirectory(prefix="whimbrel-") as folder, recording_server() as server:
        location = Path(folder) / "store"
        ingest(personal_source(people, random), location, min_people=MIN_PEOPLE_OF_LOG)
        tally.marked = _mark(people[:sensitive], location)
        _record(people, location, server, tally, progress)
        progress.step("Counting connections", 4)
        addresses = {
            name: _addresses(people[0], location, spec, server, progress)
            for name, spec in {"none": "none", "hosted": server.spec(READER)}.items()
        }
    return {**tally.document(people), "addresses": addresses}


def _mark(people: Sequence[Person], location: Path) -> set[str]:
    """Mark each person's own topic: for everybody, or by the person."""
    with Agent.open(location, "none") as agent:
        agent.mark_sensitive(person.own["topic"][0] for person in people[::2])
        for person in people[1::2]:
            agent.mark_sensitive(person.own["topic"], person.user_id)
    return {person.user_id for person in people}


def _record(
    people: Sequence[Person], location: Path, server: RecordingServer, tally: Tally, progress: Progress
) -> None:
    with open_store(location) as store:
        at = (store.log.end or 0.0) + 3600
        models = [Unmasked(server.spec(model)) for model in (READER, SCORER)]
        agents = [Agent(store, models[0]), Agent(store, models[1], _SCORED, fitted=_asks_likelihoods())]
        # Everybody talks before anybody gets a list, so that what one person said could reach another's prompt.
        for name, commands in (("Talking", (_talk,)), ("Resuming and recommending", (_resume, _recommend))):
            progress.step(name, len(people))
            for number, person in enumerate(people):
                for command in commands:
                    for answer in command(agents[number % 2], person, at):
                        tally.add_answer(answer, person, _COMMANDS[command])
                    asked = models[number % 2].take()
                    tally.add(server.take(), person, _COMMANDS[command], asked)
                progress.advance(1)
        for model in models:
            model.close()


_SCORED = PipelineConfig.model_validate({"rank": {"weighed": 3}})
"""Each likelihood takes a request."""


def _asks_likelihoods() -> Fitted:
    """Return the shipped models, but with a weight for the likelihoods of titles, as `whimbrel fit --llm` may learn."""
    shipped = Fitted.default()
    ranker = shipped.fusion.retrieved
    ranker = ranker.model_copy(update={"models": {**ranker.models, "fills": {"likelihood": 0.1}}})
    return replace(shipped, fusion=shipped.fusion.model_copy(update={"retrieved": ranker}))


def _talk(agent: Agent, person: Person, at: float) -> list[str]:
    session = agent.chat(person.user_id, at, 3, session="kept")
    lines = (person.note, *person.typed("chat"), *QUESTIONS, *person.typed("memory"))
    return [repr(turn) for turn in (session.open(), *map(session.say, lines))]


def _resume(agent: Agent, person: Person, at: float) -> list[str]:
    session = agent.chat(person.user_id, at, 3, session="kept")
    return [repr(turn) for turn in (session.open(), session.say(RESUMED))]


def _recommend(agent: Agent, person: Person, at: float) -> list[str]:
    wish = " ".join(person.typed("wish"))
    answer = agent.recommend(person.user_id, at, {"query": wish, **person.situation}, 5)
    return [answer.model_dump_json(), agent.timeline(person.user_id, at).model_dump_json()]


_COMMANDS = {_talk: "chat", _resume: "chat, resumed", _recommend: "recommend"}


def _addresses(
    person: Person, location: Path, spec: str, server: RecordingServer, progress: Progress
) -> dict[str, int]:
    """Return how often `recommend` and `chat` turn to each address. The model server has the name "model server"."""
    heard = Counter[str]()
    for words, lines in ((["recommend"], ""), (["chat"], "\n".join([person.note, *QUESTIONS]))):
        heard += connections_of([*words, person.user_id, "--store", str(location), "--llm", spec], lines)
        progress.advance(1)
    return {"model server" if address == server.address else address: count for address, count in heard.items()}


def is_leaking(document: Mapping[str, Any]) -> bool:
    """Return whether a request holds what is another's or an own id, or an address is not the named model server."""
    addresses = document["addresses"]
    unnamed = addresses["none"] or addresses["hosted"].keys() - {"model server"}
    return bool(any(document["others"].values()) or document["own_id"] or document["sensitive"] or unnamed)


def leaks_markdown(document: Mapping[str, Any]) -> str:
    """Return the results of `measure_leaks` as Markdown tables."""
    kinds = [*OWN, "own_id"]
    lines = [f"| command | requests | bytes | {' | '.join(kinds)} |", "|---" * (len(kinds) + 3) + "|"]
    for name, counts in document["commands"].items():
        values = [f"{counts.get(key, 0):,}" for key in ("requests", "bytes", *kinds)]
        lines.append(f"| {name} | {' | '.join(values)} |")
    if document["marked"]:
        lines += ["", f"{document['marked']} sensitive topics: named {document['sensitive']} times in all requests"]
        lines[-1] += f" and in {document['answers']:,} answers"
    for rows, name in ((document["planted"], "personal data"), (document["places"], "place")):
        lines += ["", f"| {name} | planted | in a prompt | seen whole | in part | share seen |", "|---" * 6 + "|"]
        total = sum((Counter(row) for row in rows.values()), Counter[str]())
        for kind, row in {**rows, "all": total}.items():
            share = wilson(row["seen"], row["asked"]).words()
            lines.append(f"| {kind} | {row['planted']} | {row['asked']} | {row['seen']} | {row['partly']} | {share} |")
    lines += ["", "| commands with | address | connections and look-ups |", "|---" * 3 + "|"]
    for name, addresses in document["addresses"].items():
        lines += [f"| --llm {name} | {address} | {count} |" for address, count in (addresses or {"none": 0}).items()]
    if document["examples"]:
        lines += ["", *(f"- {where}: `{words}`" for where, words in document["examples"].items())]
    return "\n".join(lines)
