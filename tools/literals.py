"""Read plain values from texts: JSON, or a literal of Python. No code is run."""

import ast
import json
import warnings
from typing import Any

LONGEST_LITERAL = 100_000
"""Most characters of a Python literal. Its syntax tree takes about 500 times the memory."""


def python_literal(text: str) -> Any:
    """Return the plain value of a Python literal. Nothing is called, and no name is looked up.

    Raises:
        ValueError: The text is no literal of plain values, or has more than LONGEST_LITERAL characters.

    Example:
        >>> python_literal("{'title': 'Tea'}")
        {'title': 'Tea'}
    """
    if len(text) > LONGEST_LITERAL:
        raise ValueError(f"a Python literal of {len(text)} characters")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python warns about escape sequences that it does not know
            return ast.literal_eval(text.strip())
    except RecursionError:
        raise ValueError("nested too deep") from None
    except (ValueError, SyntaxError, TypeError, MemoryError):
        raise ValueError("not a Python literal of plain values") from None


def literal(text: str) -> Any:
    """Return the plain value of a JSON text or of a Python literal.

    Raises:
        ValueError: The text is neither.

    Example:
        >>> literal('["Tea"]'), literal("['Tea']")
        (['Tea'], ['Tea'])
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return python_literal(text)


def json_object(text: str) -> dict[Any, Any]:
    """Return the object that a line of JSON holds. A Python dictionary is read too: logs of 2014 have such lines.

    Raises:
        ValueError: The text is no object.

    Example:
        >>> json_object('{"title": "Tea"}'), json_object("{'title': 'Tea'}")
        ({'title': 'Tea'}, {'title': 'Tea'})
    """
    try:
        document = python_literal(text) if text.lstrip().startswith(("{'", "{u'")) else json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"not JSON: {error}") from None
    except RecursionError:
        raise ValueError("nested too deep") from None
    if not isinstance(document, dict):
        raise ValueError("not a JSON object")
    return document
