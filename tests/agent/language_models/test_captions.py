"""Captions of images: a server really gets each image once, and what it writes becomes vectors or a reason."""

import json
import threading
from base64 import b64decode
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from whimbrel.agent.cli.main import build_app
from whimbrel.agent.language_models.captions import ModelCaptioner, open_captioner
from whimbrel.agent.language_models.hosted.budget import Budget
from whimbrel.tools.errors import ConfigError, StoreError
from whimbrel.tools.images.captions import LONGEST_CAPTION, SIDE
from whimbrel.tools.sources import captions as module
from whimbrel.tools.sources.formats import open_source, open_source_with_items
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.sources.report import Ingested
from whimbrel.tools.store.store import open_store
from whimbrel.tools.store.vectors import reencode
from whimbrel.tools.text.encoders import encoder_named
from whimbrel.tools.tracing import LOCAL_ONLY

COLOURS = {"tea": "#ff0000", "bread": "#00ff00", "rake": "#0000ff"}
SEEN = {"red": "A red kettle.", "green": "A \u202egreen\u200b\n loaf. " + "x" * 400, "blue": "A blue rake."}


class VisionServer(ThreadingHTTPServer):
    """Speaks the chat API. It replies by the colour of the image that it gets.

    Attributes:
        shown: The images that came, as (colour, size).
        replies: What it says of each colour: a caption, or a message of its own.
        status: The status of each answer.
        tokens: How many tokens it says that a prompt has.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.shown: list[tuple[str, tuple[int, int]]] = []
        self.replies: dict[str, Any] = dict(SEEN)
        self.status, self.tokens = 200, 100

    @property
    def spec(self) -> str:
        return f"openai:seer@http://127.0.0.1:{self.server_port}/v1"

    @property
    def colours(self) -> list[str]:
        return sorted(colour for colour, _ in self.shown)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: VisionServer

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        assert self.path == "/v1/chat/completions"
        words, picture = request["messages"][-1]["content"]
        assert words["type"] == "text"
        form, _, data = picture["image_url"]["url"].partition(",")
        assert form == "data:image/jpeg;base64"
        with Image.open(BytesIO(b64decode(data))) as image:
            assert not image.getexif()
            pixel = image.convert("RGB").getpixel((image.width // 2, image.height // 2))
            colour = ("red", "green", "blue")[int(np.argmax(pixel))]  # type: ignore[arg-type]
            self.server.shown.append((colour, image.size))
        says = self.server.replies[colour]
        message = says if isinstance(says, dict) else {"content": json.dumps({"caption": says})}
        part = "delta" if request.get("stream") else "message"
        choice = {"index": 0, part: {"role": "assistant"} | message, "finish_reason": "stop"}
        usage = {"prompt_tokens": self.server.tokens, "completion_tokens": 10}
        body: dict[str, Any] = {"id": "1", "object": "", "created": 0, "model": "seer", "choices": [choice]}
        if self.server.status != 200:
            body = {"error": {"message": "no such model", "type": "x"}}
        sent = json.dumps(body | {"usage": usage})
        streams = bool(request.get("stream")) and self.server.status == 200
        reply = (f"data: {sent}\n\ndata: [DONE]\n\n" if streams else sent).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Type", "text/event-stream" if streams else "application/json")
        self.send_header("Content-Length", str(len(reply)))
        self.end_headers()
        self.wfile.write(reply)

    def log_message(self, format: str, *args: object) -> None:
        """Say nothing on stderr."""


@pytest.fixture
def seer(monkeypatch: pytest.MonkeyPatch) -> Iterator[VisionServer]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with VisionServer() as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    """A log and a catalogue, of which three items have an image and a fourth names none that exists."""
    for id_, colour in COLOURS.items():
        paint(tmp_path, id_, colour)
    rows = [f"{id_},{id_.title()},{id_}.png" for id_ in (*COLOURS, "hose")]
    (tmp_path / "items.csv").write_text("\n".join(["item_id,title,photo", *rows, "pot,Pot,"]))
    events = [f"u{n % 3},{id_},{1_600_000_000 + n}" for n, id_ in enumerate([*COLOURS, "hose", "pot"] * 3)]
    (tmp_path / "log.csv").write_text("\n".join(["user_id,item_id,time", *events]))
    return tmp_path


def paint(folder: Path, id_: str, colour: str) -> None:
    image = Image.new("RGB", (900, 1200), colour)
    exif = Image.Exif()
    exif[0x010E] = "taken at home"
    image.save(folder / f"{id_}.png", exif=exif)


def read(folder: Path, captioner: ModelCaptioner | None) -> Ingested:
    files = str(folder / "log.csv"), str(folder / "items.csv")
    return ingest(open_source_with_items(*files, mapped=[("photo", "image")]), folder / "shop", captioner=captioner)


def reasons(done: Ingested) -> dict[str, str]:
    rows = [json.loads(line) for line in done.rejects.read_text().splitlines()] if done.rejects else []
    return {row["fields"]["item_id"]: row["reason"] for row in rows}


def captions(folder: Path) -> dict[str, str]:
    with open_store(folder / "shop") as store:
        return store.modalities.texts("caption", [*COLOURS, "hose", "pot"])


def test_each_image_is_shown_once_and_its_caption_kept_clean_with_a_vector(seer: VisionServer, pictures: Path) -> None:
    captioner = open_captioner(seer.spec)
    done = read(pictures, captioner)
    of = done.modalities["caption"]
    assert (of.items, of.new, of.length, of.rejected) == (3, 3, 384, 1)
    assert reasons(done) == {"hose": "caption: image: no file 'hose.png'"}
    assert seer.colours == ["blue", "green", "red"]
    assert {size for _, size in seer.shown} == {(384, SIDE)}
    assert (captioner.usage.llm_calls, captioner.usage.prompt_tokens) == (3, 300)
    kept = captions(pictures)
    assert kept["tea"] == "A red kettle."
    assert kept["bread"].startswith("A green loaf. xxx")
    assert len(kept["bread"]) == LONGEST_CAPTION
    with open_store(pictures / "shop") as store:
        vectors = store.vectors_by_modality([*COLOURS, "pot"])["caption"]
        assert vectors.keys() == COLOURS.keys()
        np.testing.assert_allclose(vectors["tea"], store.encoder.encode(["A red kettle."])[0], atol=1e-5)
    # A new image is shown, and no other one.
    paint(pictures, "rake", "#ff0000")
    again = read(pictures, open_captioner(seer.spec)).modalities["caption"]
    assert (again.items, again.new) == (3, 1)
    assert seer.colours == ["blue", "green", "red"]  # the same picture was known as that of tea
    assert captions(pictures)["rake"] == "A red kettle."


def test_without_a_captioner_the_caption_of_a_changed_image_goes(seer: VisionServer, pictures: Path) -> None:
    read(pictures, open_captioner(seer.spec))
    paint(pictures, "rake", "#00ff00")
    assert "caption" not in read(pictures, None).modalities
    assert captions(pictures).keys() == {"tea", "bread"}
    assert len(seer.shown) == 3


def test_a_refusal_and_an_empty_caption_are_told_and_the_items_stay(seer: VisionServer, pictures: Path) -> None:
    seer.replies |= {"red": {"refusal": "I may not look at kettles."}, "green": "\u200b "}
    done = read(pictures, open_captioner(seer.spec))
    assert (done.modalities["caption"].new, done.modalities["caption"].rejected) == (1, 3)
    told = reasons(done)
    assert told["tea"] == "caption: the model refused to reply: 'I may not look at kettles.'"
    assert told["bread"] == "caption: the model wrote nothing"
    assert (done.items, done.rejected, captions(pictures).keys()) == (5, 0, {"rake"})


def test_a_server_that_fails_ends_no_ingestion_and_takes_no_caption_away(
    seer: VisionServer, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAPTIONS_AT_ONCE", 1)
    read(pictures, open_captioner(seer.spec))
    before, shown = captions(pictures), len(seer.shown)
    seer.status = 404
    done = read(pictures, open_captioner(seer.spec.replace("seer", "other")))
    assert done.modalities["caption"].rejected == 4
    assert "no such model" in reasons(done)["rake"]
    assert len(seer.shown) == shown + 1  # the others would fail too, so they are not sent
    assert captions(pictures) == before


def test_a_budget_ends_the_captions_and_a_later_ingestion_goes_on(
    seer: VisionServer, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAPTIONS_AT_ONCE", 1)
    seer.tokens = 3000
    done = read(pictures, open_captioner(seer.spec, budget=Budget(tokens=5000)))
    assert (done.modalities["caption"].new, len(seer.shown)) == (1, 1)
    assert "the budget of 5000 tokens" in reasons(done)["tea"]
    done = read(pictures, open_captioner(seer.spec))
    assert (done.modalities["caption"].new, len(seer.shown)) == (2, 3)


def test_a_stopped_ingestion_goes_on_with_the_images_that_are_left(
    seer: VisionServer, pictures: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CAPTIONS_AT_ONCE", 1)
    captioner, calls = open_captioner(seer.spec), list[int]()
    caption: Callable[..., Any] = captioner.caption

    def stopped(images: list[bytes]) -> Any:
        calls.append(len(images))
        if len(calls) == 3:
            raise KeyboardInterrupt
        return caption(images)

    monkeypatch.setattr(captioner, "caption", stopped)
    with pytest.raises(KeyboardInterrupt):
        read(pictures, captioner)
    assert len(seer.shown) == 2
    assert read(pictures, open_captioner(seer.spec)).modalities["caption"].new == 1
    assert seer.colours == ["blue", "green", "red"]


def test_another_text_encoder_encodes_the_captions_again(seer: VisionServer, pictures: Path) -> None:
    read(pictures, open_captioner(seer.spec))
    other = encoder_named("multilingual")
    reencode(str(pictures / "shop"), other)
    with open_store(pictures / "shop") as store:
        vectors = store.vectors_by_modality(["tea"])["caption"]
        np.testing.assert_allclose(vectors["tea"], other.encode(["A red kettle."])[0], atol=1e-4)
    assert read(pictures, open_captioner(seer.spec)).modalities["caption"].new == 0


def test_captions_and_vectors_of_that_name_by_a_source_are_never_mixed(seer: VisionServer, pictures: Path) -> None:
    (pictures / "own.csv").write_text(f'user_id,title,time,vector.caption\nu,Tea,1600000000,"{[1] * 384}"\n')
    source = open_source(str(pictures / "own.csv"))
    with pytest.raises(ConfigError, match="also what --captions makes"):
        ingest(source, pictures / "own", captioner=open_captioner(seer.spec))
    ingest(open_source(str(pictures / "own.csv")), pictures / "own")
    files = str(pictures / "log.csv"), str(pictures / "items.csv")
    with pytest.raises(StoreError, match="ingest into a new store"):
        ingest(
            open_source_with_items(*files, mapped=[("photo", "image")]),
            pictures / "own",
            captioner=open_captioner(seer.spec),
        )
    assert not seer.shown


def test_only_a_hosted_model_that_is_allowed_looks_at_images(monkeypatch: pytest.MonkeyPatch) -> None:
    for spec in ("bundled", "none", "gguf:model.gguf"):
        with pytest.raises(ConfigError, match="cannot look at images"):
            open_captioner(spec)
    monkeypatch.setenv(LOCAL_ONLY, "1")
    with pytest.raises(ConfigError, match="--local-only"):
        open_captioner("openai:seer@http://127.0.0.1:9/v1")


def test_the_command_tells_captions_and_their_cost(seer: VisionServer, pictures: Path) -> None:
    files = [str(pictures / "log.csv"), "--items", str(pictures / "items.csv"), "--map", "photo=image"]
    args = ["ingest", *files, "--store", str(pictures / "shop"), "--captions", seer.spec]
    result = CliRunner().invoke(build_app("ingest"), [*args, "--json"])
    assert result.exit_code == 0, result.output
    document = json.loads(result.stdout)
    assert document["modalities"]["caption"]["new"] == 3
    assert document["captions"]["llm_calls"] == 3
    assert "0 calls, 0 tokens" in CliRunner().invoke(build_app("ingest"), args).output
