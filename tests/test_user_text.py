"""Name and description are free text: every file has them unchanged and stays valid."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import pytest

from tests.conftest import Render, Update, files, git, recorded
from tests.contents import lint, parse
from tests.questionnaire import choices
from tests.renderer import project

DESCRIPTIONS = {
    "quotes": """She said "hello", it's 'fine' and `ticks` and \"\"\"three\"\"\".""",
    "backslashes": r"C:\new\table \u0041 \" \\ and a last one \\",
    "other scripts": "Größe, 日本語の説明, עברית, हिन्दी.",
    "emoji": "Rings ☎️ 👩‍👩‍👧‍👦 and waves 👋🏽.",
    "long": "Takes orders. " * 21 + "Really",
    "jinja": "{{ project_name }} {% if true %}x{% endif %} {# gone? #} {{ 7 * 7 }} {% raw %}",
    "yaml": "# not: a comment, [not, a list] & *anchor !tag - | > %TAG",
    "shell": "$HOME ${PATH} $(id) `id` %s %(x)s %d {0} {name} 100% ~ ; rm && || <b>&amp;</b>",
    "like a number": "007e1",
    "like no": "no",
    "spaces around": "  Two spaces around.  ",
}


@pytest.mark.parametrize("description", DESCRIPTIONS.values(), ids=DESCRIPTIONS)
@pytest.mark.parametrize("path", choices("path"))
def test_the_description_arrives_whole(path: str, description: str, render: Render, tmp_path: Path) -> None:
    assert len(description) <= 300
    plain = files(render(tmp_path / "plain", path=path))
    given = files(project := render(tmp_path / "given", path=path, description=description))
    reached = {name for name in given if given[name] != plain[name]}
    assert reached >= {".copier-answers.yml", "README.md", "agent/prompt.md", "pyproject.toml"}
    assert recorded(project)["description"] == description
    assert tomllib.loads(given["pyproject.toml"].decode())["project"]["description"] == description
    for name in reached:
        parse(name, given[name].decode())
        if name.endswith(".md"):
            assert description in given[name].decode()


@pytest.mark.parametrize("name", [text[:60] for text in DESCRIPTIONS.values()], ids=DESCRIPTIONS)
def test_the_name_arrives_whole(name: str, render: Render, tmp_path: Path) -> None:
    given = files(project := render(tmp_path / "given", project_name=name))
    assert recorded(project)["project_name"] == name
    for file, body in given.items():
        parse(file, body.decode())
    assert name in given["README.md"].decode() and name in given["agent/prompt.md"].decode()


@pytest.mark.parametrize("name", [DESCRIPTIONS["quotes"][:60], DESCRIPTIONS["backslashes"][:60], "x" * 60])
def test_the_name_is_said_in_outbound_calls(name: str, tmp_path: Path) -> None:
    """Without its quotation marks, which nothing speaks, so that its literal is formatted with any name."""
    given = project({"outcome": "outbound", "languages": ["es-MX"], "project_name": name})
    names = ("agent/outbound.py", "app/outbound/phrases.py")
    (tmp_path / "pyproject.toml").write_text(given["pyproject.toml"])
    assert lint([(file, given[file]) for file in names], tmp_path / "linted", tmp_path / "pyproject.toml") == []
    own: dict[str, str] = {}
    exec(given["agent/outbound.py"], own)
    assert own["INTRODUCTION"].endswith(f" {own['NAME']}.") and own["NAME"] == name.replace('"', "")


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ("Phone Agent", "phone-agent"),
        ("Front Desk", "front-desk-agent"),
        ("  --Ünï 24/7!  ", "n-24-7-agent"),
        ("日本語", "agent"),
        ("Agent", "agent"),
        ("twilio", "twilio-agent"),
        ("Reagent", "reagent-agent"),
        ("My agent", "my-agent"),
        ("24/7 Help", "the-24-7-help-agent"),
        ("A name that is as long as sixty characters and has no end at", "a-name-that-is-as-long-a-agent"),
    ],
)
def test_a_name_makes_a_package_name(name: str, slug: str, render: Render, tmp_path: Path) -> None:
    project = tomllib.loads((render(tmp_path / "p", project_name=name) / "pyproject.toml").read_text())["project"]
    assert project["name"] == slug
    assert re.fullmatch(r"[a-z]([a-z0-9-]{0,28}[a-z0-9])?", slug)
    depends = {re.split(r"[\[<>=]", needed)[0] for needed in project["dependencies"]}
    assert slug not in depends


@pytest.mark.parametrize("question", ["project_name", "description"])
@pytest.mark.parametrize("code", [*range(0x20), *range(0x7F, 0xA0), 0x2028, 0x2029])
def test_line_breaks_and_control_characters_are_refused(
    question: str, code: int, render: Render, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match="contains a line break or control character. Write it on one line.$"):
        render(tmp_path / "project", **{question: f"before{chr(code)}after"})


@pytest.mark.parametrize("description", [DESCRIPTIONS["jinja"], DESCRIPTIONS["yaml"]], ids=["jinja", "yaml"])
def test_an_update_reads_the_text_as_it_was_written(
    description: str, create: Render, update: Update, tmp_path: Path
) -> None:
    project = create(tmp_path / "project", description=description)
    update(project, path="manual")
    assert recorded(project)["description"] == description
    assert git(project, "diff", "--stat", "--", "agent/prompt.md") == ""
    assert description in (project / "README.md").read_text()
