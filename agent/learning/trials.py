"""Whether what comes from another store helps in this one. Held-out people say it, once, and nothing later is read."""

import json
from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b

from whimbrel import __version__
from whimbrel.agent.elsewhere import Elsewhere
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.learning.choice_sets import TrainingQuery, training_queries
from whimbrel.agent.learning.held_out import Verdict, compare
from whimbrel.agent.state import Request, Resources
from whimbrel.prompts.phrases import Phrases
from whimbrel.tools.files.disk_cache import DiskCache
from whimbrel.tools.files.paths import cache_folder
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.store.store import Store

MOST_PEOPLE = 100
"""Most people that are asked about, each at one moment near the end of the log."""
WARM_UP = 0.8
"""The share of the log before the first of these moments."""
FEW_EVENTS = 5
"""Who has fewer events here is new: the verdict is that of people asked about as if they had no history here."""
KEPT_BYTES = 1_000_000
Tell = Callable[[str], None]


@dataclass(frozen=True)
class Trials:
    """Tries what comes from another store on people of this one, and remembers the verdicts.

    Attributes:
        catalogue: This store.
        fitted: What was learned elsewhere, as this store may use it; None if there is none.
        name: Where it lies.
        elsewhere: Another store with histories of people of this one; None if there is none.
        tell: Called with what is being done.
    """

    catalogue: Catalogue
    fitted: Fitted | None = None
    name: str = ""
    elsewhere: Elsewhere | None = None
    tell: Tell = lambda words: None
    verdicts: dict[str, Verdict] = field(default_factory=dict)

    def of_weights(self, until: float) -> Verdict:
        """Compare the weights learned elsewhere with the shipped ones, on moments before a time."""
        fitted = self.fitted
        if fitted is None or fitted.origin.is_same_shop(self.catalogue):
            return Verdict()
        shipped = Resources(self.catalogue, Fitted.default())
        elsewhere = replace(shipped, fitted=replace(fitted, items=shipped.fitted.items))
        return self._verdict(
            f"weights {fitted.fusion.model_dump_json()}",
            until,
            lambda queries: compare(queries, lambda q: (_request(q), elsewhere), lambda q: (_request(q), shipped)),
            among=None,
        )

    def of_history(self, until: float, *, new: bool, fitted: Fitted) -> Verdict:
        """Compare lists with and without the history elsewhere, on moments of people of both stores before a time.

        Args:
            until: The time.
            new: Whether to ask as if these people had no history here.
            fitted: The models that rank.
        """
        elsewhere = self.elsewhere
        if elsewhere is None:
            return Verdict()
        without = Resources(self.catalogue, replace(fitted, items=Fitted.default().items))

        def request(query: TrainingQuery) -> Request:
            return replace(_request(query), history=()) if new else _request(query)

        with_it = replace(without, elsewhere=Elsewhere(elsewhere.catalogue, elsewhere.name, offers_owned=True))
        there = elsewhere.catalogue
        return self._verdict(
            f"history {new} {elsewhere.name} {there.state if isinstance(there, Store) else ''}",
            until,
            lambda queries: compare(queries, lambda q: (request(q), with_it), lambda q: (request(q), without)),
            among=set(there.log.user_rows),
        )

    def _verdict(
        self,
        what: str,
        until: float,
        judge: Callable[[Sequence[TrainingQuery]], Verdict],
        *,
        among: Collection[str] | None,
    ) -> Verdict:
        end = self.catalogue.log.end
        until = until if end is not None and until <= end else float("inf")
        store = self.catalogue if isinstance(self.catalogue, Store) else None
        key = blake2b(
            json.dumps(
                [__version__, what, until, store.location if store else "", store.state if store else ""]
            ).encode()
        ).hexdigest()
        if key in self.verdicts:
            return self.verdicts[key]
        cache = DiskCache(cache_folder() / "trials", most_bytes=KEPT_BYTES) if store else None
        try:
            kept = cache.get([key]).get(key) if cache else None
            if kept is None:
                self.tell("Trying what comes from elsewhere on held-out people")
                kept = asdict(judge(self._queries(until, among)))
                if cache:
                    cache.put({key: kept})
        finally:
            if cache:
                cache.close()
        verdict = self.verdicts[key] = Verdict(**kept)
        return verdict

    def _queries(self, until: float, among: Collection[str] | None) -> list[TrainingQuery]:
        """Draw one moment of each of MOST_PEOPLE people, in order of time."""
        drawn: dict[str, TrainingQuery] = {}
        for query in training_queries(self.catalogue, most=4 * MOST_PEOPLE, warm_up=WARM_UP, until=until, among=among):
            drawn.setdefault(query.user, query)
            if len(drawn) == MOST_PEOPLE:
                break
        return sorted(drawn.values(), key=lambda query: (query.before, query.user))


def _request(query: TrainingQuery) -> Request:
    return Request(user_id=query.user, at=query.before, context=query.context)


def use_weights(trials: Trials, until: float, say: Phrases) -> tuple[bool, tuple[str, ...]]:
    """Return whether to rank with what was learned elsewhere at a moment, and a note if it is switched off.

    It is, if held-out people of this store surely enough lose by it.
    """
    if trials.fitted is None:
        return False, ()
    verdict = trials.of_weights(until)
    if not verdict.is_behind:
        return True, ()
    return False, (say.notes.no_transfer.format(store=trials.name, verdict=verdict.words(say)),)


def use_history(
    trials: Trials, request: Request, until: float, fitted: Fitted, say: Phrases
) -> tuple[Elsewhere | None, tuple[str, ...]]:
    """Return the other store if the history there is used for a request, and a note if it is not.

    It is used if people with as long a history here gain by it, or if too few people are in both stores to say.
    """
    elsewhere, catalogue = trials.elsewhere, trials.catalogue
    if elsewhere is None or not request.user_id or not elsewhere.knows(request.user_id):
        return None, ()
    is_known = request.user_id in catalogue.log.user_rows
    events = len(catalogue.history(request.user_id, before=until)) if is_known else 0
    new = events < FEW_EVENTS
    verdict = trials.of_history(until, new=new, fitted=fitted)
    if not verdict.is_known or verdict.is_ahead:
        return elsewhere, ()
    note = say.notes.no_history_new if new else say.notes.no_history
    return None, (note.format(store=elsewhere.name, verdict=verdict.words(say)),)
