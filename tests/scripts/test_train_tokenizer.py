"""train_tokenizer.py from flags to folder: every kind, retraining, merging, the report, and mistakes in one line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from scripts.support import ROOT, read_json, run_main, run_script
from tokenization.corpus_texts import chinese_lines, english_lines
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from hf_ext.errors import UserError
from hf_ext.tokenization.extension import add_tokens
from hf_ext.tokenization.kinds import KINDS
from hf_ext.tokenization.token_list import read_token_list

SCRIPT = "train_tokenizer.py"
FIGURES = {"coverage", "unknown_rate", "tokens_per_word", "tokens_per_character", "bytes_per_token", "round_trip"}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("corpus") / "corpus.txt"
    path.write_text("\n".join(english_lines() + chinese_lines()), encoding="utf-8")
    return path


def run(corpus, folder, *flags, size: int = 300) -> dict:
    return run_main(
        *("--train_file", corpus, "--output_dir", folder, "--vocab_size", size, "--segmenter", "none"),
        *("--validation_split_percentage", 10, *flags),
        script=SCRIPT,
    )


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_leaves_a_tokenizer_and_a_report(kind, corpus, tmp_path, capsys):
    report = run(corpus, tmp_path / "out", "--kind", kind, "--character_coverage", 1)
    loaded = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert len(loaded) == report["new"]["vocab_size"] <= 300
    assert read_json(tmp_path / "out" / "tokenizer_report.json") == report
    assert set(report["new"]) >= FIGURES
    assert report["new"]["coverage"] == report["new"]["round_trip"] == 1.0
    assert 0 < report["new"]["lines"] < 200
    assert report["corpus"]["lines"] + report["new"]["lines"] == len(english_lines() + chinese_lines())
    table = capsys.readouterr().out
    assert "round_trip" in table
    assert str(tmp_path / "out") in table


def test_a_reference_stands_beside_the_new_one(corpus, tmp_path):
    run(corpus, tmp_path / "first", "--kind", "character")
    report = run(corpus, tmp_path / "out", "--kind", "bpe", "--reference_tokenizer", tmp_path / "first")
    assert report["reference"]["bytes_per_token"] < report["new"]["bytes_per_token"]
    assert report["reference"]["lines"] == report["new"]["lines"]


def test_a_tokenizer_is_learned_anew_with_its_settings(corpus, tmp_path):
    run(corpus, tmp_path / "first", "--do_lower_case", "--digits_apart", "--template_single", "$A [SEP]")
    run(corpus, tmp_path / "out", "--from_tokenizer", tmp_path / "first", size=200)
    loaded = AutoTokenizer.from_pretrained(tmp_path / "out")
    assert len(loaded) <= 200
    assert loaded.tokenize("12") == ["1", "2"]
    assert loaded("THE")["input_ids"] == loaded.convert_tokens_to_ids(["the", "[SEP]"])


@pytest.mark.parametrize("kind", ["wordpiece", "byte_bpe", "unigram"])
def test_a_merged_vocabulary_can_be_added_again_to_the_old_tokenizer(kind, corpus, tmp_path):
    other = tmp_path / "other.txt"
    other.write_text("\n".join(f"zebras zigzag number {i}, zebra fizz" for i in range(200)), encoding="utf-8")
    run(corpus, tmp_path / "old", "--kind", kind)
    report = run(other, tmp_path / "merged", "--merge_into", tmp_path / "old", size=290)
    old, merged = (AutoTokenizer.from_pretrained(tmp_path / name) for name in ("old", "merged"))
    assert len(merged) > len(old)
    assert report["new"]["unknown_rate"] == 0.0
    if report["reference"]["unknown_rate"] == 0.0:  # an unknown word is a short sequence, too
        assert report["new"]["tokens"] < report["reference"]["tokens"]
    pieces = add_tokens(old, read_token_list(tmp_path / "merged" / "merged_tokens.json"))
    assert pieces
    assert old.get_vocab() == merged.get_vocab()
    assert old("zebra zigzag")["input_ids"] == merged("zebra zigzag")["input_ids"]


def test_the_same_command_gives_the_same_tokenizer(corpus, tmp_path):
    for name in ("first", "second"):
        run(corpus, tmp_path / name, "--max_lines", 100, "--count_budget", 800, "--kind", "bpe")
    first, second = ((tmp_path / name / "tokenizer.json").read_text(encoding="utf-8") for name in ("first", "second"))
    assert first == second


@pytest.mark.slow
def test_a_segmenter_gives_tokens_of_whole_words(tmp_path):
    pytest.importorskip("rjieba")
    path = tmp_path / "zh.txt"
    path.write_text("\n".join(chinese_lines()), encoding="utf-8")
    flags = ("--kind", "bpe", "--segmenter", "rjieba")
    run_main("--train_file", path, "--output_dir", tmp_path / "out", "--vocab_size", 60, *flags, script=SCRIPT)
    assert {"我们", "贷款", "病毒"} <= set(AutoTokenizer.from_pretrained(tmp_path / "out").get_vocab())


# --- mistakes --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        (("--kind", "wordpeice"), "--kind wordpeice: there is no such kind – did you mean 'wordpiece'"),
        (("--vocab_size", 12), "smaller than the alphabet"),
        (("--text_column_name", "x", "--train_file", "t.csv"), "no column 'x' among: a, b"),
        (("--train_file", "nothing.txt"), r"nothing\.txt: no such file"),
        (("--train_file", "empty.txt"), r"empty\.txt: no text"),
        (("--train_file", "binary.txt"), r"binary\.txt:1: byte \d+ is not"),
        (("--segmenter", "jeiba"), "there is no such segmenter – did you mean 'jieba'"),
        (("--from_tokenizer", "nowhere"), "no tokenizer can be loaded from 'nowhere'"),
        (("--template_single", "[CLS]"), r"has no \$A"),
        (("--cls_token", "[SEP]"), "special tokens must differ"),
        (("--normalization", "nfkcc"), "did you mean 'nfkc'"),
        (("--from_tokenizer", "a", "--merge_into", "b"), "leave out --from_tokenizer"),
        (("--reference_tokenizer", "nowhere", "--train_file", "nothing.txt"), "check --reference_tokenizer"),
        (("--dataset_name", "one/set"), "--dataset_name and --train_file both name the text"),
        (("--seed", -1), "--seed must be from 0"),
        (("--vocab_size", 10**20), "--vocab_size is at most 10,000,000"),
        (("--count_budget", 1), "--count_budget 1 has no room for words – raise it"),
        (("--mask_token", ""), "a special token is written without blanks, got ''"),
        (("--additional_special_tokens", "[A],the b"), "without blanks, got 'the b'"),
        (("--output_dir", "/proc/nowhere"), "/proc/nowhere: cannot be made"),
    ],
)
def test_a_mistake_is_answered_in_one_line(flags, message, corpus, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("t.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    Path("empty.txt").write_text("\n", encoding="utf-8")
    Path("binary.txt").write_bytes(bytes(range(128, 256)) * 9)
    with pytest.raises(UserError, match=message) as caught:
        run(corpus, tmp_path / "out", *flags)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "tokenizer.json").exists()


def test_a_folder_with_something_in_it_needs_leave(corpus, tmp_path):
    (tmp_path / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(UserError, match=r"not empty .* --overwrite_output_dir"):
        run(corpus, tmp_path)
    run(corpus, tmp_path, "--overwrite_output_dir")
    assert (tmp_path / "notes.txt").read_text(encoding="utf-8") == "mine"


@pytest.mark.parametrize("error", [Exception("No space left on device (os error 28)"), OSError(28, "No space left")])
def test_a_full_disk_is_answered_in_one_line(error, corpus, tmp_path, monkeypatch):
    def save(*_: object) -> None:
        raise error

    monkeypatch.setattr(PreTrainedTokenizerFast, "save_pretrained", save)
    with pytest.raises(UserError, match=r"out: the tokenizer cannot be written .*No space left.* – make room"):
        run(corpus, tmp_path / "out", "--kind", "word")


@pytest.mark.slow
def test_without_text_the_script_says_so_in_one_line(tmp_path):
    done = run_script("--kind", "bpe", cwd=tmp_path, script=SCRIPT)
    assert done.returncode == 2
    assert done.stderr.strip().splitlines()[-1].startswith("hf_ext: error: arguments: there is no text to learn from")


def test_a_missing_package_is_named(corpus, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "sentencepiece", None)
    with pytest.raises(UserError, match="sentencepiece, which is not installed"):
        run(corpus, tmp_path / "out", "--kind", "unigram")
    monkeypatch.setitem(sys.modules, "jieba", None)
    with pytest.raises(UserError, match="jieba, which is not installed"):
        run(corpus, tmp_path / "out", "--kind", "bpe", "--segmenter", "jieba")


# --- memory ----------------------------------------------------------------------------------------------------------

GROWTH = """
import json, resource, sys
from hf_ext.cli.tokenizer_building import count_words, request_vocabulary
from hf_ext.data.text_lines import TextLines, TextLinesArguments
from hf_ext.tokenization.arguments import TokenizerArguments
from hf_ext.tokenization.blueprint import Blueprint

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3

for path in sys.argv[1:]:
    args = TokenizerArguments(kind="bpe", vocab_size=4000, segmenter="none", count_budget=60_000)
    blueprint = Blueprint.from_arguments(args)
    counts = count_words(TextLines(TextLinesArguments(train_file=path)), blueprint, args)
    blueprint.learn(counts, request_vocabulary(blueprint, args))
    print(json.dumps([peak(), counts.rate]))
"""


@pytest.mark.slow
def test_eight_times_the_text_takes_no_more_memory(tmp_path):
    import random

    drawn = random.Random(0)
    small, large = tmp_path / "small.txt", tmp_path / "large.txt"
    letters = [chr(0x4E00 + i) for i in range(1500)]
    made = ["".join(drawn.choices(letters, k=60)) for _ in range(12_000)]  # 2 MB of Chinese without repeats
    small.write_text("\n".join(made[:1500]), encoding="utf-8")
    large.write_text("\n".join(made), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", GROWTH, str(small), str(large)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
        timeout=240,
    )
    (first, first_rate), (second, second_rate) = map(json.loads, done.stdout.splitlines())
    assert second_rate <= first_rate / 4
    assert second - first < 8  # MB


# --- examples --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("tokenizer_*.yaml")), ids=lambda path: path.stem)
def test_the_example_runs(path, corpus, tmp_path):
    settings = yaml.safe_load(path.read_text(encoding="utf-8"))
    flags: list = ["--train_file", corpus]
    if "merge_into" in settings:
        run(corpus, tmp_path / "old", "--kind", "wordpiece", size=150)
        flags += ["--merge_into", tmp_path / "old"]
    run_main(path, *flags, "--output_dir", tmp_path / "out", script=SCRIPT)
    assert AutoTokenizer.from_pretrained(tmp_path / "out").is_fast
