"""One small file in the shape of each public data set that people bring along."""

from __future__ import annotations

import json
from typing import Any

import pytest
from table_files import write

from hf_ext.data.arguments import DataArguments
from hf_ext.data.classification import ClassificationData
from hf_ext.models.schema import REGRESSION


def load(folder, *needs: str, **flags: Any) -> ClassificationData:
    return ClassificationData.from_arguments(DataArguments(**flags), saved=None, needs=needs or ("train",))


def test_thucnews_title_tab_class_id(tmp_path):
    write(tmp_path / "train.txt", "中华女子学院：本科层次仅1专业招男生\t1\n金科西府 名墅天成\t0\n")
    write(tmp_path / "class.txt", "realty\neducation")
    flags = {"column_names": "text,label", "label_file": str(tmp_path / "class.txt")}
    data = load(tmp_path, data_dir=str(tmp_path), **flags)
    assert data.schema.labels.names == ("education", "realty")
    assert data.labels("train") == [0, 1]


def test_thucnews_of_older_scripts_label_comma_text_with_unlabelled_test(tmp_path):
    write(tmp_path / "train.csv", "label,text\n体育,火箭 赢 球\n财经,股市 上涨\n")
    write(tmp_path / "test.csv", "text\n新 的 标题\n")
    data = load(tmp_path, "train", "test", data_dir=str(tmp_path))
    assert data.schema.labels.names == ("体育", "财经")
    assert data.texts("test") == ["新 的 标题"]
    assert data.labels("test") == [None]


def test_afqmc_pairs_with_unlabelled_test(tmp_path):
    write(tmp_path / "train.txt", '还款可以吗\t可以还款吗\t1\n怎么开通\t"在""管理""页点击"\t0\n')
    write(tmp_path / "test.txt", "一\t二\n")
    data = load(tmp_path, "train", "test", data_dir=str(tmp_path), column_names="sentence1,sentence2,label")
    assert (data.schema.text.columns, data.schema.text.pair_column) == (("sentence1",), "sentence2")
    assert data.splits["train"].rows[1]["sentence2"] == '在"管理"页点击'
    assert data.texts("test") == ["一 二"]


def test_afqmc_as_json_lines_in_a_txt_file(tmp_path):
    rows = [{"sentence1": "一", "sentence2": "二", "label": "0"}, {"sentence1": "三", "sentence2": "四", "label": "1"}]
    write(tmp_path / "train.txt", "\n".join(json.dumps(row, ensure_ascii=False) for row in rows))
    assert load(tmp_path, data_dir=str(tmp_path)).schema.text.pair_column == "sentence2"


def test_sts_scores_between_double_bars(tmp_path):
    write(tmp_path / "train.txt", "2012-1||一架飞机要起飞了。||一架飞机正在起飞。||5\n2012-4||他||她||3.5\n")
    names = {"column_names": "id,s1,s2,score", "delimiter": "||", "id_column_name": "id"}
    data = load(tmp_path, data_dir=str(tmp_path), task="regression", **names)
    assert data.schema.labels.problem_type == REGRESSION
    assert data.labels("train") == [5.0, 3.5]
    assert data.ids("train") == ["2012-1", "2012-4"]


def test_go_emotions_comma_list_of_ids(tmp_path):
    write(tmp_path / "train.tsv", 'Thanks!\t1\ted0\n"He said ""no"" and"\t0,2\ted1\n')
    write(tmp_path / "labels.txt", "anger\ngratitude\nsadness\n")
    flags = {"column_names": "text,labels,id", "label_delimiter": ",", "label_file": str(tmp_path / "labels.txt")}
    data = load(tmp_path, data_dir=str(tmp_path), **flags)
    assert data.schema.labels.names == ("anger", "gratitude", "sadness")
    assert data.labels("train") == [[0.0, 1.0, 0.0], [1.0, 0.0, 1.0]]
    assert data.texts("train")[1] == 'He said "no" and'


def test_sst2_without_header(tmp_path):
    write(tmp_path / "train.tsv", "a stirring , funny film\t1\n`` dull '' and 5\" long\t0\n")
    data = load(tmp_path, data_dir=str(tmp_path), column_names="text,label")
    assert data.texts("train")[1] == "`` dull '' and 5\" long"


def test_alexa_with_an_unnamed_first_column(tmp_path):
    header = "\trating\tdate\tvariation\tverified_reviews\tfeedback\n"
    write(
        tmp_path / "train.tsv", header + '0\t5\t31-Jul-18\tCharcoal \tLove it!\t1\n1\t1\t1-Jul-18\tOak\t"""No"""\t0\n'
    )
    data = load(
        tmp_path,
        data_dir=str(tmp_path),
        text_column_names="verified_reviews",
        label_column_name="rating",
        categorical_columns="variation",
        id_column_name="unnamed_0",
    )
    assert data.schema.columns.categorical[0].categories == ("Charcoal ", "Oak")
    assert data.texts("train") == ["Love it!", '"No"']
    assert data.ids("train") == ["0", "1"]


def test_clothing_reviews_with_a_column_file_and_missing_cells(tmp_path):
    info = {
        "text_cols": ["Title", "Review Text"],
        "cat_cols": ["Division Name"],
        "num_cols": ["Rating", "Age"],
        "label_col": "Recommended IND",
        "label_list": ["Not Recommended", "Recommended"],
    }
    write(tmp_path / "info.json", json.dumps(info))
    header = ",Age,Title,Review Text,Rating,Recommended IND,Division Name\n"
    write(
        tmp_path / "train.csv",
        header + '1,39,Fun,"Pretty,\nlove it",5,1,General\n2,,,Too big,2,0,\n3,51,Ok,,3,1,Petite\n',
    )
    data = load(tmp_path, data_dir=str(tmp_path), column_file=str(tmp_path / "info.json"))
    assert data.schema.labels.names == ("Not Recommended", "Recommended")
    assert data.texts("train") == ["Fun Pretty,\nlove it", "Too big", "Ok"]
    assert data.schema.columns.categorical[0].categories == ("", "General", "Petite")
    assert [column.has_missing for column in data.schema.columns.numeric] == [False, True]
    assert data.splits["train"].rows["_line"][:] == [2, 4, 5]


def test_car_comments_keep_one_comment_on_one_side(tmp_path):
    rows = [f"{i},评论 {i // 2},{'价格' if i % 2 else '动力'},{i % 3 - 1},高" for i in range(40)]
    path = write(tmp_path / "all.csv", "content_id,content,subject,sentiment_value,sentiment_word\n" + "\n".join(rows))
    data = load(
        tmp_path,
        "train",
        "validation",
        train_file=str(path),
        validation_split=0.2,
        split_by="content",
        text_column_names="content",
        label_column_name="sentiment_value",
        categorical_columns="subject",
    )
    assert data.schema.labels.names == ("-1", "0", "1")
    assert not set(data.texts("train")) & set(data.texts("validation"))


@pytest.mark.parametrize("name", ["train.json", "train.jsonl", "train.txt"])
def test_news_as_json_lines_with_numbers_and_empty_labels(tmp_path, name):
    rows = [
        {"text": "一", "category": "a", "words_len": 12, "doctype": "x"},
        {"text": "二", "category": "b", "words_len": None, "doctype": "y"},
        {"text": "三", "category": "b", "words_len": 7.5, "doctype": ""},
    ]
    write(tmp_path / name, "\n".join(json.dumps(row) for row in rows))
    data = load(
        tmp_path,
        data_dir=str(tmp_path),
        label_column_name="doctype",
        categorical_columns="category",
        numeric_columns="words_len",
        text_column_names="text",
    )
    assert data.schema.labels.names == ("x", "y")
    assert data.schema.columns.numeric[0].mean == 12.0
    assert any("1 rows without a label" in note for note in data.notes)
