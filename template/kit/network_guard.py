"""Refuse every connection beyond loopback, for tests and simulated conversations."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

LOCAL = {"127.0.0.1", "::1", "localhost", "0.0.0.0", "::", "", None}


class NetworkBlocked(OSError):
    """A connection or look-up beyond loopback."""


@contextmanager
def offline() -> Iterator[list[str]]:
    """Refuse connections and look-ups beyond loopback. Yields the refused hosts, swallowed errors included."""
    refused: list[str] = []
    connect, connect_ex, getaddrinfo = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo
    sendto: Any = socket.socket.sendto

    def check(host: Any) -> None:
        name = host.decode() if isinstance(host, bytes) else host
        if name not in LOCAL and not str(name).startswith("127."):
            refused.append(str(name))
            raise NetworkBlocked(f"{name} is not on this machine")

    def address(sock: socket.socket, target: Any) -> Any:
        if sock.family in (socket.AF_INET, socket.AF_INET6):
            check(target[0])
        return target

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        check(host)
        return getaddrinfo(host, *args, **kwargs)

    patched: Any = socket.socket
    patched.connect = lambda sock, target: connect(sock, address(sock, target))
    patched.connect_ex = lambda sock, target: connect_ex(sock, address(sock, target))
    patched.sendto = lambda sock, *args: sendto(sock, *args[:-1], address(sock, args[-1]))
    socket.getaddrinfo = guarded_getaddrinfo
    try:
        yield refused
    finally:
        patched.connect, patched.connect_ex, patched.sendto = connect, connect_ex, sendto
        socket.getaddrinfo = getaddrinfo
