"""Which model and which adapter: what the user named, resolved but not loaded."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from pytest_muscle.digests import FileDigests
from pytest_muscle.errors import ModelError
from pytest_muscle.limits import read_json
from pytest_muscle.settings import ModelSettings
from pytest_muscle.settings.locations import is_path
from pytest_muscle.settings.paths import local_path
from pytest_muscle.settings.pins import is_commit

ADAPTER_FILES = ("adapter_config.json", "adapter_model.safetensors")
"""Of a PEFT directory: what its effect depends on."""

_WEIGHTS_AND_SETTINGS = {".safetensors", ".json", ".model", ".txt", ".jinja", ".py", ".tiktoken"}


@dataclass(frozen=True)
class ModelSpec:
    """A base model.

    Attributes:
        name: As the user wrote it.
        kind: Where its weights are.
        path: Directory or .gguf file; none for a hub id.
        revision: Commit, branch or tag of a hub id.
        tokenizer: Directory or hub id of the tokenizer, if it is not the model's own.
        tokenizer_revision: Commit, branch or tag of a tokenizer that is a hub id.
        trust_remote_code: Whether Python code that comes with the model may run.
        where: File and key that named it, for errors.
    """

    name: str
    kind: Literal["directory", "gguf", "hub"]
    path: Path | None = None
    revision: str | None = None
    tokenizer: str | None = None
    tokenizer_revision: str | None = None
    trust_remote_code: bool = False
    where: str | None = None

    def describe(self) -> str:
        """Return what it is in a few words, for the report header."""
        return f"{self.name}@{self.revision}" if self.revision else self.name

    @property
    def is_at_hand(self) -> bool:
        """Whether its facts can be told without asking the hub: files here, or a pinned commit."""
        if self.path is None:
            return is_commit(self.revision)
        return self.path.exists()

    def facts(self, digests: FileDigests) -> dict[str, Any]:
        """Return what determines the model's answers: digest of its files, or id and commit.

        Raises:
            ModelError: If a hub id's commit cannot be found out.
        """
        own = self._own_facts(digests)
        if self.trust_remote_code:
            own["trust_remote_code"] = True
        if self.tokenizer is None:
            return own
        directory = Path(self.tokenizer)
        if not directory.is_dir():
            tokenizer = {"hub": self.tokenizer, "commit": self.tokenizer_commit}
            return {**own, "tokenizer": tokenizer}
        files = digests.of(_model_files(directory), directory)
        return {**own, "tokenizer": {"files": files}}

    def _own_facts(self, digests: FileDigests) -> dict[str, Any]:
        if self.path is None:
            return {"hub": self.name, "commit": self.commit}
        if self.kind == "gguf":
            return {"files": digests.of([self.path], self.path.parent)}
        return {"files": digests.of(_model_files(self.path), self.path)}

    @cached_property
    def commit(self) -> str | None:
        """The commit of a hub id, looked up once: what is loaded is what the fingerprint names.

        Raises:
            ModelError: If the hub cannot be reached and no copy is stored here.
        """
        return None if self.path else hub_commit(self.name, self.revision, self.where)

    @cached_property
    def tokenizer_commit(self) -> str | None:
        """The commit of a tokenizer that is a hub id, looked up once as the model's is.

        Raises:
            ModelError: If the hub cannot be reached and no copy is stored here.
        """
        if self.tokenizer is None or Path(self.tokenizer).is_dir():
            return None
        return hub_commit(
            self.tokenizer, self.tokenizer_revision, self.where, file="tokenizer_config.json"
        )


@dataclass(frozen=True)
class TaskModelSpec:
    """A base model with the adapter for a task, or without one.

    Attributes:
        base: The base model.
        adapter: Directory of the adapter, or none.
    """

    base: ModelSpec
    adapter: Path | None = None

    def describe(self) -> str:
        """Return what it is in a few words."""
        name = self.base.describe()
        return f"{name} + {self.adapter.name}" if self.adapter else name

    def facts(self, digests: FileDigests) -> dict[str, Any]:
        """Return what determines the model's answers.

        Raises:
            ModelError: If a hub id's commit cannot be found out.
        """
        adapter = adapter_facts(self.adapter, digests) if self.adapter else None
        return {"base": self.base.facts(digests), "adapter": adapter}


def model_spec(settings: ModelSettings, root: Path, where: str) -> ModelSpec:
    """Return the spec of a configured model; nothing is loaded or looked up."""
    tokenizer = settings.tokenizer
    if tokenizer is not None and is_path(tokenizer, root):
        tokenizer = str(local_path(tokenizer, root))
    if not is_path(settings.model, root):
        return ModelSpec(
            name=settings.model,
            kind="hub",
            revision=settings.revision,
            tokenizer=tokenizer,
            tokenizer_revision=settings.tokenizer_revision,
            trust_remote_code=settings.trust_remote_code,
            where=where,
        )
    path = local_path(settings.model, root)
    return ModelSpec(
        name=settings.model,
        kind="gguf" if path.suffix == ".gguf" else "directory",
        path=path,
        tokenizer=tokenizer,
        tokenizer_revision=settings.tokenizer_revision,
        trust_remote_code=settings.trust_remote_code,
        where=where,
    )


def hub_commit(
    name: str, revision: str | None, where: str | None, *, file: str = "config.json"
) -> str:
    """Return the commit that a hub id's revision means now; a whole commit means itself.

    Args:
        name: The hub id.
        revision: Commit, branch or tag.
        where: File and key that named it, for errors.
        file: A small file that the repository has.

    Raises:
        ModelError: If the hub cannot be reached and no copy is stored here.
    """
    if revision is not None and is_commit(revision):
        return revision
    import huggingface_hub

    try:
        path = huggingface_hub.hf_hub_download(name, file, revision=revision)
    except Exception as error:
        raise ModelError(
            f"{name!r} is no directory here and cannot be fetched from the hub: "
            f"{first_line(error)}",
            where=where,
            hint=(
                "the hub is switched off (HF_HUB_OFFLINE) and no copy is stored here: fetch it "
                "once with the network on, or name a local directory"
                if huggingface_hub.constants.HF_HUB_OFFLINE
                else "check the name, the revision and the network; a path starts with ./"
            ),
        ) from error
    return Path(path).parent.name


def adapter_directory(
    name: str, root: Path, revision: str | None, where: str, *, fetch: bool = True
) -> Path:
    """Return the local directory of an adapter, fetched from the hub if it is a hub id.

    Args:
        name: Path or hub id.
        root: The directory that a relative path is relative to.
        revision: Commit, branch or tag of a hub id.
        where: File and key that named it, for errors.
        fetch: Whether it may be fetched, if it is not here.

    Raises:
        ModelError: If it cannot be fetched or is no PEFT directory with safetensors weights.
    """
    if is_path(name, root):
        path = local_path(name, root)
        check_adapter(path, name, where)
        return path
    import huggingface_hub

    try:
        path = Path(
            huggingface_hub.snapshot_download(
                name,
                revision=revision,
                allow_patterns=list(ADAPTER_FILES),
                local_files_only=not fetch,
            )
        )
    except Exception as error:
        raise ModelError(
            f"adapter {name!r} is no directory here and cannot be fetched from the hub: "
            f"{first_line(error)}",
            where=where,
        ) from error
    check_adapter(path, name, where)
    return path


def check_adapter(path: Path, name: str, where: str | None) -> None:
    """Check that a directory is a PEFT adapter with safetensors weights.

    Raises:
        ModelError: If it is not; it says which file is missing.
    """
    for file in ADAPTER_FILES:
        if not (path / file).is_file():
            pickled = (path / "adapter_model.bin").is_file()
            raise ModelError(
                f"adapter {name!r} has no {file}",
                where=where,
                hint="pickles can run code and are not loaded: save the adapter as safetensors"
                if pickled
                else "an adapter is a directory written by PEFT's save_pretrained",
            )


def adapter_facts(path: Path, digests: FileDigests) -> dict[str, Any]:
    """Return what determines an adapter's effect: the digest of its files."""
    return {"files": digests.of([path / file for file in ADAPTER_FILES], path)}


def adapter_rank(path: Path) -> int | None:
    """Return the LoRA rank of a stored adapter, or none if it is no LoRA adapter.

    Raises:
        ModelError: If its configuration cannot be read.
    """
    try:
        config = read_json(path / "adapter_config.json")
        rank = config.get("r")
    except (OSError, ValueError, AttributeError) as error:
        raise ModelError(
            f"adapter_config.json cannot be read: {first_line(error)}", where=str(path)
        ) from error
    return rank if isinstance(rank, int) else None


def _model_files(path: Path) -> list[Path]:
    files = (file for file in path.iterdir() if file.suffix in _WEIGHTS_AND_SETTINGS)
    return [file for file in files if file.is_file()]


def first_line(error: BaseException) -> str:
    """Return the first line of an error's text, for use inside a sentence."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
