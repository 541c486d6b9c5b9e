"""Cases of the checks of calls."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import httpx2

from agent import phrases
from app import config
from app.voice import LANGUAGES
from kit import defaults
from tests.kit.healthy_project import HealthyProject, fails, passes


@fails("TWI001")
def an_unknown_tts_provider(project: HealthyProject) -> None:
    project.patch.setitem(LANGUAGES[0], "tts_provider", "Festival")


@fails("TWI005", "TWI001", "PRJ017")  # where a disclosure comes before the greeting, the TwiML stays valid
def an_empty_greeting(project: HealthyProject) -> None:
    project.patch.setattr(phrases, "GREETING", "   ")


@fails("TWI002")
def another_websocket_address(project: HealthyProject) -> None:
    project.patch.setattr("app.voice.checks.websocket_url", lambda settings: "wss://agent.example/elsewhere")


@fails("TWI002")
def no_token_for_the_call(project: HealthyProject) -> None:
    project.patch.setattr("app.voice.checks.call_token", SimpleNamespace(PARAMETER="elsewhere"))


@fails("TWI003")
def text_instead_of_twiml_at_the_end(project: HealthyProject) -> None:
    project.patch.setattr("app.voice.connect_action.say", lambda text: text)


@fails("TWI001")
def a_voice_of_another_provider(project: HealthyProject) -> None:
    foreign = "en-US-Chirp3-HD-Aoede" if config.TTS_PROVIDER == "Amazon" else "Joanna-Generative"
    project.patch.setitem(LANGUAGES[-1], "voice", foreign)


@passes("TWI001")
def a_voice_of_the_provider(project: HealthyProject) -> None:
    project.patch.setitem(LANGUAGES[-1], "tts_provider", "Amazon")
    project.patch.setitem(LANGUAGES[-1], "voice", "Joanna-Generative")


@fails("TWI005", "TWI001")
def hints_that_are_one_text(project: HealthyProject) -> None:
    project.patch.setattr(phrases, "HINTS", "Bluebird Tours, ferry pass", raising=False)


@fails("TWI005")
def a_hint_that_is_two(project: HealthyProject) -> None:
    project.patch.setattr(phrases, "HINTS", ["Bluebird Tours, ferry pass"], raising=False)


@passes("TWI005")
def some_hints(project: HealthyProject) -> None:
    project.patch.setattr(phrases, "HINTS", ["Bluebird Tours", "ferry pass"], raising=False)


@fails("TWI005")
def markup_that_is_read_aloud(project: HealthyProject) -> None:
    project.patch.setattr(phrases, "APOLOGY", "I am **so** sorry.")


@fails("TWI005")
def an_empty_phrase(project: HealthyProject) -> None:
    project.patch.setattr(phrases, "UNAVAILABLE", "")


@passes("TWI005")
def ordinary_punctuation(project: HealthyProject) -> None:
    project.patch.setattr(phrases, "HOLD", "One moment, please: I'll look – it won't take long (really)!")


def answer_handshakes(project: HealthyProject, status: int) -> None:
    def handshake(request: httpx2.Request) -> httpx2.Response | None:
        return httpx2.Response(status) if "Upgrade" in request.headers else None

    project.public.instead = handshake


@fails("WSS001")
def a_proxy_that_does_not_upgrade(project: HealthyProject) -> None:
    answer_handshakes(project, 426)


@fails("WSS002")
def a_proxy_that_changes_the_path(project: HealthyProject) -> None:
    answer_handshakes(project, 403)


@fails("WSS003")
def a_gateway_that_accepts_every_handshake(project: HealthyProject) -> None:
    answer_handshakes(project, 101)


APPLICATION = "AP" + "1" * 32


def healthy(project: HealthyProject) -> None:
    number(project)["voice_url"] = f"{defaults.PUBLIC_URL}/twiml"


def number(project: HealthyProject) -> dict[str, Any]:
    first: dict[str, Any] = next(iter(project.simulated.numbers.records.values()))
    return first


@fails("NUM001", "MSG003")
def no_number(project: HealthyProject) -> None:
    project.simulated.numbers.records.clear()


@fails("NUM002")
def the_address_of_an_old_tunnel(project: HealthyProject) -> None:
    number(project)["voice_url"] = "https://user:a-key-for-tests@4f3a.ngrok-free.app/twiml?key=a-key-for-tests"


@fails("NUM002")
def an_additional_slash(project: HealthyProject) -> None:
    number(project)["voice_url"] = f"{defaults.PUBLIC_URL}/twiml/"


@passes("NUM002")
def another_number_besides(project: HealthyProject) -> None:
    project.simulated.numbers.add("+15005550002")


@fails("NUM003")
def calls_by_get(project: HealthyProject) -> None:
    number(project)["voice_method"] = "GET"


@fails("NUM004")
def an_application_answers(project: HealthyProject) -> None:
    number(project)["voice_application_sid"] = APPLICATION
    project.simulated.numbers.applications[APPLICATION] = {"voice_url": "https://example.com/voice"}


@passes("NUM004")
def an_application_that_points_here(project: HealthyProject) -> None:
    number(project).update(voice_application_sid=APPLICATION, voice_url="")
    project.simulated.numbers.applications[APPLICATION] = {"voice_url": f"{defaults.PUBLIC_URL}/twiml"}


@fails("NUM005")
def a_trunk_takes_the_calls(project: HealthyProject) -> None:
    number(project)["trunk_sid"] = "TK" + "1" * 32


@fails("NUM006")
def a_number_for_texts(project: HealthyProject) -> None:
    number(project)["capabilities"] = {"voice": False, "sms": True}


@fails("NUM006")
def a_number_for_faxes(project: HealthyProject) -> None:
    number(project)["voice_receive_mode"] = "fax"


@fails("NUM007")
def calls_are_processed_in_ireland(project: HealthyProject) -> None:
    project.simulated.regions.records[defaults.CALLED] = "ie1"


@fails("NUM007")
def calls_are_processed_elsewhere_than_the_settings_say(project: HealthyProject) -> None:
    project.move("au1")


@passes("NUM007")
def calls_are_processed_where_the_settings_say(project: HealthyProject) -> None:
    project.move("au1", without="routes")


@passes("NUM007")
def a_route_to_the_same_region(project: HealthyProject) -> None:
    project.simulated.regions.records[defaults.CALLED] = "US1"
