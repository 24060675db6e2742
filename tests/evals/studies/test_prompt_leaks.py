"""The study of leaks notices what is another's, what was planted, and where a command turns to."""

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
from typer.testing import CliRunner

from whimbrel.evals.cli import build_eval_app
from whimbrel.evals.studies import prompt_leaks
from whimbrel.evals.studies.personal_log import NAME, OWN, PLACES, make_people
from whimbrel.evals.studies.personal_pieces import KINDS, make_piece
from whimbrel.evals.studies.prompt_leaks import Tally, is_leaking, leaks_markdown, measure_leaks
from whimbrel.tools.privacy.masked import Placeholders

CLEAN = {
    "others": dict.fromkeys(OWN, 0),
    "own_id": 0,
    "sensitive": 0,
    "addresses": {"none": {}, "hosted": {"model server": 3}},
}


def test_what_is_anothers_in_a_request_is_counted_by_its_kind() -> None:
    anna, ben = make_people(2, 0, Random(0))
    tally = Tally.of([anna, ben])
    mine = " ".join(name for kind in OWN if kind != "id" for name in anna.own[kind])
    tally.add([json.dumps({"messages": [{"content": mine}]})], anna, "recommend")
    assert not is_leaking(CLEAN | tally.document([anna, ben]))
    for kind in OWN:
        leaking = Tally.of([anna, ben])
        leaking.add([f"Known: {ben.own[kind][0].capitalize()} harp"], anna, "recommend")
        document = CLEAN | leaking.document([anna, ben])
        assert document["others"] == dict.fromkeys(OWN, 0) | {kind: 1}
        assert is_leaking(document)
    tally.add([f"Events of {anna.user_id}:"], anna, "chat")
    assert tally.document([anna, ben])["own_id"] == 1
    assert is_leaking(CLEAN | tally.document([anna, ben]))


def test_what_is_sensitive_is_counted_in_requests_and_answers() -> None:
    (anna,) = make_people(1, 0, Random(0))
    tally = Tally.of([anna])
    tally.add_answer(f"A {anna.own['title'][0]} harp", anna, "recommend")
    tally.add([f"liked {anna.own['topic'][0]}"], anna, "recommend")
    assert not is_leaking(CLEAN | tally.document([anna]))
    tally.marked = {anna.user_id}
    tally.add_answer(f"A {anna.own['title'][0]} harp", anna, "recommend")
    tally.add([f"liked {anna.own['topic'][0]}"], anna, "recommend")
    document = tally.document([anna])
    assert document["sensitive"] == 2
    assert is_leaking(CLEAN | document)


def test_planted_data_count_as_seen_whole_or_in_part() -> None:
    people = make_people(1, len(KINDS) * len(PLACES), Random(0))
    left = people[0].planted
    assert {(one.piece.kind, one.place) for one in left} == {(kind, place) for kind in KINDS for place in PLACES}
    tally = Tally.of(people)
    name = next(one for one in left if " " in one.piece.words and one.piece.kind == "PERSON").piece
    mail = next(one for one in left if one.piece.kind == "EMAIL").piece
    tally.add(
        [mail.sentence, f"from PERSON_1 {name.words.split()[-1]}"], people[0], "chat", [mail.sentence, name.words]
    )
    rows = tally.document(people)["planted"]
    assert (rows["EMAIL"]["asked"], rows["EMAIL"]["seen"], rows["EMAIL"]["partly"]) == (1, 1, 0)
    assert (rows["PERSON"]["asked"], rows["PERSON"]["seen"], rows["PERSON"]["partly"]) == (1, 0, 1)


def test_an_address_that_is_not_the_model_server_is_a_leak() -> None:
    assert not is_leaking(CLEAN)
    assert is_leaking(CLEAN | {"addresses": {"none": {"model server": 1}, "hosted": {}}})
    assert is_leaking(CLEAN | {"addresses": {"none": {}, "hosted": {"api.smith.langchain.com:443": 1}}})


def test_connections_and_look_ups_are_written_down(tmp_path: Path) -> None:
    file = tmp_path / "addresses.txt"
    program = (
        "import socket, sys; import whimbrel.agent.cli.main as cli; from whimbrel.evals.studies import connections;"
        "cli.main = lambda: [socket.getaddrinfo('localhost', 80), socket.socket().connect_ex(('127.0.0.1', 9))];"
        "connections._run(sys.argv[1], ['recommend'])"
    )
    subprocess.run([sys.executable, "-c", program, str(file)], check=True)
    assert Counter(file.read_text().splitlines()) == {"localhost:80": 1, "127.0.0.1:9": 1}


def test_pieces_are_the_same_for_a_seed_and_have_their_checksums() -> None:
    def made(seed: int) -> list[str]:
        return [make_piece(kind, Random(seed)).sentence for kind in KINDS]

    assert made(3) == made(3) != made(4)
    for seed in range(30):
        iban = re.sub("[ -]", "", make_piece("IBAN", Random(seed)).words).upper()
        assert int("".join(str(int(sign, 36)) for sign in iban[4:] + iban[:4])) % 97 == 1
        card = [int(digit) for digit in re.sub(r"\D", "", make_piece("CARD", Random(seed)).words)][::-1]
        assert (sum(card[::2]) + sum(sum(divmod(2 * digit, 10)) for digit in card[1::2])) % 10 == 0


def test_every_prompt_of_real_commands_is_searched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is masked, and the first person's id is in every wish. The study must notice both."""
    typed = prompt_leaks.Person.typed
    ids: list[str] = []

    def of_another(person: prompt_leaks.Person, *places: str) -> list[str]:
        ids.append(person.own["id"][0])
        return [*typed(person, *places), *([f"like {ids[0]}"] if places == ("wish",) else [])]

    monkeypatch.setattr(prompt_leaks, "connections_of", lambda words, lines: Counter({"10.0.0.1:443": 1}))
    monkeypatch.setattr(prompt_leaks.Person, "typed", of_another)
    monkeypatch.setattr(Placeholders, "mask", lambda self, text: text)
    document = measure_leaks(12, 14)
    assert document["others"]["id"] > 0
    assert document["own_id"] > 0
    assert document["addresses"]["none"] == {"10.0.0.1:443": 2}
    schemas = {"LineReply", "OrderReply", "ReadReply", "ReasonReply", "ReasonsReply", "Step", "SummaryReply"}
    assert set(document["prompts"]) == schemas | {"likelihood"}
    asked = sum(row["asked"] for row in document["planted"].values())
    assert sum(row["seen"] for row in document["planted"].values()) == asked > 6
    assert set(re.findall(NAME, leaks_markdown(document)))


@pytest.mark.slow
def test_the_command_says_what_it_found() -> None:
    run = CliRunner().invoke(build_eval_app(), ["leaks", "--users", "10", "--planted", "14", "--json"])
    document = json.loads(run.stdout)
    assert run.exit_code == 0
    assert not is_leaking(document)
    assert set(document["others"].values()) == {0}
    assert document["own_id"] == 0
    assert document["addresses"]["none"] == {}
    assert document["addresses"]["hosted"].keys() == {"model server"}
    assert sum(row["seen"] for row in document["planted"].values()) < 10
