"""Messages for scenarios, tests and `agent text`."""

from agent import texts
from kit.text_driver import TextDriver
from kit.texter import talk


class DRIVER(TextDriver):
    phrases = texts


COMMAND = ("text", talk)
