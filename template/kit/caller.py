"""The simulated caller of a phone call, and Twilio's side of it: signed webhooks, checked TwiML, WebSocket frames."""

from __future__ import annotations

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

from fastapi import FastAPI
from pydantic_ai import messages as m
from websockets.asyncio.client import ClientConnection
from websockets.asyncio.client import connect as open_websocket
from websockets.exceptions import ConnectionClosed

from kit import twiml
from kit.activity import wait_until
from kit.defaults import ACCOUNT_SID, CALLED, CALLER, Problem
from kit.local_server import serve
from kit.simulated_twilio.account import SimulatedAccount
from kit.speech_clock import Playback
from kit.tool_calls import ToolCall, calls_in
from kit.webhook import WebhookSender, sign

SILENCE_TIMEOUT = 30.0  # seconds; the limit of every wait for the app
SILENCE_PACE = 50.0  # at most, while the caller is silent for longer than the agent waits

# Frames that ConversationRelay accepts: type -> (required fields, all fields). Source: Twilio docs, 2026-11.
FRAMES: dict[str, tuple[set[str], set[str]]] = {
    "text": ({"token"}, {"token", "last", "lang", "interruptible", "preemptible"}),
    "play": ({"source"}, {"source", "loop", "preemptible", "interruptible"}),
    "sendDigits": ({"digits"}, {"digits"}),
    "language": (set(), {"ttsLanguage", "transcriptionLanguage"}),
    "end": (set(), {"handoffData"}),
}
SPEECH_MODES = {"any", "speech", "true"}
FIELD_TYPES = {"last": bool, "loop": int, "interruptible": bool, "preemptible": bool}


def calls_of(app: FastAPI) -> Any:
    """The calls in progress of an app: `app.voice.calls.Calls`."""
    return app.state.conversations.channel("voice").calls


@dataclass
class CallTurn:
    """One turn as the caller hears it. Times are milliseconds since the caller stopped speaking.

    `first` is the latency of the first token, `total` of the last; `heard_text` is the text before an interruption.
    """

    user_text: str
    playback: Playback
    began: float = field(default_factory=time.monotonic)
    first: float | None = None
    total: float | None = None
    heard_text: str | None = None
    calls: list[ToolCall] = field(default_factory=list)
    models: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        return self.playback.text

    @property
    def tools(self) -> list[str]:
        """The names of the tools that the model called, in order."""
        return [call.name for call in self.calls]

    def elapsed(self) -> float:
        return 1000 * (time.monotonic() - self.began)


class Call(WebhookSender):
    """The caller's side of one call. Every wait has a timeout; silence raises Problem.

    `caller` is the person, and `called` the agent's number; with `direction` outbound, the agent has called the person.
    `answered_by` is what answering-machine detection says then, as in machine_end_beep; "" is a call without it.
    """

    def __init__(
        self,
        app: FastAPI,
        address: str,
        pace: float,
        caller: str,
        called: str,
        account: SimulatedAccount | None,
        direction: str = "inbound",
        answered_by: str = "",
    ) -> None:
        super().__init__(address)
        self.app = app
        self.account = account or getattr(app.state, "account", None) or SimulatedAccount(pace)
        self.pace = pace
        self.caller = caller
        self.called = called
        self.direction = direction
        self.answered_by = answered_by
        self.placed = self.account.calls.waiting_for(caller) if self.outbound else None
        self.sid = self.placed["sid"] if self.placed else "CA" + uuid4().hex
        self.greeting = ""
        self.relay: twiml.Relay | None = None
        self.turns: list[CallTurn] = []
        self.turn: CallTurn | None = None  # None during a greeting, also after a reconnect
        self.frames: list[dict[str, Any]] = []
        self.handoff: Any = None
        self.opening = ""  # text of <Say> before the agent speaks
        self.farewell = ""  # and after it has spoken
        self.remarks: list[str] = []  # text of the agent between its turns
        self.queue: twiml.Queue | None = None  # the queue that the call is in
        self.task: dict[str, Any] | None = None  # the attributes of its task
        self.workflow = ""
        self.payment: twiml.Payment | None = None  # the <Pay> that the call is in
        self.gather: twiml.Document | None = None  # the document whose <Gather> waits for a key
        self.dialed: twiml.Dialed | None = None  # the <Dial> that the call is in
        self.number = ""  # the number that <Dial> has called last
        self.backups: set[str] = set()  # stt or tts, where Twilio has taken its backup
        self.ended_by: str | None = None
        self.hung_up_in = ""  # where the call was when the caller hung up: queue, payment, menu, number or agent
        self.broken = False  # the WebSocket failed, and the call has not been connected again
        self.problems: list[str] = []
        self._unreported: list[str] = []  # text frames for which no `tokensPlayed` was sent
        self._open: deque[CallTurn] = deque()  # turns without `last: true` so far, in order
        self._interrupting = False
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self.session: Any = None

    # --- the caller -------------------------------------------------------------------------

    async def dial(self) -> str:
        """Ring, and return the greeting. Twilio requests TwiML for an outbound call when it is answered."""
        status = "in-progress" if self.outbound else "ringing"
        path = urlsplit(self.placed["url"]).path if self.placed else "/twiml"
        detected = {"AnsweredBy": self.answered_by} if self.answered_by else {}
        await self._follow(await self.post(path, self.form(CallStatus=status, **detected)))
        return self.greeting

    async def says(self, text: str, lang: str = "en-US") -> CallTurn:
        """Say `text` and wait for the whole reply."""
        turn = await self.begins(text, lang)
        await self.hears_reply(turn)
        return turn

    async def begins(self, text: str, lang: str = "en-US") -> CallTurn:
        """Say `text` and do not wait."""
        if self._interrupting and self.attribute("reportInputDuringAgentSpeech", "none") not in SPEECH_MODES:
            raise Problem("Twilio does not deliver an interrupting prompt: set reportInputDuringAgentSpeech")
        self._interrupting = False
        if self.attribute("partialPrompts", "false") == "true":
            words = text.split()
            for count in range(1, len(words)):
                partial = " ".join(words[:count])
                await self.sends({"type": "prompt", "voicePrompt": partial, "lang": lang, "last": False})
        await self.reports_played()
        turn = self._expect(text)
        await self.sends({"type": "prompt", "voicePrompt": text, "lang": lang, "last": True})
        return turn

    async def presses(self, digits: str) -> CallTurn:
        """Press keys and wait for the whole reply."""
        return await self.hears_reply(await self.types(digits))

    async def types(self, digits: str) -> CallTurn:
        """Press keys and do not wait."""
        if not self.listens_to_keys:
            raise Problem("Twilio does not deliver keys on this call: dtmfDetection is off")
        await self.reports_played()
        turn = self._expect(f"[{digits}]")
        for digit in digits:
            await self.sends({"type": "dtmf", "digit": digit})
        return turn

    async def chooses(self, key: str = "") -> None:
        """Press a key of a menu that Twilio speaks. Without one, wait until the menu gives up."""
        gather, self.gather = self.gather, None
        if gather is None or gather.asks is None or gather.following is None:
            raise Problem("no menu waits for a key")
        if key:
            await self.goes_on(await self.fetch(gather.asks, Digits=key, CallStatus="in-progress"))
        else:
            self._hear(gather.following)
            await self.goes_on(gather.following)

    async def hears(self, phrase: str) -> None:
        """Wait until the agent has sent `phrase` in the current turn, or in the greeting."""
        turn, playback = self.turn, self.playback
        await wait_until(
            lambda: phrase in playback.text or turn is None or turn.total is not None or self._closed,
            f"the agent never said {phrase!r}",
            SILENCE_TIMEOUT,
        )
        if phrase not in playback.text:
            raise Problem(f"the agent never said {phrase!r}, but {playback.text.strip()!r}")

    async def interrupts(self, after: str | None = None) -> str:
        """Interrupt the agent: at once, or when `after` has been spoken. Returns the text that was heard.

        If the TwiML does not let speech interrupt, the agent speaks on and the whole text is heard.
        """
        if after is not None:
            await self.hears(after)
        turn, playback = self.turn, self.playback
        if self._socket is None and self.task is not None:  # the session has ended: no interrupt frame is sent
            playback.interrupted = True
            return playback.heard() if after is None else playback.heard_until(after)
        if self.attribute("interruptible" if turn else "welcomeGreetingInterruptible", "any") not in SPEECH_MODES:
            return playback.text
        heard = playback.heard() if after is None else playback.heard_until(after)
        self._interrupting = True
        await self.reports_played(len(heard))
        await self.sends(
            {"type": "interrupt", "utteranceUntilInterrupt": heard, "durationUntilInterruptMs": playback.elapsed_ms}
        )
        playback.interrupted = True
        if turn:
            turn.heard_text = heard
            if turn in self._open:
                await self.hears_reply(turn)
            noticed = self.session.turn
            await wait_until(
                lambda: noticed is None or noticed.heard_text is not None or self._closed,
                "the interruption was ignored",
                SILENCE_TIMEOUT,
            )
        return heard

    async def stays_silent(self, seconds: float) -> None:
        """Say nothing for so many seconds. The agent, which may ask or hang up, counts at the pace of the caller."""
        silence = getattr(self.session and self.session.connection, "silence", None) if self._socket else None
        if not silence or not 0 < silence.limit < seconds:
            await asyncio.sleep(seconds / self.pace)
            return
        pace, limit, told = min(self.pace, SILENCE_PACE), silence.limit, -1
        await asyncio.sleep(self.playback.remaining)
        silence.limit = limit / pace
        silence.begin(self.session)
        end = time.monotonic() + seconds / pace
        while (left := end - time.monotonic()) > 0 and not self._closed:
            if told != len(self.remarks) and self._socket:
                told = len(self.remarks)
                await self.sends({"type": "info", "name": "agentSpeaking", "value": "off"})
            await asyncio.sleep(min(left, 0.01))
        if self.session.ending:
            await self.wait_for_end()
        else:
            silence.limit = limit
            silence.begin(self.session)

    async def hangs_up(self) -> None:
        """Hang up. Twilio closes the WebSocket, or removes the call from its queue, and requests the action URL."""
        self.hung_up_in, ended_by = self.place, self.ended_by
        await self._close("completed", "completed")
        if self._reader:
            await asyncio.wait([self._reader], timeout=SILENCE_TIMEOUT)
        if self.queue:
            await self.account.simulate(self, {"taskrouter": "hangup"})
        if self.payment:
            await self.account.simulate(self, {"pay": "caller-hung-up"})
        self.gather = self.dialed = None
        self.ended_by = ended_by or "caller"
        await self.account.ended(self)

    @property
    def ending(self) -> str:
        """How the call ended, as a sentence. A caller who waits elsewhere at the end has been passed on."""
        elsewhere = {
            "queue": "The call was passed on to a queue, where it waits for a human.",
            "number": f"The call was passed on to {self.number}, which rings.",
            "payment": "The caller hung up while Twilio took a card.",
            "menu": "The caller hung up while Twilio waited for a key.",
        }
        if self.hung_up_in in elsewhere:
            return elsewhere[self.hung_up_in]
        if self.ended_by == "agent" and self.relay is None:
            return "The call was not connected to the agent: its TwiML ended it."
        if self.ended_by == "agent" and self.broken:
            return "The connection to the agent broke, and its TwiML ended the call."
        return f"The {self.ended_by or 'caller'} ended the call."

    @property
    def place(self) -> str:
        """Where the call is: with the agent, or where its TwiML has led it; empty for a call that is over."""
        elsewhere = {"queue": self.queue, "payment": self.payment, "menu": self.gather, "number": self.dialed}
        found = [name for name, value in elsewhere.items() if value]
        return found[0] if found else "" if self.ended_by else "agent"

    async def drops(self) -> None:
        """Lose the WebSocket for good. The call goes on, and Twilio requests the action URL."""
        await self._close("failed", "in-progress", ErrorCode="64105")

    async def reconnects(self) -> None:
        """Lose the WebSocket, which Twilio opens again: it does with applicationReconnect. No document says what it
        sends first then; here, `setup` as before."""
        if self.relay is None or self.attribute("applicationReconnect", "false") != "true":
            raise Problem("Twilio does not open the WebSocket again: set applicationReconnect")
        await self._lose_socket()
        await self._connect(self.relay)

    async def loses_speech(self, part: str) -> None:
        """The provider of `part`, stt or tts, fails. With <Failover>, Twilio takes its backup, once for each part."""
        if self.relay and self.relay.failover and part not in self.backups:
            self.backups.add(part)
        else:
            await self._close("failed", "in-progress", ErrorCode={"stt": "64114", "tts": "64111"}[part])

    # --- Twilio ----------------------------------------------------------------------------

    channel = "VOICE"

    @property
    def conversation(self) -> str:
        """The id of the conversation in Conversation Orchestrator."""
        return self.account.conversation_of(self)

    @property
    def reference(self) -> str:
        return self.sid

    async def state(self) -> Mapping[str, Any]:
        kept: Mapping[str, Any] = self.session.state
        return kept

    @property
    def playback(self) -> Playback:
        """The playback of the current turn, or of the greeting."""
        return self.turn.playback if self.turn else self._greeting_playback

    def attribute(self, name: str, default: str) -> str:
        """An attribute of the `<ConversationRelay>` that carries the call."""
        return self.relay.attributes.get(name, default) if self.relay else default

    @property
    def outbound(self) -> bool:
        return self.direction.startswith("outbound")

    @property
    def sender(self) -> str:
        """Twilio's `From`: who has placed the call."""
        return self.called if self.outbound else self.caller

    @property
    def recipient(self) -> str:
        """Twilio's `To`."""
        return self.caller if self.outbound else self.called

    @property
    def listens_to_keys(self) -> bool:
        return self.attribute("dtmfDetection", "false") == "true"

    def form(self, **more: str) -> dict[str, str]:
        call = {"AccountSid": ACCOUNT_SID, "CallSid": self.sid, "From": self.sender, "To": self.recipient}
        return {**call, "Direction": {"outbound": "outbound-api"}.get(self.direction, self.direction), **more}

    async def post(self, path: str, form: dict[str, str]) -> str:
        """Send a signed webhook. Raises Problem for any status but 200."""
        answer = await self.post_form(path, form)
        if answer.status_code != 200:
            raise Problem(f"POST {path} answered {answer.status_code}; the caller hears nothing")
        return answer.text

    async def follow(self, text: str) -> twiml.Document:
        """Check TwiML and keep its spoken text. Raises Problem if Twilio would reject it."""
        try:
            document = twiml.read(text)
        except twiml.TwimlError as error:
            raise Problem(f"the TwiML is wrong: {error}") from None
        self._hear(document)
        return document

    def _hear(self, document: twiml.Document) -> None:
        """What is said before the call waits for a key, if it does."""
        waits = document.asks and self.relay and not self.account.keys
        self.farewell = f"{self.farewell} {document.asking if waits else document.said}".strip()

    async def fetch(self, url: str, **more: str) -> twiml.Document:
        """Request TwiML from a URL of the app, as Twilio does during a call."""
        return await self.follow(await self.post("/" + url.split("/", 3)[3], self.form(**more)))

    async def _follow(self, text: str) -> None:
        await self.goes_on(await self.follow(text))

    async def goes_on(self, document: twiml.Document) -> None:
        """Follow the TwiML: connect to the agent, enqueue, dial, take a card, record a message, or hang up.

        After the agent, a <Gather> waits for `chooses`, unless the account has keys.
        """
        self.queue, self.payment = document.queue, document.payment
        if document.payment:
            if any(record["status"] == "in-progress" for record in self.account.recordings.of(self.sid)):
                self.problems.append("the call is recorded while <Pay> takes a card: pause the recording before")
            return
        if document.queue:
            self.task, self.workflow = document.queue.attributes, document.queue.workflow
            await self.account.queued(self, document.queue)
            return
        if document.asks and self.account.keys:
            more = {"Digits": self.account.keys.pop(0), "CallStatus": "in-progress"}
            await self.goes_on(await self.fetch(document.asks, **more))
            return
        if document.asks and self.relay:
            self.gather = document
            return
        self.dialed = document.dialed
        if document.dialed:
            self.number = document.dialed.number
            return
        if document.recording:
            await self.account.recordings.begin(self, document.recording)
        if document.record and self.ended_by is None:
            recording = self.account.recordings.add(self.sid, status="completed", source="RecordVerb")
            more = {"RecordingUrl": recording["media_url"], "RecordingSid": recording["sid"], "RecordingDuration": "7"}
            more["CallStatus"] = "in-progress"
            await self.goes_on(await self.fetch(document.record, **more))
            return
        if document.relay is None:
            self.ended_by = self.ended_by or "agent"
            return
        if self.relay is None:
            self.opening, self.farewell = self.farewell, ""
        self.relay, self.greeting = document.relay, document.relay.greeting
        self._greeting_playback = Playback(self.pace)
        self._greeting_playback.say(self.greeting)
        self.turn = None
        await self._connect(document.relay)

    async def _connect(self, relay: twiml.Relay) -> None:
        path = "/" + relay.url.split("/", 3)[3]
        self._socket = await open_websocket(
            f"ws://{self.address}{path}",
            additional_headers={"X-Twilio-Signature": sign(relay.url)},
            proxy=None,
        )
        self._reader = asyncio.create_task(self._read(self._socket))
        await self.sends(
            {
                "type": "setup",
                "sessionId": "VX" + uuid4().hex,
                "accountSid": ACCOUNT_SID,
                "callSid": self.sid,
                "from": self.sender,
                "to": self.recipient,
                "direction": self.direction,
                "callType": "PSTN",
                "callStatus": "IN-PROGRESS",
                "customParameters": relay.parameters,
            }
        )
        self.broken = False
        await self.account.connected(self)
        await wait_until(
            lambda: calls_of(self.app).get(self.sid) or self._closed, "the app did not take the call", SILENCE_TIMEOUT
        )
        self.session = calls_of(self.app).get(self.sid)

    async def reports_played(self, characters: int | None = None) -> None:
        """Send `tokensPlayed` for the text frames so far, or for those in the first so many characters of them."""
        frames, self._unreported = self._unreported, []
        for frame in frames:
            if characters is not None and (characters := characters - len(frame.rstrip())) < 0:
                break
            if "tokens-played" in self.attribute("events", "").split():
                await self.sends({"type": "info", "name": "tokensPlayed", "value": frame})

    async def sends(self, frame: Mapping[str, Any] | str | bytes) -> None:
        """Send a frame over the WebSocket; text and bytes are sent as they are."""
        if self._socket is None:
            raise Problem(f"the call is over ({self.ended_by or 'dropped'})")
        try:
            await self._socket.send(frame if isinstance(frame, str | bytes) else json.dumps(frame))
        except ConnectionClosed:
            raise Problem("the line is dead: the app has closed the WebSocket without an end") from None

    async def hears_reply(self, turn: CallTurn) -> CallTurn:
        """Wait for the end of a reply. Raises Problem for a reply that is empty, or never closed."""
        await wait_until(
            lambda: turn.total is not None or self._closed,
            f"no reply to {turn.user_text!r}, or one that was never closed with last: true",
            SILENCE_TIMEOUT,
        )
        if turn.total is None:
            dead = f"the line went dead before {turn.user_text!r} was answered"
            raise Problem("; ".join([dead, *self.problems]))
        if not turn.text.strip() and turn.heard_text is None:
            raise Problem(f"silence in answer to {turn.user_text!r}")
        if self.problems:
            raise Problem("; ".join(self.problems))
        return turn

    def _expect(self, user_text: str) -> CallTurn:
        turn = self.turn = CallTurn(user_text, Playback(self.pace))
        self.turns.append(turn)
        self._open.append(turn)
        return turn

    @property
    def _closed(self) -> bool:
        return self._reader is None or self._reader.done()

    async def _read(self, socket: ClientConnection) -> None:
        """Take frames until the WebSocket closes. After `end`, follow the TwiML of the action URL."""
        try:
            async for text in socket:
                frame = self._check(str(text))
                if frame is not None:
                    self.frames.append(frame)
                    self._take(frame)
                if frame is not None and frame["type"] == "end":
                    await socket.close()
                    more = {"HandoffData": frame["handoffData"]} if "handoffData" in frame else {}
                    self.handoff = json.loads(more["HandoffData"]) if more else None
                    self._socket = None
                    await self._follow(await self._action("ended", "in-progress", **more))
                    return
        except ConnectionClosed:
            self._socket = None
        except (Problem, ValueError) as error:
            self.problems.append(str(error))
        except Exception as error:  # this task is not awaited: a step that waits for the agent raises it
            self.problems.append(f"{type(error).__name__}: {error}")

    def _check(self, text: str) -> dict[str, Any] | None:
        try:
            frame = json.loads(text)
            required, allowed = FRAMES[frame["type"]]
            fields = set(frame) - {"type"}
            wrong = {name for name in fields if not isinstance(frame[name], FIELD_TYPES.get(name, str))}
            if required - fields or fields - allowed or wrong:
                raise ValueError
        except (ValueError, KeyError, TypeError):
            self.problems.append(f"error 64107: Twilio would drop {text[:120]}")
            return None
        return dict(frame)

    def _take(self, frame: dict[str, Any]) -> None:
        if frame["type"] != "text":
            return
        if frame["token"].strip():
            self._unreported.append(frame["token"])
        if not self._open:
            self.remarks += [frame["token"]] if frame["token"].strip() else []
            return
        turn = self._open[0]
        if frame["token"]:
            if turn.first is None:
                turn.first = turn.elapsed()
            turn.playback.say(frame["token"])
        if frame.get("last"):
            turn.total = turn.elapsed()
            turn.calls = self.tools_called()
            turn.models = self.models_asked()
            self._open.popleft()

    def tools_called(self) -> list[ToolCall]:
        """The tools that the model called in the current turn."""
        turn = self.session and self.session.turn
        return calls_in(turn.messages) if turn else []

    def models_asked(self) -> list[str]:
        """The models that answered in the current turn, by the names of their providers."""
        turn = self.session and self.session.turn
        answers = [message for message in turn.messages if isinstance(message, m.ModelResponse)] if turn else []
        return [answer.model_name for answer in answers if answer.model_name]

    async def _close(self, session_status: str, call_status: str, **more: str) -> None:
        if await self._lose_socket():
            self.broken = session_status == "failed"
            await self._follow(await self._action(session_status, call_status, **more))

    async def _lose_socket(self) -> bool:
        """Close the WebSocket. False when it is closed already."""
        if self._socket is None:
            return False
        socket, self._socket = self._socket, None
        await socket.close()
        if self._reader:
            await asyncio.wait([self._reader])
        for turn in self._open:  # the caller hears no further token
            turn.total, turn.calls = turn.elapsed(), self.tools_called()
        self._open.clear()
        return True

    async def _action(self, session_status: str, call_status: str, **more: str) -> str:
        if self.relay is None or self.relay.action is None:
            return "<Response/>"
        path = "/" + self.relay.action.split("/", 3)[3]
        return await self.post(path, self.form(CallStatus=call_status, SessionStatus=session_status, **more))

    async def wait_for_end(self) -> None:
        """Wait until the agent has ended the call, or sent it to a queue, a payment, a menu or a number."""
        await wait_until(
            lambda: self.ended_by or self.problems or (self._is_elsewhere and self._closed),
            "the call did not end",
            SILENCE_TIMEOUT,
        )
        if self.problems:
            raise Problem("; ".join(self.problems))

    @property
    def _is_elsewhere(self) -> bool:
        return any((self.queue, self.payment, self.gather, self.dialed))

    async def aclose(self) -> None:
        if self._socket:
            await self.hangs_up()
        if self._reader:
            await asyncio.wait([self._reader], timeout=SILENCE_TIMEOUT)
        await self.account.ended(self)
        await super().aclose()


@asynccontextmanager
async def dial_app(app: FastAPI, **options: Any) -> AsyncGenerator[Call]:
    """Serve `app`, call it and hang up at the end. `options` are those of `caller_on`."""
    async with serve(app) as address, caller_on(app, address, **options) as call:
        yield call


@asynccontextmanager
async def caller_on(
    app: FastAPI,
    address: str,
    *,
    pace: float = 1000.0,
    caller: str = CALLER,
    called: str = CALLED,
    account: SimulatedAccount | None = None,
    direction: str = "inbound",
    answered_by: str = "",
) -> AsyncGenerator[Call]:
    """A call to an app that is already served at `address`. `pace` divides the duration of speech."""
    call = Call(app, address, pace, caller, called, account, direction, answered_by)
    try:
        await call.dial()
        yield call
    finally:
        await call.aclose()
    if call.problems:
        raise Problem("; ".join(call.problems))
