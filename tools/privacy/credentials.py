"""What lets somebody in: passwords, codes and keys."""

import re
from collections.abc import Iterator

from whimbrel.tools.privacy.spans import Span, Text
from whimbrel.tools.privacy.words import Cues, any_of

_KEY = re.compile(
    r"(?<![\w-])(?:sk-[\w-]{16,200}|[sprk]{2}_(?:live|test)_\w{10,200}|gh[pousr]_\w{20,200}|github_pat_\w{20,200}|"
    r"glpat-[\w-]{16,100}|"
    r"xox[abprs]-[\w-]{10,200}|AKIA[0-9A-Z]{16}|AIza[\w-]{30,50}|hf_\w{20,60}|npm_\w{30,60}|pypi-[\w-]{20,250}|"
    r"eyJ[\w-]{10,2000}\.[\w-]{10,4000}\.[\w-]{5,1000})(?![\w-])",
    re.ASCII,
)
_CUE = Cues(
    any_of("secrets")
    + r"(?:\s{1,2}(?:for|für|pour|para|per|voor|to|of)\s{1,2}(?:[^\s:=]{1,20}\s{1,2}){1,3}?)?(?:\s{0,2}(is|ist|lautet|"
    r"war|was|est|es|è|是|为|:|=)){1,2}\s{0,2}\"?'?",
    "secrets",
)
_VALUE = re.compile(r"[^\s\"，。；]{3,80}")


def credentials(text: Text) -> Iterator[Span]:
    """Find keys by their form, and passwords and codes by the words before them."""
    yield from (Span(*match.span(), "SECRET") for match in _KEY.finditer(text.plain))
    for cue in _CUE.finditer(text):
        value = _VALUE.match(text.plain, cue.end())
        if value is None:
            continue
        word = value[0].rstrip(".,;:!?)'")
        is_plain = re.fullmatch(r"[^\W\d_]+", word) and (word.islower() or word.istitle())
        # "the password is wrong" holds no password, "password: wrong" does.
        if not is_plain or cue[1] in (":", "="):
            yield Span(value.start(), value.start() + len(word), "SECRET")
