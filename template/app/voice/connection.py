"""What the connections of both paths have in common."""

from agent import phrases
from app.connection import Connection


class PhoneConnection(Connection):
    """The WebSocket of one call."""

    hold = phrases.HOLD
    apology = phrases.APOLOGY
