"""What a run of ``train_tokenizer.py`` leaves: the tokenizer, its figures beside another's, and a table of them."""

from __future__ import annotations

import json
import logging
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from transformers import PreTrainedTokenizerBase

from hf_ext.cli.peak_memory import peak_memory
from hf_ext.cli.tokenizer_building import load_tokenizer
from hf_ext.data.text_lines import TextLines
from hf_ext.errors import UserError
from hf_ext.evaluation.reports import summary_table
from hf_ext.report.run_record import describe_arguments, record_run
from hf_ext.tokenization.arguments import TokenizerArguments
from hf_ext.tokenization.extension import list_new_tokens, merge_vocabulary
from hf_ext.tokenization.measures import TokenizerMeasures, measure
from hf_ext.tokenization.token_list import write_token_list
from hf_ext.tokenization.word_counts import WordCounts

logger = logging.getLogger(__name__)

REPORT_FILE = "tokenizer_report.json"
MERGED_FILE = "merged_tokens.json"
SHARES = ("coverage", "unknown_rate", "round_trip")
SHOWN = ("vocab_size", "coverage", "unknown_rate", "tokens_per_word", "tokens_per_character", "bytes_per_token")


class TokenizerOutcome:
    """The last steps of the script.

    Args:
        arguments: What was asked for.

    Raises:
        UserError: If the reference tokenizer cannot be loaded, which is said before anything is learned.
    """

    def __init__(self, arguments: TokenizerArguments) -> None:
        self.arguments = arguments
        self.folder = Path(arguments.output_dir)
        self.started = time.monotonic()
        self.files: dict[str, Path] = {}
        name = arguments.reference_tokenizer
        self.reference = load_tokenizer(name, arguments, flag="reference_tokenizer") if name else None

    def merge(self, trained: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
        """Put new tokens into the tokenizer of ``--merge_into`` and list them; without the flag give the new one.

        Raises:
            UserError: If the old tokenizer cannot take them.
        """
        name = self.arguments.merge_into
        if not name:
            return trained
        old = load_tokenizer(name, self.arguments, flag="merge_into")
        entries = list_new_tokens(old, trained)
        before = len(old)
        merge_vocabulary(old, trained)
        logger.info("%d tokens joined the %d of %s.", len(old) - before, before, name)
        self.files["new tokens"] = self.folder / MERGED_FILE
        write_token_list(self.files["new tokens"], entries)
        return old

    def finish(
        self, tokenizer: PreTrainedTokenizerBase, counts: WordCounts, lines: TextLines
    ) -> dict[str, dict[str, Any]]:
        """Save the tokenizer, measure it on the held-out lines, write the report and print the table.

        Raises:
            UserError: If the folder takes no more files.
        """
        with _blame_disk(self.folder):
            tokenizer.save_pretrained(self.folder)
        if len(tokenizer) < self.arguments.vocab_size:
            logger.info(
                "The text gives %d tokens, --vocab_size asks for %d.", len(tokenizer), self.arguments.vocab_size
            )
        measured = {"new": measure(tokenizer, lines.held_out)}
        reference = self.reference or self._old_tokenizer()
        if reference is not None:
            measured["reference"] = measure(reference, lines.held_out)
        for note in lines.notes:
            logger.info(note)
        report: dict[str, dict[str, Any]] = {name: figures.to_json() for name, figures in measured.items()}
        report["corpus"] = {
            "lines": counts.texts,
            "characters": sum(counts.characters.values()),
            "different_characters": len(counts.characters),
            "words_counted": sum(counts.words.values()),
            "different_words": len(counts.words),
            "share_counted": counts.rate,
        }
        self.files["report"] = self.folder / REPORT_FILE
        text = json.dumps(report, ensure_ascii=False, indent=2)
        self.files["report"].write_text(text + "\n", encoding="utf-8")
        self.files["record"] = record_run(
            self.folder,
            did=["train"],
            started=time.time() - (time.monotonic() - self.started),
            arguments={
                "tokenizer": describe_arguments(self.arguments),
                "data": describe_arguments(lines.arguments),
            },
            sources=[lines.arguments.train_file, lines.arguments.validation_file],
            device="cpu",
            cost={"total_seconds": round(time.monotonic() - self.started, 3)},
        )
        sys.stdout.write(self._table(measured, lines))
        return report

    def _old_tokenizer(self) -> PreTrainedTokenizerBase | None:
        """Load the tokenizer of ``--merge_into`` or ``--from_tokenizer`` as it was."""
        for flag in ("merge_into", "from_tokenizer"):
            name = getattr(self.arguments, flag)
            if name:
                return load_tokenizer(name, self.arguments, flag=flag)
        return None

    def _table(self, measured: dict[str, TokenizerMeasures], lines: TextLines) -> str:
        rows = [["", *SHOWN, "round_trip"]]
        for name, figures in measured.items():
            rows.append([name, *(_short(key, getattr(figures, key)) for key in (*SHOWN, "round_trip"))])
        files = [["tokenizer", f"{self.folder}  (--tokenizer_name {self.folder})"]]
        files += [[name, str(path)] for name, path in self.files.items()]
        failure = measured["new"].first_failure
        failed = (
            f"\nthe first text that does not come back: {failure['text']!r} → {failure['came']!r}\n" if failure else ""
        )
        seconds, memory = time.monotonic() - self.started, peak_memory()
        cost = f"{seconds:.0f} seconds in all" + (f"; peak memory {memory:,.0f} MB" if memory is not None else "")
        head = f"\nmeasured on {len(lines.held_out)} held-out lines\n"
        return f"{head}{summary_table(rows)}\n{failed}\n{summary_table(files)}\n{cost}\n"


@contextmanager
def _blame_disk(folder: Path) -> Iterator[None]:
    """Answer a full disk in one line; the library tokenizers raises a bare ``Exception`` for it."""
    try:
        yield
    except Exception as error:
        if not isinstance(error, OSError) and "os error" not in str(error):
            raise
        raise UserError(
            f"the tokenizer cannot be written ({error})",
            where=str(folder),
            fix="make room, or name another --output_dir",
        ) from error


def _short(name: str, value: float) -> str:
    if name in SHARES:
        return f"{100 * value:.2f} %"
    return str(value) if isinstance(value, int) else f"{value:.3f}"
