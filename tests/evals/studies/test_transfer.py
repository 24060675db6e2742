"""The studies of transfer and of cold starts, on logs in which it is known what must help."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent.fitted import Fitted
from whimbrel.agent.learning import trials
from whimbrel.agent.ranking.rankers import Ranker, Rankers
from whimbrel.evals.studies.cold_start import cold_start_markdown, measure_cold_start
from whimbrel.evals.studies.transfer import TransferConfig, measure_transfer, transfer_markdown
from whimbrel.tools.errors import DataError
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest

SIZE, PEOPLE, DAY = 60, 210, 86400.0


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(trials, "cache_folder", lambda: tmp_path / "cache")


@pytest.fixture(scope="module")
def ring(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store of people who begin one after the other and go round a ring of things. Odd people have another shelf."""
    folder, random, lines = tmp_path_factory.mktemp("ring"), np.random.default_rng(0), ["user_id,title,topics,time"]
    for person in range(PEOPLE):
        place, shelf = int(random.integers(SIZE)), person % 2
        for step in range(14):
            place = (place + 1) % SIZE
            topic = "Blue" if place % 3 else f"Shelf {shelf}"
            lines.append(f"u{person},Thing {place},{topic},{1e9 + person * 2 * DAY + step * DAY}")
        for extra in range(2):  # things that few have met before
            lines.append(f"u{person},Rare {person} {extra},Blue,{1e9 + person * 2 * DAY + (14 + extra) * DAY}")
    (folder / "log.csv").write_text("\n".join(lines) + "\n")
    ingest(open_source(str(folder / "log.csv")), folder / "store")
    return folder / "store"


def test_weights_against_the_target_are_found_out(ring: Path, tmp_path: Path) -> None:
    ranker = Ranker(weights={"next_item": -2.0})
    fusion = Rankers(channels={"next_item": 5.0}, retrieved=ranker, given=ranker, cold=ranker)
    (tmp_path / "fitted").mkdir()
    replace(Fitted.default(), fusion=fusion).save(tmp_path / "fitted")
    config = TransferConfig(users=20, choices=70)
    document = measure_transfer(str(tmp_path / "fitted"), str(ring), config)
    systems = document["system"]
    assert list(systems)[:2] == ["shipped", "transferred"]
    assert systems["transferred"]["gain"]["value"] < 0
    assert document["trial"].startswith("-")
    assert "switched off" in systems["fused with 100%"]["words"]
    assert systems["fused with 100%"]["ndcg@10"]["value"] > systems["transferred"]["ndcg@10"]["value"]
    assert systems["fused with 1%"]["ndcg@10"] == systems["fitted on 1%"]["ndcg@10"]  # its channels are dropped too
    assert "| fused with 100% |" in transfer_markdown(document)
    json.dumps(document)


def test_sessions_of_two_domains_are_compared(tmp_path: Path) -> None:
    random, paths = np.random.default_rng(0), []
    for domain in ("cups", "lamps"):
        lines = []
        for number in range(60):
            colour = ["red", "green", "blue"][number % 3]
            names = [f"{colour} {domain} {random.integers(40)}" for _ in range(4)]
            items = [{"item_id": name, "title": name} for name in dict.fromkeys(names)]
            lines.append({"case_id": f"{domain}-{number}", "items": items, "switch": [False] * (len(items) - 1)})
        paths.append(tmp_path / f"{domain}.jsonl")
        paths[-1].write_text("\n".join(map(json.dumps, lines)) + "\n")
    document = measure_transfer(str(paths[0]), str(paths[1]), TransferConfig(choices=20))
    assert document["system"]["transferred"]["ndcg@10"]["n"] == document["moments"] > 20


def test_a_store_without_learned_weights_has_nothing_to_transfer(ring: Path, tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user_id,title,time\nu,Tea,1\n")
    ingest(open_source(str(tmp_path / "log.csv")), tmp_path / "store")
    with pytest.raises(DataError, match="nothing was learned"):
        measure_transfer(str(tmp_path / "store"), str(ring))


def test_cold_starts_are_measured_beside_baselines(ring: Path) -> None:
    document = measure_cold_start(str(ring), users=6, split=["Shelf 0"], choices=40)
    assert set(document["people"]) == {"0", "1", "3", "5"}
    assert document["people"]["3"]["whimbrel"]["ndcg@10"]["n"] == 6
    assert set(document["items"]) == {"whimbrel", "whimbrel, shipped", "popularity", "text similarity", "lightfm"}
    assert "people of two shops, new here" in cold_start_markdown(document)
    with pytest.raises(DataError, match="no item"):
        measure_cold_start(str(ring), users=1, split=["nothing"])
