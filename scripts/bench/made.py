"""Made inputs: rasters of noise in the numbers of Sentinel-2, and static STAC catalogues over them."""

import hashlib
import json

import numpy as np
import rasterio
from rasterio.transform import from_origin

PLACE = {"crs": "EPSG:32648", "transform": from_origin(300000, 3500040, 10, 10)}


def write_noise(path, height, width, dtype="uint16", count=1, seed=7, **more):
    """A raster of noise, in strips of a few rows so that any size fits into memory."""
    rng = np.random.default_rng(seed)
    profile = {"driver": "GTiff", "height": height, "width": width, "count": count, "dtype": dtype, **PLACE, **more}
    with rasterio.open(path, "w", **profile) as raster:
        for row in range(0, height, 512):
            rows = min(512, height - row)
            strip = rng.integers(1, 255 if dtype == "uint8" else 10000, (count, rows, width), dtype)
            raster.write(strip, window=((row, row + rows), (0, width)))


def asset(href, path, **more):
    content = {"href": href, "type": "image/tiff; application=geotiff", **more}
    if path is not None:
        with open(path, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        content.update({"file:size": path.stat().st_size, "file:checksum": "1220" + digest})
    return content


def catalogue(folder, items):
    """Writes a static catalogue over (item id, assets) and gives its path."""
    folder.mkdir(parents=True, exist_ok=True)
    links = [{"rel": "root", "href": "./catalog.json"}]
    for name, assets in items:
        properties = {
            "datetime": "2023-01-31T03:39:59Z",
            "platform": f"sentinel-2 {name}",
            "grid:code": "MGRS-48RVV",
            "eo:cloud_cover": 1.0,
            "s2:nodata_pixel_percentage": 0.0,
            "s2:processing_baseline": "02.00",
        }
        item = {"type": "Feature", "stac_version": "1.0.0", "id": name, "collection": "sentinel-2-l2a", "links": []}
        (folder / f"{name}.json").write_text(json.dumps({**item, "properties": properties, "assets": assets}))
        links.append({"rel": "item", "href": f"./{name}.json"})
    root = folder / "catalog.json"
    root.write_text(json.dumps({"type": "Catalog", "stac_version": "1.0.0", "id": "made", "description": "made", "links": links}))
    return root
