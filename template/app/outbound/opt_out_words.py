"""Words in a call that mean: do not call me again. English and Spanish; in other languages the model understands them.

Reasonable words are enough (47 CFR 64.1200(a)(10)). In doubt they count: a call too few does no harm. Neither lawyers
nor native speakers have reviewed them.
"""

from __future__ import annotations

import re
import unicodedata

LONGEST = 1000  # characters that are examined
CLAUSE = re.compile(r"[.!?;:,\n¡¿…]+")
STOP = re.compile(
    r"\b(?:"
    r"(?:stop|quit|cease) (?:\w+ ){0,2}(?:call|calls|calling|contacting|phoning|ringing|bothering|harassing)"
    r"|(?:do not|don t|dont|never) (?:you )?(?:ever )?(?:call|phone|ring|contact|bother) (?:me|us|here|this number|"
    r"my (?:phone|number|house|home))(?: (?:again|any ?more|ever|please|back)\b|$)"
    r"|(?:do not|don t|dont|no longer) want (?:\w+ ){0,4}(?:calls?|to be (?:called|contacted|phoned))"
    r"|no more (?:\w+ )?calls?"
    r"|(?:take|remove|delete|get|strike) (?:me|my (?:\w+ )?number|this number|us) (?:from|off)"
    r"|put (?:me|my number|this number|us) on (?:\w+ ){0,3}do not call"
    r"|do not call list"
    r"|(?:revoke|withdraw|take back|cancel) (?:my|our|all|any|the) (?:\w+ )?(?:consent|permission)"
    r"|unsubscribe (?:me|us|this number)|opt (?:me |us )?out|lose my number|leave (?:me|us) alone"
    r"|(?:no|ya no) me (?:vuelvan? a llamar|llamen?|llames)(?: mas| nunca| otra vez| por favor|$)"
    r"|(?:deje|dejen|deja) de (?:llamar|llamarme|molestar|molestarme)|no (?:quiero|deseo) (?:\w+ ){0,3}llamadas"
    r"|(?:quite|quiten|borre|borren|elimine|eliminen) (?:me|mi numero)|retiro mi consentimiento|no mas llamadas"
    r")"
)
# A question, a report, or the contrary.
UNLESS = re.compile(
    r"\b(?:why|how|when|what|who|did|if)\b.*\b(?:stop|call|remove|opt)"
    r"|(?:do not|don t|dont|didn t|never) (?:stop|remove|opt)"
    r"|\b(?:tell|ask|make|get) (?:him|her|them) to stop|\b(?:he|she|they|somebody|someone|people) .*\bstop"
)


def is_opt_out(text: str) -> bool:
    """Whether a caller asks for no more calls, in one of the clauses."""
    clauses = (plain(clause) for clause in CLAUSE.split(text[:LONGEST]))
    return any(STOP.search(clause) and not UNLESS.search(clause) for clause in clauses if clause)


def plain(text: str) -> str:
    """Lower case, without accents, with single spaces for everything that is no letter or digit."""
    text = "".join(char for char in unicodedata.normalize("NFKD", text.casefold()) if not unicodedata.combining(char))
    return " ".join("".join(char if char.isalnum() else " " for char in text).split())
