"""The command `agent`."""

import sys


def main() -> None:
    if sys.argv[1:2] == ["selftest"]:  # it starts pytest, whose processes import the app
        from kit.selftest import app
    else:
        try:
            from kit.cli import app
        except Exception:
            if sys.argv[1:2] != ["doctor"]:
                raise
            from typer import run

            from kit.doctor.command import doctor  # its check PRJ004 says why the app cannot be imported

            del sys.argv[1]
            return run(doctor)
    app()


if __name__ == "__main__":
    main()
