"""The Trainer's loss and gradient on networks of other architectures, with other adapters."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from torch.nn import functional
from transformers import TrainingArguments

from pytest_muscle.models.memory import CHUNK_LOGITS
from pytest_muscle.models.parts import network_parts
from pytest_muscle.models.probe import find_engine
from pytest_muscle.training.packing import PackTrees
from pytest_muscle.training.trainer import AdapterTrainer
from tests.training.student import SEQUENCES, gradient_of


@pytest.mark.filterwarnings("ignore:.* is run as", "ignore:fan_in_fan_out")
@pytest.mark.parametrize("chunk", [3, 10**6])
@pytest.mark.parametrize(
    ("name", "settings"),
    [
        *[(name, {}) for name in ("llama", "gemma2", "cohere", "opt", "gpt_neox", "mistral")],
        *[(name, {}) for name in ("gpt2", "gpt_neo", "bloom", "lfm2")],
        ("llama", {"target_modules": ["q_proj", "lm_head"]}),
        ("llama", {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]}),
    ],
)
def test_other_architectures_and_other_adapters(
    name, settings, chunk, make_network, tmp_path, monkeypatch, device
):
    """Some do not take trees, one not of sequences so long; a head may be trained too."""
    monkeypatch.setitem(CHUNK_LOGITS, device.type, chunk * 97)
    network = make_network(name).to(device)
    sequences = [[token % 97 for token in tokens] * 2 for tokens in SEQUENCES]
    longest = max(map(len, sequences))
    trees = find_engine(network).takes_trees(longest)
    options = {"target_modules": "all-linear", "r": 2, "task_type": "CAUSAL_LM"}
    model = get_peft_model(network, LoraConfig(init_lora_weights=False, **(options | settings)))
    losses = []
    for tokens in sequences:
        logits = model.train()(torch.tensor([tokens[:-1]], device=device)).logits[0]
        gold = torch.tensor(tokens[1:], device=device)
        losses.append(functional.cross_entropy(logits.float(), gold, reduction="none"))
    wanted_loss = torch.cat(losses).mean()
    wanted_loss.backward()
    wanted = gradient_of(model)
    model.zero_grad()
    arguments = TrainingArguments(str(tmp_path), use_cpu=device.type == "cpu", report_to="none")
    trainer = AdapterTrainer(model=model, args=arguments, parts=network_parts(model))

    packed = PackTrees(trees)([{"input_ids": tokens} for tokens in sequences])
    loss = trainer.compute_loss(model, trainer._prepare_inputs(packed))
    loss.backward()

    assert trees == (name not in ("mistral", "gemma2", "gpt_neo", "bloom", "lfm2"))
    torch.testing.assert_close(loss, wanted_loss, rtol=1e-5, atol=0)
    found = gradient_of(model)
    assert found.keys() == wanted.keys()
    for weights, gradient in wanted.items():
        scale = float(gradient.abs().max())
        torch.testing.assert_close(found[weights], gradient, rtol=1e-3, atol=1e-4 * scale)
