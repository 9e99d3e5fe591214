"""The report and annotated video in a real browser: what a click shows, what a keyboard reaches, what is asked of a network."""

from __future__ import annotations

import itertools
import pathlib
import shutil
import subprocess
import sys

import pytest
from browsing import Browser, barcode
from conftest import run_ffmpeg
from test_report import pictures_of

import vidloom as vl

FRAMES, RATE, START = 90, 25, 3

PLAY_A_LITTLE = """() => new Promise((done) => {
  const video = document.querySelector('video');
  video.addEventListener('playing', done, {once: true});
  video.play();
}).then(() => document.querySelector('video').pause())"""
PLAY_TO_THE_END = """() => new Promise((done) => {
  const video = document.querySelector('video');
  video.onended = () => done([video.currentTime, video.getVideoPlaybackQuality().totalVideoFrames, video.error]);
  video.playbackRate = 4;
  video.play();
})"""
LOAD_CUES = """(text) => new Promise((done) => {
  const element = document.createElement('track');
  Object.assign(element, {default: true, kind: 'captions', srclang: 'en'});
  element.onload = () => done([...element.track.cues].map((cue) => [cue.startTime, cue.endTime, cue.text]));
  element.onerror = () => done('error');
  element.src = URL.createObjectURL(new Blob([text], {type: 'text/vtt'}));
  document.querySelector('video').append(element);
  element.track.mode = 'showing';
})"""


def vidloom(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(pathlib.Path(sys.executable).with_name("vidloom")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


def number_of(time: float) -> int:
    """The barcode of the picture of that time."""
    return round((time - START) * RATE)


@vl.adapter("marks", kind="object", max_batch=4)
def marks(items):
    """Boxes at the top of the picture, away from its barcode: more of them now and then; some pictures are too much for it."""
    return [found_on(number_of(item.frame.media_time)) for item in items]


def found_on(number):
    if number % 40 == 11:
        return vl.Error(f"<b>no</b> answer & no reason for {number}", code="model")
    count = 3 if number % 20 == 7 else 1 if number % 3 == 0 else 0
    boxes = [[20 + 60 * i + number % 20, 20, 60 + 60 * i + number % 20, 60] for i in range(count)]
    return vl.Detections(boxes, confidence=[0.9] * count, class_name=["<i>thing</i> & co"] * count)


@pytest.fixture(scope="module")
def browser():
    browser = Browser()
    yield browser
    browser.close()


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> pathlib.Path:
    """A report of a test pattern that does not begin at 0, played from the annotated video of the same run."""
    folder = tmp_path_factory.mktemp("a report & <more>")
    source = f"test:size=640x360,rate={RATE},frames={FRAMES},start={START}"
    vl.analyze(source, {"marks": {"adapter": "marks"}}, annotate=folder / "out #1.mp4", report=folder / "out.html").run()
    return folder / "out.html"


def clean(browser, files: set[str]) -> None:
    """Nothing went wrong on the page, and nothing was asked of a network."""
    log = browser.do("log")
    assert log["console"] == [] and log["errors"] == []
    assert all(failed.endswith("net::ERR_ABORTED") for failed in log["failed"])  # so a player ends what it need not read on
    asked = {url for url in log["requests"] if not url.startswith("data:")}
    assert all(url.startswith("file:///") for url in asked), asked
    assert {url.rsplit("/", 1)[1] for url in asked} == files


def test_each_bar_of_a_timeline_shows_its_very_picture(browser, page, tmp_path):
    browser.open(page)
    times = browser.eval("() => [...document.querySelectorAll('.bins button[data-time]')].map((b) => Number(b.dataset.time))")
    assert len(times) > 30
    wrong, chosen = [], [*range(0, len(times), 4), len(times) - 1]
    for nth in reversed(chosen):
        browser.do("click", selector=".bins button[data-time]", nth=nth)
        shown = barcode(browser.picture(tmp_path / "shot.png", "video"))
        if shown != number_of(times[nth]):
            wrong.append((times[nth], shown))
    assert not wrong, f"of {len(chosen)}"
    clean(browser, {"out.html", "out%20%231.mp4"})


def test_a_peak_stands_on_the_frame_with_most_boxes_and_draws_them(browser, page, tmp_path):
    browser.open(page)
    peaks = "[...document.querySelectorAll('.bins button')].filter((b) => b.getAttribute('aria-label').startsWith('3 '))"
    found = browser.eval(f"() => {peaks}.map((b) => [Number(b.dataset.time), b.dataset.moment])")
    assert {number_of(time) % 20 for time, _ in found} == {7} and len(found) >= 4
    time, moment = found[1]
    browser.do("click", selector=f".bins button[data-moment='{moment}']")
    numbers = "['x', 'y', 'width', 'height'].map((name) => Number(r.getAttribute(name)))"
    boxes = browser.eval(f"() => [...document.querySelectorAll('.stage .mark')].map((r) => {numbers})")
    left = number_of(time) % 20
    assert boxes == [[20 + 60 * i + left, 20, 40, 40] for i in range(3)]
    assert barcode(browser.picture(tmp_path / "shot.png", "video")) == number_of(time)
    assert "3 <i>thing</i> & co" in browser.eval("() => document.querySelector('.now').textContent")
    assert browser.eval("() => document.querySelectorAll('i.thing, .now i, b b').length") == 0  # texts stay texts
    browser.eval(PLAY_A_LITTLE)
    assert browser.eval("() => document.querySelectorAll('.stage .mark').length") == 0  # another picture, other boxes


def test_moments_are_pictures_of_their_time(browser, page, tmp_path):
    browser.open(page)
    moments = browser.eval("() => [...document.querySelectorAll('.moments button')].map((b) => [Number(b.dataset.time), b.textContent])")
    pictures = pictures_of(page)
    assert 12 <= len(moments) == len(pictures) <= 24
    assert [time for time, _ in moments] == sorted(time for time, _ in moments)
    for nth in (0, len(moments) - 1):
        assert barcode(pictures[nth][1].mean(axis=2)) == number_of(moments[nth][0]) == number_of(pictures[nth][0])
        browser.do("click", selector=".moments button", nth=nth)
        assert barcode(browser.picture(tmp_path / "shot.png", "video")) == number_of(moments[nth][0])


def test_the_keyboard_reaches_everything(browser, page, tmp_path):
    browser.open(page)
    first = "document.querySelector('.bins button[data-time]')"
    reached = set()
    for _ in range(12):
        browser.do("press", key="Tab")
        reached.add(browser.eval("() => document.activeElement.className.split(' ')[0] || document.activeElement.tagName"))
        if browser.eval(f"() => document.activeElement === {first}"):
            break
    assert {"play", "seek", "sound", "skip"} <= reached
    assert browser.eval(f"() => document.activeElement === {first}")
    assert browser.eval(f"() => getComputedStyle({first}).outlineStyle") != "none"
    browser.do("press", key="ArrowRight")
    for key in ("Enter", " "):
        browser.do("press", key="ArrowRight")
        browser.do("press", key=key)
        time, pressed = browser.eval("() => [document.activeElement.dataset.time, document.activeElement.getAttribute('aria-pressed')]")
        assert pressed == "true"
        assert barcode(browser.picture(tmp_path / "shot.png", "video")) == number_of(float(time))
    browser.do("press", key="End")
    assert browser.eval("() => document.activeElement === [...document.activeElement.parentElement.querySelectorAll('button')].pop()")
    unreachable = browser.eval("() => [...document.querySelectorAll('[data-time]')].filter((b) => b.tabIndex < 0 || b.disabled).length")
    assert unreachable == 0


def test_names_roles_and_structure(browser, page):
    browser.open(page)
    assert browser.check("nameless") == []
    count = "document.querySelectorAll('{}').length"
    assert browser.eval(f"() => [document.documentElement.lang, {count.format('h1')}, {count.format('main')}]") == ["en", 1, 1]
    levels = browser.eval("() => [...document.querySelectorAll('h1,h2,h3')].map((h) => Number(h.tagName[1]))")
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    ids = browser.eval("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    links = "[...document.querySelectorAll('[aria-labelledby], a[href^=\"#\"]')]"
    assert set(browser.eval(f"() => {links}.map((e) => e.getAttribute('aria-labelledby') || e.hash.slice(1))")) <= set(ids)
    assert browser.eval("() => document.querySelector('.now').getAttribute('aria-live')") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark_and_on_a_narrow_screen(browser, page, scheme):
    browser.open(page, scheme=scheme, size=[400, 800])
    paper = browser.eval("() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(paper) > 600) == (scheme == "light")
    assert browser.check("faint") == []
    assert browser.eval("() => document.documentElement.scrollWidth <= innerWidth")


def test_failures_are_counted_in_red(browser, page):
    browser.open(page)
    lost = [n for n in range(FRAMES) if n % 40 == 11]
    text = browser.eval("() => document.querySelector('.troubles').textContent")
    assert f"marks: failed {len(lost)} of {FRAMES}" in text and f"<b>no</b> answer & no reason for {lost[0]}" in text
    red, green, blue = browser.eval("() => getComputedStyle(document.querySelector('.troubles .bad')).color.match(/\\d+/g).map(Number)")
    assert red > 120 and green < 80 and blue < 80
    times = browser.eval("() => [...document.querySelectorAll('.bins.fail button')].map((b) => Number(b.dataset.time))")
    assert [number_of(time) for time in times] == lost


def test_a_report_that_makes_its_own_film_and_one_that_plays_the_source(browser, tmp_path):
    source = f"test:size=320x180,rate=30000/1001,frames=40,start={START}"
    own = vidloom("analyze", source, "--detect", "motion,visual", "--every", "0.1", "--report", tmp_path / "own.html")
    assert own.returncode == 0, own.stderr
    browser.open(tmp_path / "own.html")
    check_all(browser, tmp_path, 30000 / 1001, first=round(START * 30000 / 1001))
    clean(browser, {"own.html", "own.mp4"})
    film = tmp_path / "source.mp4"
    vl.analyze(source, "visual", every=1, sinks=[vl.video(film)]).run()
    played = vidloom("analyze", film, "--detect", "motion,visual", "--every", "0.1", "--report", tmp_path / "played.html")
    assert played.returncode == 0, played.stderr
    assert not (tmp_path / "played.mp4").exists()
    browser.open(tmp_path / "played.html")
    check_all(browser, tmp_path, 30000 / 1001, first=0)
    clean(browser, {"played.html", "source.mp4"})


def check_all(browser, tmp_path, rate: float, first: int) -> None:
    """Some bars and moments show the picture of their time; ``first``: that of the first picture, in pictures."""
    times = browser.eval("() => [...document.querySelectorAll('[data-time]')].map((b) => Number(b.dataset.time))")
    assert len(times) > 10
    for nth in range(1, len(times), max(1, len(times) // 4)):
        browser.do("click", selector="[data-time]", nth=nth)
        assert barcode(browser.picture(tmp_path / "shot.png", "video")) == round(times[nth] * rate) - first


@pytest.mark.parametrize("kind", ["plain", "fragmented"])
def test_annotated_video_plays_whole_and_as_a_kill_leaves_it(browser, page, tmp_path, kind):
    film = tmp_path / "film.mp4"
    shutil.copy(page.with_name("out #1.mp4"), film)
    if kind == "fragmented":
        run_ffmpeg("-i", film, "-c", "copy", "-movflags", "frag_keyframe+empty_moov+default_base_moof", tmp_path / "parts.mp4")
        film = tmp_path / "parts.mp4"
    html = tmp_path / "player.html"
    html.write_text(f'<!DOCTYPE html><link rel="icon" href="data:,"><title>film</title><video muted src="{film.name}"></video>')
    browser.open(html)
    played = browser.eval(PLAY_TO_THE_END)
    assert played[0] == pytest.approx(FRAMES / RATE, abs=0.05) and played[1] > 0 and played[2] is None
    clean(browser, {"player.html", film.name})


def test_webvtt_of_the_records_is_a_track_of_the_video(browser, page, tmp_path):
    source = f"test:size=320x180,rate={RATE},frames=50,start={START}"
    film, lines, cues = tmp_path / "film.mp4", tmp_path / "out.jsonl", tmp_path / "out.vtt"
    vl.analyze(source, {"marks": {"adapter": "marks"}}, annotate=film, jsonl=lines).run()
    assert vidloom("convert", lines, "--to", "webvtt", "-o", cues).returncode == 0
    html = tmp_path / "player.html"
    text = cues.read_text()  # a page opened from a disk may load no second file of text
    html.write_text(f'<!DOCTYPE html><link rel="icon" href="data:,"><title>film</title><video muted src="{film.name}"></video>')
    browser.open(html)
    read = browser.eval(LOAD_CUES, text)
    assert isinstance(read, list) and len(read) > 10
    assert any("thing" in cue and begin == pytest.approx(START + 7 / RATE, abs=0.001) for begin, _, cue in read)

