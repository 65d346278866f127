"""Is the update from v1 to v2 safe to ship? Four answers, one of them red, and rightly so.

- ``test_accuracy_did_not_drop`` is green: v2 answers more questions than v1. This is the only
  question that most teams ask.
- ``test_update_breaks_little`` is **meant to be red**: among the cities that v1 placed well, v2
  misplaces more than ``MAX_NEGATIVE_FLIPS`` of all questions. Users notice these. The failure
  lists them.
- ``test_compat_adapter_wins_flips_back`` is green: an adapter for v2, trained to agree with v1
  wherever it errs itself, breaks at least ``MIN_REDUCTION`` fewer, at no loss of accuracy.
- ``test_compat_model_is_fit_to_ship`` is green: v2 with that adapter passes the gate that v2
  alone does not.

In your own project the first two stand in CI from the start. When the second turns red, you train
the adapter, ship it with v2, and the last two take over.
"""

from __future__ import annotations

from pytest_muscle import (
    Predictions,
    assert_accuracy_drop,
    assert_flips_reduced,
    assert_negative_flip_rate,
)

MAX_NEGATIVE_FLIPS = 0.05
MIN_REDUCTION = 0.10


def test_accuracy_did_not_drop(old_predictions: Predictions, new_predictions: Predictions) -> None:
    """On average, v2 is at least as good as v1."""
    assert_accuracy_drop(old_predictions, new_predictions, max_drop=0.0)


def test_update_breaks_little(old_predictions: Predictions, new_predictions: Predictions) -> None:
    """Red on purpose: v2 breaks more than it may."""
    assert_negative_flip_rate(old_predictions, new_predictions, max_rate=MAX_NEGATIVE_FLIPS)


def test_compat_adapter_wins_flips_back(
    old_predictions: Predictions,
    new_predictions: Predictions,
    compat_predictions: Predictions,
) -> None:
    """The compatibility adapter breaks clearly less, and costs no accuracy."""
    assert_flips_reduced(
        old_predictions, new_predictions, compat_predictions, min_reduction=MIN_REDUCTION
    )


def test_compat_model_is_fit_to_ship(
    old_predictions: Predictions, compat_predictions: Predictions
) -> None:
    """v2 with the compatibility adapter passes where v2 alone is red."""
    assert_negative_flip_rate(old_predictions, compat_predictions, max_rate=MAX_NEGATIVE_FLIPS)
    assert_accuracy_drop(old_predictions, compat_predictions, max_drop=0.0)
