"""Yours: prompt, phrases, tools. An update never touches this folder.

List your own capabilities and start-up code here, classes of `app.capability.Capability` in hook order: docs/develop.md
has an example.
"""

from typing import Any

CAPABILITIES: list[type[Any]] = []
