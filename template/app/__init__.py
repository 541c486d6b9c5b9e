"""The server. `copier update` changes it; your code in `agent/` imports from here and from nowhere deeper.

Two exceptions have a door of their own: `app.signals` for reactions, `app.capability` for your own capabilities.
"""

from app.session import Session, this_session

__all__ = ["Session", "this_session"]
