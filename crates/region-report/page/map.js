'use strict';
// The map: MapLibre GL with layers that lie in data.js, two of them side by side under a divider; a plain SVG where there is no WebGL,
// and for print. Nothing here fetches anything.

const MERCATOR_LAT_LIMIT = 85.05;
const mercatorY = (lat) => Math.log(Math.tan(Math.PI / 4 + (Math.min(Math.max(lat, -MERCATOR_LAT_LIMIT), MERCATOR_LAT_LIMIT) * Math.PI) / 360));

function colourOf(share) {
  const table = ATLAS.palette.score;
  if (share === null || share === undefined) return ATLAS.palette.none;
  return table[Math.round(Math.min(Math.max(share, 0), 1) * (table.length - 1))];
}

class SvgMap {
  constructor(frame, onClick) {
    const [west, south, east, north] = ATLAS.bounds;
    this.top = mercatorY(north);
    this.scale = 1000 / (((east - west) * Math.PI) / 180);
    this.west = west;
    this.height = (this.top - mercatorY(south)) * this.scale;
    const svg = `<svg viewBox="-6 -6 1012 ${this.height + 12}" preserveAspectRatio="xMidYMid meet" role="img">${this.images()}${this.zones()}</svg>`;
    frame.innerHTML = svg;
    frame.addEventListener('click', (event) => {
      const zone = event.target.closest('[data-zone]');
      if (zone) onClick(Number(zone.dataset.zone));
    });
    this.frame = frame;
  }

  point([lon, lat]) {
    const x = (((lon - this.west) * Math.PI) / 180) * this.scale;
    return `${x.toFixed(1)} ${((this.top - mercatorY(lat)) * this.scale).toFixed(1)}`;
  }

  images() {
    return ATLAS.layers
      .map(({ id, image, bounds: [west, south, east, north] }) => {
        const [x, y] = this.point([west, north]).split(' ');
        const [right, bottom] = this.point([east, south]).split(' ');
        return `<image data-layer="${id}" href="${image}" x="${x}" y="${y}" width="${right - x}" height="${bottom - y}" preserveAspectRatio="none" style="image-rendering:pixelated;display:none"/>`;
      })
      .join('');
  }

  zones() {
    const ring = (points) => `M${points.map((point) => this.point(point)).join('L')}Z`;
    return ATLAS.outlines
      .map((polygons, zone) => `<path data-zone="${zone}" d="${polygons.flat().map(ring).join('')}" fill="${colourOf(cell(zone, 'score_share'))}" stroke="#3a434c" stroke-width=".6" fill-rule="evenodd"/>`)
      .join('');
  }

  show(layer) {
    for (const image of this.frame.querySelectorAll('[data-layer]')) image.style.display = image.dataset.layer === layer ? '' : 'none';
    for (const path of this.frame.querySelectorAll('[data-zone]')) path.setAttribute('fill-opacity', layer === 'zones' ? 1 : 0);
  }

  select(zone) {
    for (const path of this.frame.querySelectorAll('[data-zone]')) path.setAttribute('stroke-width', Number(path.dataset.zone) === zone ? 3 : 0.6);
  }
}

function zoneFeatures() {
  return {
    type: 'FeatureCollection',
    features: ATLAS.outlines.map((polygons, zone) => ({
      type: 'Feature',
      id: zone,
      properties: { zone, colour: colourOf(cell(zone, 'score_share')) },
      geometry: { type: 'MultiPolygon', coordinates: polygons.map((rings) => rings.map((ring) => [...ring, ring[0]])) },
    })),
  };
}

function mapStyle() {
  const sources = { zones: { type: 'geojson', data: zoneFeatures() }, tile: { type: 'geojson', data: { type: 'FeatureCollection', features: [] } } };
  const layers = [{ id: 'ground', type: 'background', paint: { 'background-color': '#e9edf1' } }];
  for (const { id, image, bounds: [west, south, east, north] } of ATLAS.layers) {
    sources[id] = { type: 'image', url: image, coordinates: [[west, north], [east, north], [east, south], [west, south]] };
    layers.push({ id, type: 'raster', source: id, layout: { visibility: 'none' }, paint: { 'raster-resampling': id === 'imagery' ? 'linear' : 'nearest', 'raster-fade-duration': 0 } });
  }
  layers.push({ id: 'zones', type: 'fill', source: 'zones', paint: { 'fill-color': ['get', 'colour'], 'fill-opacity': 1, 'fill-antialias': false } });
  layers.push({ id: 'borders', type: 'line', source: 'zones', paint: { 'line-color': '#3a434c', 'line-width': 0.8 } });
  layers.push({ id: 'selected', type: 'line', source: 'zones', filter: ['==', ['get', 'zone'], -1], paint: { 'line-color': '#000', 'line-width': 3 } });
  layers.push({ id: 'tile', type: 'line', source: 'tile', paint: { 'line-color': '#fff', 'line-width': 2.5 } });
  return { version: 8, sources, layers };
}

function hasWebGl() {
  const canvas = document.createElement('canvas');
  return Boolean(window.maplibregl && (canvas.getContext('webgl2') || canvas.getContext('webgl')));
}

class AtlasMap {
  constructor(onZone, onPlace) {
    this.svg = new SvgMap(document.getElementById('svg-map'), onZone);
    this.gl = hasWebGl();
    document.body.classList.toggle('no-gl', !this.gl);
    this.layers = { left: 'zones', right: null };
    if (!this.gl) return;
    this.left = this.make('map', true);
    this.left.addControl(new maplibregl.NavigationControl({ showCompass: false }), 'top-right');
    this.left.addControl(new maplibregl.ScaleControl({ maxWidth: 120 }), 'bottom-right');
    this.left.on('move', () => this.follow());
    this.left.on('click', (event) => onPlace(event.lngLat));
  }

  make(container, interactive) {
    const [west, south, east, north] = ATLAS.bounds;
    const map = new maplibregl.Map({ container, style: mapStyle(), bounds: [[west, south], [east, north]], fitBoundsOptions: { padding: 24 }, interactive, attributionControl: false, dragRotate: false, pitchWithRotate: false, touchPitch: false, fadeDuration: 0, renderWorldCopies: false });
    map.on('load', () => {
      map.drawn = true;
      this.apply();
    });
    return map;
  }

  /** Shows a layer, and on the right of the divider another one, or none. */
  show(left, right, borders) {
    this.layers = { left, right };
    this.borders = borders;
    this.svg.show(left);
    if (!this.gl) return;
    if (right && !this.right) {
      document.getElementById('map-right').hidden = false;
      this.right = this.make('map-right', false);
    }
    document.getElementById('map-right').hidden = !right;
    if (right) this.right.resize();
    this.apply();
    this.follow();
  }

  apply() {
    for (const [map, layer] of [[this.left, this.layers.left], [this.right, this.layers.right]]) {
      if (!map?.drawn) continue;
      for (const { id } of ATLAS.layers) map.setLayoutProperty(id, 'visibility', id === layer ? 'visible' : 'none');
      map.setPaintProperty('zones', 'fill-opacity', layer === 'zones' ? 1 : 0);
      map.setLayoutProperty('borders', 'visibility', this.borders === false ? 'none' : 'visible');
      map.setFilter('selected', ['==', ['get', 'zone'], this.selected ?? -1]);
      map.getSource('tile').setData({ type: 'FeatureCollection', features: this.tileFeature ? [this.tileFeature] : [] });
    }
  }

  /** Keeps the right map where the left one is. */
  follow() {
    if (this.right && this.layers.right) this.right.jumpTo({ center: this.left.getCenter(), zoom: this.left.getZoom() });
  }

  divide(percent) {
    document.getElementById('map-right').style.clipPath = `inset(0 0 0 ${percent}%)`;
    document.getElementById('divider').style.left = `${percent}%`;
  }

  select(zone, fly) {
    this.selected = zone;
    this.svg.select(zone);
    if (!this.gl) return;
    this.apply();
    if (fly && zone !== null) {
      const points = ATLAS.outlines[zone].flat(2);
      const lons = points.map((point) => point[0]);
      const lats = points.map((point) => point[1]);
      const box = [[Math.min(...lons), Math.min(...lats)], [Math.max(...lons), Math.max(...lats)]];
      this.left.fitBounds(box, { padding: 90, animate: false, maxZoom: 11 });
    }
  }

  outline(corners) {
    this.tileFeature = corners && { type: 'Feature', properties: {}, geometry: { type: 'LineString', coordinates: [...corners, corners[0]] } };
    if (this.gl) this.apply();
  }

  whole() {
    if (!this.gl) return;
    const [west, south, east, north] = ATLAS.bounds;
    this.left.fitBounds([[west, south], [east, north]], { padding: 24, animate: false });
  }
}
