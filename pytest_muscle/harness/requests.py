"""The examples of a definition, out of the requests that the harness builds itself."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any, Literal

from pytest_muscle.digests import digest_json
from pytest_muscle.errors import ConfigurationError, DataError
from pytest_muscle.harness.loading import CHOICE, ELSEWHERE, GENERATION
from pytest_muscle.harness.reference import Reference
from pytest_muscle.settings.table import show
from pytest_muscle.tasks.example import Example

NO_GOLD = -100
"""The right option where the definition names none that there is, as in the harness."""


def build_examples(
    task: Any, reference: Reference, part: Literal["eval", "train"], limit: int | None
) -> list[Example]:
    """Return the examples of a loaded definition; called within `loading.harness`.

    Args:
        task: The definition as the harness loads it.
        reference: How the user named it.
        part: Its evaluation documents, or those of its training split.
        limit: Only the first so many, or all.

    Raises:
        ConfigurationError: If requests are not of a supported form.
        DataError: If a document is not usable.
    """
    task.set_fewshot_seed(seed=reference.fewshot_seed)
    if part == "train":
        documents = list(task.training_docs())
        task.doc_iterator = lambda **_: enumerate(documents)
    try:
        task.build_all_requests(limit=limit)
    finally:
        vars(task).pop("doc_iterator", None)
    builder = _Builder(task, reference, part)
    examples = [
        builder.example(number, list(instances))
        for number, instances in groupby(task.instances, key=lambda instance: instance.doc_id)
    ]
    task._instances = None  # they hold every document once more
    return examples if part == "eval" else list(_learnable(examples))


def _learnable(examples: Iterable[Example]) -> Iterator[Example]:
    """Yield examples to learn from: with an answer, and not one of their own few-shot examples."""
    for example in examples:
        if example.gold != NO_GOLD and example.question not in example.prompt[: example.shots]:
            yield example


class _Builder:
    """Makes examples of a definition's requests.

    Args:
        task: The definition as the harness loads it.
        reference: How the user named it.
        part: Which of its documents.
    """

    def __init__(self, task: Any, reference: Reference, part: str) -> None:
        self._task = task
        self._where = reference.where
        self._name = task.config.task if part == "eval" else f"{task.config.task}/{part}"
        self._delimiter = task.config.target_delimiter

    def example(self, number: int, instances: Sequence[Any]) -> Example:
        """Return the example of a document's requests."""
        task, document = self._task, instances[0].doc
        id_ = f"{self._name}/{number}"
        if not isinstance(document, Mapping):
            raise DataError(
                f"document {id_} is {type(document).__name__}, not a row with columns",
                where=self._where,
            )
        kinds = {instance.request_type for instance in instances}
        choice = task.OUTPUT_TYPE == CHOICE
        if kinds != {"loglikelihood" if choice else GENERATION} or (
            not choice and len(instances) > 1
        ):
            raise ConfigurationError(
                f"{id_} makes {len(instances)} requests of {', '.join(sorted(kinds))}, which is "
                "not supported",
                where=self._where,
                hint=ELSEWHERE,
            )
        arguments = [instance.args for instance in instances]
        if not all(isinstance(call[0], str) for call in arguments):
            raise ConfigurationError(
                f"the prompt of {id_} is no text but {show(arguments[0][0])}", where=self._where
            )
        logged_as = self._logged_as(document)
        fields = json.loads(json.dumps(dict(document), default=str))
        if choice:
            return self._choice(id_, document, arguments, fields, logged_as)
        if fields != dict(document):
            raise DataError(
                f"document {id_} has values that JSON does not hold",
                where=self._where,
                hint="let the definition's process_docs make texts and numbers of them",
            )
        golds = self._gold_texts(document)
        prompt = arguments[0][0]
        return Example(
            id=id_,
            prompt=prompt,
            options=(),
            gold=golds if len(golds) > 1 else golds[0],
            fields=fields,
            shots=self._shots(prompt, task.doc_to_text(document)),
            target=f"{self._delimiter}{golds[0]}",
            exact=True,
            logged_as=logged_as,
        )

    def _choice(
        self,
        id_: str,
        document: Any,
        arguments: Sequence[tuple[str, str]],
        fields: dict[str, Any],
        logged_as: str,
    ) -> Example:
        task = self._task
        options = tuple(task.doc_to_choice(document))
        calls = arguments[: len(options)]  # what follows them are the options without a prompt
        if task.multiple_input:
            target = str(task.doc_to_target(document))
            question = options[0]
            prompt = calls[0][0].removesuffix(question)
            wanted = [(f"{prompt}{option}", f"{self._delimiter}{target}") for option in options]
        else:
            target, prompt = None, calls[0][0]
            question = task.doc_to_text(document)
            wanted = [(prompt, f"{self._delimiter}{option}") for option in options]
        if [tuple(call[:2]) for call in calls] != wanted:
            raise ConfigurationError(
                f"the requests of {id_} are not its prompt with each of its options",
                where=self._where,
                hint=ELSEWHERE,
            )
        return Example(
            id=id_,
            prompt=prompt,
            options=options,
            gold=self._gold_index(id_, document, options),
            fields=fields,
            shots=len(prompt) if task.multiple_input else self._shots(prompt, question),
            target=target,
            logged_as=logged_as,
        )

    def _shots(self, prompt: str, question: Any) -> int:
        """Return how many characters of a prompt stand before its question."""
        if not self._task.config.num_fewshot or not isinstance(question, str):
            return 0
        return max(prompt.rfind(question), 0)

    def _gold_index(self, id_: str, document: Any, options: Sequence[str]) -> int:
        """Return the right option as `process_results` of the harness finds it."""
        task = self._task
        gold = task.doc_to_text(document) if task.multiple_input else task.doc_to_target(document)
        if isinstance(gold, list):
            raise ConfigurationError(
                f"{id_} has a list of right options, which is not supported",
                where=self._where,
                hint=ELSEWHERE,
            )
        if isinstance(gold, str):
            return options.index(gold) if gold in options else NO_GOLD
        return int(gold) if 0 <= int(gold) < len(options) else NO_GOLD

    def _gold_texts(self, document: Any) -> tuple[str, ...]:
        task = self._task
        target = task.doc_to_target(document)
        if task.config.doc_to_choice is not None:
            target = task.doc_to_choice(document)[target]
        golds = target if isinstance(target, list | tuple) else [target]
        return tuple(dict.fromkeys(map(str, golds))) or ("",)

    def _logged_as(self, document: Any) -> str:
        """Return the digest that the importer of the harness's logs gives the same example.

        Source: `doc_hash` and `target_hash` in `lm_eval.evaluator.evaluate`.
        """
        from lm_eval.utils import handle_non_serializable, hash_string

        text = json.dumps(document, indent=2, default=handle_non_serializable, ensure_ascii=False)
        target = str(self._task.doc_to_target(document))
        return digest_json(["lm-eval", hash_string(text), hash_string(target)])
