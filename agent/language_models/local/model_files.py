"""Digests of GGUF files, and conversion of GGUF files to other formats."""

import ctypes
import hashlib
import os
from pathlib import Path

from whimbrel.agent.language_models.local.library import load_library
from whimbrel.tools.files.atomic import atomic_write

_WHOLE_DIGEST_BYTES = 256 << 20  # files up to this size are read whole
_PART_BYTES = 1 << 20


def digest_of(path: Path) -> str:
    """Return the digest that identifies a model file.

    A small file is read whole. The digest of a large file depends on its size and on one megabyte each at its start,
    its middle and its end.
    """
    size = path.stat().st_size
    digest = hashlib.blake2b(str(size).encode(), digest_size=16)
    with path.open("rb") as file:
        if size <= _WHOLE_DIGEST_BYTES:
            while part := file.read(_PART_BYTES):
                digest.update(part)
        else:
            for start in (0, size // 2, size - _PART_BYTES):
                file.seek(start)
                digest.update(file.read(_PART_BYTES))
    return digest.hexdigest()


def requantise(source: Path, target: Path, file_type: int) -> bool:
    """Write a model file in another format; return whether that worked.

    Args:
        source: A GGUF file.
        target: The file to write. It appears only when it is complete.
        file_type: llama.cpp's number of the format, `LLAMA_FTYPE_...`.
    """
    llama = load_library()
    params = llama.llama_model_quantize_default_params()
    params.ftype, params.allow_requantize = file_type, True
    try:
        with atomic_write(target) as partial:
            code = llama.llama_model_quantize(os.fsencode(source), os.fsencode(partial), ctypes.byref(params))
            if code:
                raise OSError(f"llama.cpp could not write {str(target)!r} (code {code})")
    except OSError:
        return False
    return True
