"""The operator's policy: what code enforces in every list and conversation, whatever a person or a model says."""

import json
import re
import tomllib
from collections.abc import Container, Mapping, Sequence
from functools import reduce
from importlib import resources
from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from whimbrel.tools.clean import clean_text
from whimbrel.tools.conditions import Condition, Op
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.fields import LONGEST_FIELD
from whimbrel.tools.records import Item

PACKS = ("minors", "health", "finance", "home")
"""The policies that are shipped, in `agent/policies`."""
_ALWAYS = ("title", "text", "topics", "price")
_IS_AMOUNT = re.compile(r"[-+]?\d+(?:\.\d+)?|\d{4}-\d{2}(?:-\d{2})?.*")
"""A number or a date."""
Facts = Mapping[str, tuple[str, ...]]
"""What is known of the person, keyed by name: `{"services": ("Hulu", "Netflix")}`."""


class Rule(BaseModel):
    """A condition of a policy. Its value may be a fact about the person: `{"fact": "services"}`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    field: Annotated[str, Field(min_length=1, max_length=LONGEST_FIELD)]
    op: Op
    value: Any

    @property
    def fact(self) -> str:
        """The name of the fact that the value is; "" if the value is given."""
        is_fact = isinstance(self.value, dict) and set(self.value) == {"fact"} and isinstance(self.value["fact"], str)
        return self.value["fact"] if is_fact else ""

    def condition(self, facts: Facts) -> Condition | None:
        """Return the condition for a person, or None if it needs a fact that is not known."""
        if not self.fact:
            return Condition(field=self.field, op=self.op, value=self.value)
        known = facts.get(self.fact)
        takes_list = self.op in {"in", "not_in", "contains_any"}
        if known and self.op in {"<", "<=", ">", ">="} and not _IS_AMOUNT.fullmatch(known[0].strip()):
            return None  # "high" is no amount
        if known is None or (not takes_list and not any(known)):
            return None
        return Condition(field=self.field, op=self.op, value=known if takes_list else (known[0] if known else ""))


class Disclosure(BaseModel):
    """What must be said with an item that fulfils a condition."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    when: Condition
    words: Annotated[str, BeforeValidator(clean_text), Field(min_length=1, max_length=500)]


class Policy(BaseModel):
    """The rules of the operator.

    Attributes:
        require: Every shown item fulfils all of them.
        gate: An item that fulfils one of them is shown only after the person said yes to the question about it.
        disclose: What is said with an item.
        one_at_a_time: Whether lists have one item.
        repeat: Whether items may be shown that the person chose, rated or saw before.
        sensitive: Topics that are never inferred, shifted to, named or sent.

    Example:
        >>> Policy.model_validate({"gate": [{"field": "rated", "op": "==", "value": "R"}]}).gate[0].field
        'rated'
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    require: tuple[Rule, ...] = ()
    gate: tuple[Condition, ...] = ()
    disclose: tuple[Disclosure, ...] = ()
    one_at_a_time: bool = False
    repeat: bool = False
    sensitive: tuple[Annotated[str, BeforeValidator(clean_text), Field(min_length=1, max_length=200)], ...] = ()

    def __add__(self, other: "Policy") -> "Policy":
        """Return a policy with the rules of both."""
        return Policy(
            require=(*self.require, *other.require),
            gate=(*self.gate, *other.gate),
            disclose=(*self.disclose, *other.disclose),
            one_at_a_time=self.one_at_a_time or other.one_at_a_time,
            repeat=self.repeat and other.repeat,
            sensitive=(*self.sensitive, *other.sensitive),
        )

    def required(self, facts: Facts) -> list[Condition]:
        """Return the conditions for a person. Rules that need an unknown fact are left out (see `missing_facts`)."""
        return [condition for rule in self.require if (condition := rule.condition(facts)) is not None]

    def missing_facts(self, facts: Facts) -> list[Rule]:
        """Return the rules that need a fact that is not known."""
        return [rule for rule in self.require if rule.fact and rule.condition(facts) is None]

    def admits(self, item: Item, facts: Facts, opened: Sequence[Condition] = ()) -> bool:
        """Return whether an item may be shown or spoken of: what is required holds, and its gates are open."""
        if self.missing_facts(facts) or any(gate.holds(item) for gate in self.closed(opened)):
            return False
        return all(condition.holds(item) for condition in self.required(facts))

    def unknown_fields(self, fields: Container[str]) -> list[str]:
        """Return the fields that a rule needs and that no item has. Such a gate is never closed."""
        needed = [*(rule.field for rule in self.require), *(gate.field for gate in self.gate)]
        return sorted({name for name in needed if name not in fields and name not in _ALWAYS})

    def closed(self, opened: Sequence[Condition]) -> list[Condition]:
        """Return the gates that the person has not opened."""
        return [gate for gate in self.gate if gate not in opened]

    def disclosures(self, item: Item) -> tuple[str, ...]:
        """Return what must be said with an item."""
        return tuple(rule.words for rule in self.disclose if rule.when.holds(item))


def load_policies(names: Sequence[str]) -> Policy | None:
    """Read policies and join their rules; None if there are no names (see `load_policy`)."""
    policies = [load_policy(name) for name in names]
    return reduce(Policy.__add__, policies) if policies else None


def load_policy(path: str | Path) -> Policy:
    """Read a policy that is shipped by its name, or one from a JSON or TOML file.

    Args:
        path: One of PACKS, or the path of a file.

    Raises:
        ConfigError: The file cannot be read, or says something that is no policy.
    """
    if path in PACKS:
        text = resources.files("whimbrel.agent.policies").joinpath(f"{path}.toml").read_text("utf-8")
        return Policy.model_validate(tomllib.loads(text))
    try:
        file = Path(path).expanduser()
    except RuntimeError as error:
        raise ConfigError(f"--policy {str(path)!r} cannot be read: {error}") from error
    try:
        text = file.read_text(encoding="utf-8-sig")
        document = tomllib.loads(text) if file.suffix == ".toml" else json.loads(text)
        policy = Policy.model_validate(document)
        for rule in policy.require:
            rule.condition({rule.fact: ("1",)} if rule.fact else {})
    except (RecursionError, ArithmeticError) as error:
        raise ConfigError(f"--policy {str(path)!r} holds a value that is too deep or too large") from error
    except OSError as error:
        why = f"cannot be read: {error.strerror or error}"
        raise ConfigError(f"--policy {str(path)!r} {why}; shipped policies are {', '.join(PACKS)}") from error
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(map(str, first["loc"])) or "the policy"
        raise ConfigError(f"--policy {str(path)!r}: {where}: {first['msg']}") from error
    except ValueError as error:
        raise ConfigError(f"--policy {str(path)!r} is neither JSON nor TOML: {error}") from error
    return policy


def parse_facts(pairs: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """Parse texts of the form `NAME=VALUE[,VALUE]`.

    Raises:
        ConfigError: A text has no `=`, or no name.

    Example:
        >>> parse_facts(["services=Hulu,Netflix"])
        {'services': ('Hulu', 'Netflix')}
    """
    facts: dict[str, tuple[str, ...]] = {}
    for pair in pairs:
        name, equals, values = pair.partition("=")
        if not equals or not name.strip():
            raise ConfigError(f"--fact {pair!r}: give NAME=VALUE, as in --fact services=Hulu,Netflix")
        facts[name.strip()] = tuple(value.strip() for value in values.split(",") if value.strip())
    return facts
