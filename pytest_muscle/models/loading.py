"""Loading base models and tokenizers: safetensors or GGUF, never pickles."""

from __future__ import annotations

import warnings
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import ModelError
from pytest_muscle.models.spec import ModelSpec, first_line

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import torch
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase


def load_network(spec: ModelSpec, device: torch.device, dtype: torch.dtype) -> PreTrainedModel:
    """Load a base model in evaluation mode, without gradients.

    Raises:
        ModelError: If it cannot be loaded; the message says why in one sentence.
    """
    from transformers import AutoModelForCausalLM

    if spec.kind == "directory":
        _refuse_pickles(spec)
    with _quiet(), _explained(spec, "the model"):
        _refuse_adapter(spec)
        options = {**_source(spec), "dtype": dtype, "trust_remote_code": spec.trust_remote_code}
        if spec.kind != "gguf":
            options["use_safetensors"] = True
        model: Any = AutoModelForCausalLM
        network, loaded = model.from_pretrained(**options, output_loading_info=True)
        _refuse_missing(spec, loaded["missing_keys"])
        if spec.kind == "gguf":
            _forget_quantisation(network)
        network.requires_grad_(False)
        network.eval()
        return network.to(device)  # type: ignore[no-any-return]


def _forget_quantisation(network: Any) -> None:
    """Take off the mark of a GGUF origin: its weights are plain now, and may get an adapter.

    transformers keeps the mark and then refuses to train on the model.
    """
    quantizer = getattr(network, "hf_quantizer", None)
    if quantizer is not None:
        quantizer.remove_quantization_config(network)
    network.is_quantized = False


def load_config(spec: ModelSpec) -> PreTrainedConfig:
    """Load a base model's configuration alone.

    Raises:
        ModelError: If it cannot be loaded.
    """
    from transformers import AutoConfig

    with _quiet(), _explained(spec, "the model"):
        config: Any = AutoConfig.from_pretrained(
            **_source(spec), trust_remote_code=spec.trust_remote_code
        )
        return config  # type: ignore[no-any-return]


def load_tokenizer(spec: ModelSpec) -> PreTrainedTokenizerBase:
    """Load the model's tokenizer.

    Raises:
        ModelError: If it cannot be loaded.
    """
    from transformers import AutoTokenizer

    with _quiet(), _explained(spec, "the tokenizer"):
        source = _source(spec)
        if spec.tokenizer is not None:
            source = {
                "pretrained_model_name_or_path": spec.tokenizer,
                "revision": spec.tokenizer_commit,
            }
        tokenizer: Any = AutoTokenizer.from_pretrained(
            **source, trust_remote_code=spec.trust_remote_code
        )
        if not tokenizer.vocab_size:  # for some models transformers makes up an empty one
            raise ValueError("its vocabulary is empty: the tokenizer's files are missing")
        return tokenizer  # type: ignore[no-any-return]


def _source(spec: ModelSpec) -> dict[str, Any]:
    if spec.path is None:
        return {"pretrained_model_name_or_path": spec.name, "revision": spec.commit}
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


def _refuse_adapter(spec: ModelSpec) -> None:
    """Raise where transformers would load another model, the one that an adapter names."""
    from transformers.utils.peft_utils import find_adapter_config_file

    source = _source(spec)
    name = source["pretrained_model_name_or_path"]
    if find_adapter_config_file(name, revision=source.get("revision")) is not None:
        raise ModelError(
            f"{spec.name!r} has an adapter_config.json, so it is an adapter, not a whole model",
            where=spec.where,
            hint="name the base model as model, and this as its adapter",
        )


def _refuse_missing(spec: ModelSpec, missing: Iterable[str]) -> None:
    """Raise where the files lack weights: transformers would make them up at random."""
    names = sorted(missing)
    if names:
        raise ModelError(
            f"the model {spec.name!r} lacks {len(names)} of its weights (first: {names[0]})",
            where=spec.where,
            hint="save it whole: the configuration asks for more layers than the files have",
        )


@contextmanager
def _explained(spec: ModelSpec, what: str) -> Iterator[None]:
    try:
        yield
    except ModelError:
        raise
    except ImportError as error:
        raise ModelError(
            f"{what} {spec.name!r} needs a package that is not installed: {first_line(error)}",
            where=spec.where,
            hint="for .gguf files: pip install 'pytest-muscle[gguf]'",
        ) from error
    except Exception as error:
        raise ModelError(
            f"{what} {spec.name!r} cannot be loaded: {first_line(error)}",
            where=spec.where,
            hint=_advice(spec, str(error)),
        ) from error


def _advice(spec: ModelSpec, text: str) -> str:
    from huggingface_hub import constants

    if "trust_remote_code" in text:
        return "it comes with Python code of its own: read it, then set trust_remote_code = true"
    if spec.kind == "hub" and constants.HF_HUB_OFFLINE:
        return (
            "the hub is switched off (HF_HUB_OFFLINE) and no whole copy is stored here: fetch it "
            "once with the network on, or name a local directory"
        )
    if spec.kind == "hub":
        return "check the name, the revision and the network; it must have safetensors weights"
    return "is it a causal language model, saved whole, with its tokenizer?"


@contextmanager
def without_future_warnings() -> Iterator[None]:
    """Keep peft's calls of names that transformers renames out of the user's warnings."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        yield


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
