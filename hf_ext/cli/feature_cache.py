"""Where preprocessed data is kept between runs."""

from __future__ import annotations

from pathlib import Path


def find_feature_cache(named: str | None) -> Path:
    """Give the folder of preprocessed data: the named one, or one beside the datasets library's cache."""
    if named:
        return Path(named) / "hf_ext"
    import datasets

    return Path(datasets.config.HF_DATASETS_CACHE) / "hf_ext"
