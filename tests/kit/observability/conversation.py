"""A conversation in a process of its own, over HTTP and with the SDK's own providers. A collector receives it.

A process has one provider of each kind, which frameworks look for, so that two apps of one process cannot be measured.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import structlog

from app.store import InProcess

# What a caller says, hears and is called, and what tools get and return: nothing of it may reach a collector.
NAME = "Rumpelstilzchen"
CARD = "4111111111111111"
WORDS, REPLY, ARGUMENT, RESULT, ERROR = "pineapple", "rhubarb", "marzipan", "Timbuktu", "sauerkraut"
NUMBERS = ("5550006", "555 0006", "5550001")
CANARIES = (NAME, CARD, WORDS, REPLY, ARGUMENT, RESULT, ERROR, *NUMBERS)

RULES: list[dict[str, Any]] = [
    {"hears": WORDS, "says": f"{REPLY} it is, {NAME}."},
    {"hears": "order", "calls": {"look_up": {"order": ARGUMENT}}},
    {"hears": "defect", "calls": {"defective": {"order": ARGUMENT}}, "then": f"No {REPLY} today."},
    {"hears": "broken", "says": REPLY, "breaks_off": True},
    {"hears": "report", "calls": {"report": {}}},
]
TEXTS = (
    f"A {WORDS} for {NAME}, please.",
    f"My order, from +1 500 555 0006, paid with {CARD}.",
    f"A defect, says {NAME}.",
    "It is broken.",
)


def converse(
    endpoint: str,
    channel: str = "voice",
    *,
    texts: Sequence[str | Mapping[str, Any]] = TEXTS,
    rules: Sequence[Mapping[str, Any]] = RULES,
    environment: Mapping[str, str] | None = None,
    shared: bool = False,
    unfiltered: str | None = None,
    raw: bool = False,
    **settings: Any,
) -> str:
    """Hold a conversation on `channel`, to its end and that of the server. Returns what the process has printed.

    `texts` are said or written; a mapping is a step of a scenario. The model follows `rules`; the tools are `look_up`
    and `defective`, which raises. `environment` is that of the process, and `settings` differ from the defaults. With
    `shared` the store is one that other workers see. The collector at `unfiltered` gets the spans as libraries have
    written them; with `raw`, the collector at `endpoint` gets everything unfiltered. Raises AssertionError, with the
    log, when the process failed.
    """
    plan = {"channel": channel, "texts": texts, "rules": rules, "shared": shared, "unfiltered": unfiltered}
    plan |= {"raw": raw, "settings": {"otlp_endpoint": endpoint, **settings}}
    system = {name: os.environ[name] for name in ("PATH", "SYSTEMROOT") if name in os.environ}
    done = subprocess.run(
        [sys.executable, "-B", "-m", __name__, json.dumps(plan)],
        cwd=Path(__file__).parents[3],
        env={**system, **(environment or {})},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def look_up(order: str) -> str:
    """Look an order up."""
    return f"{RESULT} has it"


def defective(order: str) -> str:
    """Ask a backend that fails."""
    raise ValueError(f"{ERROR}, {order}")


# As if it stood in agent/tools.py, which may log what it likes, and so may a library.
REPORT = """
def report() -> str:
    'Make a report.'
    log.info("report.made", diagnosis="diabetes", error="Diabetes", hint="diabetes", count=3)
    log.info("Ada has diabetes", count=3)
    library.warning("Ada has %s", "diabetes")
    library.error("Ada has diabetes")
    return "done"
"""


def tools() -> list[Any]:
    own = {"log": structlog.get_logger(), "library": logging.getLogger("some.library"), "__name__": "agent.tools"}
    exec(compile(REPORT, str(Path("agent", "tools.py").resolve()), "exec"), own)
    return [look_up, defective, own["report"]]


class Shared(InProcess):
    shared = True


async def hold(plan: Mapping[str, Any]) -> None:
    from app.log import configure_logging
    from app.registry import LOG_EXPORTS, LOG_FILTERS
    from kit.agent_app import build_app
    from kit.plugin import drivers, offline, serve  # sets the environment of tests
    from kit.scenario_file import Given, Step

    configure_logging("info", *LOG_FILTERS, exports=LOG_EXPORTS)
    if plan["raw"]:
        take_filters_out()
    with offline() as refused:
        store = Shared() if plan["shared"] else None
        app = build_app(*plan["rules"], tools=tools(), store=store, **plan["settings"])
        async with serve(app) as address:
            driver = drivers()[plan["channel"]].begins(app, address, Given(), app.state.account, 1000.0, False)
            async with driver as talk:
                if plan["unfiltered"]:
                    export_unfiltered(app, plan["unfiltered"])
                for text in plan["texts"]:
                    await talk.takes(Step(caller=text) if isinstance(text, str) else Step.model_validate(text))
                await talk.ends()
    assert not refused


def take_filters_out() -> None:
    from app.observability import classified, telemetry

    for module, name, value in (
        (telemetry, "VIEWS", []),
        (classified, "classified", lambda span: span),
        (classified, "classified_record", lambda record: record),
    ):
        setattr(module, name, value)


def export_unfiltered(app: Any, endpoint: str) -> None:
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    from app.observability import Observability

    (own,) = [each for each in app.state.conversations.capabilities if isinstance(each, Observability)]
    own.telemetry.tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(f"{endpoint}/v1/traces")))


if __name__ == "__main__":
    asyncio.run(hold(json.loads(sys.argv[1])))
