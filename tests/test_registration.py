"""After ``import hf_ext``, before or after transformers, the auto classes and pipelines know our models."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
CHECK = """
import sys
{first}
assert "torch" not in sys.modules or {torch_is_loaded}
{second}
from transformers import AutoConfig, AutoModelForSequenceClassification, AutoModelForTokenClassification
from transformers.pipelines import SUPPORTED_TASKS
assert "hf_ext.models.base" not in sys.modules
config = AutoConfig.for_model("hf_ext")
assert type(config) in AutoModelForSequenceClassification._model_mapping
assert type(config) in AutoModelForTokenClassification._model_mapping
assert SUPPORTED_TASKS["token-classification"]["impl"].startswith("hf_ext.")
print("known")
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("import hf_ext", "from transformers import pipeline"),
        ("from transformers import pipeline", "import hf_ext"),
    ],
)
def test_models_are_known_in_any_order_of_imports(first, second):
    code = CHECK.format(first=first, second=second, torch_is_loaded=first != "import hf_ext")
    run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=240)
    assert run.stdout.strip() == "known", run.stderr
