"""Lists under the operator's policy, where nobody can be asked."""

from typing import Protocol

import numpy as np

from whimbrel.agent.schema.context import Context
from whimbrel.agent.schema.policy import Facts, Policy
from whimbrel.agent.schema.results import Recommendations
from whimbrel.tools.conditions import Condition
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.retrieval.field_table import FieldTable


class HasFields(Protocol):
    """Anything with the fields of a catalogue."""

    @property
    def fields(self) -> FieldTable:
        """The fields of all items as columns."""


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
    held = np.zeros(len(catalogue.log.item_ids), dtype=bool)
    for gate in policy.gate:
        held |= catalogue.fields.rows_where([gate])
    ids = [catalogue.log.item_ids[row] for row in np.flatnonzero(held)]
    return context.model_copy(
        update={
            "conditions": (*context.conditions, *required),
            "unavailable": tuple(dict.fromkeys([*context.unavailable, *ids])),
        }
    )


def unknown_field_notes(policy: Policy, catalogue: "HasFields") -> list[str]:
    """Return a note for each field that a policy needs and no item has, since its rule then holds nothing back."""
    return [
        f"the policy reads the field {name!r}, which no item has: map a column to it, as in --map COLUMN=field.{name}"
        for name in policy.unknown_fields(catalogue.fields.columns)
    ]


_NOTHING = Condition(field="title", op="in", value=())
"""No item fulfils it."""


def with_disclosures(answer: Recommendations, policy: Policy, facts: Facts, catalogue: Catalogue) -> Recommendations:
    """Return an answer with what a policy has said with each item, and with what facts it lacks."""
    items = catalogue.items([entry.item_id for entry in answer.recommendations])
    entries = tuple(
        entry.model_copy(update={"disclosures": policy.disclosures(items[entry.item_id])})
        for entry in answer.recommendations
    )
    missing = {rule.fact: rule.op for rule in policy.missing_facts(facts)}
    warnings = [
        f"the policy needs the fact {name!r} to show anything: give it, as in --fact {name}="
        + ("4" if op in {"<", "<=", ">", ">="} else "...")
        for name, op in sorted(missing.items())
    ]
    warnings += unknown_field_notes(policy, catalogue)
    return answer.model_copy(update={"recommendations": entries, "warnings": (*answer.warnings, *warnings)})
