"""The Trainer's loss and gradient, against forward passes of one sequence at a time."""

import math
from dataclasses import dataclass, replace

import pytest
import torch
from peft import LoraConfig, PeftModel, get_peft_model
from torch import nn
from torch.nn import functional
from torch.nn.parallel import DistributedDataParallel
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from transformers import (
    AutoModelForCausalLM,
    TrainerCallback,
    TrainingArguments,
)

from pytest_muscle.models.memory import CHUNK_LOGITS, MOST_TOKENS
from pytest_muscle.models.parts import network_parts
from pytest_muscle.models.probe import find_engine
from pytest_muscle.training import divergence, packing
from pytest_muscle.training.objectives import TokenLoss, find_objective, muscle
from pytest_muscle.training.packing import PackTrees
from pytest_muscle.training.teachers import Teacher, number_places
from pytest_muscle.training.trainer import STUDENT, AdapterTrainer, CompatTrainer

T = 2.0
SEQUENCES = [
    [5, 9, 30, 41, 7, 12],
    [8, 3, 77],
    [100, 101, 102, 103, 104, 105, 106, 107, 108],
    [60, 61, 62, 63],
    [20, 21],
    [200, 14, 14, 14, 200, 14],
    [5, 9, 30, 150, 151],
    [100, 101, 102, 93, 94],
    [8, 3],
]


@dataclass
class Models:
    """Old and new task model and the student, all on tiny bases."""

    old: PeftModel
    new: PeftModel  # the student's base, with `teacher` and `default` on it


def put_on(base, teacher, student) -> PeftModel:
    model = PeftModel.from_pretrained(base, teacher, adapter_name="teacher")
    model.load_adapter(student, STUDENT, is_trainable=True)
    model.set_adapter(STUDENT)
    return model


@pytest.fixture(scope="module")
def directories(make_tiny_pair, make_tiny_adapter, tmp_path_factory):
    path = make_tiny_pair(tmp_path_factory.mktemp("trainer"))
    make_tiny_adapter(path / "new", path / "student", 7)
    return path


@pytest.fixture
def models(directories) -> Models:
    """A student that has moved away from the new task model already."""
    old = AutoModelForCausalLM.from_pretrained(directories / "old")
    new = AutoModelForCausalLM.from_pretrained(directories / "new")
    return Models(
        old=PeftModel.from_pretrained(old, directories / "old-adapter").eval(),
        new=put_on(new, directories / "new-adapter", directories / "student"),
    )


class KeepGradient(TrainerCallback):
    """Keeps what the optimiser is given at its first step."""

    def __init__(self) -> None:
        self.gradient: dict[str, torch.Tensor] = {}

    def on_pre_optimizer_step(self, args, state, control, model=None, **_: object) -> None:
        if not self.gradient:
            self.gradient = gradient_of(model)


def gradient_of(model) -> dict[str, torch.Tensor]:
    return {
        name: weights.grad.clone()
        for name, weights in model.named_parameters()
        if weights.grad is not None
    }


def numbered() -> list[dict[str, object]]:
    dataset = [{"input_ids": tokens} for tokens in SEQUENCES]
    number_places(dataset)
    return dataset


def teacher_of(model) -> Teacher:
    """A teacher whose states are those of one sequence at a time."""
    parts = network_parts(model)
    with torch.no_grad():
        states = [parts.states(input_ids=torch.tensor([tokens]))[0] for tokens in SEQUENCES]
    kept = torch.cat([state[0, :-1] for state in states])
    return Teacher(kept, parts.head(), parts.device, parts.vocabulary)


def new_teacher(models: Models) -> Teacher:
    models.new.set_adapter("teacher")
    models.new.eval()
    teacher = teacher_of(models.new)
    models.new.set_adapter(STUDENT)
    return teacher


def make_trainer(models, directory, *, kind=CompatTrainer, callback=None, **settings: object):
    options: dict[str, object] = {}
    trees = settings.pop("trees", True)
    if kind is CompatTrainer:
        options = {
            "objective": settings.pop("objective", muscle),
            "temperature": T,
            "distillation_weight": settings.pop("distillation_weight", 1.0),
            "old": settings.pop("old", None) or teacher_of(models.old),
            "new": settings.pop("new", None) or new_teacher(models),
        }
    defaults = {
        "per_device_train_batch_size": 9,
        "max_steps": 1,
        "max_grad_norm": 0.0,
        "learning_rate": 1e-2,
        "save_strategy": "no",
        "report_to": "none",
        "use_cpu": True,
        "remove_unused_columns": False,
        "disable_tqdm": True,
    }
    dataset = numbered()
    return kind(
        model=models.new,
        args=TrainingArguments(output_dir=str(directory), **(defaults | settings)),
        train_dataset=dataset,
        eval_dataset=dataset,
        data_collator=PackTrees(trees),
        parts=network_parts(models.new),
        callbacks=[callback] if callback else [],
        **options,
    )


def forward(model, tokens: list[int]) -> torch.Tensor:
    """Logits of one sequence that predict its tokens from the second on."""
    return model(torch.tensor([tokens])).logits[0, :-1]


def naive_loss(models: Models, weight: float = 1.0, *, missed_only: bool = False) -> torch.Tensor:
    """METHOD.md: three forward passes per sequence, the mean over all its tokens but the first."""
    losses = []
    for tokens in SEQUENCES:
        with torch.no_grad():
            old = forward(models.old, tokens)
            models.new.set_adapter("teacher")
            new = forward(models.new, tokens)
        models.new.set_adapter(STUDENT)
        student = forward(models.new, tokens)
        for z, z1, z2, y in zip(student, old, new, tokens[1:], strict=True):
            misses = int(z.argmax()) != y
            p = torch.exp((z1 if misses else z2) / T)
            p = p / p.sum()
            q = torch.exp(z / T) / torch.exp(z / T).sum()
            loss = weight * (p * (p.log() - q.log())).sum()
            loss = loss - (1 - weight) * torch.log(torch.exp(z[y]) / torch.exp(z).sum())
            losses.append(loss if misses or not missed_only else 0 * loss)
    return torch.stack(losses).mean()


def batch(sequences: list[list[int]]) -> dict[str, torch.Tensor]:
    return PackTrees()([each for each in numbered() if each["input_ids"] in sequences])


@pytest.mark.parametrize("weight", [1.0, 0.3, 0.0])
def test_the_loss_is_the_mean_over_all_tokens_of_context_and_answer(models, tmp_path, weight):
    trainer = make_trainer(models, tmp_path, distillation_weight=weight)
    models.new.train()

    loss = trainer.compute_loss(models.new, batch(SEQUENCES))

    assert loss.item() == pytest.approx(naive_loss(models, weight).item(), rel=1e-5)


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("most", [1, 20, 512])
@pytest.mark.parametrize(("batch_size", "accumulation"), [(9, 1), (5, 2), (3, 3), (2, 5), (1, 9)])
def test_accumulated_batches_and_their_parts_give_the_gradient_of_one_large_batch(
    models, tmp_path, monkeypatch, batch_size, accumulation, most, trees
):
    monkeypatch.setitem(MOST_TOKENS, "cpu", most)
    monkeypatch.setattr(packing, "ROW", 6)
    naive_loss(models).backward()
    wanted = gradient_of(models.new)
    models.new.zero_grad()
    kept = KeepGradient()

    make_trainer(
        models,
        tmp_path,
        callback=kept,
        trees=trees,
        per_device_train_batch_size=batch_size,
        gradient_accumulation_steps=accumulation,
    ).train()

    assert wanted
    assert kept.gradient.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(kept.gradient[name], gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("trees", [True, False])
def test_a_step_logs_the_mean_loss_whatever_its_parts(models, tmp_path, monkeypatch, trees):
    naive = naive_loss(models).item()
    monkeypatch.setitem(MOST_TOKENS, "cpu", 12)
    monkeypatch.setattr(packing, "ROW", 6)
    trainer = make_trainer(models, tmp_path, trees=trees, logging_steps=1)
    sizes = []
    models.new.get_base_model().model.embed_tokens.register_forward_hook(
        lambda _, inputs, __: sizes.append(inputs[0].numel())
    )

    trainer.train()

    assert len(sizes) > 1
    assert max(sizes) <= 12
    assert trainer.state.log_history[0]["loss"] == pytest.approx(naive, rel=1e-4)


@pytest.fixture
def process_group(tmp_path):
    """The one process of a distributed run."""
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1
    )
    yield
    torch.distributed.destroy_process_group()


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("options", [{}, {"find_unused_parameters": True}])
def test_a_parallel_wrapper_gives_the_same_gradient(
    models, tmp_path, process_group, trees, options
):
    """It is called as a whole, so that it gathers gradients, and makes no logits but one."""
    naive_loss(models).backward()
    wanted = gradient_of(models.new)
    models.new.zero_grad()
    trainer = make_trainer(models, tmp_path, trees=trees)
    wrapped = DistributedDataParallel(models.new, **options).train()
    gathered = []
    wrapped.register_comm_hook(None, lambda _, bucket: done(bucket, gathered))
    positions = []
    models.new.get_base_model().lm_head.register_forward_hook(
        lambda _, inputs, __: positions.append(inputs[0].shape[-2])
    )

    trainer.compute_loss(wrapped, PackTrees(trees)(numbered())).backward()

    found = gradient_of(models.new)
    assert gathered
    assert positions[0] == 1
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        torch.testing.assert_close(found[name], gradient, rtol=1e-4, atol=1e-7)


def done(bucket: torch.distributed.GradBucket, gathered: list[int]) -> torch.futures.Future:
    """What a bucket of gradients becomes in a world of one process: itself."""
    gathered.append(bucket.index())
    future: torch.futures.Future[torch.Tensor] = torch.futures.Future()
    future.set_result(bucket.buffer())
    return future


def test_at_the_first_step_all_gradient_comes_from_missed_tokens(directories, tmp_path, models):
    start = AutoModelForCausalLM.from_pretrained(directories / "new")
    models.new = put_on(start, directories / "new-adapter", directories / "new-adapter")
    naive_loss(models, missed_only=True).backward()
    wanted = gradient_of(models.new)
    models.new.zero_grad()
    kept = KeepGradient()

    make_trainer(models, tmp_path, callback=kept).train()

    assert max(float(gradient.abs().max()) for gradient in wanted.values()) > 1e-4
    for name, gradient in wanted.items():
        torch.testing.assert_close(kept.gradient[name], gradient, rtol=1e-3, atol=1e-6)


def test_only_the_student_moves(models, tmp_path):
    before = {name: weights.clone() for name, weights in models.new.state_dict().items()}
    old = {name: weights.clone() for name, weights in models.old.state_dict().items()}

    make_trainer(models, tmp_path, max_steps=3).train()

    moved = {
        name
        for name, weights in models.new.state_dict().items()
        if not torch.equal(weights, before[name])
    }
    assert moved == {name for name in before if f".{STUDENT}." in name}
    assert all(torch.equal(weights, old[name]) for name, weights in models.old.state_dict().items())
    assert not any(weights.grad is not None for weights in models.old.parameters())


def naive_cross_entropy(model) -> float:
    """Mean over all tokens of all sequences, one sequence at a time."""
    with torch.no_grad():
        values = [
            -math.log(float(torch.softmax(z, dim=-1)[y]))
            for tokens in SEQUENCES
            for z, y in zip(forward(model.eval(), tokens), tokens[1:], strict=True)
        ]
    return sum(values) / len(values)


@pytest.mark.parametrize("kind", [CompatTrainer, AdapterTrainer])
@pytest.mark.parametrize("batch_size", [1, 3, 9])
def test_evaluation_is_cross_entropy_over_all_tokens(models, tmp_path, kind, batch_size):
    trainer = make_trainer(models, tmp_path, kind=kind, per_device_eval_batch_size=batch_size)

    metrics = trainer.evaluate()

    assert metrics["eval_loss"] == pytest.approx(naive_cross_entropy(models.new), rel=1e-5)


def test_a_task_adapter_learns_by_cross_entropy(models, tmp_path):
    trainer = make_trainer(models, tmp_path, kind=AdapterTrainer)
    models.new.train()

    loss = trainer.compute_loss(models.new, batch(SEQUENCES))

    assert loss.item() == pytest.approx(naive_cross_entropy(models.new), rel=1e-5)


def test_the_share_of_masked_tokens_is_logged(models, tmp_path):
    wanted = [
        int(z.argmax()) != y
        for tokens in SEQUENCES
        for z, y in zip(forward(models.new, tokens), tokens[1:], strict=True)
    ]

    trainer = make_trainer(models, tmp_path, logging_steps=1)
    trainer.train()

    assert trainer.state.log_history[0]["masked"] == pytest.approx(sum(wanted) / len(wanted))


def test_each_log_counts_from_the_one_before(models, tmp_path):
    trainer = make_trainer(models, tmp_path)
    models.new.train()
    trainer.compute_loss(models.new, batch(SEQUENCES))

    trainer.log({"loss": 1.0})
    trainer.log({"loss": 1.0})

    first, second = trainer.state.log_history
    assert 0 < first["masked"] <= 1
    assert "masked" not in second


def test_the_objective_is_the_one_named(models, tmp_path):
    named = find_objective("old_everywhere")
    trainer = make_trainer(models, tmp_path, objective=named)
    models.new.train()

    loss = trainer.compute_loss(models.new, batch(SEQUENCES))

    wanted = []
    for tokens in SEQUENCES:
        p = torch.softmax(forward(models.old, tokens) / T, dim=-1)
        q = torch.softmax(forward(models.new, tokens) / T, dim=-1)
        wanted.append((p * (p / q).log()).sum(dim=-1))
    assert loss.item() == pytest.approx(torch.cat(wanted).mean().item(), rel=1e-5)


class Sizes(TorchDispatchMode):
    """Keeps the largest tensor that any operation makes, views aside."""

    def __init__(self) -> None:
        super().__init__()
        self.largest = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None) -> object:
        result = func(*args, **(kwargs or {}))
        known = {
            tensor.untyped_storage().data_ptr()
            for tensor in tree_leaves((args, kwargs))
            if isinstance(tensor, torch.Tensor)
        }
        for tensor in tree_leaves(result):
            fresh = isinstance(tensor, torch.Tensor) and (
                tensor.untyped_storage().data_ptr() not in known
            )
            if fresh:
                self.largest = max(self.largest, tensor.numel())
        return result


@pytest.mark.parametrize("trees", [True, False])
@pytest.mark.parametrize("kind", [CompatTrainer, AdapterTrainer])
def test_logits_of_all_tokens_never_exist_at_once(models, tmp_path, monkeypatch, kind, trees):
    vocabulary = network_parts(models.new).vocabulary
    monkeypatch.setitem(CHUNK_LOGITS, "cpu", 4 * vocabulary)
    monkeypatch.setattr(divergence, "BLOCK", vocabulary)
    trainer = make_trainer(models, tmp_path, kind=kind, trees=trees)
    packed = PackTrees(trees)(numbered())
    tokens = len(packed["labels"])
    assert tokens > 20

    models.new.train()
    with Sizes() as training:
        trainer.compute_loss(models.new, packed).backward()
    models.new.eval()
    with Sizes() as evaluation, torch.no_grad():
        trainer.compute_loss(models.new, packed)

    # The largest are weights and attention, and four tokens' logits.
    for sizes in (training, evaluation):
        assert 4 * vocabulary <= sizes.largest < tokens * vocabulary / 2


def test_logits_of_all_tokens_are_seen_where_they_exist(models):
    """The measure of the test above measures."""
    with Sizes() as sizes, torch.no_grad():
        models.new(torch.tensor([[5] * 30]))

    assert sizes.largest == 30 * network_parts(models.new).vocabulary


def test_an_objective_that_asks_for_both_teachers_everywhere(models, tmp_path, monkeypatch):
    """As objectives were written when both were there at once: tensors, and PyTorch's losses."""
    monkeypatch.setitem(CHUNK_LOGITS, "cpu", 7 * network_parts(models.new).vocabulary)

    def earlier(student, gold, teachers, temperature):  # noqa: ANN202
        masked = student.argmax(dim=-1) != gold
        teacher = torch.where(masked[:, None], teachers.old, teachers.new)
        assert teachers.old.shape == teachers.new.shape == student.shape
        loss = functional.kl_div(
            functional.log_softmax(student.float() / temperature, dim=-1),
            functional.log_softmax(teacher.float() / temperature, dim=-1),
            log_target=True,
            reduction="none",
        ).sum(dim=-1)
        return TokenLoss(loss=loss, masked=masked)

    kept = KeepGradient()
    naive_loss(models).backward()
    wanted = gradient_of(models.new)
    models.new.zero_grad()

    make_trainer(models, tmp_path, objective=earlier, callback=kept).train()

    for name, gradient in wanted.items():
        torch.testing.assert_close(kept.gradient[name], gradient, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(("old", "new"), [(300, 380), (380, 300), (300, 300)])
def test_teachers_with_other_numbers_of_logits(models, tmp_path, old, new):
    """Vocabularies are padded to different sizes: what all have in common is compared."""
    width = min(old, new)
    teachers = {"old": cut(teacher_of(models.old), old), "new": cut(new_teacher(models), new)}
    trainer = make_trainer(models, tmp_path, **teachers)
    models.new.train()

    loss = trainer.compute_loss(models.new, batch(SEQUENCES))

    wanted = []
    for tokens in SEQUENCES:
        z1 = forward(models.old, tokens)[:, :width]
        models.new.set_adapter("teacher")
        z2 = forward(models.new, tokens)[:, :width]
        models.new.set_adapter(STUDENT)
        z = forward(models.new, tokens)[:, :width]
        gold = torch.tensor(tokens[1:])
        p = torch.where((z.argmax(-1) != gold)[:, None], z1, z2).div(T).softmax(-1)
        wanted.append((p * (p.log() - z.div(T).log_softmax(-1))).sum(-1))
    assert loss.item() == pytest.approx(torch.cat(wanted).mean().item(), rel=1e-5)
    loss.backward()
    assert any(weights.grad.any() for weights in models.new.parameters() if weights.requires_grad)


def cut(teacher: Teacher, vocabulary: int) -> Teacher:
    """A teacher whose head ends earlier."""
    head = teacher.head
    return replace(
        teacher, head=Lambda(lambda states: head(states)[:, :vocabulary]), vocabulary=vocabulary
    )


class Lambda(nn.Module):
    """A module that is a function."""

    def __init__(self, function) -> None:
        super().__init__()
        self.forward = function


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


def naive_curve(models: Models, steps: int, learning_rate: float) -> list[float]:
    """Losses of so many steps on all sequences: naive loss, AdamW, nothing else."""
    student = [weights for weights in models.new.parameters() if weights.requires_grad]
    optimizer = torch.optim.AdamW(student, lr=learning_rate, weight_decay=0.0)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = naive_loss(models)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_the_loss_curve_is_the_naive_one_over_fifty_steps(directories, models, tmp_path):
    again = AutoModelForCausalLM.from_pretrained(directories / "new")
    student = put_on(again, directories / "new-adapter", directories / "student")
    wanted = naive_curve(Models(models.old, student), 50, 1e-3)

    trainer = make_trainer(
        models,
        tmp_path,
        max_steps=50,
        learning_rate=1e-3,
        lr_scheduler_type="constant",
        logging_steps=1,
    )
    trainer.train()

    found = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
    assert wanted[-1] < 0.8 * wanted[0]
    assert found == pytest.approx(wanted, rel=1e-3)
    with torch.no_grad():
        for tokens in SEQUENCES:
            answers, wanted_answers = forward(models.new, tokens), forward(student, tokens)
            assert torch.equal(answers.argmax(-1), wanted_answers.argmax(-1))
