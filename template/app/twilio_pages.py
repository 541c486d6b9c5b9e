"""Lists of Twilio's helper library, page by page."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Any

from twilio.base.exceptions import TwilioException, TwilioRestException
from twilio.http.response import Response


async def pages(resource: Any, **filters: Any) -> list[Any]:
    """All records of a list resource of the older APIs. Raises TwilioRestException.

    The library's `list_async` requests the second page synchronously, which fails.
    """
    page = await fetched(resource.page_async(**filters))
    records = list(page)
    while page.next_page_url:
        page = await fetched(page.next_page_async())
        records += page
    return records


async def fetched(page: Awaitable[Any]) -> Any:
    """The page of a request. Raises TwilioRestException."""
    try:
        return await page
    except TwilioException as error:
        match error.args:  # of a page, the library raises the response without its status
            case (_, Response(status_code=status)):
                raise TwilioRestException(status, "", "Unable to fetch a page") from None
        raise
