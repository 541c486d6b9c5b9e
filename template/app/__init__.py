"""The server. Your code in `agent/` imports from here and from nowhere deeper; `copier update` changes the rest."""

from app.session import Session, this_session

__all__ = ["Session", "this_session"]
