"""The account and its Auth Token."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from twilio.base.exceptions import TwilioRestException

from kit.doctor.check import Examined, check

LOOKED_UP = "https://www.twilio.com/docs/iam/api/account"


@check(
    "ACC001",
    fix="Copy Account SID and Auth Token together from the Console's start page, of the account that has the number.",
    docs="https://www.twilio.com/docs/api/errors/20003",
    live=True,
)
async def known(examined: Examined) -> AsyncIterator[str]:
    """Twilio knows the account and its Auth Token."""
    outcome = await examined.once(account)
    if isinstance(outcome, TwilioRestException):
        yield f"Twilio refuses TWILIO_ACCOUNT_SID with TWILIO_AUTH_TOKEN ({outcome.status})."


@check("ACC002", fix="Open the Console: it says why, and what to do.", docs=LOOKED_UP, live=True, needs=("ACC001",))
async def active(examined: Examined) -> AsyncIterator[str]:
    """The account is active."""
    outcome: Any = await examined.once(account)
    if outcome.status != "active":
        yield f"The account is {outcome.status}."


async def account(examined: Examined) -> Any:
    """The account, or why Twilio does not let us in. Raises when it could not be asked."""
    try:
        return await examined.account.api.v2010.accounts(examined.settings.account_sid).fetch_async()
    except TwilioRestException as error:
        if error.status not in (401, 403, 404):
            raise
        return error
