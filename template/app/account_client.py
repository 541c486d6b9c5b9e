"""A client of Twilio's REST APIs: with an API key if the project has one, else with the Auth Token."""

from __future__ import annotations

from twilio.rest import Client

from app.capability import Services
from app.twilio_http import Http


def account_client(services: Services, timeout: float) -> Client:
    """For the library's `*_async` methods. `timeout` in seconds, for each request."""
    settings = services.settings
    key, secret = (getattr(settings, name, None) for name in ("api_key", "api_secret"))
    user, password = (key, secret) if key and secret else (settings.account_sid, settings.auth_token)
    http = Http(services.transport, timeout, settings)
    return Client(user, password.get_secret_value(), settings.account_sid, http_client=http)
