# Sichuan: the study's granules, scenes, tiles and classes, judged by a vision-language model.
CATALOGUE = https://planetarycomputer.microsoft.com/api/stac/v1
COLLECTION = sentinel-2-l2a
ASSETS = visual
FROM = 2020-01-01
TO = 2024-12-31
# 2 MB a granule more, for a share of cloud a tile
CLOUDS = yes
TILE_PX = 343
EDGE = drop
CLASS_PROMPT = prompts/classes/sichuan.en.md
JUDGE = openai
MODEL = gpt-4.1-mini
# 61,440 tiles, asked once; 23 clusters or so, each rater asked three times
CLASS_REPEATS = 1
REPEATS = 3
MAX_FAILED_SHARE = 0.02
K_MIN = 3
K_MAX = 20
PIXEL_M = 100
NIGHT_LIGHTS = $(RAW)/nightlights/viirs_vnl_sichuan.tif
NIGHT_LIGHTS_CREDIT = Earth Observation Group, VNL, CC BY 4.0
TITLE = Development score, Sichuan
