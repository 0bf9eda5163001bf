'use strict';
// The page: facts, ranking, story of a zone or a tile, budget, method, downloads. All numbers come from data.js, which holds the tables.

const byId = (id) => document.getElementById(id);
const state = { language: navigator.language.startsWith('zh') ? 'zh' : 'en', sort: 'rank', down: false, zone: null, tile: null };
const words = () => WORDS[state.language];
const fill = (text, values) => text.replace(/\{(\w+)\}/g, (_, key) => values[key] ?? '');
const escaped = (text) => String(text).replace(/[&<>"']/g, (letter) => `&#${letter.charCodeAt(0)};`);
const columnAt = new Map(ATLAS.columns.map((column, i) => [column.name, i]));

/** A number of the table of zones. */
function cell(zone, name) {
  return ATLAS.values[columnAt.get(name)][zone];
}

const known = (value) => value !== null && value !== undefined;
const shown = (value, digits = 3) => (known(value) ? value.toFixed(digits) : '–');
const percent = (value) => (known(value) ? `${(value * 100).toFixed(0)} %` : '–');
const grouped = (value) => (known(value) ? Math.round(value).toLocaleString('en-US').replaceAll(',', '\u202f') : '–');
const interval = (low, high, digits = 3) => (known(low) ? fill(words().interval, { low: shown(low, digits), high: shown(high, digits) }) : '–');
const signed = (value) => (known(value) ? `${value < 0 ? '−' : '+'}${Math.abs(value).toFixed(3)}` : '–');
/** 1 or -1 where a zone rose or fell by more than chance, 0 where chance may have done it, null where that is not known. */
const verdict = (zone) => {
  const [change, least] = [cell(zone, 'change_share'), cell(zone, 'change_detectable_share')];
  if (!known(change) || !known(least)) return null;
  return Math.abs(change) > least ? Math.sign(change) : 0;
};
const changedWord = (zone) => words().verdicts[String(verdict(zone))] ?? null;
const changeMark = (zone) => ({ 1: '▲ ', '-1': '▼ ', 0: '' })[String(verdict(zone))] ?? '';
const nameOf = (zone) => (state.language === 'en' && cell(zone, 'name_en')) || cell(zone, 'name');
const has = (name) => ATLAS.values[columnAt.get(name)].some(known);
const zones = [...ATLAS.values[0].keys()];
const metrics = (name) => ATLAS.metrics.filter((metric) => metric.name === name);
/** What a number is of: two things, of which the second may hold commas. */
function ofWords(of) {
  const at = of.indexOf(', ');
  const parts = at < 0 ? [of] : [of.slice(0, at), of.slice(at + 2)];
  return parts.map((part) => words().of[part] ?? part).join(state.language === 'zh' ? '与' : ' and ');
}

let map = null;

function facts() {
  const list = [];
  const names = words().facts_names;
  const add = (name, value, small = '') => list.push(`<div><dt>${escaped(name)}</dt><dd>${value}<small>${small}</small></dd></div>`);
  const [ranked, left] = metrics('zones');
  add(names.zones_ranked, ranked.value);
  if (left.value) add(names.zones_left, left.value);
  for (const group of metrics('groups')) add(names.groups, group.value);
  for (const metric of metrics('spearman_zones')) {
    add(fill(names.spearman, { of: ofWords(metric.of) }), shown(metric.value, 2), `${interval(metric.low, metric.high, 2)}, ${fill(words().n, metric)}`);
  }
  const [risen] = metrics('zones_risen');
  const [fallen] = metrics('zones_fallen');
  if (risen) add(names.changed, `${risen.value} / ${fallen.value}`, fill(names.changed_of, risen));
  for (const gini of metrics('gini')) add(names.gini, shown(gini.value), interval(gini.low, gini.high));
  const [between] = metrics('theil_between');
  const [within] = metrics('theil_within');
  if (known(between.value)) add(names.theil, `${shown(between.value)} / ${shown(within.value)}`);
  byId('fact-list').innerHTML = list.join('');
}

const swatch = (share) => `<span class="swatch" style="background:${colourOf(share)}"></span>`;

/** The interval as a line and the mean as a dot on the scale from 0 to 1. */
function rangeMark(zone) {
  const [low, high, score] = [cell(zone, 'low_share'), cell(zone, 'high_share'), cell(zone, 'score_share')];
  if (!known(score)) return '';
  const x = (share) => (4 + Math.min(Math.max(share, 0), 1) * 142).toFixed(1);
  const line = known(low) ? `<line x1="${x(low)}" x2="${x(high)}" y1="8" y2="8" stroke="#20262c" stroke-width="2"/>` : '';
  return `<svg class="range" viewBox="0 0 150 16" aria-hidden="true"><line x1="4" x2="146" y1="8" y2="8" stroke="#d5dae0"/>${line}<circle cx="${x(score)}" cy="8" r="4" fill="${colourOf(score)}" stroke="#20262c"/></svg>`;
}

/** The columns of the ranking: what sorts them, how a cell looks, whether print leaves them out. */
function tableColumns() {
  const all = [
    { id: 'rank', number: true, value: (z) => cell(z, 'rank'), html: (z) => cell(z, 'rank') ?? '–' },
    { id: 'name', value: nameOf, html: (z) => escaped(nameOf(z)) },
    { id: 'part_of', value: (z) => cell(z, 'part_of'), html: (z) => escaped(cell(z, 'part_of') ?? ''), if: has('part_of') },
    { id: 'score_share', number: true, value: (z) => cell(z, 'score_share'), html: (z) => swatch(cell(z, 'score_share')) + shown(cell(z, 'score_share')) },
    { id: 'interval', value: (z) => cell(z, 'low_share'), html: (z) => rangeMark(z), title: (z) => interval(cell(z, 'low_share'), cell(z, 'high_share')) },
    { id: 'ranks', number: true, value: (z) => cell(z, 'rank_low'), html: (z) => (known(cell(z, 'rank_low')) ? `${cell(z, 'rank_low')}–${cell(z, 'rank_high')}` : '–') },
    { id: 'group', number: true, value: (z) => cell(z, 'group'), html: (z) => cell(z, 'group') ?? '–' },
    { id: 'bottom_fifth_share', number: true, value: (z) => cell(z, 'bottom_fifth_share'), html: (z) => percent(cell(z, 'bottom_fifth_share')) },
    { id: 'change_share', number: true, value: (z) => cell(z, 'change_share'), html: (z) => `<span class="${verdict(z) === 0 ? 'chance' : ''}">${changeMark(z)}${signed(cell(z, 'change_share'))}</span>`, title: (z) => changedWord(z) ?? '', if: has('change_share') },
    { id: 'change_detectable_share', number: true, extra: true, value: (z) => cell(z, 'change_detectable_share'), html: (z) => shown(cell(z, 'change_detectable_share')), if: has('change_detectable_share') },
    { id: 'coverage_share', number: true, extra: true, value: (z) => cell(z, 'coverage_share'), html: (z) => percent(cell(z, 'coverage_share')) },
    { id: 'night_light_nw_cm2_sr', number: true, extra: true, value: (z) => cell(z, 'night_light_nw_cm2_sr'), html: (z) => shown(cell(z, 'night_light_nw_cm2_sr'), 2), if: has('night_light_nw_cm2_sr') },
    { id: 'population', number: true, extra: true, value: (z) => cell(z, 'population'), html: (z) => grouped(cell(z, 'population')), if: has('population') },
    { id: 'official', number: true, value: (z) => cell(z, 'official'), html: (z) => grouped(cell(z, 'official')), if: has('official'), label: ATLAS.official },
  ];
  return all.filter((column) => column.if !== false);
}

function visibleZones(columns) {
  const wanted = byId('search').value.trim().toLowerCase();
  const part = byId('part').value;
  const fits = (zone) => {
    const text = ['zone', 'name', 'name_en', 'part_of'].map((name) => cell(zone, name) ?? '').join(' ').toLowerCase();
    return text.includes(wanted) && (!part || cell(zone, 'part_of') === part) && (!byId('only-targeted').checked || cell(zone, 'targeted'));
  };
  const { value } = columns.find((column) => column.id === state.sort) ?? columns[0];
  const compare = (a, b) => {
    const [x, y] = [value(a), value(b)];
    if (!known(x) || !known(y)) return Number(!known(x)) - Number(!known(y)) || a - b;
    const order = typeof x === 'string' ? x.localeCompare(y, state.language) : x - y;
    return (state.down ? -order : order) || a - b;
  };
  return zones.filter(fits).sort(compare);
}

const BRIEF_ROWS = 12;

function ranking() {
  const columns = tableColumns();
  const label = (column) => column.label ?? words().columns[column.id];
  const arrow = (column) => (column.id === state.sort ? (state.down ? ' ▼' : ' ▲') : '');
  const order = (column) => (column.id === state.sort ? (state.down ? 'descending' : 'ascending') : 'none');
  const kind = (column) => `${column.number ? 'number' : ''} ${column.extra ? 'extra' : ''}`;
  const head = columns.map((column) => `<th class="${kind(column)}" aria-sort="${order(column)}"><button type="button" data-sort="${column.id}">${escaped(label(column))}${arrow(column)}</button></th>`);
  byId('table').tHead.innerHTML = `<tr>${head.join('')}</tr>`;
  const found = visibleZones(columns);
  const ranks = zones.filter((zone) => known(cell(zone, 'rank'))).length;
  const row = (zone) => {
    const cells = columns.map((column) => `<td class="${kind(column)}"${column.title ? ` title="${escaped(column.title(zone))}"` : ''}>${column.html(zone)}</td>`);
    const rank = cell(zone, 'rank');
    const brief = known(rank) && (rank <= BRIEF_ROWS || rank > ranks - BRIEF_ROWS) ? 'brief' : '';
    const gap = rank === BRIEF_ROWS && ranks > 2 * BRIEF_ROWS ? 'brief-gap' : '';
    return `<tr tabindex="0" data-zone="${zone}" class="${brief} ${gap} ${zone === state.zone ? 'selected' : ''}">${cells.join('')}</tr>`;
  };
  byId('table').tBodies[0].innerHTML = found.map(row).join('');
  byId('count').textContent = fill(words().shown, { n: found.length, all: zones.length });
}

function rows(pairs) {
  const wanted = pairs.filter(([, value]) => known(value) && value !== '–');
  return `<table>${wanted.map(([name, value]) => `<tr><td class="wrap">${escaped(name)}</td><td>${value}</td></tr>`).join('')}</table>`;
}

function zoneStory(zone) {
  const w = words().story;
  const part = cell(zone, 'part_of');
  const places = known(cell(zone, 'rank_low')) ? `${cell(zone, 'rank_low')}–${cell(zone, 'rank_high')}` : null;
  const facts = [
    [w.score, swatch(cell(zone, 'score_share')) + shown(cell(zone, 'score_share'))],
    [w.interval, interval(cell(zone, 'low_share'), cell(zone, 'high_share'))],
    [w.rank, cell(zone, 'rank')],
    [w.ranks, places],
    [w.group, cell(zone, 'group')],
    [w.alike, cell(zone, 'n_alike')],
    [w.bottom, percent(cell(zone, 'bottom_fifth_share'))],
    [w.above, percent(cell(zone, 'above_share'))],
    [w.below, percent(cell(zone, 'below_share'))],
    [w.spread, shown(cell(zone, 'spread_share'))],
    [w.model_sd, shown(cell(zone, 'model_sd_share'))],
    [w.change, has('change_share') ? signed(cell(zone, 'change_share')) : null],
    [w.detectable, shown(cell(zone, 'change_detectable_share'))],
    [w.changed, changedWord(zone)],
    [w.light, shown(cell(zone, 'night_light_nw_cm2_sr'), 2)],
    [ATLAS.official, has('official') ? grouped(cell(zone, 'official')) : null],
    [w.people, grouped(cell(zone, 'population'))],
    [w.people_score, shown(cell(zone, 'population_score_share'))],
    [w.area, grouped(cell(zone, 'area_km2'))],
    [w.coverage, percent(cell(zone, 'coverage_share'))],
    [w.blocks, cell(zone, 'n_blocks')],
    [w.targeted, cell(zone, 'targeted') ? words().yes : words().no],
  ];
  const skipped = cell(zone, 'skipped');
  const why = skipped ? `<p>${w.no_rank}${state.language === 'en' ? `: ${escaped(skipped)}` : ''}</p>` : '';
  return `<h3>${escaped(nameOf(zone))}${part ? ` <small>${escaped(part)}</small>` : ''}</h3>${why}${rows(facts)}`;
}

/** Whether a place lies inside of a ring: a ray from it to the east crosses the ring an odd number of times. */
function inside([x, y], ring) {
  let odd = false;
  ring.forEach(([ax, ay], i) => {
    const [bx, by] = ring[(i + 1) % ring.length];
    if (ay > y !== by > y && x < ((bx - ax) * (y - ay)) / (by - ay) + ax) odd = !odd;
  });
  return odd;
}

/** The zone at a place; a hole turns the count of its outline. */
function zoneAt({ lng, lat }) {
  const holds = (polygons) => polygons.flat().filter((ring) => inside([lng, lat], ring)).length % 2 === 1;
  const found = ATLAS.outlines.findIndex(holds);
  return found < 0 ? null : found;
}

/** The tile at a place: that with the nearest centre, if the place is within its half side. */
function tileAt({ lng, lat }) {
  const { lon_deg: lons, lat_deg: lats, granule, frames } = ATLAS.tiles;
  let best = null;
  let least = Infinity;
  for (let i = 0; i < lons.length; i += 1) {
    const { half_lon_deg: halfLon, half_lat_deg: halfLat } = frames[granule[i]];
    const far = Math.max(Math.abs(lng - lons[i]) / halfLon, Math.abs(lat - lats[i]) / halfLat);
    if (far < least) [best, least] = [i, far];
  }
  return least <= 1.05 ? best : null;
}

function tileCorners(i) {
  const { lon_deg: lons, lat_deg: lats, granule, frames } = ATLAS.tiles;
  const { half_lon_deg: x, half_lat_deg: y } = frames[granule[i]];
  return [[-x, y], [x, y], [x, -y], [-x, -y]].map(([dx, dy]) => [lons[i] + dx, lats[i] + dy]);
}

function tileStory(i) {
  const w = words().tile;
  const tiles = ATLAS.tiles;
  const frame = tiles.frames[tiles.granule[i]];
  const cluster = tiles.cluster?.[i];
  const about = known(cluster) ? ATLAS.clusters[cluster] ?? {} : {};
  const places = known(about.rank) ? `${shown(about.rank, 1)} ${interval(about.rank_low, about.rank_high, 1)}` : null;
  const facts = [
    [w.score, swatch(tiles.score[i]) + shown(tiles.score[i])],
    [w.sd, shown(tiles.sd?.[i])],
    [w.outside, tiles.outside[i] ? words().yes : null],
    [w.class, about.class && escaped(about.class)],
    [w.cluster, cluster],
    [w.cluster_rank, places],
    [w.votes, about.n_votes],
    [w.vote_mean, shown(about.mean_vote, 1)],
    [w.granule, escaped(frame.name)],
    [w.tile, escaped(tiles.tile[i])],
    [w.scene, frame.scene && `<span style="overflow-wrap:anywhere;white-space:normal">${escaped(frame.scene)}</span>`],
    [w.date, frame.date],
  ];
  const sheet = about.sheet ? `<h4>${w.samples}</h4><img src="${escaped(about.sheet)}" alt="${w.samples}">` : '';
  return `<h3>${w.heading}</h3>${rows(facts)}${sheet}`;
}

function story() {
  const parts = [];
  if (state.tile !== null) parts.push(tileStory(state.tile));
  if (state.zone !== null) parts.push(zoneStory(state.zone));
  byId('story').innerHTML = parts.join('') || `<p>${words().nothing}</p>${map.gl ? '' : `<p>${words().no_gl}</p>`}`;
}

function choose(zone, tile, fly) {
  [state.zone, state.tile] = [zone, tile];
  story();
  for (const row of byId('table').tBodies[0].rows) row.classList.toggle('selected', Number(row.dataset.zone) === zone);
  map.outline(tile === null ? null : tileCorners(tile));
  map.select(zone, fly);
}

function budget() {
  const w = words();
  const truths = [...new Set(ATLAS.targeting.map((row) => row.truth))];
  const error = (row) => (row.exclusion_share === row.inclusion_share ? percent(row.exclusion_share) : `${percent(row.exclusion_share)} / ${percent(row.inclusion_share)}`);
  const table = (truth) => {
    const lines = ATLAS.targeting.filter((row) => row.truth === truth);
    const rules = [...new Set(lines.map((row) => row.rule))];
    const head = [w.budget_reach, ...rules.map((rule) => w.rules[rule])].map((name) => `<th class="number">${name}</th>`);
    const line = (n) => {
      const cells = rules.map((rule) => error(lines.find((row) => row.rule === rule && row.n_chosen === n)));
      return `<tr>${[`${n} / ${lines[0].n_zones}`, ...cells].map((text) => `<td class="number">${text}</td>`).join('')}</tr>`;
    };
    const body = [...new Set(lines.map((row) => row.n_chosen))].map(line);
    return `<h3>${escaped(fill(w.truths[truth], { name: ATLAS.official ?? '' }))}</h3><table><thead><tr>${head.join('')}</tr></thead><tbody>${body.join('')}</tbody></table>`;
  };
  byId('budget-about').textContent = fill(w.budget_about, { people: has('population') ? w.budget_people : '' });
  byId('budget').hidden = truths.length === 0;
  byId('budget-table').innerHTML = truths.map(table).join('');
}

function method() {
  const w = words();
  const { flags } = ATLAS.made;
  const values = {
    rounds: flags.rounds,
    block: flags.block_m / 1000,
    coverage: percent(flags.min_coverage_share),
    people: has('population') ? w.method_people : '',
    sd: has('model_sd_share') ? w.method_sd : '',
    gcj: flags.zones_crs === 'gcj02' ? w.method_gcj : '',
  };
  const texts = has('change_share') ? [...w.method_text, w.method_change] : w.method_text;
  byId('method-text').innerHTML = `<ul>${texts.map((text) => `<li>${escaped(fill(text, values))}</li>`).join('')}</ul>`;
  const head = w.metric_columns.map((name) => `<th>${name}</th>`).join('');
  const line = (m) => `<tr><td>${escaped(m.name)}</td><td class="wrap">${escaped(m.of)}</td><td class="number">${shown(m.value, Number.isInteger(m.value) ? 0 : 3)}</td><td>${interval(m.low, m.high)}</td><td class="number">${m.n}</td><td class="wrap">${escaped(m.note ?? '')}</td></tr>`;
  byId('metric-table').innerHTML = `<table><thead><tr>${head}</tr></thead><tbody>${ATLAS.metrics.map(line).join('')}</tbody></table>`;
}

function save(name, text, type) {
  const link = document.createElement('a');
  link.href = URL.createObjectURL(new Blob([text], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 1000);
}

function downloads() {
  const w = words();
  const link = (file, word) => `<li><a href="${file}" download id="get-${file.split('.').pop()}">${w[word]}</a> (${file})</li>`;
  byId('download-list').innerHTML = [link('regions.csv', 'csv'), link('regions.geojson', 'geojson'), link('regions.parquet', 'parquet'), link('region-outlines.parquet', 'geoparquet')].join('');
}

function legend() {
  const [left, right] = [byId('layer-left').value, byId('compare').checked ? byId('layer-right').value : null];
  const w = words();
  const bar = (colours, low, high, title) => `<div class="side">${title}<div class="bar" style="background:linear-gradient(to right, ${colours.join(',')})"></div><div class="ends"><span>${low}</span><span>${high}</span></div></div>`;
  const one = (layer) => {
    const { range } = ATLAS.layers.find(({ id }) => id === layer) ?? {};
    if (layer === 'zones' || layer === 'score') return bar(ATLAS.palette.score, `0 ${w.low_word}`, `1 ${w.high_word}`, w.score_legend);
    if (layer === 'night_light') return bar(ATLAS.palette.light, shown(range[0], 1), `≥ ${shown(range[1], 1)}`, w.light_legend);
    if (layer === 'sd') return bar(ATLAS.palette.sd, shown(range[0], 2), `≥ ${shown(range[1], 2)}`, w.sd_legend);
    if (layer === 'change') return bar(ATLAS.palette.score, `≤ ${signed(range[0])}`, `≥ ${signed(range[1])}`, w.change_legend);
    return layer === 'imagery' ? `<div class="side">${w.image_legend}</div>` : '';
  };
  byId('legend').innerHTML = one(left) + (right && right !== left ? one(right) : '');
}

function layers() {
  const compare = byId('compare').checked;
  for (const id of ['right-label', 'swipe', 'divider']) byId(id).hidden = !compare || !map.gl;
  map.show(byId('layer-left').value, compare ? byId('layer-right').value : null, byId('borders').checked);
  map.divide(byId('swipe').value);
  legend();
}

function options() {
  const ids = ['zones', ...ATLAS.layers.map(({ id }) => id)];
  for (const [select, first] of [[byId('layer-left'), 'zones'], [byId('layer-right'), ids[1] ?? 'zones']]) {
    const chosen = select.value || first;
    select.innerHTML = ids.map((id) => `<option value="${id}">${words().layers[id]}</option>`).join('');
    select.value = chosen;
  }
  const parts = [...new Set(zones.map((zone) => cell(zone, 'part_of')).filter(known))].sort((a, b) => a.localeCompare(b, 'zh'));
  const chosen = byId('part').value;
  byId('part').innerHTML = `<option value="">${words().all}</option>${parts.map((part) => `<option>${escaped(part)}</option>`).join('')}`;
  byId('part').value = chosen;
  byId('part-label').hidden = parts.length === 0;
}

function speak() {
  document.documentElement.lang = state.language === 'zh' ? 'zh-Hans' : 'en';
  for (const element of document.querySelectorAll('[data-word]')) element.textContent = words()[element.dataset.word];
  for (const element of document.querySelectorAll('[data-word-label]')) element.setAttribute('aria-label', words()[element.dataset.wordLabel]);
  byId('language').textContent = words().other;
  byId('language').lang = state.language === 'zh' ? 'en' : 'zh-Hans';
  document.title = ATLAS.title;
  byId('title').textContent = ATLAS.title;
  byId('lead').textContent = fill(words().lead, { n: zones.length });
  byId('credit').textContent = ATLAS.credit;
  const { by, seed, inputs } = ATLAS.made;
  byId('made').textContent = fill(words().made, { by, seed, inputs: inputs.map(({ name, sha256 }) => `${name} (${sha256.slice(0, 12)})`).join(', ') });
  options();
  for (const part of [facts, ranking, budget, method, downloads, story, legend]) part();
}

function listen() {
  byId('language').addEventListener('click', () => {
    state.language = state.language === 'zh' ? 'en' : 'zh';
    speak();
  });
  byId('print').addEventListener('click', () => window.print());
  for (const id of ['search', 'part', 'only-targeted']) byId(id).addEventListener('input', ranking);
  for (const id of ['layer-left', 'layer-right', 'compare', 'borders']) byId(id).addEventListener('change', layers);
  byId('swipe').addEventListener('input', (event) => map.divide(event.target.value));
  byId('whole').addEventListener('click', () => map.whole());
  byId('download-list').addEventListener('click', (event) => {
    if (event.target.id !== 'get-csv') return;
    event.preventDefault();
    save('regions.csv', ATLAS.csv, 'text/csv;charset=utf-8');
  });
  byId('table').addEventListener('click', (event) => {
    const { sort } = event.target.closest('[data-sort]')?.dataset ?? {};
    const row = event.target.closest('[data-zone]');
    if (sort) {
      state.down = state.sort === sort && !state.down;
      state.sort = sort;
      ranking();
      byId('table').querySelector(`[data-sort="${sort}"]`).focus();
    } else if (row) choose(Number(row.dataset.zone), null, true);
  });
  byId('table').addEventListener('keydown', (event) => {
    const row = event.target.closest('[data-zone]');
    if (row && (event.key === 'Enter' || event.key === ' ')) {
      event.preventDefault();
      choose(Number(row.dataset.zone), null, true);
    }
  });
}

map = new AtlasMap(
  (zone) => choose(zone, null, false),
  (place) => choose(zoneAt(place), tileAt(place), false),
);
speak();
listen();
layers();
