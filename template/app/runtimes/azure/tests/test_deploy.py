"""deploy/ grants the roles that are needed and no others, and starts the server with the settings that it needs.

These tests have no Bicep compiler: they parse the files and check rules.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import uvicorn
import yaml
from pycep import BicepParser

from app.capability import Timeouts
from app.registry import RUNTIME, STORE, ProjectSettings
from kit import defaults
from kit.plugin import Web

DEPLOY = Path(__file__).parents[4] / "deploy"
INFRA = DEPLOY / "infra"
FIELDS = {str(field.alias): field for field in ProjectSettings.model_fields.values()}
LIBRARY_VARIABLES = {  # read by libraries
    "AZURE_CLIENT_ID",
    "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION",
    "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE",
    "TAC_ANALYTICS_DISABLED",
}
AZD_VARIABLES = {"AZURE_ENV_NAME", "AZURE_LOCATION", "SERVICE_AGENT_IMAGE_NAME"}
IDLE_TIMEOUT = (
    240.0  # seconds of silence that the ingress allows (learn.microsoft.com/azure/container-apps/ingress-overview)
)
MAX_GRACE_PERIOD = 600  # seconds, the most that Container Apps gives
PULL_IMAGES, READ_SECRETS = "7f951dda-4ed3-4680-a7ca-43fe172d538d", "4633458b-17de-408a-b874-0445c86b69e6"
MODEL_ROLES = {  # learn.microsoft.com/azure/role-based-access-control/built-in-roles/ai-machine-learning
    "AgentFramework": "5e0bd9bd-7b93-4f28-af87-19fc36ad61bd",  # Cognitive Services OpenAI User
    "Foundry": "53ca6127-db72-4b80-b1b0-d745d6d5456d",  # Azure AI User
    "VoiceLive": "a97b65f3-24c7-4388-baec-2e87135dc908",  # Cognitive Services User
}


def plain(parsed: Any) -> Any:
    """The tree without the positions that the parser adds, and without quotes around keys."""
    if isinstance(parsed, dict):
        return {str(key).strip("'"): plain(value) for key, value in parsed.items() if not str(key).startswith("__")}
    return [plain(each) for each in parsed] if isinstance(parsed, list) else parsed


def parsed(file: Path) -> dict[str, Any]:
    empty: dict[str, Any] = {"parameters": {}, "variables": {}, "resources": {}, "modules": {}, "outputs": {}}
    return empty | plain(dict(BicepParser().parse(text=file.read_text(encoding="utf-8"))))


FILES = {file.relative_to(INFRA).as_posix(): parsed(file) for file in sorted(INFRA.rglob("*.bicep"))}
MAIN, AGENT = FILES["main.bicep"], FILES["agent.bicep"]
APP: dict[str, Any] = AGENT["resources"]["agent"]["config"]["properties"]
CONFIGURATION, TEMPLATE = APP["configuration"], APP["template"]
CONTAINER = TEMPLATE["containers"][0]
SETTINGS: dict[str, Any] = {each["name"]: each["value"] for each in AGENT["variables"]["settings"]["value"]}
SECRETS: list[str] = AGENT["variables"]["secrets"]["value"]


def resources(kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The file and the configuration of each resource of a type."""
    for name, file in FILES.items():
        for resource in file["resources"].values():
            if resource["type"] == kind and not resource["existing"]:
                yield name, resource["config"]


def text(name: str) -> str:
    return (INFRA / name).read_text(encoding="utf-8")


def code(name: str) -> str:
    """A file without its comments."""
    return re.sub(r"(^|\s)//.*", "", text(name))


# --- references between files -------------------------------------------------------------------------------------


def test_every_module_gets_its_parameters() -> None:
    for module in MAIN["modules"].values():
        parameters = FILES[module["detail"]["path"]]["parameters"]
        required = {name for name, parameter in parameters.items() if parameter["default"] is None}
        assert required <= module["config"]["params"].keys() <= parameters.keys(), module["detail"]["path"]


def test_every_output_that_is_used_exists() -> None:
    for name, output in re.findall(r"\b(\w+)\.outputs\.(\w+)", code("main.bicep")):
        assert output in FILES[MAIN["modules"][name]["detail"]["path"]]["outputs"]


@pytest.mark.parametrize("name", ["main", "agent"])
def test_azd_sets_every_parameter(name: str) -> None:
    values = json.loads(text(f"{name}.parameters.json"))["parameters"]
    parameters = FILES[f"{name}.bicep"]["parameters"]
    required = {each for each, parameter in parameters.items() if parameter["default"] is None}
    assert required <= values.keys() <= parameters.keys()
    known = AZD_VARIABLES | (MAIN["outputs"].keys() if name == "agent" else set())
    for variable, default in re.findall(r"\$\{(\w+)(=?)", text(f"{name}.parameters.json")):
        page = (DEPLOY / "README.md").read_text(encoding="utf-8")
        assert variable in known or f"azd env set {variable} " in page, (variable, default)


def test_azd_finds_the_app_and_its_image() -> None:
    project = yaml.safe_load((DEPLOY / "azure.yaml").read_text(encoding="utf-8"))
    ((name, service),) = project["services"].items()
    assert (INFRA / f"{name}.bicep").is_file() and (DEPLOY / project["infra"]["path"]).samefile(INFRA)
    assert AGENT["resources"]["agent"]["config"]["tags"]["azd-service-name"] == name
    assert service["apiVersion"] == AGENT["resources"]["agent"]["api_version"]
    assert (DEPLOY / service["project"] / service["docker"]["path"]).samefile(DEPLOY.parent / "Dockerfile")


# --- roles -------------------------------------------------------------------------------------------------------


def test_every_role_is_a_narrow_one_at_one_resource() -> None:
    roles = []
    for name, assignment in resources("Microsoft.Authorization/roleAssignments"):
        assert name.startswith("modules/") and assignment["scope"] in FILES[name]["resources"]
        function = assignment["properties"]["roleDefinitionId"]["function"]
        assert function["type"] == "subscription_resource_id"
        role = function["parameters"]["resource_name_1"]
        roles.append(MAIN["modules"]["model"]["config"]["params"]["roleId"] if role == "roleId" else role)
    assert sorted(roles) == sorted([PULL_IMAGES, READ_SECRETS, MODEL_ROLES[RUNTIME.__name__]])


def test_the_identity_of_the_agent_reads_no_secrets_and_that_of_the_platform_reaches_no_model() -> None:
    """The platform starts the container with one identity; the process has another, and cannot use the first."""
    modules = MAIN["modules"]
    whose = {
        name: re.search(r'operand_1": "(starter|agent)"', json.dumps(module["config"]["params"]))
        for name, module in modules.items()
    }
    owners = {name: found[1] for name, found in whose.items() if found}
    expected = {"registry": "starter", "vault": "starter", "model": "agent"}
    assert owners == expected | ({"cosmos": "agent"} if "cosmos" in modules else {})
    assert CONFIGURATION["identitySettings"] == [
        {"identity": "starterIdentity", "lifecycle": "None"},
        {"identity": "agentIdentity", "lifecycle": "Main"},
    ]
    assert CONFIGURATION["registries"] == [{"server": "registryServer", "identity": "starterIdentity"}]
    assert SETTINGS["AZURE_CLIENT_ID"] == "agentClientId"
    values = json.loads(text("agent.parameters.json"))["parameters"]
    for parameter, output, module in [
        ("starterIdentity", "AGENT_STARTER_IDENTITY", "starter.outputs.id"),
        ("agentIdentity", "AGENT_IDENTITY", "agent.outputs.id"),
        ("agentClientId", "AGENT_IDENTITY_CLIENT_ID", "agent.outputs.clientId"),
    ]:
        assert values[parameter]["value"] == f"${{{output}}}"
        assert f"output {output} string = {module}\n" in text("main.bicep")


def test_no_key_and_no_password_is_used() -> None:
    for name in FILES:
        assert not re.search(r"\blist\w*\(|getSecret\(|@secure", code(name)), name
    for _, registry in resources("Microsoft.ContainerRegistry/registries"):
        assert registry["properties"]["adminUserEnabled"] is False
    for _, vault in resources("Microsoft.KeyVault/vaults"):
        assert vault["properties"]["enableRbacAuthorization"] is True
        assert vault["properties"]["enablePurgeProtection"] is True
        assert "accessPolicies" not in vault["properties"]
    for _, workspace in resources("Microsoft.OperationalInsights/workspaces"):
        assert workspace["properties"]["features"]["disableLocalAuth"] is True


def test_the_process_is_not_root() -> None:
    dockerfile = (DEPLOY.parent / "Dockerfile").read_text(encoding="utf-8")
    user = re.findall(r"^USER (\d+)$", dockerfile, re.MULTILINE)
    assert user and user[-1] != "0"


# --- network -------------------------------------------------------------------------------------------------------


def test_the_ingress_takes_tls_only() -> None:
    ingress = CONFIGURATION["ingress"]
    assert (ingress["external"], ingress["allowInsecure"], ingress["transport"]) == (True, False, "http")
    assert SETTINGS["PUBLIC_URL"].startswith("https://${name}.${environment.properties.defaultDomain}")


def test_the_port_is_the_same_everywhere() -> None:
    port = AGENT["variables"]["port"]["value"]
    assert f"EXPOSE {port}\n" in (DEPLOY.parent / "Dockerfile").read_text(encoding="utf-8")
    assert "{ name: 'PORT', value: string(port) }" in text("agent.bicep")
    assert CONFIGURATION["ingress"]["targetPort"] == "port"


# --- settings of the container --------------------------------------------------------------------------------------


def test_every_required_setting_is_given() -> None:
    assert {name for name, field in FIELDS.items() if field.is_required()} <= {*SETTINGS, *SECRETS}
    assert {*SETTINGS, *SECRETS} - LIBRARY_VARIABLES <= FIELDS.keys()
    assert not SETTINGS.keys() & set(SECRETS) and len(SECRETS) == len(set(SECRETS))
    assert "env: concat(settings, hidden)" in text("agent.bicep")


def test_the_runtime_has_its_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in RUNTIME.missing_env():
        monkeypatch.delenv(name, raising=False)
    for name in SETTINGS:
        monkeypatch.setenv(name, "https://test.example" if name.endswith("ENDPOINT") else "test")
    assert RUNTIME.missing_env() == {}


def test_every_secret_comes_from_the_vault() -> None:
    """The identity that starts the container reads it there."""
    assert not [name for name in SETTINGS if name in FIELDS and "SecretStr" in repr(FIELDS[name].annotation)]
    assert not [name for name in SETTINGS if re.search("TOKEN$|SECRET|PASSWORD|KEY", name)]
    secret = CONFIGURATION["secrets"]["config"]
    assert secret.keys() == {"name", "keyVaultUrl", "identity"} and secret["identity"] == "starterIdentity"
    assert secret["keyVaultUrl"] == "${vaultUri}secrets/${replace(secret, '_', '-')}"
    hidden = AGENT["variables"]["hidden"]["value"]["config"]
    assert hidden["name"] == "secret" and hidden["secretRef"] == secret["name"]
    assert all(re.fullmatch("[A-Z_]+", name) for name in SECRETS)  # no other name can stand in a vault that way


def test_the_settings_are_valid(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in FIELDS:
        monkeypatch.delenv(name, raising=False)
    for name in [*SECRETS, *SETTINGS]:
        if name in FIELDS:
            field, value = FIELDS[name], SETTINGS.get(name)
            literal = isinstance(value, str) and value not in AGENT["parameters"] and "${" not in value
            example = (field.examples or [field.default])[0]
            monkeypatch.setenv(name, value if literal and isinstance(value, str) else str(example or ""))
    monkeypatch.setenv("PUBLIC_URL", "https://agent.example-0123.westeurope.azurecontainerapps.io")
    settings = ProjectSettings()
    assert settings.drain == float(SETTINGS["AGENT_DRAIN"])


# --- long calls ---------------------------------------------------------------------------------------------------


async def test_probes_use_the_health_route(web: Web) -> None:
    probes = {probe["type"]: probe for probe in CONTAINER["probes"]}
    assert probes.keys() == {"Startup", "Readiness", "Liveness"}
    for name in ("Startup", "Readiness"):
        assert probes[name]["httpGet"]["port"] == "port"
        assert (await web.http.get(probes[name]["httpGet"]["path"])).status_code == 200
    assert probes["Liveness"]["tcpSocket"] == {"port": "port"}, "503 of /healthz would end a replica that has calls"
    assert probes["Startup"]["periodSeconds"] * probes["Startup"]["failureThreshold"] >= 45
    assert probes["Liveness"]["periodSeconds"] * probes["Liveness"]["failureThreshold"] >= 60  # it ends calls


def test_websocket_pings_are_more_frequent_than_the_idle_timeout_of_the_ingress() -> None:
    ping = uvicorn.Config("app", log_config=None).ws_ping_interval
    assert ping and 2 * ping < IDLE_TIMEOUT


def test_the_grace_period_is_longer_than_draining() -> None:
    drain, timeouts = float(SETTINGS["AGENT_DRAIN"]), Timeouts()
    assert drain + timeouts.shutdown <= TEMPLATE["terminationGracePeriodSeconds"] <= MAX_GRACE_PERIOD
    assert drain >= 300


def test_more_than_one_replica_needs_a_shared_store() -> None:
    scale = TEMPLATE["scale"]
    if STORE.shared:
        assert AGENT["parameters"][scale["minReplicas"]]["default"] >= 2
        assert AGENT["parameters"][scale["maxReplicas"]]["default"] > 2
        assert [{*rule} - {"name"} for rule in scale["rules"]] == [{"http"}, {"custom"}]
    else:
        assert scale == {"minReplicas": 1, "maxReplicas": 1}


def test_one_revision_is_active() -> None:
    assert CONFIGURATION["activeRevisionsMode"] == "Single"


# --- logs ----------------------------------------------------------------------------------------------------------


def test_logs_expire_and_hold_no_requests() -> None:
    ((_, workspace),) = resources("Microsoft.OperationalInsights/workspaces")
    assert workspace["properties"]["retentionInDays"] <= 90
    categories = [
        entry["category"]
        for _, setting in resources("Microsoft.Insights/diagnosticSettings")
        for entry in setting["properties"]["logs"]
    ]
    assert sorted(categories) == ["AuditEvent", "ContainerAppConsoleLogs", "ContainerAppSystemLogs"]
    ((_, environment),) = resources("Microsoft.App/managedEnvironments")
    assert environment["properties"]["appLogsConfiguration"] == {"destination": "azure-monitor"}  # without a key


# --- README --------------------------------------------------------------------------------------------------------


def test_the_readme_fills_the_vault_with_every_secret() -> None:
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    assert """sed -n "/^var secrets/,/^]/s/^  '\\(.*\\)'/\\1/p" infra/agent.bicep""" in page
    listed = re.search(r"^var secrets.*?^]", text("agent.bicep"), re.MULTILINE | re.DOTALL)
    assert listed and re.findall(r"^  '(.*)'", listed[0], re.MULTILINE) == SECRETS
    assert "tr _ -" in page and defaults.AUTH_TOKEN not in page


def test_the_readme_reads_values_that_azd_has() -> None:
    page = (DEPLOY / "README.md").read_text(encoding="utf-8")
    known = MAIN["outputs"].keys() | AGENT["outputs"].keys()
    assert set(re.findall(r"azd env get-value (\w+)", page)) <= known
