"""The networks of tilegrad.models: what they compute, how they write, and what they refuse."""

import itertools

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn
from tilegrad.course.trainer.text import bleu, ngram_bits, show_text
from tilegrad.models import CharRnn, GPTMini, PlainMini, ResNetMini, ViTMini, next_token
from tilegrad.models.translator import BOS, EOS, PAD, Translator


@pytest.fixture(autouse=True)
def seed():
    tg.manual_seed(0)


# --- the next token -----------------------------------------------------------------------------------------------------


def draws(logits, **how):
    g = tg.Generator().manual_seed(1)
    return np.bincount(next_token(tg.tensor(logits).expand(4000, -1), generator=g, **how).numpy(), minlength=len(logits)) / 4000


def test_tokens_are_drawn_with_the_model_s_probabilities():
    p = np.array([0.5, 0.3, 0.15, 0.05])
    np.testing.assert_allclose(draws(np.log(p)), p, atol=0.03)
    colder = p**2 / (p**2).sum()
    np.testing.assert_allclose(draws(np.log(p), temperature=0.5), colder, atol=0.03)
    assert draws(np.log(p), temperature=0)[0] == 1


def test_the_tail_can_be_cut_off():
    p = np.array([0.15, 0.5, 0.05, 0.3])
    np.testing.assert_allclose(draws(np.log(p), top_k=2), [0, 0.625, 0, 0.375], atol=0.03)
    np.testing.assert_allclose(draws(np.log(p), top_p=0.6), [0, 0.625, 0, 0.375], atol=0.03)  # the one that crosses p stays
    assert draws(np.log(p), top_p=0.4)[1] == 1
    np.testing.assert_allclose(draws(np.log(p), top_k=9), p, atol=0.03)


@pytest.mark.parametrize("how", [{"temperature": -1}, {"top_k": 0}, {"top_p": 0}, {"top_p": 1.5}])
def test_impossible_ways_to_draw_are_refused(how):
    with pytest.raises(ValueError, match=next(iter(how))):
        next_token(tg.zeros(1, 3), **how)


# --- language models ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("cell", ["lstm", "gru", "rnn"])
def test_char_rnn_goes_on_from_its_state(cell):
    model = CharRnn(11, width=8, layers=2, cell=cell)
    x = tg.randint(0, 11, (3, 9))
    whole, _ = model(x)
    first, state = model(x[:, :4])
    second, _ = model(x[:, 4:], state)
    np.testing.assert_allclose(tg.cat([first, second], 1).detach().numpy(), whole.detach().numpy(), atol=1e-6)


def test_char_rnn_refuses_an_unknown_cell():
    with pytest.raises(ValueError, match="lstm, gru, rnn"):
        CharRnn(5, cell="lsmt")


def gpt(**options):
    return GPTMini(13, **{"context": 8, "width": 16, "heads": 2, "layers": 2, **options}).eval()


def test_gpt_with_a_cache_says_the_same():
    model = gpt()
    x = tg.randint(0, 13, (2, 8))
    whole = model(x).detach().numpy()
    cache = []
    parts = [model(x[:, :3], cache), model(x[:, 3:4], cache), model(x[:, 4:], cache)]  # several tokens at once, too
    np.testing.assert_allclose(tg.cat(parts, 1).detach().numpy(), whole, atol=1e-5)


def test_gpt_looks_to_the_left_only():
    model = gpt()
    x = tg.randint(0, 13, (1, 8))
    other = x.clone()
    other[0, 5] = (x[0, 5] + 1) % 13
    before, after = model(x), model(other)
    assert tg.equal(before[:, :5], after[:, :5]) and not tg.equal(before[:, 5:], after[:, 5:])


def test_gpt_writes_beyond_its_context():
    model = gpt()
    prompt = tg.randint(0, 13, (2, 3))
    text = model.generate(prompt, 20, generator=tg.Generator().manual_seed(3))
    assert text.shape == (2, 23) and tg.equal(text[:, :3], prompt)
    again = model.generate(prompt, 20, generator=tg.Generator().manual_seed(3))
    assert tg.equal(text, again)


def test_gpt_shares_its_table_of_tokens_and_starts_calm():
    model = GPTMini(50, context=16, width=32, heads=4, layers=2)
    assert "output.weight" not in model.state_dict()
    logits = model(tg.randint(0, 50, (4, 16)))
    assert logits.std() < 0.5  # near a uniform guess


def test_gpt_refuses_what_does_not_fit():
    with pytest.raises(ValueError, match="multiple of heads"):
        GPTMini(5, width=10, heads=4)
    with pytest.raises(ValueError, match="9 tokens, but this model sees 8"):
        gpt()(tg.zeros(1, 9, dtype=tg.int64))


# --- translation --------------------------------------------------------------------------------------------------------


def translator(tokens=6, length=5):
    return Translator(tokens, width=16, heads=2, layers=1, length=length, dropout=0.0).eval()


def log_probability(model, source, answer):
    target = tg.tensor([[BOS, *answer]])
    logits = model(source, target).log_softmax(-1).detach().numpy()[0]
    return sum(logits[t, token] for t, token in enumerate(answer))


def test_a_wide_beam_finds_the_best_answer():
    """Row K18: with a beam as wide as there are beginnings, the search is exhaustive."""
    model = translator()
    with tg.no_grad():
        model.token.weight *= 4  # confident enough that answers differ
    source = tg.tensor([[3, 4, EOS]])
    words = range(EOS + 1, 6)
    answers = [(*w, EOS) for n in range(4) for w in itertools.product(words, repeat=n)]
    best = max(answers, key=lambda a: log_probability(model, source, a))
    (found,), (score,) = model.beam(source, width=200)
    assert (*found, EOS) == best
    assert score == pytest.approx(log_probability(model, source, best), abs=1e-4)


def test_beam_search_is_never_worse_than_greedy():
    model = translator(tokens=9, length=8)
    with tg.no_grad():
        model.token.weight *= 5
    source = tg.randint(EOS + 1, 9, (20, 6))
    _, greedy = model.greedy(source)
    for width in (2, 3, 5):
        assert (model.beam(source, width)[1] >= greedy).all()


def test_answers_stop_at_end_and_at_the_longest():
    answers, scores = translator(length=5).greedy(tg.randint(EOS + 1, 6, (7, 4)))
    assert all(len(a) <= 3 and all(t > EOS for t in a) for a in answers) and np.isfinite(scores).all()


def test_padding_changes_nothing():
    model = translator(length=9)
    source, target = tg.tensor([[3, 4, EOS]]), tg.tensor([[BOS, 3, 5]])
    wider = tg.tensor([[3, 4, EOS, PAD, PAD]])
    np.testing.assert_allclose(model(source, target).detach().numpy(), model(wider, target).detach().numpy(), atol=1e-6)


def test_translator_refuses():
    with pytest.raises(ValueError, match="beam width"):
        translator().beam(tg.tensor([[3, EOS]]), 0)
    with pytest.raises(ValueError, match="this model reads 5"):
        translator(length=5)(tg.zeros(1, 6, dtype=tg.int64), tg.tensor([[BOS]]))


# --- images -------------------------------------------------------------------------------------------------------------


def test_vit_cuts_an_image_into_its_patches():
    model = ViTMini(size=4, patch=2, width=8, heads=2, layers=1, channels=2, classes=3)
    image = tg.arange(32).float().reshape(1, 2, 4, 4)
    patches = model.patches(image).numpy()[0]
    assert patches.shape == (4, 8)
    assert patches[1].tolist() == [2, 3, 6, 7, 18, 19, 22, 23]  # top right, both channels
    assert model(tg.randn(5, 2, 4, 4)).shape == (5, 3)
    with pytest.raises(ValueError, match="do not tile"):
        ViTMini(size=8, patch=3)


def test_resnet_halves_and_doubles():
    model = ResNetMini(blocks=4, width=4, stages=2)
    x = tg.randn(2, 1, 8, 8)
    assert model(x).shape == (2, 10)
    assert model.blocks[-1].conv2.weight.shape == (8, 8, 3, 3)
    assert not any("shortcut" in name for name, _ in PlainMini(blocks=4, width=4, stages=2).named_parameters())
    with pytest.raises(ValueError, match="multiple of stages"):
        ResNetMini(blocks=3, stages=2)


def test_an_unlearned_block_is_the_identity():
    model = ResNetMini(blocks=1, width=4).eval()
    nn.init.zeros_(model.blocks[0].norm2.weight)
    x = tg.rand(2, 4, 5, 5)
    assert tg.equal(model.blocks[0](x), x)


# --- measures of text ---------------------------------------------------------------------------------------------------


def test_bleu():
    assert bleu(["abcdef"], ["abcdef"]) == pytest.approx(1)
    assert bleu(["xyz"], ["abcdef"]) == 0
    precisions = [4 / 5, 3 / 4, 2 / 3, 1 / 2]  # abcd of abcde against abcdX
    assert bleu(["abcde"], ["abcdX"]) == pytest.approx(np.prod(precisions) ** 0.25)
    assert bleu(["abcde"], ["abcdef"]) == pytest.approx(np.exp(1 - 6 / 5))  # too short
    assert bleu(["aaaa"], ["a"], longest=1) == pytest.approx(1 / 4)  # a match counts once


def test_ngram_bits():
    text = np.array([0, 1] * 500)
    assert ngram_bits(text, text, 2, n=1) == pytest.approx(1, abs=1e-3)  # a fair coin
    assert ngram_bits(text, text, 2, n=2) == pytest.approx(0, abs=1e-3)  # fully known from the one before


def test_show_text_keeps_a_terminal_clean():
    assert show_text("ab\x1b[0m\ncd", width=3) == ["ab.", "[0m", "cd"]
