"""Ways to reach a person online: e-mail addresses, links to profiles, names of accounts, addresses of machines."""

import re
from collections.abc import Iterator
from ipaddress import AddressValueError, IPv6Address

from whimbrel.tools.privacy.spans import Span, Text
from whimbrel.tools.privacy.words import HAN, Cues, any_of

_LOCAL = r"[\w.+%'-]"
_TLD = r"(?:xn--[a-z0-9-]{2,40}|[a-z]{2,24}|中国|公司|网络|рф|укр)(?![a-z0-9])"
_LABEL = r"[a-z0-9ß-ÿ-]"
_EMAIL = re.compile(
    rf"(?:[a-z0-9ß-ÿ_.+%'-]{{1,64}}|[{HAN}]{{1,8}})(?<!')(?:\s{{1,2}}@\s{{1,2}}|@\s{{0,2}})(?:(?:{_LABEL}{{1,63}}|"
    rf"[{HAN}]{{1,10}})\.){{1,6}}{_TLD}"
)
# `name (at) host.de`, `name [at] host [dot] de`
_DOT = r"(?:\.|\s{0,2}[(\[{]\s?(?:dot|punkt|point|punto|\.)\s?[)\]}]\s{0,2}|\s{1,2}(?:dot|punkt|point|punto)\s{1,2})"
_SPOKEN_LOCAL = rf"[a-z0-9_.+-]{{1,64}}(?:{_DOT}[a-z0-9_+-]{{1,64}}){{0,2}}"
_BRACKETED = re.compile(
    rf"(?<![a-z0-9_.+-]){_SPOKEN_LOCAL}\s{{0,2}}[(\[{{<]\s?(?:at|ät|@|a|arroba|arobase|chiocciola|æt)\s?[)\]}}>]"
    rf"\s{{0,2}}"
    rf"(?:{_LABEL}{{1,63}}{_DOT}){{1,4}}{_TLD}"
)
# `name at host dot com`; `name at gmail.com`
_SPOKEN = re.compile(
    rf"(?<![a-z0-9_.+-]){_SPOKEN_LOCAL}\s{{1,2}}(?:at|ät|arroba|arobase|chiocciola|chez|bei|presso|@)\s{{1,2}}"
    rf"(?:{_LABEL}{{1,63}}\s{{1,2}}(?:dot|punkt|point|punto)\s{{1,2}}(?:co\s{{1,2}}(?:dot)\s{{1,2}})?"
    r"|(?:gmail|gmx|outlook|hotmail|yahoo|icloud|web|proton|protonmail|qq|163|126|free|orange|wanadoo|libero|live|aol|"
    rf"t-online|mail|posteo|msn|me|laposte|yandex|naver)\.(?:co\.)?){_TLD}(?!\s{{1,2}}(?:at|dot|punkt|punto|point)\b)"
)

# `name arroba host.de`: the word is no other. `name at host.de`: the name has a digit or a sign, or mail is spoken of.
_HOST = rf"\s{{1,2}}(?:{_LABEL}{{1,63}}{_DOT}){{1,3}}(?:com|net|org|edu|info|eu|[a-z]{{2}})(?![a-z0-9.@-])"
_SURE_AT = re.compile(
    rf"(?<![a-z0-9_.+-]){_SPOKEN_LOCAL}\s{{1,2}}(?:ät|arroba|arobase|arobas|chiocciola|apenstaartje|klammeraffe|"
    rf"affenschwanz|snabel-a){_HOST}"
)
_MAYBE_AT = re.compile(rf"(?<![a-z0-9_.+-])({_SPOKEN_LOCAL})\s{{1,2}}(?:at|chez|bei|presso|bij|en){_HOST}")
_MAIL_CUE = re.compile(r"(?:\be?-?mail|correo|courriel|adresse|adres\b|邮箱|邮件|電郵|信箱)[^\n.;!?]{0,24}$")
_SIGNED_LOCAL = re.compile(r"[a-z][a-z0-9]*[._][a-z0-9]|[a-z]{2}\d{2}")

_URL = re.compile(
    r"(?:https?://|www\.)[^\s<>\"()，。、；]{3,500}|(?<![a-z0-9@.-])(?:[a-z0-9-]{1,40}\.){1,4}[a-z]{2,10}/[^\s<>\"()"
    r"，。、；]{1,300}"
)
_PERSONAL_LINK = re.compile(
    r"^(?:https?://)?(?:[^/@\s]{1,100}@|(?:www\.|m\.|[a-z]{2}\.)?(?:(?:facebook|fb|instagram|twitter|x|tiktok|weibo|"
    r"vk|github|gitlab|"
    r"threads|pinterest|soundcloud|twitch|paypal|snapchat|letterboxd|goodreads|mastodon|behance|medium|patreon|"
    r"onlyfans|strava|linktr)"
    r"\.(?:com|net|org|social|tv|me|ee)|t\.me|wa\.me|paypal\.me|ok\.ru|bsky\.app)/(?!(?:watch|search|explore|p|video|"
    r"help|about|login|legal|settings)\b)\S)"
    r"|/(?:in|u|users?|profile|profiles|people|member|members|author|channel|accounts?|space)/\S|/[@~]\w|"
    r"linkedin\.com/\S|xing\.com/\S|"
    r"[?&#;](?:[a-z_-]{0,20}(?:token|key|secret|signature|password|passwd|auth|session|sid)|sig|code|email|e-mail|"
    r"mail|user|uid|userid|user_id|phone|name|pwd|invite)="
)

_HANDLE_CUE = Cues(
    any_of("networks")
    + r"(?:\s{0,2}(?:id|handle|account|konto|name|username|user|profile|profil|compte|cuenta|usuario|号|帐号|账号|是|"
    r"is|ist|est|es|è|:|=|-|\(|at|unter|under|as|als)){0,4}\s{0,2}"
    r"(?:(@[a-z0-9_.-]{2,30})|(?<=[:=是号\sq])\s?([a-z][a-z0-9_.-]{3,30}(?:#\d{4})?|\d{5,12})(?![a-z0-9@]))",
    "networks",
)
_TOLD = re.compile(r"(?:[:=是号]|\b(?:id|handle|user|username|account)\b.*)\s*$")
_USER_CUE = Cues(
    any_of("user_names") + r"(?:\s{0,2}(?:is|ist|lautet|est|es|è|是|为|:|=)){1,2}\s{0,2}\"?([^\s\",;，。！]{3,40})",
    "user_names",
)
_AT_NAME = re.compile(r"(?<![\w.@/])@([a-z][a-z0-9_.]{2,30})(?![\w@])")

_IPV4 = re.compile(
    r"(?<![\w.-])(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)(?![\w-]|\.\d)", re.ASCII
)
_IPV6 = re.compile(r"(?<![a-z0-9:.])(?=[0-9a-f]{0,4}:)[0-9a-f:]{6,39}(?:(?:\d{1,3}\.){3}\d{1,3})?(?![a-z0-9:])")
_MAC = re.compile(
    r"(?<![0-9a-z:-])(?:[0-9a-f]{2}:){5}[0-9a-f]{2}(?![0-9a-z:-])|(?<![0-9a-z:-])(?:[0-9a-f]{2}-"
    r"){5}[0-9a-f]{2}(?![0-9a-z:-])"
)
_VERSION = re.compile(
    r"(?:\bv|\b(?:version|ver|firmware|release|build|update|patch|rev|driver|software|bios|kernel|android|ios|app|os)"
    r"\.?)\s*:?\s*$|版本\s*$"
)
_NETWORK_CUE = re.compile(r"\b(?:ip|ipv4|host|server|router|address|adresse|login|ping)\b[\w\s:]{0,12}$")
LOOK_BACK = 24
"""Characters before an address of a machine that may tell that it is a version."""


def emails(text: Text) -> Iterator[Span]:
    """Find e-mail addresses, written out ones too, such as `name (at) host.de`."""
    lower = text.lower
    if "@" in lower:
        yield from (Span(*match.span(), "EMAIL") for match in _EMAIL.finditer(lower))
    if re.search(r"[(\[{<]\s?(?:at|ät|@|a|arroba|arobase|chiocciola|æt)\s?[)\]}>]", lower):
        yield from (Span(*match.span(), "EMAIL") for match in _BRACKETED.finditer(lower))
    if re.search(r"\s(?:at|ät|arroba|arobase|chiocciola|chez|bei|presso|@)\s", lower):
        yield from (Span(*match.span(), "EMAIL") for match in _SPOKEN.finditer(lower))
    if re.search(r"\s(?:ät|arroba|arobase?|chiocciola|apenstaartje|klammeraffe|affenschwanz|snabel-a)\s", lower):
        yield from (Span(*match.span(), "EMAIL") for match in _SURE_AT.finditer(lower))
    if re.search(r"\s(?:at|chez|bei|presso|bij|en)\s", lower):
        for match in _MAYBE_AT.finditer(lower):
            is_mail = _MAIL_CUE.search(lower[max(match.start() - LOOK_BACK, 0) : match.start()])
            if is_mail or _SIGNED_LOCAL.search(match[1]):
                yield Span(*match.span(), "EMAIL")


def links(text: Text) -> Iterator[Span]:
    """Find links that name a person or let somebody in: profiles, tokens, passwords."""
    if "/" not in text.lower:
        return
    for match in _URL.finditer(text.lower):
        if _PERSONAL_LINK.search(match[0]):
            yield Span(match.start(), match.start() + len(match[0].rstrip(".,;:!?'")), "LINK")


def handles(text: Text) -> Iterator[Span]:
    """Find names of accounts after the name of a network, or after words such as "user name"."""
    for match in _HANDLE_CUE.finditer(text):
        group = 1 if match[1] else 2
        # Without an @ or a colon, an everyday word may follow: "instagram pictures".
        is_told = _TOLD.search(text.lower[match.start() : match.start(group)])
        if match[1] or is_told or re.search(r"[\d_.]\w|\d", match[2]):
            yield Span(match.start(group), match.start(group) + len(match[group].rstrip(".-")), "HANDLE")
    for match in _USER_CUE.finditer(text):
        yield Span(match.start(1), match.start(1) + len(match[1].rstrip(".!?:)")), "HANDLE")
    if "@" in text.lower:
        for match in _AT_NAME.finditer(text.lower):
            yield Span(match.start(), match.start() + len(match[0].rstrip(".")), "HANDLE")


def networks(text: Text) -> Iterator[Span]:
    """Find addresses of machines: IPv4, IPv6 and MAC. Four numbers after "version" or such are none."""
    lower = text.lower
    if "." in lower:
        for match in _IPV4.finditer(lower):
            before = lower[max(match.start() - LOOK_BACK, 0) : match.start()]
            long = any(len(part) > 1 for part in match[0].split("."))
            if not _VERSION.search(before) and (long or _NETWORK_CUE.search(before)):
                yield Span(*match.span(), "NETWORK")
    if ":" in lower:
        yield from (Span(*match.span(), "NETWORK") for match in _IPV6.finditer(lower) if _is_ipv6(match[0]))
    yield from (Span(*match.span(), "NETWORK") for match in _MAC.finditer(lower))


def _is_ipv6(words: str) -> bool:
    try:
        IPv6Address(words)
    except AddressValueError:
        return False
    return sum(letter != ":" for letter in words) >= 4
