"""Write an adapter as a GGUF file that llama.cpp loads.

The file names the family of the base model, `general.type` "adapter", `adapter.type` "lora" and `adapter.lora.alpha`.
For each tensor that is changed it holds `NAME.lora_a` and `NAME.lora_b`, by the base model's names. llama.cpp adds
`alpha / rank * B A` to the tensor.
"""

from pathlib import Path
from typing import Any

from whimbrel.agent.learning.tuning.train import LoraWeights
from whimbrel.tools.errors import ModelError

# In files of this family the rows of a head are pairs that turn together, and not two halves.
_INTERLEAVED = "llama"


def write_adapter(weights: LoraWeights, base: Path, path: Path, *, alpha: float) -> None:
    """Write an adapter.

    Args:
        weights: The matrices.
        base: The GGUF file of the model that they belong to.
        path: The file to write.
        alpha: See `TuneConfig.alpha`.

    Raises:
        ModelError: The base model lacks a tensor that the adapter changes.
    """
    import gguf

    reader = gguf.GGUFReader(str(base))
    family = str(reader.fields["general.architecture"].contents())
    layers = int(reader.fields[f"{family}.block_count"].contents())
    heads = int(reader.fields[f"{family}.attention.head_count"].contents())
    key_heads = int(reader.fields[f"{family}.attention.head_count_kv"].contents())
    names = gguf.get_tensor_name_map(gguf.MODEL_ARCH(_family_number(family)), layers)
    known = {tensor.name for tensor in reader.tensors}
    writer = gguf.GGUFWriter(path, family)
    writer.add_type(gguf.GGUFType.ADAPTER)
    writer.add_string(gguf.Keys.Adapter.TYPE, "lora")
    writer.add_float32(gguf.Keys.Adapter.LORA_ALPHA, alpha)
    for module, down in weights.down.items():
        name = f"{names.get_name(module)}.weight"
        if name not in known:
            raise ModelError(f"{base.name!r} has no tensor for {module!r}: this kind of model cannot be tuned")
        up = weights.up[module]
        if family == _INTERLEAVED and module.endswith(("q_proj", "k_proj")):
            up = interleaved(up, heads if module.endswith("q_proj") else key_heads)
        writer.add_tensor(f"{name}.lora_a", down.astype("float32"))
        writer.add_tensor(f"{name}.lora_b", up.astype("float32"))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def interleaved(rows: Any, heads: int) -> Any:
    """Return the rows of each head as pairs that turn together: the first of either half, the second of either half.

    Example:
        >>> import numpy as np
        >>> interleaved(np.arange(4).reshape(4, 1), 1).ravel().tolist()
        [0, 2, 1, 3]
    """
    size = len(rows) // heads
    return rows.reshape(heads, 2, size // 2, -1).swapaxes(1, 2).reshape(rows.shape)


def _family_number(family: str) -> int:
    import gguf

    number = next((number for number, name in gguf.MODEL_ARCH_NAMES.items() if name == family), None)
    if number is None:
        raise ModelError(f"a model of the family {family!r} cannot be tuned")
    return int(number)
