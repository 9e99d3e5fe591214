"""clip answers as transformers does with the same weights; random ones, made here."""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import pathlib
import re
import shutil
import struct
import subprocess
import sys

import numpy as np
import pytest

import vidloom as vl

models = pytest.importorskip("clip_models")
torch, safetensors = models.torch, models.safetensors

LABELS = ["cat", "dog", "Apple", "Google", "a nike logo"]
PICTURES = [models.picture(*size, seed) for seed, size in enumerate([(97, 131), (320, 240), (64, 64), (33, 200), (720, 405)])]
FRAMES = [vl.Frame.from_array(picture) for picture in PICTURES]


@pytest.fixture(scope="module", autouse=True)
def cache(tmp_path_factory):
    """Nothing is remembered in the user's folder, nor comes from there."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return models.make_model(tmp_path_factory.mktemp("clip"), seed=5)


def spec(model, **options):
    return vl.clip(model.folder, **({"labels": LABELS, "precision": "fp32", "embedding": True, "min_confidence": 0} | options))


def analyzer_of(model, **options) -> vl.Analyzer:
    return vl.Analyzer({"clip": spec(model, **options)})


def scores(outcome) -> dict[str, float]:
    return {label.class_name: label.raw_score for label in outcome.labels}


def confidences(outcome) -> dict[str, float]:
    return {label.class_name: label.confidence for label in outcome.labels}


def check_parity(model, frames, **options):
    """Embeddings, cosines, confidences and margins of `frames` against transformers', which gets the same numbers of the same pixels."""
    prompts, negatives = ["a photo of {}", "the {} logo"], ["an empty street", "a photo without any logo"]
    texts = [model.text(*(prompt.replace("{}", label) for prompt in prompts)) for label in LABELS] + [
        model.text(text) for text in negatives
    ]
    with analyzer_of(model, prompts=prompts, negatives=negatives, top_k=9, logit_scale=12, **options) as analyzer:
        for frame in frames:
            outcome = analyzer.analyze_frame(frame)["clip"]
            expected = model.picture(model.pixels(frame))
            assert outcome.embedding.shape == expected.shape and abs(np.linalg.norm(outcome.embedding) - 1) < 1e-5
            np.testing.assert_allclose(outcome.embedding, expected, atol=1e-4)
            assert outcome.embedding @ expected >= 0.99999
            cosines = np.array([text @ expected for text in texts])
            wanted = torch.softmax(torch.tensor(12 * cosines), 0).numpy()
            assert [label.class_id for label in outcome.labels] == sorted(range(len(LABELS)), key=lambda i: -wanted[i])
            for label in outcome.labels:
                i = label.class_id
                assert label.class_name == LABELS[i]
                assert label.raw_score == pytest.approx(cosines[i], abs=1e-4)
                assert label.confidence == pytest.approx(wanted[i], abs=1e-3)
                assert label.margin == pytest.approx(cosines[i] - np.delete(cosines, i).max(), abs=2e-4)


@pytest.mark.parametrize("layout", ["hugging face", "open_clip"])
@pytest.mark.parametrize("seed", [1, 2])
@pytest.mark.parametrize("shape", models.SHAPES)
def test_the_same_weights_and_pixels_give_the_answers_of_transformers(tmp_path, shape, seed, layout):
    made = models.make_model(tmp_path, models.SHAPES[shape], seed, layout)
    assert abs(made.picture(made.pixels(FRAMES[0])) @ made.picture(made.pixels(FRAMES[1]))) < 0.99, "a model that sees no difference"
    check_parity(made, FRAMES)


def test_a_model_of_the_shape_of_vit_b_32(tmp_path_factory):
    made = models.make_model(tmp_path_factory.mktemp("vit-b-32"), models.VIT_B_32, 3)
    check_parity(made, FRAMES[:2])
    with analyzer_of(made, precision="auto") as analyzer:
        outcome = analyzer.analyze_frame(FRAMES[4])["clip"]
    assert outcome.embedding @ made.picture(made.pixels(FRAMES[4])) >= 0.999


def test_the_precision_found_the_fastest_is_remembered(model, tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))

    def chosen():
        with analyzer_of(model, precision="auto", device="cpu") as analyzer:
            analyzer.warm_up()
            return analyzer.health()["clip"]["precision"]

    first = chosen()
    words = list(tmp_path.glob("vidloom/word-*"))
    if not words:  # a processor without instructions for bf16 has no choice
        assert first == "fp32"
        return
    # Where both our kernels and ATen multiply by tiles of bf16 (AMX), a second word says whose are the faster.
    whose = [word for word in words if word.read_text() in ("ours", "aten")]
    assert len(whose) <= 1
    (word,) = set(words) - set(whose)
    assert word.read_text() == first
    for answer in ("aten", "ours") if whose else ():
        whose[0].write_text(answer)
        assert chosen() == first and whose[0].read_text() == answer
    word.write_text("bf16" if first == "fp32" else "fp32")
    assert chosen() != first
    word.write_text("")
    assert chosen() in ("fp32", "bf16") and word.read_text()


def test_the_device_is_the_analysers_or_its_own(model):
    with analyzer_of(model, device="cpu") as analyzer:
        alone = analyzer.analyze_frame(FRAMES[4])["clip"].embedding
    with vl.Analyzer({"clip": spec(model, device="cpu")}, device="cuda") as analyzer:
        assert analyzer.analyze_frame(FRAMES[4])["clip"].embedding.tobytes() == alone.tobytes()
    there = torch.cuda.device_count()
    for device in ("cuda", f"cuda:{there + 3}"):
        analyzers = analyzer_of(model, device=device, precision="auto"), vl.Analyzer({"clip": spec(model, precision="auto")}, device=device)
        for analyzer in analyzers:
            with analyzer:
                if device == "cuda" and there:
                    assert analyzer.analyze_frame(FRAMES[4])["clip"].embedding @ alone >= 0.999
                    assert analyzer.health()["clip"]["precision"] == "fp16"
                    continue
                sees = "no CUDA device" if there == 0 else f"{there} CUDA devices"
                with pytest.raises(vl.NotBuiltError, match=f"clip.device is '{device}', but this PyTorch sees {sees}"):
                    analyzer.warm_up()
    with pytest.raises(vl.ConfigError, match='device is "gpu"; use auto, cpu, cuda or cuda:N'):
        vl.Analyzer({"clip": vl.clip(model.folder, labels=["cat"], device="gpu")})


@pytest.mark.parametrize("precision", ["bf16", "int8"])
def test_fewer_bits_stay_close(model, precision):
    with analyzer_of(model, precision=precision) as analyzer:
        assert analyzer.health()["clip"].get("precision") is None  # not loaded yet
        for frame in FRAMES:
            assert analyzer.analyze_frame(frame)["clip"].embedding @ model.picture(model.pixels(frame)) >= 0.99
        assert analyzer.health()["clip"]["precision"] == precision


def test_pictures_as_transformers_prepares_them(model, tmp_path, vtest):
    """End to end. Peer: CLIPImageProcessorPil of transformers 5.24 on Pillow 13; both crop the middle of what bicubic gives."""
    from PIL import Image
    from transformers.models.clip.image_processing_pil_clip import CLIPImageProcessorPil

    side = model.shape.image_size
    processor = CLIPImageProcessorPil(size={"shortest_edge": side}, crop_size={"height": side, "width": side})
    files = []
    for index, format in ((1, "png"), (4, "jpg")):
        files.append(tmp_path / f"picture.{format}")
        Image.fromarray(PICTURES[index]).save(files[-1], quality=95)
    with analyzer_of(model) as analyzer:
        seen = [(Image.open(file).convert("RGB"), next(iter(vl.open_source(str(file))))) for file in files]
        frame = next(iter(vl.open_source(vtest)))
        seen.append((Image.fromarray(frame.image().numpy()), frame))
        for image, frame in seen:
            expected = model.picture(processor(image, return_tensors="pt")["pixel_values"][0])
            cosine = float(analyzer.analyze_frame(frame)["clip"].embedding @ expected)
            print(f"{image.size}: cosine {cosine:.6f}")
            assert cosine >= 0.999


def test_sixteen_threads_of_mixed_sizes_answer_as_one(model, segments):
    with analyzer_of(model, max_batch=8, max_wait=0.02) as analyzer:
        alone = [analyzer.analyze_frame(frame)["clip"] for frame in FRAMES]
        reports = [analyzer.analyze_segment(path) for path in segments]
        assert analyzer.health()["clip"]["batches"] > 0 and all(report.status == "ok" and report.frames for report in reports)

        def same(a, b):
            return np.array_equal(a.embedding, b.embedding) and [(x.class_id, x.raw_score, x.confidence, x.margin) for x in a.labels] == [
                (x.class_id, x.raw_score, x.confidence, x.margin) for x in b.labels
            ]

        def look(i):
            if i % 4 == 3:
                path = i // 4 % len(segments)
                again = analyzer.analyze_segment(segments[path])
                pairs = zip(again.frames, reports[path].frames, strict=True)
                return all(a.pts == b.pts and same(a["clip"], b["clip"]) for a, b in pairs)
            return same(analyzer.analyze_frame(FRAMES[i % len(FRAMES)])["clip"], alone[i % len(FRAMES)])

        before = analyzer.health()["clip"]
        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert all(pool.map(look, range(160)))
        after = analyzer.health()["clip"]
    assert after["jobs"] - before["jobs"] > after["batches"] - before["batches"], "no picture had company"


def test_labels_are_cut_by_top_k_and_by_the_least_confidence_of_each(model):
    with analyzer_of(model, logit_scale=1, top_k=2) as analyzer:
        best = analyzer.analyze_frame(FRAMES[0])["clip"].labels
        assert len(best) == 2 and best[0].confidence >= best[1].confidence
    with analyzer_of(model, logit_scale=1) as analyzer:
        every = analyzer.analyze_frame(FRAMES[0])["clip"]
        assert len(every.labels) == 5 and sum(confidences(every).values()) == pytest.approx(1, abs=1e-5)
    with analyzer_of(model, logit_scale=1, min_confidence={"*": 0.9, "dog": 0.01}) as analyzer:
        assert list(confidences(analyzer.analyze_frame(FRAMES[0])["clip"])) == ["dog"]


def test_confidence_is_the_softmax_at_the_models_own_scale(model):
    for options, scale in (({}, 100.0), ({"logit_scale": 3}, 3.0), ({"scoring": "softmax", "logit_scale": 3}, 3.0)):
        with analyzer_of(model, **options) as analyzer:
            outcome = analyzer.analyze_frame(FRAMES[1])["clip"]
            wanted = torch.softmax(scale * torch.tensor(list(scores(outcome).values()), dtype=torch.float64), 0)
            np.testing.assert_allclose(list(confidences(outcome).values()), wanted, atol=2e-5)


def test_negatives_compete(model):
    with analyzer_of(model, logit_scale=3) as analyzer:
        without = analyzer.analyze_frame(FRAMES[0])["clip"]
    with analyzer_of(model, logit_scale=3, negatives=["a street", "an empty street"]) as analyzer:
        beside = analyzer.analyze_frame(FRAMES[0])["clip"]
    assert scores(without) == scores(beside) and len(beside.labels) == 5
    share = sum(confidences(beside).values())
    assert 0.05 < share < 0.95
    for label, confidence in confidences(without).items():
        assert confidences(beside)[label] == pytest.approx(confidence * share, rel=1e-3)


def test_references_of_a_file_and_of_a_folder(model, tmp_path):
    from PIL import Image

    Image.fromarray(PICTURES[0]).save(tmp_path / "one.png")
    (tmp_path / "nike").mkdir()
    for index in (1, 4):
        Image.fromarray(PICTURES[index]).save(tmp_path / "nike" / f"{index}.png")
    # From names that a configuration file would hold.
    (tmp_path / "analyses.json").write_text(
        json.dumps(
            {
                "version": 1,
                "analyses": {
                    "clip": {
                        "model": str(model.folder),
                        "precision": "fp32",
                        "min_confidence": 0,
                        "negatives": ["an empty street"],
                        "references": {"adidas": "one.png", "nike": "nike/"},
                    }
                },
            }
        )
    )
    with vl.Analyzer(tmp_path / "analyses.json") as analyzer:
        for index, label in ((0, "adidas"), (1, "nike"), (4, "nike")):
            outcome = analyzer.analyze_frame(FRAMES[index])["clip"]
            assert {one.class_name for one in outcome.labels} == {"adidas", "nike"}
            assert outcome.labels[0].class_name == label and outcome.labels[0].margin > 0
            assert outcome.labels[0].raw_score <= 1
    with pytest.raises(vl.ConfigError, match=r"references\.fila.*add \"fila\" to labels"):
        vl.Analyzer({"clip": spec(model, references={"fila": tmp_path / "one.png"})})
    (tmp_path / "empty").mkdir()
    for path in (tmp_path / "gone.png", tmp_path / "empty"):
        with (
            vl.Analyzer({"clip": spec(model, references={"cat": path})}) as analyzer,
            pytest.raises(vl.ConfigError, match=r"clip\.references\.cat"),
        ):
            analyzer.warm_up()


def test_tiles_are_boxes_of_parts(model):
    """What a tile says is what the part says alone, up to the samples of its edges."""
    left, right = PICTURES[2], models.picture(64, 64, 77)
    wide = vl.Frame.from_array(np.concatenate([left, right], 1))
    with analyzer_of(model, tiles=3) as analyzer:
        outcome = analyzer.analyze_frame(wide)["clip"]
    assert len(outcome.labels) == 5 and 1 <= len(outcome.xyxy) <= 3
    with analyzer_of(model) as analyzer:
        for box, class_id in zip(outcome.xyxy, outcome.class_id, strict=True):
            x1, y1, x2, y2 = (int(value) for value in box)
            assert (y1, y2, x2 - x1) == (0, 64, 64)
            part = np.ascontiguousarray(np.concatenate([left, right], 1)[y1:y2, x1:x2])
            assert analyzer.analyze_frame(part)["clip"].labels[0].class_id == class_id


def test_the_kind_logo_asks_with_other_words_and_is_written_under_another_key(model):
    with analyzer_of(model, kind="logo", labels=["Nike", "Apple"]) as analyzer:
        result = analyzer.analyze_frame(FRAMES[0])
        frame = result.to_legacy()
    expected = model.picture(model.pixels(FRAMES[0]))
    for label, score in scores(result["clip"]).items():
        assert score == pytest.approx(float(model.text(f"a photo of the {label} logo") @ expected), abs=1e-4)
    assert result["clip"].kind == "logo" and [logo["label"] for logo in frame["logos"]] == [one.class_name for one in result["clip"].labels]
    assert frame["logos"][0]["bbox"] == {"x": 0, "y": 0, "width": 1, "height": 1}
    with analyzer_of(model, labels=["Nike"]) as analyzer:
        result = analyzer.analyze_frame(FRAMES[0])
    assert result["clip"].kind == "scene" and scores(result["clip"])["Nike"] == pytest.approx(
        float(model.text("a photo of Nike") @ expected), abs=1e-4
    )
    assert result.to_legacy()["scene"]


def test_new_labels_while_a_run_goes_on(model):
    with analyzer_of(model, labels=["cat", "dog"]) as analyzer:
        run = iter(analyzer.analyze("test:size=64x48,frames=40"))
        seen = [set(scores(next(run)["clip"]))]
        analyzer.set_analysis("clip", spec(model, labels=["Nike", "Apple", "dog"]))
        assert set(scores(analyzer.analyze_frame(FRAMES[0])["clip"])) == {"Nike", "Apple", "dog"}
        seen += [set(scores(frame["clip"])) for frame in run]
        assert seen == [{"cat", "dog"}] * 40


def curve(cosine, threshold, temperature):
    return 1 / (1 + np.exp(-(cosine - threshold) / temperature))


def test_a_calibration_turns_cosines_into_confidences(model, tmp_path):
    file = tmp_path / "calibration.json"
    fitted = {label: {"threshold": 0.01 * i, "temperature": 0.05 + 0.01 * i} for i, label in enumerate(LABELS)}
    file.write_text(json.dumps({"version": 1, "labels": fitted}))
    with analyzer_of(model, calibration=file) as analyzer:
        outcome = analyzer.analyze_frame(FRAMES[0])["clip"]
    for label in outcome.labels:
        assert label.confidence == pytest.approx(curve(label.raw_score, **fitted[label.class_name]), abs=1e-5)
    with analyzer_of(model, calibration=file, scoring="softmax") as analyzer:
        assert sum(confidences(analyzer.analyze_frame(FRAMES[0])["clip"]).values()) == pytest.approx(1, abs=1e-4)
    for text, words in (
        (None, "cannot be read"),
        ("{", "is no calibration"),
        ('{"version": 2}', "is not of version 1"),
        ('{"version": 1}', "lacks labels"),
        ('{"version": 1, "labels": {"cat": {"threshold": 0, "temperature": 0}}}', "temperature of label 'cat'"),
        ('{"version": 1, "labels": {"cat": {"threshold": 0, "temperature": 1}}}', "knows no label 'dog'"),
    ):
        file.unlink() if text is None else file.write_text(text)
        with (
            analyzer_of(model, calibration=file) as analyzer,
            pytest.raises(vl.ConfigError, match=rf"clip\.calibration.*{words}.*vidloom calibrate"),
        ):
            analyzer.warm_up()


def test_the_records_say_what_answered(model, tmp_path, python):
    (tmp_path / "calibration.json").write_text(json.dumps({"version": 1, "labels": {"cat": {"threshold": 0, "temperature": 0.1}}}))
    config = {
        "brands": {"adapter": "clip", "model": str(model.folder), "labels": ["cat"], "calibration": "calibration.json", "kind": "logo"}
    }
    (tmp_path / "analyses.json").write_text(json.dumps({"version": 1, "analyses": config}))
    done = command(["analyze", "test:size=64x48,frames=3", "--config", tmp_path / "analyses.json", "--jsonl", "-", "-q"])
    assert done.returncode == 0, done.stderr
    start, *frames, _ = map(json.loads, done.stdout.splitlines())
    about = start["analyses"]["brands"]
    assert about["adapter"] == "clip" and about["kind"] == "logo" and about["vocabulary"] == ["cat"]
    assert about["calibration_id"].startswith("sha256:") and about["model"]["name"] == model.folder.name
    assert about["model"]["precision"] in ("fp32", "bf16", "fp16")
    assert [set(label) for frame in frames for label in frame["analyses"]["brands"]["labels"]] == [
        {"class_id", "class_name", "confidence", "raw_score", "margin"}
    ] * 3


def test_sentences_are_remembered_for_the_next_process(model, tmp_path, python):
    """What is remembered is believed while it is whole and of the same tokenizer: with its rows exchanged, so are the answers."""
    folder = shutil.copytree(model.folder, tmp_path / "model")
    script = """
import json, sys, numpy, vidloom as vl
with vl.Analyzer({"clip": vl.clip(sys.argv[1], labels=["cat", "dog"], precision="fp32", min_confidence=0)}) as analyzer:
    outcome = analyzer.analyze_frame(numpy.arange(48 * 64 * 3, dtype=numpy.uint8).reshape(48, 64, 3))["clip"]
print(json.dumps({label.class_name: label.raw_score for label in outcome.labels}))
"""

    def look():
        done = python(script, str(folder), env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")}, timeout=120)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    first = look()
    assert abs(first["cat"] - first["dog"]) > 1e-3 and look() == first
    (kept,) = (tmp_path / "cache" / "vidloom").glob("text-*")
    numbers = np.frombuffer(kept.read_bytes()[:-64], np.float32).reshape(2, model.shape.embedding)[::-1].tobytes()
    kept.write_bytes(numbers + hashlib.sha256(numbers).hexdigest().encode())
    assert look() == {"cat": first["dog"], "dog": first["cat"]}
    kept.write_bytes(kept.read_bytes()[:-1] + b"x")
    assert look() == first
    kept.write_bytes(kept.read_bytes()[:100])
    assert look() == first
    # Of another tokenizer: not the remembered ones, and kept beside them.
    (folder / "merges.txt").write_text((folder / "merges.txt").read_text().replace("#version: 0.2", "#version: 0.3"))
    kept.write_bytes(numbers + hashlib.sha256(numbers).hexdigest().encode())
    assert look() == first and len(list(kept.parent.glob("text-*"))) == 2


def test_memory_stays_over_frames_of_mixed_sizes(model, python):
    """VIDLOOM_TEST_CLIP_FRAMES=10000 for longer."""
    frames = int(os.environ.get("VIDLOOM_TEST_CLIP_FRAMES", "2000"))
    script = """
import json, sys, numpy, vidloom as vl
sizes = [(97, 131), (320, 240), (64, 64), (33, 200), (360, 203)]
frames = [vl.Frame.from_array(numpy.full((height, width, 3), index * 40, numpy.uint8)) for index, (width, height) in enumerate(sizes)]
def resident_kib():
    with open("/proc/self/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))
samples = []
with vl.Analyzer({"clip": vl.clip(sys.argv[1], labels=["cat", "dog"], precision="fp32", max_wait=0, embedding=True)}) as analyzer:
    for _ in range(11):
        for index in range(int(sys.argv[2]) // 10):
            outcome = analyzer.analyze_frame(frames[index % 5])["clip"]
            assert outcome.status == "ok" and len(outcome.embedding)
        samples.append(resident_kib())
print(json.dumps(samples))
"""
    done = python(script, str(model.folder), str(frames), timeout=240)
    assert done.returncode == 0, done.stderr
    resident = np.array(json.loads(done.stdout)[1:])  # the first part fills the caches
    slope = np.polyfit(np.arange(len(resident)) * frames / 10_000, resident, 1)[0]
    print(f"{slope:.0f} KiB a thousand frames: {resident}")
    assert slope < 1024, (slope, resident)  # KiB a thousand frames


# ── models that cannot be read ──────────────────────────────────────────────────────────────────────────────────────


def command(arguments, **options):
    script = [sys.executable, "-m", "vidloom", *map(str, arguments)]
    return subprocess.run(script, capture_output=True, text=True, timeout=120, **options)


def rewritten(file: pathlib.Path, change) -> None:
    weights = safetensors.load_file(file)
    change(weights)
    safetensors.save_file(weights, file)


def damage(weights, name, change):
    weights[name] = change(weights[name].clone()).contiguous()


def not_a_number(tensor):
    tensor.view(-1)[tensor.numel() // 2] = float("nan")
    return tensor


QUERY = "vision_model.encoder.layers.1.self_attn.q_proj"
BAD = {
    "cut off in the numbers": (
        lambda f, w: w.write_bytes(w.read_bytes()[:-1000]),
        r"model\.safetensors is cut off: tensor .* copy or download it again",
    ),
    "cut off in the header": (lambda f, w: w.write_bytes(w.read_bytes()[:300]), r"is cut off within its header of \d+ bytes"),
    "empty": (lambda f, w: w.write_bytes(b""), r"is empty; copy or download it again"),
    "a header of 1 TB": (
        lambda f, w: w.write_bytes(struct.pack("<Q", 1 << 40) + b"{}" * 100),
        r"its header would have 1099511627776 bytes",
    ),
    "no JSON": (lambda f, w: w.write_bytes(struct.pack("<Q", 8) + b"not JSON" * 9), r"its header is no JSON"),
    "another width": (
        lambda f, w: rewritten(w, lambda t: damage(t, QUERY + ".weight", lambda x: x[:-1])),
        r"q_proj\.weight' has the shape \[63,\s?64\]; the configuration asks for \[64,\s?64\]",
    ),
    "a tensor too few": (lambda f, w: rewritten(w, lambda t: t.pop(QUERY + ".bias")), r"q_proj\.bias' is missing"),
    "not a number in a matrix": (
        lambda f, w: rewritten(w, lambda t: damage(t, QUERY + ".weight", not_a_number)),
        r"q_proj\.weight' holds NaN",
    ),
    "not a number in the sentences' tower": (
        lambda f, w: rewritten(w, lambda t: damage(t, "text_model.final_layer_norm.bias", not_a_number)),
        r"final_layer_norm\.bias' holds NaN",
    ),
    "whole numbers": (
        lambda f, w: rewritten(w, lambda t: damage(t, QUERY + ".weight", lambda x: x.to(torch.int32))),
        r"only F64, F32, F16 and BF16 can be read",
    ),
    "a pickle alone": (
        lambda f, w: w.rename(f / "pytorch_model.bin"),
        r"pickle only \(pytorch_model\.bin\).*turn it into safetensors: python -m vidloom\.convert .*pytorch_model\.bin -o FOLDER",
    ),
    "a pickle under the other name": (lambda f, w: torch.save({"a": torch.ones(3)}, w), r"is a PyTorch pickle"),
    "no weights": (lambda f, w: w.unlink(), r"lacks model\.safetensors"),
    "no configuration": (lambda f, w: (f / "config.json").unlink(), r"lacks config\.json .* and open_clip_config\.json"),
    "another kind of model": (
        lambda f, w: (f / "config.json").write_text('{"model_type": "bert"}'),
        r"another kind of model: it lacks vision_config",
    ),
    "a configuration cut off": (
        lambda f, w: (f / "config.json").write_text('{"vision_config": {'),
        r"config\.json is no configuration of a model",
    ),
    "no tokenizer": (
        lambda f, w: (f / "vocab.json").unlink(),
        r"there is merges\.txt, but neither vocab\.json nor tokenizer\.json.*hf download",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_a_bad_model_is_one_clear_sentence(model, tmp_path, monkeypatch, name):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = shutil.copytree(model.folder, tmp_path / "model")
    spoil, words = BAD[name]
    spoil(folder, folder / "model.safetensors")
    with vl.Analyzer({"clip": vl.clip(folder, labels=["cat"], precision="fp32")}) as analyzer:
        for _ in range(2):
            with pytest.raises(vl.ModelError, match=words) as caught:
                analyzer.warm_up()
            assert caught.value.code == "model" and "\n" not in str(caught.value)
            assert str(folder) in str(caught.value)
        with pytest.raises(vl.ModelError, match=words):
            analyzer.analyze_frame(FRAMES[0])


@pytest.mark.parametrize("name", BAD)
def test_the_command_leaves_with_4_on_a_bad_model(model, tmp_path, name):
    folder = shutil.copytree(model.folder, tmp_path / "model")
    spoil, words = BAD[name]
    spoil(folder, folder / "model.safetensors")
    arguments = ["analyze", "test:size=64x48,frames=3", "--detect", "clip", "--labels", "cat", "--model", folder, "--sink", "null"]
    done = command(arguments, env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")})
    assert done.returncode == 4, (done.returncode, done.stderr)
    assert "Traceback" not in done.stderr and str(folder) in done.stderr and re.search(words, done.stderr), done.stderr


def test_labels_are_required_at_once(tmp_path):
    for options, words in (
        ({"labels": []}, "labels is an empty list; name at least one label, or give references"),
        ({}, "labels is missing"),
    ):
        with pytest.raises(vl.ConfigError, match=words):
            vl.Analyzer({"clip": vl.clip("nobody/nothing", **options)})
    (tmp_path / "analyses.json").write_text('{"version": 1, "analyses": {"clip": {"model": "a/b", "labels": []}}}')
    done = command(["analyze", "test:frames=1", "--config", tmp_path / "analyses.json", "--sink", "null"])
    assert done.returncode == 2 and "labels is an empty list" in done.stderr, done.stderr


def test_names_of_the_hub_are_found_in_its_cache_and_never_downloaded(model, tmp_path, monkeypatch):
    for name in ("HF_HUB_CACHE", "HF_HOME", "TRANSFORMERS_CACHE", "VIDLOOM_MODEL_PATH"):
        monkeypatch.delenv(name, raising=False)

    def name_found(variable, value, hub):
        snapshot = hub / "models--nobody--nothing-b32" / "snapshots" / "abc123"
        blobs = snapshot.parents[1] / "blobs"
        blobs.mkdir(parents=True)
        snapshot.mkdir(parents=True)
        for file in model.folder.iterdir():  # as the hub's tools lay it out: names that point to contents
            shutil.copy(file, blobs / file.name)
            (snapshot / file.name).symlink_to(os.path.join("..", "..", "blobs", file.name))
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs" / "main").write_text("abc123")
        monkeypatch.setenv(variable, str(value))
        with vl.Analyzer(
            {"clip": vl.clip("nobody/nothing-b32", labels=["cat"], precision="fp32", embedding=True, min_confidence=0)}
        ) as analyzer:
            found = analyzer.analyze_frame(FRAMES[0])["clip"].embedding
        monkeypatch.delenv(variable)
        return found

    expected = model.picture(model.pixels(FRAMES[0]))
    np.testing.assert_allclose(name_found("HF_HUB_CACHE", tmp_path / "hub", tmp_path / "hub"), expected, atol=1e-4)
    np.testing.assert_allclose(name_found("HF_HOME", tmp_path / "home", tmp_path / "home" / "hub"), expected, atol=1e-4)
    np.testing.assert_allclose(name_found("TRANSFORMERS_CACHE", tmp_path / "old", tmp_path / "old"), expected, atol=1e-4)
    np.testing.assert_allclose(name_found("XDG_CACHE_HOME", tmp_path / "x", tmp_path / "x" / "huggingface" / "hub"), expected, atol=1e-4)
    shutil.copytree(model.folder, tmp_path / "mine" / "nothing-b32")
    monkeypatch.setenv("VIDLOOM_MODEL_PATH", f"{tmp_path / 'nowhere'}:{tmp_path / 'mine'}")
    with vl.Analyzer({"clip": vl.clip("nothing-b32", labels=["cat"], precision="fp32", embedding=True, min_confidence=0)}) as analyzer:
        np.testing.assert_allclose(analyzer.analyze_frame(FRAMES[0])["clip"].embedding, expected, atol=1e-4)
    with vl.Analyzer({"clip": vl.clip("nothing-b16", labels=["cat"])}) as analyzer:
        with pytest.raises(vl.ModelError, match=r"is not in .*nowhere, .*mine; give a folder"):
            analyzer.warm_up()
    monkeypatch.delenv("VIDLOOM_MODEL_PATH")
    monkeypatch.setenv("HF_HOME", str(tmp_path / "other"))
    with vl.Analyzer({"clip": vl.clip("nobody/nothing-b32", labels=["cat"])}) as analyzer:
        with pytest.raises(vl.ModelError, match=r"is not in .*other/hub; get it with: hf download nobody/nothing-b32"):
            analyzer.warm_up()


# ── processes ───────────────────────────────────────────────────────────────────────────────────────────────────────

LOOK = """
import sys, numpy
PICTURE = numpy.arange(48 * 64 * 3, dtype=numpy.uint8).reshape(48, 64, 3)
def analyzer_of(**options):
    return vl.Analyzer({"clip": vl.clip(sys.argv[1], labels=["cat", "dog"], precision="fp32", embedding=True, min_confidence=0, **options)})
def look(analyzer):
    return analyzer.analyze_frame(PICTURE)["clip"].embedding.tobytes().hex()
"""


def test_used_before_a_fork_it_says_so_and_a_new_one_works(model, python):
    script = """
import os, signal, time
import vidloom as vl
used = analyzer_of()
seen = look(used)
def child():
    begun = time.monotonic()
    try:
        look(used)
    except vl.ForkedProcessError as error:
        assert time.monotonic() - begun < 1 and "fork" in str(error), error
    else:
        return 2
    with analyzer_of() as fresh:
        return 0 if look(fresh) == seen else 3
for _ in range(2):
    pid = os.fork()
    if pid == 0:
        signal.alarm(30)  # a hang ends as SIGALRM
        try:
            os._exit(child())
        except BaseException as error:
            print(repr(error), file=sys.stderr)
            os._exit(4)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    assert code == 0, code
assert look(used) == seen
print("fine")
"""
    done = python(LOOK + script, str(model.folder), timeout=120)
    assert (done.returncode, done.stdout.strip()) == (0, "fine"), done.stderr


def test_whichever_is_imported_first(model, python):
    """Beside torch's own work in the same process, before and after."""
    work = "assert float((torch.ones(64, 64) @ torch.ones(64, 64)).sum()) == 64.0 ** 3\n"
    seen = set()
    for imports in ("import torch\nimport vidloom as vl\n", "import vidloom as vl\nimport torch\n"):
        done = python(LOOK + imports + work + "print(look(analyzer_of()))\n" + work, str(model.folder), timeout=120)
        assert done.returncode == 0, done.stderr
        seen.add(done.stdout)
    done = python(
        LOOK + "import vidloom as vl\nprint(look(analyzer_of()))\nassert 'torch' not in sys.modules\nimport torch\n" + work,
        str(model.folder),
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    seen.add(done.stdout)
    assert len(seen) == 1 and len(seen.pop()) > 100


def test_on_the_cpu_pytorch_is_not_even_loaded(model, python):
    script = """
import pathlib, vidloom as vl
def torch_mapped():
    return "libtorch_cpu" in pathlib.Path("/proc/self/maps").read_text()

print(look(analyzer_of(device="cpu")))
assert not torch_mapped()
answer = look(analyzer_of())
with_cuda = vl.doctor()["components"]["torch"]["detail"].endswith("with CUDA")  # the question loads it
assert torch_mapped() and (with_cuda or answer == look(analyzer_of(device="cpu")))
"""
    done = python(LOOK + script, str(model.folder), timeout=120)
    assert done.returncode == 0 and len(done.stdout) > 100, done.stderr


def test_without_pytorch_all_but_cuda_works(model, python, tmp_path):
    """The package as it is installed where there is no torch beside it."""
    package = pathlib.Path(vl.__file__).parent
    if not (package / "lib" / "libvidloom_torch.needs").exists():
        pytest.skip("the package runs from its tree")
    shutil.copytree(package, tmp_path / "vidloom")
    needs = tmp_path / "vidloom" / "lib" / "libvidloom_torch.needs"
    needs.write_text(
        "".join(f"folder {tmp_path}/torch/lib\n" if line.startswith("folder") else line + "\n" for line in needs.read_text().splitlines())
    )
    script = """
import vidloom as vl
print(vl.__file__)
print(look(analyzer_of()))
try:
    analyzer_of(device="cuda:1").warm_up()
except vl.NotBuiltError as error:
    print(error)
"""
    here = python(LOOK + "import vidloom as vl\nprint(look(analyzer_of(device='cpu')))", str(model.folder), timeout=120)
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", LOOK + script, str(model.folder)], capture_output=True, text=True, timeout=60, env=environment, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    where, answer, text = done.stdout.splitlines()
    assert where.startswith(str(tmp_path)) and answer == here.stdout.strip() and len(answer) > 100
    assert "clip.device 'cuda:1' needs the component 'torch'" in text and "pip install 'torch==2.13.*'" in text, text
