"""A Twilio account in this process, for `agent call`, `agent text`, scenarios, tests and `agent setup --simulated`.

It has every product, in every project. As at Twilio, a write can be read only some time after its response.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from kit.defaults import settings
from kit.simulated_twilio.api_keys import ApiKeys
from kit.simulated_twilio.call_log import Calls, Messages, Transcriptions, Transcripts
from kit.simulated_twilio.chat_services import ChatServices
from kit.simulated_twilio.conversation_configurations import ConversationConfigurations
from kit.simulated_twilio.conversations import Conversations
from kit.simulated_twilio.dial import Dial
from kit.simulated_twilio.events import EventStreams
from kit.simulated_twilio.flex import Flex
from kit.simulated_twilio.insights import Insights
from kit.simulated_twilio.intelligence import Intelligence
from kit.simulated_twilio.intelligence_configurations import IntelligenceConfigurations
from kit.simulated_twilio.memory import Memory
from kit.simulated_twilio.memory_stores import MemoryStores
from kit.simulated_twilio.messaging_services import MessagingServices
from kit.simulated_twilio.monitor import Monitor
from kit.simulated_twilio.numbers import Numbers, Regions
from kit.simulated_twilio.pay import Pay
from kit.simulated_twilio.product import Clock, Fault, Product, Transport, keys
from kit.simulated_twilio.recordings import Recordings
from kit.simulated_twilio.speech import Speech
from kit.simulated_twilio.taskrouter import TaskRouter
from kit.simulated_twilio.taskrouter_workspaces import Workspaces

if TYPE_CHECKING:
    from kit.caller import Call
    from kit.twiml import Queue


class SimulatedAccount:
    """`pace` divides the delays of Twilio. `keys` are what callers press when a `<Gather>` asks: an entry for each."""

    def __init__(self, pace: float = 1000.0) -> None:
        self.clock = clock = Clock(pace)
        self.keys: list[str] = []
        self.numbers = Numbers(clock)
        self.regions = Regions(clock)
        self.api_keys = ApiKeys(clock)
        self.messaging_services = MessagingServices(clock)
        self.memory_stores = MemoryStores(clock)
        self.chat_services = ChatServices(clock)
        self.conversation_configurations = ConversationConfigurations(clock, chat_services=self.chat_services)
        self.intelligence_configurations = IntelligenceConfigurations(clock)
        self.workspaces = Workspaces(clock)
        self.memory = Memory(clock, stores=self.memory_stores)
        self.conversations = Conversations(clock, memory=self.memory)
        self.intelligence = Intelligence(clock)
        self.recordings = Recordings(clock)
        self.calls = Calls(clock)
        self.messages = Messages(clock)
        self.transcriptions = Transcriptions(clock)
        self.transcripts = Transcripts(clock)
        self.taskrouter = TaskRouter(clock)
        self.flex = Flex(clock, taskrouter=self.taskrouter)
        self.pay = Pay(clock)
        self.dial = Dial(clock)
        self.speech = Speech(clock)
        self.event_streams = EventStreams(clock)
        self.monitor = Monitor(clock, events=self.event_streams)
        self.insights = Insights(clock, events=self.event_streams)
        products = [product for product in vars(self).values() if isinstance(product, Product)]
        self.transport = Transport(products, keys(settings()))
        self.api_keys.accepted = self.transport.keys

    def set_state(self, state: dict[str, Any]) -> None:
        """Set the state of products before a conversation, by the names of the products.

        `slow` (seconds) delays every response of a product, `fails` is the HTTP status of each. Raises ValueError for a
        product that this project does not use.
        """
        for name, fields in state.items():
            product, fields = self._product(name), dict(fields)
            product.fault = Fault(fields.pop("slow", 0.0), fields.pop("fails", 0))
            if fields:
                product.set_state(fields)

    async def simulate(self, customer: Any, event: dict[str, Any]) -> None:
        """Simulate an event during a conversation. `event` maps the name of a product to its event.

        Raises ValueError for a product that this project does not use.
        """
        for name, product_event in event.items():
            await self._product(name).simulate(customer, product_event)

    async def connected(self, call: Call) -> None:
        """ConversationRelay has connected a call."""
        self.flex.subscriber = call.post_form
        if call.placed:
            call.placed["status"] = "in-progress"
        else:
            self.calls.add(call.sender, call.recipient, call.sid, direction=call.direction, status="in-progress")
        if configuration := call.attribute("conversationConfiguration", ""):
            self.conversations.begin(configuration, "VOICE", call.sid, call.caller, call.called)

    async def ended(self, call: Call) -> None:
        """A call is over, and so are its recordings."""
        if record := self.calls.records.get(call.sid):
            record["status"] = "completed"
            if callback := record.pop("status_callback", None):
                detected = {"AnsweredBy": call.answered_by} if call.answered_by else {}
                await call.post_form(urlsplit(callback).path, call.form(CallStatus="completed", **detected))
        await self.recordings.end(call)

    async def queued(self, call: Call, queue: Queue) -> None:
        """A call has entered the queue of a workflow."""
        await self.taskrouter.enqueue(call, queue)

    def conversation_of(self, call: Call) -> str:
        """The id of the conversation of a call."""
        return str(self.conversations.of(call.sid)["id"])

    def _product(self, name: str) -> Product:
        products = {each: value for each, value in vars(self).items() if isinstance(value, Product) and value.setting}
        if name not in products:
            raise ValueError(f"no product of a conversation is named {name}; the products are {', '.join(products)}")
        product: Product = products[name]
        if not hasattr(settings(), product.setting):
            raise ValueError(f"this project does not use {name}: it has no setting {product.setting}")
        return product
