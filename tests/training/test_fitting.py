"""One training run: the best epoch is kept, an interrupted run goes on, NaN ends it."""

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, TrainerCallback, set_seed

from pytest_muscle.errors import TrainingError
from pytest_muscle.models.layouts import LAYOUTS
from pytest_muscle.models.parts import network_parts
from pytest_muscle.models.probe import Engine
from pytest_muscle.progress import SILENT
from pytest_muscle.settings import RecipeSettings
from pytest_muscle.training.fitting import Fit, fit_adapter
from pytest_muscle.training.sequences import split, training_sequences
from pytest_muscle.training.trainer import AdapterTrainer

RECIPE = {
    "rank": 4,
    "epochs": 3,
    "learning_rate": 1e-2,
    "batch_size": 4,
    "gradient_accumulation": 1,
}


@pytest.fixture(scope="module")
def model(make_tiny_model, tmp_path_factory):
    """A model directory; its logits are steep enough for an adapter to learn quickly."""
    return make_tiny_model(tmp_path_factory.mktemp("model") / "m", 2, initializer_range=0.2)


@pytest.fixture
def run(colour_task, tiny_tokenizer, model, tmp_path):
    """A function that trains an adapter on the model and returns directory and facts."""
    sequences = training_sequences(colour_task(20), tiny_tokenizer, None)
    numbers = iter(range(10))

    def start(
        *, callback=None, dtype=torch.float32, work="work", trainer=AdapterTrainer, **recipe: object
    ) -> tuple[Path, dict[str, Any]]:
        settings = RecipeSettings(**(RECIPE | recipe))
        train, validation = split(sequences, settings.validation_fraction, settings.seed)
        fit = Fit(
            recipe=settings,
            train=train,
            validation=validation,
            work_directory=tmp_path / work,
            device=torch.device("cpu"),
            dtype=dtype,
            progress=SILENT,
            description="colours",
        )

        def make_trainer(**options: Any) -> AdapterTrainer:
            options["callbacks"] += [callback] if callback else []
            return trainer(**options)

        base = AutoModelForCausalLM.from_pretrained(model, dtype=dtype)
        set_seed(0)
        config = LoraConfig(
            r=4,
            lora_alpha=8,
            lora_dropout=settings.dropout,
            target_modules="all-linear",
            task_type="CAUSAL_LM",
        )
        directory = tmp_path / f"adapter{next(numbers)}"
        directory.mkdir()
        peft_model = get_peft_model(base, config)
        engine = Engine(network_parts(peft_model), LAYOUTS[0], longest_path=None)
        facts = fit_adapter(fit, peft_model, engine, make_trainer, directory)
        return directory, facts

    start.sequences = sequences
    start.work = tmp_path / "work"
    return start


def weights_of(directory) -> dict[str, torch.Tensor]:
    return load_file(directory / "adapter_model.safetensors")


def assert_same_weights(one, other) -> None:
    found, wanted = weights_of(one), weights_of(other)
    assert found.keys() == wanted.keys()
    for name, weights in wanted.items():
        torch.testing.assert_close(found[name], weights, rtol=0, atol=1e-6)


def bytes_of(directory: Path) -> bytes:
    return (directory / "adapter_model.safetensors").read_bytes()


def cross_entropy(model, sequences) -> float:
    """The mean over all tokens, one plain forward pass per sequence."""
    values = []
    for sequence in sequences:
        tokens = sequence["input_ids"]
        with torch.no_grad():
            logits = model(torch.tensor([tokens])).logits[0, :-1]
        values += [
            -math.log(float(torch.softmax(row, dim=-1)[token]))
            for row, token in zip(logits, tokens[1:], strict=True)
        ]
    return sum(values) / len(values)


class SpoilLastEpoch(TrainerCallback):
    """Training goes astray before the third epoch."""

    def on_epoch_begin(self, args, state, control, model=None, **_: object) -> None:
        if state.epoch >= 2:
            torch.manual_seed(0)
            for weights in model.parameters():
                if weights.requires_grad:
                    weights.data += 0.3 * torch.randn_like(weights)


def test_the_epoch_of_the_best_validation_is_kept(run, model):
    directory, facts = run(callback=SpoilLastEpoch())

    by_epoch = list(facts["validation_cross_entropy"].values())
    assert len(by_epoch) == 3
    assert by_epoch[2] > by_epoch[0] > by_epoch[1] + 0.1
    _, validation = split(run.sequences, 0.2, 0)
    base = AutoModelForCausalLM.from_pretrained(model)
    stored = PeftModel.from_pretrained(base, directory).eval()
    assert cross_entropy(stored, validation) == pytest.approx(min(by_epoch), rel=1e-4)
    assert facts["best_validation_cross_entropy"] == min(by_epoch)
    assert facts["best_step"] == 4 * (1 + by_epoch.index(min(by_epoch)))


def test_training_lowers_the_validation_s_cross_entropy(run, model):
    _, validation = split(run.sequences, 0.2, 0)
    before = cross_entropy(AutoModelForCausalLM.from_pretrained(model), validation)

    _, facts = run()

    assert facts["best_validation_cross_entropy"] < before - 1


def test_facts(run):
    _, facts = run(validation_fraction=0.25, gradient_accumulation=2)

    assert facts["examples"] == {"train": 15, "validation": 5}
    assert facts["steps"] == 3 * 2  # 4 batches of 4 by two
    assert facts["epochs"] == 3
    assert (facts["device"], facts["dtype"]) == ("cpu", "float32")
    assert [entry["step"] for entry in facts["curve"]] == [1, 2, 3, 4, 5, 6]
    json.dumps(facts)


def test_without_validation_the_last_weights_are_kept(run):
    _, facts = run(validation_fraction=0, max_steps=3)

    assert facts["validation_cross_entropy"] == {}
    assert facts["best_step"] is None
    assert facts["steps"] == 3


def test_nothing_but_the_adapter_is_saved(run):
    directory, _ = run()

    assert {path.name for path in directory.iterdir()} == {
        "README.md",
        "adapter_config.json",
        "adapter_model.safetensors",
    }


def test_the_same_recipe_gives_the_same_weights(run):
    assert_same_weights(run()[0], run()[0])


class Interrupt(TrainerCallback):
    """Ctrl-C at the end of a step, or right after its checkpoint was saved."""

    def __init__(self, step: int = 4, *, saved: bool = True) -> None:
        self.step = step
        self.saved = saved

    def on_step_end(self, args, state, control, **_: object) -> None:
        if state.global_step == self.step and not self.saved:
            raise KeyboardInterrupt

    def on_save(self, args, state, control, **_: object) -> None:
        if state.global_step == self.step:
            raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("interrupt", "done"),
    [
        pytest.param(Interrupt(3, saved=False), 0, id="before the first checkpoint"),
        pytest.param(Interrupt(4), 4, id="after the first epoch"),
        pytest.param(Interrupt(10, saved=False), 8, id="within the third epoch"),
        pytest.param(Interrupt(12), 12, id="after the last epoch"),
    ],
)
@pytest.mark.parametrize("validate", [True, False])
def test_an_interrupted_run_goes_on_and_ends_with_the_same_weights(run, interrupt, done, validate):
    """To the last bit: order of the data, dropout, optimiser and learning rate go on as well."""
    recipe = {"dropout": 0.1, "validation_fraction": 0.2 if validate else 0, "batch_size": 4}
    if not validate:
        recipe["batch_size"] = 5  # four steps in an epoch, as with validation
    undisturbed, expected = run(work="other", **recipe)
    with pytest.raises(KeyboardInterrupt):
        run(callback=interrupt, **recipe)
    steps = []

    class Count(TrainerCallback):
        def on_step_end(self, args, state, control, **_: object) -> None:
            steps.append(state.global_step)

    resumed, facts = run(callback=Count(), **recipe)

    assert steps == list(range(done + 1, 13))  # no epoch that has a checkpoint is done again
    assert bytes_of(resumed) == bytes_of(undisturbed)
    assert facts["validation_cross_entropy"] == expected["validation_cross_entropy"]
    assert facts["best_step"] == expected["best_step"]


@pytest.mark.parametrize("state", [None, "", '{"best_'])
def test_a_checkpoint_that_was_not_finished_is_dropped(run, state):
    undisturbed, _ = run(work="other")
    with pytest.raises(KeyboardInterrupt):
        run(callback=Interrupt())
    broken = run.work / "checkpoint-8"
    broken.mkdir()
    (broken / "adapter_model.safetensors").write_bytes(b"half")
    if state is not None:
        (broken / "trainer_state.json").write_text(state)

    resumed, _ = run()

    assert_same_weights(resumed, undisturbed)


def test_a_checkpoint_of_another_training_is_named(run):
    with pytest.raises(KeyboardInterrupt):
        run(callback=Interrupt())
    torch.save({"state": {}, "param_groups": []}, run.work / "checkpoint-4" / "optimizer.pt")

    with pytest.raises(TrainingError) as caught:
        run()

    assert str(caught.value).startswith(
        f"{run.work / 'checkpoint-4'}: colours: training cannot go on from here: ValueError: "
    )
    assert "remove that folder, and training starts again" in str(caught.value)


@pytest.mark.parametrize("size", [1_000, 3_000, 40_000])
def test_on_a_full_disk_training_ends_with_what_to_do_and_goes_on_later(run, full_disk, size):
    """Not even the configuration has room, not the weights, not the optimiser's state."""
    undisturbed, _ = run(work="other")
    with pytest.raises(KeyboardInterrupt):
        run(callback=Interrupt(10, saved=False))

    class FillDisk(TrainerCallback):
        def on_step_end(self, args, state, control, **_: object) -> None:
            if state.global_step == 11:
                full_disk(size)

    with pytest.raises(TrainingError) as caught:
        run(callback=FillDisk())
    full_disk(None)
    steps = []

    class Count(TrainerCallback):
        def on_step_end(self, args, state, control, **_: object) -> None:
            steps.append(state.global_step)

    resumed, _ = run(callback=Count())

    assert "a checkpoint cannot be written: " in str(caught.value)
    assert str(run.work) in str(caught.value)
    assert "is there room on the disk?" in str(caught.value)
    assert steps == [9, 10, 11, 12]
    assert bytes_of(resumed) == bytes_of(undisturbed)


def test_an_adapter_that_has_no_room_is_trained_already_when_it_has(run, full_disk):
    undisturbed, _ = run(work="other")

    class FillDisk(TrainerCallback):
        def on_train_end(self, args, state, control, **_: object) -> None:
            full_disk(3_000)

    with pytest.raises(TrainingError, match="an adapter cannot be written: "):
        run(callback=FillDisk())
    full_disk(None)

    class Refuse(TrainerCallback):
        def on_step_begin(self, args, state, control, **_: object) -> None:
            pytest.fail("it was trained again")

    assert bytes_of(run(callback=Refuse())[0]) == bytes_of(undisturbed)


class NotANumber(AdapterTrainer):
    """Its loss is NaN from the second step on."""

    def compute_loss(self, model, *arguments: object, **options: object):
        loss = super().compute_loss(model, *arguments, **options)
        return loss * math.nan if model.training and self.state.global_step else loss


@pytest.mark.parametrize("validation_fraction", [0.2, 0])
def test_a_loss_that_is_no_number_ends_training_at_once(run, validation_fraction):
    last = []

    class Count(TrainerCallback):
        def on_step_end(self, args, state, control, **_: object) -> None:
            last.append(state.global_step)

    with pytest.raises(TrainingError, match=r"colours: the loss became nan at step 2\s+a lower"):
        run(trainer=NotANumber, callback=Count(), validation_fraction=validation_fraction)

    assert max(last) < 5
    # A run of the same recipe in another dtype must not go on from there.
    assert not run.work.exists()


def test_weights_that_are_no_numbers_are_not_kept(run):
    class Spoil(TrainerCallback):
        def on_train_end(self, args, state, control, model=None, **_: object) -> None:
            next(w for w in model.parameters() if w.requires_grad).data[0] = math.inf

    with pytest.raises(TrainingError, match="weights became NaN or infinite"):
        run(callback=Spoil(), validation_fraction=0)


def test_gradient_checkpointing_changes_nothing_but_memory(run):
    sparing = []

    class Look(TrainerCallback):
        def on_step_begin(self, args, state, control, model=None, **_: object) -> None:
            sparing.append(
                any(getattr(module, "gradient_checkpointing", False) for module in model.modules())
            )

    with_it, _ = run(gradient_checkpointing=True, callback=Look())

    assert all(sparing)
    assert_same_weights(with_it, run()[0])


def test_bfloat16_on_the_cpu(run):
    directory, facts = run(dtype=torch.bfloat16)
    _, exact = run(work="other")

    assert facts["dtype"] == "bfloat16"
    assert facts["best_validation_cross_entropy"] == pytest.approx(
        exact["best_validation_cross_entropy"], rel=0.1
    )
    assert {weights.dtype for weights in weights_of(directory).values()} == {torch.float32}


@pytest.mark.parametrize(("wanted", "taken"), [(None, 1), (5, 5), (0, 0)])
def test_warm_up_is_a_tenth_of_a_short_run_unless_it_is_said(run, wanted, taken):
    _, facts = run(warmup_steps=wanted)

    assert (facts["steps"], facts["warmup_steps"]) == (12, taken)  # 16 of 20 by 4, three times


def test_float16_is_for_cuda(run):
    with pytest.raises(TrainingError, match="float16 can be trained on CUDA devices alone"):
        run(dtype=torch.float16)
