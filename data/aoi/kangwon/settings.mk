# The plain south of Wonsan, Kangwon province, North Korea, 2019; order and score from the scene itself.
CATALOGUE = $(REFERENCE_DATA)/catalog.json
SUPPLIED = $(addprefix $(REFERENCE_DATA)/,catalog.json kangwon/kangwon_2019.json kangwon/kangwon_2019.tif)
FROM = 2019-01-01
TO = 2019-12-31
# the web tiles that the mosaic is made of
TILE_PX = 256
PIXEL_M = 100
K_MIN = 2
K_MAX = 6
# the offline judge costs nothing, so many images may stand for a cluster
IMAGES_PER_CLUSTER = 20
NIGHT_LIGHTS = $(REFERENCE_DATA)/nightlights/viirs_vnl_2025_north_korea.tif
NIGHT_LIGHTS_CREDIT = Earth Observation Group, VNL 2025, CC BY 4.0
TITLE = Development score, Kangwon 2019, local judge
