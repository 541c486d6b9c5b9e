"""Your own capabilities and start-up code: classes of `app.capability.Capability`, in the order of their hooks.

`open` and `close` run when the server starts and stops, `routes` adds webhooks, `on_start` and `on_end` see every call.
docs/capabilities.md has an example.
"""

from typing import Any

CAPABILITIES: list[type[Any]] = []
