"""Consent by a key: only the key that the question names begins a recording. Silence and other keys do not.

GDPR, Articles 4(11) and 7: consent is a clear affirmative act, and as easy to withdraw; `stop_recording` does that
(https://eur-lex.europa.eu/eli/reg/2016/679/oj, known by summaries of 2026-11-28). Not legal advice.
"""

from __future__ import annotations

from collections.abc import Mapping

from twilio.twiml.voice_response import VoiceResponse

from app.compliance.recording import Consent
from app.compliance.recording.wording import sentence
from app.voice.connect_action import SAY_LANGUAGE

YES = "1"
WAIT = 5  # seconds for the key, after the question


class ConsentByKey(Consent):
    def question(self, action: str) -> VoiceResponse:
        response = VoiceResponse()
        asks = response.gather(input="dtmf", num_digits=1, timeout=WAIT, action=action, method="POST")
        asks.say(sentence("introduction"), language=SAY_LANGUAGE)
        asks.say(sentence("question"), language=SAY_LANGUAGE)
        return response

    def agrees(self, form: Mapping[str, str]) -> bool:
        return form.get("Digits") == YES

    def reply(self, agreed: bool) -> str:
        return sentence("agreed" if agreed else "refused")
