"""The report and annotated video in a real browser: what a click shows, what a keyboard reaches, what is asked of a network."""

from __future__ import annotations

import pathlib
import shutil
import subprocess
import sys

import pytest
from browsing import Browser, barcode
from conftest import run_ffmpeg

import vidloom as vl

FRAMES, RATE, START = 90, 25, 3


def vidloom(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [str(pathlib.Path(sys.executable).with_name("vidloom")), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)


@vl.adapter("marks", kind="object", max_batch=4)
def marks(items):
    """Boxes at the top of the picture, away from its barcode: more of them now and then; some pictures are too much for it."""
    return [found_on(round(item.frame.media_time * RATE)) for item in items]


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
    assert [failed for failed in log["failed"] if not failed.endswith("net::ERR_ABORTED")] == []  # so a player ends what it need not read on
    asked = {url for url in log["requests"] if not url.startswith("data:")}
    assert all(url.startswith("file:///") for url in asked), asked
    assert {url.rsplit("/", 1)[1] for url in asked} == files


def number_of(time: float) -> int:
    return round(time * RATE)


def test_each_bar_of_a_timeline_shows_its_very_picture(browser, page, tmp_path):
    browser.open(page)
    times = browser.eval("() => [...document.querySelectorAll('.bins button[data-time]')].map((b) => Number(b.dataset.time))")
    assert len(times) > 30
    wrong, chosen = [], list(range(0, len(times), 4)) + [len(times) - 1]
    for nth in reversed(chosen):
        browser.do("click", selector=".bins button[data-time]", nth=nth)
        shown = barcode(browser.picture(tmp_path / "shot.png", "video"))
        if shown != number_of(times[nth]):
            wrong.append((times[nth], shown))
    assert not wrong, f"of {len(chosen)}"
    clean(browser, {"out.html", "out%20%231.mp4"})


def test_a_peak_stands_on_the_frame_with_most_boxes_and_draws_them(browser, page, tmp_path):
    browser.open(page)
    peaks = "[...document.querySelectorAll('.bins button.h10:not(.fail *)')].filter((b) => b.getAttribute('aria-label').startsWith('3 '))"
    found = browser.eval(f"() => {peaks}.map((b) => [Number(b.dataset.time), b.dataset.moment])")
    assert {number_of(time) % 20 for time, _ in found} == {7} and len(found) >= 4
    time, moment = found[1]
    browser.do("click", selector=f".bins button[data-moment='{moment}']")
    boxes = browser.eval("() => [...document.querySelectorAll('.stage .mark')].map((r) => ['x', 'y', 'width', 'height'].map((a) => Number(r.getAttribute(a))))")
    left = number_of(time) % 20
    assert boxes == [[20 + 60 * i + left, 20, 40, 40] for i in range(3)]
    assert barcode(browser.picture(tmp_path / "shot.png", "video")) == number_of(time)
    assert "3 <i>thing</i> & co" in browser.eval("() => document.querySelector('.now').textContent")
    assert browser.eval("() => document.querySelectorAll('i.thing, .now i, b b').length") == 0  # texts stay texts
    browser.eval("() => { const v = document.querySelector('video'); return new Promise((done) => { v.onplaying = done; v.play(); }).then(() => v.pause()); }")
    assert browser.eval("() => document.querySelectorAll('.stage .mark').length") == 0  # another picture, other boxes


def test_moments_are_pictures_of_their_time(browser, page, tmp_path):
    browser.open(page)
    moments = browser.eval("() => [...document.querySelectorAll('.moments button')].map((b) => [Number(b.dataset.time), b.textContent])")
    assert 12 <= len(moments) <= 24
    assert [time for time, _ in moments] == sorted(time for time, _ in moments)
    for nth in (0, len(moments) - 1):
        browser.eval("(nth) => document.querySelectorAll('.moments button')[nth].scrollIntoView()", nth)
        thumbnail = browser.picture(tmp_path / "thumb.png", f".moments li:nth-child({nth + 1}) img")
        assert barcode(thumbnail) == number_of(moments[nth][0])
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
    assert browser.eval(NAMELESS) == []
    assert browser.eval("() => [document.documentElement.lang, document.querySelectorAll('h1').length, document.querySelectorAll('main').length]") == ["en", 1, 1]
    levels = browser.eval("() => [...document.querySelectorAll('h1,h2,h3')].map((h) => Number(h.tagName[1]))")
    assert all(after - before <= 1 for before, after in zip(levels, levels[1:], strict=False))
    ids = browser.eval("() => [...document.querySelectorAll('[id]')].map((e) => e.id)")
    assert len(ids) == len(set(ids))
    dangling = "() => [...document.querySelectorAll('[aria-labelledby], a[href^=\"#\"]')].map((e) => e.getAttribute('aria-labelledby') || e.hash.slice(1)).filter((id) => !document.getElementById(id))"
    assert browser.eval(dangling) == []
    assert browser.eval("() => document.querySelector('.now').getAttribute('aria-live')") == "polite"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_read_in_light_and_dark_and_on_a_narrow_screen(browser, page, scheme):
    browser.open(page, scheme=scheme, size=[400, 800])
    paper = browser.eval("() => getComputedStyle(document.body).backgroundColor.match(/\\d+/g).map(Number)")
    assert (sum(paper) > 600) == (scheme == "light")
    assert browser.eval(FAINT) == []
    assert browser.eval("() => document.documentElement.scrollWidth <= innerWidth")


def test_failures_are_counted_in_red(browser, page):
    browser.open(page)
    lost = [n for n in range(START * RATE, START * RATE + FRAMES) if n % 40 == 11]
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
    check_all(browser, tmp_path, 30000 / 1001)
    clean(browser, {"own.html", "own.mp4"})
    film = tmp_path / "source.mp4"
    vl.analyze(source, "visual", every=1, sinks=[vl.video(film)]).run()
    played = vidloom("analyze", film, "--detect", "motion,visual", "--every", "0.1", "--report", tmp_path / "played.html")
    assert played.returncode == 0, played.stderr
    assert not (tmp_path / "played.mp4").exists()
    browser.open(tmp_path / "played.html")
    check_all(browser, tmp_path, 30000 / 1001, first=round(START * 30000 / 1001))
    clean(browser, {"played.html", "source.mp4"})


def check_all(browser, tmp_path, rate: float, first: int = 0) -> None:
    """Some bars and moments show the picture of their time; ``first``: the barcode of the picture at 0."""
    times = browser.eval("() => [...document.querySelectorAll('[data-time]')].map((b) => Number(b.dataset.time))")
    assert len(times) > 10
    for nth in range(1, len(times), max(1, len(times) // 4)):
        browser.do("click", selector="[data-time]", nth=nth)
        assert barcode(browser.picture(tmp_path / "shot.png", "video")) == first + round(times[nth] * rate)


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
    played = browser.eval(
        "() => new Promise((done) => { const v = document.querySelector('video'); v.onended = () => done([v.currentTime, v.getVideoPlaybackQuality().totalVideoFrames, v.error]);"
        " v.playbackRate = 4; v.play(); })"
    )
    assert played[0] == pytest.approx(FRAMES / RATE, abs=0.05) and played[1] > 0 and played[2] is None
    clean(browser, {"player.html", film.name})


def test_webvtt_of_the_records_is_a_track_of_the_video(browser, page, tmp_path):
    source = f"test:size=320x180,rate={RATE},frames=50"
    film, lines, cues = tmp_path / "film.mp4", tmp_path / "out.jsonl", tmp_path / "out.vtt"
    vl.analyze(source, {"marks": {"adapter": "marks"}}, annotate=film, jsonl=lines).run()
    assert vidloom("convert", lines, "--to", "webvtt", "-o", cues).returncode == 0
    html = tmp_path / "player.html"
    text = cues.read_text()  # a page opened from a disk may load no second file of text
    html.write_text(f'<!DOCTYPE html><link rel="icon" href="data:,"><title>film</title><video muted src="{film.name}"></video>')
    browser.open(html)
    read = browser.eval(
        "(text) => new Promise((done) => { const t = document.createElement('track'); t.default = true; t.kind = 'captions'; t.srclang = 'en';"
        " t.onload = () => done([...t.track.cues].map((c) => [c.startTime, c.endTime, c.text])); t.onerror = () => done('error');"
        " t.src = URL.createObjectURL(new Blob([text], {type: 'text/vtt'})); document.querySelector('video').append(t); t.track.mode = 'showing'; })",
        text,
    )
    assert isinstance(read, list) and len(read) > 10
    assert any("thing" in cue and begin == pytest.approx(7 / RATE, abs=0.001) for begin, _, cue in read)


# Everything that can be activated or shows a picture has a name that is read aloud.
NAMELESS = """() => [...document.querySelectorAll('button, a[href], input, select, video, img, [role=group], summary, nav, section')].filter((e) => {
  if (e.tagName === 'IMG') return !e.hasAttribute('alt');
  const by = e.getAttribute('aria-labelledby');
  const name = by ? document.getElementById(by)?.textContent : e.getAttribute('aria-label') || e.textContent;
  return !(name || '').trim();
}).map((e) => e.outerHTML.slice(0, 120))"""
# Text whose contrast with what is behind it is below 4.5 to 1 (WCAG 2 AA).
FAINT = """() => {
  const parts = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => { const c = [r, g, b].map((v) => { v /= 255; return v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4; }); return 0.2126 * c[0] + 0.7152 * c[1] + 0.0722 * c[2]; };
  const behind = (e) => { for (; e; e = e.parentElement) { const c = parts(getComputedStyle(e).backgroundColor); if (c.length < 4 || c[3] > 0.99) return c; } return [255, 255, 255]; };
  const found = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || ['SCRIPT', 'STYLE', 'NOSCRIPT'].includes(e.tagName) || e.closest('[aria-hidden=true], [hidden], details:not([open])')) continue;
    const [a, b] = [light(parts(getComputedStyle(e).color)), light(behind(e))].sort((x, y) => y - x);
    if ((a + 0.05) / (b + 0.05) < 4.5) found.push(`${e.className} ${e.textContent.slice(0, 40)}`);
  }
  return found;
}"""
