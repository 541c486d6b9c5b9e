"""Simulated messages for scenarios, tests and `agent text`."""

from app.messaging.texts import texts
from kit.text_console import talk
from kit.text_driver import TextDriver


class MessageDriver(TextDriver):
    phrases = texts


DRIVER = MessageDriver
COMMAND = ("text", talk)
