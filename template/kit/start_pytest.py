"""Load the fixtures of `kit.plugin`, but not into the process that only distributes tests to others."""

import pytest


def pytest_configure(config: pytest.Config) -> None:
    if not config.getoption("numprocesses", None):
        config.pluginmanager.import_plugin("kit.plugin")
