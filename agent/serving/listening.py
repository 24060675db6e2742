"""The socket on which a server listens."""

import socket

from whimbrel.tools.errors import ConfigError


def listening_socket(host: str, port: int) -> socket.socket:
    """Return a socket that is bound. A port that is in use is then an error before anything is opened.

    Raises:
        ConfigError: nothing can be served at this address.
    """
    bound = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        bound.bind((host.strip("[]"), port))
    except OSError as error:
        bound.close()
        reason = error.strerror or error
        raise ConfigError(f"nothing can be served at {address(host, port)} ({reason}): choose another --port") from None
    return bound


def address(host: str, port: int) -> str:
    """Return an address as it stands in a URL.

    Example:
        >>> address("::1", 8000)
        '[::1]:8000'
    """
    return f"[{host.strip('[]')}]:{port}" if ":" in host else f"{host}:{port}"
