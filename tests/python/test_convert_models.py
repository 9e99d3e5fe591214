"""`python -m vidloom.convert`: pickled weights become safetensors, number by number; what could run code is refused unread."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
safetensors = pytest.importorskip("safetensors.torch")

import vidloom as vl  # noqa: E402
from vidloom.convert import convert, main  # noqa: E402


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(5)


def equal(path: Path, expected: dict) -> None:
    found = safetensors.load_file(path)
    assert set(found) == set(expected)
    assert len(found) > 0
    for name, tensor in expected.items():
        assert found[name].dtype == tensor.dtype, name
        assert found[name].shape == tensor.shape, name
        assert torch.equal(found[name], tensor), name


def run(*arguments, **options) -> subprocess.CompletedProcess:
    command = [sys.executable, "-m", "vidloom.convert", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, **options)


def open_clip_weights(width: int = 16) -> dict:
    """Names, dtypes and oddities of an open_clip state dict: a view, tied memory, a scalar, half precision."""
    block = torch.randn(3 * width, width)
    weights = {
        "visual.conv1.weight": torch.randn(width, 3, 4, 4),
        "visual.transformer.resblocks.0.attn.in_proj_weight": block,
        "visual.proj": torch.randn(width, 8).t(),
        "transformer.resblocks.0.attn.in_proj_weight": block,
        "token_embedding.weight": torch.randn(32, width).half(),
        "text_projection": torch.randn(width, 8).bfloat16(),
        "logit_scale": torch.tensor(4.6052),
        "attn_mask": torch.arange(6).reshape(2, 3),
    }
    assert not weights["visual.proj"].is_contiguous()
    return weights


# ── what comes out is what went in ───────────────────────────────────────────────────────────────────────────────────


@pytest.fixture(scope="module")
def hugging_face(tmp_path_factory):
    """A small random CLIP as transformers saves it, but pickled, and its state dict."""
    transformers = pytest.importorskip("transformers")
    folder = tmp_path_factory.mktemp("hugging_face")
    torch.manual_seed(5)
    tower = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 2}
    text = tower | {"vocab_size": 64, "max_position_embeddings": 16, "eos_token_id": 63, "bos_token_id": 62, "pad_token_id": 1}
    config = transformers.CLIPConfig(text_config=text, vision_config=tower | {"image_size": 32, "patch_size": 8}, projection_dim=16)
    model = transformers.CLIPModel(config).eval()
    config.save_pretrained(folder)
    torch.save(model.state_dict(), folder / "pytorch_model.bin")
    (folder / "tokenizer.json").write_text('{"version": "1.0"}')
    (folder / "merges.txt").write_text("#version: 0.2\n")
    (folder / "notes.txt").write_text("not part of the model")
    return folder, model


def test_a_model_of_transformers_is_the_same_afterwards(hugging_face, tmp_path):
    folder, model = hugging_face
    target = tmp_path / "made/here"
    done = run(folder / "pytorch_model.bin", "-o", target)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "merges.txt", "model.safetensors", "tokenizer.json"]
    assert sorted(done.stdout.split()) == sorted(str(path) for path in target.iterdir())
    equal(target / "model.safetensors", model.state_dict())
    transformers = pytest.importorskip("transformers")
    again = transformers.CLIPModel.from_pretrained(target, use_safetensors=True).eval()
    pixels = torch.randn(2, 3, 32, 32)
    with torch.no_grad():
        ours, theirs = again.vision_model(pixels).last_hidden_state, model.vision_model(pixels).last_hidden_state
    assert torch.equal(ours, theirs)
    assert theirs.abs().sum() > 0


def test_a_folder_is_enough_and_may_be_its_own_target(hugging_face, tmp_path):
    folder, model = hugging_face
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    written = convert([tmp_path], tmp_path)
    assert written == [tmp_path / "model.safetensors"]
    equal(tmp_path / "model.safetensors", model.state_dict())


@pytest.mark.parametrize("zipped", [True, False])
def test_weights_of_open_clip_keep_numbers_names_and_types(tmp_path, zipped):
    weights = open_clip_weights()
    torch.save(weights, tmp_path / "open_clip_pytorch_model.bin", _use_new_zipfile_serialization=zipped)
    (tmp_path / "open_clip_config.json").write_text("{}")
    written = convert([tmp_path / "open_clip_pytorch_model.bin"], tmp_path / "out")
    assert [path.name for path in written] == ["open_clip_model.safetensors", "open_clip_config.json"]
    equal(written[0], weights)


def test_of_a_training_checkpoint_the_weights_are_taken(tmp_path, capsys):
    weights = open_clip_weights()
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1, momentum=0.9)
    inside = {"module._orig_mod." + name: tensor for name, tensor in weights.items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": inside, "optimizer": optimizer.state_dict()}, tmp_path / "epoch_3.pt")
    assert main([str(tmp_path / "epoch_3.pt"), "-o", str(tmp_path / "out")]) == 0
    equal(tmp_path / "out/open_clip_model.safetensors", weights)
    assert "no config.json or open_clip_config.json lay beside" in capsys.readouterr().err


def test_shards_keep_their_names_and_get_an_index(tmp_path):
    parts = [{"a.weight": torch.randn(3, 4), "b": torch.ones(2)}, {"c": torch.randn(5).half()}]
    paths = [tmp_path / f"pytorch_model-0000{i + 1}-of-00002.bin" for i in range(2)]
    for path, part in zip(paths, parts, strict=True):
        torch.save(part, path)
    names = ["model-00001-of-00002.safetensors", "model-00002-of-00002.safetensors"]
    for given, folder in ((paths, "files"), ([tmp_path], "folder")):
        written = convert(given, tmp_path / folder)
        assert [path.name for path in written] == [*names, "model.safetensors.index.json"]
        for path, part in zip(written, parts, strict=False):
            equal(path, part)
        index = json.loads(written[2].read_text())
        assert index["weight_map"] == {"a.weight": names[0], "b": names[0], "c": names[1]}
        assert index["metadata"]["total_size"] == 12 * 4 + 2 * 4 + 5 * 2
    with pytest.raises(vl.ModelError, match=r"not given: pytorch_model-00002-of-00002\.bin"):
        convert(paths[:1], tmp_path / "half")
    paths[1].write_text("damaged")
    with pytest.raises(vl.ModelError, match="damaged one"):
        convert(paths, tmp_path / "half")
    assert list((tmp_path / "half").iterdir()) == [], "part of a model is no model"


# ── what is refused ──────────────────────────────────────────────────────────────────────────────────────────────────


class Hostile:
    """Unpickled as usual, it makes a file."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("form", ["zip", "legacy", "bare", "protocol2"])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run(tmp_path, form):
    trace, path = tmp_path / "trace", tmp_path / "pytorch_model.bin"
    content = {"weight": torch.ones(3), "more": Hostile(trace)}
    if form in ("zip", "legacy"):
        torch.save(content, path, _use_new_zipfile_serialization=form == "zip")
    else:
        path.write_bytes(pickle.dumps({"more": Hostile(trace)}, protocol=2 if form == "protocol2" else None))
    done = run(path, "-o", tmp_path / "out")
    assert (done.returncode, done.stdout) == (4, "")
    assert str(path) in done.stderr and len(done.stderr.splitlines()) == 1, done.stderr
    if form != "bare":
        assert "is refused: besides tensors it holds posix.mkdir" in done.stderr
    assert "weights_only" not in done.stderr and "trust" not in done.stderr, "nobody is advised to read it all the same"
    assert not trace.exists()
    assert list((tmp_path / "out").iterdir()) == []
    pickle.loads(pickle.dumps(Hostile(trace)))
    assert trace.exists(), "it would have run"


def test_whole_modules_and_programs_are_refused(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "module.pt")
    with pytest.raises(vl.ModelError, match=r"holds torch\.nn\.modules\.linear\.Linear.*state_dict"):
        convert([tmp_path / "module.pt"], tmp_path / "out")
    torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)).save(str(tmp_path / "program.pt"))
    with pytest.raises(vl.ModelError, match="TorchScript program"):
        convert([tmp_path / "program.pt"], tmp_path / "out")


def test_what_holds_no_weights_is_refused_with_the_reason(tmp_path):
    def saved(name: str, content) -> Path:
        torch.save(content, tmp_path / name)
        return tmp_path / name

    whole = saved("whole.bin", {"a": torch.ones(5000)}).read_bytes()
    (tmp_path / "cut.bin").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.bin").write_text("none")
    (tmp_path / "empty.bin").write_bytes(b"")
    sparse = torch.ones(3, 3).to_sparse()
    for path, code, reason in (
        (saved("tensor.bin", torch.ones(3)), 4, "holds a Tensor, not a state dict"),
        (saved("numbers.bin", {"epoch": 3, "loss": 0.1}), 4, "holds no tensors: its keys are epoch, loss"),
        (saved("sparse.bin", {"w": sparse}), 4, "the tensor w is sparse_coo"),
        (saved("complex.bin", {"w": torch.ones(3, dtype=torch.complex64)}), 4, "the tensor w is complex"),
        (tmp_path / "cut.bin", 4, "or a damaged one"),
        (tmp_path / "text.bin", 4, "or a damaged one"),
        (tmp_path / "empty.bin", 4, "or a damaged one"),
        (tmp_path / "none.bin", 4, "does not exist"),
        (tmp_path, 4, "holds no pytorch_model.bin"),
        (tmp_path / "already.safetensors", 2, "is a safetensors file already"),
        (tmp_path / "results.jsonl", 2, "vidloom convert"),
    ):
        if code == 2:
            path.write_text("{}")
        errors = pytest.raises((vl.ModelError, vl.ConfigError))
        with errors as caught:
            convert([path], tmp_path / "out")
        assert str(path) in str(caught.value) and reason in str(caught.value)
        assert main([str(path), "-o", str(tmp_path / "out")]) == code
    assert not list((tmp_path / "out").iterdir())


def test_existing_files_are_kept_unless_told_otherwise(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "model.pt")
    (tmp_path / "config.json").write_text("{}")
    out = tmp_path / "out"
    convert([tmp_path / "model.pt"], out)
    torch.save({"a": torch.zeros(3)}, tmp_path / "model.pt")
    with pytest.raises(vl.OutputError, match="exists"):
        convert([tmp_path / "model.pt"], out)
    assert main([str(tmp_path / "model.pt"), "-o", str(out)]) == 5
    equal(out / "model.safetensors", {"a": torch.ones(3)})
    (out / "config.json").write_text('{"mine": 1}')
    (out / "model.safetensors").unlink()
    with pytest.raises(vl.OutputError, match=r"config\.json exists"):
        convert([tmp_path / "model.pt"], out)
    assert [path.name for path in out.iterdir()] == ["config.json"], "refused before any work"
    convert([tmp_path / "model.pt"], out, overwrite=True)
    equal(out / "model.safetensors", {"a": torch.zeros(3)})
    assert (out / "config.json").read_text() == "{}"
    (tmp_path / "file").write_text("")
    assert main([str(tmp_path / "model.pt"), "-o", str(tmp_path / "file")]) == 5


def test_usage_errors_end_with_2(tmp_path):
    torch.save({"a": torch.ones(3)}, tmp_path / "one.pt")
    (tmp_path / "other").mkdir()
    torch.save({"a": torch.ones(3)}, tmp_path / "other/two.pt")
    assert run().returncode == 2
    assert run(tmp_path / "one.pt").returncode == 2, "without -o"
    done = run(tmp_path / "one.pt", tmp_path / "other/two.pt", "-o", tmp_path / "out")
    assert done.returncode == 2 and "several folders" in done.stderr
    with pytest.raises(vl.ConfigError, match="no checkpoint"):
        convert([], tmp_path)


@pytest.mark.parametrize(("module", "line"), [("torch", "pip install torch"), ("safetensors", "pip install safetensors")])
def test_a_missing_package_is_named_with_its_pip_line(tmp_path, module, line):
    torch.save({"a": torch.ones(3)}, tmp_path / "one.pt")
    script = f"import sys; sys.modules[{module!r}] = None; from vidloom.convert import main; sys.exit(main(sys.argv[1:]))"
    command = [sys.executable, "-c", script, str(tmp_path / "one.pt"), "-o", str(tmp_path / "out")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 4
    assert line in done.stderr


def test_a_torch_whose_reader_is_not_safe_is_refused(tmp_path, monkeypatch):
    torch.save({"a": torch.ones(3)}, tmp_path / "one.pt")
    monkeypatch.setattr(torch, "__version__", "2.5.1+cpu")
    with pytest.raises(vl.NotBuiltError, match=r"torch>=2\.6"):
        convert([tmp_path / "one.pt"], tmp_path / "out")
