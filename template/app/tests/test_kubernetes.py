"""deploy/kubernetes.yml keeps calls alive while pods change, and gives a pod no more rights than it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from app.limits import MAX_BODY
from app.registry import STORE
from app.settings import Settings

FILE = Path(__file__).parents[2] / "deploy" / "kubernetes.yml"
PARTS: dict[str, Any] = {part["kind"]: part for part in yaml.safe_load_all(FILE.read_text(encoding="utf-8"))}
POD = PARTS["Deployment"]["spec"]["template"]["spec"]
(AGENT,) = POD["containers"]
ENV = {variable["name"]: variable["value"] for variable in AGENT["env"]}


def test_a_pod_may_finish_its_conversations() -> None:
    drain, leaving = float(ENV["AGENT_DRAIN"]), float(AGENT["lifecycle"]["preStop"]["exec"]["command"][1])
    assert POD["terminationGracePeriodSeconds"] >= drain + leaving and drain <= Settings.model_fields["drain"].default
    assert AGENT["readinessProbe"]["httpGet"]["path"] == "/healthz"
    assert "httpGet" not in AGENT["livenessProbe"], "503 of /healthz would end a pod that drains"


def test_as_many_pods_as_the_store_allows() -> None:
    spec = PARTS["Deployment"]["spec"]
    assert (spec["replicas"] > 1) == STORE.shared == ("PodDisruptionBudget" in PARTS)
    assert spec["strategy"]["rollingUpdate"] == {"maxUnavailable": 0, "maxSurge": 1}


def test_a_pod_has_no_rights() -> None:
    assert POD["securityContext"]["runAsNonRoot"] and not POD["automountServiceAccountToken"]
    rights = AGENT["securityContext"]
    assert rights["readOnlyRootFilesystem"] and not rights["allowPrivilegeEscalation"]
    assert rights["capabilities"] == {"drop": ["ALL"]} and "limits" in AGENT["resources"]
    assert not [name for name in ENV if "TOKEN" in name or "KEY" in name], "secrets come from the secret"


def test_the_address_has_tls_keeps_silent_calls_and_refuses_large_bodies() -> None:
    ingress = PARTS["Ingress"]
    hosts = [host for tls in ingress["spec"]["tls"] for host in tls["hosts"]]
    assert [rule["host"] for rule in ingress["spec"]["rules"]] == hosts
    timeouts = [int(value) for name, value in ingress["metadata"]["annotations"].items() if name.endswith("-timeout")]
    assert len(timeouts) == 2 and min(timeouts) >= 3600
    assert ingress["metadata"]["annotations"]["nginx.ingress.kubernetes.io/proxy-body-size"] == f"{MAX_BODY // 2**20}m"
    service = PARTS["Service"]["spec"]
    assert service["selector"].items() <= PARTS["Deployment"]["spec"]["template"]["metadata"]["labels"].items()
