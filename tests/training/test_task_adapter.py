"""Task adapters, from configuration to a stored PEFT directory."""

import json
from dataclasses import replace

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, GPT2Config, GPT2LMHeadModel

from pytest_muscle.errors import TrainingError
from pytest_muscle.models import LanguageModel, LoglikelihoodRequest
from pytest_muscle.training.adapters import task_adapter
from tests.training.recipes import RECIPE, left_over


def no_training(monkeypatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("it was trained again")

    monkeypatch.setattr("pytest_muscle.training.adapters.fit_adapter", refuse)


class TestTaskAdapter:
    def test_it_is_trained_once(self, shop, task, new, monkeypatch):
        trained = task_adapter(shop, task, new.base, RECIPE, side="new")
        times = {path: path.stat().st_mtime_ns for path in trained.path.iterdir()}
        no_training(monkeypatch)

        stored = task_adapter(shop, task, new.base, RECIPE, side="new")

        assert (trained.origin, stored.origin) == ("trained", "stored")
        assert stored.path == trained.path
        assert times == {path: path.stat().st_mtime_ns for path in stored.path.iterdir()}
        assert stored.facts["steps"] == 4  # 16 of 20 examples, 8 a step, 2 epochs

    def test_peft_loads_it_and_it_answers_the_same(
        self, shop, task, new, directories, tiny_tokenizer
    ):
        adapter = task_adapter(shop, task, new.base, RECIPE, side="new")
        prompt, option = task.train[0].prompt, " red"
        model = LanguageModel(new.base, adapter.path)
        ((found,),) = model.loglikelihoods([LoglikelihoodRequest(prompt, (option,))])

        base = AutoModelForCausalLM.from_pretrained(directories / "new")
        loaded = PeftModel.from_pretrained(base, adapter.path).eval()
        tokens = torch.tensor([tiny_tokenizer.encode(prompt + option)])
        start = len(tiny_tokenizer.encode(prompt))
        with torch.no_grad():
            logits = torch.log_softmax(loaded(tokens).logits[0, :-1], dim=-1)

        wanted = float(logits[start - 1 :].gather(1, tokens[0, start:, None]).sum())
        assert found == pytest.approx(wanted, abs=1e-4)

    def test_it_comes_with_a_card_and_its_facts(self, shop, task, new):
        adapter = task_adapter(shop, task, new.base, RECIPE, side="new")

        card = (adapter.path / "README.md").read_text(encoding="utf-8")
        facts = json.loads((adapter.path / "muscle.json").read_text(encoding="utf-8"))
        config = json.loads((adapter.path / "adapter_config.json").read_text(encoding="utf-8"))
        assert "# Task adapter `colours` on `new`" in card
        assert "| training examples" in card
        assert facts["fingerprint"] == adapter.fingerprint
        assert facts["made_of"]["recipe"]["rank"] == 4
        assert facts["examples"] == {"train": 16, "validation": 4}
        assert (config["r"], config["lora_alpha"]) == (4, 8)

    def test_layers_that_are_not_there(self, shop, task, new):
        recipe = replace(RECIPE, target_modules=("no_such_layer",))

        with pytest.raises(TrainingError, match=r"muscle.toml: adapter.target_modules"):
            task_adapter(shop, task, new.base, recipe, side="new")
        assert left_over(shop) == set()

    @pytest.mark.parametrize(
        "error",
        [
            torch.OutOfMemoryError("CUDA out of memory"),
            RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"),
        ],
    )
    def test_memory_that_runs_out(self, shop, task, new, monkeypatch, error):
        def run_out(*_: object, **__: object) -> None:
            raise error

        monkeypatch.setattr("transformers.Trainer.training_step", run_out)

        with pytest.raises(TrainingError, match=r"new task adapter: out of memory\s+set a smaller"):
            task_adapter(shop, task, new.base, RECIPE, side="new")

    @pytest.mark.filterwarnings("ignore:fan_in_fan_out")
    def test_examples_longer_than_the_model_takes(
        self, shop, task, base_of, tiny_tokenizer, tmp_path
    ):
        """GPT-2 has no position for a ninth token here: the prompt's beginning is cut."""
        config = GPT2Config(vocab_size=len(tiny_tokenizer), n_embd=32, n_layer=1, n_head=2)
        config.n_positions = 8
        GPT2LMHeadModel(config).save_pretrained(tmp_path / "gpt2")
        tiny_tokenizer.save_pretrained(tmp_path / "gpt2")

        adapter = task_adapter(shop, task, base_of(tmp_path / "gpt2"), RECIPE, side="new")

        assert adapter.origin == "trained"
