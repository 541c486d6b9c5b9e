"""Redis, in which conversations in progress live."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from urllib.parse import urlsplit

from app.redis_store import client
from app.shared_store import ALONE
from ops.doctor.check import Examined, check, reason

NEAR = ("localhost", "127.0.0.1", "::1")


@check(
    "RED001",
    fix="Write rediss:// and a password into REDIS_URL.",
    docs="https://redis.io/docs/latest/operate/oss_and_stack/management/security/encryption/",
    needs=("ENV001",),
)
def encrypted(examined: Examined) -> Iterator[str]:
    """What people say travels to Redis encrypted."""
    url = urlsplit(examined.settings.redis_url.get_secret_value())
    private = url.hostname in NEAR or "." not in (url.hostname or "")  # this machine, or a network of containers
    if url.scheme == "redis" and not private:
        yield f"REDIS_URL reaches {url.hostname} without TLS: conversations are readable on the way."


@check(
    "RED002",
    fix="Start Redis, or correct REDIS_URL; REDIS_URL=process does without, for one worker.",
    docs="https://redis.io/docs/latest/develop/clients/redis-py/",
    live=True,
)
async def answers(examined: Examined) -> AsyncIterator[str]:
    """Redis answers."""
    url = examined.settings.redis_url.get_secret_value()
    if url == ALONE:
        return
    redis = client(url)
    try:
        await redis.ping()
    except Exception as error:
        yield f"Redis does not answer ({reason(error)}): a call that drops cannot come back on another worker."
    finally:
        await redis.aclose()
