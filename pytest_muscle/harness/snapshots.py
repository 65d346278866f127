"""Examples of definitions, kept in the cache: another run need not load the harness for them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pytest_muscle.cache import DEFINITIONS, CacheKey, sole_maker
from pytest_muscle.digests import FileDigests, ListDigest
from pytest_muscle.errors import DataError
from pytest_muscle.harness.definition import Definition
from pytest_muscle.progress import Progress
from pytest_muscle.tasks.example import Example
from pytest_muscle.tasks.examples import Examples


@dataclass(frozen=True, kw_only=True)
class Made:
    """What a definition gave when the harness loaded it.

    Attributes:
        definition: What it says beside its examples.
        examples: Its examples.
        files: What it was made of; none where no file tells whether that has changed.
    """

    definition: Definition
    examples: Iterable[Example]
    files: list[Path] | None


class Snapshot:
    """A definition's examples as they were read, from memory or from a file.

    Args:
        manifest: What stands before the examples.
        lines: Gives them, one JSON text each.

    Raises:
        KeyError, TypeError: If the manifest is damaged.
    """

    def __init__(self, manifest: Mapping[str, Any], lines: Callable[[], Iterable[str]]) -> None:
        self.definition = Definition.from_json(manifest["definition"])
        self.digest = str(manifest["digest"])
        self._lines = lines

    def examples(self, each: Callable[[Example], None]) -> Examples:
        """Return the examples, each handed to `each` first.

        Raises:
            DataError: If the file was damaged or changed.
        """
        digest = ListDigest("examples")

        def read() -> Iterator[Example]:
            for line in self._lines():
                example = _example(json.loads(line))
                digest.add(_row(example))
                each(example)
                yield example

        try:
            examples = Examples(read())
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise self._damaged() from error
        if digest.hexdigest() != self.digest:
            raise self._damaged()
        return examples

    def _damaged(self) -> DataError:
        return DataError(
            f"the stored examples of {self.definition.name} are damaged",
            hint="remove the cache: pytest --muscle-cache-clear",
        )


class Snapshots:
    """The examples of definitions in a cache directory.

    Args:
        cache: The cache; its folder of definitions is made on first use.
        files: Digests of what definitions are made of.
        progress: Where waiting and trouble are shown.
        writes: Whether examples that are not stored yet are kept there.
    """

    def __init__(
        self, cache: Path, files: FileDigests, progress: Progress, *, writes: bool = True
    ) -> None:
        self._folder = cache / DEFINITIONS
        self._writes = writes
        self._files = files
        self._progress = progress

    def get(self, key: CacheKey, make: Callable[[], Made]) -> Snapshot:
        """Return the examples of that key: stored, or made now by one process while others wait.

        Args:
            key: The definition, how it is asked, and which libraries read it.
            make: Loads it.

        Raises:
            MuscleError: If it cannot be made.
        """
        if (stored := self._find(key)) is not None:
            return stored
        if not self._writes:
            return self._make(key, make())
        with ExitStack() as stack:
            try:
                stack.enter_context(sole_maker(self._folder, key, self._progress, doing="reads"))
            except OSError as error:
                self._progress.say(f"the examples of {key.task} are not stored: {error}")
            else:
                if (stored := self._find(key)) is not None:
                    return stored
            return self._make(key, make())

    def _path(self, key: CacheKey) -> Path:
        return self._folder / f"{key.name}.jsonl"

    def _find(self, key: CacheKey) -> Snapshot | None:
        path = self._path(key)
        try:
            with path.open(encoding="utf-8") as file:
                manifest = json.loads(next(file))
            same = manifest["fingerprint"] == key.fingerprint
            if not same or manifest["files"] != self._digest(map(Path, manifest["paths"])):
                return None
            return Snapshot(manifest, lambda: _lines(path))
        except (OSError, ValueError, KeyError, TypeError, StopIteration):
            return None

    def _digest(self, files: Iterable[Path]) -> str:
        paths = list(files)
        return self._files.of(paths, Path(paths[0].anchor))

    def _make(self, key: CacheKey, made: Made) -> Snapshot:
        digest = ListDigest("examples")
        lines = []
        for example in made.examples:
            row = _row(example)
            digest.add(row)
            lines.append(json.dumps(row))
        manifest = {
            "definition": made.definition.to_json(),
            "digest": digest.hexdigest(),
            "fingerprint": key.fingerprint,
            "made_of": dict(key.made_of),
        }
        if made.files is not None and self._writes:
            self._store(key, manifest, made.files, lines)
        return Snapshot(json.loads(json.dumps(manifest)), lambda: lines)

    def _store(
        self, key: CacheKey, manifest: Mapping[str, Any], files: list[Path], lines: list[str]
    ) -> None:
        from pytest_muscle.atomic import write_text

        try:
            known = {"paths": list(map(str, files)), "files": self._digest(files)}
            text = json.dumps({**manifest, **known})
            write_text(self._path(key), "\n".join([text, *lines, ""]))
        except (OSError, ValueError) as error:
            self._progress.say(f"the examples of {key.task} are not stored: {error}")


def _lines(path: Path) -> Iterator[str]:
    with path.open(encoding="utf-8") as file:
        next(file)
        yield from file


def _row(example: Example) -> dict[str, Any]:
    return asdict(example)


def _example(row: Mapping[str, Any]) -> Example:
    """Return an example of JSON values; a list of right texts is a tuple again."""
    gold = row["gold"]
    gold = tuple(gold) if isinstance(gold, list) else gold
    return Example(**{**row, "options": tuple(row["options"]), "gold": gold})
