"""Words that mean: do not call me again."""

from __future__ import annotations

import pytest

from app.outbound.opt_out_words import is_opt_out


@pytest.mark.parametrize(
    "text",
    [
        "Stop calling me!",
        "Please stop these calls.",
        "Don't call me again, okay?",
        "Well. Do not call this number anymore",
        "Never call here again.",
        "I don't want any more calls.",
        "I do not want to be called.",
        "No more calls please",
        "Take me off your list.",
        "Remove my phone number from your system",
        "put me on your do not call list",
        "I revoke my consent.",
        "I withdraw all consent",
        "I want to opt out",
        "Unsubscribe me",
        "Lose my number.",
        "Leave me alone!",
        "Quit bothering me",
        "No me llamen más.",
        "Deje de llamarme, por favor",
        "No quiero más llamadas",
        "Quite mi número de su lista",
    ],
)
def test_they_are_understood(text: str) -> None:
    assert is_opt_out(text)


@pytest.mark.parametrize(
    "text",
    [
        "Can you call me back at five?",
        "Don't call me Bob.",
        "Why do you call me?",
        "How do I stop calls from other companies?",
        "I did not ask you to call.",
        "Don't stop.",
        "Please do not hang up.",
        "What happens when I opt out?",
        "Tell him to stop calling me",
        "Somebody else keeps telling me to stop",
        "I am calling about my order.",
        "Leave the parcel with my neighbour.",
        "¿Cuándo me llaman?",
        "No, it is a good moment.",
        "",
    ],
)
def test_other_words_are_not(text: str) -> None:
    assert not is_opt_out(text)
