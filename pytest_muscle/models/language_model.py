"""Base models in memory and the task models made of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pytest_muscle.errors import ModelError
from pytest_muscle.models.device import mixed_precision
from pytest_muscle.models.generation import generate_texts
from pytest_muscle.models.loading import (
    load_config,
    load_network,
    load_tokenizer,
    without_future_warnings,
)
from pytest_muscle.models.memory import free_memory
from pytest_muscle.models.scoring import LoglikelihoodRequest, score_loglikelihoods
from pytest_muscle.models.spec import ModelSpec, TaskModelSpec, check_adapter, first_line
from pytest_muscle.predictions.journal import Journal
from pytest_muscle.progress import SILENT, Progress

if TYPE_CHECKING:
    import torch
    from peft import PeftModel
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

    from pytest_muscle.models.looks import Look
    from pytest_muscle.models.probe import Engine
    from pytest_muscle.tasks.decoding import Decoding


class BaseModel:
    """One base model, loaded on first use, with any number of adapters on it.

    Args:
        spec: Which model.
        device: Where it runs.
        dtype: Its floating-point type.
    """

    def __init__(self, spec: ModelSpec, *, device: torch.device, dtype: torch.dtype) -> None:
        self.spec = spec
        self.device = device
        self.dtype = dtype
        self._network: PreTrainedModel | None = None
        self._tokenizer: PreTrainedTokenizerBase | None = None
        self._peft: PeftModel | None = None
        self._engine: Engine | None = None
        self._names: dict[Path, str] = {}

    @property
    def loaded(self) -> bool:
        """Whether its weights are in memory."""
        return self._network is not None

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer, loaded on first use."""
        if self._tokenizer is None:
            self._tokenizer = load_tokenizer(self.spec)
        return self._tokenizer

    @property
    def network(self) -> PreTrainedModel:
        """The base network, loaded on first use; adapters may be on it."""
        if self._network is None:
            self._network = load_network(self.spec, self.device, self.dtype)
        return self._network

    @property
    def config(self) -> PreTrainedConfig:
        """The network's configuration; it takes no weights to know it."""
        return self.network.config if self.loaded else load_config(self.spec)

    def activate(self, adapter: Path | None) -> nn.Module:
        """Return the network, in evaluation mode, with one adapter active or none.

        It stays so until the next call.

        Raises:
            ModelError: If model or adapter cannot be loaded.
        """
        if adapter is not None:
            peft = self.attach(adapter)
            tuner: Any = peft.base_model
            tuner.enable_adapter_layers()
            peft.set_adapter(self._names[adapter], inference_mode=True)
            return peft.eval()
        if self._peft is None:
            return self.network
        tuner = self._peft.base_model
        tuner.disable_adapter_layers()
        return self._peft.eval()

    @contextmanager
    def scoring(self, adapter: Path | None) -> Iterator[nn.Module]:
        """Give the network with one adapter active or none, in the form that answers fastest.

        Raises:
            ModelError: If model or adapter cannot be loaded.
        """
        if adapter is None:
            yield self.activate(None)
            return
        from pytest_muscle.models.merging import merged

        parts = self.engine.parts
        peft: Any = self.activate(adapter)
        with merged(peft, parts) as done:
            if done:
                yield peft
            else:
                with mixed_precision(self.device, self.dtype):
                    yield peft

    @property
    def engine(self) -> Engine:
        """How the network is run, found out by a probe once it is loaded."""
        if self._engine is None:
            from pytest_muscle.models.probe import find_engine

            self._engine = find_engine(self.activate(None))
        return self._engine

    def attach(self, adapter: Path) -> PeftModel:
        """Load an adapter onto the base, if it is not there, and return the PEFT model.

        Raises:
            ModelError: If the adapter does not fit the model.
        """
        from peft import PeftConfig, PeftModel

        if adapter in self._names and self._peft is not None:
            return self._peft
        check_adapter(adapter, str(adapter), self.spec.where)
        from pytest_muscle.models.probe import is_run_alike

        name = f"adapter{len(self._names)}"
        network, engine = self.network, self.engine
        try:
            config = PeftConfig.from_pretrained(str(adapter))
            if config.is_prompt_learning:
                raise ValueError(f"{config.peft_type.value} adapters add virtual tokens")
            if getattr(config, "alora_invocation_tokens", None):
                raise ValueError("activated LoRA begins only after tokens of its own")
            options: dict[str, Any] = {"torch_device": str(self.device)}
            if self._peft is None:
                with without_future_warnings():
                    self._peft = PeftModel.from_pretrained(
                        network, str(adapter), adapter_name=name, **options
                    )
            # For the first adapter a second time: only this says which weights did not fit.
            loaded = self._peft.load_adapter(str(adapter), name, **options)
            missing = [key for key in loaded.missing_keys if f".{name}." in key]
            if missing or loaded.unexpected_keys:
                raise ValueError(
                    f"{len(missing)} weights of the model's layers are not in it, and "
                    f"{len(loaded.unexpected_keys)} of its own have no layer"
                )
            tuner: Any = self._peft.base_model
            tuner.enable_adapter_layers()
            self._peft.set_adapter(name, inference_mode=True)
            if not is_run_alike(self._peft.eval(), engine):
                kind = config.peft_type.value
                raise ValueError(f"this {kind} adapter looks at more than one token at a time")
        except Exception as error:
            self.release()  # layers of the adapter may be on the network already
            raise ModelError(
                f"adapter {adapter} cannot be put on model {self.spec.name!r}: {first_line(error)}",
                where=self.spec.where,
                hint="was it trained on a model of this architecture?",
            ) from error
        self._names[adapter] = name
        return self._peft

    def release(self) -> None:
        """Take the weights out of memory; the next use loads them again."""
        self._network = None
        self._peft = None
        self._engine = None
        self._names = {}
        free_memory(self.device)


@dataclass(frozen=True)
class LanguageModel:
    """A model that answers: a base model with the adapter for a task, or without one.

    Nothing is loaded until it is used.

    Attributes:
        base: The base model, shared with other adapters.
        adapter: Directory of the adapter, or none.
        batch_tokens: Most tokens in one scoring batch.
        progress: Where progress is shown.
        stream: Of its draws: two models that draw by one seed are independent by this.
    """

    base: BaseModel
    adapter: Path | None = None
    batch_tokens: int | Literal["auto"] = "auto"
    progress: Progress = field(default=SILENT, repr=False)
    stream: str = ""

    @property
    def tokenizer(self) -> PreTrainedTokenizerBase:
        """The tokenizer."""
        return self.base.tokenizer

    @property
    def network(self) -> nn.Module:
        """The network with the adapter active, for use right away.

        Other models on the same base switch the active adapter: ask for it again after them.
        """
        return self.base.activate(self.adapter)

    @property
    def spec(self) -> TaskModelSpec:
        """Which base model and which adapter."""
        return TaskModelSpec(self.base.spec, self.adapter)

    def describe(self) -> str:
        """Return what it is in a few words."""
        return self.spec.describe()

    def loglikelihoods(
        self,
        requests: Iterable[LoglikelihoodRequest],
        *,
        total: int | None = None,
        description: str = "scoring",
        journal: Journal | None = None,
        look: Look | None = None,
    ) -> list[tuple[float, ...]]:
        """Return the log-likelihood in nats of each request's continuations.

        Args:
            requests: Prompts with continuations, read piece by piece.
            total: Their number for the progress bar, where they have no length.
            description: What the progress bar says.
            journal: Where batches are kept as they are answered.
            look: Ends it early.

        Raises:
            ModelError: If model or adapter cannot be loaded or a continuation has no token.
        """
        engine = self.base.engine
        with self.base.scoring(self.adapter) as network:
            return score_loglikelihoods(
                network,
                self.tokenizer,
                requests,
                engine=engine,
                batch_tokens=self.batch_tokens,
                total=total,
                progress=self.progress,
                description=description,
                journal=journal,
                look=look,
            )

    def generate(
        self,
        prompts: Iterable[tuple[int, ...]],
        decoding: Decoding,
        *,
        total: int | None = None,
        description: str = "generating",
        journal: Journal | None = None,
        look: Look | None = None,
    ) -> list[tuple[str, ...]]:
        """Return the texts written after each prompt, one per repeat.

        Args:
            prompts: Token ids, read piece by piece.
            decoding: How texts are written.
            total: Their number for the progress bar, where they have no length.
            description: What the progress bar says.
            journal: Where batches are kept as they are answered.
            look: Ends it early.

        Raises:
            ModelError: If model or adapter cannot be loaded or a prompt has no token.
        """
        engine = self.base.engine
        with self.base.scoring(self.adapter) as network:
            return generate_texts(
                network,
                self.tokenizer,
                prompts,
                replace(decoding, stream=self.stream),
                engine=engine,
                batch_tokens=self.batch_tokens,
                total=total,
                progress=self.progress,
                description=description,
                journal=journal,
                look=look,
            )
