"""Pictures in and out: copies, views, formats, tensors."""

import gc
import pickle
from fractions import Fraction

import numpy as np
import pytest

import vidloom as vl


def gradient(height=48, width=64):
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([x * 3 % 256, y * 5 % 256, (x + y) % 256], axis=2).astype(np.uint8)


def test_an_rgb_array_comes_back_as_it_went_in():
    array = gradient()
    frame = vl.Frame.from_array(array)
    assert frame.size == (64, 48)
    np.testing.assert_array_equal(frame.image("rgb").numpy(), array)
    np.testing.assert_array_equal(frame.image("bgr").numpy(), array[..., ::-1])
    np.testing.assert_array_equal(vl.Frame.from_array(array[..., ::-1], "bgr").image("rgb").numpy(), array)


def test_arrays_are_copied_whatever_their_strides():
    array = gradient(96, 128)
    for view in (array[::2, ::2], array[::-1], array[:, ::-1], np.asfortranarray(array), array.transpose(1, 0, 2)):
        frame = vl.Frame.from_array(view)
        expected = view.copy()
        np.testing.assert_array_equal(frame.image().numpy(), expected)
    frame = vl.Frame.from_array(array)
    before = frame.image().numpy().copy()
    array[:] = 0
    np.testing.assert_array_equal(frame.image().numpy(), before)


def test_gray_arrays_are_luma():
    array = gradient()[..., 0]
    frame = vl.Frame.from_array(array)
    np.testing.assert_array_equal(frame.luma(), array)
    np.testing.assert_array_equal(frame.image("gray").numpy(), array)
    colour = frame.image("rgb").numpy()
    assert colour.shape == (48, 64, 3)
    np.testing.assert_array_equal(colour[..., 0], colour[..., 2])
    np.testing.assert_array_equal(vl.Frame.from_array(array[..., None]).luma(), array)


@pytest.mark.parametrize(
    ("picture", "options", "words"),
    [
        (np.zeros((4, 4, 3)), {}, ["float64", "uint8"]),
        (np.zeros((4, 4, 4), np.uint8), {}, ["(4, 4, 4)", "(height, width, 3)"]),
        (np.zeros(4, np.uint8), {}, ["(4,)"]),
        (np.zeros((0, 4, 3), np.uint8), {}, ["(0, 4, 3)"]),
        (np.zeros((4, 4, 3), np.uint8), {"format": "rgba"}, ["rgba", "'rgb'"]),
        (np.zeros((4, 4, 3), np.uint8), {"format": "gray"}, ["gray", "(height, width)"]),
        (np.zeros((4, 4, 3), np.uint8), {"pts": 1, "time_base": (0, 1)}, ["time_base", "(0, 1)"]),
        ("text", {}, ["uint8"]),
    ],
)
def test_other_arrays_are_refused_with_what_to_use(picture, options, words):
    with pytest.raises(vl.ConfigError) as caught:
        vl.Frame.from_array(picture, **options)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_time_fields():
    frame = vl.Frame.from_array(gradient(), pts=90_000, time_base=Fraction(1, 90_000))
    assert (frame.pts, frame.time_base, frame.media_time) == (90_000, (1, 90_000), 1.0)
    assert frame.clock == "none" and frame.captured_at is None and frame.health == "ok"
    assert vl.Frame.from_array(gradient(), pts=50).media_time == 2.0
    moved = frame.with_time(3, (1, 10))
    assert (moved.pts, moved.media_time) == (3, 0.3) and frame.pts == 90_000


def test_pictures_are_read_only_and_outlive_their_frame():
    picture = vl.Frame.from_array(gradient()).image().numpy()
    luma = vl.Frame.from_array(gradient()[..., 0]).luma()
    gc.collect()
    np.testing.assert_array_equal(picture, gradient())
    np.testing.assert_array_equal(luma, gradient()[..., 0])
    for array in (picture, luma):
        assert not array.flags.writeable
        with pytest.raises(ValueError):
            array[0] = 0
        with pytest.raises(ValueError):
            array.flags.writeable = True


def test_an_image_is_a_buffer_and_exports_fresh_copies():
    image = vl.Frame.from_array(gradient()).image()
    view = memoryview(image)
    assert view.readonly and view.shape == (48, 64, 3)
    np.testing.assert_array_equal(np.asarray(image), gradient())
    first, second = np.from_dlpack(image), np.from_dlpack(image)
    np.testing.assert_array_equal(first, gradient())
    if first.flags.writeable:
        first[:] = 0
    np.testing.assert_array_equal(second, gradient())
    np.testing.assert_array_equal(image.numpy(), gradient())
    assert image.__dlpack_device__() == (1, 0)


def test_a_smaller_image_maps_its_boxes_back():
    frame = vl.Frame.from_array(gradient(480, 640))
    small = frame.image("bgr", size=(320, 120))
    assert small.size == (320, 120) and small.numpy().shape == (120, 320, 3)
    np.testing.assert_allclose(small.to_display([[0, 0, 320, 120], [10, 10, 20, 20]]), [[0, 0, 640, 480], [20, 40, 40, 80]])
    np.testing.assert_allclose(small.to_display([10, 10, 20, 20]), [20, 40, 40, 80])
    assert small.to_display(np.zeros((0, 4))).shape == (0, 4)
    with pytest.raises(vl.ConfigError, match=r"\(N, 4\)"):
        small.to_display([1, 2, 3])


def test_modes_and_filters_are_named_and_checked():
    source = vl.open_source("test:size=320x180,frames=1")
    frame = next(iter(source))
    exact = frame.tensor(64)
    assert np.abs(frame.tensor(64, mode="fast") - exact).mean() < 0.02
    assert np.abs(frame.tensor(64, mode="opencv_compat", filter="bilinear") - exact).max() > 0.05
    assert not np.array_equal(frame.tensor(64, filter="bilinear"), exact)
    assert frame.image("bgr", mode="opencv_compat").shape == (180, 320, 3)
    assert frame.image("bgr", (160, 90), filter="bilinear").size == (160, 90)
    with pytest.raises(vl.ConfigError, match="mode is 'opencv'; use 'exact', 'fast' or 'opencv_compat'"):
        frame.tensor(64, mode="opencv")
    with pytest.raises(vl.ConfigError, match="filter is 'nearest'; use 'bicubic' or 'bilinear'"):
        frame.image(filter="nearest")


def test_conversions_are_counted():
    frame = vl.Frame.from_array(np.zeros((48, 64, 3), np.uint8))
    before = vl.imaging_stats()
    frame.tensor(16)
    frame.image()
    frame.image()
    frame.image(size=(32, 24))
    after = vl.imaging_stats()
    assert after["converted"] - before["converted"] == 3
    assert after["rgb_full_size"] - before["rgb_full_size"] == 1


def test_tensors_are_channels_first_and_scaled():
    flat = np.empty((100, 200, 3), np.uint8)
    flat[:] = (255, 51, 0)
    frame = vl.Frame.from_array(flat)
    tensor = frame.tensor(32)
    assert tensor.shape == (3, 32, 32) and tensor.dtype == np.float32
    np.testing.assert_allclose(tensor[:, 16, 16], [1.0, 0.2, 0.0], atol=0.005)
    np.testing.assert_allclose(
        frame.tensor((64, 32), fit="stretch", mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))[:, 5, 5], [1.0, -0.6, -1.0], atol=0.01
    )
    boxed = frame.tensor((64, 64), fit="letterbox", dtype="uint8")
    assert boxed.dtype == np.uint8 and boxed.shape == (3, 64, 64)
    assert abs(int(boxed[0, 0, 0]) - 114) <= 1 and abs(int(boxed[0, 32, 32]) - 255) <= 1
    assert frame.tensor(32, dtype="float16").dtype == np.float16
    np.testing.assert_allclose(frame.tensor(32, dtype="float16").astype(np.float32), tensor, atol=1e-3)
    for bad in ({"fit": "crop"}, {"dtype": "int8"}, {"std": (0, 1, 1)}):
        with pytest.raises(vl.ConfigError, match=next(iter(bad))):
            frame.tensor(32, **bad)
    with pytest.raises(vl.ConfigError, match="size"):
        frame.tensor((0, 32))


def test_a_frame_stays_in_its_process():
    with pytest.raises(TypeError):
        pickle.dumps(vl.Frame.from_array(gradient()))
