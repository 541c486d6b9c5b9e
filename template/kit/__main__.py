"""The command `agent`."""

import sys


def main() -> None:
    if sys.argv[1:2] == ["selftest"]:  # it starts pytest, whose processes import the app
        from kit.selftest import app
    else:
        from kit.cli import app
    app()


if __name__ == "__main__":
    main()
