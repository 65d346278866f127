"""What a model's files say of it without its weights: names, shapes and types of its tensors."""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from pytest_muscle.limits import read_json
from pytest_muscle.models.spec import ModelSpec

LARGEST_HEADER = 100_000_000
"""Bytes; safetensors itself takes no larger ones."""


@dataclass(frozen=True)
class Tensor:
    """One tensor of a file.

    Attributes:
        name: Its name there.
        shape: Its sizes.
        dtype: Its type, as the file names it: `BF16`, `F32`, `Q4_K`.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def count(self) -> int:
        """Number of its values."""
        return math.prod(self.shape)


@dataclass(frozen=True)
class Weights:
    """A model's weights on disk.

    Attributes:
        tensors: What they are.
        size: Bytes of their files.
        here: Whether the files are on this machine, not on the hub alone.
    """

    tensors: tuple[Tensor, ...]
    size: int
    here: bool = True

    @property
    def parameters(self) -> int:
        """Number of values."""
        return sum(tensor.count for tensor in self.tensors)

    @property
    def dtypes(self) -> Mapping[str, int]:
        """Number of values of each type, the most frequent first."""
        counts: Counter[str] = Counter()
        for tensor in self.tensors:
            counts[tensor.dtype] += tensor.count
        return dict(counts.most_common())


def read_weights(spec: ModelSpec) -> Weights | None:
    """Return what a model's files say of its weights, or none where they are not at hand.

    No tensor is read. Of a model that was not fetched yet the hub is asked for the files' headers,
    where it may be.

    Raises:
        OSError: If a file cannot be read.
        ValueError: If it is no safetensors or GGUF file.
        ImportError: If the package that reads GGUF files is not installed.
    """
    if spec.kind == "gguf":
        assert spec.path is not None
        return Weights(tuple(_read_gguf(spec.path)), spec.path.stat().st_size)
    directory = spec.path or cached_directory(spec)
    files = [] if directory is None else weight_files(directory)
    if not files:
        return None if spec.path else _ask_hub(spec)
    tensors = tuple(tensor for file in files for tensor in read_header(file))
    return Weights(tensors, sum(file.stat().st_size for file in files))


def _ask_hub(spec: ModelSpec) -> Weights | None:
    """Return what the hub says of a model's weights, or none where it says nothing."""
    from huggingface_hub import constants, get_safetensors_metadata

    if constants.HF_HUB_OFFLINE:
        return None
    try:
        files = get_safetensors_metadata(spec.name, revision=spec.commit).files_metadata.values()
    except Exception:  # no network, no such files, no right to see them: the run will say which
        return None
    found = [(name, about) for file in files for name, about in file.tensors.items()]
    tensors = tuple(Tensor(name, tuple(about.shape), str(about.dtype)) for name, about in found)
    size = sum(about.data_offsets[1] - about.data_offsets[0] for _, about in found)
    return Weights(tensors, size, here=False)


def cached_directory(spec: ModelSpec) -> Path | None:
    """Return the folder where the hub's copy of a model is stored here, or none.

    Raises:
        ModelError: If the commit cannot be found out.
    """
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(spec.name, "config.json", revision=spec.commit)
    return Path(found).parent if isinstance(found, str) else None


def weight_files(directory: Path) -> list[Path]:
    """Return the safetensors files that transformers would load; none where one is missing."""
    whole = directory / "model.safetensors"
    if whole.is_file():
        return [whole]
    try:
        names = set(read_json(directory / "model.safetensors.index.json")["weight_map"].values())
    except (OSError, ValueError, LookupError, AttributeError, TypeError):
        return sorted(directory.glob("*.safetensors"))
    files = [directory / str(name) for name in sorted(names)]
    return files if all(file.is_file() for file in files) else []


def read_header(file: Path) -> Iterator[Tensor]:
    """Yield the tensors of a safetensors file; its first bytes alone are read.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no safetensors file.

    Source: https://huggingface.co/docs/safetensors, "Format".
    """
    with file.open("rb") as opened:
        length = int.from_bytes(opened.read(8), "little")
        if not 0 < length <= LARGEST_HEADER:
            raise ValueError(f"{file.name} is no safetensors file")
        header = json.loads(opened.read(length))
    for name, about in header.items():
        if name != "__metadata__":
            yield Tensor(name, tuple(map(int, about["shape"])), str(about["dtype"]))


def _read_gguf(file: Path) -> Iterator[Tensor]:
    from gguf import GGUFReader

    for tensor in GGUFReader(file).tensors:
        shape = tuple(int(size) for size in tensor.shape)
        yield Tensor(str(tensor.name), shape, str(tensor.tensor_type.name))
