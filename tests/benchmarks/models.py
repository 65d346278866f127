"""The models that are measured: one from a directory, or small ones with random weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SMALL = {
    "hidden_size": 256,
    "intermediate_size": 768,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 2048,
    "tie_word_embeddings": True,
}
"""A Llama whose layers cost little, so that its vocabulary shows."""


def load_model(directory: Path, *, device: str, dtype: str) -> tuple[Any, Any]:
    """Return network and tokenizer."""
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(directory, dtype=getattr(torch, dtype))
    return model.to(device).eval(), AutoTokenizer.from_pretrained(directory)


def random_model(
    vocabulary: int, seed: int, *, layers: int = 6, device: str = "cpu", dtype: str = "float32"
) -> Any:
    """Return a small network with random weights; the same seed, the same layers."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    network: Any = LlamaForCausalLM(
        LlamaConfig(vocab_size=vocabulary, num_hidden_layers=layers, **SMALL)
    )
    return network.to(device=device, dtype=getattr(torch, dtype)).eval()


def write_adapter(model: Path, directory: Path, *, rank: int, seed: int) -> Path:
    """Write a LoRA adapter on all linear layers, with random weights, as a task adapter's stand-in.

    What its weights are costs nobody time; that they are not zero lets every weight learn.
    """
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    network = AutoModelForCausalLM.from_pretrained(model, dtype=torch.float32)
    torch.manual_seed(seed)
    config = LoraConfig(
        r=rank, lora_alpha=2 * rank, target_modules="all-linear", task_type="CAUSAL_LM"
    )
    peft_model = get_peft_model(network, config)
    with torch.no_grad():
        for name, weights in peft_model.named_parameters():
            if "lora_B" in name:
                weights.normal_(std=0.1 / rank)
    peft_model.save_pretrained(str(directory))
    return directory
