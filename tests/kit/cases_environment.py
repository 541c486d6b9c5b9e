"""Environments that cannot work, or not for long."""

from __future__ import annotations

from kit import defaults
from tests.kit.healthy_project import HealthyProject, fails, passes

TUNNEL = "https://4f3a.ngrok-free.app"


@fails("ENV001")
def nothing_set(project: HealthyProject) -> None:
    project.patch.setenv("PUBLIC_URL", "agent.example")
    project.patch.delenv("TWILIO_ACCOUNT_SID")


@fails("ENV002")
def a_tunnel_of_an_enterprise(project: HealthyProject) -> None:
    project.answer(profile="enterprise")
    project.patch.setenv("PUBLIC_URL", TUNNEL)


@fails("ENV002", "DBM001", "HIP001")  # a SQLite file of the memory is not shared either; a store needs a BAA
def a_tunnel_to_several_workers(project: HealthyProject) -> None:
    project.patch.setattr("app.registry.STORE.shared", True)
    project.patch.setenv("PUBLIC_URL", "https://two-words.trycloudflare.com/agent")


@passes("ENV002")
def a_tunnel_during_development(project: HealthyProject) -> None:
    project.answer(profile="startup")
    project.patch.setattr("app.registry.STORE.shared", False)
    project.patch.setenv("PUBLIC_URL", TUNNEL)


@fails("ENV003")
def an_address_of_the_office(project: HealthyProject) -> None:
    project.patch.setenv("PUBLIC_URL", "https://192.168.1.5:8000")


@fails("ENV003")
def an_address_of_this_machine(project: HealthyProject) -> None:
    project.patch.setenv("PUBLIC_URL", "https://localhost")


@passes("ENV003")
def a_public_address(project: HealthyProject) -> None:
    project.patch.setenv("PUBLIC_URL", "https://8.8.8.8")


@fails("ENV004")
def the_address_of_the_webhook(project: HealthyProject) -> None:
    project.patch.setenv("PUBLIC_URL", "https://agent.example/twiml")


@fails("ENV004")
def a_port_that_is_not_signed(project: HealthyProject) -> None:
    project.patch.setenv("PUBLIC_URL", "https://agent.example:443")


@passes("ENV004")
def a_path_of_a_proxy(project: HealthyProject) -> None:
    project.patch.setenv("PUBLIC_URL", "https://agent.example:8443/agents/one")


@fails("ENV005")
def the_secret_of_the_key(project: HealthyProject) -> None:
    project.patch.setenv("TWILIO_API_SECRET", defaults.AUTH_TOKEN)


@fails("ENV005")
def the_name_of_a_key(project: HealthyProject) -> None:
    project.patch.setenv("TWILIO_AUTH_TOKEN", "SK" + "1" * 32)


@fails("ENV006")
def a_shell_that_overrides_it(project: HealthyProject) -> None:
    (project.root / ".env").write_text("PORT=9000\n")
    project.patch.setenv("PORT", "8000")


@passes("ENV006")
def a_shell_that_agrees(project: HealthyProject) -> None:
    (project.root / ".env").write_text("PORT=8000\nLOG_LEVEL=\n")
    project.patch.setenv("PORT", "8000")


@fails("ENV007")
def a_misspelt_name(project: HealthyProject) -> None:
    (project.root / ".env").write_text(f"TWILIO_ACOUNT_SID={defaults.ACCOUNT_SID}\n")


@passes("ENV007")
def names_of_your_own(project: HealthyProject) -> None:
    (project.root / ".env").write_text("CRM_TOKEN=x\nAGENT_OF_CHANGE=x\nAGENT_DRAIN=600\n")


@fails("ENV008")
def secrets_in_git(project: HealthyProject) -> None:
    (project.root / ".gitignore").write_text(".venv/\n")


@passes("ENV008")
def another_way_to_ignore_it(project: HealthyProject) -> None:
    (project.root / ".gitignore").write_text("/.env\n")


@fails("ENV009")
def the_edge_of_another_region(project: HealthyProject) -> None:
    project.move("au1")
    project.patch.setenv("TWILIO_EDGE", "ashburn")


@passes("ENV009")
def a_region_alone(project: HealthyProject) -> None:
    project.move("au1")


@passes("ENV009")
def a_region_and_its_edge(project: HealthyProject) -> None:
    project.move("au1")
    project.patch.setenv("TWILIO_EDGE", "sydney")


@passes("ENV009")
def a_private_connection(project: HealthyProject) -> None:
    project.move("au1")
    project.patch.setenv("TWILIO_EDGE", "sydney-ix")


@fails("ENV010")
def no_time_to_finish(project: HealthyProject) -> None:
    project.patch.setenv("AGENT_DRAIN", "1")
