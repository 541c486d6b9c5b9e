"""TwiML that Twilio would refuse, or read otherwise than it was meant."""

from __future__ import annotations

from agent import phrases
from app import config
from app.voice import relay_attributes as speech
from tests.kit.healthy_project import Patient, sick, well


@sick("TWI001", "TWI005")
def an_empty_greeting(patient: Patient) -> None:
    patient.patch.setattr(phrases, "GREETING", "   ")


@sick("TWI002")
def a_websocket_elsewhere(patient: Patient) -> None:
    patient.patch.setattr("app.voice.checks.twiml.websocket_url", lambda settings: "wss://agent.example/elsewhere")


@sick("TWI003")
def no_word_at_the_end(patient: Patient) -> None:
    patient.patch.setattr("app.voice.connect_action.say", lambda text: text)


@sick("TWI004")
def a_voice_of_another_provider(patient: Patient) -> None:
    foreign = "en-US-Chirp3-HD-Aoede" if config.TTS_PROVIDER == "Amazon" else "Joanna-Generative"
    patient.patch.setitem(config.LANGUAGES, speech.FIRST_LANGUAGE, foreign)


@well("TWI004")
def a_voice_of_the_provider(patient: Patient) -> None:
    patient.patch.setattr(config, "LANGUAGES", {speech.FIRST_LANGUAGE: "Joanna-Generative", "en-US": None})
    patient.patch.setattr(config, "TTS_PROVIDER", "Amazon")


@sick("TWI005")
def markup_that_is_read_aloud(patient: Patient) -> None:
    patient.patch.setattr(phrases, "APOLOGY", "I am **so** sorry.")


@sick("TWI005")
def a_sentence_without_words(patient: Patient) -> None:
    patient.patch.setattr(phrases, "UNAVAILABLE", "")


@well("TWI005")
def ordinary_punctuation(patient: Patient) -> None:
    patient.patch.setattr(phrases, "HOLD", "One moment, please: I'll look – it won't take long (really)!")
