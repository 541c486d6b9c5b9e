"""Results of scenarios: in the terminal, as rates, as JUnit XML."""

from __future__ import annotations

import re
import statistics
from collections import Counter
from collections.abc import Sequence
from xml.etree import ElementTree

import typer

from kit.scenario import Result

NOT_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")  # XML 1.0, section 2.2


def print_result(result: Result) -> None:
    first = f", first word {statistics.median(result.first_ms):.0f} ms" if result.first_ms else ""
    mark, color = ("ok  ", "green") if result.passed else ("FAIL", "red")
    typer.secho(f"{mark} {result.name} ({result.seconds:.2f} s{first})", fg=color)
    for failure in result.failures:
        typer.echo(f"     {failure}")


def print_rates(results: Sequence[Result]) -> None:
    """How many runs of each scenario passed."""
    runs = Counter(result.name for result in results)
    passed = Counter(result.name for result in results if result.passed)
    for name, count in runs.items():
        typer.echo(f"{name}: {passed[name]} of {count} ({passed[name] / count:.0%})")


def junit(results: Sequence[Result]) -> str:
    """The results as JUnit XML."""
    suite = ElementTree.Element(
        "testsuite",
        name="scenarios",
        tests=str(len(results)),
        failures=str(sum(not result.passed for result in results)),
        time=f"{sum(result.seconds for result in results):.3f}",
    )
    for result in results:
        about = {"classname": "scenarios", "name": result.name, "time": f"{result.seconds:.3f}"}
        case = ElementTree.SubElement(suite, "testcase", about)
        if result.failures:
            failures = [NOT_XML.sub("\ufffd", failure) for failure in result.failures]
            ElementTree.SubElement(case, "failure", message=failures[0]).text = "\n".join(failures)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=True)
