"""The encoder of a7's solution gives the hidden states of HuggingFace's BertModel, weights and all."""

import ast
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from torch.testing import assert_close

from autograder import course

transformers = pytest.importorskip("transformers", reason="pip install 'attention-autograder[bert]'")

ROOT = Path(__file__).parents[1]
NARROW = {"vocab_size": 60, "max_position_embeddings": 40, "type_vocab_size": 2}


@pytest.fixture(scope="module")
def solution():
    return course.reference(course.load(ROOT, "a7_fine_tuning"))


@pytest.fixture(scope="module")
def formulas():
    """The hidden tests without the tests: what they compute with."""
    path = ROOT / "solutions/a7_fine_tuning/test_hidden.py"
    tree = ast.parse(path.read_text("utf-8"))
    tree.body = [node for node in tree.body if not getattr(node, "name", "").startswith("test_")]
    names = {}
    exec(compile(tree, str(path), "exec"), names)
    return SimpleNamespace(**names)


def bert(seed=0, **sizes):
    """HuggingFace's BertModel with random weights, every one of them other than at its birth."""
    torch.manual_seed(seed)
    model = transformers.BertModel(transformers.BertConfig(**sizes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model


def texts(model, count=3, length=11):
    config = model.config
    tokens = torch.randint(config.vocab_size, (count, length))
    segments = torch.randint(config.type_vocab_size, (count, length))
    mask = torch.arange(length) < torch.tensor([[length], [length - 4], [2]])[:count]
    return tokens, mask, segments


@torch.no_grad()
def agree(solution, model, tolerance):
    tokens, mask, segments = texts(model)
    encoder = solution.load_bert(model.state_dict(), model.config.to_dict()).eval()
    theirs = model(tokens, attention_mask=mask.long(), token_type_ids=segments).last_hidden_state
    ours = encoder(tokens, mask, segments)
    assert_close(ours[mask], theirs[mask], rtol=tolerance, atol=tolerance)
    return encoder, (tokens, mask, segments), theirs


@pytest.mark.parametrize(("layers", "width", "heads"), [(12, 48, 4), (24, 64, 8), (12, 64, 16), (24, 48, 3)], ids=str)
def test_narrow_berts(solution, layers, width, heads):
    sizes = {"hidden_size": width, "num_hidden_layers": layers, "num_attention_heads": heads, **NARROW}
    model = bert(intermediate_size=2 * width + 5, **sizes).double()
    encoder, (tokens, mask, segments), theirs = agree(solution, model.float(), 1e-4)
    model.double()
    encoder.double()
    with torch.no_grad():
        theirs = model(tokens, attention_mask=mask.long(), token_type_ids=segments).last_hidden_state
        assert_close(encoder(tokens, mask, segments)[mask], theirs[mask], rtol=1e-9, atol=1e-9)
        plain = model(tokens).last_hidden_state
        assert_close(encoder(tokens), plain, rtol=1e-9, atol=1e-9)


def test_sizes_and_eps_of_the_config(solution):
    sizes = {**NARROW, "type_vocab_size": 4, "layer_norm_eps": 0.05, "hidden_dropout_prob": 0.3}
    model = bert(hidden_size=30, num_hidden_layers=2, num_attention_heads=5, intermediate_size=17, **sizes)
    encoder, *_ = agree(solution, model, 1e-5)
    assert {part.p for part in encoder.modules() if isinstance(part, torch.nn.Dropout)} == {0.3}


@torch.no_grad()
def test_files_of_models_with_a_head(solution):
    torch.manual_seed(1)
    sizes = {"hidden_size": 48, "num_hidden_layers": 3, "num_attention_heads": 4, "intermediate_size": 90, **NARROW}
    model = transformers.BertForPreTraining(transformers.BertConfig(**sizes)).eval()
    file = model.state_dict()
    assert any(name.startswith("bert.") for name in file) and any(name.startswith("cls.") for name in file)
    old = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta"): tensor
        for name, tensor in file.items()
    }
    tokens, mask, segments = texts(model)
    theirs = model.bert(tokens, attention_mask=mask.long(), token_type_ids=segments).last_hidden_state
    for dialect in (file, old):
        ours = solution.load_bert(dialect, model.config.to_dict()).eval()(tokens, mask, segments)
        assert_close(ours[mask], theirs[mask], rtol=1e-5, atol=1e-5)


@torch.no_grad()
def test_the_formulas_of_the_hidden_tests(formulas):
    """The grader compares with formulas of its own; they are BERT's, too."""
    model = bert(hidden_size=48, num_hidden_layers=12, num_attention_heads=4, intermediate_size=80, **NARROW).double()
    tokens, mask, segments = texts(model)
    ours = formulas.bert(model.state_dict(), model.config.to_dict(), tokens, mask, segments)
    theirs = model(tokens, attention_mask=mask.long(), token_type_ids=segments).last_hidden_state
    assert_close(ours[mask], theirs[mask], rtol=1e-9, atol=1e-9)
    assert set(formulas.draw_file(model.config.to_dict())) == {
        name for name in model.state_dict() if not name.startswith("pooler.")
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    ("layers", "width", "heads", "millions"), [(12, 768, 12, 109.5), (24, 1024, 16, 335.1)], ids=["base", "large"]
)
def test_full_widths(solution, layers, width, heads, millions):
    """BERT-base and BERT-large as they are, but for their weights."""
    model = bert(hidden_size=width, num_hidden_layers=layers, num_attention_heads=heads, intermediate_size=4 * width)
    assert abs(sum(parameter.numel() for parameter in model.parameters()) / 1e6 - millions) < 0.1
    agree(solution, model, 1e-3)
