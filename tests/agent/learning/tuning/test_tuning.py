"""Tuning on a log: llama.cpp computes what was trained, nothing later is learned, and only a sure gain is kept."""

import json
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from whimbrel.agent import Agent, ScriptedModel
from whimbrel.agent.fitted import FILES, Fitted
from whimbrel.agent.forgetting import forget_person
from whimbrel.agent.language_models.adapter import ADAPTER, ADAPTER_FACTS, Adapter, other_base, tuned
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.local.model_builds import ModelBuild
from whimbrel.agent.language_models.option_scores import likelihood_prompt, score_options
from whimbrel.agent.learning.fit import Extras, fit_sessions
from whimbrel.agent.learning.fitted_log import read_fitted_log
from whimbrel.agent.learning.sessions import Training, catalogue_of
from whimbrel.agent.learning.tuning import fit_tuned, train
from whimbrel.agent.learning.tuning.sequences import WINDOW, title_sequences
from whimbrel.agent.learning.tuning.train import TuneConfig
from whimbrel.agent.learning.tuning.tune import tune
from whimbrel.agent.learning.tuning.worth import Worth
from whimbrel.agent.ranking.rankers import Rankers
from whimbrel.prompts.phrases import load_phrases
from whimbrel.tools.errors import ConfigError, DataError, ModelError
from whimbrel.tools.files.whole_files import whole_files
from whimbrel.tools.progress import NoProgress
from whimbrel.tools.records import Item
from whimbrel.tools.sources.formats import open_source
from whimbrel.tools.sources.ingest import ingest
from whimbrel.tools.store.in_memory import InMemory
from whimbrel.tools.store.store import open_store

pytest.importorskip("peft", reason="whimbrel[tune] is not installed")
gguf = pytest.importorskip("gguf", reason="whimbrel[tune] is not installed")

WIDTH, LAYERS, HEADS, KEY_HEADS, INNER = 32, 4, 4, 2, 48
TITLES = ("Green tea", "Rye bread", "Garden rake", "Blue paint", "Chess set", "Wool scarf", "Apple juice", "Desk lamp")
FEW_STEPS = TuneConfig(steps=12, rate=1e-2)
END = 900.0


def letters() -> list[str]:
    """The characters by which this kind of vocabulary writes the 256 bytes."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return [chr(byte) for byte in plain] + [chr(256 + number) for number in range(len(others))]


def write_tiny_model(path: Path, seed: int) -> None:
    tokens, random = [*letters(), "Ġt", "<s>"], np.random.default_rng(seed)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(LAYERS)
    writer.add_context_length(2048)
    writer.add_embedding_length(WIDTH)
    writer.add_feed_forward_length(INNER)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(KEY_HEADS)
    writer.add_rope_freq_base(10000.0)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(tokens))
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("gpt-2")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.NORMAL] * (len(tokens) - 1) + [gguf.TokenType.CONTROL])
    writer.add_token_merges(["Ġ t"])
    writer.add_bos_token_id(len(tokens) - 1)
    writer.add_eos_token_id(len(tokens) - 1)
    shapes = {
        "attn_q": (WIDTH, WIDTH),
        "attn_k": (WIDTH * KEY_HEADS // HEADS, WIDTH),
        "attn_v": (WIDTH * KEY_HEADS // HEADS, WIDTH),
        "attn_output": (WIDTH, WIDTH),
        "ffn_gate": (INNER, WIDTH),
        "ffn_up": (INNER, WIDTH),
        "ffn_down": (WIDTH, INNER),
    }

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(f"{name}.weight", random.normal(0, 0.3, shape).astype(np.float32))

    add("token_embd", len(tokens), WIDTH)
    for layer in range(LAYERS):
        for norm in ("attn_norm", "ffn_norm"):
            writer.add_tensor(f"blk.{layer}.{norm}.weight", np.ones(WIDTH, np.float32))
        for name, shape in shapes.items():
            add(f"blk.{layer}.{name}", *shape)
    writer.add_tensor("output_norm.weight", np.ones(WIDTH, np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture(scope="session")
def tiny_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("tiny") / "tiny.gguf"
    write_tiny_model(path, seed=0)
    return path


@pytest.fixture
def tiny(tiny_file: Path) -> LocalModel:
    return LocalModel(ModelBuild(file=tiny_file), spec=f"gguf:{tiny_file}")


def ring(people: int, later: tuple[str, ...] = ()) -> InMemory:
    """Each person walks the ring of titles, a step a second. `later` titles follow in the last tenth, for everybody."""
    sessions = []
    for person in range(people):
        walk = [TITLES[(person + step) % len(TITLES)] for step in range(6)]
        events = [(title, float(100 * step + person % 50)) for step, title in enumerate(walk)]
        sessions.append((f"u{person:03}", events + [(title, 1000.0 + person) for title in later]))
    items = {title: Item(item_id=title, title=title) for title in (*TITLES, *later)}
    return catalogue_of(Training.of(sessions, items))


def tune_ring(llm: LocalModel, folder: Path, *, people: int = 40, later: tuple[str, ...] = ()) -> Adapter:
    folder.mkdir(exist_ok=True)
    catalogue = ring(people, later)
    adapter = tune(catalogue, llm, folder, FEW_STEPS, before=END, without=("u001",), progress=NoProgress())
    (folder / ADAPTER_FACTS).write_text(adapter.facts.model_dump_json())
    return adapter


@pytest.fixture(scope="module")
def plain(tiny_file: Path, tmp_path_factory: pytest.TempPathFactory) -> Adapter:
    """An adapter of the ring, which several tests read."""
    llm = LocalModel(ModelBuild(file=tiny_file), spec="tiny")
    return tune_ring(llm, tmp_path_factory.mktemp("plain"))


def most_different(one: Adapter, other: Adapter) -> float:
    """Return the greatest difference between two entries of the adapters' matrices."""
    first, second = (
        {tensor.name: tensor.data for tensor in gguf.GGUFReader(str(adapter.path)).tensors} for adapter in (one, other)
    )
    assert first.keys() == second.keys()
    return max(float(np.abs(first[name] - second[name]).max()) for name in first)


def likelihood(llm: LocalModel, history: tuple[str, ...], title: str) -> float:
    prompt = likelihood_prompt().fill({"history": "".join(f"- {name}\n" for name in history), "wish": ""})
    return llm.log_likelihood(prompt, [f" {title}\n"]).values[0]


def test_llama_cpp_computes_with_the_adapter_what_was_trained(
    tiny: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import torch

    trained = []
    open_model = train._open
    monkeypatch.setattr(train, "_open", lambda base: trained.append(open_model(base)) or trained[0])
    adapter = tune_ring(tiny, tmp_path)
    tokens, counts = train._tokens(TITLES[:3], tiny.llama)
    last = len(tiny.llama.tokenise(f" {TITLES[2]}\n"))
    with torch.no_grad():
        logits = trained[0].eval()(input_ids=torch.tensor([tokens])).logits[0].log_softmax(-1)
    wanted = sum(float(logits[place - 1, tokens[place]]) for place in range(len(tokens) - last, len(tokens)))
    assert sum(counts[-last:]) == last
    of_tuned = tuned(tiny, adapter)
    assert likelihood(of_tuned, TITLES[:2], TITLES[2]) == pytest.approx(wanted, abs=0.02)
    assert abs(likelihood(tiny, TITLES[:2], TITLES[2]) - wanted) > 1


def test_the_tuned_model_learned_the_order_of_the_log(tiny: LocalModel, plain: Adapter) -> None:
    of_tuned = tuned(tiny, plain)
    assert likelihood(of_tuned, TITLES[:3], TITLES[3]) > likelihood(tiny, TITLES[:3], TITLES[3]) + 5
    assert of_tuned.digest != tiny.digest
    assert of_tuned.digest.startswith(tiny.digest)


def test_a_planted_later_event_changes_nothing_in_what_is_learned(
    tiny: LocalModel, plain: Adapter, tmp_path: Path
) -> None:
    planted = tune_ring(tiny, tmp_path, later=("Zebra crossing", "Quixotic orrery"))
    assert plain.facts.model_dump(exclude={"seconds"}) == planted.facts.model_dump(exclude={"seconds"})
    assert most_different(plain, planted) < 1e-3  # sums are rounded in another order


def test_an_earlier_event_does_change_what_is_learned(tiny: LocalModel, plain: Adapter, tmp_path: Path) -> None:
    assert most_different(plain, tune_ring(tiny, tmp_path, people=41)) > 0.01


def test_sequences_leave_out_people_later_events_and_repeats() -> None:
    catalogue = ring(10, later=("Zebra crossing",))
    sequences = title_sequences(catalogue, before=END, without=("u001",))
    assert len(sequences) == 9
    assert all(len(set(titles)) == len(titles) == 6 for titles in sequences)
    assert not any("Zebra crossing" in titles for titles in sequences)
    # Only u001 and u009 begin at the second title, and u001 is left out.
    assert sum(titles[0] == TITLES[1] for titles in sequences) == 1


def test_a_long_history_gives_windows_and_events_of_one_second_come_in_random_order() -> None:
    names = [f"Film {number:02}" for number in range(40)]
    catalogue = catalogue_of(Training.of([("u", [(name, 7.0) for name in names])], {}))
    windows = title_sequences(catalogue, before=np.inf)
    assert sorted(name for titles in windows for name in titles) == names
    assert max(map(len, windows)) <= WINDOW
    assert [name for titles in windows for name in titles] != names
    assert any(titles != sorted(titles) for titles in windows)


def test_an_adapter_of_another_base_model_is_refused_in_one_line(plain: Adapter, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "other.gguf", seed=1)
    other = LocalModel(ModelBuild(file=tmp_path / "other.gguf"), spec="gguf:other.gguf")
    why = other_base(other, plain, load_phrases("en"))
    assert "'tiny.gguf'" in why
    assert "'gguf:other.gguf' is another model" in why
    with pytest.raises(ConfigError, match="another model"):
        tuned(other, plain)


def test_a_damaged_adapter_is_named(tiny: LocalModel, plain: Adapter, tmp_path: Path) -> None:
    plain.save(tmp_path)
    adapter = Adapter.load(tmp_path)
    assert adapter == replace(plain, path=tmp_path / ADAPTER)
    whole = adapter.path.read_bytes()
    adapter.path.write_bytes(b"GGUF" + whole[4 : len(whole) // 2])
    with pytest.raises(ModelError, match="whimbrel fit --tune-model"):
        tuned(tiny, adapter)
    adapter.path.write_bytes(b"nothing")
    with pytest.raises(DataError, match="damaged"):
        Adapter.load(tmp_path)
    adapter.path.write_bytes(whole)
    (tmp_path / ADAPTER_FACTS).write_text("{}")
    with pytest.raises(DataError, match="damaged"):
        Adapter.load(tmp_path)


def test_a_log_without_two_events_of_a_person_is_refused(tiny: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no person of the log has two events"):
        tune(ring(3), tiny, tmp_path, FEW_STEPS, before=50.0, without=(), progress=NoProgress())


def test_a_limit_of_time_ends_the_training(tiny: LocalModel, tmp_path: Path) -> None:
    adapter = tune(
        ring(40),
        tiny,
        tmp_path,
        replace(FEW_STEPS, steps=None, minutes=0.02),
        before=END,
        without=(),
        progress=NoProgress(),
    )
    assert adapter.facts.steps >= 1
    assert adapter.facts.seconds < 10


def agent_of(llm: LocalModel, adapter: Adapter) -> Agent:
    """Return an agent in whose weights either model's likelihood counts, each by a weight of its own."""
    weights = {llm.digest: {"likelihood": 1.0}, tuned(llm, adapter).digest: {"likelihood": 2.0}}
    fusion = Rankers.default()
    rankers = {kind: fusion.of(kind).model_copy(update={"models": weights}) for kind in ("retrieved", "given", "cold")}
    fitted = replace(Fitted.default(), fusion=fusion.model_copy(update=rankers), adapter=adapter)
    return Agent(ring(40), llm, fitted=fitted)


def test_the_agent_asks_the_tuned_model_but_not_about_a_moment_before_it_learned(
    tiny: LocalModel, plain: Adapter
) -> None:
    history = [Item(item_id=title, title=title, time=number) for number, title in enumerate(TITLES[:3])]
    candidates = [Item(item_id=title, title=title) for title in TITLES[3:]]
    with agent_of(tiny, plain) as agent:
        now, then = (agent.ranking(history, candidates, at=at) for at in (END, END - 1))
    assert not now.warnings
    assert then.warnings == (load_phrases("en").notes.newer_model,)
    titles = [item.title for item in candidates]
    for ranking, llm, weight in ((now, tuned(tiny, plain), 2.0), (then, tiny, 1.0)):
        scores = score_options(llm, history=TITLES[:3], wish="", options=titles)
        expected = weight * scores.figures()["likelihood"]
        assert dict(zip(titles, expected, strict=True)) == pytest.approx(
            {row.candidate.item.title: row.signals["likelihood"] for row in ranking.ranked}, abs=0.02
        )


def test_the_agent_says_that_an_adapter_is_of_another_model(plain: Adapter, tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "other.gguf", seed=1)
    other = LocalModel(ModelBuild(file=tmp_path / "other.gguf"), spec="gguf:other.gguf")
    agent = Agent(ring(40), other, fitted=replace(Fitted.default(), adapter=plain))
    ranking = agent.ranking([Item(item_id="Green tea", title="Green tea")], [Item(item_id="x", title="Rye bread")])
    assert ranking.warnings == (other_base(other, plain, load_phrases("en")),)


def test_what_is_fitted_keeps_the_adapter_and_forgetting_removes_it(
    plain: Adapter, shop_csv: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))  # forgetting clears the caches
    ingest(open_source(str(shop_csv)), tmp_path / "store")
    with open_store(tmp_path / "store") as store:
        with whole_files(store.fitted, FILES) as new:
            replace(Fitted.default(), adapter=plain).save(new)
        kept = Fitted.load(store.fitted).adapter
        assert kept is not None
        assert kept.facts == plain.facts
        assert kept.path.read_bytes() == plain.path.read_bytes()
        forget_person(store, "u3")
        assert Fitted.load(store.fitted).adapter is None
        assert not (store.fitted / ADAPTER).exists()


def test_a_fit_keeps_what_helps_held_out_people_and_drops_the_rest(
    tiny: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    random, names = np.random.default_rng(0), [f"{first} {second}" for first in TITLES for second in TITLES[:6]]
    lines = []
    for _ in range(260):
        place = int(random.integers(len(names)))
        lines.append(json.dumps([names[(place + step) % len(names)] for step in range(6)]))
    (tmp_path / "sessions.jsonl").write_text("\n".join(lines))
    tried: list[Worth] = []
    real = fit_tuned.worth_of
    for kept in (True, False):

        def judged(*arguments: object, is_kept: bool = kept, **settings: object) -> Worth:
            worth = real(*arguments, **settings)  # type: ignore[arg-type]
            tried.append(worth)
            nats = (1.0, 0.5, 1.5) if is_kept else (0.0, -0.5, 0.5)
            return replace(worth, nats=nats, choices=100)

        monkeypatch.setattr(fit_tuned, "worth_of", judged)
        extras = Extras(llm=tiny, answers=30, tune=TuneConfig(steps=2))
        fit = fit_sessions(tmp_path / "sessions.jsonl", None, tmp_path / "out", extras)
        assert fit.tuned is not None
        assert fit.document()["tuned"]["kept"] is kept
        assert ("kept" in fit.words()) is kept
        catalogue, fitted = read_fitted_log(tmp_path / "out")
        assert (fitted.adapter is not None) is kept
        models = fitted.fusion.given.models
        assert tiny.digest in models
        assert any(digest.startswith(f"{tiny.digest}+") for digest in models) is kept
        if fitted.adapter is not None:
            assert fitted.adapter.facts.until == catalogue.log.time[int(len(catalogue.log.time) * 0.9)]
    assert [worth.choices > 0 for worth in tried] == [True, True]


def test_a_missing_package_is_named_with_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    with pytest.raises(ConfigError, match=r"--tune-model needs peft: run `pip install 'whimbrel\[tune\]'`"):
        train.require_tuning_packages()


def test_a_model_that_is_not_a_file_here_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not run in this process, so it cannot be tuned"):
        fit_tuned.require_tunable(ScriptedModel())
