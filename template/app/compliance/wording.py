"""Legal sentences by language: yours in `agent/`, and the template's for those that it lacks. Not legal advice."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml
from pydantic import TypeAdapter, ValidationError

import agent

FORMAT = TypeAdapter(dict[str, dict[str, bool | str]])


class Wording:
    """The sentences of `agent/<name>.yml`: by language, then by name. `reviewed: true` when a lawyer has read them.

    Raises ValueError for a file that is not like this: no sentence is left out silently.
    """

    def __init__(self, name: str, defaults: Mapping[str, Mapping[str, str]]) -> None:
        self.file = f"agent/{name}.yml"
        self.defaults = defaults
        path = Path(agent.__path__[0], f"{name}.yml")
        text = path.read_text(encoding="utf-8") if path.is_file() else ""
        try:
            self.own = FORMAT.validate_python(yaml.safe_load(text) or {}, strict=True)
        except yaml.YAMLError as error:
            raise ValueError(f"{self.file} is not YAML: {' '.join(str(error).split())}") from None
        except ValidationError as error:
            place = ".".join(map(str, error.errors()[0]["loc"][:2]))
            raise ValueError(f"{self.file}: {place or 'the file'} must be a sentence, or reviewed: true.") from None

    def sentence(self, language: str, name: str) -> str:
        """The sentence in that language, or in the first one of the project; "" for one that nobody has written."""
        if language not in self.defaults:
            language = next(iter(self.defaults))
        own = str(self.own.get(language, {}).get(name, "")).strip()
        return own or self.defaults[language].get(name, "")

    def unreviewed(self) -> list[str]:
        """The languages in which no lawyer has read every sentence."""
        return [
            language
            for language, sentences in self.defaults.items()
            if self.own.get(language, {}).get("reviewed") is not True
            or any(text and not self.own[language].get(name) for name, text in sentences.items())
        ]
