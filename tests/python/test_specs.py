"""What to look for: specs, configs, and the sentences of mistakes."""

import json

import numpy as np
import pytest

import vidloom as vl

PICTURE = np.full((48, 64, 3), 90, np.uint8)


def test_a_spec_equals_the_plain_dict():
    assert vl.people(every=0.5, min_confidence=0.6) == {"adapter": "people", "every": 0.5, "min_confidence": 0.6}
    assert vl.logos("brands/", max_instances=3) == {"adapter": "logos", "references": "brands/", "max_instances": 3}
    assert vl.clip("m", labels=("a", "b")) == {"adapter": "clip", "model": "m", "labels": ["a", "b"]}
    assert vl.motion() == {"adapter": "motion"}


@pytest.mark.parametrize(
    "detect",
    [
        "visual",
        vl.visual(),
        {"adapter": "visual"},
        ["visual"],
        [vl.visual()],
        {"visual": vl.visual()},
        {"visual": "visual"},
        {"visual": {}},
    ],
    ids=repr,
)
def test_all_forms_of_detect_mean_the_same(detect):
    assert vl.Analyzer(detect if not isinstance(detect, str) else [detect]).analyses == {"visual": {"adapter": "visual"}}
    frames = list(vl.analyze([PICTURE], detect))
    assert len(frames) == 1 and frames[0]["visual"].status == "ok"


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: vl.Analyzer(["peeple"]), ["peeple", "people"]),
        (lambda: vl.Analyzer("people"), ["an adapter and no file", "['people']"]),
        (lambda: vl.analyze([PICTURE], []), ["nothing to look for"]),
        (lambda: vl.analyze(True, "visual"), ["source", "bool"]),
        (lambda: vl.Analyzer(["visual"]).analyze([PICTURE], only=[]), ["only", "[]"]),
        (lambda: vl.Analyzer(["visual"]).analyze_frame(PICTURE, only=[3]), ["only", "3"]),
        (lambda: vl.Analyzer({"a": vl.visual(colours=3)}), ["colours", "colors"]),
        (lambda: vl.Analyzer({"a": vl.visual(colors=0)}), ["colors", "0"]),
        (lambda: vl.Analyzer({"a": {"adapter": "visual", "every": -1}}), ["every", "-1"]),
        (lambda: vl.Analyzer({"a": {"adapter": "visual", "min_confidence": "high"}}), ["min_confidence"]),
        (lambda: vl.Analyzer([vl.visual(), vl.visual()]), ["two analyses", "visual"]),
        (lambda: vl.Analyzer({"a": 3}), ["'a'", "int"]),
        (lambda: vl.Analyzer({"a": {"adapter": "visual", "colors": object()}}), ["colors", "object"]),
        (lambda: vl.analyze([PICTURE]), ["detect", "config"]),
        (lambda: vl.analyze([PICTURE], "visual", mode="fast"), ["mode", "fast"]),
        (lambda: vl.analyze([PICTURE], "visual", every="often"), ["every", "often"]),
        (lambda: vl.analyze([PICTURE], "visual", max_frames=0), ["max_frames", "0"]),
        (lambda: vl.analyze([PICTURE], "visual", rate=0), ["rate", "0"]),
        (lambda: vl.analyze([PICTURE], "visual", start=-1), ["start", "-1"]),
        (lambda: vl.analyze(PICTURE, "visual"), ["analyze_frame"]),
        (lambda: vl.analyze(3.5, "visual"), ["source", "float"]),
        (lambda: vl.analyze([PICTURE], "visual", sinks=[3]), ["sinks", "3"]),
        (lambda: vl.analyze([PICTURE], "visual", context=[1]), ["context"]),
    ],
)
def test_mistakes_raise_at_once_and_name_field_and_value(make, words):
    with pytest.raises(vl.ConfigError) as caught:
        make()
    for word in words:
        assert word in str(caught.value), str(caught.value)
    assert isinstance(caught.value, ValueError) and not caught.value.retryable


def test_a_config_file_serves_analyzer_and_analyze(tmp_path):
    path = tmp_path / "analyses.json"
    path.write_text('{"version": 1, "analyses": {  // two\n "look": {"adapter": "visual", "every": 6, "tolerance": 1}, "motion": {}}}')
    specs = vl.load_analyses(path)
    assert specs["look"]["adapter"] == "visual" and specs["look"]["every"] == 6
    assert specs["motion"]["adapter"] == "motion"
    assert vl.Analyzer(str(path)).analyses == specs
    frames = list(vl.analyze([PICTURE], "look", config=path))
    assert list(frames[0]) == ["look"]
    with pytest.raises(vl.ConfigError, match="did you mean 'look'"):
        vl.analyze([PICTURE], "loook", config=path)


def test_an_argument_wins_over_the_file_and_a_spec_over_the_argument(tmp_path):
    path = tmp_path / "analyses.json"
    path.write_text(json.dumps({"version": 1, "analyses": {"visual": {"adapter": "visual", "every": 1}}}))
    pictures = [PICTURE] * 50
    assert len(list(vl.analyze(pictures, config=path))) == 2
    assert len(list(vl.analyze(pictures, config=path, every=0.5))) == 4
    assert len(list(vl.analyze(pictures, vl.visual(every=0.2), every=0.5))) == 10


def test_an_analyzer_of_a_file_keeps_the_files_place_and_takes_its_own(tmp_path):
    path = tmp_path / "analyses.json"
    path.write_text('{"version": 1, "analyses": {"visual": {"every": "500ms"}}, "where": {"type": "local", "workers": 1}}')
    assert vl.load_analyses(path) == {"visual": {"adapter": "visual", "every": 0.5, "where": {"type": "local", "workers": 1}}}
    with vl.Analyzer(path) as analyzer:
        analyzer.analyze_frame(PICTURE)
        assert analyzer.health()["visual"]["where"] == "custom" and analyzer.health()["visual"]["workers"] == 1
    with pytest.raises(vl.NotBuiltError, match="lan"):
        vl.Analyzer(path, where={"type": "lan", "hosts": ["gpu1:8700"]})


def test_only_the_analyses_that_are_picked_must_be_in_this_version(tmp_path):
    path = tmp_path / "analyses.json"
    path.write_text('{"version": 1, "analyses": {"visual": {}, "brands": {"adapter": "yolo", "model": "m"}}}')
    assert list(next(iter(vl.analyze([PICTURE], "visual", config=path)))) == ["visual"]
    with pytest.raises(vl.NotBuiltError, match="yolo"):
        vl.analyze([PICTURE], config=path)


def test_the_device_comes_from_the_environment_unless_it_is_said(monkeypatch):
    monkeypatch.setenv("VIDLOOM_DEVICE", "cuda")
    with pytest.raises(vl.NotBuiltError, match="VIDLOOM_DEVICE is 'cuda'"):
        vl.analyze([PICTURE], "visual")
    with pytest.raises(vl.NotBuiltError, match="VIDLOOM_DEVICE is 'cuda'"):
        vl.Analyzer(["visual"])
    assert len(list(vl.analyze([PICTURE], "visual", device="cpu"))) == 1
    monkeypatch.setenv("VIDLOOM_DEVICE", "tpu")
    with pytest.raises(vl.ConfigError, match="VIDLOOM_DEVICE is 'tpu'"):
        vl.Analyzer(["visual"])


def test_vidloom_config_is_the_default(tmp_path, monkeypatch):
    path = tmp_path / "analyses.json"
    path.write_text('{"version": 1, "analyses": {"v": {"adapter": "visual"}}}')
    monkeypatch.setenv("VIDLOOM_CONFIG", str(path))
    assert list(next(iter(vl.analyze([PICTURE])))) == ["v"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("{", ["line"]),
        ('{"version": 1, "analyses": {"a": {"adapter": "visual", "colours": 3}}}', ["colours", "colors"]),
        ('{"version": 1, "analysis": {}}', ["analysis", "analyses"]),
    ],
)
def test_a_bad_file_is_a_config_error(tmp_path, text, words):
    path = tmp_path / "analyses.json"
    path.write_text(text)
    with pytest.raises(vl.ConfigError) as caught:
        vl.Analyzer(path)
    for word in words:
        assert word in str(caught.value), str(caught.value)


def test_analyses_are_added_replaced_and_removed():
    analyzer = vl.Analyzer({"a": vl.visual()})
    analyzer.set_analysis("b", vl.visual(colors=2))
    assert set(analyzer.analyze_frame(PICTURE)) == {"a", "b"}
    analyzer.set_analysis("b", {"adapter": "visual", "colors": 1})
    assert len(analyzer.analyze_frame(PICTURE)["b"].attributes["dominant_colors"]) == 1
    assert analyzer.remove_analysis("a") and not analyzer.remove_analysis("a")
    assert set(analyzer.analyze_frame(PICTURE)) == {"b"}
    assert "b" in str(analyzer.health())
