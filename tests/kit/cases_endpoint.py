"""Public addresses that Twilio cannot use."""

from __future__ import annotations

import ssl

import httpx2

from app.main import create_app
from kit import defaults
from kit.scripted_model import scripted
from kit.simulated_twilio.account import SimulatedAccount
from tests.kit.healthy_project import HealthyProject, fails, passes


@fails("END001")
def a_dead_tunnel(project: HealthyProject) -> None:
    def unresolved(request: httpx2.Request) -> httpx2.Response:
        raise httpx2.ConnectError("Name or service not known", request=request)

    project.public.instead = unresolved


@fails("END002")
def an_untrusted_certificate(project: HealthyProject) -> None:
    def untrusted(request: httpx2.Request) -> httpx2.Response:
        error = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
        error.verify_message = "self-signed certificate"
        raise httpx2.ConnectError("no", request=request) from error

    project.public.instead = untrusted


@fails("END003")
def a_proxy_without_a_server(project: HealthyProject) -> None:
    project.public.instead = lambda request: httpx2.Response(502)


@fails("END003")
def another_server(project: HealthyProject) -> None:
    project.public.instead = lambda request: httpx2.Response(200, text="<h1>Welcome to nginx</h1>")


@fails("END004")
def a_redirect(project: HealthyProject) -> None:
    project.public.instead = lambda request: httpx2.Response(301, headers={"Location": "https://www.agent.example"})


@fails("END005")
def unsigned_requests_are_accepted(project: HealthyProject) -> None:
    def accept(request: httpx2.Request) -> httpx2.Response | None:
        return httpx2.Response(200) if request.method == "POST" else None

    project.public.instead = accept


@passes("END005")
def unsigned_requests_are_rejected_with_401(project: HealthyProject) -> None:
    def refused(request: httpx2.Request) -> httpx2.Response | None:
        unsigned = request.method == "POST" and "X-Twilio-Signature" not in request.headers
        return httpx2.Response(401) if unsigned else None

    project.public.instead = refused


@fails("END006")
def a_server_with_another_token(project: HealthyProject) -> None:
    settings = defaults.settings(auth_token="the-token-of-before")
    app = create_app(settings, [scripted({"says": "Yes."})], [], transport=SimulatedAccount().transport)
    project.public.app = httpx2.ASGITransport(app)
