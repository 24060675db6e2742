"""Chinese names and addresses. They have no spaces and no capitals: the words around tell where they begin and end."""

import re
from collections.abc import Iterator

from whimbrel.tools.privacy.spans import Span, Text
from whimbrel.tools.privacy.words import HAN, any_of

_NUMBER = r"[0-9一二三四五六七八九十百零〇甲乙丙a-z-]{1,8}"
_TAIL = (
    rf"(?:[,\s]?{_NUMBER}\s?(?:之\s?{_NUMBER})?(?:号楼|号院|号|號樓|號|栋|幢|棟|座|楼|樓|单元|單元|层|層|室|户|戶|弄|门|門|房|期)|[东西南北][门区苑院]){{0,6}}"
    r"(?:\s?\d{3,4}(?!\d))?"
)
_LANES = r"(?:[0-9一二三四五六七八九十百]{1,5}\s?[巷弄衖]\s?){0,2}"
"""Lanes of a Taiwanese street, before the number of the house."""
_STREET = re.compile(
    rf"(?:[路街道巷弄里]|大道|大街|胡同|村)(?:[东西南北中東]?[段路]?|[一二三四五六七八九十]段)\s?{_LANES}{_NUMBER}\s?[号弄號](?:院)?{_TAIL}"
    rf"|(?:小区|花园|花園|公寓|苑|邨|屋苑|大厦|大廈|中心|家园|新村|宿舍|广场|华庭|公馆|名城|新城|社区|[东西南北]里|学院|大学|城)"
    rf"\s?{_NUMBER}\s?(?:号楼|號樓|栋|棟|幢|座|单元|單元|号|號|楼|樓|期|室){_TAIL}"
)
_BEFORE = re.compile(rf"(?:.*[^{HAN}0-9])?([{HAN}0-9]*)$", re.DOTALL)
LOOK_BACK = 30
"""Characters of a province, a town and a street before a house number."""
# Where an address begins: after the last of these.
_START = re.compile(r".*(?:地址|[住到在是至于於给給往])(?:是|为)?", re.DOTALL)
_PLACE = r"(?:省|市|自治区|特别行政区|区|區|县|縣|镇|鎮|乡|鄉|州|街道)"
_TOWNS = re.compile(
    rf"(?:地址|住在|家住|住址|寄到|送到|寄往)(?:是|为)?\s?[:：]?\s?([{HAN}]{{2,9}}?{_PLACE}[{HAN}]{{2,9}}?{_PLACE}[{HAN}0-9]{{0,20}})"
)

_SURNAME = any_of("chinese_surnames")
# A name ends before these. They follow names and are seldom in them.
_NO_NAME = (
    "[的在是和要想喜说推很也都有过买去会能需等寄送收住电他她它与跟对不了吗呢这那就从到我你个您请把被让使用听吃喝找选帮替问叫带最更还再得着]|"
    "生日|明天|明年|今天|今年|爱[吃看听玩好喝读]|先生|女士|小姐|老师|医生|教授|经理|阿姨|叔叔|师傅|同学|太太|主任|律师|看[书电]|给|一[个本起]|来[自说]|两|三个|上[班学海]|下[班周]|人"
)
# Words that begin with a family name and are none: "我妈高兴".
_NO_FULL = (
    "高[兴血龄中考校铁跟]|马[上路桶]|方[便面法]|常常|任何|万一|白[天内色发]|关[节于心]|夏天|路[上过]|左[手边腿]|于是|向[来往]|曾经|古典|时候|"
    "应该|单独|温[度柔]|毛[病衣巾]|黄[金色]|[龙牛马]年|石[头膏]|钱[不包]|叶子|康复|项目|祝[福你]|安全|贺卡|钟[爱表]|童[年书]|章节|江湖|武[侠术]|"
    "唐诗|宋词|汤圆|简[单直]|连[续忙]|金[婚色]|申请|游[戏泳戲]|何时|严[重肃]"
)
_GIVEN = rf"(?!{_NO_NAME})[{HAN}]"
_FULL = rf"(?!{_NO_FULL}){_SURNAME}{_GIVEN}(?:{_GIVEN})?"
_ANY_NAME = rf"(?:{_FULL}|(?:{_GIVEN}){{2,4}}(?:·[{HAN}]{{1,6}})?)"
_LINK = r"(?:名字)?(?:的?(?:名字|姓名|全名))?(?:叫做|叫|是|为|名叫)?\s?[:：]?\s?"
_INTRODUCED = re.compile(rf"{any_of('chinese_introduces')}(?:是|为|叫)?\s?[:：]?\s?({_ANY_NAME})")
_MAY_INTRODUCE = re.compile(
    rf"{any_of('chinese_may_introduce')}\s?({_FULL}|[小老阿]{_SURNAME})(?![{HAN}](?<=[{HAN}][品牌]))"
)
_ASKED_FOR = re.compile(
    rf"(?:问一下|问下|问|找一下|找|联系|聯繫|聯絡|請找|跟)\s?({_FULL})(?=(?:就|即)(?:可|行|好|得)|(?:确认|聯絡|联系|拿|领|领取|签收|代收))"
)
_OWNER = re.compile(rf"({_FULL})(?=的(?:订单|訂單|快递|包裹|账号|账户|会员|地址|住址|电话|手机|身份证))")
# A label such as "投诉人:". Those of works, such as "主持人:" and "演唱者:", have public names.
_LABELLED = re.compile(
    rf"(?<!主持)(?<!代言)(?<!发言)(?<!制片)(?<!出品)(?<!创始)(?<!主讲)(?:人|患者|姓名|名字|户名|戶名|签名|簽名|家长|家長|业主|業主|客户|客戶|经办|抬头)"
    rf"\s?:\s?({_FULL})"
)
_SURNAME_ONLY = re.compile(rf"我姓({_SURNAME})")
_RELATED = re.compile(
    rf"{any_of('chinese_people')}{_LINK}({_FULL}|小[{HAN}](?![{HAN}]{{0,1}}品)|([{HAN}])\2(?=[{HAN}\s,。]))"
)
_CALLED = re.compile(rf"{any_of('chinese_people')}(?:的?名字)?(?:叫做|叫|名叫|名字叫)\s?({_ANY_NAME})")
_ENTITLED = re.compile(
    rf"((?:{_SURNAME})(?:{_GIVEN}{{1,2}}?)?)"
    r"(?:先生|女士|小姐|老师|老師|医生|醫生|教授|经理|經理|阿姨|叔叔|师傅|師傅|同学|同學|太太|主任|律师|律師|总监|总|護士|护士|奶奶|爷爷|大爷|大妈|大姐|大哥|校长|主管|店长)"
)
_LATIN = re.compile(
    r"(?:我叫|我是|名叫|姓名|收件人|收货人|联系人|名字是)(?:是)?\s?[:：]?\s?"
    r"([A-Z][A-Za-z'-]{1,20}(?: [A-Z][A-Za-z'-]{1,20}){0,2})"
)
_NO_SURNAME = frozenset("于向任方石高万常古左关路钟程")
"""Family names that mostly are another word before "teacher" or such."""
_WORKS = re.compile(r"的?(?:书|小说|电影|歌|专辑|演唱会|作品|音乐|画|诗|传记|新书|游戏|电视剧|散文|剧)")
_SIGNED = re.compile(rf"(?:此致|敬礼|谢谢|祝好|敬上|顺祝商祺|——|落款)[!。,\s]{{0,3}}({_FULL})[。\s]*$")


def chinese_addresses(text: Text) -> Iterator[Span]:
    """Find Chinese addresses: a street or an estate with a number, and the town before it."""
    lower = text.lower
    for match in _STREET.finditer(lower):
        before = _BEFORE.match(lower[max(match.start() - LOOK_BACK, 0) : match.start()])
        prefix = before[1] if before else ""
        begun = _START.match(prefix)
        start = match.start() - len(prefix) + (begun.end() if begun else 0)
        if start < match.start() or prefix:
            yield Span(start, match.end(), "ADDRESS")
    yield from (Span(*match.span(1), "ADDRESS") for match in _TOWNS.finditer(lower))


def chinese_names(text: Text) -> Iterator[Span]:
    """Find Chinese names after words such as "我叫" and "朋友", and before "先生" and such."""
    if text.plain.isascii():
        return
    for pattern in (_INTRODUCED, _CALLED, _SIGNED, _SURNAME_ONLY, _ASKED_FOR, _OWNER, _LABELLED):
        yield from (Span(*match.span(1), "PERSON") for match in pattern.finditer(text.lower))
    for pattern in (_RELATED, _MAY_INTRODUCE):
        for match in pattern.finditer(text.lower):
            is_start = match[0][0] in "和与跟" and match.start() == 0  # of a name, as in 和田
            is_job = match[0].startswith("我是") and match[0][-1] in "员师生家者工迷粉手"
            if is_start or is_job:
                continue
            if not _WORKS.match(text.lower, match.end(1)):
                yield Span(*match.span(1), "PERSON")
    for match in _ENTITLED.finditer(text.lower):
        if match[1] not in _NO_SURNAME:
            yield Span(*match.span(), "PERSON")
    yield from (Span(*match.span(1), "PERSON") for match in _LATIN.finditer(text.plain))
