"""The web page to try a model: a field for each column that it reads, its answer as bars or coloured entities."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from hf_ext.inference.predictor import Predictor
from hf_ext.inference.row_classifier import RowClassifier
from hf_ext.inference.sentence_tagger import SentenceTagger
from hf_ext.models.schema import MULTI_LABEL, REGRESSION
from hf_ext.models.tag_schemes import OUTSIDE, split_tag

# Okabe and Ito (2008), told apart by colour-blind eyes too; text on them stays readable
COLOURS = ("#56B4E9", "#E69F00", "#009E73", "#F0E442", "#CC79A7", "#0072B2", "#D55E00")
MOST_BARS = 10
ENTITY_COLUMNS = ("type", "text", "start", "end", "confidence")


def build_page(predictor: Predictor, name: str) -> Any:
    """Build the page, a ``gradio.Blocks`` that is not started yet.

    Args:
        predictor: The model.
        name: What the page is called.
    """
    os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")  # or gradio would report to its makers
    import gradio

    task = predictor.task
    with gradio.Blocks(title=f"{name} – hf_ext", analytics_enabled=False) as page:
        gradio.Markdown(f"# {name}")
        with gradio.Row():
            with gradio.Column():
                fields = _text_field() if isinstance(task, SentenceTagger) else _fields(task)
                button = gradio.Button("Answer", variant="primary", elem_id="answer")
            with gradio.Column():
                outputs = _tag_outputs(task) if isinstance(task, SentenceTagger) else _label_outputs(task)
        answer = _showing_errors(tag_answers(predictor) if predictor.tags_words else label_answers(predictor))
        for start in (button.click, *(field.submit for field in fields if hasattr(field, "submit"))):
            start(answer, fields, outputs)
    return page


def label_answers(predictor: Predictor) -> Callable[..., list[Any]]:
    """Give what turns the cells of the fields into what the page shows of a classifier."""
    columns, problem_type = predictor.task.columns, predictor.task.schema.labels.problem_type  # type: ignore[union-attr]

    def answer(*cells: Any) -> list[Any]:
        found = predictor(dict(zip(columns, cells, strict=True)))
        if problem_type == REGRESSION:
            return [found["prediction"]]
        chosen = found["prediction"]
        shown = (", ".join(chosen) or "none") if problem_type == MULTI_LABEL else chosen
        return [shown, found["probabilities"]]

    return answer


def tag_answers(predictor: Predictor) -> Callable[[str], list[Any]]:
    """Give what turns a text into what the page shows of a tagger."""

    def answer(text: str) -> list[Any]:
        found = predictor(text)
        spans = [{"entity": e["type"] or "entity", "start": e["start"], "end": e["end"]} for e in found["entities"]]
        rows = [[e[name] for name in ENTITY_COLUMNS[:-1]] + [round(e["confidence"], 4)] for e in found["entities"]]
        label = {found["sentence_label"]: found["sentence_probability"]} if found.get("sentence_label") else {}
        sentence = [label] if "sentence_label" in found else []
        return [{"text": found["text"], "entities": spans}, *sentence, rows]

    return answer


def entity_colours(task: SentenceTagger) -> dict[str, str]:
    """Give each type of entity a colour."""
    tags = (tag for tag in task.schema.tags if tag != OUTSIDE)
    types = dict.fromkeys(split_tag(tag, task.schema.scheme)[1] or "entity" for tag in tags)
    return {name: COLOURS[i % len(COLOURS)] for i, name in enumerate(types)}


def _showing_errors(answer: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
    """Show a mistake in a field on the page."""
    import gradio

    def show(*cells: Any) -> list[Any]:
        try:
            return answer(*cells)
        except ValueError as error:
            raise gradio.Error(str(error), print_exception=False) from error

    return show


def _text_field() -> list[Any]:
    import gradio

    return [gradio.Textbox(label="text", lines=4, elem_id="text")]


def _fields(task: RowClassifier) -> list[Any]:
    import gradio

    table = task.schema.columns
    categories = {column.name: list(column.categories) for column in table.categorical}
    numbers = {column.name for column in table.numeric}
    fields: list[Any] = []
    for name in task.columns:
        if name in categories:
            fields.append(gradio.Dropdown(categories[name], label=name, allow_custom_value=True))
        elif name in numbers:
            # a text field: one for numbers would show, and send, 0 where the cell is empty
            fields.append(gradio.Textbox(label=name, max_lines=1, placeholder="a number; nothing if it is missing"))
        else:
            fields.append(gradio.Textbox(label=name, lines=3, elem_id=name))
    return fields


def _label_outputs(task: RowClassifier) -> list[Any]:
    import gradio

    labels = task.schema.labels
    if labels.problem_type == REGRESSION:
        return [gradio.Number(label="prediction", elem_id="prediction")]
    bars = min(labels.num_labels, MOST_BARS)
    return [
        gradio.Textbox(label="prediction", elem_id="prediction"),
        gradio.Label(label="probabilities", num_top_classes=bars, show_heading=False, elem_id="probabilities"),
    ]


def _tag_outputs(task: SentenceTagger) -> list[Any]:
    import gradio

    colours = entity_colours(task)
    shown: list[Any] = [
        gradio.HighlightedText(label="entities", color_map=colours, show_legend=True, elem_id="entities")
    ]
    if task.schema.sentence_labels:
        shown.append(gradio.Label(label="sentence", elem_id="sentence"))
    return [*shown, gradio.Dataframe(headers=list(ENTITY_COLUMNS), label="the probability of each as a whole")]
