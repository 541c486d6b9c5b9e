"""Manual ConversationRelay: our own WebSocket server, with keypad, language switch, play and digits."""

from app.relay.routes import connect

__all__ = ["connect"]
