from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, recall_score, top_k_accuracy_score

from mml_core.evaluation.metrics import confusion, hits, mean_average_precision, mean_class_accuracy, predictions

SCORES = np.array(
    [
        [0.9, 0.1, 0.0],  # label 0: first
        [0.5, 0.4, 0.1],  # label 1: second
        [0.3, 0.6, 0.1],  # label 0: second
        [0.2, 0.3, 0.5],  # label 0: third
        [0.0, 0.0, 1.0],  # label 2: first
    ]
)
LABELS = np.array([0, 1, 0, 0, 2])


def test_hits_by_hand() -> None:
    np.testing.assert_array_equal(hits(SCORES, LABELS, 1), [True, False, False, False, True])
    np.testing.assert_array_equal(hits(SCORES, LABELS, 2), [True, True, True, False, True])
    assert hits(SCORES, LABELS, 3).all()


def test_among_equal_scores_the_first_class_wins() -> None:
    scores = np.zeros((3, 3))
    np.testing.assert_array_equal(predictions(scores), [0, 0, 0])
    np.testing.assert_array_equal(hits(scores, np.array([0, 1, 2]), 1), [True, False, False])
    np.testing.assert_array_equal(hits(scores, np.array([0, 1, 2]), 2), [True, True, False])


@pytest.mark.parametrize(("classes", "k"), [(3, 1), (6, 5), (174, 5)])
def test_hits_agree_with_scikit_learn(classes: int, k: int) -> None:
    rng = np.random.default_rng(classes)
    scores, labels = rng.normal(size=(500, classes)), rng.integers(classes, size=500)
    expected = top_k_accuracy_score(labels, scores, k=k, labels=np.arange(classes))
    assert hits(scores, labels, k).mean() == pytest.approx(expected)


@pytest.mark.parametrize("classes", [3, 10])
def test_ties_agree_with_scikit_learn_in_mirrored_class_order(classes: int) -> None:
    rng = np.random.default_rng(0)
    scores, labels = rng.integers(3, size=(400, classes)), rng.integers(classes, size=400)
    expected = top_k_accuracy_score(classes - 1 - labels, scores[:, ::-1], k=2, labels=np.arange(classes))
    assert hits(scores, labels, 2).mean() == pytest.approx(expected)


def test_accuracies_by_hand() -> None:
    assert hits(SCORES, LABELS, 1).mean() == pytest.approx(2 / 5)
    assert mean_class_accuracy(SCORES, LABELS) == pytest.approx((1 / 3 + 0 + 1) / 3)


def test_mean_class_accuracy_is_over_the_classes_that_occur() -> None:
    # both of class 0, the second taken for class 2
    assert mean_class_accuracy(SCORES[[0, 3]], LABELS[[0, 3]]) == pytest.approx(1 / 2)
    assert mean_class_accuracy(np.array([[0.0, 1.0]]), np.array([1])) == 1.0


@pytest.mark.parametrize("classes", [2, 7, 50])
def test_class_mean_and_confusion_agree_with_scikit_learn(classes: int) -> None:
    rng = np.random.default_rng(classes)
    scores, labels = rng.normal(size=(60, classes)), rng.integers(classes, size=60)
    said = scores.argmax(axis=1)
    recall = recall_score(labels, said, labels=np.unique(labels), average="macro", zero_division=0)
    assert mean_class_accuracy(scores, labels) == pytest.approx(recall)
    np.testing.assert_array_equal(confusion(scores, labels), confusion_matrix(labels, said, labels=np.arange(classes)))


def test_confusion_by_hand() -> None:
    np.testing.assert_array_equal(confusion(SCORES, LABELS), [[1, 1, 1], [1, 0, 0], [0, 0, 1]])
    assert confusion(SCORES[:1], LABELS[:1]).shape == (3, 3)


def test_mean_average_precision_by_hand() -> None:
    scores = np.array([[0.9, 0.1, 0.0], [0.8, 0.2, 0.0], [0.7, 0.3, 0.0]])
    labels = np.array([[1, 0, 0], [0, 1, 0], [1, 0, 0]], np.uint8)
    # class 0: positives at ranks 1 and 3: (1/1 + 2/3) / 2; class 1: at rank 2: 1/2; class 2: no positive, left out
    assert mean_average_precision(scores, labels) == pytest.approx(((1 + 2 / 3) / 2 + 1 / 2) / 2)


def test_mean_average_precision_of_one_and_of_no_present_class() -> None:
    scores, labels = np.array([[0.1, 0.5], [0.2, 0.4]]), np.array([[0, 1], [0, 0]], np.uint8)
    assert mean_average_precision(scores, labels) == 1.0
    assert np.isnan(mean_average_precision(scores, np.zeros_like(labels)))
