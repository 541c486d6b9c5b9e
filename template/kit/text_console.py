"""`agent text`: a text conversation in the terminal."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Any

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
COMMANDS = [line.split()[0] for line in HELP.splitlines()]
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
    except defaults.Problem as problem:
        terminal.problem(str(problem))
        return 1
    if refused:
        terminal.problem(f"the app tried to reach {', '.join(sorted(set(refused)))}")
    return 1 if refused or counts["failed"] else 0


async def obey(customer: Texter, terminal: Terminal, text: str) -> None:
    command, _, words = text.partition(" ")
    if not text:
        return
    if wrong := mistake(customer, command, words.strip()):
        return terminal.note(wrong)
    if command == "/human":
        if (task := customer.account.flex.task) and task["assignment_status"] == "pending":
            terminal.note("TaskRouter: accepted.")
        terminal.line("human", words, style="magenta")
        await customer.human(words)
    elif command in EVENTS:
        await customer.account.flex.update_task(EVENTS[command])
        terminal.note(f"TaskRouter: {EVENTS[command]}.")
        if command == "/done":
            await customer.wait_for_app()
            return
    elif command == "/close":
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
    else:
        await writes(customer, terminal, None if command == "/photo" else text)
    await answers(customer, terminal)


def mistake(customer: Texter, command: str, words: str) -> str:
    """Why a command cannot be obeyed; the help for /help; empty for a text, and for a command that can be."""
    if command == "/help" or not command.startswith("/"):
        return HELP * (command == "/help")
    if command not in COMMANDS:
        return f"There is no command {command}. There are:\n{HELP}"
    if words and command not in ("/human", "/tool"):
        return f"Not done: {command} stands alone, without {words!r}."
    if command == "/human" and not words:
        return "Not done: /human takes what the human writes, as in /human Hello."
    if command in ("/human", "/close") and not customer.account.conversations.records:
        return f"Not done: the conversation has not begun, so {command} has to wait for a text."
    if command in EVENTS and not customer.account.flex.task:
        return f"Not done: {command} is for a conversation in which a human was asked for."
    return ""


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
