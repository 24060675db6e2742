"""The local model: prefixes that are kept, the build that is chosen, what several processes share."""

import json
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import BaseModel

from whimbrel.agent import ConfigError, ModelError, ScriptedModel
from whimbrel.agent.language_models.hosted.budget import Account, Budget
from whimbrel.agent.language_models.hosted.prices import Price
from whimbrel.agent.language_models.local import model as local
from whimbrel.agent.language_models.local import model_builds
from whimbrel.agent.language_models.local.model import LocalModel
from whimbrel.agent.language_models.local.model_builds import ModelBuild, fastest_build
from whimbrel.agent.language_models.local.model_files import requantise
from whimbrel.agent.language_models.local.prefixes import PrefixCache, PromptState
from whimbrel.agent.language_models.option_scores import score_options, titles_that_fit
from whimbrel.agent.language_models.protocol import Usage
from whimbrel.agent.language_models.reply_cache import CachingModel
from whimbrel.agent.language_models.tokens import TokenCounter
from whimbrel.agent.profile.summarise import SummaryReply
from whimbrel.evals.models import bench as benches
from whimbrel.evals.models.check import direct_log_likelihood, position_bias
from whimbrel.evals.models.sample import NAMES, sample_request
from whimbrel.prompts import load
from whimbrel.tools.store.caches import NumberCache

PROMPT = "What one person chose, in order, one a line:\n" + "".join(f"- {name}\n" for name in NAMES[:15]) + "-"
TEXTS = [f" {name}\n" for name in NAMES[20:40]]


@pytest.mark.slow
def test_in_32_bits_one_batch_says_what_one_by_one_says(bundled: LocalModel, tmp_path: Path) -> None:
    file = tmp_path / "model.F32.gguf"
    assert requantise(bundled.build.file, file, 0)
    model = LocalModel(ModelBuild(file=file), spec="f32")
    together = model.log_likelihood(PROMPT, TEXTS).values
    directly = [direct_log_likelihood(model, PROMPT, text) for text in TEXTS]
    assert together == pytest.approx(directly, abs=1e-3)
    model.close()


@pytest.mark.slow
def test_a_prefix_is_restored_with_the_same_figures(bundled: LocalModel) -> None:
    bundled.forget()
    fresh = bundled.log_likelihood(PROMPT, TEXTS)
    bundled.log_likelihood("Something else. " * 30, [" tea"])
    again = bundled.log_likelihood(PROMPT, TEXTS)
    assert again.values == fresh.values
    read = sum(bundled.count_tokens(text) for text in TEXTS)
    assert again.usage.prompt_tokens - again.usage.cached_tokens == read
    assert fresh.usage.prompt_tokens - fresh.usage.cached_tokens > read + 100
    bundled.forget()
    assert bundled.log_likelihood(PROMPT, TEXTS).usage == fresh.usage


@pytest.mark.slow
def test_instructions_outlive_the_process_and_what_follows_them_is_the_same(
    bundled: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "cache_folder", lambda: tmp_path)
    asked = [load("summarise").messages({"recent": "Soup, Eggs", "earlier": "Cheese"})]
    first, second = (LocalModel(bundled.build, spec="bundled") for _ in range(2))
    fresh = first.generate(asked, schema=SummaryReply, max_tokens=64)[0]
    restored = second.generate(asked, schema=SummaryReply, max_tokens=64)[0]
    assert fresh.usage.cached_tokens == 0
    assert restored.usage.cached_tokens > 0.8 * restored.usage.prompt_tokens
    assert restored.value == fresh.value
    (state,) = tmp_path.rglob("*.state")
    state.write_bytes(state.read_bytes()[:-1])
    third = LocalModel(bundled.build, spec="bundled")
    assert third.generate(asked, schema=SummaryReply, max_tokens=64)[0] == fresh
    for model in (first, second, third):
        model.close()


@pytest.mark.slow
def test_within_one_request_most_prompt_tokens_are_not_read_again(bundled: LocalModel) -> None:
    sample_request(bundled, 1)
    bundled.forget()
    usage = sample_request(bundled, 2).usage
    assert usage.cached_tokens >= 0.7 * usage.prompt_tokens


def test_prefixes_stay_within_their_budget_and_the_latest_stay() -> None:
    prefixes = PrefixCache(100)
    for number in range(9):
        prefixes.put([number] * 5, PromptState(bytes(30)))
    found = [prefixes.longest([number] * 5) for number in range(9)]
    assert [entry[0][0] for entry in found if entry is not None][-3:] == [6, 7, 8]
    prefixes.put([1, 2], PromptState(bytes(10)), fixed=True)
    prefixes.drop()
    assert prefixes.longest([8] * 5) == ((1, 2), PromptState(bytes(10)))


def test_a_build_is_measured_once_and_again_when_asked(
    bundled: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_builds, "cache_folder", lambda: tmp_path)
    told: list[str] = []
    build = fastest_build(bundled.build.file, small=False, tell=told.append)
    assert build.reads > build.writes > 0
    assert fastest_build(bundled.build.file, small=False, tell=told.append) == build
    assert len(told) == 1
    (found,) = (tmp_path / "models").glob("*.json")
    found.write_text("{")
    fastest_build(bundled.build.file, small=False, tell=told.append)
    assert len(told) == 2
    with pytest.raises(ModelError, match="not a whole GGUF"):
        damaged = tmp_path / "damaged.gguf"
        damaged.write_bytes(b"GGUF" + bytes(100))
        fastest_build(damaged, small=False)


def test_a_build_that_kills_llama_cpp_is_left_out(bundled: LocalModel, monkeypatch: pytest.MonkeyPatch) -> None:
    """Measured in a process of its own: where repacked weights kill it, they are tried as they lie."""
    asked: list[bool] = []
    talk = model_builds._exchange

    def dying(process: "subprocess.Popen[str]", line: str) -> str:
        build = ModelBuild.model_validate_json(line)
        asked.append(build.repacked)
        if build.repacked:
            process.kill()
        return talk(process, line)

    monkeypatch.setattr(model_builds, "_exchange", dying)
    with model_builds._Measuring() as measuring:
        found = measuring.measure(ModelBuild(file=bundled.build.file))
    assert (found.repacked, asked) == (False, [True, False])
    assert found.reads > 0


class Tea(BaseModel):
    tea: str


def test_what_was_asked_before_is_answered_from_disk_for_the_same_words_only() -> None:
    script = ScriptedModel({"Tea": {"tea": "green"}})
    asked: Any = [{"role": "user", "content": "Which?"}]
    with_cache = CachingModel(script)
    first, second = (with_cache.generate([asked], schema=Tea, max_tokens=9)[0] for _ in range(2))
    assert first.value == second.value == Tea(tea="green")
    assert second.usage == Usage(generations=1, remembered=1)
    assert len(script.conversations) == 1
    with_cache.generate([[{"role": "user", "content": "Which? "}]], schema=Tea, max_tokens=9)
    with_cache.generate([asked], schema=Tea, max_tokens=8)
    assert len(script.conversations) == 3
    values = with_cache.log_likelihood("a", ["b", "c"])
    assert with_cache.log_likelihood("a", ["b", "c"]).values == values.values
    assert with_cache.log_likelihood("a", ["c", "b"]).usage.remembered == 0
    with_cache.close()


def test_a_reply_that_fits_no_schema_is_asked_for_again() -> None:
    script = ScriptedModel({"Tea": "no"})
    model = CachingModel(script)
    for _ in range(2):
        model.generate([[{"role": "user", "content": "Which?"}]], schema=Tea, max_tokens=9)
    assert len(script.conversations) == 2
    model.close()


def test_likelihoods_without_a_history_are_asked_for_once(tmp_path: Path) -> None:
    asked: list[str] = []

    def likelihood(prompt: str, text: str) -> float:
        asked.append(prompt)
        return -float(len(text))

    likelihood_cache = NumberCache(tmp_path, "k")
    model = ScriptedModel(likelihood=likelihood)
    first = score_options(model, history=["Tea"], wish="", options=["Rusk", "Scone"], likelihood_cache=likelihood_cache)
    second = score_options(
        model, history=["Jam"], wish="", options=["Scone", "Rusk", "Pie"], likelihood_cache=likelihood_cache
    )
    assert len([prompt for prompt in asked if "Tea" in prompt or "Jam" in prompt]) == 5
    assert len(asked) == 5 + 3
    assert first.values is not None
    assert second.values is not None
    assert np.isfinite(second.values).all()
    likelihood_cache.close()


def test_a_history_too_long_loses_what_repeats_then_what_is_oldest_and_says_so() -> None:
    model = ScriptedModel(context_tokens=100)  # room for 25 words
    history = ["old one", "Tea time", "Jam jar", "Tea time", *(f"thing number {n}" for n in range(5))]
    shown = titles_that_fit(history, model)
    assert shown == ["Tea time", *(f"thing number {n}" for n in range(5))][-len(shown) :]
    found = score_options(model, history=history, wish="", options=["Rusk", "Pie"])
    assert found.warnings == (f"the model was shown {len(shown)} of the latest 9 events: no more fit its context",)
    assert titles_that_fit(["a", "b"], model) == ["a", "b"]


def test_a_budget_is_never_overdrawn_by_calls_side_by_side() -> None:
    account = Account(Budget(tokens=1000), None, model="m")
    refused: list[str] = []
    used: list[int] = []

    def call() -> None:
        try:
            with account.reserve(prompt_tokens=60, max_tokens=40) as spent:
                spent.append(Usage(prompt_tokens=60, completion_tokens=20))
                used.append(80)
        except ModelError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=call) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(used) <= 1000
    assert len(used) + len(refused) == 40
    assert len(used) >= 10
    assert "the budget of 1000 tokens" in refused[0]


def test_a_budget_in_money_needs_a_price_and_stops_before_it_is_overdrawn() -> None:
    with pytest.raises(ConfigError, match="price of 'm' is not known"):
        Account(Budget(usd=1.0), None, model="m")
    account = Account(Budget(usd=1.0), Price(input=1e6, cached=0, output=1e6), model="m")  # a dollar a token
    with pytest.raises(ModelError, match=r"budget of 1.0 US dollars"), account.reserve(prompt_tokens=1, max_tokens=1):
        pass
    with account.reserve(prompt_tokens=1, max_tokens=0):
        pass  # failed, costs nothing
    with account.reserve(prompt_tokens=1, max_tokens=0) as spent:
        spent.append(Usage(prompt_tokens=1))
    with pytest.raises(ModelError, match="budget"), account.reserve(prompt_tokens=1, max_tokens=0):
        pass


def test_tokens_of_a_vocabulary_out_of_reach_are_estimated_and_it_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bundled: LocalModel
) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    count = TokenCounter("gpt-4.1-nano-unseen")
    assert count.how == "estimated from the bytes"
    for text in [*NAMES[:20], "有机绿茶，二十袋", "Zürich – Ελλάδα", "1234567890"]:
        assert count(text) >= bundled.count_tokens(text) * 0.9


@pytest.mark.parametrize(("favours", "expected"), [("first", 1.0), ("last", -1.0)])
def test_the_bias_to_positions_is_measured(favours: str, expected: float) -> None:
    order = list(range(1, 9)) if favours == "first" else list(range(8, 0, -1))
    model = ScriptedModel({"OrderReply": {"order": order}}, scores=False)
    assert position_bias(model, permutations=1).mean == pytest.approx(expected)
    assert position_bias(model, permutations=2).lists == 0  # all alike: no order is left


@pytest.mark.slow
def test_models_check_tells_what_it_found() -> None:
    command = [sys.executable, "-m", "whimbrel.agent.cli.main", "models", "check", "bundled", "--json"]
    told = subprocess.run(command, capture_output=True, text=True)
    assert told.returncode == 0, told.stderr
    found = {line["name"]: line for line in json.loads(told.stdout)["findings"]}
    assert found["answers in a schema"]["ok"]
    assert found["gives likelihoods"]["figures"]["worst_nats"] <= 0.7
    assert found["position bias, 1 order"]["figures"]["lists"] > 0


@pytest.mark.slow
def test_models_bench_stands_beside_bare_llama_cpp(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"ROUNDS": 1, "SCORED": 4, "PREFIX": 60, "WRITTEN": 4}.items():
        monkeypatch.setattr(benches, name, value)
    found = {speed.name: speed for speed in benches.bench("bundled")}
    for name in ("reading", "writing, held to a schema", "requests"):
        ratio = found[name].ratio
        assert ratio is not None
        assert 0.2 < ratio < 5  # a measurement, not a bar: machines are busy


@pytest.mark.slow
def test_a_finding_never_leads_to_another_file(
    bundled: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_builds, "cache_folder", lambda: tmp_path / "cache")
    one, two = tmp_path / "one.gguf", tmp_path / "two.gguf"
    one.write_bytes(bundled.build.file.read_bytes())
    assert fastest_build(one, small=False).file == one
    one.rename(two)
    assert fastest_build(two, small=False).file == two
    monkeypatch.chdir(tmp_path)
    assert fastest_build(Path("two.gguf"), small=False).file == two
    for found in (tmp_path / "cache" / "models").glob("*.json"):
        found.write_text(found.read_text().replace('"source"', f'"{one}"'))
    one.write_bytes(b"another")
    assert fastest_build(two, small=False).file == two


@pytest.mark.slow
def test_a_closed_model_refuses(bundled: LocalModel) -> None:
    model = LocalModel(bundled.build, spec="bundled")
    model.close()
    model.close()
    for ask in (
        lambda: model.log_likelihood("a", [" b"]),
        lambda: model.generate([[{"role": "user", "content": "a"}]], schema=Tea, max_tokens=9),
        lambda: model.count_tokens("a"),
        lambda: list(model.stream([{"role": "user", "content": "a"}], max_tokens=3)),
    ):
        with pytest.raises(ModelError, match="is closed"):
            ask()
