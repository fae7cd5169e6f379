"""Pictures of a run: drawn into its folder and sent to where it is tracked; never the reason why a run fails."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from pathlib import Path

from transformers import Trainer

from hf_ext.cli.tracking import send_picture
from hf_ext.evaluation.label_reports import JudgedRows
from hf_ext.models.schema import REGRESSION, SINGLE_LABEL
from hf_ext.report.fonts import PACKAGE
from hf_ext.report.history import History
from hf_ext.report.house_style import Picture, has_matplotlib, save_picture

logger = logging.getLogger(__name__)

CURVES, CONFUSION = "learning_curves.png", "confusion_matrix.png"
CALIBRATION, PERPLEXITY = "calibration.png", "perplexity.png"


class Pictures:
    """Draw the pictures of a run.

    Args:
        trainer: Of the run; what it has logged is drawn, and its trackers get the confusion matrix.
        folder: Output folder.
    """

    def __init__(self, trainer: Trainer, folder: Path) -> None:
        self.trainer = trainer
        self.folder = folder
        self.files: dict[str, Path] = {}
        self.can_draw = has_matplotlib()
        if not self.can_draw:
            logger.info("No pictures without matplotlib: pip install hf_ext[plots] brings it.")

    def draw_training(self, metrics: Sequence[str]) -> None:
        """Draw losses, metrics and learning rates, if the run has trained.

        Args:
            metrics: Names of metrics without prefix, the most important first.
        """
        history = History(self.trainer.state.log_history)
        if self.can_draw and history:
            from hf_ext.report.curves import draw_learning_curves

            self._draw(CURVES, lambda: draw_learning_curves(history, metrics))

    def draw_perplexity(self, loss: str) -> None:
        """Draw the perplexity of a pretraining.

        Args:
            loss: Name of the loss of masked words in the log.
        """
        history = History(self.trainer.state.log_history)
        if self.can_draw and history:
            from hf_ext.report.curves import draw_perplexity

            self._draw(PERPLEXITY, lambda: draw_perplexity(history, loss))

    def draw_answers(self, judged: JudgedRows) -> None:
        """Draw confusion matrix and calibration of a classifier, as far as its task has them."""
        if not self.can_draw or not len(judged) or judged.labels.problem_type == REGRESSION:
            return
        if judged.labels.problem_type == SINGLE_LABEL:
            picture = self._draw(CONFUSION, lambda: self._confusion(judged))
            if picture is not None:
                send_picture(self.trainer, "confusion_matrix", picture, file=self.files[CONFUSION])
        self._draw(CALIBRATION, lambda: _calibration(judged))

    def _confusion(self, judged: JudgedRows) -> Picture:
        from hf_ext.report.confusion_matrix import draw_confusion_matrix

        picture, missing = draw_confusion_matrix(judged.confusion(), judged.labels.names)
        if missing:
            logger.info("No font has %s: labels are numbered in %s; install %s.", missing[:5], CONFUSION, PACKAGE)
        return picture

    def _draw(self, name: str, make: Callable[[], Picture]) -> Picture | None:
        try:
            picture = make()
            self.files[name] = save_picture(picture, self.folder / name)
        except Exception as error:  # whatever a font or a library does: the model is worth more than its picture
            logger.warning("%s could not be drawn (%s: %s).", name, type(error).__name__, error)
            return None
        return picture


def _calibration(judged: JudgedRows) -> Picture:
    from hf_ext.report.reliability_diagram import draw_reliability

    measured = judged.calibration()
    return draw_reliability(*measured, measured.expected_error)
