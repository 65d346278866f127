"""Architectures of networks that models may have, each with a tiny configuration."""

from __future__ import annotations

TINY: dict[str, object] = {
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 256,
}
"""Sizes of the tiny models."""

VOCABULARY = 97

SIZES: dict[str, object] = {
    **TINY,
    "vocab_size": VOCABULARY,
    "pad_token_id": None,
    "bos_token_id": 0,
    "eos_token_id": 1,
}

SIZES_OF_OLD: dict[str, object] = {
    name: size
    for name, size in SIZES.items()
    if name not in ("intermediate_size", "num_key_value_heads")
}

ARCHITECTURES: dict[str, tuple[str, dict[str, object]]] = {
    "llama": ("LlamaForCausalLM", SIZES),
    "tied embeddings": ("LlamaForCausalLM", SIZES | {"tie_word_embeddings": True}),
    "longrope": (
        "Phi3ForCausalLM",
        SIZES
        | {
            "pad_token_id": 0,
            "original_max_position_embeddings": 16,
            "rope_parameters": {
                "rope_type": "longrope",
                "short_factor": [1.0] * 4,
                "long_factor": [4.0] * 4,
                "rope_theta": 10000.0,
            },
        },
    ),
    "mistral": ("MistralForCausalLM", SIZES | {"sliding_window": 12}),
    "qwen2": ("Qwen2ForCausalLM", SIZES),
    "gemma2": (
        "Gemma2ForCausalLM",
        SIZES
        | {
            "head_dim": 8,
            "query_pre_attn_scalar": 8,
            "sliding_window": 16,
            "final_logit_softcapping": 2.0,
            "attn_logit_softcapping": 5.0,
        },
    ),
    "granite": (
        "GraniteForCausalLM",
        SIZES | {"logits_scaling": 4.0, "residual_multiplier": 0.7, "embedding_multiplier": 3.0},
    ),
    "cohere": ("CohereForCausalLM", SIZES | {"logit_scale": 0.25}),
    "gpt2": (
        "GPT2LMHeadModel",
        SIZES_OF_OLD | dict.fromkeys(("resid_pdrop", "embd_pdrop", "attn_pdrop"), 0.0),
    ),
    "opt": (
        "OPTForCausalLM",
        SIZES_OF_OLD | {"ffn_dim": 64, "word_embed_proj_dim": 16, "pad_token_id": 0, "dropout": 0},
    ),
    "gpt_neox": ("GPTNeoXForCausalLM", SIZES_OF_OLD | {"intermediate_size": 64}),
    "gpt_neo": (
        "GPTNeoForCausalLM",
        {
            "vocab_size": VOCABULARY,
            "hidden_size": 32,
            "num_layers": 2,
            "num_heads": 4,
            "max_position_embeddings": 256,
            "attention_types": [[["global", "local"], 1]],
            "window_size": 12,
        },
    ),
    "bloom": ("BloomForCausalLM", SIZES_OF_OLD),
    "falcon": ("FalconForCausalLM", SIZES_OF_OLD | {"alibi": True}),
    "mamba": (
        "MambaForCausalLM",
        {"vocab_size": VOCABULARY, "hidden_size": 32, "num_hidden_layers": 2, "state_size": 4},
    ),
    "lfm2": ("Lfm2ForCausalLM", SIZES | {"layer_types": ["conv", "full_attention"]}),
}
"""Class and configuration by name."""
