"""Simulated calls for scenarios, tests and `agent call`."""

from app.voice.phrases import phrases
from kit.voice_console import talk
from kit.voice_driver import VoiceDriver


class PhoneDriver(VoiceDriver):
    phrases = phrases


DRIVER = PhoneDriver
COMMAND = ("call", talk)
