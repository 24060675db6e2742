"""The key, the address and the proxy of a server, as the user and the environment give them."""

import os
import re
from urllib.parse import urlsplit
from urllib.request import proxy_bypass

from whimbrel.tools.errors import ConfigError

KEY_VARIABLE = "OPENAI_API_KEY"
ADDRESS_VARIABLE = "OPENAI_BASE_URL"
OPENAI = "https://api.openai.com/v1"

_PRINTABLE = re.compile(r"[!-~]*")


def server_address(base_url: str | None) -> str | None:
    """Return the address that requests go to; None for OpenAI's own.

    Args:
        base_url: The address in the model's spec. Without one, the address in OPENAI_BASE_URL counts.

    Raises:
        ConfigError: OPENAI_BASE_URL holds something else.
    """
    from_environment = os.environ.get(ADDRESS_VARIABLE, "").strip()
    if not base_url and from_environment and not from_environment.startswith(("http://", "https://")):
        raise ConfigError(
            f"{ADDRESS_VARIABLE}={hide_credentials(from_environment)!r} is not an address: it must start with http:// "
            "or https://; correct it, or unset it to use OpenAI's own server"
        )
    address = base_url or from_environment
    return address if address.rstrip("/") not in ("", OPENAI) else None


def api_key(base_url: str | None, *, spec: str) -> str:
    """Return the key in OPENAI_API_KEY, or a placeholder for a server that may need no key.

    Blanks and line ends around the key are dropped. They often come with a key that is read from a file.

    Raises:
        ConfigError: The server is OpenAI's own and there is no key, or the key cannot be sent.
    """
    key = os.environ.get(KEY_VARIABLE, "").strip() or ("none" if base_url else "")
    if not key:
        raise ConfigError(f"{spec!r} needs a key: set {KEY_VARIABLE}, or name a server with openai:MODEL@BASE_URL")
    if not _PRINTABLE.fullmatch(key):  # an HTTP header can hold nothing else
        raise ConfigError(
            f"{KEY_VARIABLE} is not a key: it contains a blank, a line end or a letter outside of ASCII; "
            "copy the key again, without quotes and line ends"
        )
    return key


def hide_credentials(text: str) -> str:
    """Return a text whose addresses have neither a user name and password nor the values of a query.

    Example:
        >>> hide_credentials("http://user:secret@127.0.0.1:8000/v1?key=secret")
        'http://127.0.0.1:8000/v1?key=***'
    """
    text = re.sub(r"(\w+://)[^/\s'\"]*@", r"\1", text)
    return re.sub(r"([?&][\w.-]+=)[^&\s'\")]*", r"\1***", text)


def proxy_variable(address: str) -> str:
    """Return the environment variable that names the proxy of requests to an address; empty if there is none."""
    try:
        url = urlsplit(address)
    except ValueError:  # not an address
        return ""
    if proxy_bypass(url.hostname or ""):
        return ""
    names = [spelling for name in (f"{url.scheme}_proxy", "all_proxy") for spelling in (name, name.upper())]
    return next((name for name in names if os.environ.get(name)), "")
