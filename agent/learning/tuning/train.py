"""Tune a local model with LoRA (Hu et al., 2022) on sequences of titles.

The text of a sequence is the prompt by which the model is asked for likelihoods, and the loss counts the titles alone.
So one reading of a sequence teaches each of its titles after all titles before it.

Two savings suit a processor. Only the upper layers learn, so nothing is computed backwards below them. And the loss
compares only the tokens of the catalogue's titles and the commonest others, not the whole vocabulary.
"""

import time
from collections.abc import Sequence
from contextlib import redirect_stderr
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

from whimbrel.agent.language_models.local.library import available_cores
from whimbrel.agent.language_models.local.model import MAX_CONTINUATION_TOKENS
from whimbrel.agent.language_models.local.model_files import requantise
from whimbrel.agent.language_models.option_scores import likelihood_prompt
from whimbrel.tools.errors import ConfigError, ModelError
from whimbrel.tools.progress import NoProgress, Progress

if TYPE_CHECKING:
    from whimbrel.agent.language_models.local.llama import Llama

LAYERS = 0.5
"""Share of the layers that learn, from the top."""
BATCH, BATCH_ON_GPU = 4, 32
"""Sequences of a step."""
COMMON_TOKENS = 4096
"""The loss also compares so many tokens of the vocabulary that come first in it, which are the commonest."""
EPOCHS = 3
"""A sequence is read at most so often."""
WARM_UP = 0.05
"""Share of the time in which the learning rate rises. It falls to 0 in the rest."""
MODULES = ("q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj")
_F32 = 0  # llama.cpp's number of the format
_SORTED_TOGETHER = 64  # sequences that are sorted by length before they are divided, so that little is padding


Text = tuple[list[int], list[bool]]
"""The tokens of a sequence, and which of them the loss counts."""


MINUTES = 5.0
"""The time after which training ends, unless told otherwise."""


@dataclass(frozen=True)
class TuneConfig:
    """How a model is tuned.

    Attributes:
        minutes: The time after which training ends.
        steps: The most steps. If they end before the time, a repeated training gives the same adapter, up to rounding.
        rank: The rank of the adapter's matrices.
        rate: The highest learning rate.
        seed: The seed of all random draws.
    """

    minutes: float = MINUTES
    steps: int | None = None
    rank: int = 16
    rate: float = 2e-3
    seed: int = 0

    @property
    def alpha(self) -> int:
        """The adapter's scale is `alpha / rank`."""
        return 2 * self.rank


@dataclass(frozen=True)
class LoraWeights:
    """The matrices of an adapter, keyed by the name of the tensor that they are added to, as transformers names it.

    Attributes:
        down: The matrices A, shape (rank, inputs) each.
        up: The matrices B, shape (outputs, rank) each.
        model_type: The family of the model, as transformers names it.
        steps: Steps of the training.
        tokens: Tokens of the titles that were read.
        seconds: How long the training took.
        loss: The mean loss of a token in the first and in the last tenth of the steps, in nats.
    """

    down: dict[str, Any]
    up: dict[str, Any]
    model_type: str
    steps: int
    tokens: int
    seconds: float
    loss: tuple[float, float]


def require_tuning_packages() -> None:
    """Check that the packages are installed that tuning needs.

    Raises:
        ConfigError: One is missing.
    """
    try:
        import gguf  # noqa: F401
        import peft  # noqa: F401
        import torch  # noqa: F401
        import transformers  # noqa: F401
    except ImportError as error:
        raise ConfigError(f"--tune-model needs {error.name}: run `pip install 'whimbrel[tune]'`") from error


def train_lora(
    base: Path,
    llama: "Llama",
    sequences: Sequence[Sequence[str]],
    config: TuneConfig,
    progress: Progress | None = None,
) -> LoraWeights:
    """Tune a model on sequences of titles.

    Args:
        base: The GGUF file of the model.
        llama: The same model, whose tokens are learned.
        sequences: Titles in order, two or more each.
        config: How the model is tuned.
        progress: Shows the progress, in seconds or in steps.

    Raises:
        ModelError: The model cannot be read, or its family cannot be tuned.
    """
    import torch

    progress = progress or NoProgress()
    progress.step("Reading the model's weights", None)
    torch.manual_seed(config.seed)
    torch.set_num_threads(available_cores())
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model = _open(base)
    _add_lora(model, config)
    model.to(device)
    texts = [_tokens(titles, llama) for titles in sequences]
    vocabulary = _vocabulary(texts, llama.vocabulary_size)
    head = model.get_output_embeddings().weight.detach()[torch.from_numpy(vocabulary).to(device)]
    optimiser = torch.optim.AdamW(
        [weights for weights in model.parameters() if weights.requires_grad], weight_decay=0.0
    )
    limit = config.minutes * 60
    batches = _batches(texts, BATCH if device.type == "cpu" else BATCH_ON_GPU, config.seed)[: config.steps]
    progress.step("Tuning the model (percent)", 100)
    started, losses, tokens, shown = time.monotonic(), list[float](), 0, 0
    for step, batch in enumerate(batches):
        elapsed = (time.monotonic() - started) / limit
        # The clock decides only if no number of steps is given, so that a training can be repeated.
        done = step / len(batches) if config.steps else max(elapsed, step / len(batches))
        progress.advance(int(100 * max(done, min(elapsed, 1.0))) - shown)
        shown = int(100 * max(done, min(elapsed, 1.0)))
        if elapsed >= 1:
            break
        for group in optimiser.param_groups:
            group["lr"] = config.rate * min(done / WARM_UP + 0.1, (1 - done) / (1 - WARM_UP), 1.0)
        loss, count = _loss(model, head, batch, vocabulary)
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(float(loss.detach()))
        tokens += count
    if not np.isfinite(losses).all():
        raise ModelError("the tuning diverged: its loss is not finite")
    tenth = max(len(losses) // 10, 1)
    ends = (float(np.mean(losses[:tenth] or [0.0])), float(np.mean(losses[-tenth:] or [0.0])))
    lora = {name: value.detach().cpu().numpy() for name, value in model.named_parameters() if value.requires_grad}
    return LoraWeights(
        down=_of_kind(lora, "lora_A"),
        up=_of_kind(lora, "lora_B"),
        model_type=model.config.model_type,
        steps=len(losses),
        tokens=tokens,
        seconds=time.monotonic() - started,
        loss=ends,
    )


def _open(base: Path) -> Any:
    """Return a GGUF model as one of transformers, in 32 bits."""
    import torch
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.set_verbosity(logging.ERROR)
    with TemporaryDirectory() as folder:
        # llama.cpp converts to 32 bits far faster than the gguf package.
        whole = Path(folder) / "model.gguf"
        file = whole if requantise(base, whole, _F32) else base
        try:
            # Its bars say nothing to a person, who sees our own progress.
            with redirect_stderr(StringIO()):
                return AutoModelForCausalLM.from_pretrained(str(file.parent), gguf_file=file.name, dtype=torch.float32)
        except Exception as error:
            raise ModelError(f"{base.name!r} cannot be tuned: transformers cannot read it ({error})") from error


def _add_lora(model: Any, config: TuneConfig) -> None:
    from peft import LoraConfig, inject_adapter_in_model

    layers = int(model.config.num_hidden_layers)
    upper = list(range(layers - max(round(LAYERS * layers), 1), layers))
    lora = LoraConfig(
        r=config.rank, lora_alpha=config.alpha, target_modules=list(MODULES), layers_to_transform=upper, bias="none"
    )
    try:
        inject_adapter_in_model(lora, model)
    except ValueError as error:  # its modules have other names
        raise ModelError(f"a model of the family {model.config.model_type!r} cannot be tuned") from error
    model.train()


def _tokens(titles: Sequence[str], llama: "Llama") -> Text:
    """Return the tokens of a sequence, and which of them are of titles, as `LocalModel.log_likelihood` cuts them."""
    opening = llama.tokenise(likelihood_prompt().fill({"history": "", "wish": ""}), begin=True)
    tokens, counts = list(opening), [False] * len(opening)
    dash = llama.tokenise("-")
    for number, title in enumerate(titles):
        if number:
            tokens += dash
            counts += [False] * len(dash)
        of_title = llama.tokenise(f" {title}\n")[:MAX_CONTINUATION_TOKENS]
        tokens += of_title
        counts += [True] * len(of_title)
    return tokens, counts


def _vocabulary(texts: Sequence[Text], size: int) -> Any:
    used = {token for tokens, _ in texts for token in tokens}
    return np.union1d(np.fromiter(used, np.int64), np.arange(min(COMMON_TOKENS, size)))


def _batches(texts: Sequence[Text], size: int, seed: int) -> list[list[Text]]:
    """Return batches of texts of about the same length, in random order. Each text is in EPOCHS of them."""
    random, batches = np.random.default_rng(seed), list[list[Text]]()
    for _ in range(EPOCHS):
        order = random.permutation(len(texts))
        for start in range(0, len(order), _SORTED_TOGETHER):
            part = sorted(order[start : start + _SORTED_TOGETHER], key=lambda row: len(texts[row][0]))
            groups = [part[first : first + size] for first in range(0, len(part), size)]
            batches += [[texts[row] for row in groups[number]] for number in random.permutation(len(groups))]
    return batches


def _loss(model: Any, head: Any, batch: Sequence[Text], vocabulary: Any) -> tuple[Any, int]:
    """Return the mean loss of the tokens of titles, and their number."""
    import torch

    width = max(len(tokens) for tokens, _ in batch)
    tokens = torch.zeros((len(batch), width), dtype=torch.long)
    counts = torch.zeros((len(batch), width), dtype=torch.bool)
    for row, (of_text, of_titles) in enumerate(batch):
        tokens[row, : len(of_text)] = torch.tensor(of_text)
        counts[row, : len(of_text)] = torch.tensor(of_titles)
    # Padding follows the text, and no token sees a later one, so it needs no mask.
    hidden = model.model(input_ids=tokens[:, :-1].to(head.device), use_cache=False).last_hidden_state
    wanted = counts[:, 1:]
    places = torch.from_numpy(np.searchsorted(vocabulary, tokens[:, 1:][wanted].numpy())).to(head.device)
    scores = hidden[wanted.to(head.device)] @ head.T
    return torch.nn.functional.cross_entropy(scores, places), int(wanted.sum())


def _of_kind(lora: dict[str, Any], kind: str) -> dict[str, Any]:
    """Return the matrices of one kind, keyed by the name of the tensor that they are added to."""
    mark = f".{kind}.default.weight"
    return {name.removesuffix(mark): value for name, value in lora.items() if name.endswith(mark)}
