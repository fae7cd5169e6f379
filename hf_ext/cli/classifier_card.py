"""What the card of a classifier says."""

from __future__ import annotations

from transformers import PreTrainedModel

from hf_ext.cli.card_texts import (
    EXAMPLES,
    describe_weakness,
    is_stock,
    show_predictor,
    show_script,
    show_stock_pipeline,
)
from hf_ext.cli.explaining import TaskFacts, guess_language
from hf_ext.data.classification import ClassificationData
from hf_ext.evaluation.decision_rule import USUAL, DecisionRule
from hf_ext.evaluation.label_reports import JudgedRows
from hf_ext.models.schema import MULTI_LABEL, REGRESSION, SINGLE_LABEL, TaskSchema
from hf_ext.report.model_card import CardTable

PURPOSES = {
    SINGLE_LABEL: "Gives {text} one of {labels} labels.",
    MULTI_LABEL: "Gives {text} any number of {labels} labels.",
    REGRESSION: "Gives {text} a number.",
}
SHOWN = ("label", "precision", "recall", "f1", "rows")


def describe_classifier(
    model: PreTrainedModel, data: ClassificationData, folder: str, *, judged: JudgedRows | None, split: str
) -> TaskFacts:
    """Say what the card needs to know of a classifier.

    Args:
        model: The model, without wrappers.
        data: What it was trained on.
        folder: The model as a reader of the card would name it.
        judged: Rows with labels and answers, if there are any.
        split: Where these come from.
    """
    schema = data.schema
    purpose = PURPOSES[schema.labels.problem_type].format(text=_name_input(schema), labels=schema.labels.num_labels)
    language = guess_language(data.training_texts())
    example = None if schema.text.pair_column or schema.columns or schema.text.columns_as_text else EXAMPLES[language]
    usage = ""
    if example is not None:
        ruled = DecisionRule.from_config(model.config) != USUAL  # which transformers' own pipeline does not read
        show = show_stock_pipeline if is_stock(model) and not ruled else show_predictor
        usage = show("text-classification", folder, example)
    return TaskFacts(
        purpose,
        labels=schema.labels.names,
        tables=_tables(judged, split),
        limits=_limits(judged, split),
        usage=usage,
        command=show_script("run_classification.py", folder),
        example=example,
        language=language,
    )


def _name_input(schema: TaskSchema) -> str:
    text = "a pair of texts" if schema.text.pair_column else "a text"
    columns = [column.name for column in schema.columns.categorical]
    columns += [column.name for column in schema.columns.numeric]
    columns += schema.text.columns_as_text
    return f"{text} with {', '.join(f'`{name}`' for name in columns)}" if columns else text


def _tables(judged: JudgedRows | None, split: str) -> dict[str, CardTable]:
    if judged is None or judged.labels.problem_type == REGRESSION:
        return {}
    rows = [[figures[name] for name in SHOWN] for figures in judged.label_figures()]
    return {f"By label ({split} rows)": CardTable(SHOWN, rows)}


def _limits(judged: JudgedRows | None, split: str) -> list[str]:
    if judged is None or judged.labels.problem_type == REGRESSION:
        return []
    error = judged.calibration().expected_error
    weak = describe_weakness({row["label"]: row["f1"] for row in judged.label_figures() if row["rows"]})
    return [*weak, f"Expected calibration error of its probabilities: {error:.3f} ({split} rows)."]
