"""The frame of special tokens around one text or two."""

from __future__ import annotations

from typing import Any

from tokenizers import processors

from hf_ext.errors import UserError


def build_post_processor(
    single: str | None, pair: str | None, *, special_ids: dict[str, int], cls: str, sep: str, others: list[Any]
) -> processors.PostProcessor:
    """Build what puts special tokens around texts.

    Args:
        single: Template of one text, such as ``[CLS] $A [SEP]``; None is this one.
        pair: Template of two, such as ``[CLS] $A [SEP] $B:1 [SEP]:1``; None is this one.
        special_ids: Ids of the special tokens.
        cls: The token before, where a template is None.
        sep: The token behind, where a template is None.
        others: Steps that come before.

    Raises:
        UserError: If a template lacks a text or names a token that is not special.
    """
    single = single or f"{cls} $A {sep}"
    pair = pair or f"{cls} $A {sep} $B:1 {sep}:1"
    for flag, template, texts in (("template_single", single, "A"), ("template_pair", pair, "AB")):
        _check(flag, template, texts, special_ids)
    named = [(token, i) for token, i in special_ids.items() if token in f"{single} {pair}"]
    frame = processors.TemplateProcessing(single=single, pair=pair, special_tokens=named)
    return processors.Sequence([*others, frame]) if others else frame


def uses_segments(pair: str | None) -> bool:
    """Tell whether a pair template numbers its segments, so that models need ``token_type_ids``."""
    return pair is None or any(part.rpartition(":")[2] == "1" for part in pair.split() if ":" in part)


def _check(flag: str, template: str, texts: str, special_ids: dict[str, int]) -> None:
    parts = [part if part in special_ids else part.rpartition(":")[0] or part for part in template.split()]
    for part in template.split():
        segment = part.rpartition(":")[2]
        if ":" in part and part not in special_ids and not segment.isdigit():
            raise UserError(f"--{flag} {template!r} has a segment {segment!r}", fix="write a number, as in $B:1")
    for part in parts:
        if not part.startswith("$") and part not in special_ids:
            known = ", ".join(special_ids)
            raise UserError(f"--{flag} {template!r} names {part!r}, no special token", fix=f"known: {known}")
    for text in texts:
        if parts.count(f"${text}") != 1:
            what = f"${text} twice" if f"${text}" in parts else f"no ${text}"
            raise UserError(f"--{flag} {template!r} has {what}", fix=f"write ${text} where the text belongs")
