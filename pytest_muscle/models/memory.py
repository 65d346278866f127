"""How many tokens fit into one batch, and what to do when they did not."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    import torch

    from pytest_muscle.models.parts import NetworkParts

T = TypeVar("T")

MOST_TOKENS = {"cpu": 512, "mps": 8192, "cuda": 65536}
"""Batches larger than this are no faster."""

MOST_CACHED = {"cpu": 2**14, "mps": 2**16, "cuda": 2**18}
"""Tokens in the cache of a batch of texts that grow; more are hardly faster."""

CHUNK_LOGITS = {"cpu": 2**24, "mps": 2**25, "cuda": 2**28}
"""Logits made at once; 2**24 are 64 MiB in float32."""

SHARE = 0.7
"""Part of the free memory that a batch may take."""

_PROBE_TOKENS = 256


def token_budget(parts: NetworkParts) -> int:
    """Return how many tokens one batch may have, padding included.

    On CUDA devices the memory that a token takes is measured, elsewhere estimated from the
    model's widths.
    """
    return _budget(parts, 0.0, MOST_TOKENS[parts.device.type])


def cache_budget(parts: NetworkParts) -> int:
    """Return how many tokens a batch of growing texts may have at its end, padding included."""
    return _budget(parts, _cached_bytes(parts), MOST_CACHED[parts.device.type])


def _budget(parts: NetworkParts, cached: float, most: int) -> int:
    """Return how many tokens fit if each takes so many bytes more than a forward pass does."""
    import torch

    device = parts.device
    if device.type == "cuda":
        torch.cuda.empty_cache()
        free = torch.cuda.mem_get_info(device)[0]
        each = _measured_bytes(parts)
    else:
        import psutil  # type: ignore[import-untyped]  # accelerate brings it

        free = psutil.virtual_memory().available
        each = _estimated_bytes(parts)
    if not parts.split:
        each += 8 * parts.vocabulary
    budget = int(SHARE * free / (each + cached))
    return max(_PROBE_TOKENS, min(budget, most))


def _measured_bytes(parts: NetworkParts) -> float:
    """Return the bytes of CUDA memory that a token takes at the peak of a forward pass."""
    import torch

    ids = torch.zeros(1, _PROBE_TOKENS, dtype=torch.long, device=parts.device)
    with torch.inference_mode():
        parts.states(input_ids=ids[:, :8], use_cache=False)  # workspaces are allocated once
        torch.cuda.reset_peak_memory_stats(parts.device)
        before = torch.cuda.memory_allocated(parts.device)
        parts.states(input_ids=ids, use_cache=False)
        peak = torch.cuda.max_memory_allocated(parts.device)
    return max(1.0, (peak - before) / _PROBE_TOKENS)


def _estimated_bytes(parts: NetworkParts) -> float:
    config: Any = parts.network.config.get_text_config()
    hidden = int(config.hidden_size)
    inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
    return float(parts.dtype.itemsize * (16 * hidden + 4 * inner))


def _cached_bytes(parts: NetworkParts) -> float:
    """Return the bytes of a token's keys and values in all layers; twice, as a cache is copied."""
    import torch

    ids = torch.zeros(1, 8, dtype=torch.long, device=parts.device)
    with torch.inference_mode():
        _, cache = parts.states(input_ids=ids, use_cache=True)
    tensors = [
        tensor
        for layer in getattr(cache, "layers", ())
        for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None))
        if tensor is not None
    ]
    size = sum(int(tensor.numel() * tensor.itemsize) for tensor in tensors)
    return 2.0 * size / ids.numel()


def chunk_size(parts: NetworkParts) -> int:
    """Return how many tokens are projected to the vocabulary at once."""
    return max(1, CHUNK_LOGITS[parts.device.type] // parts.vocabulary)


def batches(
    rows: Iterable[T], size: Callable[[T], tuple[int, int]], budget: Callable[[], int]
) -> Iterator[list[T]]:
    """Yield rows in batches within a budget of tokens, padding included, longest first.

    Args:
        rows: What is run.
        size: Number of the model's rows that a row takes, and of tokens in each.
        budget: Most tokens in a batch; asked again for each, as it may have shrunk.
    """
    sized = [(size(row), row) for row in rows]
    sized.sort(key=lambda pair: (-pair[0][1], -pair[0][0]))
    batch: list[T] = []
    height = width = 0
    for (count, tokens), row in sized:
        if batch and (height + count) * width > budget():
            yield batch
            batch, height = [], 0
        width = width if batch else tokens
        batch.append(row)
        height += count
    if batch:
        yield batch


def windows(
    items: Iterable[T],
    size: Callable[[T], int],
    *,
    most: int,
    largest: int,
    every: int | None = None,
) -> Iterator[list[T]]:
    """Yield items in windows that are in memory at once.

    Args:
        items: Read window by window.
        size: An item's size.
        most: Most items of a window.
        largest: The sizes after which a window ends, summed up.
        every: A window ends after so many items too, counted from the first of all; none for any.
    """
    window: list[T] = []
    total = 0
    for seen, item in enumerate(items, start=1):
        window.append(item)
        total += size(item)
        looked = every is not None and seen % every == 0
        if len(window) >= most or total >= largest or looked:
            yield window
            window, total = [], 0
    if window:
        yield window


def run_halved(
    run: Callable[[Sequence[T]], None],
    batch: Sequence[T],
    *,
    device: torch.device,
    too_large: Callable[[T], Exception],
) -> int:
    """Run a batch; where memory runs out run its halves, and halves of these.

    Args:
        run: Runs a batch, and has done nothing yet when it runs out of memory.
        batch: What is run, at least one.
        device: Where it runs.
        too_large: Makes the error for one that does not fit even alone.

    Returns:
        How often a batch was halved.

    Raises:
        Exception: What `too_large` makes.
    """
    try:
        run(batch)
    except RuntimeError as error:
        if not is_out_of_memory(error):
            raise
        if len(batch) == 1:
            raise too_large(batch[0]) from error
    else:
        return 0
    free_memory(device)
    middle = len(batch) // 2
    return 1 + sum(
        run_halved(run, half, device=device, too_large=too_large)
        for half in (batch[:middle], batch[middle:])
    )


def is_out_of_memory(error: RuntimeError) -> bool:
    """Return whether an error says that memory ran out, on whatever device."""
    import torch

    texts = ("can't allocate memory", "out of memory")  # of the CPU, of MPS
    return isinstance(error, torch.OutOfMemoryError) or any(text in str(error) for text in texts)


def free_memory(device: torch.device) -> None:
    """Give back what nobody holds any more."""
    import torch

    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
