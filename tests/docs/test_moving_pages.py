"""The pages on moving here: every official flag has a row, snippets and commands run, and the faults are real."""

from __future__ import annotations

import re
from itertools import product

import pytest
import torch
from docs.page_commands import ROOT, read_command, run_small, shell_lines, write_files
from torchcrf import CRF
from transformers import BertConfig, BertForSequenceClassification

from hf_ext import LinearChainCRF

OFFICIAL = (ROOT / "docs" / "moving_from_the_official_scripts.md").read_text(encoding="utf-8")
SNIPPETS = (ROOT / "docs" / "moving_from_snippets.md").read_text(encoding="utf-8")
COMMANDS = [*shell_lines(OFFICIAL), *shell_lines(SNIPPETS)]
GUIDES = {
    "run_classification.py": "run_classification.md",
    "run_ner.py": "run_ner.md",
    "run_mlm.py": "run_continue_pretrain.md",
}
FLAG_ROW = re.compile(r"^\| `--(\w+)` \|", re.MULTILINE)


def flags_of(text: str) -> list[str]:
    return FLAG_ROW.findall(text)


# --- flags -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("script", ["run_ner.py", "run_mlm.py"])
def test_the_flags_are_those_that_the_guide_calls_official(script):
    guide = (ROOT / "docs" / GUIDES[script]).read_text(encoding="utf-8")
    tables = re.findall(r"^From the official script:\n\n(.*?)\n\n", guide, re.MULTILINE | re.DOTALL)
    section = OFFICIAL.partition(f"## Flag by flag: {script}\n")[2].partition("\n## ")[0]
    official = [flag for table in tables for flag in flags_of(table)]
    assert len(official) > 20
    ours = {"text_column_name"} if script == "run_mlm.py" else set()
    assert set(flags_of(section)) - ours == set(official) - ours


def test_the_flags_of_classification_are_in_its_guide():
    section = OFFICIAL.partition("## Flag by flag: run_classification.py\n")[2].partition("\n## ")[0]
    guide = (ROOT / "docs" / "run_classification.md").read_text(encoding="utf-8")
    flags = flags_of(section)
    assert len(flags) == len(set(flags)) > 30
    assert set(flags) <= set(flags_of(guide))
    first = re.search(r"^From the official script:\n\n(.*?)\n\n", guide, re.MULTILINE | re.DOTALL)
    assert set(flags_of(first[1])) - {"dtype"} <= set(flags)


# --- what a reader copies --------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("number", range(len(COMMANDS)))
def test_the_command_runs_on_a_few_rows(number, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_files(tmp_path)
    name, words = read_command(COMMANDS[number])
    run_small(name, words)
    assert (tmp_path / words[words.index("--output_dir") + 1] / "model.safetensors").is_file()


def blocks() -> list[str]:
    return re.findall(r"```python\n(.*?)```", SNIPPETS, re.DOTALL)


def test_the_line_for_fgm_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sizes = {"hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 1, "intermediate_size": 8}
    model = BertForSequenceClassification(BertConfig(vocab_size=20, **sizes))
    names = {"model": model, "rows": [{"input_ids": [1 + i, 2, 3], "labels": i % 2} for i in range(8)]}
    exec(blocks()[0].replace('"fgm")', '"fgm", max_steps=1, use_cpu=True, disable_tqdm=True)'), names)
    assert names["trainer"].adversarial is not None
    assert names["trainer"].state.global_step == 1


def test_the_lines_for_a_crf_run():
    torch.manual_seed(0)
    emissions, labels = torch.randn(2, 4, 3), torch.tensor([[0, 1, -100, 2], [1, 1, -100, -100]])
    names = {"num_tags": 3, "emissions": emissions, "labels": labels, "mask": labels >= 0}
    exec(blocks()[1], names)
    assert names["loss"] > 0
    assert torch.equal(names["tags"] >= 0, labels >= 0)


# --- the faults ------------------------------------------------------------------------------------------------------


@pytest.fixture
def both_crfs():
    """Give torchcrf's CRF and ours with the same large transitions, and emissions of four words."""
    torch.manual_seed(0)
    theirs = CRF(3, batch_first=True)
    with torch.no_grad():
        for parameter in theirs.parameters():
            parameter.normal_()
    emissions = torch.randn(1, 4, 3)
    ours = LinearChainCRF(3, batch_first=True)
    ours.load_state_dict(theirs.state_dict())
    return theirs, ours, emissions


@pytest.mark.filterwarnings("ignore:where received a uint8")
def test_a_mask_with_a_hole_makes_the_package_count_wrong(both_crfs):
    *crfs, emissions = both_crfs
    mask = torch.tensor([[True, True, False, True]])
    sums = [
        sum(
            crf(emissions, torch.tensor([[first, second, 0, third]]), mask=mask).exp().item()
            for first, second, third in product(range(3), repeat=3)
        )
        for crf in crfs
    ]
    assert sums == [pytest.approx(1.72, abs=0.005), pytest.approx(1.0, abs=1e-5)]
    assert "sum to 1.72" in SNIPPETS


def test_the_package_refuses_what_the_page_says(both_crfs):
    theirs, _, emissions = both_crfs
    with pytest.raises(IndexError):
        theirs(emissions, torch.tensor([[0, 0, -100, 0]]), mask=torch.tensor([[True, True, False, True]]))
    with pytest.raises(ValueError, match="first timestep"):
        theirs(emissions, torch.zeros(1, 4, dtype=torch.long), mask=torch.tensor([[False, True, True, True]]))


@pytest.mark.filterwarnings("ignore:where received a uint8")
def test_half_precision_changes_the_likelihood_of_the_package_by_thousands():
    torch.manual_seed(0)
    emissions, tags = 3 * torch.randn(32, 256, 31), torch.randint(31, (32, 256))
    torch.manual_seed(0)
    theirs = CRF(31, batch_first=True)
    ours = LinearChainCRF(31, batch_first=True)
    ours.load_state_dict(theirs.state_dict())
    with torch.no_grad():
        right = ours(emissions, tags).item()
        found = theirs.bfloat16()(emissions.bfloat16(), tags).item()
    assert f"instead of {right:,.0f}" in SNIPPETS
    assert abs(found - right) > 1000
