"""What each command takes: its flags, their defaults and its help; read without torch.

The steps behind each command are in ``hf_ext/cli/commands``.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hf_ext.cli.parsing import ScriptArgumentParser, parse_arguments
from hf_ext.cli.quick_start import check_command_line
from hf_ext.data.arguments import DataArguments
from hf_ext.data.pretraining import PretrainingDataArguments
from hf_ext.data.tagging import TaggingDataArguments
from hf_ext.data.text_lines_arguments import TextLinesArguments
from hf_ext.models.arguments import ModelArguments
from hf_ext.models.pretraining_arguments import PretrainingModelArguments
from hf_ext.models.tagger_arguments import TaggerArguments
from hf_ext.tokenization.arguments import TokenizerArguments


@dataclass(frozen=True)
class CommandLine:
    """The command line of one command.

    Attributes:
        name: What stands behind ``hf-ext``.
        description: A sentence on what the command does, and examples in indented lines, as the help shows them.
        types: Argument dataclasses, without that of training.
        trains: Whether the command also takes ``ExtTrainingArguments``.
        defaults: Values that stand in for the dataclasses' own.
        scratch_defaults: More of them for runs that name no pretrained model.
    """

    name: str
    description: str
    types: tuple[type, ...]
    trains: bool = True
    defaults: Mapping[str, Any] = field(default_factory=dict)
    scratch_defaults: Mapping[str, Any] = field(default_factory=dict)

    def check(self) -> None:
        """Answer ``--help`` and mistakes in ``sys.argv``, and leave; else do nothing. Loads no torch."""
        check_command_line(
            self.types,
            self.description_for(Path(sys.argv[0]).name),
            trains=self.trains,
            defaults=self.defaults,
            scratch_defaults=self.scratch_defaults,
        )

    def parse(self, argv: Sequence[str]) -> tuple[Any, ...]:
        """Fill the dataclasses of the command, that of training last.

        Raises:
            UserError: As ``parse_arguments`` does.
        """
        return parse_arguments(self._all_types(), argv, defaults=self.defaults, scratch_defaults=self.scratch_defaults)

    def parser(self) -> ScriptArgumentParser:
        """Give the parser behind ``parse``, for who reads settings that stand nowhere."""
        return ScriptArgumentParser(self._all_types(), defaults=self.defaults, scratch_defaults=self.scratch_defaults)

    def call(self) -> str:
        """Write how this command was called, without its arguments."""
        program = Path(sys.argv[0]).name
        return f"python {program}" if program.endswith(".py") else f"hf-ext {self.name}"

    def _all_types(self) -> tuple[type, ...]:
        if not self.trains:
            return self.types
        from hf_ext.training.arguments import ExtTrainingArguments

        return (*self.types, ExtTrainingArguments)

    def description_for(self, program: str) -> str:
        """Give the description, with examples that call the script at the top of a checkout, if that is the program."""
        if not program.endswith(".py"):
            return self.description
        return self.description.replace(f"-m hf_ext {self.name}", program).replace(
            f"hf-ext {self.name}", f"python {program}"
        )


CLASSIFICATION = CommandLine(
    "train-classification",
    """Fine-tune an encoder, or train a model from scratch, for text classification, with or without table columns.

    hf-ext train-classification --do_train --do_eval                     # demo data, model from scratch
    hf-ext train-classification examples/banking77.yaml --learning_rate 3e-5
    torchrun --nproc_per_node=4 -m hf_ext train-classification --model_name_or_path bert-base-chinese \
        --train_file train.csv --validation_file dev.csv --test_file test.csv --do_train --do_eval --do_predict
""",
    (ModelArguments, DataArguments),
    defaults={"output_dir": "outputs/classification"},
    # A small model from scratch learns at another pace than a pretrained encoder.
    scratch_defaults={
        "learning_rate": 1e-3,
        "per_device_train_batch_size": 32,
        "per_device_eval_batch_size": 64,
        "filter_num": 64,
        "filter_sizes": "2,3,4",
        "classifier_dropout": 0.5,
    },
)

TAGGING = CommandLine(
    "train-ner",
    """Tag words with an encoder or a model from scratch: names, slots, parts of speech; with sentence labels if wanted.

    hf-ext train-ner --do_train --do_eval                              # demo data, a BiLSTM-CRF from scratch
    hf-ext train-ner examples/wnut17.yaml --learning_rate 2e-4
    torchrun --nproc_per_node=4 -m hf_ext train-ner --model_name_or_path bert-base-chinese --decoder crf \
        --train_file train.txt --validation_file dev.txt --test_file test.txt --do_train --do_eval --do_predict
""",
    (TaggerArguments, TaggingDataArguments),
    defaults={"output_dir": "outputs/ner"},
    scratch_defaults={
        "learning_rate": 2e-3,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 64,
        "num_train_epochs": 10,
        "length_strategy": "group",
        "rnn_hidden_size": 128,
        "classifier_dropout": 0.5,
    },
)

PRETRAINING = CommandLine(
    "pretrain",
    """Pretrain an encoder further on your own text, or from scratch: masked words, with sentence pairs if wanted.

    hf-ext pretrain --do_train --do_eval                   # demo data, a small BERT from scratch
    hf-ext pretrain examples/pretrain_reviews_zh.yaml --learning_rate 1e-4
    torchrun --nproc_per_node=4 -m hf_ext pretrain --model_name_or_path bert-base-chinese \
        --train_file corpus.txt,news/ --masking whole_word --do_train --do_eval
""",
    (PretrainingModelArguments, PretrainingDataArguments),
    # Masks are drawn from columns that are no inputs of the model.
    defaults={"output_dir": "outputs/pretrained", "remove_unused_columns": False},
    scratch_defaults={
        "learning_rate": 1e-3,
        "warmup_steps": 0.05,
        "per_device_train_batch_size": 16,
        "per_device_eval_batch_size": 64,
        "num_train_epochs": 1,
    },
)

TOKENIZER = CommandLine(
    "train-tokenizer",
    """Train a tokenizer on your own text, or teach an old one new words: WordPiece, BPE, Unigram, words, characters.

    hf-ext train-tokenizer --train_file corpus.txt --kind wordpiece --vocab_size 8000
    hf-ext train-tokenizer examples/tokenizer_novels.yaml --kind unigram
    hf-ext train-tokenizer --train_file news/ --merge_into bert-base-chinese --output_dir outputs/merged
""",
    (TextLinesArguments, TokenizerArguments),
    trains=False,
)
