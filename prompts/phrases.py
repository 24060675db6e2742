"""What Whimbrel says itself, and the words that it takes from a model, in each language that it answers in."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Wording:
    """One language. Sentences are templates of `str.format`; what fills a place has the same name in all languages."""

    token_factor: int
    """Tokens that a sentence may take, as a multiple of an English one's: small vocabularies spell Chinese in bytes."""

    comma: str
    semicolon: str
    conjunction: str
    gap: str
    """Between sentences."""

    # the summary
    nothing_known: str
    lately: str
    so_far: str
    lately_and_before: str
    topic_count: str
    in_session: str
    then: str
    nothing_else: str
    """Told to the model where there are no earlier topics."""

    # the shift of interest
    no_history: str
    no_topics: str
    too_few: str
    no_shift: str
    there_already: str
    doubt: str
    expects: str
    signals: Mapping[str, str]
    """What speaks for a topic, by the names of `next_topics.SIGNALS`."""
    shifted: str
    shifted_to_one: str
    last_events: str
    events_before: str
    last_sessions: str
    sessions_before: str
    sessions: str
    other_sessions: str
    in_situation: str
    near_hour: str
    days: tuple[str, str]
    """On working days and on days off."""
    weekdays: tuple[str, ...]
    """From Monday."""
    season: str
    wished: str
    nearest: str
    none_near: str

    # reasons
    wish_popular: str
    unknown_popular: str
    others: str
    """What a sentence that tells of other people holds."""
    others_too: str
    others_either: str
    rare: str
    popular: str
    moves: str
    stays: str
    fits_wish: str
    likely: str
    close: str
    did: str
    event: str
    did_join: str
    once: str
    times: str
    cited: str
    """An event as the model sees it."""
    named: str
    """A title within a sentence."""
    topic_shared: str
    topic_moved_to: str
    """What follows an item's name: a topic of it and the event, or one that the interest moves to."""
    worded: str
    """A reason of the model; `[1]` stands for the event's name, `[item]` for the item's."""
    relations: Mapping[str, tuple[str, ...]]
    """What may be said of an item, by what carried it (`explain.CAUSES`)."""
    verbs: Mapping[str, str]
    chose: str
    """For events that have no verb."""

    # what a model's sentence may be made of
    summary_words: frozenset[str]
    """None says anything of the world: no negation, no praise, no cause."""
    reason_words: frozenset[str]
    """Fewer, since a reason claims what a person did."""
    others_words: frozenset[str]
    """What tells of other people, which co-occurrence alone supports."""
    common: frozenset[str]
    """Words that tell no title from another, and no relation."""
    earlier: tuple[str, ...]
    """What follows one of these in a summary is of the long term."""
    marks: str = ""
    """Signs that may stand beside words; any where none are named."""
    quotes: tuple[str, ...] = ()
    """Pairs of marks, none of which may stay open."""
    clause_ends: str = ""
    """Where words alone do not tell, one of these must part what the person did from what is said of the item."""

    def listed(self, names: Sequence[str]) -> str:
        """`Soup, Eggs and Tea`."""
        return self.conjunction.join(filter(None, [self.comma.join(names[:-1]), *names[-1:]]))

    def counted(self, count: int) -> str:
        """`once`, `3 times`."""
        return self.once if count == 1 else self.times.format(count=count)

    def verb(self, event: str) -> str:
        """What a person did in an event: `bought`."""
        return self.verbs.get(event, self.chose)

    def clauses(self, sentence: str) -> list[str]:
        """The sentence, cut where clauses end if that tells anything in this language; a quotation stays whole."""
        if not self.clause_ends:
            return [sentence]
        outside = "".join(f"(?![^{pair}]*{pair[1]})" for pair in self.quotes if pair[0] != pair[1])
        return re.split(f"[{self.clause_ends}]{outside}", sentence)


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_COMMON_ENGLISH = _words(
    """
    a an and are as at because bought by for from have in is it its of on or rated so that the this to was with you
    your
    """
)
_COMMON_CHINESE = _words(
    """
    你 您 因为 由于 所以 因此 和 与 跟 同 及 的 是 也 很 都 它 它们 这 这个 这款 这部 这本 这篇 这条 这首 而 推荐 给 为
    可以 两者 二者 之间
    """
)

_ENGLISH = Wording(
    token_factor=1,
    comma=", ",
    semicolon="; ",
    conjunction=" and ",
    gap=" ",
    nothing_known="Nothing is known yet.",
    lately="Lately {recent}.",
    so_far="So far {recent}.",
    lately_and_before="Lately {recent}; over the longer term {earlier}.",
    topic_count="{topic} ({count})",
    in_session="In the latest session {intents}.",
    then=", then ",
    nothing_else="nothing else",
    no_history="abstained: nothing is known yet",
    no_topics="abstained: the events bear no topics",
    too_few="abstained: {count} events in few sessions are too few to tell a shift from chance.",
    no_shift=(
        "{inside} differ from {outside} no more than chance would have it ({less} of like stretches differ less; "
        "{least} is asked for)."
    ),
    there_already="{inside} differ from {outside}, and the latest events are there already.",
    doubt=(
        "abstained: with {moves} the next event bears no topic of the last {recent}, and nothing tells of which kind "
        "that shift would be."
    ),
    expects="{topic} is likeliest next ({share}); {signal} makes it {factor} times likelier than the mean topic.",
    signals={
        "ever": "how often it came so far",
        "lately": "how often it came lately",
        "last event": "that it came last",
        "session": "the session under way",
        "hour": "this hour of the day",
        "weekend": "this part of the week",
        "situation": "this situation",
        "sequence": "what followed the last topics before",
        "everybody": "how often everybody meets it",
        "everybody lately": "how often everybody met it lately",
        "everybody's hour": "what everybody does at this hour",
        "everybody's weekend": "what everybody does in this part of the week",
        "everybody's situation": "what everybody does in this situation",
        "everybody's sequence": "what follows the last topics for everybody",
    },
    shifted=(
        "{topics} make up {now} of {inside} against {before} of {outside}; {less} of comparable stretches differ less."
    ),
    shifted_to_one=(
        "{topics} makes up {now} of {inside} against {before} of {outside}; {less} of comparable stretches differ less."
    ),
    last_events="the last {count} events",
    events_before="the {count} before",
    last_sessions="the last {count} sessions",
    sessions_before="the {count} before",
    sessions="{count} sessions {which}",
    other_sessions="the {count} others",
    in_situation="with {key} {value}",
    near_hour="around {hour} UTC",
    days=("on working days", "at weekends"),
    weekdays=(
        "on Mondays",
        "on Tuesdays",
        "on Wednesdays",
        "on Thursdays",
        "on Fridays",
        "on Saturdays",
        "on Sundays",
    ),
    season="at this time of the year",
    wished="asked for {wish!r}; {nearest}; the recent events cover {share} of it",
    nearest="nearest to it: {topics}",
    none_near="no topic is near to it",
    wish_popular="It fits what you asked for; chosen {times} lately.",
    unknown_popular="Nothing is known of you yet; chosen {times} lately.",
    others="others",
    others_too="You {did}; others who did so chose this too.",
    others_either="You {did}; others who did one or the other chose this too.",
    rare="Seldom chosen, as was asked for ({times} lately); nearest to it in your history: you {did}.",
    popular="Chosen {times} lately; nearest to it in your history: you {did}.",
    moves="Your interest moves towards {topic}; you {did}.",
    stays="Your interest stays with {topic}; you {did}.",
    fits_wish="It fits what you asked for; nearest to it in your history: you {did}.",
    likely="The language model finds it likely after your latest events; nearest to it, you {did}.",
    close="It is close to what you know: you {did}.",
    did="{verb} {event}",
    event="{title} ({day:%-d %B %Y})",
    did_join=" and ",
    once="once",
    times="{count} times",
    cited="{number}. You {verb} '{title}'",
    named="'{title}'",
    topic_shared=" (also {topic})",
    topic_moved_to=" ({topic})",
    worded="You {verb} [1], and {relation}.",
    relations={
        "others": (
            "[item] goes well with it",
            "others who did so chose [item] too",
            "[item] goes together with it",
            "others chose [item] together with it",
        ),
        "similarity": (
            "[item] is close to it",
            "[item] is similar",
            "[item] is like it",
            "[item] is a near match",
        ),
        "shift": ("[item] fits your interest", "[item] suits your interest"),
    },
    verbs={
        "purchase": "bought",
        "buy": "bought",
        "rating": "rated",
        "click": "clicked on",
        "view": "looked at",
        "read": "read",
        "listen": "listened to",
        "play": "played",
        "cart": "put into the cart",
        "like": "liked",
        "search": "searched for",
        "comment": "commented on",
    },
    chose="chose",
    summary_words=_words(
        """
        a about add added adds after again all along alongside also an and another are as at be been before
        beside both but by chose close closely come comes complement complements continue continues earlier
        event events fit fits focus follow followed follows for from further go goes going have i in interest
        interested interests into is it item items its join joins keep kind lately later latest like likes line
        long longer main mainly matches matter more mostly move moved moves moving near nearest new next now of
        often on one or other over pair pairs past person picks primarily recent recently related relates same
        shared shares shift shifted shifting shifts similar since so some still style subject suit suits that
        the their them theme then these they this those time to together too topic topics toward towards turn
        turned turning type until up was well were what where which while with you your
        """
    ),
    reason_words=_words(
        """
        a alongside also an and are as because belong belongs close complement complements fit fits for from go goes
        interest is it its kind like match matches near of pair pairs related same share shares similar so style suit
        suits that the theme these this to together too topic topics type well with you your
        """
    ),
    others_words=_words("others who did so chose"),
    common=_COMMON_ENGLISH,
    earlier=("earlier",),
)

_CHINESE = Wording(
    token_factor=2,
    comma="、",
    semicolon="；",
    conjunction="和",
    gap="",
    nothing_known="目前还没有任何记录。",
    lately="最近：{recent}。",
    so_far="到目前为止：{recent}。",
    lately_and_before="最近：{recent}；更早以前：{earlier}。",
    topic_count="{topic}（{count}次）",
    in_session="最近一次会话：{intents}。",
    then="，然后是",
    nothing_else="无",
    no_history="不作判断：目前还没有任何记录",
    no_topics="不作判断：这些记录没有主题",
    too_few="不作判断：只有{count}条记录，会话太少，不足以区分变化与偶然。",
    no_shift="{inside}与{outside}的差别没有超出偶然（{less}的同类时段差别更小，达到{least}才算变化）。",
    there_already="{inside}与{outside}不同，而最近的记录已在其中。",
    doubt="不作判断：下一条记录有{moves}的可能不含最近{recent}条的主题，但无从判断属于哪一类变化。",
    expects="接下来最可能的是{topic}（{share}）；{signal}使它的可能性达到平均主题的{factor}倍。",
    signals={
        "ever": "以往出现的次数",
        "lately": "近来出现的次数",
        "last event": "刚刚出现过",
        "session": "当前会话",
        "hour": "一天中的这个时段",
        "weekend": "一周中的这个时段",
        "situation": "当前情境",
        "sequence": "以往接在这些主题之后的内容",
        "everybody": "所有人出现的次数",
        "everybody lately": "所有人近来出现的次数",
        "everybody's hour": "所有人在这个时段的习惯",
        "everybody's weekend": "所有人在一周中这个时段的习惯",
        "everybody's situation": "所有人在这种情境下的习惯",
        "everybody's sequence": "所有人接在这些主题之后的内容",
    },
    shifted="{topics}在{inside}中占{now}，在{outside}中占{before}；{less}的可比时段差别更小。",
    shifted_to_one="{topics}在{inside}中占{now}，在{outside}中占{before}；{less}的可比时段差别更小。",
    last_events="最近{count}条记录",
    events_before="之前{count}条记录",
    last_sessions="最近{count}次会话",
    sessions_before="之前{count}次会话",
    sessions="{which}的{count}次会话",
    other_sessions="其余{count}次会话",
    in_situation="{key}为{value}",
    near_hour="{hour}（UTC）前后",
    days=("工作日", "周末"),
    weekdays=("周一", "周二", "周三", "周四", "周五", "周六", "周日"),
    season="每年这个时候",
    wished="想要“{wish}”；{nearest}；最近的记录覆盖了其中的{share}",
    nearest="与之最接近的主题：{topics}",
    none_near="没有与之接近的主题",
    wish_popular="符合你的要求；最近被选择{times}。",
    unknown_popular="目前还没有你的任何记录；最近被选择{times}。",
    others="的人也",
    others_too="你{did}；做过同样选择的人也选了它。",
    others_either="你{did}；做过其中之一的人也选了它。",
    rare="按要求选的少见之物（最近被选择{times}）；你的记录中与它最接近的：你{did}。",
    popular="最近被选择{times}；你的记录中与它最接近的：你{did}。",
    moves="你的兴趣正转向{topic}；你{did}。",
    stays="你的兴趣仍在{topic}；你{did}。",
    fits_wish="符合你的要求；你的记录中与它最接近的：你{did}。",
    likely="语言模型认为你接下来可能会选它；与它最接近的：你{did}。",
    close="与你熟悉的相近：你{did}。",
    did="{verb}{event}",
    event="“{title}”（{day.year}年{day.month}月{day.day}日）",
    did_join="、",
    once="1次",
    times="{count}次",
    cited="{number}. 你{verb}“{title}”",
    named="“{title}”",
    topic_shared="（同属{topic}）",
    topic_moved_to="（{topic}）",
    worded="你{verb}[1]，{relation}。",
    relations={
        "others": ("[item]和它很搭配", "[item]和它很配", "[item]与它相配"),
        "similarity": ("[item]和它相近", "[item]与它类似", "[item]和它很接近"),
        "shift": ("[item]符合你的兴趣", "[item]适合你的兴趣"),
    },
    verbs={
        "purchase": "买了",
        "buy": "买了",
        "rating": "评价了",
        "click": "点击了",
        "view": "浏览了",
        "read": "读了",
        "listen": "听了",
        "play": "玩了",
        "cart": "加购了",
        "like": "点赞了",
        "search": "搜索了",
        "comment": "评论了",
    },
    chose="选择了",
    summary_words=_words(
        """
        你 您 用户 这个人 的 了 对 和 与 及 以及 也 还 还有 而 则 则是 是 在 为 从 到 都 有 这些 更 更多 更多是 多 多为
        多是 大多 大多是 最近 近来 近期 目前 现在 主要 主要是 主要为 主要在 主要对 主要关注 主要喜欢 主要选择 之前 以前
        此前 早先 早些时候 过去 更早 更早以前 感兴趣 感兴趣的 兴趣 关注 喜欢 偏好 选择 集中在 转向 转到 转为 开始 继续
        仍 仍然 然后 接着 类 类型 类别 主题 话题 方面 内容
        """
    ),
    reason_words=_COMMON_CHINESE
    | _words(
        """
        搭配 相配 般配 配 配套 匹配 互补 相关 有关 关系 类似 相似 相近 接近 同类 同属 属于 一类 一样 同样 相同 共同 一起
        适合 符合 兴趣 风格 题材 主题 话题 类型 种类
        """
    ),
    others_words=frozenset(),
    common=_COMMON_CHINESE | _COMMON_ENGLISH,
    earlier=("之前", "以前", "此前", "早先", "早些时候", "过去", "更早"),
    marks=" ，。；：、！？“”‘’「」《》（）·—,.;:!?'\"()-",
    quotes=("“”", "‘’", "「」", "《》", "（）", '""'),
    clause_ends="，。；,;",
)

WORDINGS: Mapping[Language, Wording] = {"en": _ENGLISH, "zh": _CHINESE}
