"""Redis, where sessions in progress are stored."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from kit.doctor.check import Context, check

NEAR = ("localhost", "127.0.0.1", "::1")


@check(
    "RED001",
    hint="Write rediss:// and a password into REDIS_URL.",
    docs="https://redis.io/docs/latest/operate/oss_and_stack/management/security/encryption/",
    requires=("ENV001",),
)
def connection_encrypted(context: Context) -> Iterator[str]:
    """Sessions travel to Redis encrypted."""
    url = urlsplit(context.settings.redis_url.get_secret_value())
    private = url.hostname in NEAR or "." not in (url.hostname or "")  # this machine, or a network of containers
    if url.scheme == "redis" and not private:
        yield f"REDIS_URL reaches {url.hostname} without TLS: conversations are readable on the way."
