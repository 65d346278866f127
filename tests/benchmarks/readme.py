"""The place in this folder's README.md that figures are written to."""

from __future__ import annotations

from pathlib import Path

from tests.benchmarks.options import ROOT, BenchmarkError

README = ROOT / "tests" / "benchmarks" / "README.md"
BEGIN, END = "<!-- benchmark:begin -->", "<!-- benchmark:end -->"


def write_between_markers(text: str, path: Path = README) -> None:
    """Put text between the two markers, in place of what stands there.

    Raises:
        BenchmarkError: If the file has not each marker once, in order.
    """
    whole = path.read_text(encoding="utf-8")
    before, begin, rest = whole.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end or BEGIN in rest or END in after:
        raise BenchmarkError(f"{path.name} needs the lines {BEGIN} and {END}, once and in order")
    path.write_text(f"{before}{BEGIN}\n\n{text.strip()}\n\n{END}{after}", encoding="utf-8")
