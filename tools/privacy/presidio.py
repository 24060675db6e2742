"""Personal data that Microsoft's Presidio finds, if it is installed: `pip install 'whimbrel[privacy]'`.

Presidio finds names with a model of spaCy, such as that of `python -m spacy download en_core_web_sm`. Without such a
model it is not used: it would download one.
"""

from functools import cache
from importlib.util import find_spec
from typing import Any

MODELS = ("en_core_web_lg", "en_core_web_md", "en_core_web_sm")
"""The models of spaCy, the best first. The first that is installed is used."""
LEAST_SCORE = 0.5
KINDS = {
    "PERSON": "PERSON",
    "EMAIL_ADDRESS": "EMAIL",
    "PHONE_NUMBER": "PHONE",
    "IBAN_CODE": "IBAN",
    "CREDIT_CARD": "CARD",
    "IP_ADDRESS": "NETWORK",
    "US_SSN": "NUMBER",
    "US_PASSPORT": "NUMBER",
    "US_BANK_NUMBER": "NUMBER",
    "UK_NHS": "NUMBER",
}
"""Our kinds of personal data, keyed by those of Presidio. Places and dates are not personal alone."""


def presidio_spans(text: str) -> list[tuple[int, int, str]]:
    """Return the start, the end and the kind of what Presidio finds. There is nothing without Presidio."""
    analyzer = _analyzer()
    if analyzer is None:
        return []
    results = analyzer.analyze(text, language="en", entities=list(KINDS), score_threshold=LEAST_SCORE)
    return [(result.start, result.end, KINDS[result.entity_type]) for result in results]


@cache
def _analyzer() -> Any:
    if find_spec("presidio_analyzer") is None or find_spec("spacy") is None:
        return None
    model = next((name for name in MODELS if find_spec(name) is not None), None)
    if model is None:
        return None
    from presidio_analyzer import AnalyzerEngine
    from presidio_analyzer.nlp_engine import NlpEngineProvider

    settings = {"nlp_engine_name": "spacy", "models": [{"lang_code": "en", "model_name": model}]}
    return AnalyzerEngine(nlp_engine=NlpEngineProvider(nlp_configuration=settings).create_engine())
