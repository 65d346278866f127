"""Is the update from v1 to v2 safe to ship? Four answers, two of them red, and rightly so.

- ``test_accuracy_did_not_drop`` is green: v2 answers more questions than v1. Most teams ask
  nothing else.
- ``test_update_breaks_little`` is **meant to be red**: v2 misplaces too many of the cities that v1
  placed well. Users notice those. The failure names them.
- ``test_compat_adapter_wins_flips_back`` is green: with an adapter that was trained to stay close
  to v1 where it errs, v2 breaks fewer. The price is a little of v2's accuracy.
- ``test_compat_model_is_fit_to_ship`` is **red, too**: a part won back is not all. v2 with the
  adapter is still above the limit of ``[gate]`` in muscle.toml, and the build says so.

The two thresholds of the third test leave room for what training varies from machine to machine.

In your own project the first two stand in CI from the start. When the second turns red, you train
the adapter, and the last two say whether to ship it with v2.
"""

from __future__ import annotations

from pytest_muscle import (
    Predictions,
    assert_accuracy_drop,
    assert_flips_reduced,
    assert_gate,
    assert_negative_flip_rate,
)
from pytest_muscle.tasks import Task


def test_accuracy_did_not_drop(old_predictions: Predictions, new_predictions: Predictions) -> None:
    """On average, v2 is at least as good as v1."""
    assert_accuracy_drop(old_predictions, new_predictions, max_drop=0.0)


def test_update_breaks_little(old_predictions: Predictions, new_predictions: Predictions) -> None:
    """Red on purpose: v2 breaks more than the limit."""
    assert_negative_flip_rate(old_predictions, new_predictions, max_rate=0.02)


def test_compat_adapter_wins_flips_back(
    old_predictions: Predictions,
    new_predictions: Predictions,
    compat_predictions: Predictions,
) -> None:
    """The compatibility adapter breaks less, and costs little accuracy."""
    assert_flips_reduced(
        old_predictions,
        new_predictions,
        compat_predictions,
        min_reduction=0.05,
        max_accuracy_drop=0.02,
    )


def test_compat_model_is_fit_to_ship(
    muscle_task: Task, old_predictions: Predictions, compat_predictions: Predictions
) -> None:
    """Red as well: with the compatibility adapter, v2 breaks less, and still too much."""
    assert_gate(old_predictions, compat_predictions, gate=muscle_task.gate)
