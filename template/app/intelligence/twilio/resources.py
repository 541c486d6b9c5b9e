"""Conversation Intelligence: custom operator, configuration with one rule an operator, link to the conversations."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Any

from app import config
from app.intelligence.operator_file import OPERATOR, load_operator
from app.intelligence.twilio import TwilioIntelligenceSettings
from app.intelligence.twilio.payload import TWILIO_OPERATORS
from app.orchestrator.resources import ConversationConfiguration
from kit.setup.api import Record, SetupError
from kit.setup.resource import UNKNOWN_UNTIL_APPLY, Proof, Resource, Step
from kit.setup.verify import webhook_proofs

URL = "https://intelligence.twilio.com/v3/ControlPlane"
PATH = "/webhooks/intelligence"
SCRIPT = "script.md"  # beside the prompt: the script of Script Adherence
ENDING = "CONVERSATION_END"
COUNT = TwilioIntelligenceSettings.model_fields["operator_count"]


class CustomOperator(Resource):
    """The operator of agent/operator.yml, or one of the account. A change creates a new operator."""

    kind = "operator"
    is_replaced = True
    flag = "operator"

    async def fetch(self, id: str) -> Record | None:
        return await self.api.find(f"{URL}/Operators/{id}")

    async def search(self) -> Record | None:
        """The operator of that name, preferably one equal to agent/operator.yml. Without the file, the user chooses."""
        own = [
            each for each in await self.api.list_all(f"{URL}/Operators", "operators") if each.get("author") != "TWILIO"
        ]
        definition = self._definition()
        if definition is None:
            options = [(str(each["displayName"]), str(each["id"])) for each in own]
            return await self.fetch(await self.setup.choices.choose("operator", options))
        named = [
            record
            for each in own
            if each.get("displayName") == definition["displayName"]
            if (record := await self.fetch(each["id"]))
        ]
        return next((each for each in named if matches(each, definition)), named[0] if named else None)

    def _definition(self) -> Record | None:
        path = self.setup.folder / OPERATOR
        if "operator" in self.setup.choices.flags or not path.exists():
            return None
        try:
            return load_operator(self.setup.folder).model_dump(by_alias=True, exclude_none=True)
        except ValueError as error:
            raise SetupError(str(error), 2) from None

    async def wanted_fields(self, existing: Record | None) -> Record:
        return self._definition() or {}

    async def create(self, wanted: Record) -> str:
        return self.id_of(await self.api.send_json("POST", f"{URL}/Operators", wanted))

    async def change(self, id: str, fields: Record) -> str:
        return await replace(self, id)

    async def restore(self, id: str, fields: Record) -> None:
        """Nothing to restore: the old one is unchanged."""

    async def delete(self, id: str) -> None:
        await self.api.delete(f"{URL}/Operators/{id}")


class IntelligenceConfiguration(Resource):
    """A change creates a new configuration and moves the link: a version made by PUT never becomes active."""

    kind = "intelligence configuration"
    is_replaced = True
    requires = ("operator",)
    variable = "TWILIO_INTELLIGENCE_CONFIGURATION_ID"
    flag = "intelligence"

    async def fetch(self, id: str) -> Record | None:
        return await self.api.find(f"{URL}/Configurations/{id}")

    async def search(self) -> Record | None:
        """The configuration with our name, preferably one with the wanted rules."""
        found = []
        for each in await self.api.list_all(f"{URL}/Configurations", "configurations"):
            if each.get("displayName") == self.setup.name and (record := await self.fetch(each["id"])):
                found.append(record)
        wanted = comparable_rules((await self.wanted_fields(None))["rules"]) if found else None
        return next(
            (each for each in found if comparable_rules(each.get("rules")) == wanted), found[0] if found else None
        )

    async def read(self) -> Record | None:
        """An interrupted replacement may have left a configuration with the wanted rules; it is preferred to `.env`."""
        record = await super().read()
        wanted = comparable_rules((await self.wanted_fields(record))["rules"]) if record else None
        if record and comparable_rules(record.get("rules")) != wanted:
            other = await self.search()
            if other and comparable_rules(other.get("rules")) == wanted:
                return other
        return record

    async def wanted_fields(self, existing: Record | None) -> Record:
        hook = {"type": "WEBHOOK", "method": "POST", "url": f"{self.setup.settings.public_url}{PATH}"}
        often = {"on": "COMMUNICATION", "parameters": {"count": self._count}}
        rules = [
            {"operators": [operator], "triggers": [{"on": ENDING} if kind == "summary" else often], "actions": [hook]}
            for kind, operator in await self._operators()
        ]
        if existing:
            return {"rules": rules}
        return {
            "displayName": self.setup.name,
            "description": f"Operators of {self.setup.name}",
            "rules": rules,
        }

    @property
    def _count(self) -> int:
        """After how many communications an operator runs. Raises SetupError."""
        text = self.setup.value(str(COUNT.alias)) or str(COUNT.default)
        if text not in map(str, range(1, 21)):
            raise SetupError(f"{COUNT.alias} is {text!r}. {COUNT.description}", 2)
        return int(text)

    async def _operators(self) -> list[tuple[str, Record]]:
        """(kind, operator) pairs: Twilio's operators by name, the custom operator by id."""
        if "operators" not in self.setup.records:
            self.setup.records["operators"] = {"all": await self.api.list_all(f"{URL}/Operators", "operators")}
        known: list[Record] = self.setup.records["operators"]["all"]
        found = []
        for kind in config.OPERATORS:
            if kind == "custom":
                id = self.setup.ids[CustomOperator.kind]
            else:
                fixed = next(id for id, name in TWILIO_OPERATORS.items() if name == kind)
                named = [each["id"] for each in known if slug(each) == kind and each.get("author") == "TWILIO"]
                id = next(iter(named), fixed)
            found.append((kind, {"id": id, **self._parameters(kind)}))
        return found

    def _parameters(self, kind: str) -> Record:
        script = self.setup.folder / SCRIPT
        if kind == "script_adherence" and script.exists():
            return {"parameters": {"script": script.read_text(encoding="utf-8").strip()}}
        return {}

    def same(self, name: str, before: Any, after: Any) -> bool:
        return comparable_rules(before) == comparable_rules(after)  # of a configuration that exists, only rules differ

    async def create(self, wanted: Record) -> str:
        return self.id_of(await self.api.send_json("POST", f"{URL}/Configurations", wanted))

    async def change(self, id: str, fields: Record) -> str:
        """Create a new configuration. IntelligenceLink deletes the old one if setup created it."""
        return await replace(self, id)

    async def restore(self, id: str, fields: Record) -> None:
        """Nothing to restore: the old one is unchanged."""

    async def delete(self, id: str) -> None:
        await self.api.delete(f"{URL}/Configurations/{id}")

    def notes(self, step: Step) -> Sequence[str]:
        notes = []
        if step.action == "change":
            notes.append("It is created again, since a changed version would not become active; the link moves to it.")
        if step.action != "keep" and set(config.OPERATORS) - {"summary"}:
            notes.append(
                f"Operators run after every {self._count} communications, of which a spoken reply is several. "
                f"Each run is billed by its characters: {COUNT.alias} makes it rarer."
            )
        if "script_adherence" in config.OPERATORS and not (self.setup.folder / SCRIPT).exists():
            notes.append(f"Script Adherence has no script: write agent/{SCRIPT}, and apply again.")
        return notes

    async def proofs(self, record: Record) -> AsyncIterator[Proof]:
        attached = {each.get("id") for rule in record.get("rules") or [] for each in rule.get("operators") or []}
        for kind, operator in await self._operators():
            ok = operator["id"] in attached
            detail = f"{operator['id']} is in no rule of {record['id']}: agent setup apply attaches it."
            yield Proof(self.key, f"{kind} is attached to this configuration", ok, "" if ok else detail)
        async for proof in webhook_proofs(self.setup, self.key, PATH, body={"operatorResults": []}):
            yield proof


class IntelligenceLink(Resource):
    """The conversation configuration names the intelligence configuration."""

    kind = "intelligence link"
    requires = ("conversation configuration", "intelligence configuration")

    def __init__(self, setup: Any, key: str = "") -> None:
        super().__init__(setup, key)
        self.configuration = ConversationConfiguration(setup)

    async def read(self) -> Record | None:
        """Never None: without a conversation configuration, an empty link."""
        id = self.setup.ids["conversation configuration"]
        return (await self.fetch(id) if id != UNKNOWN_UNTIL_APPLY else None) or {
            "id": UNKNOWN_UNTIL_APPLY,
            "intelligenceConfigurationIds": [],
        }

    async def fetch(self, id: str) -> Record | None:
        """`replacedNotDeleted` lists replaced resources that setup created and has not deleted yet."""
        record = await self.configuration.fetch(id)
        return record and {**record, "replacedNotDeleted": self._replaced_not_deleted()}

    def _replaced_not_deleted(self) -> list[str]:
        """Configurations first, then the operators in them."""
        known = [(self.setup.journal.entry(each.kind), self.setup.ids.get(each.kind)) for each in REPLACED]
        return [
            id
            for entry, now in known
            for id in entry.get("replaced", [])
            if id in entry.get("created", []) and id != now
        ]

    async def wanted_fields(self, existing: Record | None) -> Record:
        ours = self.setup.ids[IntelligenceConfiguration.kind]
        entry = self.setup.journal.entry(IntelligenceConfiguration.kind)
        old = {
            *entry.get("replaced", []),
            *entry.get("created", []),
            self.setup.value(IntelligenceConfiguration.variable or ""),
        }
        others = [id for id in (existing or {}).get("intelligenceConfigurationIds") or [] if id not in old - {ours}]
        linked = others if ours in others else [*others, ours]
        if len(linked) > 5:
            raise SetupError("The conversation configuration is linked to five others already. Take one away first.")
        return {"intelligenceConfigurationIds": linked, "replacedNotDeleted": []}

    async def change(self, id: str, fields: Record) -> str:
        if "intelligenceConfigurationIds" in fields:
            await self.configuration.change(
                id, {"intelligenceConfigurationIds": fields["intelligenceConfigurationIds"]}
            )
        for old in self._replaced_not_deleted():
            kind = next(each for each in REPLACED if old in self.setup.journal.entry(each.kind).get("created", []))
            await kind(self.setup).delete(old)
            self.setup.journal.record_deleted(kind.kind, old)
        return id

    async def restore(self, id: str, fields: Record) -> None:
        if "intelligenceConfigurationIds" in fields:
            ids = fields["intelligenceConfigurationIds"] or []
            await self.configuration.change(id, {"intelligenceConfigurationIds": ids})


REPLACED: list[type[Resource]] = [IntelligenceConfiguration, CustomOperator]


async def replace(resource: Resource, id: str) -> str:
    """Create the resource again. IntelligenceLink deletes the old one if setup created it."""
    wanted = await resource.wanted_fields(None)
    journal, key = resource.setup.journal, resource.key
    journal.update(key, replaced=[*journal.entry(key).get("replaced", []), id], pending={"replaces": id})
    return await resource.create_and_record(wanted)


def matches(record: Record, wanted: Record) -> bool:
    return all(record.get(name) == value for name, value in wanted.items())


def comparable_rules(rules: Any) -> list[Any]:
    """Operators, triggers with their count, and webhook URLs of rules, sorted and without ids."""
    return sorted(
        (
            sorted((each.get("id"), str(each.get("parameters") or {})) for each in rule.get("operators") or []),
            sorted((str(each.get("on")), count_of(each)) for each in rule.get("triggers") or []),
            sorted(str(each.get("url")) for each in rule.get("actions") or []),
        )
        for rule in rules or []
    )


def count_of(trigger: Record) -> int:
    """After how many communications it fires; without parameters, after each."""
    return int((trigger.get("parameters") or {}).get("count") or 1)


def slug(operator: Record) -> str:
    return "_".join(str(operator.get("displayName", "")).lower().split())


RESOURCES: list[type[Resource]] = [
    *([CustomOperator] if "custom" in config.OPERATORS else []),
    IntelligenceConfiguration,
    IntelligenceLink,
]
