"""Self-attention over the sequence of a history (`rectools`, extra `whimbrel[sasrec]`)."""

import logging
import math
import warnings
from collections.abc import Iterator
from itertools import pairwise
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from numpy.typing import NDArray

from whimbrel.agent.learning.cases import BlindCase
from whimbrel.agent.learning.sessions import Ints, Training, values_at
from whimbrel.evals.systems.protocol import NotApplicableError, Scorer, Settings

# The authors of eSASRec chose 64 factors for ML-1M and Beauty, 2 layers for ML-1M, and an input of 50 for Beauty. Their
# input of 200 for ML-1M was not tried.
FACTORS, BLOCKS, HEADS, DROPOUT, LONGEST = 64, 2, 2, 0.2, 50
"""The size of vectors, the number of layers and of attention heads, the dropout, and the longest input."""
# A step of 1600 positions takes 2.5 times as long as a step of 400, so small batches reach a low loss sooner. A fit on
# MovieLens 100K takes about 100 s of one core: `whimbrel eval published ml-1m --path ml-100k --system sasrec`.
POSITIONS = 800
"""The size of a batch: inputs times their length. So a step takes about the same time on logs of short sessions."""
WHOLE_SOFTMAX, NEGATIVES = 10_000, 1024
"""Up to WHOLE_SOFTMAX items, the loss is the softmax over all of them. Above, each batch samples NEGATIVES items."""
HELD_OUT, MOST_HELD_OUT = 0.1, 2048
"""The share of sessions whose last item is held out to stop the training, and the largest number of them."""
CHECK_STEPS, PATIENCE, LEAST_GAIN, MOST_CHECKS = 50, 4, 0.001, 100
"""The loss on the held-out items is checked after each epoch, but not before CHECK_STEPS gradient steps. Training stops
after PATIENCE checks that lower the loss by less than LEAST_GAIN, or after MOST_CHECKS checks."""
LOSS = "val_loss"


def sasrec(training: Training, settings: Settings) -> Scorer:
    """Score by SASRec (Kang & McAuley, 2018) with LiGR layers and a softmax loss. Unknown candidates come last.

    This combination is eSASRec (arXiv 2508.06450).

    Raises:
        NotApplicableError: No session can be held out to stop the training.
    """
    model = fit_model(training, settings.seed)
    return _scorer(training, model)


def fit_model(training: Training, seed: int) -> Any:
    """Train a model until the loss on held-out items stops falling. The weights are those of the best epoch.

    The result depends on the log and the seed, not on the number of cores.

    Returns:
        A `rectools.models.SASRecModel`. Its ids of items are rows of the training log.

    Raises:
        NotApplicableError: No session can be held out to stop the training.
    """
    longest = min(LONGEST, int(np.diff(training.offsets).max(initial=0)) - 1)
    windows = np.array(list(_windows(training.offsets, longest)), dtype=np.int64).reshape(-1, 2)
    held_out = _held_out(training, windows, seed)
    rows = np.concatenate([np.arange(start, stop) for start, stop in windows])
    batch_size = max(POSITIONS // longest, 1)
    epochs_between = math.ceil(CHECK_STEPS * batch_size / len(windows))
    ends = np.cumsum(windows[:, 1] - windows[:, 0]) - 1
    is_held_out = np.zeros(len(rows), dtype=bool)
    is_held_out[ends[held_out]] = True
    with warnings.catch_warnings(), TemporaryDirectory(prefix="whimbrel-") as folder:
        warnings.simplefilter("ignore")
        import pandas as pd
        import torch
        from pytorch_lightning import Trainer, seed_everything
        from pytorch_lightning.callbacks import EarlyStopping, ModelCheckpoint
        from rectools.dataset import Dataset
        from rectools.models import SASRecModel
        from rectools.models.nn.transformers.ligr import LiGRLayers

        logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
        seed_everything(seed, verbose=False)
        torch.use_deterministic_algorithms(True)  # equal manifests must give equal rankings
        torch.set_num_threads(1)  # the number of threads changes the order of sums, and so the result

        def trainer() -> Any:
            best = ModelCheckpoint(folder, monitor=LOSS, save_weights_only=True)
            return Trainer(
                max_epochs=MOST_CHECKS * epochs_between,
                check_val_every_n_epoch=epochs_between,
                callbacks=[EarlyStopping(LOSS, min_delta=LEAST_GAIN, patience=PATIENCE), best],
                deterministic=True,
                accelerator="cpu",
                devices=1,
                num_sanity_val_steps=0,
                logger=False,
                enable_progress_bar=False,
                enable_model_summary=False,
            )

        model = SASRecModel(
            n_factors=FACTORS,
            n_blocks=BLOCKS,
            n_heads=HEADS,
            dropout_rate=DROPOUT,
            session_max_len=longest,
            batch_size=batch_size,
            # NDCG@10 is .100 with these layers and .091 with RecTools' default (MovieLens 100K, leave-one-out, n=943).
            transformer_layers_type=LiGRLayers,
            use_key_padding_mask=True,  # LiGR layers would attend to the padding
            lightning_module_type=_lightning_module(),
            get_val_mask_func=lambda interactions: is_held_out,
            get_trainer_func=trainer,
        )
        # RecTools sorts by time. The position in the log replaces the time, so that a log without times works too.
        interactions = pd.DataFrame(
            {
                "user_id": np.repeat(np.arange(len(windows)), windows[:, 1] - windows[:, 0]),
                "item_id": training.rows[rows],
                "weight": 1.0,
                "datetime": pd.to_datetime(np.arange(len(rows)), unit="s"),
            }
        )
        model.fit(Dataset.construct(interactions))
        model.load_weights_from_checkpoint(model.fit_trainer.checkpoint_callback.best_model_path)
    return model


def _windows(offsets: Ints, longest: int) -> Iterator[tuple[int, int]]:
    """Yield the bounds of windows of at most `longest` + 1 interactions. Together they cover each session.

    RecTools would learn from the end of a session only. Windows are counted from that end, since histories end there.
    Neighbouring windows share an interaction, so that every interaction but the first of a session is predicted once.
    """
    for start, stop in pairwise(offsets.tolist()):
        while stop - start > longest + 1:
            yield stop - longest - 1, stop
            stop -= longest
        if stop - start > 1:
            yield start, stop


def _held_out(training: Training, windows: Ints, seed: int) -> Ints:
    """Draw the windows whose last interaction is held out. They end their session and leave two interactions over."""
    starts, stops = windows.T
    usable = np.isin(stops, training.offsets) & (stops - starts > 2)
    # An item that nothing else holds would be unknown to the model.
    usable &= training.counts[training.rows[stops - 1]] > 1
    drawn = np.flatnonzero(usable)
    if not len(drawn):
        raise NotApplicableError("no session has three items of which the last is in another session too")
    count = min(math.ceil(len(drawn) * HELD_OUT), MOST_HELD_OUT)
    return np.asarray(np.random.default_rng(seed).choice(drawn, count, replace=False))


def _lightning_module() -> Any:
    """Return the class that computes the losses.

    RecTools' own class scores padding too, and samples negatives for each position. Both make an epoch several times
    slower on a CPU.
    """
    import torch
    from rectools.models.nn.transformers.lightning import TransformerLightningModule
    from torch.nn.functional import cross_entropy

    # The class is made here because torch is optional.
    class NextItem(TransformerLightningModule):  # type: ignore[misc]
        def training_step(self, batch: dict[str, Any], batch_idx: int) -> Any:
            # Columns that hold only padding are cut off.
            first = int((batch["x"] != 0).any(dim=0).nonzero()[0])
            targets = batch["y"][:, first:]
            vectors = self.torch_model.item_model.get_all_embeddings()
            people = self.torch_model.encode_sessions({"x": batch["x"][:, first:]}, vectors)[targets != 0]
            targets = targets[targets != 0]
            if len(vectors) <= WHOLE_SOFTMAX:
                return cross_entropy(people @ vectors.T, targets)
            sampled = torch.randint(1, len(vectors), (NEGATIVES,))  # row 0 is the padding
            of_sampled = (people @ vectors[sampled].T).masked_fill(sampled == targets[:, None], -torch.inf)
            of_targets = (people * vectors[targets]).sum(dim=1, keepdim=True)
            return cross_entropy(torch.cat([of_targets, of_sampled], dim=1), torch.zeros_like(targets))

        def validation_step(self, batch: dict[str, Any], batch_idx: int) -> None:
            vectors = self.torch_model.item_model.get_all_embeddings()
            people = self.torch_model.encode_sessions(batch, vectors)[:, -1]
            loss = cross_entropy(people @ vectors.T, batch["y"][:, 0])
            self.log(LOSS, loss, on_epoch=True, batch_size=len(people))

    return NextItem


def _scorer(training: Training, model: Any) -> Scorer:
    """Score by the inner product of the history's vector and the item's vector.

    `model.recommend` gives the same scores, but builds tables for each case, which takes longer than the model.
    """
    import torch

    network = model.torch_model.eval()
    with torch.no_grad():
        vectors = network.item_model.get_all_embeddings()
    learned = model.data_preparator.get_known_item_ids().astype(np.int64)
    numbers = np.zeros(len(training.items), dtype=np.int64)  # an item that the model does not know keeps number 0
    numbers[learned] = model.data_preparator.get_known_items_sorted_internal_ids()
    learned_vectors = vectors[numbers[learned]].numpy()

    def score(case: BlindCase) -> NDArray[np.float64]:
        history = numbers[training.known_rows(case.history)]
        history = history[history > 0][-model.session_max_len :]
        scores = np.full(len(training.items), -np.inf)
        if len(history):
            with torch.no_grad():
                person = network.encode_sessions({"x": torch.from_numpy(history)[None]}, vectors)[0, -1].numpy()
            scores[learned] = learned_vectors @ person
        return values_at(scores, training.rows_of(case.candidates), missing=-np.inf)

    return score
