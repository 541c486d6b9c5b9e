"""Dashboard, alerts and viewer of a project with observability: what they ask for, the project sends."""

from __future__ import annotations

import json
import re
import runpy
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import promql_parser as promql
import pytest
import yaml

from tests.conftest import Render, files
from tests.questionnaire import Answers

ROWS: list[Answers] = [
    {},
    {"level": "4", "path": "manual", "channels": "omnichannel"},
    {"level": "3", "channels": "messaging"},
    {"level": "4", "path": "manual", "regulations": ["hipaa", "pci"]},
    {"path": "aws", "aws_runtime": "agentcore", "deploy_target": "lambda", "session_store": "dynamodb"},
]
VARIABLES = {"$__rate_interval": "5m", "$__range": "3h", "$job": "agent"}  # of Grafana
END_REASONS = ("completed", "interrupted", "session_closed", "failed")
FOREIGN = {"job", "le"}  # labels that Prometheus adds


@pytest.fixture(params=ROWS, ids=lambda row: "-".join(map(str, row.values())) or "default")
def project(request: pytest.FixtureRequest, render: Render, tmp_path: Path) -> Path:
    return render(tmp_path / "project", observability="otlp", **request.param)


def events(project: Path) -> dict[str, Any]:
    """The events of names.py that this project counts."""
    names = runpy.run_path(str(project / "app" / "observability" / "names.py"))
    return {
        name: event for name, event in names["EVENTS"].items() if (project / event.package.replace(".", "/")).is_dir()
    }


def series(project: Path) -> dict[str, dict[str, tuple[str, ...]]]:
    """Labels and their values by series, as Prometheus names what comes over OTLP: dots become underscores.

    Source: https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/ (November 2026).
    """
    names = runpy.run_path(str(project / "app" / "observability" / "names.py"))
    counters = {
        f"{event.counter}_total": {names["FACTS"][fact]: tuple(values) for fact, values in event.facts.items()}
        for event in events(project).values()
    }
    values = {
        names["CHANNEL"]: names["CHANNELS"],
        names["END_REASON"]: END_REASONS,
        names["SEGMENT"]: tuple(names["SEGMENTS"]),
        names["HOP"]: (*names["HOPS"], "first_token"),
    }
    histograms = {
        f"{name}_seconds_{part}": values for name in names["DURATIONS"] for part in ("bucket", "sum", "count")
    }
    counters[f"{names['SEGMENT_TIME']}_seconds_total"] = values
    return {
        name.replace(".", "_"): {label.replace(".", "_"): found for label, found in labels.items()}
        for name, labels in {**counters, **histograms}.items()
    }


def dashboard(project: Path) -> Any:
    return json.loads((project / "observability" / "dashboard.json").read_text(encoding="utf-8"))


def alerts(project: Path) -> list[dict[str, Any]]:
    (group,) = yaml.safe_load((project / "observability" / "alerts.yml").read_text(encoding="utf-8"))["groups"]
    return list(group["rules"])


def of_dashboard(project: Path) -> list[str]:
    return [target["expr"] for panel in dashboard(project)["panels"] for target in panel["targets"]]


def check(query: str, known: Mapping[str, Mapping[str, Sequence[str]]]) -> set[str]:
    """The series that a query asks for. Raises for one that does not parse, or asks for what is not sent."""
    for variable, value in VARIABLES.items():
        query = query.replace(variable, value)
    selectors: list[promql.VectorSelector] = []
    labels: set[str] = set()

    def visit(node: promql.Expr) -> None:
        if isinstance(node, promql.VectorSelector):
            selectors.append(node)
        elif isinstance(node, promql.AggregateExpr) and node.modifier:
            labels.update(node.modifier.labels)

    promql.walk(promql.parse(query), visit)
    assert selectors, query
    for selector in selectors:
        assert selector.name in known, f"nobody sends {selector.name}: {query}"
        own = known[str(selector.name)]
        for matcher in selector.matchers.matchers:
            assert matcher.name in {*own, *FOREIGN}, f"{selector.name} has no {matcher.name}: {query}"
            if matcher.name in own:
                assert set(matcher.value.split("|")) <= set(own[matcher.name]), f"{matcher.value}: {query}"
    assert labels <= FOREIGN.union(*(known[str(each.name)] for each in selectors)), query
    return {str(each.name) for each in selectors}


def test_each_query_parses_and_asks_for_what_the_project_sends(project: Path) -> None:
    known = series(project)
    asked = [check(query, known) for query in of_dashboard(project)]
    shown = {re.sub("_(bucket|sum|count)$", "", name) for name in set().union(*asked)}
    assert shown == {re.sub("_(bucket|sum|count)$", "", name) for name in known}, "the dashboard shows each metric"
    assert all(check(str(alert["expr"]), known) for alert in alerts(project))


def test_a_query_for_what_nobody_sends_is_found(project: Path) -> None:
    known = series(project)
    for wrong in (
        "sum(app_nothing_total)",
        'app_turns_lost_total{app_reason="lost"}',
        'app_turns_lost_total{reason="failed"}',
        "sum by (app_request) (app_turns_lost_total)",
    ):
        with pytest.raises(AssertionError):
            check(wrong, known)
    with pytest.raises(ValueError):
        check("sum(app_apologies_total[5m]", known)


def test_each_alert_says_what_is_wrong_and_where_to_look(project: Path) -> None:
    found = alerts(project)
    assert len({alert["alert"] for alert in found}) == len(found)
    source = "".join(path.read_text(encoding="utf-8") for path in (project / "app").rglob("*.py"))
    for alert in found:
        assert alert["labels"]["severity"] in ("critical", "warning")
        summary, description = alert["annotations"]["summary"], alert["annotations"]["description"]
        assert summary.endswith(".") and re.search(r"[.?)]$", description)
        events = re.findall(r"\b[a-z_]+\.[a-z_]+\b", description.partition("The log says ")[2])
        assert [event for event in events if f'"{event}"' not in source] == []


def test_panels_have_places_of_their_own(project: Path) -> None:
    panels = dashboard(project)["panels"]
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in panels]
    assert len(set(places)) == len({panel["id"] for panel in panels}) == len(panels)
    assert all(panel["datasource"]["uid"] == "${source}" and panel["description"] for panel in panels)


def test_the_viewer_is_pinned_and_reached_from_this_machine_only(project: Path) -> None:
    folder = project / "observability"
    services = yaml.safe_load((folder / "compose.yaml").read_text(encoding="utf-8"))["services"]
    (viewer,) = services.values()
    assert viewer["profiles"] == ["observability"]
    assert re.fullmatch(r"grafana/otel-lgtm:\d+\.\d+\.\d+@sha256:[0-9a-f]{64}", viewer["image"])
    assert all(port.startswith("127.0.0.1:") for port in viewer["ports"])
    mounted = {volume.split(":")[0].removeprefix("./") for volume in viewer["volumes"]}
    assert mounted == {path.name for path in folder.iterdir()} - {"compose.yaml"}
    assert all(volume.endswith(":ro") for volume in viewer["volumes"])
    assert yaml.safe_load((folder / "prometheus.yml").read_text())["rule_files"] == ["alerts.yml"]


def test_a_project_without_observability_has_none_of_it(render: Render, tmp_path: Path) -> None:
    project = render(tmp_path / "project", level="4", channels="omnichannel", path="manual")
    assert [name for name in files(project) if "observability" in name] == []
