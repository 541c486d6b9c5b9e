"""WebSockets that do not open, or open to anybody."""

from __future__ import annotations

import httpx2

from tests.kit.healthy_project import Patient, sick


def answered(patient: Patient, status: int) -> None:
    def handshake(request: httpx2.Request) -> httpx2.Response | None:
        return httpx2.Response(status) if "Upgrade" in request.headers else None

    patient.public.instead = handshake


@sick("WSS001")
def a_proxy_that_does_not_upgrade(patient: Patient) -> None:
    answered(patient, 426)


@sick("WSS002")
def a_proxy_that_changes_the_path(patient: Patient) -> None:
    answered(patient, 403)


@sick("WSS003")
def a_gateway_that_accepts_everybody(patient: Patient) -> None:
    answered(patient, 101)
