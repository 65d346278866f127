"""Which files a definition is made of, so that it need not be loaded again while they stay."""

from __future__ import annotations

import glob
import inspect
import os
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from pytest_muscle.harness.reference import Reference
from pytest_muscle.settings.paths import local_path

_INCLUDE = re.compile(r"^include:\s*['\"]?(?P<path>[^'\"\s#\[]+)", re.MULTILINE)


def source_files(
    task: Any, reference: Reference, yaml: Path | None, root: Path
) -> list[Path] | None:
    """Return the files that a loaded definition and its examples come from.

    Args:
        task: The definition as the harness loads it.
        reference: How the user named it.
        yaml: Its YAML file.
        root: The directory that relative paths in it are relative to.

    Returns:
        The files, or none where data come from where no file tells whether they have changed.
    """
    data = _data_files(task, root)
    if data is None:
        return None
    files = {*data, *code_files(task, beside=True)}
    if yaml is not None:
        files.update(_with_included(Path(yaml)))
    return sorted(files | set(definition_files(reference)))


def definition_files(reference: Reference) -> list[Path]:
    """Return the YAML files of a reference's own folder: any of them may define its name."""
    folder = reference.include_path
    return [] if folder is None else sorted(folder.rglob("*.yaml"))


def code_files(task: Any, *, beside: bool = False) -> set[Path]:
    """Return the Python files that a definition's functions stand in.

    Args:
        task: The definition as the harness loads it.
        beside: Whether what stands beside them and may be imported counts too; of the harness's
            own it never does, which goes with its version.
    """
    config = task.config.to_dict(keep_callable=True)
    found: set[Path] = set()
    package = _package()
    for function in _functions(config):
        try:
            file = inspect.getsourcefile(inspect.unwrap(function))
        except TypeError:
            continue
        if file is None or not os.path.isfile(file):
            continue
        path = Path(file).resolve()
        alone = not beside or path.is_relative_to(package)
        found.update([path] if alone else path.parent.glob("*.py"))
    return found


def _package() -> Path:
    import lm_eval

    return Path(lm_eval.__path__[0]).resolve()


def _functions(value: Any) -> Iterator[Callable[..., Any]]:
    if callable(value):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _functions(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _functions(item)


def _with_included(yaml: Path) -> Iterator[Path]:
    waiting, seen = [yaml], set[Path]()
    while waiting:
        path = waiting.pop()
        if path in seen or not path.is_file():
            continue
        seen.add(path)
        yield path
        text = path.read_text(encoding="utf-8", errors="replace")
        waiting += [path.parent / match["path"] for match in _INCLUDE.finditer(text)]


def _data_files(task: Any, root: Path) -> set[Path] | None:
    """Return the files of the documents: those named, and where `datasets` keeps them."""
    config = task.config
    if callable(config.custom_dataset):
        return None
    arguments = config.dataset_kwargs or {}
    files: set[Path] = set()
    named = [config.dataset_path or "", *_texts(arguments.get("data_files"))]
    if arguments.get("data_dir"):
        named.append(str(arguments["data_dir"]))
    for number, name in enumerate(named):
        found = _local(name, root)
        if not found and number and "://" not in name and "data_dir" not in arguments:
            return None
        files.update(found)
    kept = [
        Path(each["filename"])
        for split in task.dataset.values()
        for each in getattr(split, "cache_files", ())
    ]
    return files | set(kept) if kept else None


def _local(name: str, root: Path) -> set[Path]:
    path = local_path(name, root) if name else root / "nothing"
    if path.is_dir():
        return {each for each in path.rglob("*") if each.is_file()}
    if path.is_file():
        return {path}
    return {Path(each) for each in glob.glob(str(path), recursive=True) if os.path.isfile(each)}


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        yield from _texts(list(value.values()))
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _texts(item)
