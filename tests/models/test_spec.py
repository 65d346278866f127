"""What the user named, resolved: which model, which adapter, what determines its answers."""

import json
import shutil

import huggingface_hub
import pytest

from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import ModelError
from pytest_muscle.models import ModelSpec, model_spec
from pytest_muscle.models.spec import (
    TaskModelSpec,
    adapter_directory,
    adapter_facts,
    adapter_rank,
    first_line,
)
from pytest_muscle.settings import ModelSettings


@pytest.fixture
def digests(tmp_path):
    return FileDigests(tmp_path / "digests.json")


@pytest.fixture
def directory(tiny_models, tmp_path):
    """A model directory of this test's own."""
    return shutil.copytree(tiny_models / "v1", tmp_path / "model")


@pytest.fixture
def adapter(tiny_models, make_tiny_adapter, tmp_path):
    return make_tiny_adapter(tiny_models / "v1", tmp_path / "adapter", 1, r=6)


def test_a_directory_is_relative_to_the_configuration_s(directory, tmp_path):
    spec = model_spec(ModelSettings(model="./model"), tmp_path, "muscle.toml: old.model")

    assert (spec.kind, spec.path, spec.name) == ("directory", directory.resolve(), "./model")
    assert spec.describe() == "./model"


def test_a_gguf_file(tmp_path):
    (tmp_path / "tiny.gguf").touch()

    spec = model_spec(ModelSettings(model="tiny.gguf"), tmp_path, "muscle.toml: old.model")

    assert (spec.kind, spec.path) == ("gguf", (tmp_path / "tiny.gguf").resolve())


def test_a_hub_id_with_its_revision(tmp_path):
    settings = ModelSettings(model="someone/model", revision="5f2c1e")

    spec = model_spec(settings, tmp_path, "muscle.toml: old.model")

    assert (spec.kind, spec.path, spec.revision) == ("hub", None, "5f2c1e")
    assert spec.describe() == "someone/model@5f2c1e"


def test_facts_do_not_depend_on_where_a_model_lies(directory, digests, tmp_path):
    here = ModelSpec(name="a", kind="directory", path=directory)
    copy = shutil.copytree(directory, tmp_path / "elsewhere")
    there = ModelSpec(name="b", kind="directory", path=copy)

    assert here.facts(digests) == there.facts(digests)


@pytest.mark.parametrize(
    "file", ["model.safetensors", "config.json", "tokenizer.json", "tokenizer_config.json"]
)
def test_facts_change_with_weights_settings_and_tokenizer(directory, digests, file):
    spec = ModelSpec(name="model", kind="directory", path=directory)
    before = spec.facts(digests)
    content = bytearray((directory / file).read_bytes())
    content[-1] ^= 1

    (directory / file).write_bytes(content)

    assert spec.facts(digests) != before


def test_facts_change_with_a_tokenizer_of_another_directory(directory, digests, tmp_path):
    tokenizer = shutil.copytree(directory, tmp_path / "tokenizer")
    own = ModelSpec(name="model", kind="directory", path=directory)
    other = ModelSpec(name="model", kind="directory", path=directory, tokenizer=str(tokenizer))
    before = other.facts(digests)

    (tokenizer / "tokenizer.json").write_text("{}", encoding="utf-8")

    assert own.facts(digests) != before
    assert other.facts(digests) != before


def test_facts_of_a_hub_id_are_its_commit(digests, monkeypatch, tmp_path):
    config = tmp_path / "snapshots" / "5f2c1e" / "config.json"
    monkeypatch.setattr(huggingface_hub, "hf_hub_download", lambda *_, **__: str(config))

    facts = ModelSpec(name="someone/model", kind="hub", revision="main").facts(digests)

    assert facts == {"hub": "someone/model", "commit": "5f2c1e"}


def test_facts_of_a_tokenizer_of_the_hub_are_its_commit(directory, digests, monkeypatch, tmp_path):
    def fetch(name: str, file: str, revision: str | None) -> str:
        assert (name, file, revision) == ("someone/tokenizer", "tokenizer_config.json", None)
        return str(tmp_path / "snapshots" / "77aa" / file)

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", fetch)
    spec = ModelSpec("model", "directory", directory, tokenizer="someone/tokenizer")

    assert spec.facts(digests)["tokenizer"] == {"hub": "someone/tokenizer", "commit": "77aa"}


def test_a_whole_commit_is_not_looked_up(digests, monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        pytest.fail("the hub was asked")

    monkeypatch.setattr(huggingface_hub, "hf_hub_download", refuse)
    commit = "93efa2f097d58c2a74874c7e644dbc9b0cee75a2"
    spec = ModelSpec(name="someone/model", kind="hub", revision=commit)

    assert spec.facts(digests) == {"hub": "someone/model", "commit": commit}


def test_facts_say_whether_the_model_s_own_code_runs(directory, digests):
    plain = ModelSpec("model", "directory", directory)
    with_code = ModelSpec("model", "directory", directory, trust_remote_code=True)

    assert with_code.facts(digests) == plain.facts(digests) | {"trust_remote_code": True}


def test_a_task_model_is_its_base_and_its_adapter(directory, adapter, digests):
    base = ModelSpec("model", "directory", directory)
    plain, adapted = TaskModelSpec(base), TaskModelSpec(base, adapter)

    assert (plain.describe(), adapted.describe()) == ("model", "model + adapter")
    assert plain.facts(digests) == {"base": base.facts(digests), "adapter": None}
    assert adapted.facts(digests) == {
        "base": base.facts(digests),
        "adapter": adapter_facts(adapter, digests),
    }


def test_a_hub_id_that_cannot_be_reached(digests):
    spec = ModelSpec(name="someone/model", kind="hub", where="muscle.toml: old.model")

    with pytest.raises(
        ModelError,
        match=r"muscle.toml: old.model: 'someone/model' is no directory here and cannot be fetched",
    ):
        spec.facts(digests)


def test_an_adapter_s_directory_rank_and_facts(adapter, digests, tmp_path):
    found = adapter_directory("./adapter", tmp_path, None, "muscle.toml: old.adapter")
    before = adapter_facts(found, digests)
    assert found == adapter.resolve()
    assert adapter_rank(found) == 6

    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"lora_alpha": 7}))

    assert adapter_facts(found, digests) != before


def test_a_pickled_adapter_is_refused(adapter, tmp_path):
    (adapter / "adapter_model.safetensors").rename(adapter / "adapter_model.bin")

    with pytest.raises(
        ModelError,
        match=r"old.adapter: adapter '\./adapter' has no adapter_model.safetensors\s+pickl",
    ):
        adapter_directory("./adapter", tmp_path, None, "muscle.toml: old.adapter")


def test_a_directory_that_is_no_adapter_is_refused(directory, tmp_path):
    with pytest.raises(ModelError, match=r"adapter '\./model' has no adapter_config.json"):
        adapter_directory("./model", tmp_path, None, "muscle.toml: old.adapter")


def test_an_adapter_of_the_hub_that_cannot_be_reached(tmp_path):
    with pytest.raises(ModelError, match="adapter 'someone/adapter' is no directory here"):
        adapter_directory("someone/adapter", tmp_path, None, "muscle.toml: old.adapter")


@pytest.mark.parametrize("content", ["{", "[]"])
def test_an_adapter_configuration_that_is_not_readable(adapter, content):
    (adapter / "adapter_config.json").write_text(content)

    with pytest.raises(ModelError, match=r"adapter: adapter_config.json cannot be read"):
        adapter_rank(adapter)


def test_the_first_line_of_an_error():
    assert first_line(ValueError("\n  no weights\nat all")) == "ValueError: no weights"
    assert first_line(KeyboardInterrupt()) == "KeyboardInterrupt"


@pytest.mark.parametrize("fetch", [True, False])
def test_an_adapter_of_the_hub_is_fetched_only_where_it_may_be(
    monkeypatch, tmp_path, make_tiny_adapter, tiny_models, fetch
):
    given: dict[str, object] = {}
    here = make_tiny_adapter(tiny_models / "v1", tmp_path / "adapter", 1)

    def snapshot_download(name: str, **options: object) -> str:
        given.update(options)
        return str(here)

    monkeypatch.setattr(huggingface_hub, "snapshot_download", snapshot_download)
    found = adapter_directory("org/adapter", tmp_path, None, "old.adapter", fetch=fetch)
    assert found == here
    assert given["local_files_only"] is not fetch
