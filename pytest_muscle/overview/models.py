"""What is known of a model before it is loaded, and what that makes of its cost."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pytest_muscle.errors import MuscleError
from pytest_muscle.models.headers import Tensor, Weights, read_weights
from pytest_muscle.models.loading import load_config
from pytest_muscle.models.spec import first_line

if TYPE_CHECKING:
    from pytest_muscle.models import ModelSpec
    from pytest_muscle.models.placement import Placement
    from pytest_muscle.task_models import TaskModels, Version

ITEM_SIZE = {"float32": 4, "bfloat16": 2, "float16": 2}
"""Bytes of a number."""


@dataclass(frozen=True)
class ModelFacts:
    """One version's base model.

    Attributes:
        spec: Which model it is.
        config: Its configuration's values that concern language; none where it is not at hand.
        weights: What its files say of its weights; none where they are not at hand.
        placement: Where it would run; none where that cannot be known.
        problems: What keeps the others from being known.
    """

    spec: ModelSpec
    config: Any = None
    weights: Weights | None = None
    placement: Placement | None = None
    problems: tuple[str, ...] = ()

    def number(self, *names: str) -> int | None:
        """Return the first of the configuration's values that is a positive whole number."""
        values = (getattr(self.config, name, None) for name in names)
        return next((value for value in values if isinstance(value, int) and value > 0), None)

    @property
    def architecture(self) -> str | None:
        """Name of the model's class, or of its type."""
        names = getattr(self.config, "architectures", None)
        return names[0] if names else getattr(self.config, "model_type", None)

    @property
    def hidden(self) -> int | None:
        """Size of a hidden state."""
        return self.number("hidden_size")

    @property
    def layers(self) -> int | None:
        """Number of layers."""
        return self.number("num_hidden_layers")

    @property
    def vocabulary(self) -> int | None:
        """Number of tokens that there are."""
        return self.number("vocab_size")

    @property
    def inner(self) -> int | None:
        """Width of a layer's multilayer perceptron."""
        return self.number("intermediate_size") or (4 * self.hidden if self.hidden else None)

    @property
    def quantised(self) -> str | None:
        """How the weights on disk are quantised, or none."""
        about = getattr(self.config, "quantization_config", None)
        if self.spec.kind == "gguf" and self.weights:
            kinds = [kind for kind in self.weights.dtypes if kind.startswith(("Q", "I", "T"))]
            return kinds[0] if kinds else None
        if about is None:
            return None
        values = about if isinstance(about, dict) else about.to_dict()
        bits = values.get("bits")
        method = str(getattr(values.get("quant_method"), "value", values.get("quant_method")))
        return f"{method}, {bits} bits" if bits else method

    @cached_property
    def matrices(self) -> tuple[tuple[Tensor, float], ...]:
        """The matrices that each token is multiplied with, embeddings and head left out.

        Each with the share of the tokens that it is used for: of experts, some.
        """
        tensors = self.weights.tensors if self.weights else ()
        chosen, all_ = (
            self.number("num_experts_per_tok"),
            self.number("num_local_experts", "num_experts", "n_routed_experts"),
        )
        share = chosen / all_ if chosen and all_ else 1.0
        return tuple(
            (tensor, share if "expert" in tensor.name and "shared" not in tensor.name else 1.0)
            for tensor in tensors
            if len(tensor.shape) in (2, 3)
            and not tensor.name.endswith("bias")
            and not self._is_embedding(tensor)
        )

    @property
    def is_known(self) -> bool:
        """Whether its cost can be estimated."""
        return bool(self.weights and self.matrices and self.hidden and self.vocabulary)

    @property
    def per_token(self) -> float:
        """Weights that a token is multiplied with in the decoder."""
        return sum(share * tensor.count for tensor, share in self.matrices)

    @property
    def per_projection(self) -> float:
        """Weights that a token is multiplied with where the vocabulary is projected."""
        return float((self.hidden or 0) * (self.vocabulary or 0))

    @property
    def bytes_in_memory(self) -> float:
        """Bytes of the weights in the type in which they would run."""
        parameters = self.weights.parameters if self.weights else 0
        return float(parameters * self.item_size)

    @property
    def item_size(self) -> int:
        """Bytes of a number in the type in which it would run."""
        return ITEM_SIZE[self.placement.dtype] if self.placement else 4

    def _is_embedding(self, tensor: Tensor) -> bool:
        names = ("embed", "embd", "wte", "wpe", "lm_head")
        return self.vocabulary in tensor.shape or any(name in tensor.name for name in names)


def describe_model(models: TaskModels, version: Version) -> ModelFacts:
    """Return what is known of a version's base model; its weights stay where they are.

    Raises:
        ConfigurationError: If the version is not configured.
    """
    spec = models.spec(version)
    if spec.path is not None and not spec.path.exists():  # beside a baseline it may be gone
        return ModelFacts(spec, problems=("it is not here any more",))
    problems: list[str] = []
    placement, config, weights = None, None, None
    try:
        placement = models.placing.resolve()
    except MuscleError as error:
        problems.append(error.problem)
    try:
        whole: Any = load_config(spec)
        config = whole.get_text_config()
        config.quantization_config = getattr(whole, "quantization_config", None)
        config.architectures = whole.architectures
    except MuscleError as error:
        problems.append(error.problem)
    try:
        weights = read_weights(spec)
        if weights is None:
            problems.append("its weights are not at hand")
    except MuscleError as error:
        problems += [] if error.problem in problems else [error.problem]
    except Exception as error:  # whatever stands in the files
        problems.append(f"its weights cannot be read: {first_line(error)}")
    return ModelFacts(spec, config, weights, placement, tuple(problems))
