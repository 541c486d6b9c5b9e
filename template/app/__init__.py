"""The server. `copier update` changes it; your code in `agent/` imports from here and from nowhere deeper.

Two exceptions: `app.capability` for your own capabilities and, from level 3 on, `app.signals` for reactions.
"""

from app.session import Session, this_session

__all__ = ["Session", "this_session"]
