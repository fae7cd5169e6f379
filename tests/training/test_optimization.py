"""Parameter groups: every parameter once, at the rate and with the decay worked out by hand."""

from __future__ import annotations

import copy
import itertools

import pytest
import torch
from family_models import EMBEDDINGS, FAMILIES, LAYERS, STACKS, OwnCRF, lora, ours, stock, tagger
from torch import nn
from transformers import BertConfig, BertForMaskedLM, BertModel, Trainer, TrainingArguments

from hf_ext.errors import UserError
from hf_ext.models.layers import layer_stack
from hf_ext.training import ExtTrainingArguments
from hf_ext.training.optimization.groups import parameter_groups

BASE, HEAD, CRF_RATE, DECAY, WEIGHT_DECAY = 1e-3, 7e-3, 9e-2, 0.5, 0.01
MODELS = {
    **{family: (lambda family=family: stock(family)) for family in FAMILIES},
    "ours": ours,
    "embeddings alone": lambda: ours(recurrent="none"),
    "lstm": lambda: ours(recurrent="lstm"),
    "crf": tagger,
    "own crf": lambda: tagger(OwnCRF),
    "lora": lambda: lora(stock("bert")),
}


@pytest.fixture
def build_args(tmp_path):
    def build(**changes):
        settings = {"learning_rate": BASE, "weight_decay": WEIGHT_DECAY, "use_cpu": True}
        return ExtTrainingArguments(output_dir=str(tmp_path), **{**settings, **changes})

    return build


def decay_names(model):
    return Trainer.get_decay_parameter_names(None, model)


def group(model, args):
    return parameter_groups(model, args, decay_names(model))


def by_name(model, groups):
    """Give each parameter's name its rate, weight decay and group name."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {names[id(p)]: (g["lr"], g["weight_decay"], g["name"]) for g in groups for p in g["params"]}


def rates(model, groups):
    return {name: rate for name, (rate, _, _) in by_name(model, groups).items()}


FLAGS = [
    {},
    {"head_learning_rate": HEAD},
    {"layerwise_lr_decay": DECAY},
    {"layerwise_lr_decay": DECAY, "head_learning_rate": HEAD, "learning_rate_mapping": {"weight": 1e-4, "bias": BASE}},
    {"layerwise_lr_decay": 1.0, "head_learning_rate": BASE},
    {"layerwise_lr_decay": DECAY, "weight_decay": 0.0},
]


@pytest.mark.parametrize("flags", FLAGS)
@pytest.mark.parametrize("name", MODELS)
def test_every_learning_parameter_is_in_exactly_one_group_and_equal_groups_are_one(name, flags, build_args):
    model = MODELS[name]()
    next(model.parameters()).requires_grad_(False)
    args = build_args(**flags)
    groups = group(model, args)
    members = [id(parameter) for g in groups for parameter in g["params"]]
    assert sorted(members) == sorted(id(parameter) for parameter in model.parameters() if parameter.requires_grad)
    if flags:
        assert len({(g["lr"], g["weight_decay"]) for g in groups}) == len(groups)
    assert len({g["name"] for g in groups}) == len(groups)
    assert all(set(g) == {"params", "lr", "weight_decay", "name"} for g in groups)
    assert len(groups) <= 2 * (LAYERS + 2) + 2 * len(args.learning_rate_mapping or {})
    if any(g["lr"] == BASE for g in groups):
        assert groups[0]["lr"] == BASE


@pytest.mark.parametrize("family", STACKS)
def test_rates_by_hand_in_every_family(family, build_args):
    model = stock(family)
    found = rates(model, group(model, build_args(layerwise_lr_decay=DECAY, head_learning_rate=HEAD)))
    encoder = f"{model.base_model_prefix}."
    for name, rate in found.items():
        if name.startswith(STACKS[family]):
            index = int(name.removeprefix(f"{STACKS[family]}.").split(".")[0])
            assert rate == BASE * [0.25, 0.5, 1.0][index], name
        elif name.startswith(EMBEDDINGS[family]):
            assert rate == BASE * 0.125, name
        else:
            assert rate == (BASE if name.startswith(encoder) else HEAD), name
    assert set(found.values()) == {BASE * factor for factor in (0.125, 0.25, 0.5, 1.0)} | {HEAD}


def test_tables_of_relative_positions_and_the_last_norm_learn_at_the_base_rate(build_args):
    model = stock("deberta-v2")
    found = rates(model, group(model, build_args(layerwise_lr_decay=DECAY)))
    assert found["deberta.encoder.rel_embeddings.weight"] == found["deberta.encoder.LayerNorm.weight"] == BASE
    model = stock("modernbert")
    assert rates(model, group(model, build_args(layerwise_lr_decay=DECAY)))["model.final_norm.weight"] == BASE


def test_albert_has_one_layer_and_funnel_those_of_all_its_blocks(build_args):
    model = stock("albert")
    found = rates(model, group(model, build_args(layerwise_lr_decay=DECAY)))
    for name, rate in found.items():
        assert rate == (BASE / 2 if "embedding" in name else BASE), name
    model = stock("funnel")
    assert layer_stack(model.base_model)[0] == "encoder.blocks"
    found = rates(model, group(model, build_args(layerwise_lr_decay=DECAY)))
    for place, factor in [("0.0", 0.25), ("1.0", 0.5), ("1.1", 1.0)]:
        inside = [rate for name, rate in found.items() if f"encoder.blocks.{place}." in name]
        assert inside
        assert set(inside) == {BASE * factor}


def test_layers_are_not_confused_with_the_experts_inside_them():
    layer = nn.ModuleDict({"experts": nn.ModuleList(nn.Linear(2, 2) for _ in range(8))})
    path, layers = layer_stack(nn.ModuleDict({"layers": nn.ModuleList([layer, copy.deepcopy(layer)])}))
    assert (path, len(layers)) == ("layers", 2)


def test_an_encoder_from_scratch_has_embeddings_and_one_layer(build_args):
    model = ours(recurrent="lstm")
    found = rates(model, group(model, build_args(layerwise_lr_decay=DECAY, head_learning_rate=HEAD)))
    assert found.pop("recurrent.embeddings.weight") == BASE / 2
    assert {rate for name, rate in found.items() if name.startswith("recurrent.rnn.")} == {BASE}
    assert {rate for name, rate in found.items() if not name.startswith("recurrent.")} == {HEAD}


def test_columns_of_ours_belong_to_the_head(build_args):
    model = ours()
    found = by_name(model, group(model, build_args(head_learning_rate=HEAD)))
    assert {name.split(".")[0] for name, (rate, _, _) in found.items() if rate == BASE} == {"bert"}
    assert {"tabular", "output_layers"} <= {name.split(".")[0] for name, (rate, *_) in found.items() if rate == HEAD}


@pytest.mark.parametrize("crf_rate", [None, CRF_RATE])
def test_a_crf_learns_at_its_own_rate_or_at_the_heads_and_its_transitions_do_not_decay(crf_rate, build_args):
    model = tagger(OwnCRF)
    found = by_name(model, group(model, build_args(head_learning_rate=HEAD, crf_learning_rate=crf_rate)))
    expected = HEAD if crf_rate is None else crf_rate
    for name in ("crf.transitions", "crf.start_transitions", "crf.end_transitions", "crf.scores.bias"):
        assert found[name][:2] == (expected, 0.0)
    assert found["crf.scores.weight"][:2] == (expected, WEIGHT_DECAY)
    assert found["emissions.weight"][:2] == (HEAD, WEIGHT_DECAY)
    assert found["emissions.weight"][2] == ("head + crf" if crf_rate is None else "head")


def test_lora_weights_learn_as_the_layer_they_are_in_and_saved_modules_as_the_head(build_args):
    model = lora(stock("bert"))
    found = rates(model, group(model, build_args(layerwise_lr_decay=DECAY, head_learning_rate=HEAD)))
    for index, factor in enumerate([0.25, 0.5, 1.0]):
        inside = [rate for name, rate in found.items() if f".layer.{index}." in name]
        assert inside == [BASE * factor] * 2
    assert {rate for name, rate in found.items() if "classifier" in name} == {HEAD}
    assert len(found) == 3 * 2 + 2


def test_a_learned_prompt_of_an_adapter_belongs_to_the_head(build_args):
    from peft import PromptTuningConfig, get_peft_model

    model = get_peft_model(stock("bert"), PromptTuningConfig(task_type="SEQ_CLS", num_virtual_tokens=2))
    found = rates(model, group(model, build_args(head_learning_rate=HEAD)))
    assert {rate for name, rate in found.items() if "prompt_encoder" in name} == {HEAD}


class ModuleWrapper(nn.DataParallel):
    """What DistributedDataParallel does to names, without processes."""


@pytest.mark.parametrize("wrap", [ModuleWrapper, torch.compile, lambda m: ModuleWrapper(torch.compile(m))])
@pytest.mark.parametrize("build", [lambda: stock("bert"), lambda: lora(stock("bert"))])
def test_wrapped_models_have_the_groups_of_the_bare_one(wrap, build, build_args):
    args = build_args(layerwise_lr_decay=DECAY, head_learning_rate=HEAD, learning_rate_mapping={r"^bert.*query": 0.5})
    bare = build()
    wrapped = wrap(bare)
    assert any(name.startswith(("module.", "_orig_mod.")) for name, _ in wrapped.named_parameters())
    for a, b in itertools.zip_longest(group(bare, args), group(wrapped, args)):
        assert {key: a[key] for key in ("lr", "weight_decay", "name")} == {
            key: b[key] for key in ("lr", "weight_decay", "name")
        }
        assert [id(p) for p in a["params"]] == [id(p) for p in b["params"]]


def test_the_first_matching_expression_wins_over_every_other_rule(build_args):
    model = tagger()
    args = build_args(
        crf_learning_rate=CRF_RATE,
        layerwise_lr_decay=DECAY,
        learning_rate_mapping={r"crf\.transitions": 0.1, r"layer\.1\..*dense": 0.2, r"dense|end_": 0.3},
    )
    found = by_name(model, group(model, args))
    assert found["crf.transitions"][0] == 0.1
    assert found["crf.end_transitions"][0] == 0.3
    assert found["crf.start_transitions"][0] == CRF_RATE
    assert found["bert.encoder.layer.1.output.dense.weight"] == (0.2, WEIGHT_DECAY, r"regex 'layer\\.1\\..*dense'")
    assert found["bert.encoder.layer.0.output.dense.bias"] == (0.3, 0.0, "regex 'dense|end_', no decay")


def test_an_expression_finds_a_tied_weight_by_each_of_its_names(build_args):
    model = BertForMaskedLM(BertConfig(**FAMILIES["bert"]))
    groups = group(model, build_args(learning_rate_mapping={r"cls\.predictions\.decoder\.weight": 0.1}))
    assert rates(model, groups)["bert.embeddings.word_embeddings.weight"] == 0.1
    assert sum(parameter is model.get_input_embeddings().weight for g in groups for parameter in g["params"]) == 1


@pytest.mark.parametrize(
    ("pattern", "hint"),
    [
        ("layernorm", "did you mean 'LayerNorm'"),
        (r"bert\.encoder\.layers\.0", "did you mean 'bert.encoder.layer.0'"),
        ("embedings", "did you mean 'embeddings'"),
        ("xyz", "known: 'LayerNorm'"),
    ],
)
def test_an_expression_that_matches_nothing_is_named_with_what_is_near(pattern, hint, build_args):
    with pytest.raises(UserError) as caught:
        group(stock("bert"), build_args(learning_rate_mapping={"query": 1e-4, pattern: 1e-3}))
    assert repr(pattern) in str(caught.value)
    assert hint in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_expression_that_matches_frozen_parameters_alone_or_is_none_is_an_error(build_args):
    model = stock("bert")
    model.bert.embeddings.requires_grad_(False)
    with pytest.raises(UserError, match="no parameter that learns has a name with 'position'"):
        group(model, build_args(learning_rate_mapping={"position": 1e-3}))
    with pytest.raises(UserError, match=r"'\(' is no regular expression"):
        group(model, build_args(learning_rate_mapping={"(": 1e-3}))


def test_rates_for_parts_that_are_not_there_are_errors(build_args):
    with pytest.raises(UserError, match="--crf_learning_rate: BertForSequenceClassification has no CRF"):
        group(stock("bert"), build_args(crf_learning_rate=1e-3))
    for model in (BertModel(BertConfig(**FAMILIES["bert"])), nn.Linear(2, 2)):
        with pytest.raises(UserError, match=f"{type(model).__name__} does not say which part of it is the encoder"):
            group(model, build_args(head_learning_rate=1e-3))
    flattened = nn.Module()
    flattened._flat_param = nn.Parameter(torch.zeros(3))
    with pytest.raises(UserError, match=r"--head_learning_rate: FSDP has melted .*use_orig_params"):
        group(flattened, build_args(head_learning_rate=1e-3))


class NormsOfAllKinds(nn.Module):
    """Norms that Trainer knows by neither class nor name."""

    def __init__(self) -> None:
        super().__init__()
        self.a = nn.BatchNorm1d(4)
        self.b = nn.GroupNorm(2, 4)
        self.c = nn.RMSNorm(4)
        self.d = nn.InstanceNorm1d(4, affine=True)
        self.e = MyScaleNorm()
        self.f = nn.Linear(4, 4)
        self.g = nn.LSTM(4, 4)
        self.h = nn.LayerNorm(4)


class MyScaleNorm(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))


def test_biases_and_norms_of_every_kind_do_not_decay(build_args):
    model = NormsOfAllKinds()
    every = [name for name, _ in model.named_parameters()]
    assert "a.weight" in decay_names(model)  # what Trainer leaves in
    found = by_name(model, parameter_groups(model, build_args(), every))
    assert {name for name, (_, decay, _) in found.items() if decay} == {"f.weight", "g.weight_ih_l0", "g.weight_hh_l0"}


@pytest.mark.parametrize("name", MODELS)
def test_what_trainer_exempts_from_decay_stays_exempt_and_little_else(name, build_args):
    model = MODELS[name]()
    found = by_name(model, group(model, build_args(layerwise_lr_decay=DECAY)))
    decaying = {name for name, (_, decay, _) in found.items() if decay}
    by_trainer = {name for name in decay_names(model) if name in found}
    assert decaying <= by_trainer
    assert all("transitions" in name for name in by_trainer - decaying)


@pytest.mark.parametrize("arguments_class", [TrainingArguments, ExtTrainingArguments])
@pytest.mark.parametrize("weight_decay", [0.0, WEIGHT_DECAY])
def test_without_a_rate_asked_for_the_groups_are_those_of_trainer(arguments_class, weight_decay, tmp_path):
    model = stock("bert")
    args = arguments_class(output_dir=str(tmp_path), learning_rate=BASE, weight_decay=weight_decay, use_cpu=True)
    theirs = Trainer(model, args).create_optimizer().param_groups
    found = group(model, args)
    assert [[id(p) for p in g["params"]] for g in found] == [[id(p) for p in g["params"]] for g in theirs]
    assert [(g["lr"], g["weight_decay"]) for g in found] == [(g["lr"], g["weight_decay"]) for g in theirs]
    assert [g["name"] for g in found] == ["model", "model, no decay"]


def test_names_of_merged_groups_can_be_read(build_args):
    def names(model, **flags):
        return [g["name"] for g in group(model, build_args(**flags))]

    model = stock("bert")
    assert names(model, head_learning_rate=HEAD) == ["encoder", "encoder, no decay", "head", "head, no decay"]
    assert names(model, head_learning_rate=BASE) == ["model", "model, no decay"]
    assert names(model, head_learning_rate=HEAD, weight_decay=0.0) == ["encoder", "head"]
    assert names(model, head_learning_rate=HEAD, layerwise_lr_decay=1.0, weight_decay=0.0) == ["encoder", "head"]
    by_layer = names(model, layerwise_lr_decay=DECAY, weight_decay=0.0)
    assert by_layer == ["layer 2 + encoder rest + head", "embeddings", "layer 0", "layer 1"]
    mapped = names(model, learning_rate_mapping={"LayerNorm": 1e-2}, weight_decay=0.1)
    assert mapped == ["encoder + head", "encoder + head, no decay", "regex 'LayerNorm'"]
    model.bert.embeddings.requires_grad_(False)
    flags = {"layerwise_lr_decay": DECAY, "weight_decay": 0.0, "head_learning_rate": BASE / 2}
    assert names(model, **flags, learning_rate_mapping={"attention": BASE}) == [
        "layer 2 + encoder rest + regex 'attention'",
        "layer 0",
        "layer 1 + head",
    ]
