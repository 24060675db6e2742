"""The agent in Chinese: what it says itself, what it takes from a model, and what it replaces."""

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from whimbrel.agent import Agent, Interaction, Item, Recommendations, ScriptedModel
from whimbrel.agent.explanation.check import ReasonReply, reason_problem
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.language_models.access import ModelAccess
from whimbrel.agent.profile.summarise import summarise
from whimbrel.agent.ranking.rankers import Ranker, Rankers
from whimbrel.agent.schema.context import Context
from whimbrel.agent.shift.predict import ShiftQuery, predict_shift
from whimbrel.agent.state import PipelineConfig
from whimbrel.prompts import Message, load
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest

CHINESE = PipelineConfig(language="zh", worded=8)
BEGIN = 1_496_275_200  # 2017-06-01
AT = BEGIN + 29 * 86_400
KITCHEN = [("龙井绿茶", "茶饮"), ("正山小种红茶", "茶饮"), ("全麦面包", "面包"), ("黑麦面包", "面包")]
GARDEN = [("花园软管20米", "园艺"), ("陶瓷花盆", "园艺"), ("玫瑰种子", "园艺"), ("园艺铲", "园艺")]
HOME = ["竹制砧板", "不锈钢炒锅", "棉麻窗帘", "实木书架", "台灯", "羊毛地毯"]


@pytest.fixture(scope="module")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store: eight people, four weeks of tea and bread, and in the last days garden things for half of them."""
    folder = tmp_path_factory.mktemp("market")
    lines = ["user_id,title,topics,time,event,context.地点"]
    for user in range(8):
        for day in range(29):
            title, topic = (GARDEN if user < 4 and day >= 24 else KITCHEN)[(user + day) % (4 if day % 5 else 3)]
            at = BEGIN + day * 86_400 + user * 600
            lines.append(f"u{user},{title},{topic},{at},purchase,{'家里' if day % 2 else '公司'}")
            if day < len(HOME):
                lines.append(f"v{user},{HOME[(user + day) % 6]},家居,{at + 60},purchase,家里")
                lines.append(f"v{user},{KITCHEN[day % 4][0]},{KITCHEN[day % 4][1]},{at + 120},purchase,家里")
    (folder / "market.csv").write_text("\n".join(lines) + "\n", "utf-8")
    ingest(open_source(str(folder / "market.csv")), folder / "store")
    return folder / "store"


def sentences(found: Recommendations) -> list[str]:
    return [found.summary, found.shift.reason, *(entry.explanation for entry in found.recommendations)]


def summary_of(messages: Sequence[Message]) -> dict[str, str]:
    """What a good model says of the topics that it is told."""
    earlier, recent = re.findall("：(.*)", messages[-1]["content"])
    return {"summary": f"最近主要是{recent.replace('、', '和')}，之前是{earlier.replace('、', '和')}。"}


def reason_of(messages: Sequence[Message]) -> dict[str, object]:
    return {"events": [1], "reason": f"你买了[1]，{messages[-1]['content'].split('已知：')[1]}。"}


def test_without_a_model_every_sentence_is_chinese(market: Path) -> None:
    contexts = [None, {"query": "园艺"}, {"query": "园艺", "avoid": "茶饮"}, {"地点": "家里"}]
    with Agent.open(market, llm="none", config=CHINESE) as agent:
        answers = [
            agent.recommend(user_id, at, context, k=4)
            for user_id in ("u0", "u5", "")
            for at in (AT, BEGIN + 86_400)
            for context in contexts
        ]
    assert all(answer.recommendations for answer in answers[:4])
    for answer in answers:
        assert not [sentence for sentence in sentences(answer) if re.search("[A-Za-z]", sentence)]
    reasons = [entry.explanation for entry in answers[0].recommendations]
    assert any(re.search(r"你(.*)买了“.+”", reason) for reason in reasons)
    assert answers[0].summary == "最近：园艺（5次）。更早以前：茶饮（12次）、面包（12次）。"
    assert answers[0].shift.reason.startswith("自2017年6月25日以来，5次会话全都有园艺；此前，24次会话都没有。")


def test_the_model_is_asked_in_chinese_and_its_good_sentences_are_shown(
    market: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shipped = Rankers.default()
    catalogue = shipped.retrieved.model_copy(update={"models": {"fills": {"likelihood": 0.1}}})
    monkeypatch.setattr(Rankers, "default", lambda: shipped.model_copy(update={"retrieved": catalogue}))
    prompts: list[str] = []

    def likelihood(prompt: str, continuation: str) -> float:
        prompts.append(prompt)
        return -float(len(continuation))

    english = ScriptedModel({"SummaryReply": {"summary": "Tea."}}, likelihood=likelihood)
    with Agent.open(market, llm=english) as agent:  # what it finds likely in English is of no use in Chinese
        agent.recommend("u0", AT, k=4)
    prompts.clear()
    model = ScriptedModel({"SummaryReply": summary_of, "ReasonReply": reason_of}, likelihood=likelihood)
    with Agent.open(market, llm=model, config=CHINESE) as agent:
        found = agent.recommend("u0", AT, k=8)
        agent.recommend("u0", AT, {"query": "一把铲子"}, k=4)
    assert Recommendations.model_validate_json(found.model_dump_json()) == found
    assert (
        found.summary == "最近主要是园艺，之前是茶饮和面包。次数：最近园艺（5次）；更早以前茶饮（12次）、面包（12次）。"
    )
    assert any(re.search("同属|一起选了", entry.explanation) for entry in found.recommendations)
    assert not [warning for warning in found.warnings if "replaced" in warning]
    assert not [sentence for sentence in sentences(found) if re.search("[A-Za-z]", sentence)]
    assert load("next", language="zh").fill({"history": "", "wish": ""}) in prompts
    assert all(prompt.startswith("一个人依次选择的东西") for prompt in prompts)
    assert {messages[0]["content"][:1] for messages in model.conversations} == {"你"}
    assert any("\n现在想要：一把铲子\n-" in prompt for prompt in prompts)


def test_rank_and_predict_shift_ask_in_chinese() -> None:
    model = ScriptedModel({"OrderReply": {"best": [{"option": 1, "grade": 9}]}}, scores=False, tier="orders")
    orders = Ranker(weights={}, models={"orders": {"order": 1.0}})
    fitted = replace(Fitted.default(), fusion=Rankers(retrieved=orders, given=orders, cold=orders))
    agent = Agent(None, model, CHINESE, fitted=fitted)
    pool = [Item(item_id="1", title="全麦面包"), Item(item_id="2", title="园艺铲")]
    assert sorted(agent.rank([Item(item_id="h", title="玫瑰种子")], pool, {"query": "铲子"})) == ["1", "2"]
    system, asked = (message["content"] for message in model.conversations[0])
    assert "<data>\n1. 玫瑰种子\n</data>" in asked
    assert "<data>\n铲子\n</data>" in asked
    prompt = load("order", version=2, language="zh")
    assert system == prompt.messages(dict.fromkeys(prompt.inputs, ""))[0]["content"]
    assert agent.predict_shift([]).reason == "目前还没有任何记录。"


@pytest.mark.slow
def test_the_bundled_model_is_asked_in_chinese_and_the_answer_is_valid(market: Path) -> None:
    with Agent.open(market, llm="bundled", config=CHINESE) as agent:
        found = agent.recommend("u5", AT, k=4)
    assert Recommendations.model_validate_json(found.model_dump_json()) == found
    assert found.recommendations
    assert found.usage.completion_tokens > 0
    assert not [sentence for sentence in sentences(found) if re.search("[A-Za-z]", sentence)]
    assert all(entry.evidence and entry.explanation.endswith("。") for entry in found.recommendations)


def bought(title: str, *, event: str = "purchase", topic: str = "茶饮") -> Interaction:
    return Interaction.model_validate(
        {"user_id": "u", "item_id": f"i{title}", "title": title, "topics": [topic], "time": BEGIN, "event": event}
    )


EVENT, ITEM = bought("龙井绿茶"), Item(item_id="i", title="C919号保温杯", topics=("茶具",))


def problem(reason: str, *, item: Item = ITEM, event: Interaction = EVENT) -> str:
    return reason_problem(ReasonReply(events=[1], reason=reason), item, [event], "zh")


@pytest.mark.parametrize(
    "reason",
    [
        "你买了“龙井绿茶”，“C919号保温杯”和它很搭配。",
        "你买了龙井绿茶，C919号保温杯与它相关。",
        "因为你买了《龙井绿茶》，所以「C919号保温杯」也适合你！",
        "你买了“龙井绿茶”，这款“C919号保温杯”同属茶具。",
    ],
)
def test_a_reason_that_says_no_more_than_it_was_given_passes(reason: str) -> None:
    assert problem(reason) == ""


def test_a_title_may_hold_a_comma_other_letters_or_another_title() -> None:
    ferry = Item(item_id="f", title="风力增强，渡轮停航")
    assert problem("你买了“龙井绿茶”，“风力增强，渡轮停航”和它相关。", item=ferry) == ""
    english = Item(item_id="e", title="The Book of Tea")
    assert problem("你买了“龙井绿茶”，“The Book of Tea”和它相关。", item=english) == ""
    tea = Item(item_id="t", title="绿茶")
    assert problem("你买了“龙井绿茶”，“绿茶”和它相关。", item=tea) == ""
    reply = ReasonReply(events=[1], reason="You bought '龙井绿茶', and '绿茶' goes with it.")
    assert reason_problem(reply, tea, [EVENT]) == ""


BAD_REASONS = {
    "你买了“龙井绿茶”，“C919号保温杯”和它绝配。": "a word that the model was not given",
    "你买了“龙井绿茶”，“C919号保温杯”和它不搭配。": "a word that the model was not given",
    "你买了“龙井绿茶”，最好的“C919号保温杯”和它很搭配。": "a word that the model was not given",
    "你买了3次“龙井绿茶”，“C919号保温杯”和它很搭配。": "a number that the model was not given",
    "你买了“龙井绿茶”，“C919号保温杯”和它很搭配5。": "a number that the model was not given",
    "你买了“龙井绿茶”，“C919号保温杯”和它很搭配👍。": "a character that the model was not given",
    "你买了“龙井绿茶”，“C919号保温杯”和它很搭配": "is not a whole sentence",
    "你买了“龙井绿茶”，“C919号保温杯”和它很搭配，和它很搭配。": "repeats itself",
    "你买了“龙井绿茶”，“C919号保温杯和它很搭配。": "a quotation that it does not close",
    "你买了《龙井绿茶，“C919号保温杯”和它很搭配。": "a quotation that it does not close",
    "你买了“正山小种红茶”，“C919号保温杯”和它很搭配。": "does not name the event",
    "你买了“龙井绿茶”，它很适合你。": "does not name the item",
    "“C919号保温杯”和它很搭配，因为你买了“龙井绿茶”。": "the item among what the person did",
    "你买了“龙井绿茶”和“C919号保温杯”，很搭配。": "the item among what the person did",
    "你买了“龙井绿茶，C919号保温杯”，“C919号保温杯”和它很搭配。": "the item among what the person did",
    "你买了“龙井绿茶”，“C919号保温杯”，“C919号保温杯”和它很搭配。": "the item among what the person did",
    "你买了“龙井绿茶”，你也买了“C919号保温杯”和它很搭配。": "the item among what the person did",
    "你买了“龙井绿茶”，推荐“C919号保温杯”。": "does not say what the item has to do",
    "你读了“龙井绿茶”，“C919号保温杯”和它很搭配。": "a word that the model was not given",
    "你买了“龙井绿茶”，“C919号保温杯”和它很搭配。<b>。": "is not plain text",
}


@pytest.mark.parametrize("reason", BAD_REASONS)
def test_any_other_reason_has_a_problem(reason: str) -> None:
    assert BAD_REASONS[reason] in problem(reason)


def test_figures_are_taken_whole() -> None:
    pack = bought("酸奶5杯")
    assert problem("你买了“酸奶5杯”，“C919号保温杯”和它很搭配。", event=pack) == ""
    assert "a number" in problem("你买了“酸奶5杯”，“C919号保温杯”和它很搭配，搭配5杯15杯。", event=pack)


def test_a_bad_reason_is_replaced_by_a_plain_one(market: Path) -> None:
    replies = {"SummaryReply": {"summary": "你热爱生活。"}, "ReasonReply": {"events": [1], "reason": "神奇。"}}
    with Agent.open(market, llm=ScriptedModel(replies), config=CHINESE) as agent:
        found = agent.recommend("u5", AT, k=8)
    (warning,) = found.warnings  # the notes on both are joined
    assert "summary was replaced" in warning
    assert "replaced by plain reasons" in warning
    assert not [sentence for sentence in sentences(found) if "热爱" in sentence or "神奇" in sentence]


LOG = [bought("黑麦面包", topic="面包"), *[bought("龙井绿茶", topic="茶饮")] * 5]


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        ("最近主要是茶饮，之前是面包。", True),
        ("你最近主要关注茶饮，之前主要关注面包。", True),
        ("茶饮是你最近的兴趣。", True),
        ("最近主要是面包，之前是茶饮。", False),
        ("最近主要是茶饮和咖啡。", False),
        ("最近主要是茶饮，之前是茶饮。", False),
        ("最近主要是3种茶饮。", False),
        ("最近不是茶饮。", False),
        ("最近主要是“茶饮，之前是面包。", False),
        ("最近主要是茶饮，之前是面包", False),
        ("最近，最近，最近，最近主要是茶饮。", False),
        ("你对面包感兴趣。", False),
        ("最近主要是茶饮✨。", False),
    ],
)
def test_a_summary_is_shown_where_the_counts_support_it(said: str, shown: bool) -> None:
    found = summarise(LOG, ScriptedModel({"SummaryReply": {"summary": said}}), language="zh")
    assert bool(found.warnings) is not shown
    assert found.text == (f"{said}次数：最近茶饮（5次）；更早以前面包（1次）。" if shown else found.words)


LETTERS = st.text(st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF) | st.sampled_from("，。！“”《》、0a的和"))
GOOD = "你买了“龙井绿茶”，“C919号保温杯”和它很搭配。"
ALLOWED = set(
    "".join([GOOD, EVENT.title, ITEM.title, *EVENT.topics, *ITEM.topics, load_phrases("zh").generated.marks])
) | set("".join(load_phrases("zh").generated.reason_words))


@settings(deadline=None)  # a busy machine takes longer than a fifth of a second
@given(LETTERS.filter(lambda text: 0 < len(text) <= 140), st.text(min_size=1, max_size=9))
def test_the_checker_answers_any_text(text: str, other: str) -> None:
    item = Item(item_id="i", title=text[:9])
    assert isinstance(problem(text), str)
    assert isinstance(problem(text, item=item), str)
    assert isinstance(problem(other), str)
    summarise(LOG, ScriptedModel({"SummaryReply": {"summary": text}}), language="zh")


@given(st.characters(exclude_characters=ALLOWED, exclude_categories=["Cs"]), st.integers(0, len(GOOD)))
def test_a_character_from_outside_is_never_let_through(character: str, place: int) -> None:
    assert problem(GOOD) == ""
    assert problem(GOOD[:place] + character + GOOD[place:]) != ""


def history(topics: Sequence[str], *, hour: Sequence[int] = (), places: Sequence[str] = ()) -> list[Interaction]:
    return [
        Interaction.model_validate(
            {
                "user_id": "u",
                "item_id": topic,
                "title": topic,
                "topics": [topic],
                "time": BEGIN + day * 86_400 + (hour[day] if hour else 0) * 3600,
                "context": {"地点": places[day]} if places else {},
            }
        )
        for day, topic in enumerate(topics)
    ]


EVEN = [("茶饮", "面包")[day % 2] for day in range(56)]


@pytest.mark.parametrize(
    ("events", "context", "reason"),
    [
        ([], {}, "目前还没有任何记录。"),
        ([Item(item_id="1", title="龙井绿茶")], {}, "这些记录没有主题。"),
        (history(["茶饮"] * 4), {}, "4条记录分属的会话太少，不足以区分变化与偶然。接下来最可能的单个主题是茶饮（.*"),
        (
            history(EVEN[:24] + ["园艺"] * 5),
            {},
            r"自2017年6月25日以来，5次会话全都有园艺；此前，24次会话都没有。在那以前，24次会话全都有.+；此后，.+。接下来最可能的单个主题是.*",
        ),
        (
            history(EVEN[:28]),
            {},
            r"没有明显的差别：最大的差别在.+与.+之间，可能出于偶然。接下来最可能的单个主题是.*",
        ),
        (
            history(EVEN, hour=[8, 20] * 28),
            {},
            r"自2017年6月1日以来，17:00至24:00 UTC，28次会话全都有面包；其余时段，28次会话都没有。相反，其余时段，.*",
        ),
        (
            history(EVEN, places=["家里", "公司"] * 28),
            {"地点": "家里"},
            r"自2017年6月1日以来，地点为家里时，28次会话全都有茶饮；地点为公司时，.*",
        ),
        (history(EVEN), {"query": "园艺"}, "你想要“园艺”；与之最接近的主题：.*。最近的记录覆盖了其中的0%。"),
    ],
)
def test_the_reason_of_a_shift_is_chinese(events: list[Item], context: dict[str, str], reason: str) -> None:
    from whimbrel.tools.text.minilm import ENGLISH

    at = next((event.time for event in reversed(events)), None)
    vectors = {"园艺": ENGLISH.encode(["园艺"])[0]}
    found = predict_shift(
        events,
        ShiftQuery(at=at, context=Context.model_validate(context), topic_vectors=vectors),
        model=ModelAccess(language="zh"),
    )
    assert re.fullmatch(reason, found.shift.reason), found.shift.reason
