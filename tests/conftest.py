"""Tiny real models and a tiny project, made in the test session: nothing is downloaded."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.architectures import ARCHITECTURES, TINY

if TYPE_CHECKING:
    import torch
    from transformers import PreTrainedModel, PreTrainedTokenizerFast

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["OMP_NUM_THREADS"] = "1"  # tiny models, and tests beside each other

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def no_ci_service(monkeypatch: pytest.MonkeyPatch) -> None:
    """Hide where these tests run from the runs inside them, which would write in its summary."""
    for name in [name for name in os.environ if name.startswith(("GITHUB_", "CI_COMMIT_"))]:
        monkeypatch.delenv(name)


COLOURS = ["red", "green", "blue", "yellow", "black", "white"]
THINGS = [
    "stone",
    "river",
    "cloud",
    "apple",
    "table",
    "house",
    "garden",
    "window",
    "letter",
    "road",
]
PLACES = ["north", "south", "east", "west", "hill", "lake", "wood", "field", "shore", "moor"]


def colour_rows(count: int, seed: int) -> list[dict[str, object]]:
    """Questions whose answer follows from the words, so that a tiny model can learn them."""
    rng = random.Random(seed)
    combinations = [(thing, place) for thing in THINGS for place in PLACES]
    rows = []
    for number, (thing, place) in enumerate(rng.sample(combinations, count)):
        right = COLOURS[(THINGS.index(thing) + PLACES.index(place) // 4) % len(COLOURS)]
        options = [right, *rng.sample([colour for colour in COLOURS if colour != right], 3)]
        rng.shuffle(options)
        rows.append(
            {
                "id": f"q{seed}-{number}",
                "question": f"Which colour has the {thing} of the {place}?",
                "options": options,
                "label": options.index(right),
                "place": place,
            }
        )
    return rows


def write_jsonl(path: Path, rows: list[dict[str, object]]) -> None:
    """Write rows as JSON Lines."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


@pytest.fixture(params=["cpu", "cuda"])
def device(request: pytest.FixtureRequest) -> torch.device:
    """Each device that there is."""
    import torch

    if request.param == "cuda" and not torch.cuda.is_available():
        pytest.skip("needs a CUDA device")
    return torch.device(request.param)


@pytest.fixture(scope="session")
def tiny_tokenizer() -> PreTrainedTokenizerFast:
    """A real fast tokenizer (byte-level BPE), trained on the questions."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    texts = [
        f"Question: {row['question']}\nAnswer: {' '.join(map(str, row['options']))}"
        for row in colour_rows(100, 1)
    ]
    trainer = trainers.BpeTrainer(
        vocab_size=384,
        special_tokens=["<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


@pytest.fixture(scope="session")
def make_tiny_model(tiny_tokenizer: PreTrainedTokenizerFast) -> Callable[..., Path]:
    """A function that saves a Llama of a few thousand parameters with the tiny tokenizer."""

    def make(directory: Path, seed: int, **settings: object) -> Path:
        import torch
        from transformers import LlamaConfig, LlamaForCausalLM

        torch.manual_seed(seed)
        options = {
            **TINY,
            "vocab_size": len(tiny_tokenizer),
            "tie_word_embeddings": False,
            "bos_token_id": tiny_tokenizer.bos_token_id,
            "eos_token_id": tiny_tokenizer.eos_token_id,
        }
        LlamaForCausalLM(LlamaConfig(**(options | settings))).save_pretrained(directory)
        tiny_tokenizer.save_pretrained(directory)
        return directory

    return make


@pytest.fixture(scope="session")
def tiny_models(
    make_tiny_model: Callable[..., Path], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A directory with the tiny models `v1` and `v2`."""
    directory = tmp_path_factory.mktemp("models")
    make_tiny_model(directory / "v1", 1)
    make_tiny_model(directory / "v2", 2)
    return directory


MODELS_AND_TASK = """\
[old]
model = "{models}/v1"

[new]
model = "{models}/v2"

[tasks.colours]
kind = "multiple_choice"
train = "data/train.jsonl"
eval = "data/eval.jsonl"
prompt = "Question: {{{{ question }}}}\\nAnswer:"
choices = "{{{{ options }}}}"
gold = "{{{{ label }}}}"
"""

CONFIGURATION = (
    MODELS_AND_TASK
    + """\
slices = ["place"]

[adapter]
rank = 8
epochs = 2
learning_rate = 1e-2
batch_size = 8
gradient_accumulation = 1

[run]
device = "cpu"
dtype = "float32"
"""
)


def write_tiny_project(directory: Path, models: Path) -> None:
    """Write muscle.toml, train and evaluation data of the tiny project."""
    rows = colour_rows(100, 7)
    write_jsonl(directory / "data" / "train.jsonl", rows[:60])
    write_jsonl(directory / "data" / "eval.jsonl", rows[60:])
    (directory / "muscle.toml").write_text(CONFIGURATION.format(models=models), encoding="utf-8")


@pytest.fixture(scope="session")
def trained_cache(tiny_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cache with all adapters and predictions of the tiny project, made once for the session."""
    from pytest_muscle import ModelUpdate, read_settings
    from pytest_muscle.reports.charts import Chart, Line, Panel, can_draw, draw

    if can_draw():  # imports what charts need, see `tiny_project`
        panel = Panel(title="", lines=[Line(colour="ink", xs=[0, 1], ys=[0, 1])])
        draw(Chart(name="first", title="", panels=[panel]))

    directory = tmp_path_factory.mktemp("trained")
    write_tiny_project(directory, tiny_models)
    settings = read_settings(directory / "muscle.toml", invocation_dir=directory)
    update = ModelUpdate(settings)
    for side in ("old", "new", "compat"):
        update.predictions(side, "colours")
    return directory / ".muscle_cache"


@pytest.fixture
def tiny_project(
    pytester: pytest.Pytester, tiny_models: Path, trained_cache: Path
) -> pytest.Pytester:
    """A project in pytester's directory: muscle.toml, data, two tiny models; nothing trained.

    It asks for the trained cache only so that everything heavy is imported in this process:
    pytester drops modules that a run inside it imported, and half a transformers stays behind.
    """
    write_tiny_project(pytester.path, tiny_models)
    pytester.makeini("[pytest]\n")
    return pytester


@pytest.fixture
def trained_project(tiny_project: pytest.Pytester, trained_cache: Path) -> pytest.Pytester:
    """The tiny project with all its adapters and predictions in the cache."""
    shutil.copytree(trained_cache, tiny_project.path / ".muscle_cache")
    return tiny_project


@pytest.fixture(scope="session")
def make_tiny_adapter() -> Callable[..., Path]:
    """A function that saves a LoRA adapter with random weights for the model in a directory."""

    def make(model: Path, directory: Path, seed: int, **settings: object) -> Path:
        import torch
        from peft import LoraConfig, get_peft_model
        from transformers import AutoModelForCausalLM

        network = AutoModelForCausalLM.from_pretrained(model)
        options = {"r": 4, "lora_alpha": 8, "target_modules": "all-linear"}
        config = LoraConfig(**(options | settings), task_type="CAUSAL_LM")
        peft_model = get_peft_model(network, config)
        torch.manual_seed(seed)
        for name, weights in peft_model.named_parameters():
            if "lora_" in name:
                torch.nn.init.normal_(weights, std=0.2)
        peft_model.save_pretrained(directory)
        return directory

    return make


@pytest.fixture(scope="session")
def base_of() -> Callable[..., object]:
    """A function that makes the `BaseModel` of a directory, on the CPU, in float32."""

    def make(directory: Path, **settings: object) -> object:
        import torch

        from pytest_muscle.models import BaseModel, ModelSpec

        kind = "gguf" if directory.suffix == ".gguf" else "directory"
        spec = ModelSpec(name=directory.name, kind=kind, path=directory)
        options = {"device": torch.device("cpu"), "dtype": torch.float32}
        return BaseModel(spec, **(options | settings))

    return make


@pytest.fixture
def colour_task(tmp_path: Path) -> Callable[..., object]:
    """A function that makes a task of the colour questions, with a train set of a few rows."""

    def make(examples: int = 20, seed: int = 3, **settings: object) -> object:
        from pytest_muscle.settings import TaskSettings
        from pytest_muscle.tasks import Task

        write_jsonl(tmp_path / "train.jsonl", colour_rows(examples, seed))
        write_jsonl(tmp_path / "eval.jsonl", colour_rows(10, seed + 1))
        options = {
            "kind": "multiple_choice",
            "train": "train.jsonl",
            "eval": "eval.jsonl",
            "prompt": "Question: {{ question }}\nAnswer:",
            "choices": "{{ options }}",
            "gold": "{{ label }}",
        }
        return Task(
            name="colours",
            settings=TaskSettings(**(options | settings)),
            root=tmp_path,
            file="muscle.toml",
        )

    return make


@pytest.fixture(scope="session")
def make_tiny_pair(
    make_tiny_model: Callable[..., Path], make_tiny_adapter: Callable[..., Path]
) -> Callable[[Path], Path]:
    """A function that saves the models `old` and `new`, each with a task adapter beside it."""

    def make(directory: Path) -> Path:
        for seed, name in enumerate(("old", "new")):
            make_tiny_model(directory / name, seed, initializer_range=0.2)
            make_tiny_adapter(directory / name, directory / f"{name}-adapter", seed)
        return directory

    return make


@pytest.fixture(scope="session")
def make_network() -> Callable[..., PreTrainedModel]:
    """A function that makes a network of `ARCHITECTURES`, in evaluation mode, weights steep."""

    def make(name: str, seed: int = 0, **settings: object) -> PreTrainedModel:
        import torch
        import transformers

        kind, defaults = ARCHITECTURES[name]
        network_class = getattr(transformers, kind)
        torch.manual_seed(seed)
        network = network_class(network_class.config_class(**(defaults | settings)))
        for weights in network.parameters():
            if weights.dim() > 1:
                torch.nn.init.normal_(weights, std=0.3)
        return network.requires_grad_(False).eval()

    return make


@pytest.fixture
def race(tmp_path: Path) -> Callable[[str], list[str]]:
    """A function that runs a program in two processes and returns what each printed.

    The program gets a folder and its number as arguments.
    """

    def run(program: str) -> list[str]:
        racers = [
            subprocess.Popen(
                [sys.executable, "-c", textwrap.dedent(program), str(tmp_path), str(number)],
                stdout=subprocess.PIPE,
                text=True,
            )
            for number in range(2)
        ]
        return [racer.communicate(timeout=60)[0].strip() for racer in racers]

    return run


@pytest.fixture
def full_disk() -> Iterator[Callable[[int], None]]:
    """A function that lets no file grow beyond so many bytes, or all of them again."""
    resource = pytest.importorskip("resource")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    def limit(size: int | None) -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before[0] if size is None else size, before[1]))

    yield limit
    resource.setrlimit(resource.RLIMIT_FSIZE, before)
    signal.signal(signal.SIGXFSZ, handler)
