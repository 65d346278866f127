"""Libraries' own bars and notes, kept off the terminal."""

from __future__ import annotations

import logging
import warnings
from typing import Any


def quiet_libraries() -> None:
    """Let transformers and lm-evaluation-harness show errors alone, and nobody name changes."""
    from transformers.utils import logging as transformers_logging

    bars: Any = transformers_logging
    bars.disable_progress_bar()
    bars.set_verbosity_error()
    logging.getLogger("lm_eval").setLevel(logging.ERROR)
    warnings.simplefilter("ignore", FutureWarning)
