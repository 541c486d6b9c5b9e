"""Environments that cannot work, or not for long."""

from __future__ import annotations

from kit import defaults
from tests.kit.healthy_project import Patient, sick, well

TUNNEL = "https://4f3a.ngrok-free.app"


@sick("ENV001")
def nothing_set(patient: Patient) -> None:
    patient.patch.setenv("PUBLIC_URL", "agent.example")
    patient.patch.delenv("TWILIO_ACCOUNT_SID")


@sick("ENV002")
def a_tunnel_of_an_enterprise(patient: Patient) -> None:
    patient.answer(customer="enterprise")
    patient.patch.setenv("PUBLIC_URL", TUNNEL)


@sick("ENV002")
def a_tunnel_to_several_workers(patient: Patient) -> None:
    patient.patch.setattr("kit.doctor.environment.SEVERAL_WORKERS", True)
    patient.patch.setenv("PUBLIC_URL", "https://two-words.trycloudflare.com/agent")


@well("ENV002")
def a_tunnel_while_one_develops(patient: Patient) -> None:
    patient.patch.setattr("kit.doctor.environment.SEVERAL_WORKERS", False)
    patient.patch.setenv("PUBLIC_URL", TUNNEL)


@sick("ENV003")
def an_address_of_the_office(patient: Patient) -> None:
    patient.patch.setenv("PUBLIC_URL", "https://192.168.1.5:8000")


@sick("ENV003")
def an_address_of_this_machine(patient: Patient) -> None:
    patient.patch.setenv("PUBLIC_URL", "https://localhost")


@well("ENV003")
def a_public_address(patient: Patient) -> None:
    patient.patch.setenv("PUBLIC_URL", "https://8.8.8.8")


@sick("ENV004")
def the_address_of_the_webhook(patient: Patient) -> None:
    patient.patch.setenv("PUBLIC_URL", "https://agent.example/twiml")


@sick("ENV004")
def a_port_that_is_not_signed(patient: Patient) -> None:
    patient.patch.setenv("PUBLIC_URL", "https://agent.example:443")


@well("ENV004")
def a_path_of_a_proxy(patient: Patient) -> None:
    patient.patch.setenv("PUBLIC_URL", "https://agent.example:8443/agents/one")


@sick("ENV005")
def the_secret_of_the_key(patient: Patient) -> None:
    patient.patch.setenv("TWILIO_API_SECRET", defaults.AUTH_TOKEN)


@sick("ENV005")
def the_name_of_a_key(patient: Patient) -> None:
    patient.patch.setenv("TWILIO_AUTH_TOKEN", "SK" + "1" * 32)


@sick("ENV006")
def a_shell_that_knows_better(patient: Patient) -> None:
    (patient.root / ".env").write_text("PORT=9000\n")
    patient.patch.setenv("PORT", "8000")


@well("ENV006")
def a_shell_that_agrees(patient: Patient) -> None:
    (patient.root / ".env").write_text("PORT=8000\nLOG_LEVEL=\n")
    patient.patch.setenv("PORT", "8000")


@sick("ENV007")
def a_name_that_nobody_reads(patient: Patient) -> None:
    (patient.root / ".env").write_text(f"TWILIO_ACOUNT_SID={defaults.ACCOUNT_SID}\n")


@well("ENV007")
def names_of_your_own(patient: Patient) -> None:
    (patient.root / ".env").write_text("CRM_TOKEN=x\nAGENT_OF_CHANGE=x\nAGENT_DRAIN=600\n")


@sick("ENV008")
def secrets_in_git(patient: Patient) -> None:
    (patient.root / ".gitignore").write_text(".venv/\n")


@well("ENV008")
def another_way_to_ignore_it(patient: Patient) -> None:
    (patient.root / ".gitignore").write_text("/.env\n")


@sick("ENV009")
def another_region(patient: Patient) -> None:
    patient.patch.setenv("TWILIO_REGION", "ie1")


@well("ENV009")
def the_same_region(patient: Patient) -> None:
    patient.patch.setenv("TWILIO_REGION", "us1")


@sick("ENV010")
def no_time_to_finish(patient: Patient) -> None:
    patient.patch.setenv("AGENT_DRAIN", "1")
