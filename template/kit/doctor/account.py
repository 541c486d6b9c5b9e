"""The account and its Auth Token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twilio.base.exceptions import TwilioRestException

from kit.doctor.check import Context, check

ACCOUNT_DOCS = "https://www.twilio.com/docs/iam/api/account"


@check(
    "ACC001",
    hint="Copy Account SID and Auth Token together from the Console: of the number's account, and of TWILIO_REGION.",
    docs="https://www.twilio.com/docs/api/errors/20003",
    live=True,
)
async def credentials_valid(context: Context) -> AsyncIterator[str]:
    """Twilio accepts the account and its Auth Token."""
    outcome = await context.cached(account)
    if isinstance(outcome, TwilioRestException):
        yield f"Twilio refuses TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN ({outcome.status})."


@check("ACC002", hint="Open the Console, which gives the reason.", docs=ACCOUNT_DOCS, live=True, requires=("ACC001",))
async def account_active(context: Context) -> AsyncIterator[str]:
    """The account is active."""
    outcome: Any = await context.cached(account)
    if outcome.status != "active":
        yield f"The account is {outcome.status}."


async def account(context: Context) -> Any:
    """The account, or the error if Twilio rejects the credentials. Raises every other error."""
    try:
        return await context.account.api.v2010.accounts(context.settings.account_sid).fetch_async()
    except TwilioRestException as error:
        if error.status not in (401, 403, 404):
            raise
        return error
