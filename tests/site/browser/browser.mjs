// Opens every page of the site in a browser, and prints what is wrong, one problem on each line.
//
//     node browser.mjs FOLDER CHROMIUM SCREENSHOTS
//
// Writes screenshots of some pages into the folder SCREENSHOTS, for people.
// The pages are opened as files, because the site must work without a web server.
import { readdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';

const [folder, executablePath, screenshots] = process.argv.slice(2);
const { chromium } = createRequire(join(process.cwd(), 'node_modules', 'x.js'))('playwright-core');

const DESKTOP = { width: 1280, height: 900 };
const PHONE = { width: 390, height: 844 };
const url = (page) => pathToFileURL(join(folder, page)).href;

// The crate's documentation has a layout of its own: its first page is enough.
const RUST = join('reference', 'rust');
const pages = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.html') && name !== '404.html')
  .filter((name) => !name.startsWith(RUST) || name === join(RUST, 'temporal_heartbeat', 'index.html'))
  .sort();

const problems = [];
const wrong = (page, what) => problems.push(`${page}: ${what}`);

const browser = await chromium.launch({ executablePath, args: ['--no-sandbox', '--disable-dev-shm-usage'] });

// Opens a page that reports errors of its scripts, and all requests to other places.
async function open(page, viewport, colorScheme = 'light') {
  const context = await browser.newContext({ viewport, colorScheme });
  const tab = await context.newPage();
  tab.on('console', (message) => message.type() === 'error' && wrong(page, `console: ${message.text()}`));
  tab.on('pageerror', (error) => wrong(page, `script: ${error.message}`));
  tab.on('requestfailed', (request) => wrong(page, `not loaded: ${request.url()}`));
  tab.on('request', (request) => {
    if (!/^(file|data|blob|about):/.test(request.url())) wrong(page, `loads ${request.url()}`);
  });
  await tab.goto(url(page));
  return tab;
}

const close = (tab) => tab.context().close();

// The brightness of the page's background, from 0 to 255.
const brightness = (tab) =>
  tab.evaluate(() => {
    const [red, green, blue] = getComputedStyle(document.body).backgroundColor.match(/[\d.]+/g).map(Number);
    return (red + green + blue) / 3;
  });

async function everyPage() {
  for (const page of pages) {
    const tab = await open(page, DESKTOP);
    const broken = await tab.evaluate(async () => {
      const images = [...document.images].filter((image) => getComputedStyle(image).display !== 'none');
      await Promise.all(images.map((image) => image.decode().catch(() => {})));
      return images.filter((image) => !image.naturalWidth).map((image) => image.src);
    });
    broken.forEach((image) => wrong(page, `picture not drawn: ${image}`));
    await tab.setViewportSize(PHONE);
    const width = await tab.evaluate(() => document.scrollingElement.scrollWidth);
    if (width > PHONE.width && !page.startsWith(RUST)) wrong(page, `${width} pixels wide on a phone of ${PHONE.width}`);
    await close(tab);
  }
}

async function darkMode() {
  for (const page of ['index.html', 'performance.html', join('reference', 'python.html')]) {
    const tab = await open(page, DESKTOP, 'dark');
    if ((await brightness(tab)) > 80) wrong(page, 'not dark for a reader who prefers dark colors');
    const shown = await tab.evaluate(() =>
      [...document.images].filter((image) => image.offsetParent && image.src.includes('#only-light')).map((i) => i.src),
    );
    shown.forEach((image) => wrong(page, `light picture on a dark page: ${image}`));
    // The button changes to the next colors: the system's, light, dark.
    await tab.locator('label[for^="__palette"]:visible').first().click();
    if ((await brightness(tab)) < 170) wrong(page, 'the button does not change to light colors');
    await close(tab);
  }
}

async function searchFor(viewport) {
  const tab = await open('index.html', viewport);
  if (viewport === PHONE) await tab.locator('label.md-header__button[for="__search"]').click();
  else await tab.keyboard.press('/'); // the key of the search
  await tab.keyboard.type('lease');
  const results = tab.locator('.md-search-result__link');
  await results.first().waitFor({ timeout: 20_000 });
  const found = await results.evaluateAll((links) => links.map((link) => link.getAttribute('href')));
  if (!found.some((link) => link.includes('guide/concepts.html'))) wrong('search', `lease isn't found in: ${found}`);
  await tab.keyboard.press('ArrowDown');
  await tab.keyboard.press('Enter');
  await tab.waitForURL(/\.html\?h=/, { timeout: 20_000 }).catch(() => wrong('search', 'Enter opens no result'));
  await close(tab);
}

async function keyboard() {
  const tab = await open('guide/concepts.html', DESKTOP);
  await tab.keyboard.press('Tab');
  const first = await tab.evaluate(() => document.activeElement.className);
  if (!first.includes('md-skip')) wrong('keyboard', `the first key Tab reaches ${first}, not the link to the content`);
  await tab.keyboard.press('Enter');
  await tab.keyboard.press('Tab');
  const inside = await tab.evaluate(() => document.querySelector('.md-content').contains(document.activeElement));
  if (!inside) wrong('keyboard', 'Tab after the link to the content leaves the content');
  await close(tab);

  const start = await open('index.html', DESKTOP);
  const tabs = start.locator('.tabbed-set > input');
  await tabs.first().focus();
  await start.keyboard.press('ArrowRight');
  if (!(await tabs.nth(1).isChecked())) wrong('keyboard', 'the arrow keys do not choose a language');
  await close(start);
}

async function takeScreenshots() {
  for (const page of ['index.html', join('guide', 'concepts.html'), 'performance.html', join('reference', 'c.html')]) {
    for (const [device, viewport] of Object.entries({ desktop: DESKTOP, phone: PHONE })) {
      for (const colors of ['light', 'dark']) {
        const tab = await open(page, viewport, colors);
        const name = `${page.replace(/\W/g, '-').replace('-html', '')}-${device}-${colors}.png`;
        const clip = { x: 0, y: 0, width: viewport.width, height: 3000 };
        await tab.screenshot({ path: join(screenshots, name), fullPage: true, clip });
        await close(tab);
      }
    }
  }
}

await everyPage();
await darkMode();
await searchFor(DESKTOP);
await searchFor(PHONE);
await keyboard();
await takeScreenshots();
await browser.close();
console.log([`${pages.length} pages`, ...problems].join('\n'));
