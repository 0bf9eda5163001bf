# The plain south of Wonsan, Kangwon province, North Korea, 2019; scored by a model of ten human orders of other pictures.
CATALOGUE = $(REFERENCE_DATA)/catalog.json
SUPPLIED = $(addprefix $(REFERENCE_DATA)/,catalog.json kangwon/kangwon_2019.json kangwon/kangwon_2019.tif)
FROM = 2019-01-01
TO = 2019-12-31
# the web tiles that the mosaic is made of
TILE_PX = 256
PIXEL_M = 100
ORDERS = $(REFERENCE_DATA)/nk_clusters/pog_collection.txt
ORDER_RATERS = $(REFERENCE_DATA)/nk_clusters/pog_annotators.txt
TRAIN_IMAGES = $(REFERENCE_DATA)/nk_clusters/images
# empty land was not put in order: it is lowest by rule, and its pictures are those that the annotators agree on
LABELLED = $(REFERENCE_DATA)/nk_labels/labels.csv
LABELLED_IMAGES = $(REFERENCE_DATA)/nk_labels/images
LABELLED_CLASS = uninhabited
LABELLED_CLUSTER = 22
# 0 to 10 were found among towns, 11 to 21 among villages; settings were chosen by clusters that a model did not see
CLASSES = urban=0-10 rural=11-21
RECIPE = ridge
# half of the members see through a network that learnt the same pictures without their labels
PRETRAIN_EPOCHS = 5
MEMBERS = 12
LOWEST = 22
NIGHT_LIGHTS = $(REFERENCE_DATA)/nightlights/viirs_vnl_2025_north_korea.tif
NIGHT_LIGHTS_CREDIT = Earth Observation Group, VNL 2025, CC BY 4.0
TITLE = Development score, Kangwon 2019, human orders
# ten rectangles of whole tiles, made to show the report: no borders
COUNTIES = data/aoi/kangwon-human/zones.geojson
COUNTIES_ID = zone
COUNTIES_NAME = name
COUNTIES_NAME_EN = name_en
# two tiles
BLOCK_M = 4892
