"""The rules of copier/rules.yml, evaluated in Python: what an update with new answers has to record, or to refuse."""

from __future__ import annotations

from typing import Any

from tests.questionnaire import ASKED, LANGUAGES, PRODUCTS, QUESTIONS, SOURCES, Answers, barring, defaults, listed

ASKED_WITH: dict[str, Answers] = QUESTIONS["rules"]["default"]["asked_with"]
RULES: list[Answers] = QUESTIONS["rules"]["default"]["pairs"]
ASKED_AGAIN: set[str] = set(QUESTIONS["rules"]["default"]["asked_again"])
PROVIDERS_OF = {**LANGUAGES, "multi": {"stt": ["Deepgram"], "tts": ["ElevenLabs"], "flux": []}}


class DroppedError(Exception):
    """A recorded answer has become invalid, and no question before it refused."""


def members_of(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def fits(answer: Any, wanted: Any, judged: Any) -> bool:
    """Whether the answer, or a member of a list, is one of those wanted."""
    members = members_of(answer)
    if wanted == "any":
        return any(member != "" for member in members)
    return any(member in ([judged] if wanted == "same" else members_of(wanted)) for member in members)


def hold(conditions: Answers, answers: Answers, judged: Any = None) -> bool:
    return all(name in answers and fits(answers[name], wanted, judged) for name, wanted in conditions.items())


def is_open(question: str, answers: Answers) -> bool:
    return hold(ASKED_WITH.get(question, {}), answers)


def answered(recorded: Answers, given: Answers) -> Answers | str:
    """What a project has recorded after `copier update --defaults -d …`, or the refusal."""
    answers = recorded | given
    for name in ASKED:
        opened = is_open(name, answers)
        value = answers.get(name, defaults(answers)[name])
        if opened or name in given:
            parts = listed(value) if name in ("languages", "regulations") else [value]
            reasons = [refusal(name, part, answers, recorded, given, part == parts[0]) for part in parts]
            if any(reasons) and name not in given:
                raise DroppedError(f"{name}={value}")
            if any(reasons):
                found = list(filter(None, reasons))
                return found[0] if name == "regulations" else "\n".join(found)  # Copier stops at the first choice
        if opened:
            answers[name] = value
        else:
            answers.pop(name, None)
    return answers


def refusal(name: str, value: Any, answers: Answers, recorded: Answers, given: Answers, first: bool) -> str:
    """The text of the first rule that refuses this answer, or nothing. Members of lists are judged one by one."""
    found = (refused_by(rule, name, value, answers, recorded, given, first) for rule in RULES)
    return next(filter(None, found), "")


def names_of(rule: Answers) -> set[str]:
    """The questions whose answers a rule names, besides the one that it refuses."""
    names = {name for part in ("when", "unless", "kept") for name in rule.get(part, {})}
    kind = rule.get("unconfirmed")
    spoken = {"languages", *([f"{kind}_provider"] if kind != "flux" else [])} if kind else set()
    return names | spoken | ({"regulations"} if "barred" in rule else set())


def refused_by(
    rule: Answers,
    name: str,
    value: Any,
    answers: Answers,
    recorded: Answers,
    given: Answers,
    first: bool = True,
    prompt: bool = False,
) -> str:
    """The text with which one rule refuses an answer, or nothing. With `prompt`, the answer is given at one."""
    now = answers | {name: value}
    kept = rule.get("kept", {})
    if name not in rule["refuse"] or not all(hold(rule.get(part, {}), now, value) for part in ("refuse", "when")):
        return ""
    if "unless" in rule and hold(rule["unless"], now):
        return ""
    if not hold(kept, now, value) or any(other in given or not is_open(other, now) for other in kept):
        return ""
    if prompt and ASKED_AGAIN.intersection(kept):
        return ""
    named: Answers = {"language_docs": QUESTIONS["language_docs"]["default"]}
    if product := rule.get("barred"):
        regulations = barring(product, now | {"regulations": listed(now.get("regulations", []))})
        if not regulations:
            return ""
        source = SOURCES[PRODUCTS[product][regulations[0]]["source"]]
        named |= {"barring": " and ".join(regulations), **source}
    if kind := rule.get("unconfirmed"):
        providers = {code: list(PROVIDERS_OF[code][kind]) for code in listed(now["languages"])}
        provider = "Deepgram" if kind == "flux" else now[f"{kind}_provider"]
        code = next((code for code in providers if provider not in providers[code]), None)
        if not code:
            return ""
        named |= {"code": code, "confirmed": " or ".join(providers[code])}
    if "changed" in rule:
        named["recorded"] = listed(recorded.get(name, value))[0]
        if not first or named["recorded"] == value:
            return ""
    word = {name: str(given.get(name, value)).lower()} if isinstance(value, bool) else {}
    return str(rule["say"].format(**now | named | word))
