# Satellite images in, maps of economic development out: one rule a stage, files between them.
#
#   make demo              the map of the embedded scene
#   make heatmap-sichuan   the map of an area, any folder of data/aoi
#   make help              all commands and knobs
#
# CAPITALS are knobs: settings.mk of an area sets them, the command line overrules it, the environment does not; others are refused.
# Lower case is internal. A stage's flags are a prerequisite of what it makes, so a changed setting re-makes what it touches and
# nothing else. Programs are order-only: a rebuild retrains nothing. GNU make 4.3 or newer.
#
# What holds after a failure. Programs give a file its name once it is whole, so Make deletes nothing: old results stay. A stage writes
# its ledger last; what comes after it wants the ledger too, so a stage that stopped half way is made again before anything reads it.
# Text from a setting or a list reaches the shell through `quote` alone; Make's own names are held to one rule, under Checks.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.SUFFIXES:
.PHONY: FORCE help demo map made scenes fetched change serve build setup test bench-imagery bench-judges bench-learning bench-maps bench-cuda check-cuda why

## Knobs
## AOI                area: a folder of AREAS
AOI = accomack
## AREAS              where areas are: a folder each, with granules.tsv and settings.mk
AREAS = data/aoi
## RANKS              processes that share a scene; more than 1 needs mpirun
RANKS = 1
## DEVICE             where networks run: cpu
DEVICE = cpu
## RAW WORK OUT       folders of fetched, derived and final files
RAW = data/raw
WORK = data/work
OUT = data/out
## BUILD BIN          BUILD= takes the programs of the folder BIN as they are
BUILD = yes
## REFERENCE_DATA     folder that the areas kangwon* need, and their tests
REFERENCE_DATA ?= ../shared/reference
## PEERS              folder of what people run instead, for the benches
PEERS = ../shared/peers
## PYTHON             a Python that has what the peers of bench-learning or bench-maps import; unset, one is set up
PYTHON =
## REFRESH            REFRESH=yes chooses scenes again whatever data/raw/AREA/scenes.lock says
REFRESH =
## BEFORE             an area of the same ground at an earlier date, for `make change` and the report by county
BEFORE =
## PORT               where `make serve` listens, on this machine only
PORT = 8000
## TARGET             the file that `make why` asks about
TARGET =
MPIRUN = mpirun --oversubscribe

# What an area may set; data/aoi/README.md explains each.
SCENE_FILES =
SCENE_BANDS =
SCENE_SCALE =
SCENE_OFFSET =
SCENE_NODATA =
SCENE_SCL =
SCENE_DATE =
CATALOGUE =
COLLECTION = sentinel-2-l2a
FROM =
TO =
SUPPLIED =
ASSETS = visual
MAX_CLOUD_SHARE = 1
OFFSET =
DATES =
MONTHS =
WITHIN =
COMPOSITE =
SCENES = 3
CLOUDS =
MAX_TILE_CLOUD_SHARE =
TILE_PX = 343
EDGE = drop
CLASS_PROMPT = prompts/classes/settlement.en.md
PERSONAS = $(wildcard prompts/$(if $(PAIRS),pairs,personas)/*.en.md)
JUDGE = local
MODEL =
MAX_COST =
MAX_CALLS =
MAX_TOKENS =
TEMPERATURE =
RPM =
TPM =
CALLS_AT_ONCE =
BATCH =
REPLAY =
HEADS = data/weights/settlement_heads.safetensors
REPEATS = 3
IMAGES_PER_CLUSTER = 3
CLASS_REPEATS = $(REPEATS)
PAIRS =
CANARIES = 1
MAX_FAILED_SHARE = 0
BACKBONE = efficientnet-lite0
WEIGHTS = data/weights/efficientnet_lite0_imagenet.safetensors
INPUT_PX = 224
PRETRAIN_EPOCHS =
PRETRAIN_RATE = 0.005
K_MIN = 3
K_MAX = 20
TRAIN = head
RECIPE = default
FEATURES = stages
NORMALISE = both
COMPONENTS = 128
STEPS = 1000
MEMBERS = 6
SEED = 1
PIXEL_M = 100
TITLE = Development score, $(AOI)
CREDIT = Contains modified Copernicus Sentinel data
TRAINED_IN = $(AOI)
ORDERS =
ORDER_RATERS =
LOWEST =
PUBLISHED =
PUBLISHED_FOOTPRINTS =
PUBLISHED_TILE_M = 3430
TRAIN_IMAGES =
LABELLED =
LABELLED_IMAGES =
LABELLED_CLASS =
LABELLED_CLUSTER =
CLASSES =
NIGHT_LIGHTS =
NIGHT_LIGHTS_CREDIT =
NIGHT_LIGHTS_NODATA =
NIGHT_LIGHTS_SCALE =
QUALITY =
MIN_QUALITY =
BASELINES =
ZONES =
COUNTIES =
COUNTIES_LAYER =
COUNTIES_CRS = file
COUNTIES_ID =
COUNTIES_NAME =
COUNTIES_NAME_EN =
COUNTIES_PART_OF =
BLOCK_M = 10000
POPULATION =
POPULATION_NODATA =
OFFICIAL =
OFFICIAL_KEY =
OFFICIAL_VALUE =
OFFICIAL_NAME =
OFFICIAL_YEAR =
OFFICIAL_DECIMAL =
OFFICIAL_REPEATS = refuse

## Checks

# One shell word of any text: as it is where nothing in it means anything to the shell, else in quotes.
special := ' " ` \ ( ) < > | & ; * ? [ ] { } ~ ! ^ = $$ \#
plain = $(and $(filter 1,$(words x$1x)),$1,$(if $(strip $(foreach sign,$(special),$(findstring $(sign),$1))),,plain))
quote = $(if $(call plain,$1),$1,$(call quoted,$1))
quoted = '$(subst ','\'',$1)'
# A flag with its value, or nothing; the same flag once for each word.
flag = $(if $(strip $2),--$1 $(call quote,$(strip $2)))
each = $(foreach word,$2,--$1 $(call quote,$(word)))
words-of = $(foreach word,$1,$(call quote,$(word)))
same = $(and $(findstring x$1x,x$2x),$(findstring x$2x,x$1x))

# Signs that Make reads in the name of a file. A space parts names: where one file is meant there is one word.
odd = $(strip $(foreach sign,: ; | = % * ? [ ] \ ~ $$ \#,$(findstring $(sign),$1)))
one-path := AREAS RAW WORK OUT BIN PEERS REFERENCE_DATA WITHIN CLASS_PROMPT REPLAY HEADS WEIGHTS PUBLISHED PUBLISHED_FOOTPRINTS TRAIN_IMAGES LABELLED \
  LABELLED_IMAGES NIGHT_LIGHTS QUALITY COUNTIES POPULATION OFFICIAL ORDERS ORDER_RATERS SCENE_SCL
more-paths := SUPPLIED PERSONAS SCENE_FILES
take-path = $(foreach word,$2,$(if $(call odd,$(word)),$(error $1: want a path without $(call odd,$(word)), found $(word); rename it, or link to it)))
take-one = $(if $(word 2,$($1)),$(error $1: want one path without spaces, found $(strip $($1)); rename it, or link to it))
define newline


endef

# Every CAPITAL that this file sets is a setting: there is no other list.
knobs := $(shell sed -nE 's/^(export |override )*([A-Z][A-Z0-9_]*) *[:?+]?=.*/\2/p' '$(firstword $(MAKEFILE_LIST))')
$(if $(or $(word 2,$(AOI)),$(call odd,$(AOI)),$(findstring /,$(AOI)),$(filter .%,$(AOI))),$(error AOI: want the name of a folder of $(AREAS), without spaces / and $$ : ; | = % * ? [ ] \ ~, found $(AOI); rename it))
asked-aoi := $(AOI)
set-here := $(foreach name,$(.VARIABLES),$(if $(filter file,$(origin $(name))),$(name)))
-include $(AREAS)/$(AOI)/settings.mk
unknown := $(firstword $(foreach name,$(filter-out $(knobs) $(set-here) set-here .%,$(.VARIABLES)),$(if $(filter file override command,$(firstword $(origin $(name)))),$(name))))
$(if $(unknown),$(error $(unknown): no such setting $(if $(filter command,$(firstword $(origin $(unknown)))),on the command line,in $(AREAS)/$(asked-aoi)/settings.mk)$(shell \
  scripts/nearest $(call quote,$(unknown)) $(knobs)); data/aoi/README.md and `make help` list them))
$(if $(call same,$(AOI),$(asked-aoi)),,$(error AOI: want an area that goes by the name of its folder, $(asked-aoi), found $(AOI) in its settings.mk; take that line out))
$(foreach name,$(knobs),$(if $(findstring $(newline),$(value $(name))),$(error $(name): want one line, found several; take the others out)))
$(foreach name,$(one-path),$(call take-one,$(name)))
$(foreach name,$(one-path) $(more-paths),$(call take-path,$(name),$($(name))))
$(call take-path,BASELINES,$(subst =, ,$(BASELINES)))

override REFERENCE_DATA := $(abspath $(REFERENCE_DATA))
ifneq ($(wildcard $(REFERENCE_DATA)),)
export REFERENCE_DATA
endif
area := $(AREAS)/$(AOI)
areas := $(foreach name,$(patsubst $(AREAS)/%/settings.mk,%,$(filter $(AREAS)/%/settings.mk,$(wildcard $(AREAS)/*/settings.mk))),$(if $(call odd,$(name)),,$(name)))
on-area := $(filter map made scenes fetched change,$(MAKECMDGOALS))
wanted := $(patsubst heatmap-%,%,$(filter heatmap-%,$(MAKECMDGOALS))) $(if $(on-area),$(AOI))
$(if $(filter-out $(areas),$(wanted)),$(error $(filter-out $(areas),$(wanted)): no such area; there are: $(areas); a folder with a space or one of : ; | = % * ? [ ] \ ~ in its name is none))
$(if $(filter change,$(MAKECMDGOALS)),$(if $(BEFORE),,$(error name an earlier area of the same ground: make change AOI=kangwon-human BEFORE=kangwon-human-2016)))
$(if $(filter-out $(areas),$(BEFORE)),$(error BEFORE=$(BEFORE): no such area; there are: $(areas)))
$(if $(or $(word 2,$(TRAINED_IN)),$(call odd,$(TRAINED_IN)),$(findstring /,$(TRAINED_IN))),$(error TRAINED_IN: want an area's name, found $(TRAINED_IN)))
$(foreach zone,$(ZONES),$(if $(and $(call plain,$(zone)),$(if $(or $(findstring /,$(zone)),$(call odd,$(zone))),,yes)),,$(error ZONES: want beginnings of granules' names, found $(zone))))

# Programs: one build for all stages. A server that sets CI keeps it between checkouts.
export CARGO_TARGET_DIR ?= $(if $(CI),$(or $(XDG_CACHE_HOME),$(HOME)/.cache)/prosperity-atlas/target,$(CURDIR)/target)
export PATH := $(HOME)/.cargo/bin:$(PATH)
export OMPI_ALLOW_RUN_AS_ROOT = 1
export OMPI_ALLOW_RUN_AS_ROOT_CONFIRM = 1
BIN = $(CARGO_TARGET_DIR)/release

stages := s2-fetch granule-split-mpi vlm-label stage1-cluster pog-aggregate stage3-train heatmap-stitch viirs-corr region-report
programs := $(stages:%=$(BIN)/%)

# Files of the area.
raw := $(RAW)/$(AOI)
work := $(WORK)/$(AOI)
out := $(OUT)/$(AOI)
trained := $(WORK)/$(TRAINED_IN)
pins := $(shell scripts/granules $(call quote,$(area)/granules.tsv) $(if $(SCENE_FILES),$(call quote,$(AOI))))
$(if $(filter error:,$(firstword $(pins))),$(error $(wordlist 2,$(words $(pins)),$(pins))))
granules := $(foreach pin,$(pins),$(firstword $(subst =, ,$(pin))))
$(foreach pin,$(pins),$(eval item-$(pin)))
$(if $(granules),,$(if $(on-area),$(error $(area)/granules.tsv: want a granule a line, found none; `s2-fetch plan` writes it, and SCENE_FILES in settings.mk goes without)))
choices := $(granules:%=$(raw)/%.scene.parquet)
tiles := $(granules:%=$(work)/tiles/%.parquet)
labels := $(granules:%=$(work)/labels/%.parquet)
scores := $(granules:%=$(work)/scores/%.parquet)
corr-rasters := $(QUALITY) $(foreach named,$(BASELINES),$(lastword $(subst =, ,$(named))))
# One map a zone where ZONES says so; the report by county needs one of all granules besides.
maps := $(ZONES:%=heatmap-%) $(if $(and $(ZONES),$(if $(COUNTIES)$(BEFORE),,none)),,heatmap)
# A scene of one's own: files, or a folder of them.
own-scene := $(foreach word,$(SCENE_FILES),$(or $(wildcard $(word)/*),$(word))) $(SCENE_SCL)
supplied := $(SUPPLIED) $(own-scene) $(ORDERS) $(NIGHT_LIGHTS) $(corr-rasters) $(PUBLISHED) $(PUBLISHED_FOOTPRINTS)

# A catalogue's address may hold a password or a token: what is after ? or #, and what is before @, goes to the program through the
# environment, and stands in no log and in no flags. A renewed token fetches nothing anew; `make scenes REFRESH=yes` does.
secret := $(and $(findstring ://,$(CATALOGUE)),$(or $(findstring @,$(CATALOGUE)),$(findstring ?,$(CATALOGUE)),$(findstring \#,$(CATALOGUE))))
ifneq ($(secret),)
address := $(firstword $(subst ?, ,$(subst \#, ,$(CATALOGUE))))
shown-catalogue := $(firstword $(subst ://, ,$(address)))://$(if $(findstring @,$(address)),...@)$(lastword $(subst @, ,$(lastword $(subst ://, ,$(address)))))$(if $(call same,$(address),$(strip $(CATALOGUE))),,?...)
export catalogue_with_secrets := $(CATALOGUE)
else
shown-catalogue := $(CATALOGUE)
endif

# The flags of each stage, inputs included: recipes use them, and $(work)/flags keeps what they were.
fetch-flags = $(if $(SCENE_FILES),$(own-scene-flags),$(catalogue-flags))
catalogue-flags = $(call flag,collection,$(COLLECTION)) $(call flag,assets,$(ASSETS)) $(call flag,from,$(FROM)) $(call flag,to,$(TO)) $(call each,dates,$(DATES)) $(call each,months,$(MONTHS)) $(call flag,max-cloud-share,$(MAX_CLOUD_SHARE)) $(call with,offset,$(OFFSET)) $(call flag,area,$(WITHIN)) $(if $(COMPOSITE),$(call flag,composite,$(COMPOSITE)) $(call flag,scenes,$(SCENES))) $(call classes,scl-out)
own-scene-flags = $(call flag,bands,$(SCENE_BANDS)) $(call with,scale,$(SCENE_SCALE)) $(call with,offset,$(SCENE_OFFSET)) $(call with,nodata,$(SCENE_NODATA)) $(call flag,scl,$(SCENE_SCL)) $(call flag,date,$(SCENE_DATE)) $(call classes,scl-out)
# A number may begin with a minus.
with = $(if $2,--$1=$(call quote,$2))
lock-flags = $(call flag,lock,$(raw)/scenes.lock) $(if $(REFRESH),--refresh)
split-flags = $(call flag,tile-px,$(TILE_PX)) $(call flag,edge,$(EDGE)) $(call classes,scl) $(call flag,max-cloud-share,$(MAX_TILE_CLOUD_SHARE))
# A granule's classification of clouds; where flags are kept for all granules, % stands for each.
with-classes := $(if $(SCENE_FILES),$(or $(SCENE_SCL),$(CLOUDS)),$(CLOUDS))
classes = $(if $(with-classes),$(call flag,$1,$(raw)/$(or $*,%).scl.tif))
judge-flags-local = $(call flag,heads,$(HEADS)) $(call flag,weights,$(WEIGHTS))
judge-flags-openai = $(call flag,model,$(MODEL)) $(call flag,record,$1) $(if $(BATCH),$(call flag,batch,$(1:.jsonl=-batches))) $(call flag,max-tokens,$(MAX_TOKENS)) $(call flag,temperature,$(TEMPERATURE)) \
  $(call flag,max-cost,$(MAX_COST)) $(call flag,max-calls,$(MAX_CALLS)) $(call flag,requests-per-minute,$(RPM)) $(call flag,tokens-per-minute,$(TPM)) $(call flag,concurrency,$(CALLS_AT_ONCE))
judge-flags-replay = $(call flag,replay,$(REPLAY))
judge-flags = $(call flag,judge,$(JUDGE)) $(call judge-flags-$(JUDGE),$1) $(call flag,canaries,$(CANARIES)) $(call flag,max-failed,$(MAX_FAILED_SHARE))
judge-files := $(if $(filter local,$(JUDGE)),$(HEADS) $(WEIGHTS)) $(if $(filter replay,$(JUDGE)),$(REPLAY))
classify-flags = $(call flag,prompt,$(CLASS_PROMPT)) $(judge-flags) $(if $(filter openai,$(JUDGE)),$(call flag,repeats,$(CLASS_REPEATS)))
net-flags = $(call flag,weights,$(WEIGHTS)) $(call flag,input-px,$(INPUT_PX)) $(call flag,device,$(DEVICE))
seed-flag = $(call flag,seed,$(SEED))
cluster-flags = $(call each,tiles,$(tiles)) $(call each,labels,$(labels)) $(call flag,backbone,$(BACKBONE)) $(net-flags) $(call flag,k-min,$(K_MIN)) $(call flag,k-max,$(K_MAX)) $(seed-flag)
import-flags = $(call flag,images,$(TRAIN_IMAGES)) $(if $(LABELLED),$(call flag,labelled,$(LABELLED)) $(call flag,labelled-images,$(LABELLED_IMAGES)) $(call flag,labelled-class,$(LABELLED_CLASS)) $(call flag,labelled-cluster,$(LABELLED_CLUSTER))) $(call each,class,$(CLASSES)) $(call each,labels-out,$(imported-labels))
# Pictures of no cluster whose classes are known: a ridge learns from them too.
imported-labels := $(if $(and $(LABELLED),$(CLASSES)),$(trained)/imported-labels.parquet)
vote-prompts = $(if $(filter local,$(JUDGE)),$(CLASS_PROMPT),$(PERSONAS))
asked := $(if $(PAIRS),pairs,votes)
vote-flags = $(call flag,pairs,$(PAIRS)) $(call each,tiles,$(tiles)) $(call each,prompt,$(vote-prompts)) $(judge-flags) $(if $(filter openai,$(JUDGE)),$(call flag,repeats,$(REPEATS))) $(call flag,images-per-cluster,$(IMAGES_PER_CLUSTER)) $(seed-flag)
aggregate-flags = $(if $(ORDERS),$(call flag,orders,$(ORDERS)) $(call flag,raters,$(ORDER_RATERS)),$(call flag,$(asked),$(work)/$(asked).parquet)) $(call flag,clusters,$(trained)/clusters.parquet) $(call each,tiles,$(learn-tiles)) $(call each,lowest,$(LOWEST)) $(seed-flag)
learn-tiles := $(if $(ORDERS),$(trained)/imported.parquet,$(tiles))
# A network of the area's own beside ImageNet's: members of the ensemble see through one or the other.
own-weights := $(if $(PRETRAIN_EPOCHS),$(trained)/network.safetensors)
pretrain-flags = $(call each,tiles,$(learn-tiles)) $(call flag,backbone,$(BACKBONE)) $(call flag,weights,$(WEIGHTS)) $(call flag,epochs,$(PRETRAIN_EPOCHS)) $(call flag,learning-rate,$(PRETRAIN_RATE)) $(call flag,device,$(DEVICE)) $(seed-flag)
train-flags = $(call each,tiles,$(learn-tiles)) $(call flag,backbone,$(BACKBONE)) $(net-flags) $(call each,weights,$(own-weights)) $(call flag,train,$(TRAIN)) $(call flag,recipe,$(RECIPE)) $(train-flags-$(TRAIN)) $(call flag,steps,$(STEPS)) $(seed-flag)
train-flags-head = $(call flag,features,$(FEATURES)) $(call flag,normalise,$(NORMALISE)) $(call flag,components,$(COMPONENTS)) $(call flag,members,$(MEMBERS)) $(if $(filter ridge,$(RECIPE)),$(call each,labels,$(imported-labels)))
train-flags-whole = --members 1
score-flags = $(call each,weights,$(WEIGHTS) $(own-weights)) $(call flag,device,$(DEVICE))
published-flags = $(call flag,table,$(PUBLISHED)) $(call flag,footprints,$(PUBLISHED_FOOTPRINTS)) $(call flag,tile-m,$(PUBLISHED_TILE_M))
map-flags = $(call flag,pixel-m,$(PIXEL_M)) $(call flag,title,$(TITLE)) $(call flag,credit,$(CREDIT))
light-credit = $(CREDIT)$(if $(NIGHT_LIGHTS),; night light: $(NIGHT_LIGHTS_CREDIT))
# What night lights say of themselves is believed; these two overrule it.
lights-flags = $(call flag,lights-nodata,$(NIGHT_LIGHTS_NODATA)) $(call flag,lights-scale,$(NIGHT_LIGHTS_SCALE))
corr-flags = $(lights-flags) $(call flag,quality,$(QUALITY)) $(call flag,min-quality,$(MIN_QUALITY)) $(call each,baseline,$(BASELINES)) $(call flag,title,$(TITLE)) $(call flag,credit,$(light-credit))
summary-flags = $(call flag,title,$(TITLE)) $(call each,scenes,$(choices)) $(call each,tiles,$(tiles)) $(call each,scores,$(scores)) \
  $(if $(ORDERS)$(PUBLISHED),,$(call flag,clusters,$(trained)/clusters.parquet)) $(if $(PUBLISHED),,$(call flag,pog,$(trained)/pog.parquet) $(call flag,raters,$(trained)/raters.parquet)) $(call each,metrics,$(metrics)) \
  $(call each,stage-ledger,$(ledgers)) $(call each,see,$(foreach map,$(maps),$(out)/$(map).png $(out)/$(map).tif)) \
  $(if $(ORDERS)$(PUBLISHED),,$(call each,see,$(addprefix $(OUT)/$(TRAINED_IN)/clusters/,places.png k.png)))

map-metrics := $(if $(word 2,$(granules)),$(maps:heatmap%=$(out)/seams%.parquet)) $(if $(NIGHT_LIGHTS),$(maps:heatmap%=$(out)/corr%.parquet) $(maps:heatmap%=$(out)/corr-details%.parquet))
metrics := $(if $(ORDERS),,$(trained)/clusters-k.parquet $(trained)/quality.parquet) $(trained)/health.parquet $(trained)/training.parquet $(map-metrics)
learnt := $(addprefix $(trained)/,$(if $(ORDERS),imported.parquet $(notdir $(imported-labels)),$(asked).parquet answers.parquet canaries.parquet) clusters.parquet pog.parquet raters.parquet $(notdir $(own-weights)) model.safetensors)
pictures := $(if $(ORDERS),,$(out)/quality.md) $(addprefix $(OUT)/$(TRAINED_IN)/,order.svg order.dot) $(maps:%=$(out)/%.png) $(maps:%=$(out)/%-colour.tif) $(if $(NIGHT_LIGHTS),$(maps:heatmap%=$(out)/viirs%.png))
ledger-of = $(work)/ledger/$1.json
learnt-ledger-of = $(trained)/ledger/$1.json
ledgers-of = $(granules:%=$(call ledger-of,$1-%))
learnt-ledgers := $(foreach stage,$(if $(ORDERS),import,cluster vote) aggregate $(if $(own-weights),pretrain) train,$(call learnt-ledger-of,$(stage)))
shown-ledgers := $(maps:heatmap%=$(call ledger-of,map%)) $(if $(NIGHT_LIGHTS),$(maps:heatmap%=$(call ledger-of,corr%)))
ledgers := $(foreach stage,fetch split $(if $(ORDERS),,classify),$(call ledgers-of,$(stage))) $(learnt-ledgers) $(call ledgers-of,score) $(shown-ledgers)

# Scores that somebody published: no scene, tile or model.
ifdef PUBLISHED
choices :=
tiles :=
labels :=
learnt :=
metrics := $(map-metrics)
pictures := $(maps:%=$(out)/%.png) $(maps:%=$(out)/%-colour.tif) $(if $(NIGHT_LIGHTS),$(maps:heatmap%=$(out)/viirs%.png))
learnt-ledgers :=
ledgers := $(call ledger-of,published) $(shown-ledgers)
endif

# What changed since BEFORE: both areas must have been trained in one, or their scores are not of one scale.
earlier := $(if $(BEFORE),$(OUT)/$(BEFORE)/heatmap.tif)
changed := $(if $(BEFORE),$(out)/change.tif)
change-flags = $(call flag,title,$(TITLE) since $(BEFORE)) $(call flag,credit,$(CREDIT))
ifdef BEFORE
metrics += $(out)/change.parquet
pictures += $(out)/change.png $(changed)
ledgers += $(call ledger-of,change)
summary-flags += $(call each,see,$(out)/change.png $(changed))
endif

# The report by county needs one map of all granules.
report := $(if $(COUNTIES),$(out)/report/index.html)
report-flags = $(call flag,zones,$(COUNTIES)) $(call flag,zones-layer,$(COUNTIES_LAYER)) $(call flag,zones-crs,$(COUNTIES_CRS)) $(call flag,zone-id,$(COUNTIES_ID)) $(call flag,zone-name,$(COUNTIES_NAME)) \
  $(call flag,zone-name-en,$(COUNTIES_NAME_EN)) $(call flag,zone-part-of,$(COUNTIES_PART_OF)) $(call flag,block-m,$(BLOCK_M)) $(call flag,night-lights,$(NIGHT_LIGHTS)) $(if $(NIGHT_LIGHTS),$(lights-flags)) \
  $(call flag,population,$(POPULATION)) $(if $(POPULATION),$(call flag,population-nodata,$(POPULATION_NODATA))) $(call flag,change,$(changed)) $(if $(OFFICIAL),$(call flag,official,$(OFFICIAL)) $(call flag,official-key,$(OFFICIAL_KEY)) $(call flag,official-value,$(OFFICIAL_VALUE)) $(call flag,official-name,$(OFFICIAL_NAME)) $(call flag,official-year,$(OFFICIAL_YEAR)) $(call flag,official-decimal,$(OFFICIAL_DECIMAL)) $(call flag,official-repeats,$(OFFICIAL_REPEATS))) \
  $(call flag,title,$(TITLE)) $(call flag,credit,$(light-credit)) $(call each,scores,$(scores)) $(call each,scenes,$(choices)) \
  $(if $(ORDERS)$(PUBLISHED),,$(call flag,clusters,$(trained)/clusters.parquet) $(call flag,sheets,$(OUT)/$(TRAINED_IN)/clusters) $(if $(PAIRS),,$(call flag,votes,$(trained)/votes.parquet))) $(if $(PUBLISHED),,$(call flag,pog,$(trained)/pog.parquet)) $(seed-flag) \
  $(if $(PUBLISHED)$(word 2,$(granules)),,$(call flag,imagery,$(granules:%=$(raw)/%.tif)))
ifneq ($(report),)
supplied += $(COUNTIES) $(OFFICIAL) $(POPULATION)
metrics += $(out)/regions-metrics.parquet
pictures += $(report) $(out)/regions.parquet $(out)/regions.md $(out)/targeting.parquet
ledgers += $(call ledger-of,report)
summary-flags += $(call each,see,$(report))
endif

# The map and the page say what the offline judge was trained on, and how far this ground lies from that.
judge-card := $(if $(filter local,$(JUDGE)),$(if $(ORDERS)$(PUBLISHED),,$(HEADS:.safetensors=.json)))
map-flags += $(call each,judge,$(judge-card)) $(if $(judge-card),$(if $(call same,$(TRAINED_IN),$(AOI)),$(call each,judge-ledger,$(granules:%=$(call ledger-of,classify-%)))))
summary-flags += $(call each,judge,$(judge-card))

define flags-file # folder, stage, flags
$1/flags/$2: $$(if $$(call same,$$(strip $3),$$(strip $$(file <$1/flags/$2))),,FORCE)
	@mkdir -p $$(call quote,$$(@D)) && printf '%s\n' $$(call quote,$$(strip $3)) > $$(call quote,$$@)
endef
keep-flags = $(eval $(call flags-file,$1,$2,$3))
$(foreach granule,$(granules),$(call keep-flags,$(work),fetch-$(granule),$$(or $$(SCENE_FILES),--catalogue $$(call quoted,$$(shown-catalogue))) $$(fetch-flags) $$(item-$(granule))))
$(foreach stage,split classify score published map corr summary $(if $(BEFORE),change),$(call keep-flags,$(work),$(stage),$$($(stage)-flags)))
$(if $(report),$(call keep-flags,$(work),report,$$(report-flags)))
$(foreach stage,cluster import vote aggregate pretrain train,$(call keep-flags,$(trained),$(stage),$$($(stage)-flags)))

## Commands

help: ## this page
	@sed -nE 's/^([a-z%-]+):[^#]*## (.*)/\1                  \2/p; s/^## ?//p' Makefile | sed -E 's/^([^ ]*) {18,}/\1 @/' | awk -F @ 'NF > 1 { printf "%-18s %s\n", $$1, $$2; next } 1'
	@echo $(call quote,Areas: $(areas))

demo: heatmap-accomack ## the map of the embedded scene, and a page about it
	@cat $(call quote,$(OUT)/accomack/summary.txt)

## heatmap-AREA       the map of an area, such as heatmap-sichuan
$(areas:%=heatmap-%): heatmap-%: FORCE
	@$(MAKE) --no-print-directory AOI=$(call quote,$*) map

# Makes of one area take turns. The kernel holds the lock and gives it back with the last process; plans (make -n, -q, -t) hold none.
planned := $(strip $(foreach sign,n q t,$(findstring $(sign),$(filter-out --%,$(firstword -$(MAKEFLAGS))))))
to-hold = $(filter-out $(held_areas),$(sort $(AOI) $(TRAINED_IN)))
in-turn = $(if $(planned),,$(foreach held,$(to-hold),$(call hold,$(WORK)/$(held))) export held_areas=$(call quote,$(held_areas) $(to-hold)); )
hold = mkdir -p $(call quote,$1); exec {lock}> $(call quote,$1/.make.lock); flock --nonblock $$lock || { echo $(call quote,$1: another make is at work here; this one waits for it) >&2; flock $$lock; };

map: FORCE ## the map of AOI
	@$(in-turn)$(MAKE) --no-print-directory AOI=$(call quote,$(AOI)) made

made: $(supplied) $(out)/summary.txt

change: map ## the map of AOI, and what changed since BEFORE, the same ground in another area: map, picture, report
	@echo $(call quote,$(out)/change.png)

scenes: FORCE ## the scenes of AOI, fetched and no more
	@$(in-turn)$(MAKE) --no-print-directory AOI=$(call quote,$(AOI)) fetched

fetched: $(granules:%=$(raw)/%.tif) $(call ledgers-of,fetch)

serve: ## the page of AOI by county, at http://127.0.0.1:PORT
	@test -f $(call quote,$(report-page)) || { echo $(call quote,$(report-page): want the page$(comma) found none; make AOI=$(AOI) map$(comma) for an area with COUNTIES) >&2; exit 1; }
	python3 -m http.server $(call quote,$(PORT)) --bind 127.0.0.1 --directory $(call quote,$(out)/report)
report-page = $(out)/report/index.html
comma := ,

why: ## which prerequisite is newer than TARGET
	@$(if $(TARGET),,$(error name a file: make why TARGET=data/work/accomack/pog.parquet)) \
	$(MAKE) --no-print-directory -n --debug=basic AOI=$(call quote,$(target-area)) BUILD= $(call quote,$(TARGET)) 2>&1 \
	  | sed -nE "/FORCE/!s/^ *(Prereq.* is newer.*|Prereq.* does not exist.*|File .* does not exist.*|.*is up to date.*|.*No rule.*)/\1/p; s/^ *Prereq.*FORCE' of target '(.*)' does not.*/The flags kept in '\1' are others now./p"
target-area = $(or $(filter $(areas),$(foreach root,$(RAW) $(WORK) $(OUT),$(firstword $(subst /, ,$(patsubst $(root)/%,%,$(filter $(root)/%,$(TARGET))))))),$(AOI))

build: $(programs) ## the programs

setup: ## system packages and Rust, where missing
	@scripts/install

# One build for programs and tests: on their own, programs are built with other features of what both use, and so a second time.
tests := --locked --release --workspace --lib --bins --tests
test: ## format, lints, all tests
	scripts/install --test
	cargo fmt --all --check
	cargo test $(tests) --no-run
	cargo clippy --locked --release --workspace --all-targets -- -D warnings
	servers=$$(scripts/test-servers) && tools=$$(scripts/page-tools --test) && python=$$(scripts/test-python) && \
	  TEST_SERVERS=$$servers PAGE_TOOLS=$$tools TEST_PYTHON=$$python cargo test $(tests)

words-of-python = $(if $(PYTHON),$(call quote,$(PYTHON)))
want-peers = test -f $(call quote,$(PEERS)/README.md) || { echo $(call quote,$(PEERS): want the peers$(comma) found none; name their folder with PEERS=) >&2; exit 1; }
bench-imagery: build ## fetch and split beside what people run instead, figures in OUT/bench
	@$(want-peers)
	scripts/install --bench
	cargo build --locked --release --workspace --examples
	python=$$(scripts/bench/setup) servers=$$(scripts/test-servers) && $$python scripts/bench/imagery.py \
	  --bin $(call quote,$(BIN)) --peers $(call quote,$(PEERS)) --servers $$servers --floor $(call quote,$(BIN)/examples/floor) --work $(call quote,$(WORK)/bench) --out $(call quote,$(OUT)/bench/imagery.json)

bench-judges: build ## aggregation and judges beside what people run instead, figures in OUT/bench
	@$(want-peers)
	scripts/install --bench
	cargo build --locked --release --workspace --examples
	python=$$(scripts/bench/setup) servers=$$(scripts/test-servers) && $$python scripts/bench/judges.py \
	  --bin $(call quote,$(BIN)) --peers $(call quote,$(PEERS)) --reference $(call quote,$(REFERENCE_DATA)) --servers $$servers --work $(call quote,$(WORK)/bench) --out $(call quote,$(OUT)/bench/judges.json)

bench-learning: build ## clustering, networks and the contest beside what people run instead, figures in OUT/bench
	@$(want-peers)
	scripts/install --bench
	cargo build --locked --release --workspace --examples
	python=$(or $(words-of-python),$$(scripts/bench/setup learning)) && $$python scripts/bench/learning.py \
	  --bin $(call quote,$(BIN)) --peers $(call quote,$(PEERS)) --reference $(call quote,$(REFERENCE_DATA)) --work $(call quote,$(WORK)/bench) --out $(call quote,$(OUT)/bench/learning.json)

bench-maps: build ## maps, night light and zones beside what people run instead, figures in OUT/bench
	@$(want-peers)
	scripts/install --bench
	cargo build --locked --release --workspace --examples
	python=$(or $(words-of-python),$$(scripts/bench/setup maps)) && $$python scripts/bench/maps.py \
	  --bin $(call quote,$(BIN)) --peers $(call quote,$(PEERS)) --reference $(call quote,$(REFERENCE_DATA)) --work $(call quote,$(WORK)/bench) --out $(call quote,$(OUT)/bench/maps.json)

# The kernel on an NVIDIA card: no part of the default build. PTX is made by clang alone.
bench-cuda: ## the fill of 1, 6 and 15 granules on this machine's NVIDIA card
	@ldconfig -p | grep -q 'libcuda\.so\.1 ' || { echo "libcuda.so.1: want the driver of an NVIDIA card, found none; \`make bench-maps\` times the same fill on the processor" >&2; exit 1; }
	scripts/kernels build
	$(call quote,$(BIN)/heatmap-fill-cuda) bench

check-cuda: ## that the kernel's PTX is fresh and its program builds; needs no card, downloads what the default build does not
	scripts/kernels check
	scripts/kernels build

ifneq ($(BUILD),)
sources := Cargo.toml Cargo.lock $(shell find crates -name tests -prune -o -type f -print)
$(programs) &: $(sources)
	scripts/install
	cargo build --locked --release --workspace --bins && touch $(call words-of,$(programs))
else
$(programs):
	@echo $(call quote,$@: want this program$(comma) found none; make build) >&2; exit 1
endif

# Stages. Rules with several targets are patterns, over granules or areas, and not `&:`: one run makes all targets either way, but a
# dry run of make 4.3 forgets that a `&:` group was made, and would show half of the plan.

$(filter-out $(raw)/% $(work)/%,$(supplied)):
	@echo $(call quote,$@: want this file$(comma) found none; data/aoi/README.md says what it is and where to get it) >&2; exit 1

run = $(call quote,$(BIN)/$1)
ledger-flag = $(call flag,ledger,$1)
out-flag = $(call flag,out,$1)

fetched-files := $(raw)/%.tif $(if $(with-classes),$(raw)/%.scl.tif)
$(fetched-files) $(raw)/%.scene.parquet $(work)/ledger/fetch-%.json: $(work)/flags/fetch-% $(SUPPLIED) $(own-scene) $(WITHIN) $(if $(REFRESH),FORCE) | $(supplied) $(BIN)/s2-fetch
	$(call run,s2-fetch) $(if $(SCENE_FILES),$(own-scene-command),$(catalogue-command)) $(call ledger-flag,$(work)/ledger/fetch-$*.json) $(call flag,scene-out,$(raw)/$*.scene.parquet) $(call out-flag,$(raw)/$*.tif)
own-scene-command = import $(call words-of,$(SCENE_FILES)) $(call flag,granule,$*) $(fetch-flags)
catalogue-command = fetch $(call flag,granule,$*) --catalogue $(if $(secret),"$$catalogue_with_secrets",$(call quote,$(or $(CATALOGUE),$(no-catalogue)))) $(fetch-flags) $(call flag,item,$(item-$*)) $(lock-flags)
no-catalogue = $(error $(area)/settings.mk: want CATALOGUE$(comma) where scenes are looked for$(comma) or SCENE_FILES$(comma) a scene that you have; found neither)

$(work)/tiles/%.parquet $(work)/ledger/split-%.json: $(fetched-files) $(work)/ledger/fetch-%.json $(work)/flags/split | $(BIN)/granule-split-mpi
	$(if $(filter-out 1,$(RANKS)),$(MPIRUN) -np $(call quote,$(RANKS))) $(call run,granule-split-mpi) $(call flag,scene,$<) $(call flag,granule,$*) $(split-flags) $(call ledger-flag,$(work)/ledger/split-$*.json) $(call out-flag,$(work)/tiles/$*.parquet)

$(work)/labels/%.parquet $(work)/ledger/classify-%.json: $(work)/tiles/%.parquet $(work)/ledger/split-%.json $(CLASS_PROMPT) $(judge-files) $(work)/flags/classify | $(BIN)/vlm-label
	$(call run,vlm-label) classify $(call flag,tiles,$<) $(call classify-flags,$(work)/answers/classify-$*.jsonl) $(call ledger-flag,$(work)/ledger/classify-$*.json) $(call out-flag,$(work)/labels/$*.parquet)

ifdef ORDERS
$(WORK)/%/imported.parquet $(if $(imported-labels),$(WORK)/%/imported-labels.parquet) $(WORK)/%/clusters.parquet $(WORK)/%/ledger/import.json: $(LABELLED) $(trained)/flags/import | $(BIN)/stage1-cluster
	$(call run,stage1-cluster) import $(import-flags) $(call ledger-flag,$(trained)/ledger/import.json) $(call flag,tiles-out,$(trained)/imported.parquet) $(call out-flag,$(trained)/clusters.parquet)
else
$(WORK)/%/clusters.parquet $(WORK)/%/clusters-k.parquet $(WORK)/%/ledger/cluster.json: $(tiles) $(labels) $(call ledgers-of,split) $(call ledgers-of,classify) $(WEIGHTS) $(work)/flags/cluster | $(BIN)/stage1-cluster
	$(call run,stage1-cluster) tiles $(cluster-flags) $(call flag,sheets,$(out)/clusters) $(call flag,metrics-out,$(work)/clusters-k.parquet) $(call ledger-flag,$(work)/ledger/cluster.json) $(call out-flag,$(work)/clusters.parquet)

$(WORK)/%/$(asked).parquet $(WORK)/%/answers.parquet $(WORK)/%/canaries.parquet $(WORK)/%/ledger/vote.json: $(work)/clusters.parquet $(call ledger-of,cluster) $(tiles) $(vote-prompts) $(judge-files) $(work)/flags/vote | $(BIN)/vlm-label
	$(call run,vlm-label) $(if $(PAIRS),pair,vote) $(call flag,clusters,$<) $(call vote-flags,$(work)/answers/vote.jsonl) $(call flag,answers-out,$(work)/answers.parquet) $(call flag,canaries-out,$(work)/canaries.parquet) $(call ledger-flag,$(work)/ledger/vote.json) $(call out-flag,$(work)/$(asked).parquet)

$(WORK)/%/quality.parquet $(OUT)/%/quality.md: $(work)/$(asked).parquet $(work)/answers.parquet $(work)/canaries.parquet $(call ledger-of,vote) | $(BIN)/vlm-label
	$(call run,vlm-label) quality $(call flag,$(asked),$(work)/$(asked).parquet) $(call flag,answers,$(work)/answers.parquet) $(call flag,canaries,$(work)/canaries.parquet) $(call flag,page,$(out)/quality.md) $(call out-flag,$(work)/quality.parquet)
endif

$(WORK)/%/pog.parquet $(WORK)/%/raters.parquet $(WORK)/%/health.parquet $(OUT)/%/order.svg $(OUT)/%/order.dot $(WORK)/%/ledger/aggregate.json: $(or $(ORDERS),$(work)/$(asked).parquet) $(ORDER_RATERS) $(trained)/clusters.parquet $(learn-tiles) $(call learnt-ledger-of,$(if $(ORDERS),import,vote)) $(trained)/flags/aggregate | $(BIN)/pog-aggregate
	$(call run,pog-aggregate) $(aggregate-flags) $(call flag,raters-out,$(trained)/raters.parquet) $(call flag,health-out,$(trained)/health.parquet) $(call flag,dot-out,$(OUT)/$(TRAINED_IN)/order.dot) $(call flag,picture-out,$(OUT)/$(TRAINED_IN)/order.svg) $(call ledger-flag,$(trained)/ledger/aggregate.json) $(call out-flag,$(trained)/pog.parquet)

ifdef PRETRAIN_EPOCHS
$(WORK)/%/network.safetensors $(WORK)/%/network.jsonl $(WORK)/%/ledger/pretrain.json: $(learn-tiles) $(if $(ORDERS),$(call learnt-ledger-of,import),$(call ledgers-of,split)) $(WEIGHTS) $(trained)/flags/pretrain | $(BIN)/stage1-cluster
	$(call run,stage1-cluster) deepcluster $(pretrain-flags) $(call flag,checkpoints,$(trained)/checkpoints) $(call flag,log,$(trained)/network.jsonl) $(call ledger-flag,$(trained)/ledger/pretrain.json) $(call out-flag,$(trained)/network.safetensors)
endif

$(WORK)/%/model.safetensors $(WORK)/%/training.parquet $(WORK)/%/ledger/train.json: $(learn-tiles) $(imported-labels) $(trained)/clusters.parquet $(trained)/pog.parquet $(filter-out %/train.json,$(learnt-ledgers)) $(WEIGHTS) $(own-weights) $(trained)/flags/train | $(BIN)/stage3-train
	$(call run,stage3-train) train $(train-flags) $(call flag,clusters,$(trained)/clusters.parquet) $(call flag,pog,$(trained)/pog.parquet) $(call flag,checkpoints,$(trained)/checkpoints) $(call flag,metrics-out,$(trained)/training.parquet) $(call ledger-flag,$(trained)/ledger/train.json) $(call out-flag,$(trained)/model.safetensors)

ifdef PUBLISHED
score-ledgers := $(call ledger-of,published)
$(foreach granule,$(granules),$(WORK)/%/scores/$(granule).parquet) $(WORK)/%/ledger/published.json: $(PUBLISHED) $(PUBLISHED_FOOTPRINTS) $(work)/flags/published | $(BIN)/heatmap-stitch
	$(call run,heatmap-stitch) published $(published-flags) $(call ledger-flag,$(call ledger-of,published)) $(call out-flag,$(work)/scores)
else
score-ledgers := $(call ledgers-of,score)
$(work)/scores/%.parquet $(work)/ledger/score-%.json: $(work)/tiles/%.parquet $(trained)/model.safetensors $(work)/ledger/split-%.json $(call learnt-ledger-of,train) $(WEIGHTS) $(own-weights) $(work)/flags/score | $(BIN)/stage3-train
	$(call run,stage3-train) score $(call flag,tiles,$<) $(call flag,model,$(trained)/model.safetensors) $(score-flags) $(call ledger-flag,$(work)/ledger/score-$*.json) $(call out-flag,$(work)/scores/$*.parquet)
endif

define map-rules # zone with its hyphen, or nothing; scores of the zone
$(OUT)/%/heatmap$1.tif $(OUT)/%/heatmap$1-colour.tif $(OUT)/%/heatmap$1.png $(OUT)/%/heatmap$1.qml $(if $(word 2,$2),$(OUT)/%/seams$1.parquet) $(WORK)/%/ledger/map$1.json: $2 $(score-ledgers) $(work)/flags/map | $(BIN)/heatmap-stitch
	$$(call run,heatmap-stitch) map $$(call each,scores,$2) $$(map-flags) $$(call ledger-flag,$(call ledger-of,map$1)) $(if $(word 2,$2),$$(call flag,seams-out,$(out)/seams$1.parquet)) $$(call flag,out-qml,$(out)/heatmap$1.qml) $$(call flag,out-png,$(out)/heatmap$1.png) $$(call flag,out-colour,$(out)/heatmap$1-colour.tif) $$(call out-flag,$(out)/heatmap$1.tif)

$(OUT)/%/corr$1.parquet $(OUT)/%/corr-details$1.parquet $(if $(word 2,$2),$(OUT)/%/granules$1.md $(OUT)/%/granules$1.csv) $(OUT)/%/viirs$1.png $(WORK)/%/ledger/corr$1.json: $(out)/heatmap$1.tif $(call ledger-of,map$1) $2 $(score-ledgers) $(NIGHT_LIGHTS) $(corr-rasters) $(work)/flags/corr | $(BIN)/viirs-corr
	$$(call run,viirs-corr) $$(call flag,heatmap,$(out)/heatmap$1.tif) $$(call flag,night-lights,$$(NIGHT_LIGHTS)) $(if $(word 2,$2),$$(call each,scores,$2) $$(call each,table-out,$(out)/granules$1.md $(out)/granules$1.csv)) $$(corr-flags) $$(call ledger-flag,$(call ledger-of,corr$1)) $$(call flag,details-out,$(out)/corr-details$1.parquet) $$(call flag,out-png,$(out)/viirs$1.png) $$(call out-flag,$(out)/corr$1.parquet)
endef
$(foreach zone,$(ZONES),$(eval $(call map-rules,-$(zone),$(filter $(work)/scores/$(zone)%,$(scores)))))
$(if $(filter heatmap,$(maps)),$(eval $(call map-rules,,$(scores))))

ifneq ($(report),)
$(OUT)/%/report/index.html $(OUT)/%/regions.parquet $(OUT)/%/regions.md $(OUT)/%/regions-metrics.parquet $(OUT)/%/targeting.parquet $(WORK)/%/ledger/report.json: $(out)/heatmap.tif $(call ledger-of,map) $(changed) $(if $(changed),$(call ledger-of,change)) $(COUNTIES) $(OFFICIAL) $(POPULATION) $(NIGHT_LIGHTS) $(scores) $(score-ledgers) $(choices) $(if $(PUBLISHED),,$(trained)/pog.parquet) $(if $(ORDERS)$(PUBLISHED),,$(trained)/clusters.parquet) $(learnt-ledgers) $(work)/flags/report | $(BIN)/region-report
	maplibre=$$(scripts/page-tools) && $(call run,region-report) report $(call flag,heatmap,$(out)/heatmap.tif) $(report-flags) $${maplibre:+--maplibre "$$maplibre"} $(call flag,page,$(out)/report) $(call flag,metrics-out,$(out)/regions-metrics.parquet) $(call flag,targeting-out,$(out)/targeting.parquet) $(call flag,out-md,$(out)/regions.md) $(call ledger-flag,$(call ledger-of,report)) $(call out-flag,$(out)/regions.parquet)
endif

ifdef BEFORE
# The earlier area, then the later one: one after the other, as both may train the same model.
$(earlier): $(out)/heatmap.tif $(call ledger-of,map) FORCE
	@$(MAKE) --no-print-directory AOI=$(call quote,$(BEFORE)) BEFORE= COUNTIES= map

$(OUT)/%/change.tif $(OUT)/%/change.png $(OUT)/%/change.parquet $(WORK)/%/ledger/change.json: $(out)/heatmap.tif $(call ledger-of,map) $(earlier) $(work)/flags/change | $(BIN)/heatmap-stitch
	$(call run,heatmap-stitch) change $(call flag,before,$(earlier)) $(call flag,after,$(out)/heatmap.tif) $(change-flags) $(call ledger-flag,$(call ledger-of,change)) $(call flag,metrics-out,$(out)/change.parquet) $(call flag,out-png,$(out)/change.png) $(call out-flag,$(out)/change.tif)
endif

# All results are named here, or Make would take some for scratch files and delete them. What others read comes first, for dry runs.
$(out)/summary.txt: $(if $(with-classes),$(granules:%=$(raw)/%.scl.tif)) $(scores) $(maps:%=$(out)/%.tif) $(metrics) $(tiles) $(if $(ORDERS),,$(labels)) $(choices) $(learnt) $(pictures) $(ledgers) $(work)/flags/summary | $(BIN)/heatmap-stitch
	$(call run,heatmap-stitch) summary $(summary-flags) $(call out-flag,$@) > /dev/null
