# Accomack County, Virginia: the embedded scene.
CATALOGUE = data/demo/catalog.json
SUPPLIED = $(wildcard data/demo/*.json data/demo/*.tif)
ASSETS = B02,B03,B04,B08
FROM = 2015-06-23
TO = 2016-06-10
# 64 px of 10 m: a small town fills a tile
TILE_PX = 64
PIXEL_M = 40
K_MIN = 3
K_MAX = 8
# the offline judge costs nothing, so many images may stand for a cluster
IMAGES_PER_CLUSTER = 20
TITLE = Development score, Accomack County, Virginia
# sixteen squares, made for the demo: no borders
COUNTIES = data/aoi/accomack/zones.geojson
COUNTIES_ID = zone
COUNTIES_NAME = name
COUNTIES_NAME_EN = name_en
# two tiles
BLOCK_M = 1280
