"""pytest-muscle, configured by a muscle.toml like any user's."""

from __future__ import annotations

import json
from pathlib import Path

import peft  # noqa: F401  (imported here, so that no contender's time holds imports)
from transformers import AutoTokenizer, Trainer  # noqa: F401

from pytest_muscle import ModelUpdate, read_settings
from tests.benchmarks.contenders.job import Job, Training
from tests.benchmarks.texts import Text, read_texts

CONFIGURATION = """\
[old]
model = {old_model}
adapter = {old_adapter}

[new]
model = {new_model}
adapter = {new_adapter}

[tasks.texts]
kind = "multiple_choice"
train = {texts}
eval = {texts}
prompt = "{{{{ prompt }}}}"
choices = ["{{{{ answer }}}}", "{{{{ wrong }}}}"]
gold = "0"

[compat]
strategy = "muscle"
temperature = {temperature}
epochs = {epochs}
batch_size = {batch_size}
gradient_accumulation = 1
learning_rate = {learning_rate}
validation_fraction = 0.0
seed = {seed}

[run]
device = {device}
dtype = {dtype}
cache = "cache"
"""


def train(job: Job) -> Training:
    """Train the compatibility adapter, teachers' passes and storing of the adapter included."""
    output = Path(job.output)
    values = {key: json.dumps(value) for key, value in vars(job).items()}
    (output / "muscle.toml").write_text(CONFIGURATION.format(**values), encoding="utf-8")
    settings = read_settings(output / "muscle.toml", invocation_dir=output)
    update = ModelUpdate(settings)
    adapter = update.compat_adapter("texts")
    assert adapter.origin == "trained"
    return Training(
        tokens=_tokens(job, read_texts(Path(job.texts))),
        losses=[(entry["step"], entry["loss"]) for entry in adapter.facts["curve"]],
        notes={"own_seconds": adapter.facts["seconds"]},
    )


def _tokens(job: Job, texts: list[Text]) -> int:
    tokenizer = AutoTokenizer.from_pretrained(job.new_model)
    return sum(len(tokens) for tokens in tokenizer([text.whole for text in texts])["input_ids"])
