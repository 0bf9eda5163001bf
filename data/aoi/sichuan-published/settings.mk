# Western Sichuan and the basin: the scores that the study published, 30 granules in two UTM zones, as one map. No scene is read.
PUBLISHED = $(REFERENCE_DATA)/sichuan/study_scores.csv.gz
PUBLISHED_FOOTPRINTS = $(REFERENCE_DATA)/sichuan/s2_tiles.geojson
# 343 px of 10 m
PUBLISHED_TILE_M = 3430
PIXEL_M = 343
NIGHT_LIGHTS = $(REFERENCE_DATA)/nightlights/viirs_vnl_2025_sichuan.tif
NIGHT_LIGHTS_CREDIT = Earth Observation Group, VNL 2025, CC BY 4.0
CREDIT = Scores as published by the study; contains modified Copernicus Sentinel data
TITLE = Development score, western Sichuan and the basin, published scores
# borders were scraped from a map service, in GCJ-02; the economy's year is not stated, and a few of its joins are wrong
COUNTIES = $(REFERENCE_DATA)/sichuan/county_gcj02.geojson.gz
COUNTIES_CRS = gcj02
COUNTIES_ID = adcode
COUNTIES_NAME = district
COUNTIES_PART_OF = city
OFFICIAL = $(REFERENCE_DATA)/sichuan/county_economy.csv
OFFICIAL_KEY = adcode
# five zones have rows of other counties too
OFFICIAL_REPEATS = leave-out
OFFICIAL_VALUE = 人均地区生产总值（元/人）
OFFICIAL_NAME = GDP per head, yuan, county table, year not stated
