"""What is said before the agent: one TwiML document of two."""

from __future__ import annotations

from xml.etree import ElementTree

from twilio.twiml.voice_response import VoiceResponse


def joined(first: VoiceResponse, then: str) -> str:
    """TwiML with the verbs of `first` before those of `then`."""
    root = ElementTree.fromstring(then)
    root[:0] = list(first.xml())
    return ElementTree.tostring(root, encoding="unicode")
