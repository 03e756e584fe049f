"""Arrays of more than 2^31 elements: places and strides beyond 32 bits. A minute and 9 GB; TILEGRAD_TEST_FULL=1 runs them."""

import os
import pathlib

import pytest

import tilegrad as tg

N = (1 << 31) + 1001  # odd: tails lie beyond 2^31
LAST = N - 1
u8, bf16 = tg.uint8, tg.bfloat16


def available_bytes():
    info = pathlib.Path("/proc/meminfo")
    lines = info.read_text().splitlines() if info.exists() else []
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable")), 0)


pytestmark = [
    pytest.mark.slow,
    pytest.mark.xdist_group("serial"),
    pytest.mark.skipif(os.environ.get("TILEGRAD_TEST_FULL") != "1", reason="takes 9 GB: TILEGRAD_TEST_FULL=1"),
    pytest.mark.skipif(available_bytes() < 12 << 30, reason="less than 12 GB of memory are free"),
]


@pytest.fixture(autouse=True)
def give_back():
    before = tg.get_num_threads()
    tg.set_num_threads(2)
    yield
    tg.set_num_threads(before)
    tg.empty_cache()


def marked(dtype=u8, at=LAST - 1, value=9):
    """Zeros but for one element beyond 2^31."""
    x = tg.zeros(N, dtype=dtype)
    x[at] = value
    return x


def test_fill_add_sum():
    x = tg.full((N,), 3, dtype=u8)
    assert x[-1].item() == 3 and x.sum().item() == 3 * N
    x[N - 5 :] += 4
    x += 1
    assert x[LAST].item() == 8 and x.sum().item() == 4 * N + 20
    y = x + x
    assert y[LAST].item() == 16 and y.max().item() == 16


def test_copies():
    x = marked()
    assert x.clone()[LAST - 1].item() == 9
    assert x[1::2][LAST // 2 - 1].item() == 9 and x[1::2].contiguous().sum().item() == 9
    y = x.to(bf16)
    assert y[LAST - 1].item() == 9 and y.sum().item() == 9
    assert x[: N - 1].reshape(2, -1).t().contiguous()[(N - 1) // 2 - 1, 1].item() == 9


def test_compare_and_find():
    x = marked()
    assert (x.argmax().item(), x.max().item()) == (LAST - 1, 9)
    found = x == 9
    assert found.sum().item() == 1 and found.any().item() and not found.all().item()
    assert found.nonzero().tolist() == [[LAST - 1]]
    assert tg.where(found, tg.tensor(3, dtype=u8), tg.tensor(1, dtype=u8)).sum().item() == N + 2
    assert x.masked_fill_(found, 1).sum().item() == 1


def test_index():
    x = marked()
    x[1 << 31] = 5
    places = tg.tensor([0, LAST - 1, 1 << 31, -1])
    assert x[places].tolist() == [0, 9, 5, 0]
    assert tg.gather(x, 0, places[1:3]).tolist() == [9, 5]
    assert x[1 << 31 :][0].item() == 5
    x[tg.tensor([LAST - 7])] = 6
    x.index_copy_(0, tg.tensor([LAST]), tg.tensor([2], dtype=u8))
    x.scatter_(0, tg.tensor([LAST - 3]), tg.tensor([3], dtype=u8))
    assert x[LAST - 7 :].tolist() == [6, 0, 0, 0, 3, 0, 9, 2]
    with pytest.raises(IndexError, match=str(N)):
        x[tg.tensor([N])]


def test_cat_flip_roll():
    half = N // 2
    z = tg.cat([tg.full((half,), 1, dtype=u8), tg.full((N - half,), 2, dtype=u8)])
    assert z.sum().item() == half + 2 * (N - half) and (z[half - 1].item(), z[half].item()) == (1, 2)
    del z
    x = tg.zeros(N, dtype=u8)
    x[3] = 9
    assert x.flip(0)[N - 4].item() == 9
    assert tg.roll(x, -10)[N - 7].item() == 9


@pytest.mark.parametrize("shape", [(2, N // 2), (N // 2, 2)])
def test_reductions_over_dims(shape):
    x = tg.ones(shape, dtype=u8)
    x[-1, -1] = 7
    for dim in (0, 1):
        y = x.amax(dim)
        assert (y[-1].item(), y[0].item()) == (7, 1)
    small = 0 if shape[0] > 2 else 1
    assert x.sum(small).tolist() == [N // 2, N // 2 + 6]


def test_bfloat16_arithmetic():
    x = marked(bf16, value=2.0)
    assert (x * 3)[LAST - 1].item() == 6
    x.exp_()
    assert x[LAST - 1].item() == pytest.approx(7.39, rel=0.01) and x[LAST].item() == 1


def test_softmax_of_a_huge_row():
    x = marked(bf16, value=30.0)
    y = tg.softmax(x, 0)
    assert y[LAST - 1].item() == pytest.approx(1 / (1 + (N - 1) * 9.3576e-14), rel=0.01) and y[LAST].item() < 1e-12


def test_softmax_of_many_rows():
    x = tg.zeros((1 << 21) + 1, 1024, dtype=bf16)
    x[-1, -1] = 7.0
    y = tg.softmax(x, 1)
    assert y[-1, -1].item() == pytest.approx(0.5174, rel=0.01) and y[0, 5].item() == 2.0**-10


def test_a_product_with_a_huge_inner_dim():
    a = marked(bf16, value=2.0)
    assert (a.reshape(1, N) @ a.reshape(N, 1)).item() == 4.0


@pytest.mark.parametrize("wide", [False, True])
def test_a_product_with_many_rows_or_columns(wide):
    count = (1 << 28) + 3
    a = tg.zeros((8, count) if wide else (count, 8), dtype=bf16)
    a[-1, -1] = 2.0
    ones = tg.ones((1, 8) if wide else (8, 1), dtype=bf16)
    y = (ones @ a if wide else a @ ones).reshape(-1)
    assert y[-1].item() == 2 and y[-2].item() == 0 and y.shape == (count,)


def test_random_numbers():
    x = tg.empty(N, dtype=u8).random_(0, 200)
    tail = x[1 << 31 :].float()
    assert 80 < tail.mean().item() < 120 and tail.std().item() > 40


def test_pooling_of_many_images():
    x = tg.zeros(2049, 1, 1024, 1024, dtype=bf16)
    x[-1, 0, -1, -1] = 8.0
    for pool, expected in ((tg.nn.functional.max_pool2d, 8), (tg.nn.functional.avg_pool2d, 2)):
        y = pool(x, 2)
        assert y[-1, 0, -1, -1].item() == expected and y[-1, 0, -1, -2].item() == 0
        del y
    assert tg.nn.functional.pad(x[..., :-1], (0, 1))[-1, 0, -1, -1].item() == 0
