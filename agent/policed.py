"""Lists under the operator's policy, where nobody can be asked."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.policy import Facts, Policy
from whimbrel.agent.schema.results import Recommendations
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.conditions import Condition
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.field_table import FieldTable


class HasFields(Protocol):
    """Anything with a log and the fields of its items."""

    @property
    def log(self) -> InteractionLog:
        """The interactions with the items."""

    @property
    def fields(self) -> FieldTable:
        """The fields of all items as columns, one row for each item of the log."""


def under_policy(context: Context, policy: Policy, facts: Facts, catalogue: Catalogue) -> Context:
    """Return a context that admits only what a policy lets be shown unasked.

    Items behind a gate are left out. While a fact that the policy needs is unknown, nothing is admitted.

    Args:
        context: The context of the request.
        policy: The policy.
        facts: What is known of the person.
        catalogue: The items.
    """
    required = policy.required(facts)
    if policy.missing_facts(facts):
        required = [*required, _NOTHING]
    held = ids_where_any(policy.gate, catalogue)
    return context.model_copy(
        update={
            "conditions": (*context.conditions, *required),
            "repeat": context.repeat or policy.repeat,
            "unavailable": tuple(dict.fromkeys([*context.unavailable, *held])),
        }
    )


def ids_where_any(conditions: Sequence[Condition], catalogue: HasFields) -> tuple[str, ...]:
    """Return the ids of the items that fulfil any of the conditions, such as gates."""
    rows = {int(row) for one in conditions for row in np.flatnonzero(catalogue.fields.rows_where([one]))}
    return tuple(catalogue.log.item_ids[row] for row in sorted(rows))


def unknown_field_notes(policy: Policy, catalogue: HasFields, say: Phrases) -> list[str]:
    """Return a note for each field that a policy needs and no item has, since its rule then holds nothing back."""
    return [say.notes.no_policy_field.format(name=name) for name in policy.unknown_fields(catalogue.fields.columns)]


_NOTHING = Condition(field="title", op="in", value=())
"""No item fulfils it."""


def with_disclosures(
    answer: Recommendations, policy: Policy, facts: Facts, catalogue: Catalogue, say: Phrases
) -> Recommendations:
    """Return an answer with what a policy has said with each item, and with what facts it lacks."""
    items = catalogue.items([entry.item_id for entry in answer.recommendations])
    entries = tuple(
        entry.model_copy(update={"disclosures": policy.disclosures(items[entry.item_id])})
        for entry in answer.recommendations
    )
    missing = {rule.fact: rule.op for rule in policy.missing_facts(facts)}
    warnings = [
        say.notes.no_fact.format(name=name, example="4" if op in {"<", "<=", ">", ">="} else "...")
        for name, op in sorted(missing.items())
    ]
    warnings += unknown_field_notes(policy, catalogue, say)
    return answer.model_copy(update={"recommendations": entries, "warnings": (*answer.warnings, *warnings)})
