"""`agent text`: a text conversation in the terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

from app.environment import SettingsError
from app.main import create_app
from kit import defaults, tool_command, tool_failures
from kit.network_guard import offline
from kit.simulated_twilio.account import SimulatedAccount
from kit.terminal import Terminal, typed_lines
from kit.texter import Texter, texter

HELP = f"""\
/photo         send a picture without a word
/human Hello   a human agent writes, and accepts the conversation first if it waits for one
/no_worker     a human was asked for, and no worker accepts
/done          a human was asked for, came and has finished
/close         Twilio closes the conversation after a time without messages
{tool_command.HELP}
/quit          put the phone away, like Ctrl-D"""
EVENTS = {"/no_worker": "no_worker", "/done": "completed"}  # the next event of the task


async def talk(models: Sequence[Any], name: str, *, local: bool) -> int:
    """A conversation from the keyboard or a pipe. Returns the exit code: 1 if the agent did not answer."""
    terminal, refused = Terminal(), list[str]()
    terminal.note(f"Answering: {name}. The customer, the carrier and Twilio are simulated; the app is yours.")
    terminal.note("Type what the customer texts; /help shows what else can happen.")
    try:
        async with AsyncExitStack() as stack:
            refused = stack.enter_context(offline()) if local else []
            account, settings = SimulatedAccount(), defaults.settings()
            app = create_app(settings, models, transport=account.transport)
            stack.push_async_callback(tool_command.answer_by_script(app, settings).close)
            stack.enter_context(tool_failures.shown(terminal.problem, app.state.brain.tools))
            if local:
                terminal.note(tool_command.hint(app.state.brain.tools))
            customer = await stack.enter_async_context(texter(app, account))
            async with typed_lines("customer  ", "/quit") as lines:
                async for text in lines:
                    if text == "/quit":
                        break
                    await obey(customer, terminal, text)
            counts = customer.messaging.counts
            terminal.note(f"{counts['received']} received, {counts['answered']} answered, {counts['failed']} failed.")
    except (defaults.Problem, SettingsError) as problem:
        terminal.problem(str(problem))
        return 1
    if refused:
        terminal.problem(f"the app tried to reach {', '.join(sorted(set(refused)))}")
    return 1 if refused or counts["failed"] else 0


async def obey(customer: Texter, terminal: Terminal, text: str) -> None:
    command, _, words = text.partition(" ")
    begun = bool(customer.account.conversations.records)
    if not text:
        return
    if command == "/human" and words and begun:
        if (task := customer.account.flex.task) and task["assignment_status"] == "pending":
            terminal.note("TaskRouter: accepted.")
        terminal.line("human", words, style="magenta")
        await customer.human(words)
    elif command in EVENTS and customer.account.flex.task:
        await customer.account.flex.update_task(EVENTS[command])
        terminal.note(f"TaskRouter: {EVENTS[command]}.")
        if command == "/done":
            await customer.wait_for_app()
            return
    elif command == "/close" and begun:
        await customer.closes()
        await customer.wait_for_app()
        terminal.note("Twilio has closed the conversation. The next message begins another.")
        return
    elif command == "/tool":
        session = await customer.session()
        session.connection.spoken = False
        try:
            text = await tool_command.user_text(customer.app, session, words.strip())
        except ValueError as error:
            return terminal.note(str(error))
        await writes(customer, terminal, text)
    elif command.startswith("/") and command != "/photo":
        return terminal.note(HELP)
    else:
        await writes(customer, terminal, None if command == "/photo" else text)
    await answers(customer, terminal)


async def writes(customer: Texter, terminal: Terminal, text: str | None) -> None:
    """Send a text, or a picture (None)."""
    terminal.line("customer", "[a picture]" if text is None else text, style="cyan")
    await customer.posts(customer.writes(text))


async def answers(customer: Texter, terminal: Terminal) -> None:
    """Print the replies, and a transfer to a human."""
    began, tasks = time.monotonic(), len(customer.account.flex.interactions)
    await customer.wait_for_app()
    took = f"{1000 * (time.monotonic() - began):.0f} ms"
    for text in (unread := customer.unread(whole=True)):
        terminal.agent(text, took)
    for made in list(customer.account.flex.interactions.values())[tasks:]:
        task = json.loads(made["routing"]["properties"]["attributes"])
        terminal.note(f"-> Flex ({task['channel']}): {task['reason_code']}. /human Hello accepts, /no_worker does not.")
    if not unread:
        terminal.note("The agent does not answer.")
