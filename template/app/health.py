"""Exit with 0 when the server on this machine answers: the health check of the container, which runs it as a script."""

from __future__ import annotations

import os
import sys
from urllib.error import URLError
from urllib.request import urlopen


def healthy(port: str) -> bool:
    """A draining server (503) is healthy: only no answer is unhealthy."""
    try:
        urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2).close()
    except URLError as error:
        return getattr(error, "code", None) == 503
    return True


if __name__ == "__main__":
    sys.exit(0 if healthy(os.environ.get("PORT") or "8000") else 1)
