"""vl.torch: frames as torch tensors, beside every other package that brings an FFmpeg or an OpenCV."""

from __future__ import annotations

import concurrent.futures
import itertools
import json

import numpy as np
import pytest

import vidloom as vl

torch = pytest.importorskip("torch", reason="torch is not installed: pip install -r tests/support/requirements-tests.txt")


@pytest.fixture(scope="module")
def frames() -> list[vl.Frame]:
    return list(vl.open_source("test:size=320x240,frames=5"))


SPECS = [
    {"fit": "centre_crop"},
    {"fit": "letterbox", "dtype": "float16"},
    {"fit": "stretch", "dtype": "uint8"},
    {"mean": (0.48, 0.46, 0.41), "std": (0.27, 0.26, 0.28), "dtype": "bfloat16"},
]


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: "-".join(map(str, spec.values())))
def test_a_tensor_holds_the_numbers_of_frame_tensor(frames, spec):
    made = vl.torch.tensor(frames[0], (64, 48), **spec)
    expected = frames[0].tensor((64, 48), **spec)
    assert made.shape == (3, 48, 64) and made.is_contiguous() and made.device.type == "cpu"
    assert str(made.dtype) == "torch." + spec.get("dtype", "float32")
    assert made.float().std() > (20 if spec.get("dtype") == "uint8" else 0.1)
    bits = made.view(torch.uint16) if made.dtype == torch.bfloat16 else made
    np.testing.assert_array_equal(bits.numpy(), expected)


def test_several_frames_make_one_batch(frames):
    batch = vl.torch.tensor(iter(frames), 32, dtype=torch.float32)
    assert batch.shape == (5, 3, 32, 32)
    for one, frame in zip(batch, frames, strict=True):
        assert torch.equal(one, vl.torch.tensor(frame, 32))
    assert not torch.equal(batch[0], batch[4])
    assert vl.torch.tensor([], 32).shape == (0, 3, 32, 32)
    assert vl.torch.tensor(frames[:1], 32).shape == (1, 3, 32, 32)


def test_boxes_find_back_to_the_display(frames):
    made, maps = vl.torch.tensor_and_map(frames, 96)  # 320x240: the middle 240x240
    assert made.shape == (5, 3, 96, 96) and maps.shape == (5, 2, 3)
    corner = maps[0] @ torch.tensor([96.0, 96.0, 1.0])
    assert torch.allclose(corner, torch.tensor([280.0, 240.0]), atol=0.5)
    one, place = vl.torch.tensor_and_map(frames[0], (32, 32), fit="letterbox")
    assert one.shape == (3, 32, 32)
    assert torch.allclose(place @ torch.tensor([0.0, 4.0, 1.0]), torch.zeros(2), atol=1e-4)


def test_wrong_arguments_are_named(frames):
    for bad, words in (
        ({"size": (0, 32)}, "size"),
        ({"size": 32, "fit": "crop"}, "fit is 'crop'"),
        ({"size": 32, "dtype": torch.int8}, "dtype is 'int8'"),
        ({"size": 32, "std": (0, 1, 1)}, "std"),
        ({"size": 32, "device": "gpu"}, "device is 'gpu'; use 'cpu', 'cuda'"),
    ):
        with pytest.raises(vl.ConfigError, match=words):
            vl.torch.tensor(frames[0], **bad)
    with pytest.raises(vl.ConfigError, match=r"frame 1 is of type ndarray; use vidloom\.Frame"):
        vl.torch.tensor([frames[0], np.zeros((4, 4, 3), np.uint8)], 32)


def test_without_a_gpu_cuda_is_answered_in_one_sentence(frames):
    if torch.cuda.is_available():
        on_gpu = vl.torch.tensor(frames, 64, device="cuda")
        assert torch.allclose(on_gpu.cpu(), vl.torch.tensor(frames, 64), atol=1 / 255)
        return
    with pytest.raises(vl.NotBuiltError, match=r"device is 'cuda', but torch 2\.\S+ sees no CUDA device here; use device='cpu'"):
        vl.torch.tensor(frames[0], 32, device="cuda")


def test_doctor_says_which_torch_the_component_has(python):
    # A process of its own: the question loads the component, and the answer is the same before and after `import torch`.
    script = """
import vidloom as vl
before = vl.doctor()["components"]["torch"]
import torch
assert before["loaded"], before
assert before["detail"].startswith("torch " + torch.__version__.split("+")[0] + ", with"), before
assert vl.doctor()["components"]["torch"] == before
assert torch.ones(3, 3).mm(torch.ones(3, 3)).sum() == 27
"""
    done = python(script, timeout=60)
    assert done.returncode == 0, done.stderr


def test_without_torch_the_line_that_installs_it(python):
    done = python(
        """
import sys
sys.modules["torch"] = None
import numpy, vidloom as vl
try:
    vl.torch.tensor(vl.Frame.from_array(numpy.zeros((8, 8, 3), numpy.uint8)), 4)
except vl.NotBuiltError as error:
    print(error)
"""
    )
    assert done.stdout == "vl.torch needs PyTorch: pip install torch\n", done.stderr


def test_a_child_of_a_process_that_used_it_makes_tensors_too(python):
    done = python(
        """
import os, signal, sys
import torch, vidloom as vl
frame = next(iter(vl.open_source("test:size=320x240,frames=1")))
vl.doctor()                                  # the component torch is loaded
made = vl.torch.tensor(frame, 64)
torch.mm(made[0], made[1])
cuda = torch.cuda.is_available()
if cuda:
    vl.torch.tensor(frame, 64, device="cuda")
pid = os.fork()
if pid == 0:
    signal.alarm(20)
    try:
        refused = not cuda or vl.torch.tensor(frame, 64, device="cuda") is None
    except vl.ForkedProcessError:
        refused = True
    os._exit(0 if refused and torch.equal(made, vl.torch.tensor(frame, 64)) else 1)
assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
""",
        timeout=60,
    )
    assert done.returncode == 0, done.stderr


NEIGHBOURS = """
import itertools, json, sys
order, movie, moving = sys.argv[1].split(","), sys.argv[2], json.loads(sys.argv[3])
for name in order:
    __import__(name)
import av, cv2, numpy, torch
import vidloom as vl

# Each works on the same pictures: two FFmpegs, two OpenCVs, one torch.
frames = list(itertools.islice(vl.open_source(movie), 4))
with av.open(movie) as container:
    others = [frame.to_ndarray(format="gray") for frame in itertools.islice(container.decode(video=0), 4)]
small = vl.torch.tensor(frames, (80, 60), fit="stretch", dtype="uint8")
for frame, other, tensor in zip(frames, others, small):
    mine = frame.luma()
    assert mine.shape == (240, 320) and mine.std() > 20
    # swscale's "gray" of a limited range picture is full range: the same numbers, stretched.
    stretched = numpy.clip((mine.astype(float) - 16) * 255 / 219, 0, 255)
    assert numpy.abs(stretched - other).max() <= 1.01, numpy.abs(stretched - other).max()
    shrunk = cv2.resize(frame.image("rgb").numpy(), (80, 60), interpolation=cv2.INTER_AREA)
    assert numpy.abs(shrunk.transpose(2, 0, 1).astype(float) - tensor.numpy()).mean() < 6
    assert numpy.array_equal(tensor.numpy(), frame.tensor((80, 60), fit="stretch", dtype="uint8"))
assert vl.doctor()["components"]["torch"]["loaded"]
found = [len(frame["motion"]) for frame in vl.analyze(movie, "motion", max_frames=12)]
assert found == moving, (found, moving)
assert torch.nn.functional.conv2d(small.float(), torch.ones(1, 3, 3, 3)).shape == (4, 1, 58, 78)
assert cv2.HOGDescriptor().getDescriptorSize() == 3780 if hasattr(cv2, "HOGDescriptor") else cv2.GaussianBlur(others[0], (3, 3), 0).size
"""


def test_every_import_order_works_and_gives_right_results(python, movie):
    for name in ("av", "cv2"):
        pytest.importorskip(name, reason=f"{name} is not installed: pip install -r tests/support/requirements-tests.txt")
    moving = [len(frame["motion"]) for frame in vl.analyze(movie, "motion", max_frames=12)]
    assert sum(moving) > 0
    orders = [",".join(order) for order in itertools.permutations(["torch", "cv2", "av", "vidloom"])]

    def run(order: str) -> str:
        done = python(NEIGHBOURS, order, movie, json.dumps(moving), timeout=120)
        return "" if done.returncode == 0 else f"{order}: exit {done.returncode}\n{done.stderr[-1500:]}"

    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        troubles = [text for text in pool.map(run, orders) if text]
    assert not troubles, "\n".join(troubles)
