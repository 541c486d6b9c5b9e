"""Conversation Intelligence of the simulated account: webhook, REST API, events of a scenario."""

from __future__ import annotations

from typing import Any

import pytest

from app.intelligence.twilio.payload import TWILIO_OPERATORS
from app.intelligence.twilio.tests.test_intelligence import ID, body_of, failed_file, party, reactions, simulate, talk
from app.twilio_api import twilio_client
from kit import defaults
from kit.simulated_twilio import intelligence as simulated

__all__ = ["failed_file", "reactions", "party", "talk"]  # fixtures


async def test_tac_can_parse_the_simulated_webhook(party: Any) -> None:
    models = pytest.importorskip("tac.models.intelligence")
    body = body_of(party, sentiment="negative", summary="x", script_adherence={"failed": ["a"]}, next_best_response="y")
    event = models.OperatorResultEvent.model_validate(body)
    assert event.conversation_id.startswith("conv_conversation_") and len(event.operator_results) == 4
    assert event.operator_results[0].reference_ids == [party.reference]


def test_the_simulation_has_the_same_operators() -> None:
    assert {id: kind for kind, (_, id, _) in simulated.TWILIO_OPERATORS.items()} == TWILIO_OPERATORS


async def test_the_simulated_account_answers_the_helper_library(party: Any) -> None:
    body_of(party, sentiment="negative")
    body_of(party, sentiment="positive", conversation="other")
    api = twilio_client(defaults.settings(), party.account.transport).intelligence.v3  # type: ignore[arg-type]
    names = {each.id: each.display_name for each in await api.operators.list_async()}
    assert names[ID["script_adherence"]] == "Script Adherence"
    lists = type(api.configurations)
    request = lists.CreateConfigurationRequest(
        {
            "displayName": "agent",
            "rules": [{"operators": [{"id": ID["sentiment"]}], "triggers": [{"on": "COMMUNICATION"}]}],
        }
    )
    made = await api.configurations.create_async(request)
    assert [each.id for each in await api.configurations.list_async()] == [made.id]
    assert (await api.configurations(made.id).fetch_async()).display_name == "agent"
    assert await api.configurations(made.id).delete_async()
    assert await api.configurations.list_async() == []
    conversation = party.conversation
    results = await api.operator_results.list_async(conversation_id=conversation)
    assert {each.conversation_id for each in results} > {conversation}, "the filter leaks, as Twilio's does"
    assert results[0].output_format == "CLASSIFICATION" and results[0].result == {"label": "negative"}


async def test_an_unknown_or_unmet_event_is_refused(party: Any) -> None:
    with pytest.raises(ValueError, match="intelligence has no sentimnt"):
        await simulate(party, sentimnt="negative")
    with pytest.raises(ValueError, match="expected"):
        await simulate(party, sentiment="negative", state={"flags": ["x"]})
