"""The judge of a project's files finds what would mislead its reader."""

from __future__ import annotations

import pytest
import yaml

from tests.project_files import problems
from tests.renderer import TEMPLATE_OF, project, source


def with_text(name: str, text: str) -> dict[str, str]:
    files = project({})
    return files | {name: files.get(name, "") + text}


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("docs/develop.md", "See `app/nowhere.py`.\n", "docs/develop.md: there is no app/nowhere.py"),
        ("docs/operate.md", "[there](gone.md)\n", "docs/operate.md: the link to gone.md leads nowhere"),
        ("README.md", "Set `AGENT_PATIENCE`.\n", "README.md: nothing reads AGENT_PATIENCE"),
        ("README.md", "It reports PRJ099.\n", "README.md: no check has the code PRJ099"),
        ("agent/notes.md", "Nobody reads this.\n", "agent/notes.md is not read"),
        ("app/main.py", "from app.nowhere import name\n", "app.main imports app.nowhere.name, which is not there"),
        (
            "app/main.py",
            "from app import config\nconfig.SPEECH\n",
            "app.main reads app.config.SPEECH, which is not there",
        ),
        (
            "app/main.py",
            "from app.settings import Setting\n",
            "app.main reads app.settings.Setting, which is not there",
        ),
        (".env.example", "# REDIS_ADDRESS=\n", ".env.example names REDIS_ADDRESS, and no other file does"),
        ("app/alone.py", "A = 1\n", "app.alone is not used"),
        ("app/settings.py", "import app.main\n", "a circle of imports: "),
    ],
)
def test_what_is_wrong_is_found(name: str, text: str, said: str) -> None:
    assert problems(project({})) == []
    assert [found for found in problems(with_text(name, text)) if found.startswith(said)]


def test_scenarios_of_the_server_play_with_sample_tools() -> None:
    """The tools in agent/ are the user's; the server's own tests do not depend on them."""
    scenarios = [name for name in TEMPLATE_OF if name.startswith("app/") and "/scenarios/" in name]
    given = {name: yaml.safe_load(source(name)).get("given", {}).get("tools") for name in scenarios}
    assert len(given) > 40 and [name for name, tools in given.items() if tools in (None, "own")] == []
