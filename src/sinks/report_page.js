'use strict';

/* One stream: a video, the buttons that stand for its moments, and the boxes of the chosen one over the picture. */
class Player {
  constructor(section) {
    this.data = JSON.parse(section.querySelector('script.data').textContent);
    this.video = section.querySelector('video');
    this.overlay = section.querySelector('.stage svg');
    this.now = section.querySelector('.now');
    this.heads = [...section.querySelectorAll('.head')];
    this.buttons = [...section.querySelectorAll('button[data-moment]')];
    this.zero = 0;         // where the first picture of the film stands in the player's own time
    this.chosen = null;
    this.tries = 0;
    section.addEventListener('click', (event) => {
      const button = event.target.closest('button[data-moment]');
      if (button) this.choose(button);
    });
    section.addEventListener('keydown', (event) => this.move(event));
    if (this.video) {
      this.control(section);
      this.listen();
    }
  }

  /* Controls of our own, below the picture: the browser's would lie over it. */
  control(section) {
    const video = this.video, bar = section.querySelector('.controls');
    const play = bar.querySelector('.play'), seek = bar.querySelector('.seek'), clock = bar.querySelector('.clock'), sound = bar.querySelector('.sound');
    video.controls = false;
    bar.hidden = false;
    play.addEventListener('click', () => video.paused ? video.play() : video.pause());
    video.addEventListener('click', () => play.click());
    for (const name of ['play', 'pause']) video.addEventListener(name, () => { play.textContent = video.paused ? 'Play' : 'Pause'; });
    seek.addEventListener('input', () => { video.currentTime = Number(seek.value); });
    sound.addEventListener('click', () => {
      video.muted = !video.muted;
      sound.setAttribute('aria-pressed', String(!video.muted));
    });
    const show = () => {
      if (Number.isFinite(video.duration)) seek.max = String(video.duration);
      if (document.activeElement !== seek) seek.value = String(video.currentTime);
      const time = Math.max(0, video.currentTime - this.zero + this.data.begin);  // as the records count it
      const minutes = Math.floor(time / 60);
      clock.textContent = `${minutes}:${(Math.floor(10 * (time - 60 * minutes)) / 10).toFixed(1).padStart(4, '0')}`;
      seek.setAttribute('aria-valuetext', clock.textContent);
    };
    for (const name of ['loadedmetadata', 'timeupdate', 'seeked']) video.addEventListener(name, show);
  }

  listen() {
    const video = this.video;
    const first = (now, shown) => {
      if (this.chosen === null && video.currentTime === 0) this.zero = shown.mediaTime;
    };
    if (video.requestVideoFrameCallback) video.requestVideoFrameCallback(first);
    video.addEventListener('error', () => {
      const name = decodeURIComponent(video.getAttribute('src').split('/').pop());
      this.say('The video cannot be played', `Keep ${name} where it was beside this page.`);
    });
    video.addEventListener('play', () => this.forget());
    video.addEventListener('timeupdate', () => this.drawHeads());
    video.addEventListener('seeking', () => {
      if (this.chosen !== null && Math.abs(video.currentTime - this.target()) > 0.002) this.forget();
    });
  }

  /* The middle of the picture's time on screen: no rounding of a player leads to its neighbour. */
  target() {
    const moment = this.data.moments[this.chosen];
    return this.zero + moment.t + Math.max(moment.n / 2, 0.0005);
  }

  choose(button) {
    this.chosen = Number(button.dataset.moment);
    const moment = this.data.moments[this.chosen];
    for (const other of this.buttons) {
      if (other.hasAttribute('aria-pressed')) other.setAttribute('aria-pressed', String(other === button));
    }
    this.draw(moment, button.dataset.row);
    this.say(`${button.dataset.clock} \u00b7 picture ${moment.s}`, moment.w);
    if (!this.video) return;
    this.tries = 0;
    this.video.pause();
    this.seek();
    const box = this.video.getBoundingClientRect();
    if (box.bottom < 80 || box.top > innerHeight - 80) this.video.scrollIntoView({block: 'nearest'});
  }

  /* Where the browser says which picture it shows, and it is a neighbour, go by as much as it is wrong. */
  seek(correction = 0) {
    const video = this.video, chosen = this.chosen;
    const moment = this.data.moments[chosen];
    if (video.requestVideoFrameCallback) {
      video.requestVideoFrameCallback((now, shown) => {
        if (this.chosen !== chosen) return;
        const wrong = shown.mediaTime - this.zero - moment.t;
        video.dataset.shown = String(shown.mediaTime);
        if (Math.abs(wrong) >= Math.max(moment.n / 2, 0.0005) && this.tries++ < 3) this.seek(correction - wrong);
      });
    }
    video.currentTime = Math.max(0, this.target() + correction);
  }

  forget() {
    this.chosen = null;
    this.overlay.replaceChildren();
    for (const button of this.buttons) button.setAttribute('aria-pressed', 'false');
  }

  say(head, text) {
    const strong = document.createElement('b');
    strong.textContent = head;
    this.now.replaceChildren(strong, document.createTextNode(text));
  }

  draw(moment, row) {
    if (!this.overlay) return;
    const shapes = [];
    for (const [x1, y1, x2, y2, number] of moment.b) {
      for (const kind of ['mark-edge', String(number) === row ? 'mark chosen' : 'mark']) {
        const rect = document.createElementNS('http://www.w3.org/2000/svg', 'rect');
        const box = {x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1), class: kind};
        for (const [name, value] of Object.entries(box)) rect.setAttribute(name, value);
        shapes.push(rect);
      }
    }
    this.overlay.replaceChildren(...shapes);
  }

  drawHeads() {
    const {from, to} = this.data;
    const share = (this.video.currentTime - this.zero - from) / (to - from);
    for (const head of this.heads) {
      head.hidden = !(share >= 0 && share <= 1);
      head.style.left = `${100 * share}%`;
    }
  }

  /* Arrows go along a timeline, Home and End to its ends. */
  move(event) {
    const row = event.target.closest('.bins');
    if (!row) return;
    const bins = [...row.querySelectorAll('button')], at = bins.indexOf(event.target);
    const to = {ArrowLeft: at - 1, ArrowRight: at + 1, Home: 0, End: bins.length - 1}[event.key];
    if (at < 0 || to === undefined) return;
    event.preventDefault();
    bins[Math.min(Math.max(to, 0), bins.length - 1)].focus();
  }
}

for (const section of document.querySelectorAll('section.stream')) new Player(section);
