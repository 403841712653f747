"""The socket that a service listens on."""

from __future__ import annotations

import socket

from retrieval.errors import SettingsError
from service.config.settings import Settings


def listen(settings: Settings) -> socket.socket:
    """Return a socket that is bound before the service starts.  Raises SettingsError."""
    family = socket.AF_INET6 if ":" in settings.host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)  # naming TCP switches Nagle off
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((settings.host, settings.port))
    except OSError as error:
        listener.close()
        raise SettingsError(
            f"cannot listen on {settings.host}, port {settings.port} ({error.strerror or error}); choose another "
            "address with --host and --port"
        ) from error
    return listener


def url_of(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
