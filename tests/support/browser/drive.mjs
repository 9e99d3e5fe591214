// Drives a headless Chromium: one JSON command a line on standard input, one JSON answer a line on standard output.
//
//   {"do": "open", "url": "file:///...", "scheme": "dark", "size": [1280, 900]}  {"do": "eval", "code": "() => document.title"}
//   {"do": "click", "selector": "...", "nth": 0}  {"do": "press", "key": "Enter"}  {"do": "settle"}  {"do": "shot", "selector": "video", "path": "..."}
//   {"do": "log"}: console errors, page errors, failed and network requests since the page was opened
import readline from 'node:readline';
import {chromium} from 'playwright-core';

const browser = await chromium.launch({
  executablePath: process.env.VIDLOOM_CHROMIUM,
  args: ['--no-sandbox', '--disable-gpu', '--autoplay-policy=no-user-gesture-required', '--disable-background-networking', '--mute-audio'],
});
let page = null, log = null;

/* What was asked of a network: everything that is neither the page's own folder nor inside the page. */
function watch(opened) {
  log = {console: [], errors: [], failed: [], requests: []};
  opened.on('console', (message) => { if (['error', 'warning'].includes(message.type())) log.console.push(message.text()); });
  opened.on('pageerror', (error) => log.errors.push(String(error)));
  opened.on('requestfailed', (request) => log.failed.push(`${request.url().slice(0, 200)}: ${request.failure()?.errorText}`));
  opened.on('request', (request) => log.requests.push(request.url().slice(0, 200)));
}

/* A paused video whose last seek is over, and whose picture has reached the screen. */
async function settle() {
  await page.evaluate(async () => {
    const video = document.querySelector('video');
    if (!video) return;
    if (video.seeking || video.readyState < 2) {
      await new Promise((done) => { video.addEventListener('seeked', done, {once: true}); video.addEventListener('canplay', done, {once: true}); setTimeout(done, 5000); });
    }
    for (let i = 0; i < 4; ++i) await new Promise((done) => requestAnimationFrame(done));
  });
}

const actions = {
  async open({url, scheme = 'light', size = [1280, 900], offline = true}) {
    if (page) await page.context().close();
    const context = await browser.newContext({colorScheme: scheme, viewport: {width: size[0], height: size[1]}, offline});
    page = await context.newPage();
    watch(page);
    await page.goto(url, {waitUntil: 'load'});
    await settle();
    return page.title();
  },
  eval: ({code, with: argument}) => page.evaluate(`(${code})(${JSON.stringify(argument ?? null)})`),
  async click({selector, nth = 0}) { await page.locator(selector).nth(nth).click(); await settle(); },
  async press({key}) { await page.keyboard.press(key); await settle(); },
  settle,
  shot: ({selector, path, full}) => selector ? page.locator(selector).first().screenshot({path}) : page.screenshot({path, fullPage: Boolean(full)}),
  log: () => log,
};

for await (const line of readline.createInterface({input: process.stdin})) {
  const command = JSON.parse(line);
  let answer;
  try {
    answer = {ok: (await actions[command.do](command)) ?? null};
  } catch (error) {
    answer = {error: String(error)};
  }
  if (answer.ok instanceof Object && Buffer.isBuffer(answer.ok)) answer.ok = null;
  process.stdout.write(JSON.stringify(answer) + '\n');
}
await browser.close();
