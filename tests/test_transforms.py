"""transforms: what the course needs (rows A07-A11), tensors against Pillow, gradients, and chance that a seed repeats."""

import pickle

import numpy as np
import pytest

import tilegrad as tg
from tilegrad import nn, transforms
from tilegrad.autograd import gradcheck
from tilegrad.datasets import MNIST, write_idx
from tilegrad.transforms import functional as F
from tilegrad.utils.data import DataLoader

Image = pytest.importorskip("PIL.Image")
RNG = np.random.default_rng(0)


def smooth(h=48, w=64):
    """An image without hard edges, so that resampling methods can be compared closely."""
    y, x = np.mgrid[0:h, 0:w]
    planes = [127 + 120 * np.sin(x / (9 + c) + c) * np.cos(y / (7 + c)) for c in range(3)]
    return np.stack(planes, -1).round().astype(np.uint8)


PIXELS = smooth()
PIL = Image.fromarray(PIXELS)
BYTES = tg.tensor(PIXELS.transpose(2, 0, 1).copy())  # (3, 48, 64) uint8
FLOATS = BYTES.float() / 255


def as_array(img):
    return np.asarray(img) if not isinstance(img, tg.Tensor) else img.numpy().transpose(1, 2, 0)


# ---- conversion


def test_to_tensor():
    for pic in (PIL, PIXELS):
        t = transforms.ToTensor()(pic)
        assert t.shape == (3, 48, 64) and t.dtype == tg.float32 and float(t.max()) <= 1
        assert t.equal(FLOATS)
    grey = np.arange(6, dtype=np.uint8).reshape(2, 3)
    assert F.to_tensor(grey).shape == (1, 2, 3)
    assert F.to_tensor(np.ones((2, 3, 1))).dtype == tg.float64
    assert F.to_tensor(Image.fromarray(np.array([[0, 70000]], np.int32))).tolist() == [[[0, 70000]]]
    assert F.to_tensor(Image.fromarray(np.array([[True, False]]))).tolist() == [[[1, 0]]]
    assert F.pil_to_tensor(PIL).equal(BYTES)
    with pytest.raises(TypeError, match=r"pic should be a PIL image or ndarray\. Got Tensor"):
        F.to_tensor(FLOATS)
    with pytest.raises(ValueError, match=r"2/3 dimensional\. Got 4"):
        F.to_tensor(np.zeros((1, 1, 1, 1)))


def test_to_pil_image():
    for source in (BYTES, FLOATS, PIXELS):
        image = transforms.ToPILImage()(source)
        assert image.mode == "RGB" and np.array_equal(np.asarray(image), PIXELS)
    assert F.to_pil_image(BYTES[0]).mode == "L" and F.to_pil_image(tg.zeros(2, 4, 5)).mode == "LA"
    assert F.to_pil_image(tg.zeros(4, 4, 5, dtype=tg.uint8)).mode == "RGBA" and F.to_pil_image(FLOATS[:1], "F").mode == "F"
    hsv = F.to_pil_image(BYTES, "HSV")
    assert hsv.mode == "HSV" and np.array_equal(np.asarray(hsv), PIXELS)
    assert F.to_pil_image(np.full((2, 2), 300, np.int32)).getpixel((0, 0)) == 300
    for bad, error in (
        (tg.zeros(5, 2, 2), ValueError),
        (tg.zeros(2), ValueError),
        ([1], TypeError),
        (np.zeros((2, 2, 3)), TypeError),
    ):
        with pytest.raises(error, match="to_pil_image"):
            F.to_pil_image(bad)
    with pytest.raises(ValueError, match=r"incorrect mode \(L\) for 3 channels of uint8; use RGB or"):
        F.to_pil_image(BYTES, "L")


def test_normalize_of_the_course():
    """A08: mean 0.5, std (2, 1, 1) gives exactly (x - 0.5) / 2 in channel 0."""
    t = transforms.Normalize([0.5, 0.5, 0.5], [2, 1, 1])(FLOATS)
    assert t[0].equal((FLOATS[0] - 0.5) / 2) and t[2].equal(FLOATS[2] - 0.5)
    assert transforms.Normalize((0.5,), (0.5,))(FLOATS[None]).equal((FLOATS[None] - 0.5) / 0.5)
    own = FLOATS.clone()
    assert F.normalize(own, 0.5, 0.25, inplace=True) is own and own.equal((FLOATS - 0.5) / 0.25)
    for bad, error, text in (
        (PIL, TypeError, "use ToTensor first"),
        (BYTES, TypeError, "should be a float tensor. Got tilegrad.uint8"),
        (FLOATS[0], ValueError, r"\(\.\.\., C, H, W\). Got \(48, 64\)"),
    ):
        with pytest.raises(error, match=text):
            transforms.Normalize(0.5, 0.5)(bad)
    with pytest.raises(ValueError, match="std evaluated to zero"):
        F.normalize(FLOATS, 0, [1, 0, 1])
    with pytest.raises(ValueError, match="mean has 2 values for 3 channels"):
        F.normalize(FLOATS, [0, 0], 1)


def test_convert_image_dtype():
    x = transforms.ConvertImageDtype(tg.float32)(BYTES)
    assert x.equal(BYTES.float() / 255) and F.convert_image_dtype(x, tg.uint8).equal(BYTES)
    assert F.convert_image_dtype(tg.tensor([255], dtype=tg.uint8), tg.int32).tolist() == [255 * 2**23]
    assert F.convert_image_dtype(tg.tensor([2**31 - 1], dtype=tg.int32), tg.uint8).tolist() == [255]
    with pytest.raises(RuntimeError, match="cannot be performed safely"):
        F.convert_image_dtype(x, tg.int64)


# ---- geometry


def test_resize_of_the_course():
    """A09: 427 x 640 with Resize(512) gives (512, 767); a tuple is exact."""
    photo = Image.fromarray(RNG.integers(0, 256, (427, 640, 3), dtype=np.uint8))
    assert transforms.Resize(512)(photo).size == (767, 512)
    assert transforms.Resize((512, 512))(photo).size == (512, 512)
    assert tuple(transforms.Resize(512)(F.to_tensor(photo)).shape) == (3, 512, 767)
    assert F.resize(photo, 512, max_size=600).size == (600, 400) and F.resize(photo, [100]).size == (149, 100)
    with pytest.raises(ValueError, match="must be strictly greater"):
        F.resize(photo, 512, max_size=512)
    with pytest.raises(ValueError, match="only be passed if size specifies"):
        F.resize(photo, (5, 5), max_size=9)
    for size in (0, (1, 2, 3), (-1, 4)):
        with pytest.raises(ValueError, match="size should be a positive int"):
            F.resize(photo, size)
    with pytest.raises(ValueError, match="interpolation must be one of nearest, bilinear, bicubic, got 'magic'"):
        F.resize(photo, 5, "magic")
    with pytest.raises(TypeError, match="img should be a PIL image or a Tensor, got ndarray"):
        F.resize(PIXELS, 5)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("size", [(20, 30), (48, 17), (96, 100), (1, 1), (49, 65)])
def test_resize_agrees_with_pillow(interpolation, size):
    tensor, pil = F.resize(BYTES, size, interpolation), F.resize(PIL, size, transforms.InterpolationMode(interpolation))
    assert tensor.dtype == tg.uint8
    difference = np.abs(as_array(tensor).astype(int) - as_array(pil).astype(int))
    assert difference.max() <= 1  # Pillow computes with 8 bits of fraction


def test_resize_other_ways():
    x = tg.tensor([[0.0, 1.0, 2.0, 3.0]])
    assert F.resize(x, (1, 2), antialias=False).tolist() == [[0.5, 2.5]]
    assert F.resize(x, (1, 8), antialias=False)[0, :3].tolist() == [0.0, 0.25, 0.75]
    assert F.resize(x, (2, 2), "nearest").tolist() == [[0, 2], [0, 2]]
    batch = tg.rand(2, 5, 3, 9, 8)
    assert F.resize(batch, (4, 4)).shape == (2, 5, 3, 4, 4)
    assert gradcheck(lambda t: F.resize(t, (3, 7), "bicubic"), [tg.rand(1, 5, 4, dtype=tg.float64).requires_grad_()])
    with pytest.raises(ValueError, match="bicubic without antialias"):
        F.resize(x, (2, 2), "bicubic", antialias=False)


GEOMETRY = {
    "crop": lambda i: F.crop(i, 3, 5, 10, 20),
    "crop outside": lambda i: F.crop(i, -4, 50, 20, 30),
    "center_crop": lambda i: F.center_crop(i, (21, 32)),
    "center_crop larger": lambda i: F.center_crop(i, (60, 33)),
    "pad": lambda i: F.pad(i, (1, 2, 3, 4), 7),
    "pad two": lambda i: F.pad(i, (1, 2), padding_mode="edge"),
    "reflect": lambda i: F.pad(i, 5, padding_mode="reflect"),
    "symmetric": lambda i: F.pad(i, [5], padding_mode="symmetric"),
    "hflip": F.hflip,
    "vflip": F.vflip,
    "rotate 90": lambda i: F.rotate(i, 90, expand=True),
    "rotate 180": lambda i: F.rotate(i, 180),
    "translate": lambda i: F.affine(i, 0, (5, -7), 1.0, 0.0, fill=9),
    "invert": F.invert,
    "five_crop": lambda i: F.five_crop(i, 20)[3],
}


@pytest.mark.parametrize("name", sorted(GEOMETRY))
def test_tensors_and_pillow_agree_exactly(name):
    tensor, pil = GEOMETRY[name](BYTES), GEOMETRY[name](PIL)
    np.testing.assert_array_equal(as_array(tensor), as_array(pil))
    floats = GEOMETRY[name](FLOATS) if name not in ("pad", "translate", "invert") else None
    if floats is not None:
        np.testing.assert_allclose(as_array(floats) * 255, as_array(tensor), atol=1e-4)


@pytest.mark.parametrize("interpolation", ["nearest", "bilinear"])
def test_rotation_and_affine_agree_with_pillow(interpolation):
    middle = (slice(10, -10), slice(15, -15))
    for f in (
        lambda i: F.rotate(i, 30, interpolation),
        lambda i: F.rotate(i, -17.5, interpolation, center=(20, 30)),
        lambda i: F.affine(i, 20, (3, -2), 1.2, (5, -8), interpolation),
        lambda i: F.affine(i, -40, (0, 0), 0.9, 10, interpolation, center=(30, 20)),
    ):
        tensor, pil = as_array(f(BYTES)).astype(int), as_array(f(PIL)).astype(int)
        difference = np.abs(tensor - pil)[middle]
        assert np.mean(difference > (2 if interpolation == "bilinear" else 0)) < 0.02, difference.max()
    assert F.rotate(PIL, 30, expand=True).size == tuple(reversed(F.rotate(BYTES, 30, expand=True).shape[1:]))
    for _ in range(3):
        assert F.affine(PIL, 0, (0, 0), 1.0, 0.0).tobytes() == PIL.tobytes()
    with pytest.raises(ValueError, match=r"scale should be positive, got 0"):
        F.affine(PIL, 0, (0, 0), 0, 0)
    with pytest.raises(ValueError, match="take interpolation 'nearest' or 'bilinear'"):
        F.rotate(BYTES, 3, "bicubic")
    assert gradcheck(lambda t: F.rotate(t, 25, "bilinear"), [tg.rand(1, 5, 4, dtype=tg.float64).requires_grad_()])


def test_pad_errors():
    for action, message in (
        (lambda: F.pad(PIL, 1, padding_mode="wrap"), "either constant, edge, reflect or symmetric, got 'wrap'"),
        (lambda: F.pad(PIL, (1, 2, 3)), "not a 3 element tuple"),
        (lambda: F.pad(BYTES, -1), "negative padding -1"),
        (lambda: F.pad(BYTES, 48, padding_mode="reflect"), "a reflect border of 48 needs a longer edge than 48"),
    ):
        with pytest.raises(ValueError, match=message):
            action()


# ---- color

COLOR = {
    "brightness": (F.adjust_brightness, (0.0, 0.4, 1.0, 1.8)),
    "contrast": (F.adjust_contrast, (0.0, 0.5, 1.0, 1.6)),
    "saturation": (F.adjust_saturation, (0.0, 0.5, 1.0, 2.5)),
}


@pytest.mark.parametrize("name", sorted(COLOR))
def test_color_agrees_with_pillow(name):
    function, factors = COLOR[name]
    for factor in factors:
        tensor, pil = function(BYTES, factor), function(PIL, factor)
        assert np.abs(as_array(tensor).astype(int) - as_array(pil)).max() <= 2, factor
        np.testing.assert_allclose(as_array(function(FLOATS, factor)) * 255, as_array(tensor), atol=2.5)
        if factor == 1.0:
            assert tensor.equal(BYTES)
    with pytest.raises(ValueError, match=r"the factor \(-1\) is not non-negative"):
        function(BYTES, -1)


def test_hue_and_grey():
    red, green = (tg.tensor(c).reshape(3, 1, 1) for c in ([1.0, 0.0, 0.0], [0.0, 1.0, 0.0]))
    np.testing.assert_allclose(F.adjust_hue(red, 1 / 3).numpy(), green.numpy(), atol=1e-6)
    np.testing.assert_allclose(F.adjust_hue(green, -1 / 3).numpy(), red.numpy(), atol=1e-6)
    np.testing.assert_allclose(F.adjust_hue(FLOATS, 0.0).numpy(), FLOATS.numpy(), atol=1e-6)
    assert np.abs(as_array(F.adjust_hue(BYTES, 0.25)).astype(int) - as_array(F.adjust_hue(PIL, 0.25))).mean() < 3
    grey = F.rgb_to_grayscale(BYTES)
    assert grey.shape == (1, 48, 64) and np.abs(grey[0].numpy().astype(int) - np.asarray(F.rgb_to_grayscale(PIL))).max() <= 1
    assert transforms.Grayscale(3)(BYTES).shape == (3, 48, 64) and transforms.Grayscale(3)(PIL).mode == "RGB"
    assert F.adjust_saturation(grey, 2.0).equal(grey)
    for action, error in (
        (lambda: F.adjust_hue(BYTES, 0.6), ValueError),
        (lambda: F.rgb_to_grayscale(PIL, 2), ValueError),
        (lambda: F.adjust_contrast(tg.zeros(2, 4, 4), 1.0), TypeError),
    ):
        with pytest.raises(error):
            action()


# ---- composition and chance


def test_compose_is_the_chain():
    """A10: Compose equals calling one after the other, bit for bit."""
    steps = [transforms.Resize(20), transforms.ToTensor(), transforms.Normalize(0.5, 0.5)]
    x = PIL
    for step in steps:
        x = step(x)
    both = transforms.Compose(steps)
    assert both(PIL).equal(x)
    assert repr(both).splitlines()[0] == "Compose(" and "Normalize(mean=0.5, std=0.5)" in repr(both)
    assert pickle.loads(pickle.dumps(both))(PIL).equal(x)
    assert nn.Sequential(transforms.CenterCrop(10), transforms.Normalize(0.5, 0.5))(FLOATS).shape == (3, 10, 10)
    assert transforms.Lambda(lambda v: v + 1)(2) == 3
    with pytest.raises(TypeError, match="lambd should be callable, got int"):
        transforms.Lambda(3)


def test_random_crops_of_the_course():
    """A11: ten crops of 400 x 400, all different, all windows of the image."""
    photo = np.arange(427 * 640, dtype=np.int32).reshape(427, 640)
    crops = [transforms.RandomCrop(400)(tg.tensor(photo)[None])[0].numpy() for _ in range(10)]
    assert len({int(c[0, 0]) for c in crops}) == 10
    for c in crops:
        top, left = divmod(int(c[0, 0]), 640)
        assert c.shape == (400, 400) and np.array_equal(c, photo[top : top + 400, left : left + 400])
    with pytest.raises(ValueError, match=r"crop size \(500, 500\) is larger than input image size \(427, 640\)"):
        transforms.RandomCrop(500)(tg.tensor(photo)[None])
    assert transforms.RandomCrop(500, pad_if_needed=True)(tg.tensor(photo)[None]).shape == (1, 500, 500)
    assert transforms.RandomCrop((64, 64), padding=8, padding_mode="reflect")(PIL).size == (64, 64)


RANDOM = [
    transforms.RandomCrop(20),
    transforms.RandomResizedCrop(16),
    transforms.RandomHorizontalFlip(),
    transforms.RandomVerticalFlip(),
    transforms.RandomRotation(30),
    transforms.RandomRotation((10, 20), "bilinear", expand=True),
    transforms.RandomAffine(10, (0.2, 0.1), (0.8, 1.2), (-5, 5, -3, 3)),
    transforms.ColorJitter(0.4, 0.3, 0.2, 0.1),
    transforms.RandomGrayscale(0.5),
    transforms.RandomApply([transforms.Pad(3)], 0.5),
    transforms.RandomChoice([transforms.Pad(1), transforms.Pad(2), transforms.Pad(3)]),
    transforms.RandomOrder([transforms.Pad(1), transforms.CenterCrop(20), transforms.Pad(2)]),
]


@pytest.mark.parametrize("transform", RANDOM, ids=lambda t: type(t).__name__)
@pytest.mark.parametrize("image", [PIL, BYTES], ids=["pil", "tensor"])
def test_chance_varies_and_the_seed_repeats_it(transform, image):
    def draws():
        return [as_array(transform(image)).tobytes() for _ in range(12)]

    tg.manual_seed(4)
    first = draws()
    tg.manual_seed(4)
    assert draws() == first and 2 <= len(set(first)) <= 12
    assert type(transform).__name__ in repr(transform)


def test_probabilities():
    tg.manual_seed(0)
    flips = sum(transforms.RandomHorizontalFlip(0.3)(FLOATS).equal(F.hflip(FLOATS)) for _ in range(500))
    assert flips / 500 == pytest.approx(0.3, abs=0.06)
    assert all(transforms.RandomVerticalFlip(0.0)(BYTES) is BYTES for _ in range(20))
    picks = [transforms.RandomChoice([lambda x: 0, lambda x: 1], p=[1, 3])(None) for _ in range(800)]
    assert np.mean(picks) == pytest.approx(0.75, abs=0.05)
    shares = [
        h * w / (48 * 64)
        for _, _, h, w in (transforms.RandomResizedCrop.get_params(PIL, (0.2, 0.5), (0.9, 1.1)) for _ in range(300))
    ]
    assert min(shares) > 0.18 and max(shares) < 0.52 and np.std(shares) > 0.05


def test_random_erasing():
    tg.manual_seed(1)
    for value in (0, 5.0, (1, 2, 3), "random"):
        out = transforms.RandomErasing(1.0, value=value)(FLOATS)
        changed = (out != FLOATS).any(0).numpy()
        rows, columns = np.flatnonzero(changed.any(1)), np.flatnonzero(changed.any(0))
        area = (rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1) / changed.size
        assert changed[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].mean() > 0.98 and 0.01 < area < 0.4
        if value == (1, 2, 3):
            assert out[:, rows[0], columns[0]].tolist() == [1, 2, 3]
    own = FLOATS.clone()
    assert transforms.RandomErasing(1.0, inplace=True)(own) is own and transforms.RandomErasing(0.0)(own) is own
    with pytest.raises(ValueError, match="value has 2 entries for 3 channels"):
        transforms.RandomErasing(1.0, value=(1, 2))(FLOATS)
    with pytest.raises(ValueError, match="should be 'random', got 'noise'"):
        transforms.RandomErasing(value="noise")
    with pytest.raises(TypeError, match="use ToTensor first"):
        F.erase(PIL, 0, 0, 1, 1, 0)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: transforms.RandomHorizontalFlip(1.5), "between 0 and 1, got p=1.5"),
        (lambda: transforms.RandomRotation(-3), "If degrees is a single number, it must be non negative, got -3"),
        (lambda: transforms.ColorJitter(brightness=-1), "If brightness is a single number"),
        (lambda: transforms.ColorJitter(hue=0.7), "hue values should be between -0.5 and 0.5"),
        (lambda: transforms.ColorJitter(contrast=(2, 1)), r"contrast should be \(low, high\)"),
        (lambda: transforms.RandomAffine(0, translate=(2, 0)), "translation values should be between 0 and 1"),
        (lambda: transforms.RandomAffine(0, scale=(0, 1)), "scale values should be positive"),
        (lambda: transforms.RandomAffine(0, shear=(1, 2, 3)), "a number or 2 or 4 values"),
        (lambda: transforms.RandomCrop((1, 2, 3)), "a positive int or"),
        (lambda: transforms.RandomChoice([str], [1, 2]), "1 transforms but 2 weights"),
        (lambda: F.five_crop(PIL, 50), r"\(50, 50\) is bigger than input size \(48, 64\)"),
    ],
)
def test_errors(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# ---- with a loader


def test_batches_of_bytes_are_transformed_at_once(tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    write_idx(folder / "train-images-idx3-ubyte", RNG.integers(0, 256, (9, 28, 28), dtype=np.uint8))
    write_idx(folder / "train-labels-idx1-ubyte", np.arange(9, dtype=np.uint8))
    plain = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.1307,), (0.3081,))])
    data = MNIST(tmp_path, transform=plain)
    fast = data.get_batch([3, 1])
    slow = [tg.stack([data[3][0], data[1][0]]), tg.tensor([3, 1])]
    assert fast[0].equal(slow[0]) and fast[1].equal(slow[1]) and fast[0].shape == (2, 1, 28, 28)
    assert len(list(DataLoader(data, batch_size=4, num_workers=2))) == 3
    for other in (None, transforms.Compose([transforms.ToTensor(), transforms.RandomCrop(20)]), transforms.Compose([])):
        assert MNIST(tmp_path, transform=other).get_batch([0]) is None
    image = MNIST(tmp_path, transform=transforms.ToTensor()).get_batch([0])[0][0]
    assert image.equal(F.to_tensor(data.data[0].numpy()))
