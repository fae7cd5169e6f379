"""Broken files and contradicting flags, for every task: status 2, one line with the place and the remedy, no model.

Each case goes through the command of the checks, which reads arguments and data as the scripts do; ``tests/scripts``
sends some of them through the scripts themselves, alone and under ``torchrun``.
"""

from __future__ import annotations

import gzip
import json
import logging

import pytest
from transformers import AutoTokenizer

from hf_ext.cli.checking import main
from hf_ext.cli.running import run_script

TRAIN = "text,label\nfine,good\nbad,poor\nlovely,good\nawful,poor\n"
LABELLED = "--train_file={0} --text_column_names=text --label_column_name=label"
CONLL = "EU B-ORG\nsays O\nno O\n\nPeter B-PER\nsaid O\nso O\n"
PARQUET = b"PAR1 and then nothing of the kind"

# task, file name, content, flags ({0} is the file, {1} the good one), what the line must hold; a number is a line
CASES = {
    "empty csv": ("classification", "a.csv", "", LABELLED, [": no rows", "empty"]),
    "header only": ("classification", "a.csv", "text,label\n", LABELLED, [": no rows"]),
    "empty json": ("classification", "a.json", "", LABELLED, [": no rows", "empty"]),
    "empty jsonl": ("classification", "a.jsonl", "\n\n", LABELLED, [": no rows"]),
    "empty array": ("classification", "a.json", "[]", LABELLED, ["a.json"]),
    "mixed encodings": ("classification", "a.csv", TRAIN.encode() + b"caf\xe9 \xff\xff,good\n", LABELLED, [6, "byte"]),
    "utf-16 cut off": ("classification", "a.csv", TRAIN.encode("utf-16")[:-1], LABELLED, ["UTF-16"]),
    "not gzip": ("classification", "a.csv.gz", TRAIN, LABELLED, ["cannot be read"]),
    "gzip cut off": ("classification", "a.csv.gz", gzip.compress(TRAIN.encode())[:-9], LABELLED, ["cannot be read"]),
    "semicolons": ("classification", "a.csv", TRAIN.replace(",", ";"), LABELLED, [1, "'text;label'", "--delimiter"]),
    "tabs in csv": ("classification", "a.csv", TRAIN.replace(",", "\t"), LABELLED, [1, "--delimiter tab"]),
    "missing column": (
        "classification",
        "a.csv",
        TRAIN.replace("label", "lable"),
        LABELLED,
        ["text, lable", "did you"],
    ),
    "one cell too many": ("classification", "a.csv", TRAIN + "well, then,good\n", LABELLED, [6, "3 cells"]),
    "one cell too few": ("classification", "a.csv", TRAIN + "alone\n", LABELLED, [6, "1 cells"]),
    "open quotation mark": ("classification", "a.csv", TRAIN + '"open,good\nx,poor\n', LABELLED, [6, "never closed"]),
    "text behind a quotation": ("classification", "a.csv", TRAIN + '"a" b,good\n', LABELLED, [6, "closing quotation"]),
    "column twice": ("classification", "a.csv", "text,label,text\na,b,c\n", LABELLED, [1, "'text'", "rename"]),
    "no label at all": ("classification", "a.csv", "text,label\na,\nb,\n", LABELLED, ["no row has a label"]),
    "one label": ("classification", "a.csv", "text,label\na,x\nb,x\n", LABELLED, ["every row has the label 'x'"]),
    "label only in validation": (
        "classification",
        "a.csv",
        "text,label\na,x\n",
        "--train_file={1} --validation_file={0}",
        [2, "'x'", "--unknown_labels ignore"],
    ),
    "label only in test": (
        "classification",
        "a.csv",
        "text,label\nnew,good\nnewer,-1\n",
        "--train_file={1} --test_file={0}",
        [3, "'-1'", "--unknown_labels ignore"],
    ),
    "number for a label name": (
        "classification",
        "a.csv",
        "text,label\na,7\n",
        "--train_file={1} --test_file={0}",
        [2, "'7'", "--label_file"],
    ),
    "nan target": ("classification", "a.csv", "text,label\na,1\nb,nan\n", LABELLED + " --do_regression", [3, "'nan'"]),
    "infinite target": ("classification", "a.csv", "text,label\na,1\nb,inf\n", LABELLED + " --task=regression", [3]),
    "word for a number": (
        "classification",
        "a.csv",
        "text,label,price\na,x,1\nb,y,dear\n",
        LABELLED + " --numeric_columns=price",
        [3, "'dear'", "'price'", "categorical"],
    ),
    "infinite number": (
        "classification",
        "a.csv",
        "text,label,price\na,x,1\nb,y,-inf\n",
        LABELLED + " --numeric_columns=price",
        [3, "'price'"],
    ),
    "column without a number": (
        "classification",
        "a.csv",
        "text,label,price\na,x,\nb,y,\n",
        LABELLED + " --numeric_columns=price",
        ["'price'", "--numeric_columns"],
    ),
    "half a json line": (
        "classification",
        "a.jsonl",
        '{"text": "a", "label": "x"}\n{"text": "b"',
        LABELLED,
        [2, "JSON"],
    ),
    "json with a comma too many": (
        "classification",
        "a.json",
        '[{"text": "a", "label": "x"},\n]',
        LABELLED,
        [2, "comma"],
    ),
    "json without rows": ("classification", "a.json", '{"version": 1}', LABELLED, ["no column 'text'", "version"]),
    "rows that are numbers": ("classification", "a.jsonl", "1\n2\n", LABELLED, [1, "not an object"]),
    "an object in a cell": (
        "classification",
        "a.jsonl",
        '{"text": {"a": 1}, "label": "x"}\n',
        LABELLED,
        [1, "an object"],
    ),
    "several labels": (
        "classification",
        "a.jsonl",
        '{"text": "a", "label": ["x"]}\n{"text": "b", "label": ["x", "y"]}\n',
        LABELLED + " --task=single_label",
        [2, "--task multi_label"],
    ),
    "broken parquet": ("classification", "a.parquet", PARQUET, LABELLED, ["not a parquet file"]),
    "unknown extension": ("classification", "a.xlsx", TRAIN, LABELLED, ["(.xlsx)", ".csv"]),
    "which is the text": (
        "classification",
        "a.csv",
        "a,b,c\n1,2,3\n",
        "--train_file={0}",
        ["a, b, c", "--text_column"],
    ),
    "label is an input": (
        "classification",
        "a.csv",
        TRAIN,
        "--train_file={0} --text_column_names=text,label --label_column_name=label",
        ["'label' is also an input"],
    ),
    "too few rows to split": (
        "classification",
        "a.csv",
        "text,label\na,x\nb,y\n",
        "--train_file={0} --validation_split=0.5",
        ["no row is left for validation"],
    ),
    "validation named twice": (
        "classification",
        "a.csv",
        TRAIN,
        "--train_file={0} --validation_file={1} --validation_split=0.5",
        ["--validation_split", "leave one"],
    ),
    "words and tags differ": (
        "ner",
        "a.jsonl",
        '{"tokens": ["a", "b"], "ner_tags": ["O", "O"]}\n{"tokens": ["a", "b"], "ner_tags": ["O"]}\n',
        "--train_file={0}",
        [2, "2", "1"],
    ),
    "a line without its tag": ("ner", "a.conll", CONLL + "\nEU B-ORG\nlost\n", "--train_file={0}", [10]),
    "mixed schemes": ("ner", "a.conll", "EU B-ORG\nUN S-ORG\nUS U-LOC\nsays O\n", "--train_file={0}", ["--scheme"]),
    "tags without names": ("ner", "a.conll", "EU 1\nsays 0\n", "--train_file={0}", ["numbers", "--label_file"]),
    "tag number too large": (
        "ner",
        "a.conll",
        "EU 1\nsays 0\nno 9\n",
        "--train_file={0} --label_file={2}",
        [3, "'9'", "--label_file"],
    ),
    "tag only in validation": (
        "ner",
        "a.conll",
        "EU B-ORG\n\nParis B-LOC\n",
        "--train_file={1} --validation_file={0}",
        [3, "'B-LOC'", "--unknown_labels ignore"],
    ),
    "one tag": ("ner", "a.conll", "a O\nb O\n", "--train_file={0}", ["'O'"]),
    "no sentence": ("ner", "a.conll", "\n\n-DOCSTART- O\n", "--train_file={0}", ["a.conll"]),
    "empty columns file": ("ner", "a.conll", "", "--train_file={0}", ["a.conll"]),
    "tags json cut off": ("ner", "a.json", '[{"tokens": ["a"], "ner_tags": ["O"]}', "--train_file={0}", [1, "JSON"]),
    "lines that do not match": ("ner", "seq.in", "a b\nc\n", "--train_file={3}", ["seq.out"]),
    "empty corpus": ("pretraining", "a.txt", "\n \n", "--train_file={0}", ["no text"]),
    "corpus of one document": (
        "pretraining",
        "a.txt",
        "only this\n",
        "--train_file={0} --document_boundary=line",
        [1, "--validation_file"],
    ),
    "corpus without a text column": (
        "pretraining",
        "a.jsonl",
        '{"x": 1, "y": 2}\n',
        "--train_file={0}",
        ["x, y", "--text_column_name"],
    ),
    "corpus of objects": ("pretraining", "a.jsonl", '{"text": {"a": 1}}\n', "--train_file={0}", [1, "no text"]),
    "corpus line cut off": ("pretraining", "a.jsonl", '{"text": "a"}\n{"text": "b\n', "--train_file={0}", [2, "JSON"]),
    "corpus of broken parquet": ("pretraining", "a.parquet", PARQUET, "--train_file={0}", ["not a parquet file"]),
    "corpus of an unknown kind": ("pretraining", "a.docx", "text", "--train_file={0}", ["(.docx)"]),
    "binary corpus": ("pretraining", "a.txt", b"\xff\xd8\xff\xe0\x00\x10\x80\xff" * 50, "--train_file={0}", ["a.txt"]),
    "weights that do not match": (
        "pretraining",
        "a.txt",
        "a\nb\n",
        "--train_file={0} --data_weights=1,2",
        ["--data_weights"],
    ),
}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    """Caches and reports stay with the test."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("datasets.config.HF_DATASETS_CACHE", str(tmp_path / "cache"))
    root = logging.getLogger()
    before = root.level
    yield
    root.setLevel(before)


@pytest.mark.promise("malformed inputs answered")
@pytest.mark.parametrize("name", CASES)
def test_a_malformed_input_ends_in_one_line_with_place_and_remedy(name, tmp_path, capsys):
    task, file, content, flags, words = CASES[name]
    path = tmp_path / file
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    good = tmp_path / ("good.conll" if task == "ner" else "good.csv")
    good.write_text(CONLL if task == "ner" else TRAIN, encoding="utf-8")
    (tmp_path / "names.txt").write_text("O\nB-ORG\n", encoding="utf-8")
    (tmp_path / "seq.out").write_text("O O\n", encoding="utf-8")
    argv = flags.format(path, good, tmp_path / "names.txt", tmp_path).split()
    with pytest.raises(SystemExit) as stop:
        run_script(main, [f"--task={task}", *argv])
    said = [line for line in capsys.readouterr().err.splitlines() if line.strip()]
    assert stop.value.code == 2, said
    (line,) = (line for line in said if line.startswith("hf_ext: error: "))
    assert said[-1] == line
    assert "Traceback" not in "".join(said)
    assert " – " in line, "the line lacks a remedy"
    for word in words:
        assert (f"{file}:{word}" if isinstance(word, int) else word) in line, line


@pytest.mark.parametrize(("task", "check"), [("classification", "cut_texts"), ("ner", "long_sentences")])
def test_with_a_tokenizer_what_is_cut_off_is_counted(task, check, tiny_bert, tmp_path, capsys):
    contents = {
        "classification": ("a.csv", "text,label\n" + "".join(f"{'good ' * (i + 1)},{i % 2}\n" for i in range(10))),
        "ner": ("a.conll", "\n".join("EU B-ORG\n" + "good O\n" * (i + 1) for i in range(10))),
    }
    file, content = contents[task]
    (tmp_path / file).write_text(content, encoding="utf-8")
    flags = [f"--tokenizer_name={tiny_bert}", "--max_seq_length=8", f"--cache_dir={tmp_path / 'cache'}"]
    report = main([f"--task={task}", f"--train_file={tmp_path / file}", *flags])
    (cut,) = (finding for finding in report.findings if finding.check == check)
    room = 8 - AutoTokenizer.from_pretrained(tiny_bert).num_special_tokens_to_add()
    words = [i + 1 + (task == "ner") for i in range(10)]
    assert (cut.number, cut.total) == (sum(count > room for count in words), 10)
    assert cut.remark in capsys.readouterr().out
    assert list((tmp_path / "cache").rglob("*.arrow"))  # the run will find them


def test_there_are_more_than_forty_of_them():
    assert len(CASES) >= 40


@pytest.mark.parametrize("task", ["classification", "ner", "pretraining"])
def test_good_files_give_a_summary_and_a_report(task, tmp_path, capsys):
    contents = {
        "classification": ("a.csv", TRAIN),
        "ner": ("a.conll", CONLL),
        "pretraining": ("a.txt", "a b\n" * 30),
    }
    file, content = contents[task]
    path = tmp_path / file
    path.write_text(content, encoding="utf-8")
    more = ["--document_boundary=line"] if task == "pretraining" else []
    main([f"--task={task}", f"--train_file={path}", f"--output_dir={tmp_path / 'out'}", *more])
    shown = capsys.readouterr().out
    assert shown.splitlines()[1].split()[0] == "train"
    report = json.loads((tmp_path / "out" / "data_report.json").read_text(encoding="utf-8"))
    assert report["splits"]["train"]["source"] == str(path)
    for finding in report["findings"]:
        assert finding["what"] in shown
