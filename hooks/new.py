"""Copy a project as `copier copy` does, and end in lines instead of a traceback: `make new`.

python -m hooks.new [--draft] DESTINATION [arguments of copier copy]

All problems of the answers in the arguments are said before the first prompt, by the questionnaire that is copied.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from copier._cli import CopierApp
from copier.errors import CopierError

from hooks.check import TEMPLATE, Interview, Report, Unreadable, one_line, read, written
from hooks.clone import copied_ref


def parsed(arguments: Sequence[str]) -> argparse.Namespace:
    """The arguments that give answers; Copier reads the others."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False, exit_on_error=False)
    parser.add_argument("-d", "--data", action="append", default=[])
    parser.add_argument("--data-file", type=Path)
    parser.add_argument("-l", "--defaults", "-f", "--force", action="store_true")
    return parser.parse_known_args(arguments)[0]


def answers(given: argparse.Namespace) -> dict[str, Any]:
    """What Copier would take as answers. `-d` wins over the file. Raises Unreadable."""
    pairs = [text.partition("=") for text in given.data]
    if unpaired := [name for name, sign, _ in pairs if not sign]:
        raise Unreadable(f"-d {written(unpaired[0])} has no value. Write -d name=value.", None)
    if given.data_file is None:
        return {name: value for name, _, value in pairs}
    try:
        return read(given.data_file).answers | {name: value for name, _, value in pairs}
    except Unreadable as error:
        raise Unreadable(f"{given.data_file} {error.args[0]}", error.args[1]) from error


def judged(given: argparse.Namespace, destination: Path, ref: str) -> Report:
    with Interview(project=destination, ref=None if ref == "HEAD" else ref) as interview:
        return interview.judge(answers(given), prompts=not given.defaults)


def main(arguments: list[str]) -> int:
    draft = arguments[:1] == ["--draft"]
    destination, *rest = arguments[draft:]
    ref = "HEAD" if draft else copied_ref(TEMPLATE, rest)
    try:
        given = parsed(rest)
        report = judged(given, Path(destination), ref)
    except argparse.ArgumentError as error:
        print(f"{error.argument_name} has no value. Write -d name=value, or --data-file FILE.", file=sys.stderr)
        return 2
    except Unreadable as error:
        print(error.args[0], file=sys.stderr)
        return 2
    for problem in report.problems:
        print(problem.says, file=sys.stderr)
    if report.problems:
        return 2
    for row in report.questions if given.defaults else []:
        print(f"Worth asking: {row['asks']}", file=sys.stderr)
    with_brackets = [
        part for name, members in report.listed.items() for part in ("-d", f"{name}=[{', '.join(members)}]")
    ]
    command = ["copy", *(["--vcs-ref", "HEAD"] if draft else []), *rest, *with_brackets, str(TEMPLATE), destination]
    try:
        return int(CopierApp.run(["copier", *command], exit=False)[1] or 0)
    except (ValueError, TypeError, CopierError) as error:
        # An answer of `-d` that does not go with one that was given at a prompt.
        print(one_line(str(error)), file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
