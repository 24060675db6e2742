"""The HTTP server: every route, who may ask, what goes wrong, and a kill that loses no feedback."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import closing
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import pytest

from whimbrel.agent.agent import Agent
from whimbrel.agent.serving import conversations
from whimbrel.agent.serving.callers import Callers
from whimbrel.agent.serving.http_server import LAST_SECONDS, ServerConfig, http_app
from whimbrel.tools.errors import ConfigError
from whimbrel.tools.store.store import open_store

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


@pytest.fixture
def folder(shop: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(shop, tmp_path / "shop"))


def served(folder: Path, **settings: Any) -> Any:
    from fastapi.testclient import TestClient

    app = http_app(Agent.open(folder, llm="none"), ServerConfig(**settings))
    return TestClient(app, base_url="http://localhost", raise_server_exceptions=False)


@pytest.fixture
def client(folder: Path) -> Iterator[Any]:
    with served(folder) as opened:
        yield opened


def test_lists_shifts_and_feedback(client: Any) -> None:
    listed = client.post("/v1/recommend", json={"user_id": "u1", "k": 2, "context": {"query": "a table"}}).json()
    assert [entry["rank"] for entry in listed["recommendations"]] == [1, 2]
    assert all(entry["explanation"] for entry in listed["recommendations"])
    assert {"shift", "summary", "usage", "warnings"} <= listed.keys()
    shift = client.post("/v1/shift", json={"user_id": "u1"}).json()
    assert shift["timeline"]
    assert shift["shift"]["kind"] in {"none", "situational", "temporal", "contextual"}
    item = listed["recommendations"][0]
    by_title = {"user_id": "u1", "title": item["title"], "event": "purchase", "time": "2021-01-01T00:00:00Z"}
    event = client.post("/v1/feedback", json=by_title)
    assert event.status_code == 404 or event.json()["event_id"]
    event = client.post("/v1/feedback", json={"user_id": "u1", "item_id": item["item_id"], "event": "purchase"})
    assert event.json()["event_id"]
    again = client.post("/v1/recommend", json={"user_id": "u1", "k": 20}).json()
    assert item["item_id"] not in {entry["item_id"] for entry in again["recommendations"]}


def test_candidates_are_ranked_for_a_history_that_is_sent(client: Any) -> None:
    body = {
        "history": [{"item_id": "a", "title": "Green tea", "topics": ["Tea"]}],
        "candidates": [
            {"item_id": "x", "title": "Car tyre"},
            {"item_id": "y", "title": "Black tea", "topics": ["Tea"]},
        ],
    }
    assert client.post("/v1/rank", json=body).json()["ranking"] == ["y", "x"]


def test_a_conversation_goes_on_and_streams(client: Any) -> None:
    opening = client.post("/v1/chat", json={"user_id": "u1", "session": "one"}).json()
    assert opening["recommendations"]
    turn = client.post("/v1/chat", json={"user_id": "u1", "session": "one", "line": "no furniture"}).json()
    assert turn["state"]["refused"] or turn["state"]["conditions"]
    other = client.post("/v1/chat", json={"user_id": "u1", "session": "two", "line": "hello"}).json()
    assert not other["state"]["refused"]
    events = client.post(
        "/v1/chat",
        json={"user_id": "u1", "session": "one", "line": "/state"},
        headers={"Accept": "text/event-stream"},
    )
    assert events.headers["content-type"].startswith("text/event-stream")
    names = [line.removeprefix("event: ") for line in events.text.splitlines() if line.startswith("event: ")]
    assert names == ["thinking", "turn"]


def test_a_saved_conversation_goes_on_after_a_restart(folder: Path) -> None:
    with served(folder) as client:
        client.post("/v1/chat", json={"user_id": "u1", "session": "kept", "line": "no furniture"})
    with served(folder) as client:
        turn = client.post("/v1/chat", json={"user_id": "u1", "session": "kept", "line": "/state"}).json()
    assert "urniture" in json.dumps(turn["state"])


def test_export_and_forget(client: Any) -> None:
    assert client.post("/v1/export", json={"user_id": "u2"}).json()["events"]
    receipt = client.post("/v1/forget", json={"user_id": "u2"}).json()
    assert receipt["events"] > 0
    gone = client.post("/v1/export", json={"user_id": "u2"})
    assert gone.status_code == 404


@pytest.mark.parametrize(
    ("path", "body", "status"),
    [
        ("/v1/recommend", {"user_id": "nobody"}, 404),
        ("/v1/recommend", {"user_id": "u1", "k": 0}, 422),
        ("/v1/recommend", {"user_id": "u1", "at": "never"}, 422),
        ("/v1/recommend", {"user_id": "u1", "unknown": 1}, 422),
        ("/v1/recommend", {"user_id": ""}, 422),
        ("/v1/recommend", {"user_id": "a\u0000b"}, 422),
        ("/v1/recommend", [], 422),
        ("/v1/rank", {"candidates": []}, 422),
        ("/v1/rank", {"candidates": [{"item_id": "a", "title": "A"}, {"item_id": "a", "title": "B"}]}, 422),
        ("/v1/feedback", {"user_id": "u1", "event": "click"}, 422),
        ("/v1/feedback", {"user_id": "u1", "item_id": "none", "event": "click"}, 404),
        ("/v1/feedback", {"user_id": "u1", "title": "Green tea", "event": " "}, 422),
        ("/v1/feedback", {"user_id": "u1", "title": "Green tea", "event": "click", "time": "2150-01-01"}, 422),
        ("/v1/feedback", {"user_id": "u1", "title": "Green tea", "event": "click", "context": {"": "x"}}, 422),
        ("/v1/chat", {"user_id": "u1", "line": "x" * 5000}, 422),
        ("/v1/nothing", {}, 404),
    ],
)
def test_errors_are_json_with_a_code_and_name_no_folder(
    client: Any, folder: Path, path: str, body: Any, status: int
) -> None:
    answer = client.post(path, json=body)
    assert answer.status_code == status, answer.text
    error = answer.json()["error"]
    assert error["code"]
    assert error["message"]
    assert str(folder) not in answer.text


def test_bodies_that_are_too_large_or_no_json_are_refused(client: Any) -> None:
    large = client.post("/v1/recommend", content=b" " * 4_000_001, headers={"Content-Type": "application/json"})
    assert large.status_code == 413
    broken = client.post("/v1/recommend", content=b"{", headers={"Content-Type": "application/json"})
    assert broken.status_code == 422


def test_a_page_of_another_site_cannot_use_the_server(client: Any) -> None:
    refused = client.get("/healthz", headers={"Host": "evil.example"})
    assert refused.status_code == 400
    assert refused.json()["error"]["code"] == "bad_host"
    for host in ("localhost", "127.0.0.1:8000", "[::1]:8000", "[::1]"):
        assert client.get("/healthz", headers={"Host": host}).status_code == 200
    answer = client.post("/v1/forget", content=b'{"user_id": "u1"}', headers={"Content-Type": "text/plain"})
    assert answer.status_code == 422
    assert "access-control-allow-origin" not in answer.headers


def test_a_token_asks_only_about_its_people(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(json.dumps({"token-of-one": ["u1"], "token-of-all": ["*"]}))
    with served(folder, callers=Callers.read(path)) as client:

        def status(token: str | None, user: str) -> int:
            headers = {"Authorization": f"Bearer {token}"} if token else {}
            return int(client.post("/v1/recommend", json={"user_id": user}, headers=headers).status_code)

        assert [status(None, "u1"), status("wrong-token", "u1")] == [401, 401]
        assert [status("token-of-one", "u1"), status("token-of-one", "u2")] == [200, 403]
        assert status("token-of-all", "u2") == 200
        for route in ("shift", "feedback", "chat", "forget", "export"):
            body = {"user_id": "u2", "item_id": "x"} if route == "feedback" else {"user_id": "u2"}
            one = client.post(f"/v1/{route}", json=body, headers={"Authorization": "Bearer token-of-one"})
            assert one.status_code == 403, route
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"short": ["*"]}', '{"long-enough": "u1"}'])
def test_a_token_file_of_another_form_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "tokens.json"
    path.write_text(text)
    with pytest.raises(ConfigError):
        Callers.read(path)


def test_a_slow_request_blocks_neither_health_nor_others_and_is_given_up(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(Agent, "timeline", lambda *_, **__: release.wait(10))
    with served(folder, at_once=1, most_waiting=0, seconds=0.5) as client:
        answers: list[Any] = []
        slow = threading.Thread(target=lambda: answers.append(client.post("/v1/shift", json={"user_id": "u1"})))
        slow.start()
        time.sleep(0.2)
        assert client.get("/healthz").text == "ok"
        busy = client.post("/v1/recommend", json={"user_id": "u1"})
        assert busy.status_code == 503
        assert busy.json()["error"]["code"] == "busy"
        slow.join()
        release.set()
    assert answers[0].status_code == 504
    assert answers[0].json()["error"]["code"] == "timeout"


def test_figures_count_requests_by_path_only(client: Any) -> None:
    client.post("/v1/recommend", json={"user_id": "u1"})
    client.get("/random/path")
    text = client.get("/metrics").text
    assert 'whimbrel_requests_total{path="/v1/recommend",status="200"} 1.0' in text
    assert "random" not in text


def test_the_page_and_the_description_are_there(client: Any) -> None:
    page = client.get("/")
    assert page.status_code == 200
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert "http://" not in page.text.replace("http://www.w3.org/2000/svg", "")  # it works without a network
    paths = client.get("/openapi.json").json()["paths"]
    routes = ("recommend", "rank", "shift", "feedback", "chat", "forget", "export")
    assert {f"/v1/{name}" for name in routes} <= paths.keys()


@pytest.mark.parametrize("tokens", [None, {"token-of-all": frozenset({"*"})}])
def test_the_description_names_errors_and_tokens(folder: Path, tokens: Any) -> None:
    with served(folder, callers=Callers(tokens)) as client:
        description = client.get("/openapi.json").json()
    schemes = description["components"]["securitySchemes"]
    assert schemes["bearer"]["scheme"] == "bearer"
    for path, methods in description["paths"].items():
        if path.startswith("/v1/"):
            assert methods["post"]["security"] == ([{"bearer": []}] if tokens else [])
            for status in ("400", "401", "403", "404", "413", "422", "429", "500", "502", "503", "504"):
                schema = methods["post"]["responses"][status]["content"]["application/json"]["schema"]
                assert schema["$ref"].endswith("/Error")
    assert "security" not in description["paths"]["/healthz"]["get"]


def test_feedback_of_the_future_does_not_move_the_present(client: Any) -> None:
    later = time.time() + 3600
    body = {"user_id": "u1", "title": "Green tea", "event": "click", "time": later}
    answer = client.post("/v1/feedback", json=body)
    assert answer.status_code == 422
    assert "in the future" in answer.json()["error"]["message"]
    assert client.post("/v1/feedback", json=body | {"time": time.time() + 60}).status_code == 200


def test_a_caller_fills_no_disk_with_conversations(client: Any, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversations, "MOST_STRANGERS", 2)
    for number in range(4):
        client.post("/v1/chat", json={"user_id": f"stranger{number}", "session": "s"})
    assert not list(folder.glob("talks/*/*.json"))  # nothing was said yet
    lines = [{"user_id": f"stranger{number}", "session": "s", "line": "hello"} for number in (0, 1, 0, 2)]
    answers = [client.post("/v1/chat", json=line) for line in lines]
    assert [answer.status_code for answer in answers] == [200, 200, 200, 429]
    assert answers[-1].json()["error"]["code"] == "too_many"
    assert len(list(folder.glob("talks/*/*.json"))) == 2
    assert client.post("/v1/chat", json={"user_id": "u1", "session": "s", "line": "hello"}).status_code == 200


HANGING = """
import time
from whimbrel.agent.agent import Agent
from whimbrel.agent.cli.main import main
Agent.timeline = lambda *_, **__: time.sleep(600)
main()
"""


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_request_that_never_ends_does_not_keep_the_server_alive(folder: Path, sent: signal.Signals) -> None:
    arguments = ["serve", "--store", str(folder), "--llm", "none", "--port", "0", "--seconds", "1", "--host", "::1"]
    command = [sys.executable, "-c", HANGING, *arguments]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert process.stderr is not None
    try:
        address = process.stderr.readline().split("http://")[1].split()[0]
        assert address.startswith("[::1]:")
        port = int(address.rpartition(":")[2])
        with closing(HTTPConnection("::1", port, timeout=30)) as connection:
            connection.request("POST", "/v1/shift", '{"user_id": "u1"}', {"Content-Type": "application/json"})
            assert connection.getresponse().status == 504
        process.send_signal(sent)
        process.wait(LAST_SECONDS + 25)
    finally:
        process.kill()
        process.wait()
        process.stderr.close()
    with open_store(folder) as store:
        assert store.history("u1")


def posted(port: int, path: str, body: dict[str, Any]) -> Any:
    with closing(HTTPConnection("127.0.0.1", port, timeout=30)) as connection:
        connection.request("POST", path, json.dumps(body), {"Content-Type": "application/json"})
        return json.loads(connection.getresponse().read())


def test_a_kill_loses_no_feedback_that_was_answered(folder: Path) -> None:
    code = "from whimbrel.agent.cli.main import main; main()"
    arguments = ["serve", "--store", str(folder), "--llm", "none", "--port", "0"]
    environment = os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(
        [sys.executable, "-c", code, *arguments], stderr=subprocess.PIPE, text=True, env=environment
    )
    assert process.stderr is not None
    try:
        port = int(process.stderr.readline().split("http://127.0.0.1:")[1].split()[0])
        listed = posted(port, "/v1/recommend", {"user_id": "u1", "k": 5})["recommendations"]
        events = [{"user_id": "u1", "item_id": entry["item_id"], "event": "click"} for entry in listed]
        answered = [posted(port, "/v1/feedback", event)["event_id"] for event in events]
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stderr.close()
    with open_store(folder) as store:
        assert len(answered) > 1
        assert set(answered) <= {event.event_id for event in store.history("u1")}


def test_feedback_reveals_no_item_that_the_person_may_not_see(folder: Path) -> None:
    with Agent.open(folder, llm="none") as agent:
        item_id = next(item for item in agent.store.history("u1")).item_id
        agent.mark_sensitive(["Tea", "Bread", "Garden"])
    with served(folder) as client:
        hidden = client.post("/v1/feedback", json={"user_id": "u9", "item_id": item_id, "event": "like"})
        unknown = client.post("/v1/feedback", json={"user_id": "u9", "item_id": "none", "event": "like"})
    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json()["error"]["message"].replace(item_id, "") == unknown.json()["error"]["message"].replace(
        "none", ""
    )


def test_what_a_forgotten_person_says_meanwhile_is_not_kept(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from whimbrel.agent.chat.session import Session

    real = Session.open
    opening, forgotten = threading.Event(), threading.Event()

    def slow(self: Session) -> Any:
        opening.set()
        forgotten.wait(10)
        return real(self)

    monkeypatch.setattr(Session, "open", slow)
    with served(folder) as client:
        answers: list[Any] = []
        body = {"user_id": "u3", "session": "race"}
        talk = threading.Thread(target=lambda: answers.append(client.post("/v1/chat", json=body)))
        talk.start()
        opening.wait(10)
        assert client.post("/v1/forget", json={"user_id": "u3"}).status_code == 200
        forgotten.set()
        talk.join()
        assert answers[0].status_code == 404
        assert not list(folder.glob("talks/*/*.json"))


def test_somebody_who_only_talked_can_be_exported_and_forgotten(client: Any, folder: Path) -> None:
    client.post("/v1/chat", json={"user_id": "talker", "session": "secret", "line": "something with divorce"})
    assert client.post("/v1/export", json={"user_id": "talker"}).json()["memory"]
    assert client.post("/v1/forget", json={"user_id": "talker"}).json()["events"] == 0
    assert not list(folder.glob("talks/*/*.json"))
    assert client.post("/v1/export", json={"user_id": "talker"}).status_code == 404


def test_two_visitors_without_a_name_share_nothing(client: Any) -> None:
    client.post("/v1/chat", json={"line": "I want furniture"})
    state = client.post("/v1/chat", json={"line": "/state"}).json()["state"]
    assert not state["wants"]
    assert not state["conditions"]


def test_two_first_lines_at_once_are_both_kept(client: Any) -> None:
    def say(line: str) -> None:
        client.post("/v1/chat", json={"user_id": "u1", "session": "twice", "line": line})

    lines = [threading.Thread(target=say, args=[line]) for line in ("no furniture", "no bread")]
    for line in lines:
        line.start()
    for line in lines:
        line.join()
    state = json.dumps(client.post("/v1/chat", json={"user_id": "u1", "session": "twice", "line": "/state"}).json())
    assert "Furniture" in state
    assert "Bread" in state


def test_a_rating_without_bounds_is_refused(client: Any) -> None:
    listed = client.post("/v1/recommend", json={"user_id": "u1", "k": 1}).json()["recommendations"]
    body = {"user_id": "u1", "item_id": listed[0]["item_id"], "event": "rating", "rating": 1.7e308}
    assert client.post("/v1/feedback", json=body).status_code == 422
