"""Put this folder on PYTHONPATH: the process then reaches nothing but this machine, and writes down each attempt."""

import ipaddress
import os
import socket
from typing import Any


def refuse_unless_local(host: Any) -> None:
    name = host.decode() if isinstance(host, bytes) else str(host or "localhost")
    try:
        local = ipaddress.ip_address(name).is_loopback or ipaddress.ip_address(name).is_unspecified
    except ValueError:
        local = name == "localhost"
    if not local:
        if log := os.environ.get("NETWORK_GUARD_LOG"):
            with open(log, "a", encoding="utf-8") as lines:
                lines.write(f"{name} {os.environ.get('PYTEST_CURRENT_TEST', '')}".rstrip() + "\n")
        raise OSError(f"{name} is not on this machine")


class GuardedSocket(socket.socket):
    def connect(self, address: Any) -> None:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse_unless_local(address[0])
        super().connect(address)

    def connect_ex(self, address: Any) -> int:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse_unless_local(address[0])
        return super().connect_ex(address)


def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
    refuse_unless_local(host)
    return getaddrinfo(host, *args, **kwargs)


getaddrinfo = socket.getaddrinfo
socket.getaddrinfo = guarded_getaddrinfo
socket.socket = GuardedSocket  # type: ignore[misc]
