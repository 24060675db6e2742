"""The three cases that `whimbrel demo --case` shows, each with a real log: a shop, news, a social network.

A log is cut at one moment. What was before it is known to every system. What people did from then on is only compared.
The news log has no times: it is cut between each person's history and the pieces of news shown to them next.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from whimbrel.agent.agent import Agent
from whimbrel.agent.demo import demo_folder, open_demo
from whimbrel.agent.fitted import Fitted
from whimbrel.agent.learning.cases import Case, read_cases
from whimbrel.agent.learning.sessions import SessionEvent, Training, catalogue_of, training_of_cases
from whimbrel.evals.data.logs import Log
from whimbrel.evals.studies.topic_windows import Meetings, Windowing, meetings_of, meetings_of_cases
from whimbrel.tools.errors import ConfigError, StoreError
from whimbrel.tools.progress import Progress
from whimbrel.tools.records import Item
from whimbrel.tools.retrieval.catalogue import Catalogue
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.store import Store, open_store

CaseName = Literal["shop", "news", "social"]

DATA_VARIABLE = "WHIMBREL_DATA"
"""The environment variable that names the folder of the logs that do not come with the package."""
KNOWN_SHARE = 0.8
"""The log is cut where this share of its events has happened."""
LEAST_EVENTS = 8
"""A person who is asked about has at least this many events before the cut."""

Figures = tuple[int, int, int]
"""Accuracy, precision and recall in percent."""


@dataclass(frozen=True)
class DemoCase:
    """What a case shows.

    Attributes:
        log: What the log is, in a sentence.
        caution: In what the log is not what the name of the case promises; "" if it is.
        weights: Which weights Whimbrel has.
        k: The length of the lists that are measured.
        windowing: How the log is cut into windows to forecast topics.
        book: What the book claims for this domain.
        book_cf: What the book gives for collaborative filtering.
        path: The file or folder below the data folder; "" if the log comes with the package.
    """

    log: str
    caution: str
    weights: str
    k: int
    windowing: Windowing
    book: Figures
    book_cf: Figures
    path: str = ""


ALSO_LEARNED = "shipped weights, which were learned on four logs, this one among them"

CASES: dict[CaseName, DemoCase] = {
    "shop": DemoCase(
        log="The Complete Journey: a year of grocery shopping (2017), every twelfth household",
        caution="",
        weights=ALSO_LEARNED,
        k=10,
        windowing=Windowing(days=14),
        book=(85, 75, 70),
        book_cf=(60, 50, 40),
    ),
    "news": DemoCase(
        log="MIND: 100 people of a news site, what each had read, and ten pieces of news shown next (2019)",
        caution="This is a sample of 100 impressions without times, not the whole log. One of the ten was clicked.",
        weights="shipped weights, which were learned on four other logs",
        k=3,
        windowing=Windowing(events=3),
        book=(80, 78, 75),
        book_cf=(65, 60, 50),
        path="mind/valid.jsonl",
    ),
    "social": DemoCase(
        log="MovieTweetings: films that people rated in public on Twitter, February to September 2013",
        caution="This is not a social network as a whole: it has posts about films, but not who follows whom.",
        weights=ALSO_LEARNED,
        k=10,
        windowing=Windowing(days=14),
        book=(90, 88, 85),
        book_cf=(75, 70, 60),
        path="movietweetings",
    ),
}


@dataclass(frozen=True)
class Person:
    """A person at the cut.

    Attributes:
        history: The events before the cut, in order.
        at: The cut in Unix seconds; None if the log has no times.
        candidates: The items to rank; None for the whole catalogue.
        later: What the person chose from the cut on. No system sees it.
    """

    user_id: str
    history: Sequence[Item]
    at: float | None
    candidates: Sequence[Item] | None
    later: Sequence[Item]


@dataclass(frozen=True)
class CaseLog:
    """The log of a case.

    Attributes:
        agent: Whimbrel over the log, with the shipped weights and without a language model.
        catalogue: The items and the log, to open further agents over.
        people: The people who can be asked about, in random order.
        items: All items.
        training: What others learn from: the log before the cut.
        meetings: The log in windows.
    """

    agent: Agent
    catalogue: Catalogue
    people: Sequence[Person]
    items: Sequence[Item]
    training: Training
    meetings: Meetings


def open_case(name: CaseName, progress: Progress, *, seed: int = 0) -> CaseLog:
    """Open the log of a case. The first call reads it into a store, which is kept.

    Args:
        name: The case.
        progress: Shows the progress of reading the log.
        seed: The seed of the order of people.

    Raises:
        ConfigError: the folder of data is not named, or does not hold the log.
    """
    case = CASES[name]
    if name == "news":
        return _case_of_impressions(_data_path(case), case, seed)
    store = _shop_store(progress) if name == "shop" else _social_store(case, progress)
    progress.step("Cutting the log", None)
    return _case_of_store(store, case, seed)


def _data_path(case: DemoCase) -> Path:
    folder = os.environ.get(DATA_VARIABLE, "")
    path = Path(folder) / case.path
    if not folder or not path.exists():
        raise ConfigError(
            f"this case reads a log that does not come with the package: set {DATA_VARIABLE} to the folder that holds "
            f"{case.path!r}" + (f" ({folder!r} does not)" if folder else "")
        )
    return path


def _shop_store(progress: Progress) -> Store:
    open_demo("none", progress, lambda words: None).close()
    return open_store(demo_folder())


def _social_store(case: DemoCase, progress: Progress) -> Store:
    folder = demo_folder().with_name(f"social-{demo_folder().name}")
    try:
        return open_store(folder)
    except StoreError:
        # There is no store of this format yet.
        ingest(open_source(str(_data_path(case)), format="movielens"), folder, command="demo", progress=progress)
        return open_store(folder)


def _case_of_store(store: Store, case: DemoCase, seed: int) -> CaseLog:
    log = store.log
    cut = float(log.time[int(len(log.time) * KNOWN_SHARE)])
    by_id = store.items(log.item_ids)
    items = [by_id[item_id] for item_id in log.item_ids]
    known = np.bincount(log.user[log.time < cut], minlength=len(log.user_ids))
    later = np.bincount(log.user[log.time >= cut], minlength=len(log.user_ids))
    asked = np.random.default_rng(seed).permutation(np.flatnonzero((known >= LEAST_EVENTS) & (later > 0)))
    whole = Log(items, list(log.user_ids), log.user, log.item, log.time, rejected=0)
    return CaseLog(
        agent=Agent(store, None, fitted=Fitted.default()),
        catalogue=store,
        people=_People(store, [log.user_ids[user] for user in asked], cut),
        items=items,
        training=_training(whole, cut),
        meetings=meetings_of(whole, case.windowing),
    )


class _People(Sequence[Person]):
    """The people of a store, each read when asked for."""

    def __init__(self, store: Store, user_ids: Sequence[str], cut: float) -> None:
        self._store, self._user_ids, self._cut = store, user_ids, cut

    def __len__(self) -> int:
        return len(self._user_ids)

    def __getitem__(self, index: int) -> Person:  # type: ignore[override]  # no slices are needed
        history = self._store.history(self._user_ids[index])
        known = [event for event in history if event.time < self._cut]
        return Person(self._user_ids[index], known, self._cut, None, history[len(known) :])


def _training(log: Log, cut: float) -> Training:
    sessions: dict[str, list[SessionEvent]] = {}
    for row in np.flatnonzero(log.time < cut):
        event = SessionEvent(log.items[log.item[row]].item_id, float(log.time[row]))
        sessions.setdefault(log.user_ids[log.user[row]], []).append(event)
    return Training.of(sessions.items(), {item.item_id: item for item in log.items})


def _case_of_impressions(path: Path, case: DemoCase, seed: int) -> CaseLog:
    cases = [case for case in read_cases(path) if isinstance(case, Case)]
    training = training_of_cases((case.blind, ()) for case in cases)
    order, catalogue = np.random.default_rng(seed).permutation(len(cases)), catalogue_of(training)
    return CaseLog(
        agent=Agent(catalogue, None, fitted=Fitted.default()),
        catalogue=catalogue,
        people=[_reader(cases[number]) for number in order],
        items=training.items,
        training=training,
        meetings=meetings_of_cases(path, case.windowing),
    )


def _reader(case: Case) -> Person:
    clicked = [item for item in case.blind.candidates if item.item_id in case.relevant]
    return Person(case.blind.user_id, case.blind.history, None, case.blind.candidates, clicked)
