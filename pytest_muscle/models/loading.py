"""Loading base models and tokenizers: safetensors or GGUF, never pickles."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import ModelError
from pytest_muscle.models.spec import ModelSpec, first_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


def load_network(spec: ModelSpec, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """Load a base model in evaluation mode, without gradients.

    Raises:
        ModelError: If it cannot be loaded; the message says why in one sentence.
    """
    from transformers import AutoModelForCausalLM

    if spec.kind == "directory":
        _refuse_pickles(spec)
    with _quiet(), _explained(spec, "the model"):
        options = {**_source(spec), "dtype": dtype, "trust_remote_code": spec.trust_remote_code}
        if spec.kind != "gguf":
            options["use_safetensors"] = True
        network: Any = AutoModelForCausalLM.from_pretrained(**options)
        network.requires_grad_(False)
        network.eval()
        return network.to(device)  # type: ignore[no-any-return]


def load_tokenizer(spec: ModelSpec) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer.

    Raises:
        ModelError: If it cannot be loaded.
    """
    from transformers import AutoTokenizer

    with _quiet(), _explained(spec, "the tokenizer"):
        if spec.tokenizer is not None:
            return AutoTokenizer.from_pretrained(
                spec.tokenizer, trust_remote_code=spec.trust_remote_code
            )
        return AutoTokenizer.from_pretrained(
            **_source(spec), trust_remote_code=spec.trust_remote_code
        )


def _source(spec: ModelSpec) -> dict[str, Any]:
    if spec.path is None:
        return {"pretrained_model_name_or_path": spec.name, "revision": spec.revision}
    if spec.kind == "gguf":
        return {
            "pretrained_model_name_or_path": str(spec.path.parent),
            "gguf_file": spec.path.name,
        }
    return {"pretrained_model_name_or_path": str(spec.path)}


def _refuse_pickles(spec: ModelSpec) -> None:
    directory = Path(spec.path or ".")
    if any(directory.glob("*.safetensors")):
        return
    pickled = sorted([*directory.glob("*.bin"), *directory.glob("*.pt"), *directory.glob("*.pth")])
    if pickled:
        raise ModelError(
            f"{directory} has only pickled weights ({pickled[0].name})",
            where=spec.where,
            hint="pickles can run code and are not loaded: save the model as safetensors",
        )
    raise ModelError(f"{directory} has no *.safetensors file", where=spec.where)


@contextmanager
def _explained(spec: ModelSpec, what: str) -> Iterator[None]:
    try:
        yield
    except ImportError as error:
        raise ModelError(
            f"{what} {spec.name!r} needs a package that is not installed: {first_line(error)}",
            where=spec.where,
            hint="for .gguf files: pip install 'pytest-muscle[gguf]'",
        ) from error
    except Exception as error:
        remote = "trust_remote_code" in str(error)
        raise ModelError(
            f"{what} {spec.name!r} cannot be loaded: {first_line(error)}",
            where=spec.where,
            hint=(
                "it comes with Python code of its own: read it, then set trust_remote_code = true"
                if remote
                else "is it a causal language model, saved whole, and is its revision right?"
            ),
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep transformers' own progress bars off: they would end in captured output."""
    from transformers.utils import logging

    bars: Any = logging
    shown = bars.is_progress_bar_enabled()
    bars.disable_progress_bar()
    try:
        yield
    finally:
        if shown:
            bars.enable_progress_bar()
