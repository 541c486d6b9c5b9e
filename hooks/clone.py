"""Say what `make new` copies from this clone, and refuse a copy that could never be updated.

Copier copies the newest tag, or HEAD when there is none. With uncommitted changes, it makes a commit of HEAD and the
changes in a copy of its own: the project then records a commit that no clone has, and no update finds it again.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

from packaging.version import InvalidVersion, Version


class Refused(Exception):
    """The copy would make a project that can never be updated. The message says why, and what to do."""


def git(clone: Path, *command: str) -> str:
    done = subprocess.run(["git", *command], cwd=clone, check=True, capture_output=True, encoding="utf-8")
    return done.stdout.rstrip()


def newest_tag(clone: Path) -> str | None:
    """The tag that Copier takes when it is not told one: the highest version that is no pre-release."""
    versions: dict[Version, str] = {}
    for tag in git(clone, "tag").splitlines():
        try:
            versions[Version(tag)] = tag
        except InvalidVersion:
            continue
    return max(((v, tag) for v, tag in versions.items() if not v.is_prerelease), default=(None, None))[1]


def copied_ref(clone: Path, arguments: list[str]) -> str:
    """The ref that `copier copy` takes with these arguments."""
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("-r", "--vcs-ref")
    given: str | None = parser.parse_known_args(arguments)[0].vcs_ref
    return given or newest_tag(clone) or "HEAD"


def examine(clone: Path, arguments: list[str]) -> str:
    """What a project copied from `clone` is made of. Raises Refused."""
    try:
        is_clone = Path(git(clone, "rev-parse", "--show-toplevel")).resolve() == clone.resolve()
    except subprocess.CalledProcessError:
        is_clone = False
    if not is_clone:
        raise Refused(
            "This folder is no clone of the template, so a project made of it can never be updated. Clone it."
        )
    ref = copied_ref(clone, arguments)
    changed = [line[3:] for line in git(clone, "status", "--porcelain").splitlines()]
    named = ", ".join(changed[:3]) + (f" and {len(changed) - 3} more" if len(changed) > 3 else "")
    if ref == "HEAD" and changed:
        raise Refused(
            f"This clone has uncommitted changes ({named}). A project made of them records a commit that no clone has,"
            " and can never be updated. Commit or stash them."
        )
    if ref == "HEAD":
        commit = git(clone, "describe", "--tags", "--always")
        if commit in git(clone, "tag", "--points-at", "HEAD").splitlines():
            return f"The project gets release {commit}."
        return f"The project gets {commit}, which is no release: its updates start with the first release after it."
    without = [f"your uncommitted changes ({named})"] if changed else []
    if newer := int(git(clone, "rev-list", "--count", f"{ref}..HEAD")):
        without.append(f"the last {newer} commits of this clone" if newer > 1 else "the last commit of this clone")
    return f"The project gets {ref}" + (f", without {' and '.join(without)}." if without else ".")


def main(arguments: list[str]) -> int:
    draft = arguments[:1] == ["--draft"]
    try:
        said = examine(Path.cwd(), [*arguments[draft:], *(["--vcs-ref=HEAD"] if draft else [])])
    except Refused as refused:
        if not draft:
            print(f"{refused} For a project to throw away: make new DRAFT=1 ...", file=sys.stderr)
            return 2
        said = f"A project to throw away. {refused}"
    print(said, file=sys.stderr)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
