"""Read a log of any format into a catalogue in memory, from which choices are learned and drawn."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from whimbrel.agent.learning.cases import BoundaryCase, read_boundary_cases
from whimbrel.agent.learning.sessions import Training, catalogue_of, read_training
from whimbrel.evals.data.logs import Log, events_of, read_log
from whimbrel.evals.data.research_logs import is_lastfm, read_artists
from whimbrel.tools.log.interaction_log import InteractionLog
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Occurrence
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.text.encoder import Vectors


def named_sources(sources: Sequence[str]) -> dict[str, str]:
    """Return the sources of arguments `NAME=SOURCE`, keyed by name. A source without a name is its own name.

    Example:
        >>> named_sources(["films=ml-100k", "shop.csv"])
        {'films': 'ml-100k', 'shop.csv': 'shop.csv'}
    """
    parts = (source.partition("=") for source in sources)
    return {name: source or name for name, _, source in parts}


def read_library(source: str, progress: Progress) -> InMemory:
    """Read a log into memory.

    Args:
        source: A log in a format of `ingest`, a Last.fm folder, the files `SESSIONS,ITEMS` that `fit` takes, or a file
            of boundary cases. A boundary case becomes a session.
        progress: Where progress is shown.

    Raises:
        DataError: a file is missing or of another form.
    """
    sessions, comma, items = source.partition(",")
    if comma:
        return catalogue_of(read_training(Path(sessions), Path(items)))
    path = Path(source)
    if path.suffix == ".jsonl":
        return catalogue_of(_training_of_boundaries(path))
    log = read_artists(path) if is_lastfm(path) else read_log(open_source(source), progress)
    return catalogue_in_memory(log)


def catalogue_in_memory(log: Log, modalities: Mapping[str, Vectors] | None = None) -> InMemory:
    """Return a log as a catalogue. Its histories keep event words and ratings, as those of a store do.

    Args:
        log: The log.
        modalities: Further vectors of its items, in their order (see `InMemory`).
    """
    interactions = InteractionLog.build(log.items, events_of(log))
    histories: dict[str, list[Occurrence]] = {user_id: [] for user_id in log.user_ids}
    for user, occurrence in zip(log.user, log.details or (), strict=False):
        histories[log.user_ids[user]].append(occurrence)
    # Training queries require that events at the same time have the same order in the history as in the log.
    ordered = {user_id: sorted(history, key=lambda event: event.key) for user_id, history in histories.items()}
    return InMemory(
        log.items, interactions, timed=True, histories=ordered if log.details else None, modalities=modalities
    )


def _training_of_boundaries(path: Path) -> Training:
    cases = [case for case in read_boundary_cases(path) if isinstance(case, BoundaryCase)]
    items = {item.item_id: item for case in cases for item in case.items}
    return Training.of(((case.user_id, [(item.item_id, None) for item in case.items]) for case in cases), items)
