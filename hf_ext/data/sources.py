"""Which file or Hub split gives the rows of which split, as far as this run needs them."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from hf_ext.data.arguments import DataArguments, SourceArguments, split_names
from hf_ext.data.columns import guess_label
from hf_ext.data.files import find_split_files, open_rows, read_rows
from hf_ext.data.hub import load_hub_splits
from hf_ext.data.rows import RowReader, Table
from hf_ext.errors import UserError

ACTIONS = {"train": "--do_train", "validation": "--do_eval", "test": "--do_predict"}


@dataclass
class Sources:
    """The tables that a run needs, before anything is decided about their columns.

    Args:
        tables: By split name; ``train`` is the uncut file when it is still to be split.
        stream: The training file when it is to be streamed; it is then not among the tables.
        cuts: The splits that are to be cut out of the training file.
        borrowed: Whether the validation rows are the test rows, for want of any.
        notes: What a reader of the log should know.
    """

    tables: dict[str, Table] = field(default_factory=dict)
    stream: RowReader | None = None
    cuts: tuple[str, ...] = ()
    borrowed: bool = False
    notes: list[str] = field(default_factory=list)


def load_sources(
    arguments: DataArguments,
    needs: Collection[str],
    *,
    has_schema: bool,
    cache_dir: str | None = None,
    token: str | None = None,
) -> Sources:
    """Read the files that this run needs and no others.

    Args:
        arguments: Where the rows are.
        needs: Among ``train``, ``validation``, ``test``: what is to be trained, evaluated, predicted.
        has_schema: Whether a saved model brings labels and columns; otherwise the training rows are read for them.
        cache_dir: Where files of the Hub are kept.
        token: Hub token.

    Raises:
        UserError: If a split that is needed has no source, or has two.
    """
    offered = _offer(arguments, cache_dir, token)
    plan = plan_sources(arguments, needs, offered, has_schema=has_schema)
    sources = Sources(cuts=plan.cuts, borrowed=plan.borrowed)
    for split in plan.read:
        offer = offered[split]
        if split == "train" and arguments.streaming and isinstance(offer, Path):
            sources.stream = _stream(arguments, offer, plan.cuts)
        else:
            sources.tables[split] = _load(offer, arguments, split)
            sources.notes += sources.tables[split].notes
    if plan.borrowed:
        sources.tables["validation"] = sources.tables["test"]
    return sources


class SourcePlan(NamedTuple):
    """What a run reads.

    Args:
        read: The splits whose files are read, sorted.
        cuts: The splits that are to be cut out of the training file.
        borrowed: Whether the test rows serve as validation rows, for want of any.
    """

    read: tuple[str, ...]
    cuts: tuple[str, ...]
    borrowed: bool


def plan_sources(
    arguments: SourceArguments, needs: Collection[str], offered: Collection[str], *, has_schema: bool
) -> SourcePlan:
    """Decide which of the offered files a run must read.

    Args:
        arguments: The fractions to hold out.
        needs: Among ``train``, ``validation``, ``test``: what is to be trained, evaluated, predicted.
        offered: The splits that have a file of their own.
        has_schema: Whether a saved model brings its schema; otherwise the training rows are read for it.

    Raises:
        UserError: If a split that is needed has no source, or has two.
    """
    cuts = _find_cuts(arguments, offered)
    wanted = {*needs}
    if not has_schema or any(split in needs for split in cuts):
        wanted.add("train")
    borrowed = "validation" in needs and "validation" not in offered and "validation" not in cuts and "test" in offered
    if borrowed:
        wanted = (wanted - {"validation"}) | {"test"}
    read = tuple(sorted(wanted - set(cuts)))
    for split in read:
        if split not in offered:
            raise _missing(split, needs)
    return SourcePlan(read, cuts, borrowed)


Offer = Path | Callable[[], Table]


def _offer(arguments: DataArguments, cache_dir: str | None, token: str | None) -> dict[str, Offer]:
    """List what there is: files named by flags, then files of the folder, or splits of the Hub."""
    offered: dict[str, Offer] = {}
    if arguments.dataset_name:
        if arguments.streaming:
            raise UserError("--streaming reads local files only", fix="leave it out, or save the data set as jsonl")
        offered.update(load_hub_splits(arguments, cache_dir=cache_dir, token=token))
    if arguments.data_dir:
        offered.update(find_split_files(arguments.data_dir))
    flags = {"train": arguments.train_file, "validation": arguments.validation_file, "test": arguments.test_file}
    offered.update({split: Path(path) for split, path in flags.items() if path})
    return offered


def _find_cuts(arguments: SourceArguments, offered: Collection[str]) -> tuple[str, ...]:
    cuts = ["validation"] if arguments.fold and "validation" not in offered else []
    for split, fraction in (("validation", arguments.validation_split), ("test", arguments.test_split)):
        if fraction and split in offered:
            raise UserError(f"both --{split}_split and a file of {split} rows are given", fix="leave one of them out")
        if fraction or (arguments.split_indices and split not in offered):
            cuts.append(split)
    if arguments.split_indices and not cuts:
        raise UserError(
            "--split_indices cuts the training rows, but validation and test rows have files of their own",
            where=arguments.split_indices,
            fix="leave it out, or one of the files",
        )
    return tuple(cuts)


def _load(offer: Offer, arguments: DataArguments, split: str) -> Table:
    if not isinstance(offer, Path):
        return offer()
    optional = None
    if split == "test":
        optional = arguments.label_column_name or guess_label(split_names(arguments.column_names))
    return read_rows(offer, arguments, label_column=optional)


def _stream(arguments: DataArguments, path: Path, cuts: Collection[str]) -> RowReader:
    if cuts or arguments.drop_duplicates:
        flag = "--drop_duplicates" if arguments.drop_duplicates else "splitting a file"
        raise UserError(f"--streaming and {flag} exclude each other", fix="leave out --streaming, or prepare the files")
    return open_rows(path, arguments, streaming=True)


def _missing(split: str, needs: Collection[str]) -> UserError:
    if split not in needs:
        return UserError(
            "labels and columns are unknown: no saved model brings them and there are no training rows",
            fix="pass --train_file, or --model_name_or_path with a folder that hf_ext has saved",
        )
    fixes = {
        "train": "pass --train_file, --data_dir or --dataset_name",
        "validation": "pass --validation_file, or hold rows out with --validation_split 0.1",
        "test": "pass --test_file, or hold rows out with --test_split 0.1",
    }
    return UserError(f"{ACTIONS[split]} requires {split} rows, and none are given", fix=fixes[split])
