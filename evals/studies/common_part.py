"""Compute what all vectors of the multilingual encoder have in common, and how much of it to subtract.

    python -m whimbrel.evals.studies.common_part words.txt titles.txt --out multilingual_common_part.npy

Each file has a text on each line, and all files count the same. The share that is subtracted is the one whose cosines
are spread most like those of the English encoder, over the texts of each file that is in English.
"""

import argparse
from pathlib import Path

import numpy as np

from whimbrel.tools.text.encoder import Vectors
from whimbrel.tools.text.encoders import LEAST_SHARE, unread_share
from whimbrel.tools.text.minilm import ENGLISH
from whimbrel.tools.text.multilingual import raw_vectors

QUANTILES = (0.25, 0.5, 0.75, 0.95, 0.99)
SHARES = np.arange(0.5, 1.001, 0.05)
MOST_TEXTS = 500  # of a file


def spread(vectors: Vectors) -> Vectors:
    """Return quantiles of the cosines of each two vectors."""
    vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.asarray(np.quantile((vectors @ vectors.T)[np.triu_indices(len(vectors), 1)], QUANTILES))


def main() -> None:
    """Read texts, write their common part and print the best share."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("texts", type=Path, nargs="+", help="files with a text on each line")
    parser.add_argument("--out", type=Path, default=Path("multilingual_common_part.npy"))
    arguments = parser.parse_args()
    files = [
        list(dict.fromkeys(line for line in path.read_text("utf-8").splitlines() if line.strip()))[:MOST_TEXTS]
        for path in arguments.texts
    ]
    raw = [raw_vectors(texts) for texts in files]
    common = np.mean([vectors.mean(axis=0) for vectors in raw], axis=0)
    np.save(arguments.out, common.astype(np.float16))
    is_english = [unread_share(texts) <= LEAST_SHARE for texts in files]
    errors = [
        np.mean(
            [
                np.abs(spread(vectors - share * common) - spread(ENGLISH.encode(texts))).mean()
                for texts, vectors, english in zip(files, raw, is_english, strict=True)
                if english
            ]
        )
        for share in SHARES
    ]
    for share, error in zip(SHARES, errors, strict=True):
        print(f"share {share:.2f}: mean difference of the quantiles {error:.3f}")


if __name__ == "__main__":
    main()
