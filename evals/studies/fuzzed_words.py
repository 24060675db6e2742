"""The doors of words: single values, what a person says, and what a language model or its server replies."""

import json
import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from importlib import resources
from itertools import count
from pathlib import Path
from typing import Any

from whimbrel.agent.agent import Agent
from whimbrel.agent.chat.line_reply import LineReply
from whimbrel.agent.chat.saved_talks import SavedTalk
from whimbrel.agent.chat.turn import Turn, turn_document
from whimbrel.agent.cli.options import parse_at, parse_context
from whimbrel.agent.display.conversation import printer
from whimbrel.agent.display.terminal import View
from whimbrel.agent.explanation.check import ReasonReply
from whimbrel.agent.explanation.free import ReasonsReply
from whimbrel.agent.language_models.graded_order import OrderReply
from whimbrel.agent.language_models.hosted.replies import Answer, NoCompletionError, read_completion, read_reply
from whimbrel.agent.language_models.hosted.server_errors import ServerError
from whimbrel.agent.language_models.order_parser import parse_order
from whimbrel.agent.language_models.parsers import parse_reply
from whimbrel.agent.language_models.protocol import NO_USAGE, TIERS, Tier
from whimbrel.agent.language_models.scripted import ScriptedModel
from whimbrel.agent.language_models.tokens import reported_tokens
from whimbrel.agent.profile.summarise import SummaryReply
from whimbrel.agent.reading.read_person import ReadReply
from whimbrel.agent.schema.policy import parse_facts
from whimbrel.agent.state import PipelineConfig
from whimbrel.evals.studies.fuzzed_door import Door, only_text
from whimbrel.evals.studies.fuzzed_shop import made_shop, opened_shop
from whimbrel.tools.conditions import Condition
from whimbrel.tools.errors import WhimbrelError
from whimbrel.tools.fields import typed
from whimbrel.tools.literals import json_object, literal, python_literal
from whimbrel.tools.records import Event, Item, identifier
from whimbrel.tools.sources.cells import amount, flattened, grade, listed, unescaped
from whimbrel.tools.sources.columns import guess_columns
from whimbrel.tools.sources.csv_table import LONGEST_CELL
from whimbrel.tools.sources.dates import is_local, parsed_date
from whimbrel.tools.sources.times import TimeStyle, guessed_style
from whimbrel.tools.timestamps import parse_time

VALUES = (
    *("1600000000", "1600000000123", "2020-09-13T12:26:40Z", "13.9.2020 12:26", "9/13/2020 1:05 pm", "20140107"),
    *("Thu Jan 02 08:19:53 -0700 2014", "7. Januar 2014, 8 Uhr", "2014年1月7日 下午3点", "44000.5", "2020-W10-2"),
    *("$1,299.00", "9,90 €", "free", "12 - 15", "(3.50)", "CHF 1'200.-", "4/5", "★★★☆☆", "4 stars", "recommended"),
    *(
        "['Tea', 'Herbs']",
        '[{"id": 1, "name": "Tea"}]',
        "Tea|Herbs",
        '{"a": {"b": [1, null]}}',
        "{'a': None}",
        "Tea &amp; more",
    ),
    *("3, 1, 2", "3. Green tea\n1. Jam", "user 17850.0", "yes", "90 min"),
)
LINES = (
    *(
        "something for the garden, no snacks\nwhy the first one?\nI'll take the second",
        "under 5\nnot the first one\nundo",
    ),
    *(
        "/why 2\n/more 1\n/less Tea\n/state\n/memory\n/memory delete 1\n/reset\n/quit",
        "compare the first and the third",
    ),
    *(
        "无茶\n便宜一点\n不要面包",
        "nichts mit Tee, höchstens 5 Euro\nwarum das zweite?",
        "I know the first\nyes\nno\nany",
    ),
)
SITUATIONS: tuple[list[str], ...] = (
    ["place=work", "avoid=tea", "avoid=soup", "query=bread, no garden", "at=2020-09-20"],
    ["max_price=4", "more=i0", "unavailable=i5", "time=2020-09-15T10:00", "at=1600500000"],
)
FEEDBACK: dict[str, Any] = {
    "user": "u1",
    "item": "i0",
    "event": "rating",
    "at": "2020-09-20T10:00:00Z",
    "rating": 4,
    "context": {"place": "home"},
}
REPLIES: dict[str, str] = {
    "SummaryReply": '{"summary": "Lately mostly tea."}',
    "LineReply": '{"act": "want", "conditions": [{"field": "topics", "op": "contains", "value": "Tea"}], "refused": '
    '["Bread"], "allowed": [], "any": ["price"], "items": [1], "answer": "yes", "wish": "green", "count": 3}',
    "OrderReply": '{"best": [{"option": 2, "grade": 3}, {"option": 1, "grade": 1}]}',
    "ReasonReply": '{"events": [1], "reason": "Because you bought [1], [item] may fit."}',
    "ReasonsReply": '{"reasons": [{"item": 1, "claims": [{"kind": "like", "evidence": [1], "words": "As {1}."}]}]}',
    "ReadReply": '{"now": ["tea"], "phrases": ["green tea"], "interests": [{"name": "tea", "events": [1, 2]}], '
    '"shift": {"kind": "temporal", "from": ["Tea"], "to": ["Bread"], "probability": 0.6, "events": [1], "why": "x"}}',
    "Step": '{"step": "similar_items", "item_id": "i0", "count": 3}',
}
SCHEMAS = (SummaryReply, LineReply, OrderReply, ReasonReply, ReasonsReply, ReadReply)
COMPLETIONS: tuple[dict[str, Any], ...] = (
    {
        "choices": [{"message": {"content": '{"summary": "x"}', "reasoning": "y"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 1}},
    },
    {"choices": [{"delta": {"content": [{"type": "text", "text": '{"summary": "x"}'}], "refusal": None}}]},
    {"choices": [{"message": {"tool_calls": [{"index": 0, "function": {"arguments": '{"summary": "x"}'}}]}}]},
    {"error": {"message": "maximum context length is 4096", "code": "429", "param": "max_tokens"}},
)
AT = 1_600_500_000
MOST_LINES = 6
LISTS_EACH = 8
"""All replies are parsed. One in so many answers whole requests, which takes longer."""


def show(turn: Turn) -> None:
    """Print a turn as people and programs see it."""
    printer(interactive=False, as_json=False, view=View())(turn)
    json.dumps(turn_document(turn)).encode()


def cells(folder: Path) -> Door:
    """Times, prices, ratings, lists, ids and other single values."""
    style = TimeStyle()
    readers: tuple[Callable[[str], object], ...] = (
        *(amount, lambda text: amount(text, ","), grade, listed, unescaped, parse_time, is_local, style.seconds),
        *(
            json_object,
            python_literal,
            literal,
            typed,
            identifier,
            parse_order,
            lambda text: flattened(json_object(text)),
        ),
        *(lambda text: parsed_date(text, day_first=True), lambda text: parsed_date(text, day_first=False, fixed=True)),
        lambda text: guessed_style([text, *VALUES[:3]]),
        lambda text: guess_columns({text: [text, "1"], "b": [text, text]}, [], by_values=len(text) % 2 == 0),
        lambda text: Condition.model_validate({"field": "a", "op": "<=", "value": text}).admits(text),
        lambda text: Item.model_validate({"title": text, "topics": text, "price": text, "fields": {text: text}}),
        lambda text: Event.model_validate({"user_id": text, "item_id": text, "time": text, "event": text}).event_id,
    )

    def enter(folder: Path) -> None:
        text = only_text(folder)[:LONGEST_CELL]
        for read in readers:
            with suppress(ValueError):  # each of them documents it
                read(text)

    return Door([{"value.txt": value.encode()} for value in VALUES], enter)


def chat(folder: Path) -> Door:
    """The lines of a conversation."""
    agent = opened_shop(folder)
    lines = resources.files("whimbrel.evals.data").joinpath("talk_lines.jsonl").read_text("utf-8").splitlines()[1:]
    said = [json.loads(line)["line"] for line in lines]
    seeds = [*LINES, *("\n".join(said[number : number + 3]) for number in range(0, len(said), 3))]

    def enter(folder: Path) -> None:
        talk = agent.chat("u1", AT)
        show(talk.open())
        for line in only_text(folder).split("\n")[:MOST_LINES]:
            show(talk.say(line))

    return Door([{"lines.txt": lines.encode()} for lines in seeds], enter)


def context(folder: Path) -> Door:
    """The options `--context` and `--at`, facts for a policy, and names of saved conversations."""
    agent = opened_shop(folder)

    def enter(folder: Path) -> None:
        pairs = only_text(folder).split("\n")
        with suppress(WhimbrelError):
            parse_facts(pairs)
        for pair in pairs:
            with suppress(WhimbrelError):
                SavedTalk(folder, pair, pair).load()
        at = next((pair.removeprefix("at=") for pair in pairs if pair.startswith("at=")), None)
        situation = parse_context([pair for pair in pairs if not pair.startswith("at=")])
        agent.recommend("u1", parse_at(at), situation, 3).model_dump_json()

    return Door([{"context.txt": "\n".join(pairs).encode()} for pairs in SITUATIONS], enter)


def feedback(folder: Path) -> Door:
    """Ids, events, ratings and moments of feedback and of requests."""
    agent = opened_shop(folder)

    def enter(folder: Path) -> None:
        try:
            given = FEEDBACK | json.loads(only_text(folder))
            words = {name: str(given[name]) for name in ("user", "item", "event", "at")}
            user, at, rating = identifier(words["user"]), parse_time(words["at"]), given["rating"]
        except (ValueError, TypeError, RecursionError) as error:  # no such document, id or moment
            raise WhimbrelError(str(error)) from error
        values = given["context"] if isinstance(given["context"], dict) else {}
        agent.feedback(user, words["item"], words["event"], at, rating=rating, context=values)
        agent.recommend(user, at, k=2).model_dump_json()
        agent.timeline(user, at).model_dump_json()

    return Door([{"feedback.json": json.dumps(FEEDBACK).encode()}], enter)


def replies(folder: Path) -> Door:
    """Replies of language models, in the parser of each schema and in whole requests."""
    store = made_shop(folder)
    said = dict[str, str]()
    agents = [
        Agent.open(shutil.copytree(store, folder / tier), _scripted(said, tier), PipelineConfig(tier=tier))
        for tier in TIERS
    ]
    numbers = count()

    def enter(folder: Path) -> None:
        said.clear()
        said.update({path.stem: path.read_bytes().decode("utf-8", "surrogateescape") for path in folder.iterdir()})
        for schema in SCHEMAS:
            parse_reply(said.get(schema.__name__, ""), schema, NO_USAGE)
        parse_order(said.get("OrderReply", ""))
        number = next(numbers)
        if number % LISTS_EACH == 0:
            agent = agents[number // LISTS_EACH % len(agents)]
            agent.recommend("u1", AT, k=2).model_dump_json()
            talk = agent.chat("u1", AT, k=2)
            talk.open()
            show(talk.say("tell me more about the first one and how it compares"))

    return Door([{f"{name}.txt": reply.encode() for name, reply in REPLIES.items()}], enter)


def _scripted(said: dict[str, str], tier: Tier) -> ScriptedModel:
    """Return a model that replies what `said` holds at the time, in all schemas."""
    names: Sequence[str] = tuple(REPLIES)
    return ScriptedModel({name: _reply_of(said, name) for name in names}, tier=tier)


def _reply_of(said: dict[str, str], name: str) -> Callable[[Any], str]:
    return lambda messages: said.get(name, "")


def completions(folder: Path) -> Door:
    """What the server of a hosted model sends: completions, pieces of streams, and errors."""

    def enter(folder: Path) -> None:
        body = only_text(folder)
        refused = ServerError(body, status=400, retry_after=body[:30])
        assert isinstance(refused.advice + refused.sentence, str)  # noqa: S101  # both are computed when asked for
        _ = refused.is_too_long, refused.is_filtered, refused.is_busy
        try:
            answer = read_completion(body)
        except (ServerError, NoCompletionError, ValueError, RecursionError) as error:
            raise WhimbrelError(str(error)) from error  # `hosted.connection` asks again or says why it cannot
        answer.add({"choices": [{"delta": {"content": body[:500]}}]})
        reported_tokens(answer.counts, "prompt_tokens")
        read_reply(answer, SummaryReply, NO_USAGE, most_tokens=9)
        _ = answer.breaks_off, Answer(body).has_only_thoughts

    return Door([{"body.json": json.dumps(body).encode()} for body in COMPLETIONS], enter)
