// Opens the page in headless Chromium from disk, does what a reader does, and ends with 1 and a line at the first thing that is wrong.
//   node page.mjs TOOLS CHROMIUM PAGE PICTURES
// TOOLS holds playwright-core, PAGE the page's folder; PICTURES gets screenshots, or is empty.
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import path from 'node:path';
import { pathToFileURL } from 'node:url';

const [tools, executablePath, folder, pictures] = process.argv.slice(2);
const { chromium } = createRequire(path.join(tools, 'x.js'))(path.join(tools, 'playwright-core'));
const wanted = (holds, words) => {
  if (!holds) throw new Error(words);
};

// The flags draw WebGL on a processor.
const args = ['--no-sandbox', '--use-gl=angle', '--use-angle=swiftshader', '--enable-unsafe-swiftshader', '--disable-background-networking', '--disable-component-update', '--disable-sync', '--no-first-run', '--disable-quic'];
const browser = await chromium.launch({ executablePath, args });
const complaints = [];
const requests = [];

async function open(options) {
  const context = await browser.newContext({ locale: 'en-GB', acceptDownloads: true, offline: true, ...options });
  const page = await context.newPage();
  page.on('console', (message) => ['error', 'warning'].includes(message.type()) && !message.text().includes('GPU stall') && complaints.push(message.text()));
  page.on('pageerror', (error) => complaints.push(String(error)));
  page.on('request', (request) => !/^(file|data|blob):/.test(request.url()) && requests.push(request.url()));
  await page.goto(pathToFileURL(path.join(folder, 'index.html')).href);
  await page.waitForFunction(() => !map.gl || map.left.loaded());
  return page;
}

const picture = async (page, name, options = {}) => {
  if (pictures) await page.screenshot({ path: path.join(pictures, `${name}.png`), ...options });
};
const column = (page, i) => page.$$eval('#table tbody tr', (rows, at) => rows.map((row) => row.cells[at].textContent), i);

try {
  const page = await open({ viewport: { width: 1360, height: 950 } });
  const csv = readFileSync(path.join(folder, 'regions.csv'), 'utf8');
  const n = csv.trim().split('\n').length - 1;
  wanted((await page.$$('#table tbody tr')).length === n, 'the ranking has not a row for each zone of the CSV');
  wanted(await page.evaluate(() => map.gl), 'no WebGL map');
  await picture(page, 'wide', { fullPage: true });

  await page.click('[data-sort="score_share"]');
  const rising = (await column(page, (await page.$eval('[data-sort="score_share"]', (b) => b.closest('th').cellIndex)))).map(Number).filter(Number.isFinite);
  wanted(rising.every((value, i) => i === 0 || rising[i - 1] <= value), `a click on the heading does not sort: ${rising}`);
  await page.click('[data-sort="score_share"]');
  wanted((await page.getAttribute('th[aria-sort="descending"] button', 'data-sort')) === 'score_share', 'a second click does not turn the order');

  const name = (await page.textContent('#table tbody tr:nth-child(2) td:nth-child(2)')).trim();
  await page.fill('#search', name);
  const found = await column(page, 1);
  wanted(found.length >= 1 && found.length < n && found.every((text) => text.includes(name)), `searching ${name} finds ${found}`);
  await page.fill('#search', '');
  await page.check('#only-targeted');
  wanted((await page.$$('#table tbody tr')).length === (await page.evaluate(() => zones.filter((zone) => cell(zone, 'targeted')).length)), 'the filter of the budget');
  await page.uncheck('#only-targeted');

  await page.focus('#table tbody tr:first-child');
  await page.keyboard.press('Enter');
  const story = await page.textContent('#story');
  const first = (await page.textContent('#table tbody tr:first-child td:nth-child(2)')).trim();
  wanted(story.includes(first), 'Enter on a row does not tell the zone');

  await page.selectOption('#layer-left', 'score');
  await page.check('#compare');
  await page.selectOption('#layer-right', 'zones');
  await page.waitForFunction(() => map.right && map.right.loaded());
  const clip = () => page.$eval('#map-right', (element) => element.style.clipPath);
  const before = await clip();
  const box = await (await page.$('#swipe')).boundingBox();
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await page.mouse.down();
  await page.mouse.move(box.x + box.width * 0.25, box.y + box.height / 2, { steps: 4 });
  await page.mouse.up();
  wanted((await clip()) !== before && /\b2[0-9]/.test(await clip()), `the divider does not swipe: ${before} then ${await clip()}`);
  await page.waitForTimeout(300);
  await picture(page, 'swipe');
  await page.uncheck('#compare');

  const changes = await page.evaluate(() => zones.map(verdict));
  const marked = await page.$$eval('#table tbody tr', (rows) => rows.filter((row) => /[▲▼]/.test(row.textContent)).length);
  wanted(changes.filter((change) => change).length === marked && marked >= 1, `${marked} zones are marked as changed: ${changes}`);
  await page.selectOption('#layer-left', 'change');
  await page.waitForTimeout(300);
  wanted((await page.textContent('#legend')).includes('Change'), 'the change has no legend');
  await picture(page, 'change');

  await page.click('#whole');
  const frame = await (await page.$('#map')).boundingBox();
  await page.mouse.click(frame.x + frame.width * 0.45, frame.y + frame.height * 0.45);
  await page.waitForTimeout(200);
  const told = await page.evaluate(() => ({ zone: state.zone, tile: state.tile, tiles: ATLAS.tiles.score.length }));
  wanted(told.zone !== null, 'a click in the map chooses no zone');
  wanted(told.tiles === 0 || told.tile !== null, 'a click in the map chooses no tile');
  const tile = await page.textContent('#story');
  wanted(told.tiles === 0 || /r\d{3}c\d{3}/.test(tile), `a tile's story does not name it: ${tile}`);
  await picture(page, 'story');

  const english = await page.textContent('#ranking-heading');
  await page.click('#language');
  wanted((await page.textContent('#ranking-heading')) === '排名' && english === 'Ranking', 'the language does not change');
  wanted((await page.getAttribute('html', 'lang')) === 'zh-Hans', 'the page does not say its language');
  await picture(page, 'chinese', { fullPage: true });
  await page.click('#language');

  const [download] = await Promise.all([page.waitForEvent('download'), page.click('#get-csv')]);
  wanted(readFileSync(await download.path(), 'utf8') === csv, 'the download is not the CSV beside the page');
  const drawn = await page.evaluate(() => ATLAS.values[columnAt.get('score_share')]);
  const at = csv.split('\n')[0].split(',').indexOf('score_share');
  wanted(csv.trim().split('\n').length - 1 === drawn.length && at > 0, 'the page has other zones than the CSV');

  const pdf = await page.pdf({ preferCSSPageSize: true, printBackground: false });
  const pages = (pdf.toString('latin1').match(/\/Type \/Page\b/g) ?? []).length;
  await page.emulateMedia({ media: 'print' });
  await page.setViewportSize({ width: 720, height: 1020 });
  await picture(page, 'print', { fullPage: true });
  wanted(pages <= 2, `the brief has ${pages} pages`);

  const narrow = await open({ viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  const overflow = await narrow.evaluate(() => document.documentElement.scrollWidth - innerWidth);
  wanted(overflow <= 0, `on a phone the page is ${overflow} px too wide`);
  await picture(narrow, 'narrow', { fullPage: true });

  wanted(complaints.length === 0, `the console says: ${complaints.join(' | ')}`);
  wanted(requests.length === 0, `the page asked the network for ${requests}`);
  console.log(`page: ${n} zones, brief of ${pages} pages`);
} catch (error) {
  console.error(`page: ${error.message}${complaints.length ? `; the console says: ${complaints.join(' | ')}` : ''}`);
  process.exitCode = 1;
} finally {
  await browser.close();
}
