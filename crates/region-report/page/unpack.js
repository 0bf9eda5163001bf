'use strict';
// Unpacks what data.js holds in few letters: outlines as steps from point to point, tiles as numbers of 16 bits in base64.

const NONE_16 = 65535;

/** Numbers of 16 bits. */
function numbers16(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return Array.from({ length: bytes.length / 2 }, (_, i) => bytes[2 * i] + 256 * bytes[2 * i + 1]);
}

function unpackOutlines({ west, south, step, rings }) {
  const ring = (moves) => {
    let [x, y] = [0, 0];
    const points = [];
    for (let i = 0; i < moves.length; i += 2) {
      x += moves[i];
      y += moves[i + 1];
      points.push([west + x * step, south + y * step]);
    }
    return points;
  };
  return rings.map((polygons) => polygons.map((polygon) => polygon.map(ring)));
}

function unpackTiles(packed) {
  const between = (text, [low, high]) => numbers16(text).map((number) => low + (number / (NONE_16 - 1)) * (high - low));
  const share = (text) => text && numbers16(text).map((number) => (number === NONE_16 ? null : number / 1000));
  const whole = (text) => text && numbers16(text).map((number) => (number === NONE_16 ? null : number));
  const [rows, cols] = [numbers16(packed.row), numbers16(packed.col)];
  const three = (number) => String(number).padStart(3, '0');
  const outside = new Set(packed.outside);
  return {
    granule: packed.n_of_granule.flatMap((n, granule) => Array(n).fill(granule)),
    tile: rows.map((row, i) => `r${three(row)}c${three(cols[i])}`),
    lon_deg: between(packed.lon, packed.lon_ends),
    lat_deg: between(packed.lat, packed.lat_ends),
    score: share(packed.score),
    sd: share(packed.sd),
    outside: rows.map((_, i) => outside.has(i)),
    cluster: whole(packed.cluster),
    frames: packed.frames,
  };
}

ATLAS.outlines = unpackOutlines(ATLAS.outlines);
ATLAS.tiles = unpackTiles(ATLAS.tiles);
