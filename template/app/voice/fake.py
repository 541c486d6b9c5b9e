"""Calls for scenarios, tests and `agent call`."""

from agent import phrases
from kit.console import talk
from kit.voice_driver import VoiceDriver


class DRIVER(VoiceDriver):
    phrases = phrases


COMMAND = ("call", talk)
