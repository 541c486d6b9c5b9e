"""`agent doctor`: every check finds what it is for and nothing else, and a project that is well has no finding."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest
from click.testing import Result
from dotenv import dotenv_values
from typer.testing import CliRunner

from app import config
from kit import cli, defaults
from kit.doctor.check import Check, Examined, catalogue, examine
from kit.plugin import silence_logs
from kit.registry import CHECKS
from tests.kit.account import Account
from tests.kit.healthy_project import CATALOGUE, SICK, WELL, Case, Patient, like

SUBJECTS = [import_module(f"tests.sick_{name.rpartition('.')[2]}") for name in CHECKS]
SICKNESSES = [(code, case, codes) for code, cases in SICK.items() for case, codes in cases]


@pytest.fixture
def patient(tmp_path: Path, environment: pytest.MonkeyPatch) -> Iterator[Patient]:
    """A project and an account that are well."""
    patient = Patient(tmp_path, environment)
    for subject in SUBJECTS:
        if hasattr(subject, "healthy"):
            subject.healthy(patient)
    yield patient
    silence_logs()


def said(report: Any) -> str:
    return "\n".join(f"{finding.code} {finding.symptom}" for finding in report.findings)


async def test_a_project_that_is_well_has_no_finding(patient: Patient) -> None:
    report = await patient.diagnose()
    assert said(report) == ""
    assert report.skipped == []
    assert report.made == [check.code for check in CATALOGUE]


@pytest.mark.parametrize(
    ("code", "case", "codes"), SICKNESSES, ids=[f"{code}-{case.__name__}" for code, case, _ in SICKNESSES]
)
async def test_what_is_wrong_is_found_and_nothing_else(
    patient: Patient, code: str, case: Case, codes: set[str]
) -> None:
    case(patient)
    report = await patient.diagnose(like(code))
    found = {finding.code for finding in report.findings}
    assert code in found and found <= codes, said(report)
    assert "could not be checked" not in said(report)
    for told in (defaults.AUTH_TOKEN, defaults.CALLED, "a-key-of-nobody", "an-api-secret-of-nobody"):
        assert told not in str(report)


@pytest.mark.parametrize(("code", "case"), [(code, case) for code, cases in WELL.items() for case in cases])
async def test_what_looks_like_it_and_is_fine_is_not_found(patient: Patient, code: str, case: Case) -> None:
    case(patient)
    report = await patient.diagnose(like(code))
    assert code in report.made
    assert code not in {finding.code for finding in report.findings}, said(report)


def test_every_code_has_a_case_that_makes_it_fail() -> None:
    codes = [check.code for check in CATALOGUE]
    assert len(codes) == len(set(codes))
    assert set(SICK) == set(codes)
    assert set(WELL) <= set(codes)


@pytest.mark.parametrize("check", CATALOGUE, ids=lambda check: check.code)
def test_every_check_says_what_it_is_and_what_to_do(check: Check) -> None:
    assert re.fullmatch(r"[A-Z]{3}\d{3}", check.code)
    assert re.fullmatch(r"\S.{10,118}\.", check.title)
    assert re.fullmatch(r".{10,118}[.…]?", check.fix)
    assert check.docs.startswith("https://")
    assert set(check.needs) <= {each.code for each in CATALOGUE}


# --- what goes wrong with the doctor itself -----------------------------------------------------------------------


def broken(examined: Examined) -> Iterator[str]:
    raise RuntimeError("the secret of somebody")
    yield ""


async def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(patient: Patient) -> None:
    wrong = Check("XXX001", "It works.", "Mend it.", "https://example.com", broken)
    report = await examine(Examined(patient.root), [wrong, CATALOGUE[0]])
    assert report.made == ["XXX001", CATALOGUE[0].code]
    (finding,) = report.findings
    assert finding.code == "XXX001" and "RuntimeError" in finding.symptom and "secret" not in finding.symptom


async def test_what_makes_others_pointless_is_found_alone(patient: Patient) -> None:
    first = Check("XXX001", "It works.", "Mend it.", "https://example.com", lambda _: iter(["No."]))
    second = Check("XXX002", "It works.", "Mend it.", "https://example.com", lambda _: iter(["No."]), needs=("XXX001",))
    third = Check("XXX003", "It works.", "Mend it.", "https://example.com", lambda _: iter(["No."]), needs=("XXX002",))
    report = await examine(Examined(patient.root), [first, second, third])
    assert [finding.code for finding in report.findings] == ["XXX001"]
    assert report.skipped == ["XXX002", "XXX003"]


async def test_a_module_that_cannot_be_imported_is_a_finding(patient: Patient) -> None:
    report = await examine(Examined(patient.root), catalogue(["kit.doctor.nonsense"]))
    assert "kit.doctor.nonsense" in said(report)


async def test_twilio_that_does_not_answer_is_a_finding_and_no_traceback(patient: Patient) -> None:
    patient.simulated.numbers.fault.status = 500
    assert "ACC001 This could not be checked (TwilioRestException 500)" in said(await patient.diagnose())


async def test_nothing_is_changed(patient: Patient) -> None:
    await patient.diagnose()
    products = patient.simulated.transport.products.values()
    requests = [request for each in products for product in each for request in product.requests]
    assert requests and {request.method for request in requests} == {"GET"}


async def test_what_agent_setup_has_put_in_order_is_well(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    patient = Patient(tmp_path, environment)
    account = Account(patient.root)
    if "custom" in getattr(config, "OPERATORS", []):
        account.simulated.intelligence_configurations.operators["own"] = {
            "id": "own",
            "displayName": "Own",
            "version": 1,
            "author": "SELF",
        }
    await account.apply()
    for name, value in dotenv_values(account.env).items():
        patient.patch.setenv(name, value or "")
    patient.simulated = account.simulated
    report = await patient.diagnose()
    assert {finding.code for finding in report.findings} <= {"ESC007", "DBM001"}, said(report)  # it hires nobody


# --- a real server ------------------------------------------------------------------------------------------------


class Tunnel(httpx2.AsyncHTTPTransport):
    """The public address leads to a server of this machine."""

    def __init__(self, address: str) -> None:
        super().__init__()
        self.address = address

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        host, _, port = self.address.partition(":")
        request.url = request.url.copy_with(scheme="http", host=host, port=int(port))
        return await super().handle_async_request(request)


async def test_a_server_is_examined_over_the_network(patient: Patient, address: str) -> None:
    checks = [check for check in CATALOGUE if check.code[:3] in ("PRJ", "ENV", "END", "WSS")]
    report = await examine(Examined(patient.root, public=Tunnel(address)), checks)
    assert said(report) == "" and report.skipped == []


async def test_a_server_with_another_token_is_found_over_the_network(patient: Patient, address: str) -> None:
    patient.patch.setenv("TWILIO_AUTH_TOKEN", "the-token-of-before")
    checks = [check for check in CATALOGUE if check.code[:3] in ("PRJ", "ENV", "END", "WSS")]
    report = await examine(Examined(patient.root, public=Tunnel(address)), checks)
    assert {finding.code for finding in report.findings} == {"END006", "WSS002"} & set(report.made)


async def test_a_server_that_is_gone_is_found_over_the_network(patient: Patient) -> None:
    checks = [check for check in CATALOGUE if check.code[:3] in ("PRJ", "ENV", "END", "WSS")]
    report = await examine(Examined(patient.root, public=Tunnel("127.0.0.1:1")), checks)
    assert [finding.code for finding in report.findings] == ["END001"]


# --- the command ----------------------------------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["doctor", *arguments])


def test_a_healthy_project_is_exit_code_0(patient: Patient) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert "nothing wrong" in result.output and "agent doctor --live" in result.output


def test_a_finding_is_exit_code_1_with_code_symptom_fix_and_address(patient: Patient) -> None:
    patient.patch.delenv("TWILIO_AUTH_TOKEN")
    result = run()
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0].startswith("ENV001  TWILIO_AUTH_TOKEN is missing. ")
    assert ".env.example" in lines[1] and lines[2].strip().startswith("https://")
    assert "Not checked because of that: ENV002" in result.output


def test_findings_come_as_json(patient: Patient) -> None:
    patient.patch.delenv("TWILIO_AUTH_TOKEN")
    result = run("--json")
    told = json.loads(result.stdout)
    assert result.exit_code == 1
    assert set(told["findings"][0]) == {"code", "symptom", "fix", "docs"}
    assert told["findings"][0]["code"] == "ENV001" and "ENV002" in told["skipped"]


def test_every_code_can_be_explained() -> None:
    for check in CATALOGUE:
        result = run("explain", check.code.lower())
        assert result.exit_code == 0
        assert all(part in result.output for part in (check.code, check.title, check.fix, check.docs))


@pytest.mark.parametrize("question", [["explain"], ["explain", "XYZ999"], ["nonsense"], ["explain", "ENV001", "more"]])
def test_a_question_that_makes_no_sense_is_exit_code_2(question: list[str]) -> None:
    result = run(*question)
    assert result.exit_code == 2
    assert "ENV001" in result.stderr


def test_explaining_comes_as_json() -> None:
    assert json.loads(run("explain", "ENV001", "--json").stdout)["code"] == "ENV001"
