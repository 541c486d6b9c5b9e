"""One prompt through the stock connector of `twilio-agent-connect-microsoft`, offline. Prints what it answers.

`make newest` runs it with the newest releases. When the connector answers, look at it again.
"""

# mypy: ignore-errors

from __future__ import annotations

import asyncio
import os
import warnings
from typing import Any

os.environ["TAC_ANALYTICS_DISABLED"] = "true"
warnings.simplefilter("ignore")

import httpx  # noqa: E402
from agent_framework import Agent, BaseChatClient, ChatResponse, ChatResponseUpdate, Content, Message  # noqa: E402
from tac import TAC, TACConfig  # noqa: E402
from tac.context.base import BaseAPIClient  # noqa: E402
from tac.models.session import ConversationSession  # noqa: E402
from tac_microsoft import AgentFrameworkConnector  # noqa: E402

CONFIGURATION = {
    "id": "conv_configuration_" + "0" * 26,
    "displayName": "simulated",
    "description": "",
    "conversationGroupingType": "GROUP_BY_PROFILE",
    "memoryStoreId": "mem_store_" + "0" * 26,
    "channelSettings": None,
    "statusCallbacks": [],
    "intelligenceConfigurationIds": [],
    "memoryExtractionEnabled": False,
}


class Played(BaseChatClient[Any]):
    def _inner_get_response(self, *, stream: bool, **kwargs: Any) -> Any:
        async def updates() -> Any:
            yield ChatResponseUpdate(role="assistant", contents=[Content.from_text("Yes.")])

        async def response() -> ChatResponse[Any]:
            return ChatResponse(messages=[Message("assistant", [Content.from_text("Yes.")])])

        return self._build_response_stream(updates()) if stream else response()


async def main() -> str:
    transport = httpx.MockTransport(lambda _: httpx.Response(200, json=CONFIGURATION))
    BaseAPIClient._get_sync_client = lambda _: httpx.Client(transport=transport)
    BaseAPIClient._get_client = lambda _: httpx.AsyncClient(transport=transport)
    config = TACConfig(
        account_sid="AC" + "0" * 32,
        auth_token="simulated",
        api_key="SK" + "0" * 32,
        api_secret="simulated",
        phone_number="+15005550001",
        voice_public_domain="agent.example",
        conversation_configuration_id=CONFIGURATION["id"],
        log_level="ERROR",
    )
    connector = AgentFrameworkConnector(tac=TAC(config), create_agent=lambda _: Agent(Played(), "Be brief."))
    said: list[str] = []

    async def send(_: str, answer: Any, **kwargs: Any) -> None:
        said.extend([answer] if isinstance(answer, str) else [word async for word in answer])

    connector.voice_channel.send_response = send
    session = ConversationSession(
        conversation_id="conv_conversation_" + "0" * 26, channel=connector.voice_channel.get_channel_name()
    )
    await connector._handle_message("Hello", session, None)
    return "".join(said)


print(asyncio.run(main()))
