"""The command `agent`."""

import sys
from importlib import import_module

# Commands for an app that cannot be imported: PRJ004 says why, and a migration may put it right.
ALONE = {"doctor": "kit.doctor.command", "migrate": "kit.migrate"}


def main() -> None:
    if sys.argv[1:2] == ["selftest"]:  # it starts pytest, whose processes import the app
        from kit.selftest import app
    else:
        try:
            from kit.cli import app
        except Exception:
            if (name := "".join(sys.argv[1:2])) not in ALONE:
                raise
            from typer import run

            del sys.argv[1]
            return run(getattr(import_module(ALONE[name]), name))
    app()


if __name__ == "__main__":
    main()
