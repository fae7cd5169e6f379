"""Pictures of a training: every panel that has something to show, from one point to thousands."""

from __future__ import annotations

import math

import numpy as np
import pytest
from report.picture_checks import has_blank_edge, inches, same, share_of

pytest.importorskip("matplotlib")

from hf_ext.report import curves
from hf_ext.report.curves import draw_learning_curves, draw_perplexity
from hf_ext.report.history import History
from hf_ext.report.house_style import house_style, render, save_picture
from hf_ext.report.reliability_diagram import draw_reliability


def log_of(steps: int, *, groups: int = 1, evaluated: tuple[int, ...] = ()) -> History:
    log: list[dict[str, float]] = []
    for step in range(1, steps + 1):
        entry = {"step": step, "loss": 1 + 1 / step, "learning_rate": 1e-3 * (steps - step)}
        if groups > 1:
            entry |= {f"learning_rate/layer {i}": 1e-3 * 0.5**i * (steps - step) for i in range(groups)}
        log.append(entry)
        if step in evaluated:
            log.append({"step": step, "eval_loss": 1 + 2 / step, "eval_f1": 1 - 1 / step, "eval_perplexity": 3.0})
    return History(log)


def test_there_is_a_panel_for_each_kind_of_figure():
    heights = [
        inches(draw_learning_curves(history, ["f1"]))[1]
        for history in (log_of(1), log_of(3), log_of(3, evaluated=(3,)))
    ]
    assert heights[0] < heights[1] < heights[2]


@pytest.mark.parametrize("groups", [1, 3, 30])
def test_thousands_of_logs_and_many_rates_fit(groups):
    picture = draw_learning_curves(log_of(2000 // groups, groups=groups, evaluated=(50,)), ["f1"])
    assert has_blank_edge(picture[:, 2:-2]) or has_blank_edge(picture)
    assert share_of(picture, "ink") > 0.02


def test_a_metric_that_was_not_logged_takes_no_room():
    history = log_of(3, evaluated=(3,))
    assert same(draw_learning_curves(history, ["f1"]), draw_learning_curves(history, ["accuracy", "f1", "loss"]))


def test_the_users_settings_of_matplotlib_neither_count_nor_change():
    import matplotlib

    history = log_of(3)
    before = draw_learning_curves(history, [])
    with matplotlib.rc_context({"figure.dpi": 10, "lines.linewidth": 9}):
        assert same(draw_learning_curves(history, []), before)
        with house_style(["serif"]):
            pass
        assert matplotlib.rcParams["lines.linewidth"] == 9


def test_perplexity_is_drawn_also_where_it_is_huge_or_single():
    huge = History([{"step": 1, "loss": 2000.0}, {"step": 1, "eval_perplexity": math.inf}, {"step": 2, "loss": 1.0}])
    for history in (log_of(3, evaluated=(2, 3)), log_of(1, evaluated=(1,)), huge):
        assert share_of(draw_perplexity(history), "ink") > 0.01


def test_a_reliability_diagram_is_drawn_also_of_one_bin():
    counts = np.zeros(15, dtype=int)
    counts[14] = 9
    picture = draw_reliability(counts, counts / 9 * 0.98, counts / 9, 0.02)
    assert share_of(picture, "blue") > 0.005


def test_a_picture_is_a_png_and_replaces_the_old_one_whole(tmp_path):
    from PIL import Image

    picture = np.zeros((4, 6, 3), dtype=np.uint8)
    path = save_picture(picture, tmp_path / "a.png")
    save_picture(picture + 9, path)
    with Image.open(path) as image:
        assert (image.format, image.size) == ("PNG", (6, 4))
        assert np.asarray(image).max() == 9
    assert [file.name for file in tmp_path.iterdir()] == ["a.png"]


def test_the_axis_reaches_the_last_step_of_any_panel(monkeypatch):
    seen = []
    monkeypatch.setattr(curves, "render", lambda figure: seen.append(figure) or render(figure))
    log = [{"step": step, "loss": 1.0, "learning_rate": 0.1} for step in (500, 1000)]
    log += [{"step": step, "eval_loss": 1.0, "eval_f1": 0.5} for step in (435, 870, 1305)]
    draw_learning_curves(History(log), ["f1"])
    assert len(seen[0].axes) == 3
    for axes in seen[0].axes:
        assert axes.get_xlim() == (0, pytest.approx(1305 * 1.02))
