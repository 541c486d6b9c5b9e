"""DATABASE_URL as hosting providers write it."""

from __future__ import annotations

import pytest

from app.database import parse_url


@pytest.mark.parametrize(
    ("given", "used"),
    [
        ("sqlite:///./agent.db", "sqlite+aiosqlite:///./agent.db"),
        ("sqlite+aiosqlite:///./agent.db", "sqlite+aiosqlite:///./agent.db"),
        ("postgres://a:b@host/name", "postgresql+asyncpg://a:b@host/name"),
        (
            "postgresql://a:b@host:1/name?sslmode=require&channel_binding=require",
            "postgresql+asyncpg://a:b@host:1/name?ssl=require",
        ),
    ],
)
def test_the_urls_of_hosting_providers_are_accepted(given: str, used: str) -> None:
    assert parse_url(given).render_as_string(hide_password=False) == used
