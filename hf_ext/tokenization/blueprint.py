"""A tokenizer but for its vocabulary: from flags, or from a tokenizer that there is."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tokenizers import AddedToken, Tokenizer, models
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast

from hf_ext.errors import UserError
from hf_ext.tokenization.arguments import TokenizerArguments
from hf_ext.tokenization.kinds import KINDS, TokenizerKind, VocabularyRequest
from hf_ext.tokenization.templates import build_post_processor, uses_segments
from hf_ext.tokenization.text_cutting import build_normalizer, build_pre_tokenizer
from hf_ext.tokenization.word_counts import WordCounts


@dataclass
class Blueprint:
    """What a tokenizer is, apart from the vocabulary that is still to be learned.

    Args:
        kind: How a vocabulary is learned.
        backend: Normalizer, pre-tokenizer and decoder, with a model that holds nothing.
        special_tokens: In the order of their ids.
        unknown: The one that stands for what is unknown.
        post_processor: Gives the last step once ids are known.
        settings: What ``PreTrainedTokenizerFast`` is told.
        special_flags: How texts are searched for special tokens that have a rule of their own (``lstrip`` and so on).
    """

    kind: TokenizerKind
    backend: Tokenizer
    special_tokens: tuple[str, ...]
    unknown: str
    post_processor: Callable[[dict[str, int]], Any]
    settings: dict[str, Any]
    special_flags: dict[str, dict[str, bool]]

    @classmethod
    def from_arguments(cls, arguments: TokenizerArguments) -> Blueprint:
        """Build what the flags ask for."""
        kind = KINDS[arguments.kind]()
        apart = kind.chinese_apart if arguments.chinese_apart is None else arguments.chinese_apart
        backend = Tokenizer(models.WordLevel({}, unk_token=arguments.unk_token))
        backend.normalizer = build_normalizer(
            normalization=arguments.normalization,
            lower_case=arguments.do_lower_case,
            strip_accents=arguments.strip_accents,
        )
        backend.pre_tokenizer = build_pre_tokenizer(
            lambda first: kind.pre_tokenizer(first=first), chinese_apart=apart, digits_apart=arguments.digits_apart
        )
        decoder = kind.decoder()
        if decoder is not None:
            backend.decoder = decoder

        def post_processor(ids: dict[str, int]) -> Any:
            return build_post_processor(
                arguments.template_single,
                arguments.template_pair,
                special_ids=ids,
                cls=arguments.cls_token,
                sep=arguments.sep_token,
                others=kind.post_processors(),
            )

        post_processor({token: i for i, token in enumerate(arguments.special_tokens)})  # refuse before hours of work
        roles = {f"{role}_token": getattr(arguments, f"{role}_token") for role in ("pad", "unk", "cls", "sep", "mask")}
        segments = ["token_type_ids"] if uses_segments(arguments.template_pair) else []
        settings = {
            **roles,
            "model_max_length": arguments.model_max_length,
            "model_input_names": ["input_ids", *segments, "attention_mask"],
            "clean_up_tokenization_spaces": False,
        }
        more = list(arguments.special_tokens[len(roles) :])
        if more:
            settings["extra_special_tokens"] = more
        return cls(
            kind, backend, arguments.special_tokens, arguments.unk_token, post_processor, settings, special_flags={}
        )

    @classmethod
    def from_tokenizer(cls, old: PreTrainedTokenizerBase) -> Blueprint:
        """Keep everything of a fast tokenizer but its vocabulary.

        Special tokens keep their order, not always their ids. Tokens that were added and are not special are left out.

        Raises:
            UserError: If it is no fast tokenizer, or marks the ends of words in a way that is not learned here.
        """
        source = getattr(old, "backend_tokenizer", None)
        if source is None:
            raise UserError(f"{type(old).__name__} is not a fast tokenizer", fix="name one with a tokenizer.json")
        written = json.loads(source.to_str())
        kind = _find_kind(written)
        special = sorted(set(old.all_special_tokens), key=old.convert_tokens_to_ids)
        if old.unk_token is None and not isinstance(kind, KINDS["byte_bpe"]):
            raise UserError("the tokenizer has no unknown token", fix="choose a --kind instead of --from_tokenizer")
        backend = Tokenizer(models.WordLevel({}, unk_token=str(old.unk_token)))
        for part in ("normalizer", "pre_tokenizer", "decoder"):
            if getattr(source, part) is not None:
                setattr(backend, part, getattr(source, part))

        def post_processor(ids: dict[str, int]) -> Any:
            step = written["post_processor"]
            if step is None:
                return None
            bare = {"version": "1.0", "model": {"type": "WordLevel", "vocab": {}, "unk_token": ""}, "added_tokens": []}
            return Tokenizer.from_str(json.dumps({**bare, "post_processor": _with_ids(step, ids)})).post_processor

        return cls(
            kind,
            backend,
            tuple(special),
            old.unk_token or special[0],
            post_processor,
            _settings_of(old),
            special_flags={token["content"]: _flags(token) for token in written["added_tokens"] if token["special"]},
        )

    def learn(self, counts: WordCounts, request: VocabularyRequest) -> PreTrainedTokenizerFast:
        """Learn the vocabulary and put the tokenizer together.

        Raises:
            UserError: If the vocabulary is too small for the characters of the text.
        """
        backend = Tokenizer(self.kind.learn(counts, request))
        for part in ("normalizer", "pre_tokenizer", "decoder"):
            if getattr(self.backend, part) is not None:
                setattr(backend, part, getattr(self.backend, part))
        rules = {token: self._rule(token) for token in self.special_tokens}
        backend.add_special_tokens(list(rules.values()))
        known = backend.get_vocab()
        ids = {token: known[token] for token in self.special_tokens}
        last = self.post_processor(ids)
        if last is not None:
            backend.post_processor = last
        settings = {
            name: rules.get(value, value) if name.endswith("_token") else value for name, value in self.settings.items()
        }
        return PreTrainedTokenizerFast(tokenizer_object=backend, **settings)

    def _rule(self, token: str) -> AddedToken:
        """Say how texts are searched for a special token: as written, unless it has a rule of its own."""
        return AddedToken(token, **{"normalized": False, **self.special_flags.get(token, {})}, special=True)


def _find_kind(written: dict[str, Any]) -> TokenizerKind:
    model = written["model"]
    if model.get("end_of_word_suffix") or (model["type"] == "BPE" and model.get("continuing_subword_prefix")):
        raise UserError("a BPE with marks at the ends of words cannot be learned anew", fix="choose a --kind")
    if model["type"] == "WordPiece" and model.get("continuing_subword_prefix") != "##":
        raise UserError("a WordPiece without ## cannot be learned anew", fix="choose a --kind")
    is_byte_level = '"ByteLevel"' in json.dumps(written["pre_tokenizer"])
    names = {"WordPiece": "wordpiece", "Unigram": "unigram", "WordLevel": "word"}
    return KINDS["byte_bpe" if is_byte_level else names.get(model["type"], "bpe")]()


def _with_ids(step: dict[str, Any], ids: dict[str, int]) -> dict[str, Any]:
    """Write a post-processor with the new ids of its special tokens."""
    step = dict(step)
    if "processors" in step:
        step["processors"] = [_with_ids(inner, ids) for inner in step["processors"]]
    for name in ("cls", "sep"):
        if name in step:
            step[name] = [step[name][0], ids[step[name][0]]]
    if "special_tokens" in step:
        step["special_tokens"] = {
            name: {**entry, "ids": [ids[token] for token in entry["tokens"]]}
            for name, entry in step["special_tokens"].items()
        }
    return step


def _settings_of(old: PreTrainedTokenizerBase) -> dict[str, Any]:
    roles = {name: getattr(old, name) for name in old.SPECIAL_TOKENS_ATTRIBUTES if getattr(old, name) is not None}
    settings = {name: getattr(old, name) for name in ("model_max_length", "model_input_names", "padding_side")}
    named = set(roles.values())
    more = [token for token in old.all_special_tokens if token not in named]
    return {
        **roles,
        **settings,
        "clean_up_tokenization_spaces": False,
        **({"extra_special_tokens": more} if more else {}),
    }


def _flags(token: dict[str, Any]) -> dict[str, bool]:
    return {name: token[name] for name in ("single_word", "lstrip", "rstrip", "normalized")}
