"""The doors of files that Whimbrel or another program wrote: what is stored, learned, measured and configured."""

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from itertools import count
from pathlib import Path
from typing import Any

from whimbrel.agent.agent import Agent
from whimbrel.agent.batch.answering import ListRequest
from whimbrel.agent.batch.recommend_all import recommend_all
from whimbrel.agent.chat.saved_talks import SavedTalk
from whimbrel.agent.demo import demonstrate
from whimbrel.agent.fitted import CALIBRATED, FUSION, Fitted
from whimbrel.agent.language_models.hosted import prices
from whimbrel.agent.language_models.hosted.prices import PRICES_VARIABLE
from whimbrel.agent.language_models.local import model_builds
from whimbrel.agent.learning.cases import read_boundary_cases, read_cases
from whimbrel.agent.learning.fit import fit_sessions, fit_store
from whimbrel.agent.learning.fitted_log import check_fitted_log, count_learned_cases, read_fitted_log
from whimbrel.agent.schema.policy import load_policy
from whimbrel.agent.shift.forecast import forecast_topics
from whimbrel.evals.data.folds import Protocol, write_folds
from whimbrel.evals.data.logs import read_log
from whimbrel.evals.data.research_logs import read_frappe, read_lastfm
from whimbrel.evals.reports.report import write_report
from whimbrel.evals.runs.plan import Plan
from whimbrel.evals.runs.run import load, run
from whimbrel.evals.studies.boundaries import measure_boundaries
from whimbrel.evals.studies.dialogue import read_catalogue, read_tasks
from whimbrel.evals.studies.dialogue_acts import read_acts
from whimbrel.evals.studies.fuzzed_door import Door
from whimbrel.evals.studies.fuzzed_shop import made_shop, opened_shop, real_beginning, shop_csv
from whimbrel.evals.studies.fuzzed_words import AT, LINES, show
from whimbrel.evals.studies.mutations import Files
from whimbrel.tools.errors import WhimbrelError
from whimbrel.tools.files.whole_files import MANIFEST
from whimbrel.tools.progress import NoProgress
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.store.person_files import REJECTS_FOLDER, TALKS_FOLDER
from whimbrel.tools.store.store import open_store

BOUNDARIES = (
    b'{"case_id": 1, "items": [{"item_id": 1, "title": "a", "topics": ["x"]}, {"item_id": 2, "title": "b", "topics": '
    b'["y"]}, {"item_id": 3, "title": "c", "topics": ["y"]}], "switch": [true, false]}\n'
)
FORGOTTEN_EACH = 4  # inputs of the door `store`: forgetting a person takes longer than answering one
DAYS = 40
"""A log of so many days is long enough for a fit."""


def talks(folder: Path) -> Door:
    """Saved conversations."""
    agent, seeds = opened_shop(folder), list[Files]()
    saved = SavedTalk(agent.store.folder, "u1", "x")
    for lines in LINES:
        saved.path.unlink(missing_ok=True)
        talk = agent.chat("u1", AT, session="x")
        talk.open()
        for line in lines.split("\n"):
            talk.say(line)
        seeds.append({"talk.json": saved.path.read_bytes()})

    def enter(folder: Path) -> None:
        _put(folder, saved.path.parent, {"talk.json": saved.path.name})
        agent.store.conversations("u1")
        talk = agent.chat("u1", AT, session="x")
        for turn in (talk.open(), talk.say("why the first one?"), talk.say("/undo")):
            show(turn)

    return Door(seeds, enter)


def _put(folder: Path, into: Path, names: Mapping[str, str] | None = None) -> None:
    """Put the files of an input in the place of all files of a folder, under other names if `names` has any."""
    shutil.rmtree(into, ignore_errors=True)
    for path in [path for path in folder.rglob("*") if path.is_file()]:
        name = str(path.relative_to(folder))
        target = into / (names or {}).get(name, name)
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, target)


def _files_of(folder: Path, *patterns: str) -> dict[str, bytes]:
    paths = [path for pattern in patterns or ("**/*",) for path in sorted(folder.glob(pattern)) if path.is_file()]
    return {str(path.relative_to(folder)): path.read_bytes() for path in paths}


def fitted(folder: Path) -> Door:
    """What was learned, in the folder of a store and in a folder of its own."""
    log = folder / "long.csv"
    log.write_text(shop_csv(DAYS))
    whole = read_log(open_source(str(log)))
    (fold, *_) = write_folds(whole, Protocol(refits=1), folder / "folds")
    fit_sessions(fold.sessions, fold.items, folder / "fit")
    store = made_shop(folder, DAYS)
    with open_store(store) as opened:
        fit_store(opened)
    calibrated = {CALIBRATED: (store / "fitted" / FUSION).read_bytes()}
    ways = [calibrated, _files_of(store / "fitted"), _files_of(folder / "fit")]
    seeds = [files for way in ways for files in (way, {n: d for n, d in way.items() if n != MANIFEST}) if files]
    agent, cases = (
        Agent.open(store, llm="none"),
        [case.blind for case in Plan(fold.cases, (), items=fold.items).read() if hasattr(case, "blind")],
    )

    def enter(folder: Path) -> None:
        learned = Fitted.load(folder)
        Agent(agent.store, None, fitted=learned).recommend("u1", AT, k=2)
        forecast_topics(agent.store.log, folder, "u1", before=float(AT))
        if (folder / "log.npz").is_file():
            check_fitted_log(folder)
            count_learned_cases(folder, cases)
            catalogue, learned = read_fitted_log(folder)
            Agent(catalogue, None, fitted=learned).choose(cases[0].history, k=2)

    return Door(seeds, enter)


def store(folder: Path) -> Door:
    """The files of a store: its database and index, and what is beside them."""
    made = made_shop(folder)
    with Agent.open(made, llm="none") as agent:
        agent.chat("u1", AT, session="x").open()
    (made / REJECTS_FOLDER).mkdir()
    row = {"file": "shop.csv", "line": 3, "reason": "title: none here", "fields": {"user_id": "u1"}}
    (made / REJECTS_FOLDER / "shop.csv.jsonl").write_text(json.dumps(row) + "\n")
    whole, beside = _files_of(made), ("log-", "seals", TALKS_FOLDER, REJECTS_FOLDER)
    derived = {name: data for name, data in whole.items() if name.startswith(beside)}
    rest = {name: data for name, data in whole.items() if name not in derived}
    numbers = count()

    def enter(folder: Path) -> None:
        number = next(numbers)
        place = folder.with_name(f"store-{number}")  # Chroma remembers folders, so each input gets one of its own
        _put(folder, place)
        if not any(name in rest for name in _files_of(folder)):
            for name, data in rest.items():
                (place / name).parent.mkdir(parents=True, exist_ok=True)
                (place / name).write_bytes(data)
        try:
            with Agent.open(place, llm="none") as agent:
                agent.recommend("u1", AT, k=2)
                agent.feedback("u1", "i5", "purchase", AT)
                agent.store.conversations("u1")
                if number % FORGOTTEN_EACH == 0:
                    agent.forget("u1")
        finally:
            shutil.rmtree(place, ignore_errors=True)

    return Door([whole, derived], enter)


def runs(folder: Path) -> Door:
    """The folder of a run, from which `eval report` writes a report and a stopped run goes on."""
    plan = _plan(folder)
    run(plan, folder / "run")
    document = json.loads((folder / "run" / "plan.json").read_text())
    labelled = folder / "boundaries.jsonl"
    labelled.write_bytes(BOUNDARIES)
    names = ("always", "topic-change")
    measure_boundaries(labelled, names, seed=0, limit=None, out=folder / "boundaries", progress=NoProgress())
    seeds = [_files_of(folder / "run"), _files_of(folder / "run"), _files_of(folder / "boundaries")]
    numbers = count()

    def enter(folder: Path) -> None:
        if next(numbers) % 4:
            write_report(folder)
        else:
            run(Plan(Path(document["cases"]), plan.systems, plan.settings, plan.sessions, plan.items), folder)

    return Door(seeds, enter)


def _plan(folder: Path) -> Plan:
    """Return the plan of a small run on the shop."""
    log = folder / "long.csv"
    log.write_text(shop_csv())
    (fold, *_) = write_folds(read_log(open_source(str(log))), Protocol(refits=1), folder / "folds")
    return Plan(fold.cases, ("popularity", "bm25"), sessions=fold.sessions, items=fold.items)


def cases(folder: Path) -> Door:
    """Cases, sessions, items and rankings, as `eval rank` and `fit` read them."""
    plan = _plan(folder)
    run(plan, folder / "run")
    bundle = real_beginning("bundle-intents/clothing.jsonl")
    names: dict[str, Path | None] = {"cases": plan.cases, "sessions": plan.sessions, "items": plan.items}
    seed = {f"{name}.jsonl": path.read_bytes() for name, path in names.items() if path}
    seed["rankings.jsonl"] = (folder / "run" / "rankings.jsonl").read_bytes()
    seed["boundaries.jsonl"] = bundle or BOUNDARIES
    numbers = count()

    def enter(folder: Path) -> None:
        list(read_boundary_cases(folder / "boundaries.jsonl"))
        list(read_cases(folder / "cases.jsonl"))
        paths = (folder / "sessions.jsonl", folder / "items.jsonl")
        given = Plan(
            folder / "cases.jsonl", ("popularity", str(folder / "rankings.jsonl")), sessions=paths[0], items=paths[1]
        )
        load(str(folder / "rankings.jsonl"))
        given.training()
        if next(numbers) % 8 == 0:
            run(given, folder / "run")
            write_report(folder / "run")

    return Door([seed], enter)


def policy(folder: Path) -> Door:
    """The policy of an operator, JSON or TOML, and a conversation under it."""
    agent = opened_shop(folder)
    rules: dict[str, Any] = {
        "require": [{"field": "topics", "op": "contains_any", "value": {"fact": "liked"}}],
        "gate": [{"field": "price", "op": ">", "value": 4}],
        "disclose": [{"when": {"field": "topics", "op": "contains", "value": "Tea"}, "words": "Hot."}],
        "one_at_a_time": True,
        "repeat": False,
    }
    toml = (
        'one_at_a_time = true\n[[gate]]\nfield = "price"\nop = ">"\nvalue = 4\n'
        '[[require]]\nfield = "made"\nop = ">"\nvalue = 2020-01-01\n'
    )
    seeds: list[Files] = [{"policy.json": json.dumps(rules).encode()}, {"policy.toml": toml.encode()}]

    def enter(folder: Path) -> None:
        read = load_policy(next(folder.iterdir(), folder / "absent.json"))
        talk = agent.chat("u1", AT, policy=read, facts={"liked": ("Tea", "Bread")})
        show(talk.open())
        show(talk.say("yes"))

    return Door(seeds, enter)


def research(folder: Path) -> Door:
    """Research data sets: Last.fm, Frappe, tasks and catalogues of dialogues, annotated dialogues."""
    own: dict[str, bytes] = {
        "lastfm/tags.dat": b"tagID\ttagValue\n1\trock\n",
        "lastfm/artists.dat": b"id\tname\turl\n7\tMuse\tx\n",
        "lastfm/user_taggedartists.dat": b"userID\tartistID\ttagID\tday\tmonth\tyear\n1\t7\t1\t1\t4\t2009\n",
        "frappe/meta.csv": b"item\tname\tcategory\n5\tMaps\tTravel\n",
        "frappe/frappe.csv": b"user\titem\tcnt\tdaytime\tweekday\tisweekend\thomework\tcost\tweather\tcountry\n"
        b"1\t5\t1\tmorning\tmonday\tworkday\thome\tfree\tsunny\tSpain\n",
        "tasks.jsonl": real_beginning("tau-rec/tasks.jsonl"),
        "catalog.json": b'[{"id": "a", "title": "Up", "genres": ["Drama"], "year": 2009, "seen": {"x": 1}}]',
        "acts.json": b'[{"conversation_id": "1", "conversation": [{"participant": "USER", "utterance": "a film", '
        b'"intents": [{"intent": "x"}]}, {"participant": "AGENT", "utterance": "Up (2009)", "intents": []}]}]',
    }
    readers = (
        lambda folder: read_lastfm(folder / "lastfm"),
        lambda folder: read_frappe(folder / "frappe"),
        lambda folder: read_tasks(folder / "tasks.jsonl"),
        lambda folder: read_catalogue(folder / "catalog.json"),
        lambda folder: read_acts(folder / "acts.json"),
    )

    def enter(folder: Path) -> None:
        for read in readers:
            with suppress(WhimbrelError):
                read(folder)

    return Door([own], enter)


class _Stop(NoProgress):
    """Stops a run before it writes its file."""

    def step(self, name: str, total: int | None) -> None:
        if name == "Writing":
            raise InterruptedError


def batch(folder: Path) -> Door:
    """The folder of a stopped `recommend --all-users`, and its list of users."""
    store, out = made_shop(folder), folder / "lists.jsonl"
    parts, users = out.with_name(f"{out.name}.parts"), folder / "users.txt"
    wanted = ListRequest(at=AT, k=2)
    users.write_text("u1\nu2\nnobody\n")
    with suppress(InterruptedError):
        recommend_all(store, out, wanted, users=users, progress=_Stop())
    whole = _files_of(parts) | {"users.txt": users.read_bytes()}
    unfinished = {name: data for name, data in whole.items() if not name.startswith("part-")}

    def enter(folder: Path) -> None:
        named = folder / "users.txt"
        users.write_bytes(named.read_bytes() if named.exists() else b"u1\nu2")
        named.unlink(missing_ok=True)
        _put(folder, parts)
        recommend_all(store, out, wanted, users=users)

    return Door([whole, unfinished, {name: whole[name] for name in ("users.txt",)}], enter)


def settings(folder: Path) -> Door:
    """Price lists, measured builds of models, and the household of the demo."""
    agent = opened_shop(folder)
    price = {"as_of": "2026-01-01", "usd_per_million_tokens": {"m": {"input": 1.5, "cached": 0.1, "output": 6}}}
    build = {"file": "source", "repacked": True, "writing_threads": 2, "reads": 10.5, "writes": 2.0}
    seed = {
        "prices.json": json.dumps(price).encode(),
        "build.json": json.dumps(build).encode(),
        "moving.json": b'{"user_id": "u1"}',
    }

    def enter(folder: Path) -> None:
        os.environ[PRICES_VARIABLE] = str(folder / "prices.json") if (folder / "prices.json").exists() else ""
        prices._user_prices.cache_clear()
        with suppress(WhimbrelError):
            prices.price_of("m")
        model_builds._load(folder / "build.json", folder / "model.gguf")
        if (folder / "moving.json").exists():
            shutil.copyfile(folder / "moving.json", agent.store.folder / "moving.json")
            demonstrate(agent, None, k=2)

    return Door([seed], enter)
