"""Task adapters and compatibility adapters: found under their fingerprint, or trained now."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import TrainingError
from pytest_muscle.models import BaseModel, LanguageModel
from pytest_muscle.models.loading import without_future_warnings
from pytest_muscle.models.scoring import longest_sequence
from pytest_muscle.models.spec import adapter_rank, first_line
from pytest_muscle.progress import Progress
from pytest_muscle.settings import CompatSettings, RecipeSettings, TrainingSettings
from pytest_muscle.tasks import Task
from pytest_muscle.training.card import compat_card, task_card
from pytest_muscle.training.fitting import Fit, check_dtype, fit_adapter
from pytest_muscle.training.keys import compat_key, task_key
from pytest_muscle.training.objectives import find_objective, told_in_words
from pytest_muscle.training.sequences import split, training_sequences
from pytest_muscle.training.store import Adapter, AdapterKey, AdapterStore

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase


@dataclass(frozen=True)
class AdapterShop:
    """Everything that making adapters needs beside models and tasks.

    Attributes:
        store: Where adapters are kept.
        digests: Digests of model files.
        allowed: Whether training is allowed.
        progress: Where progress is shown.
    """

    store: AdapterStore
    digests: FileDigests
    allowed: bool
    progress: Progress

    def find(self, key: AdapterKey) -> Adapter | None:
        """Return the stored adapter of that key, or none where it may be trained now.

        Raises:
            TrainingError: If it is missing and training is not allowed.
        """
        stored = self.store.find(key)
        if stored is not None:
            self.store.end_training(key)  # a process may have been killed at the last moment
        if stored is None and not self.allowed:
            path = self.store.path(key)
            raise TrainingError(
                f"the {key.role} adapter of task {key.task!r} is not stored, and --muscle-no-train "
                "forbids training it",
                where=str(path),
                hint="run the same configuration without --muscle-no-train on a machine that may "
                f"train, and bring its folder {path.parent.parent.name}/{path.parent.name} here",
            )
        return stored

    def get(self, key: AdapterKey, make: Callable[[Path], Mapping[str, Any]]) -> Adapter:
        """Return the adapter of that key: stored, or made now by one process.

        Args:
            key: What makes the adapter.
            make: Trains it, saves it in the directory given, and returns its facts.

        Raises:
            TrainingError: If it is missing and training is not allowed.
        """
        if (stored := self.find(key)) is not None:
            return stored
        with self.store.lock(key):
            if (stored := self.store.find(key)) is not None:
                return stored
            self.progress.begin(f"training {key.name}")
            facts: dict[str, Any] = {}
            with self.store.new(key, facts) as directory:
                facts.update(make(directory))
            self.store.end_training(key)
            stored = self.store.find(key)
        assert stored is not None
        return replace(stored, origin="trained")


def task_adapter(
    shop: AdapterShop,
    task: Task,
    base: BaseModel,
    recipe: RecipeSettings,
    *,
    side: str,
    beside: BaseModel | None = None,
    note: str = "",
) -> Adapter:
    """Return the task adapter of one side, trained by cross-entropy if it is not stored.

    Args:
        shop: Store, digests, permission, progress.
        task: The task whose train set is learnt.
        base: The base model.
        recipe: Hyper-parameters.
        side: `old` or `new`.
        beside: Another base model, which leaves memory before training starts.
        note: What else the progress bar says.

    Raises:
        TrainingError: If it cannot or must not be trained.
    """
    key = task_key(task, base.spec.facts(shop.digests), recipe, side)

    def make(directory: Path) -> Mapping[str, Any]:
        from peft import LoraConfig, get_peft_model

        from pytest_muscle.training.trainer import AdapterTrainer

        base.release()
        if beside is not None:
            beside.release()
        fit = _fit(shop, key, [base], task, recipe, f"{task.name}: {side} task adapter{note}")
        engine = base.engine
        _seed(recipe.seed)
        config = LoraConfig(
            r=recipe.rank,
            lora_alpha=recipe.alpha or 2 * recipe.rank,  # type: ignore[arg-type]
            lora_dropout=recipe.dropout,
            target_modules=_modules(recipe),
            task_type="CAUSAL_LM",
        )
        try:
            with without_future_warnings():
                model: Any = get_peft_model(base.network, config)
        except ValueError as error:
            base.release()
            raise TrainingError(
                f"model {base.spec.name!r} cannot get LoRA weights: {first_line(error)}",
                where=f"{task.file}: adapter.target_modules",
                hint='name layers that the model has, or set "all-linear"',
            ) from error
        try:
            facts = fit_adapter(fit, model, engine, AdapterTrainer, directory)
        finally:
            base.release()
        task_card(directory, base.spec.describe(), task.name, facts)
        return facts

    return shop.get(key, make)


def compat_adapter(
    shop: AdapterShop,
    task: Task,
    old: LanguageModel,
    new: LanguageModel,
    recipe: CompatSettings,
) -> Adapter:
    """Return the compatibility adapter of a task, trained now if it is not stored.

    Args:
        shop: Store, digests, permission, progress.
        task: The task whose train set is learnt.
        old: The old task model.
        new: The new task model; its adapter gives the initial weights.
        recipe: Strategy and hyper-parameters.

    Raises:
        TrainingError: If it cannot or must not be trained.
    """
    if new.adapter is None:
        raise TrainingError(
            "a compat adapter starts from the new task adapter, and there is none",
            where=f"{task.file}: tasks.{task.name}.train",
            hint="name a train set, or [new] adapter",
        )
    key = compat_key(task, old.spec.facts(shop.digests), new.spec.facts(shop.digests), recipe)
    where = f"{task.file}: compat.strategy"
    found = find_objective(recipe.strategy, where=where)
    objective = told_in_words(found, recipe.strategy, where)

    def make(directory: Path) -> Mapping[str, Any]:
        from pytest_muscle.training.teachers import number_places, record_teacher
        from pytest_muscle.training.trainer import STUDENT, CompatTrainer

        start = new.adapter
        assert start is not None
        _check_rank(start, recipe, task)
        check_vocabularies(old.tokenizer, new.tokenizer, task)
        old.base.release()
        new.base.release()
        try:
            bases = [new.base, old.base]
            fit = _fit(shop, key, bases, task, recipe, f"{task.name}: compat adapter")
            check_dtype(fit)
            number_places(fit.train)
            teachers = {}
            for name, teacher in (("old", old), ("new", new)):
                teachers[name] = record_teacher(
                    teacher,
                    fit.train,
                    fit.work_directory / f"{name}.states",
                    progress=shop.progress,
                    description=f"{task.name}: {name} model teaches",
                )
                if name == "old":
                    teacher.base.release()
            _seed(recipe.seed)
            model: Any = new.base.activate(start)
            model.load_adapter(
                str(start), STUDENT, is_trainable=True, torch_device=str(new.base.device)
            )
            model.set_adapter(STUDENT)

            def make_trainer(**options: Any) -> CompatTrainer:
                return CompatTrainer(
                    objective=objective,
                    temperature=recipe.temperature,
                    distillation_weight=recipe.distillation_weight,
                    old=teachers["old"],
                    new=teachers["new"],
                    **options,
                )

            facts = fit_adapter(fit, model, new.base.engine, make_trainer, directory)
        finally:
            old.base.release()
            new.base.release()
        facts["strategy"] = recipe.strategy
        compat_card(directory, old.describe(), new.describe(), task.name, recipe, facts)
        return facts

    return shop.get(key, make)


def _fit(
    shop: AdapterShop,
    key: AdapterKey,
    bases: Sequence[BaseModel],
    task: Task,
    recipe: TrainingSettings,
    description: str,
) -> Fit:
    """Return what the first of some base models is trained on; all of them take its sequences."""
    base = bases[0]
    limits = [recipe.max_length, *(longest_sequence(each.config) for each in bases)]
    longest = min((limit for limit in limits if limit is not None), default=None)
    sequences = training_sequences(task, base.tokenizer, longest)
    train, validation = split(sequences, recipe.validation_fraction, recipe.seed)
    return Fit(
        recipe=recipe,
        train=train,
        validation=validation,
        work_directory=shop.store.work_directory(key),
        device=base.device,
        dtype=base.dtype,
        progress=shop.progress,
        description=description,
    )


def _modules(recipe: RecipeSettings) -> str | list[str]:
    modules = recipe.target_modules
    return modules if isinstance(modules, str) else list(modules)


def _seed(seed: int) -> None:
    from transformers import set_seed

    set_seed(seed)


def _check_rank(start: Path, recipe: CompatSettings, task: Task) -> None:
    rank = adapter_rank(start)
    if None not in (rank, recipe.rank) and rank != recipe.rank:
        raise TrainingError(
            f"rank is {recipe.rank}, and the new task adapter, whose weights are the start, has "
            f"rank {rank}",
            where=f"{task.file}: compat.rank",
            hint=f"set rank = {rank} here, or the wanted rank in [adapter] too",
        )


def check_vocabularies(
    old: PreTrainedTokenizerBase, new: PreTrainedTokenizerBase, task: Task
) -> None:
    """Raise if old and new model do not share a vocabulary, which distillation over it needs.

    Raises:
        TrainingError: It counts the tokens that differ.
    """
    before, after = old.get_vocab(), new.get_vocab()
    if before == after:
        return
    both, only_old, only_new = _vocabulary_difference(before, after)
    raise TrainingError(
        f"the old and the new model have different vocabularies ({both:,} tokens alike, "
        f"{only_old:,} only in the old, {only_new:,} only in the new), and this strategy compares "
        "probabilities token by token",
        where=f"{task.file}: compat.strategy",
        hint="flips can be measured all the same; name a finished adapter in [compat] adapter to "
        "compare one",
    )


def _vocabulary_difference(old: dict[str, int], new: dict[str, int]) -> tuple[int, int, int]:
    same = sum(1 for token, number in old.items() if new.get(token) == number)
    return same, len(old) - same, len(new) - same
