"""Manual ConversationRelay: our own WebSocket server, with keypad, language switch, play and digits."""

from app.voice.relay.routes import RelayVoice

__all__ = ["RelayVoice"]
