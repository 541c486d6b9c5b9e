"""Simulated calls for scenarios, tests and `agent call`."""

from agent import phrases
from kit.voice_console import talk
from kit.voice_driver import VoiceDriver


class PhoneDriver(VoiceDriver):
    phrases = phrases


DRIVER = PhoneDriver
COMMAND = ("call", talk)
