"""Every problem of a file of answers, in one run and without a project: Copier stops at the first.

python -m hooks.check answers.yml [--json]

Copier's own classes judge each question of `copier.yml` as `copier copy --defaults` does, so that both agree. After a
problem the answer stays as it was given, and the later questions are judged beside it; a value that can be no answer is
replaced by the choice that leaves the fewest problems. Then come questions that an architect would ask of these answers
(question_table of copier/advice.yml). Nothing is written, and nothing leaves the machine. A problem makes the exit code
1, a question does not.

The JSON has the same shape for every file:

    file        the name as it was given
    problems    each {kind, question, value, says, beside, line}: kind is file, unknown, type, choice, value or rule;
                beside has the other questions of a rule; question, value and line may be null
    questions   each {id, asks, try, page, read}: try may have an answer in the form of `-d`, page says why, and was
                read on that day
    answers     what a project would record, or null after a problem
"""

from __future__ import annotations

import argparse
import dataclasses
import difflib
import functools
import json
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from copier._main import Worker
from copier._types import MISSING, Phase
from copier._user_data import AnswersMap, Question, parse_yaml_list

TEMPLATE = Path(__file__).absolute().parent.parent
COPIERS_OWN = ("reserved", "zone_delivered", "_src_path", "_commit")
"""What the answers file of a project holds beside answers."""
LISTED = " *[A-Za-z_]+( *, *[A-Za-z_]+)* *"
"""A list without brackets, as is_listed of includes/shown.jinja has it."""
IS_LIST = "{% from 'includes/shown.jinja' import is_list %}{{ is_list(text) }}"
REFUSALS = """{% from 'includes/rules.jinja' import refusals with context %}
{{ refusals(judged_question, judged_answer, is_first) }}"""
Answers = dict[str, Any]


@dataclass(frozen=True)
class Problem:
    """An answer that Copier refuses. `says` is one line with the value, the reason and the fix."""

    kind: str
    question: str | None
    value: Any
    says: str
    beside: tuple[str, ...] = ()
    line: int | None = None


@dataclass(frozen=True)
class Report:
    problems: list[Problem]
    questions: list[Answers]
    answers: Answers | None
    listed: dict[str, list[str]] = dataclasses.field(default_factory=dict)
    """Lists that were typed without brackets, which Copier has to read with them."""


def one_line(text: str) -> str:
    return " ".join(text.split())


def written(value: Any) -> str:
    """A value on one line, as includes/shown.jinja has it: cut, and as JSON unless its text is plain."""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    text = f"{text[:60]}…" if len(text) > 60 else text
    return text if text and text.isprintable() and text == text.strip() else json.dumps(text)


def kind_of(value: Any) -> str:
    names = {bool: "yes or no", int: "a number", float: "a number", str: "text", list: "a list", dict: "a mapping"}
    return names.get(type(value), "neither text nor number")


# --- The file -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class File:
    """Answers; the lines of each name; and its scalar as it is written, since YAML reads some words as others."""

    answers: Answers
    lines: dict[str, list[int]]
    raw: dict[str, str]


class Unreadable(Exception):
    """The file holds no answers. Arguments: why, and what to do; the line, or None."""


def read(path: Path) -> File:
    """The answers, as `copier copy --data-file` reads them. Raises Unreadable."""
    try:
        text = path.read_bytes()
        loaded = yaml.safe_load(text)
        node = yaml.compose(text, Loader=yaml.SafeLoader)
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}. Name a file of answers.", None) from error
    except Exception as error:  # of PyYAML too: it raises an AttributeError for a wrong date
        mark = getattr(error, "problem_mark", None)
        is_known = isinstance(error, yaml.YAMLError | TypeError | ValueError)
        reason = one_line(getattr(error, "problem", None) or str(error)) if is_known else "a value cannot be read"
        fix = "Write each answer on a line of its own, as in path: manual."
        raise Unreadable(f"is not YAML: {reason}. {fix}", mark.line + 1 if mark else None) from error
    if not isinstance(loaded, dict) or not isinstance(node, yaml.MappingNode):
        found = "is empty" if loaded is None else f"is {kind_of(loaded)}, and no answers"
        raise Unreadable(f"{found}. Write name: value on each line, or {{}} to take every default.", None)
    named = [(key.value, key, value) for key, value in node.value if isinstance(key, yaml.ScalarNode)]
    lines: dict[str, list[int]] = {}
    for name, key, _ in named:
        lines.setdefault(name, []).append(key.start_mark.line + 1)
    return File(loaded, lines, {name: value.value for name, _, value in named if isinstance(value, yaml.ScalarNode)})


# --- One answer -----------------------------------------------------------------------------------


def explain(question: Question, value: Any) -> tuple[Any, list[Problem]]:
    """The answer, or MISSING if the value can be none; and all that is wrong with it."""
    name = question.var_name
    if value is None and (question.multiselect or question.get_type_name() != "yaml"):
        says = f"{name} is empty. Write an answer, or leave it out to take the default."
        return MISSING, [Problem("type", name, value, says)]
    if not question.multiselect:
        return explain_part(question, value)
    try:
        members = parse_yaml_list(value) if isinstance(value, str) else list(value)
    except (TypeError, yaml.YAMLError):
        return MISSING, [no_list(name, value, [str(choice.value) for choice in question._formatted_choices])]
    judged = [explain_part(question, member) for member in members]
    offered = [question.cast_answer(choice.value) for choice in question._formatted_choices]
    usable = [answer for answer in offered if answer in [answer for answer, _ in judged]]
    return usable or ([] if not members else MISSING), [problem for _, found in judged for problem in found]


def no_list(name: str, value: Any, choices: list[str]) -> Problem:
    listed = words(value)
    form = ", ".join(listed) if listed and {*listed} <= {*choices} else choices[0]
    says = f"{name}={written(value)} is not a list. Write {name}=[{form}], or {name}=[] for none."
    return Problem("type", name, value, says)


def words(value: Any) -> list[str]:
    return [part.strip() for part in value.split(",")] if isinstance(value, str) else []


def explain_part(question: Question, value: Any) -> tuple[Any, list[Problem]]:
    """The same of an answer to a question with one answer, or of a member of a list of choices."""
    name = question.var_name
    try:
        answer = question.cast_answer(value)
    except Exception:
        form = f"one word, as in {name}={question._formatted_choices[0].value}" if question.choices else "text"
        says = f"{name}={written(value)} is {kind_of(value)}. Write {form}."
        return MISSING, [Problem("type", name, value, says)]
    choices = {question.cast_answer(choice.value): str(choice.disabled or "") for choice in question._formatted_choices}
    if choices and answer not in [*choices]:  # a list in a list is no key
        near = difflib.get_close_matches(str(answer)[:60], map(str, choices), n=1)
        meant = f"Did you mean {near[0]}? " if near else ""
        says = f"{name}={written(answer)} is no choice. {meant}Take one of {', '.join(map(str, choices))}."
        return MISSING, [Problem("choice", name, value, says)]
    rules = refusing_rules(question, answer)
    reasons = [choices[answer]] if choices else []
    if not question.multiselect:
        reasons += validator_says(question, answer).splitlines()
    said = dict.fromkeys(filter(None, [*map(one_line, reasons), *rules]))
    is_list_of_words = isinstance(answer, list) and answer and all(isinstance(member, str) for member in answer)
    usable = isinstance(answer, str) or is_list_of_words or question.get_type_name() == "bool"
    return answer if usable else MISSING, [
        Problem("rule", name, value, reason, rules[reason])
        if reason in rules
        else Problem("value", name, value, reason if name in reason else f"{name}: {reason}")
        for reason in said
    ]


def validator_says(question: Question, answer: Any) -> str:
    try:
        question.validate_answer(answer)
    except ValueError as error:
        return str(error).removeprefix(f"Validation error for question '{question.var_name}': ")
    return ""


def refusing_rules(question: Question, answer: Any) -> dict[str, tuple[str, ...]]:
    """What copier/rules.yml says, and the other questions of each rule. Members of a list are judged one by one."""
    rules: dict[str, tuple[str, ...]] = {}
    members = answer if isinstance(answer, list) else [answer]
    for place, member in enumerate(members if all(isinstance(member, str | bool) for member in members) else []):
        judged = {"judged_question": question.var_name, "judged_answer": member, "is_first": place == 0}
        for rule in json.loads(question.render_value(REFUSALS, judged)):
            rules[one_line(rule["says"])] = tuple(rule["names"])
    return rules


# --- All answers ----------------------------------------------------------------------------------


class Interview:
    """The questions of one template, and what it says of given answers."""

    def __init__(self, template: Path = TEMPLATE, project: Path | None = None, ref: str | None = None) -> None:
        """Judges the release `ref` of a clone, or without one the folder as it is. A copy would go to `project`."""
        place = project or template / "build" / "no project"
        self.worker = Worker(str(template), place, vcs_ref=ref, defaults=True, quiet=True)
        if ref is None:
            self.worker.template.vcs = None
        environment = self.worker.jinja_env
        environment.from_string = functools.cache(environment.from_string)  # type: ignore[assignment, method-assign]
        self.questions: dict[str, Answers] = dict(self.worker.template.questions_data)
        self.asked = [name for name, details in self.questions.items() if details.get("when", True) is not False]

    def __enter__(self) -> Interview:
        return self

    def __exit__(self, *error: object) -> None:
        self.worker._cleanup()

    def judge(self, given: Answers, prompts: bool = False) -> Report:
        """All problems. With `prompts`, the other questions are asked later: rules that name those do not count."""
        problems, known, listed = list[Problem](), dict[str, Any](), dict[str, list[str]]()
        for name, value in given.items():
            if name not in self.asked and name not in COPIERS_OWN:
                problems.append(self.unknown(name, value))
            elif name == "operators" and self.is_no_list(name, value):
                says = f"{name}={written(value)} is not a list. Write a list, as in {name}=[sentiment, summary]."
                problems.append(Problem("type", name, value, says))
            elif members := self.members(name, value):
                known[name] = listed[name] = members
            elif self.is_no_list(name, value):
                problems.append(no_list(name, value, choices := [str(choice) for choice in self.choices(name)]))
                known |= {name: words(value)} if {*words(value)} <= {*choices} else {}
            else:
                known[name] = value
        unsettled = {name for name in self.asked if prompts and name not in known and self.is_prompted(name)}
        found, unusable = self.ask(known, unsettled)
        kept = [problem for problem in found if problem.question in unusable]
        for name in unusable:
            without = {other: value for other, value in known.items() if other != name}
            tries = [without, *({**known, name: value} for value in self.choices(name))]
            known = min(tries, key=lambda answers: len(self.ask(answers, unsettled)[0]))
        if unusable:
            found = [*kept, *(problem for problem in self.ask(known, unsettled)[0] if problem.question not in unusable)]
        problems += sorted(found, key=lambda problem: self.asked.index(str(problem.question)))
        recorded = {name: v for name, v in self.worker._answers_to_remember().items() if not name.startswith("_")}
        questions = self.worker.answers.user.get("worth_asking") or []
        return Report(problems, list(questions), None if problems else recorded, listed)

    def members(self, name: str, value: Any) -> list[str]:
        """The members of a list that was typed without brackets, for a question that Copier reads only with them."""
        is_text = name in self.asked and bool(self.questions[name].get("multiselect")) and isinstance(value, str)
        found = re.fullmatch(LISTED, value) if is_text and value.strip() != "none" else None
        return words(value) if found else []

    def choices(self, name: str) -> list[Any]:
        """Answers to try in place of one that is none."""
        offered = self.questions[name].get("choices", [True, False] if self.questions[name]["type"] == "bool" else [])
        values = offered.values() if isinstance(offered, dict) else offered
        return [value["value"] if isinstance(value, dict) else value for value in values]

    def is_prompted(self, name: str) -> bool:
        return self.questions[name].get("ask", True) is not False

    def is_no_list(self, name: str, value: Any) -> bool:
        """Whether a text answers a question that takes a list."""
        if name not in self.asked or not isinstance(value, str):
            return False
        if self.questions[name].get("multiselect"):
            return not value.strip().startswith("[")
        is_list = self.worker.jinja_env.from_string(IS_LIST).render(text=value)
        return self.questions[name]["type"] == "yaml" and not re.fullmatch(f"|{LISTED}", value) and not is_list

    def unknown(self, name: Any, value: Any) -> Problem:
        near = difflib.get_close_matches(str(name), self.asked, n=1)
        fix = f"Did you mean {near[0]}?" if near else f"The questions are {', '.join(self.asked)}."
        return Problem("unknown", str(name), value, f"{written(name)}={written(value)} answers no question. {fix}")

    def ask(self, given: Answers, unsettled: set[str]) -> tuple[list[Problem], list[str]]:
        """Go through the questions as `Worker._ask` does, and on after a refusal: problems, and what was no answer."""
        worker, problems, unusable = self.worker, list[Problem](), list[str]()
        worker.data, last = given, dict(worker.subproject.last_answers)
        worker.answers = AnswersMap(
            init=given, last=last, metadata=worker.template.metadata, external=worker._external_data()
        )
        with Phase.use(Phase.PROMPT), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            for name, details in self.questions.items():
                question = Question(
                    answers=worker.answers,
                    context={**worker._render_context(), "all_problems": True},
                    jinja_env=worker.jinja_env,
                    settings=worker.settings,
                    var_name=name,
                    **details,
                )
                if name in last and self.examine(question, last[name], unsettled)[1]:
                    del last[name]
                if not question.get_when():
                    worker.answers.hide(name)
                    last.pop(name, None)
                if name in given:
                    answer, found = self.examine(question, given[name], unsettled)
                elif name in last:
                    answer, found = last[name], []
                else:
                    answer, found = self.examine(question, MISSING, unsettled)
                problems += found
                if answer is MISSING and name in given:
                    unusable.append(name)
                    answer, _ = self.examine(question, MISSING, unsettled)
                if answer is not MISSING:
                    worker.answers.user[name] = answer
        return problems, unusable

    def examine(self, question: Question, value: Any, unsettled: set[str]) -> tuple[Any, list[Problem]]:
        """The answer to a value, or to MISSING, the default; MISSING if it can be none; and why Copier refuses it."""
        try:
            value = question.render_value(question.default) if value is MISSING else value
            answer = question.parse_answer(value)
            if question.var_name in self.asked:
                question.validate_answer(answer)
            return answer, []
        except Exception as error:
            if question.var_name not in self.asked:
                return MISSING, []  # computed of answers that do not go together
            answer, found = explain(question, value)
            found = found or [Problem("value", question.var_name, value, one_line(str(error)))]
            return answer, [problem for problem in found if not unsettled.intersection(problem.beside)]


def check(path: Path, interview: Interview) -> Report:
    """What is to be said of a file."""
    try:
        file = read(path)
    except Unreadable as error:
        says, line = error.args
        return Report([Problem("file", None, None, f"{path} {says}", line=line)], [], None)
    report = interview.judge(file.answers)
    problems = []
    for problem in report.problems:
        name, raw = str(problem.question), file.raw.get(str(problem.question), "")
        says = problem.says
        if problem.kind == "choice" and raw != problem.value and raw in map(str, interview.choices(name)):
            says = f'{name}={raw} is read as {written(problem.value)} by YAML. Write {name}: "{raw}".'
        line = file.lines.get(name, [None])[-1]
        problems.append(dataclasses.replace(problem, says=says, line=line))
    twice = [
        {"id": "answered_twice", "asks": f"{name} stands {len(lines)} times, and the last one counts. Is that the one?"}
        for name, lines in file.lines.items()
        if len(lines) > 1
    ]
    questions = [*report.questions, *({**question, "try": "", "page": "", "read": ""} for question in twice)]
    return dataclasses.replace(report, problems=problems, questions=questions)


def as_text(path: Path, report: Report) -> str:
    """One line for each problem and question, and one that counts them."""
    lines = [f"{path}:{problem.line}: {problem.says}" if problem.line else problem.says for problem in report.problems]
    for row in report.questions:
        then = f" Try {row['try']}." if row["try"] else ""
        source = f" ({row['page']}, {row['read']})" if row["page"] else ""
        lines.append(f"worth asking: {row['asks']}{then}{source}")
    counts = {"problem": len(report.problems), "question": len(report.questions)}
    said = [f"{count or 'no'} {noun}{'' if count == 1 else 's'}" for noun, count in counts.items()]
    return "\n".join([*lines, f"{path}: {', '.join(said)}."])


def as_json(path: Path, report: Report) -> str:
    shape = {"file": str(path), **dataclasses.asdict(dataclasses.replace(report, listed={}))}
    del shape["listed"]
    return json.dumps(shape, ensure_ascii=False, indent=2, default=str)


def main(arguments: list[str]) -> int:
    parser = argparse.ArgumentParser(prog="hooks.check", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", type=Path)
    parser.add_argument("--json", action="store_true", help="for programs")
    given = parser.parse_args(arguments)
    with Interview() as interview:
        report = check(given.file, interview)
    said = as_json(given.file, report) if given.json else as_text(given.file, report)
    print(said.encode(errors="backslashreplace").decode())
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
