"""The similarities: against independent implementations, at the truth, lane by lane, and under the rule for overlap."""

import numpy as np
import pytest
import scipy.stats
from scipy import ndimage
from scipy.interpolate import BSpline

from regenv.core.geometry import Grid
from regenv.core.image import Image
from regenv.core.resample import array_addresses, index_matrices, orthogonal_planes, render_with_sums, volume_planes
from regenv.core.similarity import SIMILARITIES, get_similarity
from regenv.core.similarity._base import with_overlap
from regenv.poses import get_model

NAMES = tuple(SIMILARITIES)
VIEWS = {"planes": (False, (3, 30, 31)), "volume": (True, (18, 20, 22))}


def _pair(shape, seed=0, lanes=1):
    """Smooth structures with a little noise in [0, 1]; the moved image is a distorted copy of the fixed."""
    rng = np.random.default_rng(seed)
    smooth = np.stack([ndimage.gaussian_filter(rng.random(shape), (0, 2, 2)) for _ in range(lanes)])
    fixed = (smooth - smooth.min()) / np.ptp(smooth)
    moved = np.clip(0.8 * fixed + 0.1 + 0.05 * rng.standard_normal(fixed.shape), 0, 1)
    return fixed.astype(np.float32), moved.astype(np.float32)


def _interior(shape, volumetric, margin):
    mask = np.zeros((1, *shape), np.uint8)
    inner = slice(margin, -margin)
    mask[0, inner if volumetric else slice(None), inner, inner] = 1
    return mask


def _per_image(volumetric, function, *images):
    """Applies a function to the volume, or to each plane, and stacks the results as (S, H, W)."""
    if volumetric:
        return function(*images)
    return np.stack([function(*planes) for planes in zip(*images, strict=True)])


@pytest.fixture(params=VIEWS)
def view(request):
    """One lane: fixed, moved, all valid, volumetric or not."""
    volumetric, shape = VIEWS[request.param]
    fixed, moved = _pair(shape)
    return fixed, moved, np.ones_like(fixed, np.uint8), volumetric


def _value(name, view, mask=None, **options):
    fixed, moved, ones, volumetric = view
    return get_similarity(name, **options).evaluate(fixed, moved, ones if mask is None else mask, ones, volumetric)[0]


def test_ssd_is_the_negated_mean_square(view):
    assert _value("ssd", view) == pytest.approx(-np.mean((view[0].astype(float) - view[1]) ** 2), rel=1e-9)


def test_truncated_ssd_counts_no_pixel_for_more_than_one_off_by_the_limit(view):
    square = (view[0].astype(float) - view[1]) ** 2
    assert 0.05 < (square > 0.1**2).mean() < 0.95
    assert _value("truncated_ssd", view) == pytest.approx(-np.minimum(square / 0.1**2, 1).mean(), rel=1e-9)
    assert _value("truncated_ssd", view, limit=2.0) == pytest.approx(_value("ssd", view) / 4, rel=1e-9)


def test_ncc_is_pearsons_correlation(view):
    assert _value("ncc", view) == pytest.approx(np.corrcoef(view[0].ravel(), view[1].ravel())[0, 1], abs=1e-9)


def _entropies_by_splines(fixed, moved, bins):
    kernel = BSpline.basis_element(np.arange(-2, 3), extrapolate=False)
    position = 1 + moved.ravel().astype(float) * (bins - 3)
    window = np.nan_to_num(kernel(np.arange(bins) - position[:, None]))
    rows = np.eye(bins)[np.minimum((fixed.ravel().astype(float) * bins).astype(int), bins - 1)]
    joint = rows.T @ window
    entropy = scipy.stats.entropy
    return entropy(joint.sum(1)), entropy(joint.sum(0)), entropy(joint.ravel())


@pytest.mark.parametrize("bins", [16, 32])
def test_mi_and_nmi_come_from_the_parzen_histogram(view, bins):
    f, m, joint = _entropies_by_splines(view[0], view[1], bins)
    assert _value("mi", view, bins=bins) == pytest.approx(f + m - joint, abs=1e-9)
    assert _value("nmi", view, bins=bins) == pytest.approx((f + m) / joint, abs=1e-9)


def test_mi_is_near_that_of_a_plain_histogram():
    rng = np.random.default_rng(0)
    fixed = rng.random((1, 3, 256, 256), dtype=np.float32)
    moved = (0.5 * fixed + 0.5 * rng.random(fixed.shape, dtype=np.float32)).astype(np.float32)
    counts = np.histogram2d(fixed.ravel(), moved.ravel(), bins=32, range=((0, 1), (0, 1)))[0]
    entropy = scipy.stats.entropy
    plain = entropy(counts.sum(0)) + entropy(counts.sum(1)) - entropy(counts.ravel())
    ones = np.ones(fixed.shape, np.uint8)
    assert _value("mi", (fixed, moved, ones, False)) == pytest.approx(
        plain, rel=0.1
    )  # the window smooths a little away


def test_lncc_is_the_mean_squared_correlation_of_windows(view):
    fixed, moved, _, volumetric = view

    def squared(f, m):
        def mean(a):
            return ndimage.uniform_filter(a, 9, mode="constant")

        covariance = mean(f * m) - mean(f) * mean(m)
        return covariance**2 / ((mean(f * f) - mean(f) ** 2) * (mean(m * m) - mean(m) ** 2))

    local = _per_image(volumetric, squared, fixed[0].astype(float), moved[0].astype(float))
    mask = _interior(local.shape, volumetric, 4)
    assert _value("lncc", view, mask) == pytest.approx(local[mask[0] != 0].mean(), abs=1e-9)


def test_ssim_is_scikit_images(view):
    metrics = pytest.importorskip("skimage.metrics")
    fixed, moved, _, volumetric = view

    def full(f, m):
        return metrics.structural_similarity(
            f, m, gaussian_weights=True, sigma=1.5, use_sample_covariance=False, data_range=1.0, full=True
        )[1]

    local = _per_image(volumetric, full, fixed[0].astype(float), moved[0].astype(float))
    mask = _interior(local.shape, volumetric, 5)
    assert _value("ssim", view, mask) == pytest.approx(local[mask[0] != 0].mean(), abs=1e-7)


def test_ngf_is_the_damped_squared_cosine_of_central_differences(view):
    fixed, moved, _, volumetric = view

    def squared(f, m):
        f, m = np.stack(np.gradient(f)), np.stack(np.gradient(m))
        return (f * m).sum(0) ** 2 / (((f**2).sum(0) + 0.05**2) * ((m**2).sum(0) + 0.05**2))

    local = _per_image(volumetric, squared, fixed[0].astype(float), moved[0].astype(float))
    inner = _interior(local.shape, volumetric, 1)[0] != 0
    assert _value("ngf", view, edge=0.05) == pytest.approx(local[inner].mean(), rel=1e-5)


def test_gradient_correlation_is_that_of_sobel_derivatives(view):
    fixed, moved, _, volumetric = view
    inner = _interior(fixed.shape[1:], volumetric, 1)[0] != 0
    values = []
    for axis in range(3 if volumetric else 2):
        f, m = (
            _per_image(volumetric, lambda image: ndimage.sobel(image, axis), image[0].astype(float))  # noqa: B023
            for image in (fixed, moved)
        )
        values.append(np.corrcoef(f[inner], m[inner])[0, 1])
    assert _value("gradient_correlation", view) == pytest.approx(np.mean(values), abs=1e-6)


def test_mind_is_the_difference_of_self_similarities(view):
    fixed, moved, _, volumetric = view
    taps = np.exp(-0.5 * (np.arange(-1, 2) / 0.5) ** 2)
    taps /= taps.sum()
    axes = (0, 1, 2) if volumetric else (1, 2)

    def describe(image):
        image = np.pad(image.astype(float), 1, mode="edge")
        distances = []
        for axis in axes:
            for shift in (1, -1):
                square = ((image - np.roll(image, shift, axis)) ** 2)[1:-1, 1:-1, 1:-1]
                for smoothed in axes:
                    square = ndimage.correlate1d(square, taps, smoothed, mode="constant")
                distances.append(square)
        distances = np.stack(distances)
        variance = distances.mean(0)
        typical = variance.mean()
        descriptors = np.exp(-distances / np.clip(variance, 1e-3 * typical, 1e3 * typical))
        return descriptors / descriptors.max(0)

    inner = _interior(fixed.shape[1:], volumetric, 2)[0] != 0
    difference = np.abs(describe(fixed[0]) - describe(moved[0])).mean(0)
    assert _value("mind", view) == pytest.approx(-difference[inner].mean(), abs=1e-6)


def _patch(shape, centre, radius, volumetric):
    """The pixels of the patch around one, cut off at the ends."""
    reach = (radius if volumetric else 0, radius, radius)
    return tuple(slice(max(c - r, 0), min(c + r + 1, n)) for c, r, n in zip(centre, reach, shape, strict=True))


def _lc2_by_least_squares(fixed, moved, mask, valid, volumetric, radius=2):
    gradient = _per_image(volumetric, lambda image: np.sqrt(sum(d**2 for d in np.gradient(image))), moved)
    neighbours = ndimage.generate_binary_structure(3 if volumetric else 2, 1)
    seen = _per_image(volumetric, lambda v: ndimage.binary_erosion(v, neighbours), valid)
    inside = _interior(fixed.shape, volumetric, 1)[0] & mask
    size = (2 * radius + 1) ** (3 if volumetric else 2)
    total = explained = 0.0
    for pixel in zip(*np.nonzero(mask), strict=True):
        box = _patch(fixed.shape, pixel, radius, volumetric)
        whole = inside[box] != 0
        if 2 * whole.sum() < size:
            continue
        weight = fixed[box][whole].std()
        total += weight
        part = whole & seen[box]
        if 2 * part.sum() >= size:
            u = fixed[box][part]
            terms = np.stack([moved[box][part], gradient[box][part], np.ones(part.sum())], axis=1)
            left = u - terms @ np.linalg.lstsq(terms, u, rcond=None)[0]
            explained += weight * (1 - left.var() / u.var())
    return explained / total


def test_lc2_is_the_variance_that_a_fit_of_each_patch_explains(view):
    fixed, moved, _, volumetric = view
    rng = np.random.default_rng(4)
    moved = np.clip(moved + 0.2 * rng.random(moved.shape), 0, 1).astype(np.float32)
    mask, valid = np.zeros(fixed.shape, np.uint8), np.ones(fixed.shape, np.uint8)
    mask[0, 2 if volumetric else 0 :, 3:14, 5:20] = 1
    valid[0, :, :6] = 0
    expected = _lc2_by_least_squares(*(a[0].astype(float) for a in (fixed, moved)), mask[0], valid[0], volumetric)
    similarity = get_similarity("lc2", window=5, flat=1e-12)
    assert similarity.evaluate(fixed, moved, mask, valid, volumetric)[0] == pytest.approx(expected, abs=1e-6)


def test_lc2_sees_echoes_of_interfaces_and_nothing_outside_the_sector():
    """A fixed image of edges alone is explained by the gradient, and what is beyond its mask is of no account."""
    disc = np.hypot(*np.mgrid[-32:32, -32:32]) < 15
    moved = ndimage.gaussian_filter(disc.astype(np.float32), 1.5)[None, None]
    fixed = np.sqrt(sum(d**2 for d in np.gradient(moved[0, 0])))[None, None].astype(np.float32)
    mask, ones = np.zeros(fixed.shape, np.uint8), np.ones(fixed.shape, np.uint8)
    mask[..., 12:52, 12:52] = 1
    similarity = get_similarity("lc2")
    value = similarity.evaluate(fixed, moved, mask, ones)[0]
    assert value > 0.95
    assert get_similarity("lncc").evaluate(fixed, moved, mask, ones)[0] < 0.6
    cut = np.where(mask != 0, fixed, 0).astype(np.float32)
    assert similarity.evaluate(cut, moved, mask, ones)[0] == value


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", VIEWS)
def test_values_are_in_range_and_best_for_equal_images(name, kind):
    volumetric, shape = VIEWS[kind]
    fixed, moved = _pair(shape)
    unrelated, _ = _pair(shape, seed=9)
    ones = np.ones_like(fixed, np.uint8)
    similarity = get_similarity(name)
    equal, near, far = (similarity.evaluate(fixed, m, ones, ones, volumetric)[0] for m in (fixed, moved, unrelated))
    low, high = similarity.range
    assert low <= far < near < equal <= high + 1e-12
    if name in ("ncc", "ssd", "truncated_ssd", "ssim", "mind", "gradient_correlation"):
        assert equal == pytest.approx(high, abs=1e-6)


def _blobs(seed=3):
    rng = np.random.default_rng(seed)
    shape = (40, 44, 48)
    array = np.zeros(shape)
    z, y, x = np.meshgrid(*[np.arange(n) for n in shape], indexing="ij")
    for _ in range(25):
        c, r = rng.uniform(8, 34, 3), rng.uniform(2, 7, 3)
        inside = ((z - c[0]) / r[0]) ** 2 + ((y - c[1]) / r[1]) ** 2 + ((x - c[2]) / r[2]) ** 2
        array[inside < 1] = rng.uniform(0.2, 1)
    array = ndimage.gaussian_filter(array, 1.0)
    return Image((array / array.max()).astype(np.float32), Grid.centred(shape[::-1], (2.0, 2.0, 2.0)))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("volumetric", [False, True])
def test_peaks_at_the_truth(name, volumetric):
    """Along every degree of freedom, and for random poses, nothing is better than the truth."""
    image = _blobs()
    grid = Grid.centred((24,) * 3, (3.0,) * 3)
    model = get_model("rigid", 3)
    s = np.concatenate([np.zeros((1, 6)), *[sign * size * np.eye(6) for size in (1, 3, 8) for sign in (1, -1)]])
    s = np.concatenate([s, np.random.default_rng(0).uniform(-25, 25, (40, 6))])
    planes = volume_planes(grid.size) if volumetric else orthogonal_planes(grid.size)
    shape = (len(s), len(planes), 24, 24)
    addresses, shapes = array_addresses([image.array] * len(s))
    matrices = index_matrices(image.grid, model.exp(s), grid)
    moved, valid, mask = np.empty(shape, np.float32), np.empty(shape, np.uint8), np.ones(shape, np.uint8)
    sums, zeros = np.empty((len(s), 7)), np.zeros(len(s), np.float32)
    render_with_sums(addresses, shapes, matrices, planes, zeros, moved, valid, np.zeros_like(moved), mask, sums)
    fixed = np.repeat(moved[:1], len(s), axis=0)
    render_with_sums(addresses, shapes, matrices, planes, zeros, moved, valid, fixed, mask, sums)
    similarity = get_similarity(name)
    values = similarity.evaluate(fixed, moved, mask, valid, volumetric)
    assert values.argmax() == 0
    assert (values[1:] < values[0]).all()
    for k in range(6):
        one, three, eight = (values[1 + 12 * size + k] for size in range(3))
        assert one > three > eight  # the slope leads back
    if similarity.has_sums:
        state = similarity.prepare(fixed, mask, volumetric)
        np.testing.assert_allclose(similarity.from_sums(sums, state), values, atol=1e-9)
    else:
        with pytest.raises(TypeError, match="use evaluate"):
            similarity.from_sums(sums)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", VIEWS)
def test_a_lane_alone_has_the_same_bits_as_in_a_batch_and_threads_change_none(name, kind):
    volumetric, shape = VIEWS[kind]
    fixed, moved = _pair(shape, lanes=5)
    rng = np.random.default_rng(1)
    mask, valid = ((rng.random(fixed.shape) < 0.98).astype(np.uint8) for _ in range(2))
    valid[1] = 0
    similarity = get_similarity(name)
    state = similarity.prepare(fixed, mask, volumetric)
    together = similarity.evaluate(fixed, moved, mask, valid, volumetric, state, threads=1)
    assert len(state) == 5
    assert len(np.unique(together)) == 5
    assert np.array_equal(similarity.evaluate(fixed, moved, mask, valid, volumetric, state, threads=2), together)
    for b in range(5):
        one = slice(b, b + 1)
        alone = similarity.evaluate(fixed[one], moved[one], mask[one], valid[one], volumetric)
        assert alone[0] == together[b]
        given = similarity.evaluate(fixed[one], moved[one], mask[one], valid[one], volumetric, state[one])
        assert given[0] == together[b]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("kind", VIEWS)
def test_no_overlap_and_constant_images_give_the_floor(name, kind):
    volumetric, shape = VIEWS[kind]
    fixed, moved = _pair(shape)
    ones, zeros = np.ones_like(fixed, np.uint8), np.zeros_like(fixed, np.uint8)
    constant = np.full_like(fixed, 0.5)
    similarity = get_similarity(name)
    floor = similarity.floors(similarity.prepare(fixed, ones, volumetric), 1)[0]
    assert similarity.evaluate(fixed, moved, ones, zeros, volumetric)[0] == floor
    assert similarity.evaluate(fixed, moved, zeros, ones, volumetric)[0] == similarity.floors(
        similarity.prepare(fixed, zeros, volumetric), 1
    )
    sliver = zeros.copy()
    sliver[0, 0, 0, :1] = 1
    assert np.isfinite(similarity.evaluate(fixed, moved, ones, sliver, volumetric)[0])
    if name not in ("ssd", "truncated_ssd"):  # the squared difference of a constant image is defined
        assert similarity.evaluate(fixed, constant, ones, ones, volumetric)[0] == floor
        assert similarity.evaluate(constant, moved, ones, ones, volumetric)[0] == floor


@pytest.mark.parametrize("name", NAMES)
def test_below_half_overlap_the_value_goes_to_the_floor(name):
    fixed, _ = _pair((3, 30, 40))
    ones = np.ones_like(fixed, np.uint8)
    similarity = get_similarity(name)
    floor = similarity.floors(similarity.prepare(fixed, ones), 1)[0]
    values = []
    for columns in (40, 20, 10, 8, 0):
        valid = np.zeros_like(ones)
        valid[..., :columns] = 1
        values.append(similarity.evaluate(fixed, fixed, ones, valid)[0])
    excess = np.array(values) - floor
    assert (np.diff(excess[1:]) < 0).all()
    assert excess[-1] == 0
    if name in (
        "ncc",
        "ssd",
        "truncated_ssd",
        "ssim",
        "gradient_correlation",
        "mind",
    ):  # equal images: full marks times o / 0.5
        np.testing.assert_allclose(excess[:3] / excess[0], [1, 1, 0.5], atol=1e-6)


def test_the_rule_itself():
    values = with_overlap(
        np.array([0.8, 0.8, 0.8, np.nan, 0.8]),
        np.stack([np.full(5, 100.0), [100.0, 50.0, 25.0, 80.0, 0.0]], axis=1),
        np.array([-1.0, -1.0, -1.0, -1.0, -1.0]),
    )
    np.testing.assert_allclose(values, [0.8, 0.8, 0.5 * 0.8 - 0.5, -1, -1])
    assert values[0] == 0.8


def test_registry_and_errors():
    known = {"gradient_correlation", "lc2", "lncc", "mi", "mind", "ncc", "ngf", "nmi", "ssd", "ssim", "truncated_ssd"}
    assert known <= set(NAMES)
    assert {name: SIMILARITIES[name].name for name in NAMES} == {name: name for name in NAMES}
    assert get_similarity("lncc", window=5).window == 5
    with pytest.raises(ValueError, match="did you mean 'ncc'"):
        get_similarity("nccc")
    with pytest.raises(ValueError, match="no option 'windows'; its options: window, flat"):
        get_similarity("lncc", windows=5)
    with pytest.raises(ValueError, match="odd"):
        get_similarity("lncc", window=4)
    with pytest.raises(ValueError, match="window of lc2 must be odd"):
        get_similarity("lc2", window=8)
    with pytest.raises(ValueError, match="flat of lc2 must be positive"):
        get_similarity("lc2", flat=0.0)
    with pytest.raises(ValueError, match="at least 8 bins, got 2"):
        get_similarity("mi", bins=2)
    for name, option in (("ngf", "edge"), ("truncated_ssd", "limit")):
        with pytest.raises(ValueError, match="positive"):
            get_similarity(name, **{option: 0.0})
    with pytest.raises(ValueError, match="state of prepare"):
        get_similarity("ssd").from_sums(np.ones((1, 7)))
    fixed, moved = _pair((3, 8, 8))
    with pytest.raises(ValueError, match=r"must all be \(B, S, H, W\)"):
        get_similarity("ncc").evaluate(fixed, moved[:, :2], fixed, fixed)


@pytest.mark.parametrize("name", NAMES)
def test_every_page_states_mask_range_direction_and_source(name):
    page = type(get_similarity(name)).__doc__
    for word in ("Mask:", "Range [", "larger is better", "Unrelated images:", "Source:"):
        assert word in " ".join(page.split()), word
