"""What of an output folder goes to the Hub: a list of what may, never the folder as it is."""

from __future__ import annotations

import glob
import json
import logging
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi
from huggingface_hub.errors import HTTPError
from transformers import Trainer
from transformers.dynamic_module_utils import get_relative_import_files
from transformers.trainer_utils import HubStrategy
from transformers.utils import CONFIG_NAME

from hf_ext.errors import UserError
from hf_ext.models.travelling import code_beside
from hf_ext.training.hub_arguments import split_patterns

logger = logging.getLogger(__name__)

CARD = "README.md"
MODEL = (
    *("config.json", "generation_config.json", "model.safetensors", "model-*.safetensors"),
    *("model.safetensors.index.json", "adapter_config.json", "adapter_model.safetensors"),
)
TOKENIZER = (
    *("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"),
    *("vocab.txt", "vocab.json", "merges.txt", "spiece.model", "sentencepiece.bpe.model", "tokenizer.model"),
)
# figures and pictures of them, without rows of the user
RESULTS = (
    *("*_results.json", "eval_all_checkpoints.json", "label_report.csv", "entity_report.csv"),
    *("learning_curves.png", "confusion_matrix.png", "calibration.png", "perplexity.png"),
)


def list_uploads(folder: Path, *, more: str | None = None) -> list[str]:
    """Name the files of an output folder that may leave the machine: model, tokenizer, card, results.

    Predictions, lists of mistakes, logs, arguments (which hold paths), checkpoints and whatever else lies there stay.

    Args:
        folder: The output folder.
        more: Patterns of further files, comma-separated.

    Returns:
        Paths within the folder, sorted.
    """
    patterns = (CARD, *MODEL, *TOKENIZER, *RESULTS)
    wanted = {path for pattern in patterns for path in folder.glob(pattern)} | _find_code(folder)
    for pattern in split_patterns(more):
        found = set(folder.glob(pattern))
        if not found:
            logger.warning("--push_files %s: there is no such file in %s.", pattern, folder)
        wanted |= found
    return sorted(path.relative_to(folder).as_posix() for path in wanted if path.is_file())


def push(
    trainer: Trainer,
    commit_message: str | None = "End of training",
    blocking: bool = True,
    token: str | None = None,
    revision: str | None = None,
    private: bool | None = None,
    **card: Any,
) -> Any:
    """Save the model, one of ours with its code, and upload what ``list_uploads`` allows of its folder.

    Args:
        trainer: Whose model it is.
        commit_message: As of ``Trainer.push_to_hub``, like the next four.
        blocking: False gives a future.
        token: Unset is that of the environment.
        revision: The branch.
        private: Whether a new repository is.
        **card: What is said in the card; without it the card of the folder stays, if there is one.

    Returns:
        What the Hub answers; None on other processes than the main one.

    Raises:
        UserError: If the Hub does not answer or refuses; everything is in the output folder then.
    """
    args = trainer.args
    trainer.callback_handler.on_push_begin(args, trainer.state, trainer.control)
    folder = Path(args.output_dir or ".")
    try:
        if trainer.hub_model_id is None:
            args.hub_private_repo = args.hub_private_repo if private is None else private
            trainer.init_hf_repo(token=token)
        with code_beside(trainer.accelerator.unwrap_model(trainer.model)):
            trainer.save_model(str(folder), _internal_call=True)
        if not trainer.is_world_process_zero():
            return None
        if card or not (folder / CARD).exists():
            trainer.create_model_card(**{"model_name": str(trainer.hub_model_id).rpartition("/")[2], **card})
        names = list_uploads(folder, more=getattr(args, "push_files", None))
        logger.info("Uploading to %s: %s.", trainer.hub_model_id, ", ".join(names))
        waiting: dict[str, Any] = {"run_as_future": not blocking}
        return HfApi(library_name="hf_ext").upload_folder(
            repo_id=str(trainer.hub_model_id),
            folder_path=folder,
            allow_patterns=[glob.escape(name) for name in names],
            commit_message=commit_message,
            token=args.hub_token if token is None else token,
            revision=args.hub_revision if revision is None else revision,
            **waiting,
        )
    except (OSError, HTTPError) as error:
        raise UserError(
            f"nothing was uploaded ({' '.join(str(error).split())})",
            where=str(trainer.hub_model_id or args.hub_model_id or folder.name),
            fix=f"check HF_TOKEN and --hub_model_id; the model is in {folder}",
        ) from error


def postpone_push(trainer: Trainer) -> None:
    """Say that a checkpoint is not uploaded, where a strategy of transformers asks for it."""
    if trainer.is_world_process_zero() and trainer.args.hub_strategy != HubStrategy.END:
        logger.warning("The model is uploaded at the end, not with each checkpoint (hub_strategy).")


def _find_code(folder: Path) -> set[Path]:
    """Find the modules that ``auto_map`` names, and those that they import of the same folder; no other script."""
    try:
        auto_map = json.loads((folder / CONFIG_NAME).read_text(encoding="utf-8"))["auto_map"]
    except (OSError, ValueError, KeyError):
        return set()
    named = {
        str(name).partition(".")[0]
        for value in auto_map.values()
        for name in (value if isinstance(value, list) else [value])
    }
    modules = {folder / f"{name}.py" for name in named}  # "user/repository--module" is code that lies elsewhere
    modules = {path for path in modules if path.is_file()}
    return modules.union(*(map(Path, get_relative_import_files(path)) for path in modules))
