"""The description of the HTTP interface (OpenAPI): what FastAPI does not know of errors and tokens."""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fastapi import FastAPI

ERROR: dict[str, Any] = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message"],
            "properties": {"code": {"type": "string"}, "message": {"type": "string"}},
        }
    },
}
ERRORS = {
    "400": "The host, an option or a name is not valid.",
    "401": "There is no valid token.",
    "403": "The token may not ask about this person.",
    "404": "There is no such person or item.",
    "413": "The body is too large.",
    "422": "A value is not valid.",
    "429": "The caller began too many conversations.",
    "500": "The server failed.",
    "502": "The language model failed.",
    "503": "Too many requests wait, or the store cannot be used.",
    "504": "The answer took too long.",
}
"""What each status of an error means."""
SCHEME = {"type": "http", "scheme": "bearer", "description": "A token of the server's token file."}


def describe(app: "FastAPI", *, needs_token: bool) -> None:
    """Add the errors of each route under `/v1` and the scheme of tokens to the description of an application.

    Args:
        app: The application, with all its routes.
        needs_token: Whether the server asks for tokens. If not, the scheme is described and needed nowhere.
    """
    document = app.openapi()  # FastAPI keeps it, so the changes stay
    parts = document.setdefault("components", {})
    parts.setdefault("schemas", {})["Error"] = ERROR
    parts["securitySchemes"] = {"bearer": SCHEME}
    content = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    for path, methods in document["paths"].items():
        for operation in methods.values() if path.startswith("/v1/") else ():
            operation["responses"] |= {
                status: {"description": words, "content": content} for status, words in ERRORS.items()
            }
            operation["security"] = [{"bearer": []}] if needs_token else []
    for unused in ("HTTPValidationError", "ValidationError"):
        parts["schemas"].pop(unused, None)
