"""Fit the table of the distilled text encoder to vectors of the exact one.

    python -m whimbrel.evals.studies.distilled_encoder texts.txt --out distilled_table.npz

The shipped table was fitted to 135,232 lines: the words, glosses and examples of WordNet 3.0, and the product types and
categories of the Complete Journey. It needs PyTorch (`pip install torch`) and 4 minutes on two cores, and then 94 s on
one. Set MALLOC_MMAP_MAX_=0 in the environment: otherwise the allocator returns memory at each step, which is slow.
"""

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.tools.text.distilled import pieces_of
from whimbrel.tools.text.encoder import DIMENSION
from whimbrel.tools.text.minilm import ENGLISH

SEED = 0
WIDTH, HIDDEN = 256, 768
"""How many numbers a word piece has, and how many units the network."""
EPOCHS, BATCH_SIZE, RATE = 8, 512, 2e-3
TEMPERATURE, NEIGHBOUR_WEIGHT = 0.05, 0.3
FREQUENT = 1e-3
"""A piece that is this share of all pieces has half of the weight of a rare one."""


def fit(texts: Sequence[str], piece_vectors: NDArray[np.float32], exact: NDArray[np.float32]) -> Mapping[str, Any]:
    """Return the table that brings texts near their exact vectors.

    The rows of pieces start as the exact vectors of single pieces. The loss is one minus the cosine to the exact
    vector, plus the divergence between exact and approximate similarities within a batch.

    Args:
        texts: The texts.
        piece_vectors: The exact vector of each word piece alone, shape (pieces, 384).
        exact: The exact vector of each text, shape (texts, 384).
    """
    import torch
    from torch.nn import functional

    torch.manual_seed(SEED)
    pieces = [torch.tensor(ids) for ids in pieces_of(texts)]
    counts = torch.bincount(torch.cat(pieces), minlength=len(piece_vectors)).float()
    weights = FREQUENT / (FREQUENT + counts / counts.sum())
    vectors, targets = torch.from_numpy(piece_vectors), torch.from_numpy(exact)
    axes = torch.linalg.svd(vectors, full_matrices=False)[2][:WIDTH]
    values = {
        "rows": vectors @ axes.T * weights[:, None],
        "direct": axes.clone(),
        "inner": torch.randn(WIDTH, HIDDEN) / WIDTH**0.5,
        "inner_bias": torch.zeros(HIDDEN),
        "outer": torch.randn(HIDDEN, DIMENSION) / HIDDEN**0.5 / 10,
        "bias": torch.zeros(DIMENSION),
    }
    values = {name: value.requires_grad_() for name, value in values.items()}

    def approximate(batch: Sequence[Any]) -> Any:
        lengths = torch.tensor([len(ids) for ids in batch])
        starts = torch.cumsum(lengths, 0) - lengths
        sums = functional.embedding_bag(torch.cat(list(batch)), values["rows"], starts, mode="sum", sparse=True)
        means = sums / lengths[:, None]
        hidden = functional.relu(functional.layer_norm(means, (WIDTH,)) @ values["inner"] + values["inner_bias"])
        return functional.normalize(means @ values["direct"] + hidden @ values["outer"] + values["bias"], dim=1)

    optimizers = [
        torch.optim.SparseAdam([values["rows"]], lr=RATE, betas=(0.9, 0.98)),
        torch.optim.AdamW([v for name, v in values.items() if name != "rows"], lr=RATE / 2, betas=(0.9, 0.98)),
    ]
    steps = EPOCHS * -(-len(texts) // BATCH_SIZE)
    schedules = [
        torch.optim.lr_scheduler.LambdaLR(o, lambda step: min(1, (step + 1) / 100) * max(0.02, 1 - step / steps))
        for o in optimizers
    ]
    for epoch in range(EPOCHS):
        cosines = 0.0
        for batch in torch.randperm(len(texts)).split(BATCH_SIZE):
            near, target = approximate([pieces[row] for row in batch]), targets[batch]
            cosine = (near * target).sum(dim=1)
            wanted, reached = (functional.log_softmax(v @ target.T / TEMPERATURE, dim=1) for v in (target, near))
            spread = functional.kl_div(reached, wanted, log_target=True, reduction="batchmean")
            for value in values.values():
                value.grad = None
            ((1 - cosine).mean() + NEIGHBOUR_WEIGHT * spread).backward()
            for step in (*optimizers, *schedules):
                step.step()
            cosines += float(cosine.sum())
        print(f"epoch {epoch + 1} of {EPOCHS}: mean cosine {cosines / len(texts):.4f}", flush=True)
    return {name: value.detach().numpy() for name, value in values.items()}


def save(table: Mapping[str, Any], path: Path) -> None:
    """Write a table: its rows as integers of 8 bits with a scale each, the rest as floats of 16 bits."""
    rows = table["rows"]
    scales = np.maximum(np.abs(rows).max(axis=1, keepdims=True), 1e-8) / 127
    others = {name: value.astype(np.float16) for name, value in table.items() if name != "rows"}
    np.savez_compressed(path, rows=np.round(rows / scales).astype(np.int8), scales=scales.astype(np.float32), **others)


def main() -> None:
    """Read texts, encode them exactly, fit the table and write it."""
    from importlib import resources

    from tokenizers import Tokenizer

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, help="a file with a text on each line")
    parser.add_argument("--out", type=Path, default=Path("distilled_table.npz"))
    arguments = parser.parse_args()
    texts = [line for line in arguments.texts.read_text("utf-8").splitlines() if line.strip()]
    file = resources.files("whimbrel.tools.text").joinpath("minilm_tokenizer.json")
    tokenizer = Tokenizer.from_str(file.read_text("utf-8"))
    names = [tokenizer.decode([number]) or "." for number in range(tokenizer.get_vocab_size())]
    save(fit(texts, ENGLISH.encode(names), ENGLISH.encode(texts)), arguments.out)


if __name__ == "__main__":
    main()
