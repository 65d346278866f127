"""Compat adapters, from two task models to a stored PEFT directory."""

import gc
import json
import shutil
import weakref
from dataclasses import replace

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from pytest_muscle.errors import ModelError, TrainingError
from pytest_muscle.models import LanguageModel, LoglikelihoodRequest, language_model
from pytest_muscle.progress import SILENT
from pytest_muscle.training import adapters, teachers
from pytest_muscle.training.adapters import compat_adapter
from pytest_muscle.training.objectives import OBJECTIVES, muscle
from pytest_muscle.training.store import AdapterStore
from pytest_muscle.training.trainer import ProgressBar
from tests.training.recipes import COMPAT, left_over, same_weights, weights_of


class TestCompatAdapter:
    def test_it_starts_at_the_new_task_model(self, shop, task, old, new, directories, monkeypatch):
        """The first step's student gives the new task model's logits, but for rounding."""
        seen = []

        def spy(student, gold, teachers, temperature):  # noqa: ANN202
            seen.append((student.detach().clone(), teachers, temperature))
            return muscle(student, gold, teachers, temperature)

        monkeypatch.setitem(OBJECTIVES, "spy", spy)
        before = weights_of(directories / "new-adapter")

        adapter = compat_adapter(shop, task, old, new, replace(COMPAT, strategy="spy"))

        student, teachers, temperature = seen[0]
        assert temperature == 2.0
        torch.testing.assert_close(student, teachers.new, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(teachers.old, teachers.new, atol=0.1)
        last_student, last_teachers, _ = seen[-1]
        assert not torch.allclose(last_student, last_teachers.new, atol=0.01)
        assert all(
            torch.equal(value, before[name])
            for name, value in weights_of(directories / "new-adapter").items()
        )
        assert not same_weights(adapter.path, directories / "new-adapter")

    def test_it_comes_with_a_card_and_its_facts(self, shop, task, old, new):
        adapter = compat_adapter(shop, task, old, new, COMPAT)

        card = (adapter.path / "README.md").read_text(encoding="utf-8")
        assert "# Compatibility adapter `colours`: `old + old-adapter` → `new + new-ad" in card
        assert adapter.facts["strategy"] == "muscle"
        assert 0 < adapter.facts["curve"][-1]["masked"] <= 1
        assert {path.name for path in adapter.path.iterdir()} == {
            "README.md",
            "adapter_config.json",
            "adapter_model.safetensors",
            "muscle.json",
        }
        assert left_over(shop) - {path.name for path in adapter.path.iterdir()} == {
            adapter.path.name,
            ".training",
        }

    def test_the_models_answer_as_before_and_the_compat_model_otherwise(self, shop, task, old, new):
        requests = [LoglikelihoodRequest(example.prompt, (" red",)) for example in task.train]
        before = [model.loglikelihoods(requests) for model in (old, new)]

        adapter = compat_adapter(shop, task, old, new, COMPAT)

        after = [model.loglikelihoods(requests) for model in (old, new)]
        compat = LanguageModel(new.base, adapter.path).loglikelihoods(requests)
        assert torch.allclose(torch.tensor(after), torch.tensor(before), atol=1e-5)
        assert not torch.allclose(torch.tensor(compat), torch.tensor(before[1]), atol=0.01)

    def test_an_interrupted_training_goes_on(self, shop, task, old, new, monkeypatch, tmp_path):
        other_store = AdapterStore(tmp_path / "other", SILENT)
        undisturbed = compat_adapter(replace(shop, store=other_store), task, old, new, COMPAT)

        def interrupt(*_: object, **__: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(ProgressBar, "on_save", interrupt)
            with pytest.raises(KeyboardInterrupt):
                compat_adapter(shop, task, old, new, COMPAT)
        assert not any(shop.store.directory.rglob("muscle.json"))
        assert not any(shop.store.directory.glob(".*.part"))

        resumed = compat_adapter(shop, task, old, new, COMPAT)

        assert resumed.origin == "trained"
        assert same_weights(resumed.path, undisturbed.path)

    def test_what_the_teachers_said_is_not_asked_again(
        self, shop, task, old, new, monkeypatch, tmp_path
    ):
        """A kill between the teachers and the first step, and one amid the second teacher."""
        batches = []
        written = teachers._record
        monkeypatch.setattr(teachers, "ROW", 1)
        monkeypatch.setattr(teachers, "token_budget", lambda _: 1)

        def count(parts, *args: object) -> None:
            batches.append(parts.network)
            if len(batches) == 20:
                raise KeyboardInterrupt
            written(parts, *args)

        def kill(*_: object) -> None:
            raise KeyboardInterrupt

        other_store = AdapterStore(tmp_path / "other", SILENT)
        undisturbed = compat_adapter(replace(shop, store=other_store), task, old, new, COMPAT)
        monkeypatch.setattr(teachers, "_record", count)

        with pytest.raises(KeyboardInterrupt):  # amid the new one: the old one read 16 examples
            compat_adapter(shop, task, old, new, COMPAT)
        assert len(set(map(id, batches))) == 2
        with monkeypatch.context() as patch:
            patch.setattr("pytest_muscle.training.adapters.fit_adapter", kill)
            with pytest.raises(KeyboardInterrupt):
                compat_adapter(shop, task, old, new, COMPAT)
        assert len(batches) == 20 + 16  # the new one from its start, the old one not again
        (work,) = (shop.store.directory / ".training").iterdir()
        assert {path.name for path in work.iterdir()} == {
            *("old.states", "old.json", "new.states", "new.json")
        }

        resumed = compat_adapter(shop, task, old, new, COMPAT)

        assert len(batches) == 20 + 16
        assert same_weights(resumed.path, undisturbed.path)
        assert not work.exists()

    def test_the_old_model_has_left_memory_when_training_starts(
        self, shop, task, old, new, monkeypatch
    ):
        requests = [LoglikelihoodRequest(task.train[0].prompt, (" red",))]
        old.loglikelihoods(requests)
        new.loglikelihoods(requests)
        weights = [weakref.ref(layer) for layer in old.base.network.model.layers.modules()]
        fit = adapters.fit_adapter
        loaded = []

        def look(*args: object) -> object:
            gc.collect()
            loaded.append((old.base.loaded, new.base.loaded))
            assert not any(layer() is not None for layer in weights)
            return fit(*args)

        monkeypatch.setattr(adapters, "fit_adapter", look)

        compat_adapter(shop, task, old, new, COMPAT)

        assert loaded == [(False, True)]
        assert not new.base.loaded

    def test_each_model_is_loaded_once(self, shop, task, old, new, monkeypatch):
        loaded = []
        load = language_model.load_network

        def count(spec, *arguments: object) -> object:
            loaded.append(spec.name)
            return load(spec, *arguments)

        monkeypatch.setattr(language_model, "load_network", count)

        compat_adapter(shop, task, old, new, COMPAT)

        assert loaded == ["old", "new"]

    def test_an_error_of_a_teacher_leaves_no_model_in_memory(
        self, shop, task, old, new, monkeypatch
    ):
        def fail(*_: object) -> None:
            raise TrainingError("no room")

        monkeypatch.setattr(teachers, "_check_space", fail)

        with pytest.raises(TrainingError, match="no room"):
            compat_adapter(shop, task, old, new, COMPAT)
        assert not old.base.loaded
        assert not new.base.loaded

    def test_float16_on_the_cpu_is_refused_before_teachers_read(
        self, shop, task, directories, base_of, monkeypatch
    ):
        half = {"dtype": torch.float16}
        old = LanguageModel(base_of(directories / "old", **half), directories / "old-adapter")
        new = LanguageModel(base_of(directories / "new", **half), directories / "new-adapter")
        monkeypatch.setattr(teachers, "_record", lambda *_: pytest.fail("a teacher read"))

        with pytest.raises(TrainingError, match="compat adapter: float16 can be trained on CUDA"):
            compat_adapter(shop, task, old, new, COMPAT)

    @pytest.mark.filterwarnings("ignore:fan_in_fan_out")
    @pytest.mark.parametrize(("before", "after"), [(8, 64), (64, 8)])
    def test_models_that_take_sequences_of_different_lengths(
        self, shop, task, base_of, tiny_tokenizer, make_tiny_adapter, tmp_path, before, after
    ):
        """GPT-2 has no position for a token more: the shorter of the two decides."""
        sides = []
        for name, longest in (("old", before), ("new", after)):
            config = GPT2Config(vocab_size=len(tiny_tokenizer), n_embd=32, n_layer=1, n_head=2)
            config.n_positions = longest
            GPT2LMHeadModel(config).save_pretrained(tmp_path / name)
            tiny_tokenizer.save_pretrained(tmp_path / name)
            adapter = make_tiny_adapter(tmp_path / name, tmp_path / f"{name}-adapter", 1)
            sides.append(LanguageModel(base_of(tmp_path / name), adapter))

        adapter = compat_adapter(shop, task, *sides, COMPAT)

        assert adapter.origin == "trained"

    @pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`")
    @pytest.mark.parametrize(
        "settings",
        [
            {"target_modules": ["q_proj", "lm_head"]},
            {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
        ],
    )
    def test_a_trained_head_starts_at_the_new_task_model_s_and_leaves_it_alone(
        self,
        shop,
        task,
        old,
        directories,
        base_of,
        make_tiny_adapter,
        tmp_path,
        monkeypatch,
        settings,
    ):
        adapter = make_tiny_adapter(directories / "new", tmp_path / "start", 5, **settings)
        new = LanguageModel(base_of(directories / "new"), adapter)
        seen = []

        def spy(student, gold, teachers, temperature):  # noqa: ANN202
            seen.append((student.detach().clone(), teachers.new.clone()))
            return muscle(student, gold, teachers, temperature)

        monkeypatch.setitem(OBJECTIVES, "spy", spy)
        requests = [LoglikelihoodRequest(example.prompt, (" red",)) for example in task.train]
        before = new.loglikelihoods(requests)

        made = compat_adapter(
            shop, task, old, new, replace(COMPAT, strategy="spy", validation_fraction=0)
        )

        student, teacher = seen[0]
        torch.testing.assert_close(student, teacher, rtol=1e-5, atol=1e-5)
        changed = weights_of(made.path)
        head = [name for name in changed if "lm_head" in name and "base_layer" not in name]
        assert head
        start = weights_of(adapter)
        assert all(not torch.equal(changed[name], start[name]) for name in head)
        assert torch.allclose(
            torch.tensor(new.loglikelihoods(requests)), torch.tensor(before), atol=1e-5
        )

    def test_a_loss_that_is_no_number_leaves_nothing(self, shop, task, old, new, monkeypatch):
        def spoilt(student, gold, teachers, temperature):  # noqa: ANN202
            result = muscle(student, gold, teachers, temperature)
            return replace(result, loss=result.loss * float("nan"))

        monkeypatch.setitem(OBJECTIVES, "spoilt", spoilt)

        with pytest.raises(TrainingError, match="colours: compat adapter: the loss became nan"):
            compat_adapter(shop, task, old, new, replace(COMPAT, strategy="spoilt"))
        assert left_over(shop) == {".training"}

    def test_bfloat16_on_the_cpu(self, shop, task, directories, base_of):
        half = {"dtype": torch.bfloat16}
        old = LanguageModel(base_of(directories / "old", **half), directories / "old-adapter")
        new = LanguageModel(base_of(directories / "new", **half), directories / "new-adapter")

        adapter = compat_adapter(shop, task, old, new, COMPAT)

        assert adapter.facts["dtype"] == "bfloat16"
        assert all(weights.isfinite().all() for weights in weights_of(adapter.path).values())

    @pytest.mark.parametrize("weight", [0.5, 1.0])
    def test_gradient_checkpointing_changes_nothing_but_memory(self, shop, task, old, new, weight):
        recipe = replace(COMPAT, distillation_weight=weight)
        plain = compat_adapter(shop, task, old, new, recipe)

        sparing = compat_adapter(shop, task, old, new, replace(recipe, gradient_checkpointing=True))

        assert same_weights(sparing.path, plain.path, tolerance=1e-5)

    def test_without_a_new_task_adapter(self, shop, task, old, new):
        with pytest.raises(
            TrainingError, match="a compat adapter starts from the new task adapter"
        ):
            compat_adapter(shop, task, old, replace(new, adapter=None), COMPAT)

    def test_another_rank_than_the_start_s(self, shop, task, old, new):
        message = r"muscle.toml: compat.rank: rank is 8, .* has rank 4\s+set rank = 4"
        with pytest.raises(TrainingError, match=message):
            compat_adapter(shop, task, old, new, replace(COMPAT, rank=8))
        assert left_over(shop) == set()

    def test_other_vocabularies(self, shop, task, directories, new, base_of, tmp_path):
        path = shutil.copytree(directories / "old", tmp_path / "old")
        content = json.loads((path / "tokenizer.json").read_text(encoding="utf-8"))
        vocabulary = content["model"]["vocab"]
        vocabulary["zzz"] = vocabulary.pop(max(vocabulary, key=vocabulary.get))
        content["model"]["merges"].pop()
        (path / "tokenizer.json").write_text(json.dumps(content), encoding="utf-8")
        old = LanguageModel(base_of(path), directories / "old-adapter")

        message = rf"different vocabularies \({len(vocabulary) - 1:,} tokens alike, 1 only in the o"
        with pytest.raises(TrainingError, match=message):
            compat_adapter(shop, task, old, new, COMPAT)

    def test_a_start_that_is_broken(self, shop, task, old, new, directories, tmp_path):
        start = shutil.copytree(directories / "new-adapter", tmp_path / "start")
        (start / "adapter_model.safetensors").write_bytes(b"half")

        with pytest.raises(ModelError, match="start cannot be put on model 'new'"):
            compat_adapter(shop, task, old, replace(new, adapter=start), COMPAT)
        assert not any(shop.store.directory.rglob("muscle.json"))
