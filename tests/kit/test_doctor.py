"""`agent doctor`: every check finds its failing cases, and a healthy project has no finding."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml
from click.testing import Result
from dotenv import dotenv_values
from typer.testing import CliRunner

from app import config
from app.registry import ProjectSettings
from kit import cli, defaults
from kit.conventions import check_modules, drivers
from kit.doctor.check import Check, Context, examine, load_checks
from kit.doctor.command import CORE
from kit.doctor.project import IN_CODE
from kit.plugin import silence_logs
from tests.kit.account import Account
from tests.kit.cases_update import everything_is_committed
from tests.kit.healthy_project import CHECKS, FAILING, PASSING, PROJECT, Case, HealthyProject, like


def cases_of(checks: str) -> str:
    """The module with the cases of a module of checks: `app.memory.twilio.checks`, or `kit.doctor.model`."""
    folder, _, subject = checks.removeprefix("app.").rpartition(".")
    return f"tests.kit.cases_{subject}" if folder == "kit.doctor" else f"tests.kit.{folder}.cases"


SUBJECTS = [import_module(cases_of(name)) for name in [*CORE, *check_modules()]]
FAILURES = [(code, case, codes) for code, cases in FAILING.items() for case, codes in cases]


@pytest.fixture
def project(tmp_path: Path, environment: pytest.MonkeyPatch) -> Iterator[HealthyProject]:
    """A healthy project and account."""
    project = HealthyProject(tmp_path, environment)
    for subject in SUBJECTS:
        if hasattr(subject, "healthy"):
            subject.healthy(project)
    yield project
    silence_logs()


def messages_of(report: Any) -> str:
    return "\n".join(f"{finding.code} {finding.message}" for finding in report.findings)


async def test_a_healthy_project_has_no_finding(project: HealthyProject) -> None:
    report = await project.diagnose()
    assert messages_of(report) == ""
    assert report.skipped == []
    assert report.checked == [check.code for check in CHECKS]


@pytest.mark.parametrize(
    ("code", "case", "codes"), FAILURES, ids=[f"{code}-{case.__name__}" for code, case, _ in FAILURES]
)
async def test_a_failing_case_is_found_and_no_other_check_fails(
    project: HealthyProject, code: str, case: Case, codes: set[str]
) -> None:
    case(project)
    report = await project.diagnose(like(code))
    found = {finding.code for finding in report.findings}
    assert code in report.failed and found <= codes, messages_of(report)
    assert "could not be checked" not in messages_of(report)
    for secret in (defaults.AUTH_TOKEN, defaults.CALLED, "a-key-for-tests", "example-api-secret"):
        assert secret not in str(report)


@pytest.mark.parametrize(("code", "case"), [(code, case) for code, cases in PASSING.items() for case in cases])
async def test_a_passing_case_is_not_found(project: HealthyProject, code: str, case: Case) -> None:
    case(project)
    report = await project.diagnose(like(code))
    assert code in report.checked
    assert code not in {finding.code for finding in report.findings}, messages_of(report)


def test_every_code_has_a_case_that_makes_it_fail() -> None:
    codes = [check.code for check in CHECKS]
    assert len(codes) == len(set(codes))
    assert set(FAILING) == set(codes)
    assert set(PASSING) <= set(codes)


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.code)
def test_every_check_has_code_title_hint_and_docs(check: Check) -> None:
    assert re.fullmatch(r"[A-Z]{3}\d{3}", check.code)
    assert re.fullmatch(r"\S.{10,118}\.", check.title)
    assert re.fullmatch(r".{10,118}[.…]?", check.hint)
    assert check.docs.startswith("https://")
    assert set(check.requires) <= {each.code for each in CHECKS}


# --- errors of the doctor itself ----------------------------------------------------------------------------------


def broken(context: Context) -> Iterator[str]:
    raise RuntimeError("a secret")
    yield ""


async def test_a_check_that_breaks_is_a_finding_and_the_others_go_on(project: HealthyProject) -> None:
    wrong = Check("XXX001", "It works.", "Mend it.", "https://example.com", broken)
    report = await examine(Context(project.root), [wrong, CHECKS[0]])
    assert report.checked == ["XXX001", CHECKS[0].code]
    (finding,) = report.findings
    assert finding.code == "XXX001" and "RuntimeError" in finding.message and "secret" not in finding.message


async def test_checks_that_require_a_failed_one_are_skipped(project: HealthyProject) -> None:
    first = Check("XXX001", "It works.", "Mend it.", "https://example.com", lambda _: iter(["No."]))
    second = Check(
        "XXX002", "It works.", "Mend it.", "https://example.com", lambda _: iter(["No."]), requires=("XXX001",)
    )
    third = Check(
        "XXX003", "It works.", "Mend it.", "https://example.com", lambda _: iter(["No."]), requires=("XXX002",)
    )
    report = await examine(Context(project.root), [first, second, third])
    assert [finding.code for finding in report.findings] == ["XXX001"]
    assert report.skipped == ["XXX002", "XXX003"]


async def test_a_module_that_cannot_be_imported_is_a_finding(project: HealthyProject) -> None:
    report = await examine(Context(project.root), load_checks(["kit.doctor.nonsense"]))
    assert "kit.doctor.nonsense" in messages_of(report)


async def test_an_error_of_twilio_is_a_finding_without_a_traceback(project: HealthyProject) -> None:
    project.simulated.numbers.fault.status = 500
    assert "ACC001 This could not be checked (TwilioRestException 500)" in messages_of(await project.diagnose())


async def test_nothing_is_changed(project: HealthyProject) -> None:
    await project.diagnose()
    products = project.simulated.transport.products.values()
    requests = [request for each in products for product in each for request in product.requests]
    assert requests and {request.method for request in requests} == {"GET"}


async def test_an_account_after_agent_setup_has_no_finding(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    project = HealthyProject(tmp_path, environment)
    account = Account(project.root)
    if "custom" in getattr(config, "OPERATORS", []):
        account.simulated.intelligence_configurations.operators["own"] = {
            "id": "own",
            "displayName": "Own",
            "version": 1,
            "author": "SELF",
        }
    await account.apply()
    for name, value in dotenv_values(account.env).items():
        project.patch.setenv(name, value or "")
    project.simulated = account.simulated
    report = await project.diagnose()
    found = {finding.code for finding in report.findings}
    # No workers, no collector; scripts, names of contracts and legal sentences are the owner's to write.
    owners = "DBM001 DIS001 DIS002 ESC007 EVA001 FDC001 HIP001 OBS001 OUT001 REC001 TCP001"
    assert found <= set(owners.split()), messages_of(report)


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


async def test_a_server_is_examined_over_the_network(project: HealthyProject, address: str) -> None:
    checks = [check for check in CHECKS if check.code[:3] in ("PRJ", "ENV", "END", "WSS")]
    report = await examine(Context(project.root, public=Tunnel(address)), checks)
    assert messages_of(report) == "" and report.skipped == []


async def test_a_server_with_another_token_is_found_over_the_network(project: HealthyProject, address: str) -> None:
    project.patch.setenv("TWILIO_AUTH_TOKEN", "the-token-of-before")
    checks = [check for check in CHECKS if check.code[:3] in ("PRJ", "ENV", "END", "WSS")]
    report = await examine(Context(project.root, public=Tunnel(address)), checks)
    assert {finding.code for finding in report.findings} == {"END006", "WSS002"} & set(report.checked)


async def test_a_server_that_is_gone_is_found_over_the_network(project: HealthyProject) -> None:
    checks = [check for check in CHECKS if check.code[:3] in ("PRJ", "ENV", "END", "WSS")]
    report = await examine(Context(project.root, public=Tunnel("127.0.0.1:1")), checks)
    assert [finding.code for finding in report.findings] == ["END001"]


# --- the command ----------------------------------------------------------------------------------------------------


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli.app, ["doctor", *arguments])


def test_a_healthy_project_is_exit_code_0(project: HealthyProject) -> None:
    result = run()
    assert result.exit_code == 0, result.output
    assert "nothing wrong" in result.output and "agent doctor --live" in result.output


def test_a_finding_is_exit_code_1_with_code_symptom_fix_and_address(project: HealthyProject) -> None:
    project.patch.setenv("PUBLIC_URL", "agent.example")
    result = run()
    assert result.exit_code == 1
    lines = result.output.splitlines()
    assert lines[0].startswith("ENV001  PUBLIC_URL is 'agent.example'. ")
    assert ".env.example" in lines[1] and lines[2].strip().startswith("https://")
    assert "Not checked because of that: ENV002" in result.output and "not set up yet" not in result.output


def test_what_is_not_set_up_yet_is_apart_and_exit_code_3(project: HealthyProject) -> None:
    for name in ("TWILIO_AUTH_TOKEN", "TWILIO_ACCOUNT_SID"):
        project.patch.delenv(name)
    result = run()
    lines = result.output.splitlines()
    assert result.exit_code == 3 and lines[0] == "Not set up yet:"
    assert [line[:32] for line in lines[1:3]] == [
        "ENV001  TWILIO_ACCOUNT_SID is mi",
        "ENV001  TWILIO_AUTH_TOKEN is mis",
    ]
    assert ".env.example" in lines[3] and "https://" in lines[3]  # once for both
    assert "nothing wrong, 2 not set up yet." in result.output


def test_a_mistake_comes_before_what_is_not_set_up_yet(project: HealthyProject) -> None:
    project.patch.delenv("TWILIO_AUTH_TOKEN")
    project.patch.setenv("PORT", "none")
    result = run()
    lines = result.output.splitlines()
    assert result.exit_code == 1 and lines[0].startswith("ENV001  PORT is 'none'. ")
    assert lines[3:5] == ["Not set up yet:", next(line for line in lines if "TWILIO_AUTH_TOKEN is missing" in line)]
    assert "1 wrong, 1 not set up yet." in result.output


def test_a_fresh_project_is_no_list_of_mistakes(project: HealthyProject) -> None:
    for field in ProjectSettings.model_fields.values():
        project.patch.delenv(str(field.alias), raising=False)
    for names, _ in config.MODEL_KEYS.values():
        for name in names:
            project.patch.delenv(name, raising=False)
    for name in ("agent/disclosure.yml", "agent/recording.yml", "agent/baa.yml"):  # as the template gives them
        if (path := PROJECT / name).exists():
            shutil.copy(path, project.root / name)
    result = run()
    assert result.exit_code == 3 and ", nothing wrong, " in result.output, result.output


def test_what_is_fine_is_listed_with_verbose(project: HealthyProject) -> None:
    project.patch.setenv("PUBLIC_URL", "agent.example")
    lines = run("--verbose").output.splitlines()
    fine = {line[:6] for line in lines if "  fine: " in line}
    offline = {check.code for check in CHECKS if not check.live}
    assert {"PRJ001", "MOD001"} <= fine <= offline - {"ENV001", "ENV002"}
    assert not any("  fine: " in line for line in run().output.splitlines())


async def test_the_same_words_of_two_checks_are_one_finding(project: HealthyProject) -> None:
    def says(*words: str) -> Any:
        return lambda _: iter(words)

    texts = [
        says("No.", "No."),
        says("No.", "Neither."),
        says("A_KEY is missing. Set it."),
        says("A_KEY is missing. Do."),
    ]
    checks = [Check(f"XXX00{n}", "It works.", "Mend it.", "https://example.com", each) for n, each in enumerate(texts)]
    report = await examine(Context(project.root), checks)
    found = [(finding.code, finding.message) for finding in report.findings]
    assert found == [("XXX000", "No."), ("XXX001", "Neither."), ("XXX002", "A_KEY is missing. Set it.")]
    assert report.failed == {check.code for check in checks}


async def test_one_missing_phrase_is_one_finding(project: HealthyProject) -> None:
    offline = [check for check in CHECKS if not check.live]
    for driver in drivers().values():
        for name in [name for name in dir(driver.phrases) if name.isupper()]:
            with pytest.MonkeyPatch.context() as patch:
                if not isinstance(getattr(driver.phrases, name), str):
                    continue
                patch.setattr(driver.phrases, name, "", raising=False)
                report = await project.diagnose(offline)
            assert len(report.findings) <= 1, messages_of(report)


def test_no_check_reads_an_answer_that_does_not_exist() -> None:
    """An answer that no question asks is never there, so that the check would find nothing."""
    asked = set(yaml.safe_load((PROJECT / config.ANSWERS_FILE).read_text(encoding="utf-8")))
    others = {"_commit", "aws_model", "aws_region", "model_provider"}  # of other paths
    for module in [*CORE, *check_modules()]:
        source = Path(str(import_module(module).__file__)).read_text(encoding="utf-8")
        read = re.findall(r"""answers(?:\.get\(|\[)["'](\w+)["']""", source)
        read += re.findall(r"""recorded\.get\(["'](\w+)["']\)""", source)
        assert set(read) <= asked | others, module
    assert set(IN_CODE) - asked <= others


def test_before_an_update_only_its_own_checks_run(project: HealthyProject) -> None:
    everything_is_committed(project)
    project.patch.delenv("TWILIO_AUTH_TOKEN")
    result = run("--before", "level=2", "--before", "languages=[en-US, es-MX]")
    assert result.exit_code == 0, result.output
    assert "\n".join(["5 checks, nothing wrong.", "Then: uvx copier update "]) in result.output
    assert result.output.endswith(" --vcs-ref=:current: --defaults -d level=2 -d 'languages=[en-US, es-MX]'\n")


def test_an_answer_without_a_value_is_refused(project: HealthyProject) -> None:
    result = run("--before", "level")
    assert (result.exit_code, result.stderr) == (2, "--before level: write NAME=VALUE, as in --before level=3.\n")


def test_findings_come_as_json(project: HealthyProject) -> None:
    project.patch.delenv("TWILIO_AUTH_TOKEN")
    result = run("--json")
    report = json.loads(result.stdout)
    assert (result.exit_code, report["findings"][0]["kind"]) == (3, "not set up")
    assert set(report["findings"][0]) == {"code", "message", "hint", "docs", "kind"}
    assert report["findings"][0]["code"] == "ENV001" and "ENV002" in report["skipped"]


def test_every_code_can_be_explained() -> None:
    for check in CHECKS:
        result = run("explain", check.code.lower())
        assert result.exit_code == 0
        assert all(part in result.output for part in (check.code, check.title, check.hint, check.docs))


@pytest.mark.parametrize("question", [["explain"], ["explain", "XYZ999"], ["nonsense"], ["explain", "ENV001", "more"]])
def test_a_question_that_makes_no_sense_is_exit_code_2(question: list[str]) -> None:
    result = run(*question)
    assert result.exit_code == 2
    assert "ENV001" in result.stderr


def test_explaining_comes_as_json() -> None:
    assert json.loads(run("explain", "ENV001", "--json").stdout)["code"] == "ENV001"


BROKEN = """
import sys
from kit.__main__ import main

sys.modules["{module}"] = None
sys.argv = ["agent", "doctor"]
main()
"""


@pytest.mark.parametrize(
    ("symptom", "process"),
    [
        pytest.param(symptom, None, id=module, marks=pytest.mark.process(BROKEN.format(module=module)))
        for module, symptom in {
            "agent.tools": "agent/tools.py cannot be imported: ModuleNotFoundError: ",
            "app.config": "app/ cannot be imported: ModuleNotFoundError: ",
            "app.features": "app/ cannot be imported: ModuleNotFoundError: ",
            "kit.selftest": "app/ cannot be imported: ModuleNotFoundError: ",
        }.items()
    ],
    indirect=["process"],
)
def test_an_app_that_cannot_be_imported_is_one_finding(symptom: str, process: subprocess.Popen[str]) -> None:
    output, _ = process.communicate(timeout=60)
    findings = [line for line in output.splitlines() if re.match(r"(PRJ|ENV|MOD|TWI)\d{3}  ", line)]
    assert process.returncode == 1
    assert [line.startswith(f"PRJ004  {symptom}") for line in findings] == [True], output
    assert "ENV001" in output
