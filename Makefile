# Satellite images in, maps of economic development out: one rule a stage, files between them.
#
#   make demo              the map of the embedded scene
#   make heatmap-sichuan   the map of an area, any folder of data/aoi
#   make help              all commands and knobs
#
# CAPITALS are knobs: settings.mk of an area sets them, the command line overrules it, the environment does not.
# Lower case is internal. A stage's flags are a prerequisite of what it makes, so a changed setting re-makes what it touches and
# nothing else. Programs are order-only: a rebuild retrains nothing. GNU make 4.3 or newer.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-builtin-rules
.DELETE_ON_ERROR:
.SUFFIXES:
.PHONY: FORCE help demo map scenes change serve build setup test bench-imagery bench-judges bench-learning bench-maps bench-cuda check-cuda why

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
CATALOGUE =
COLLECTION = sentinel-2-l2a
FROM =
TO =
SUPPLIED =
ASSETS = visual
MAX_CLOUD_SHARE = 1
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
QUALITY =
MIN_QUALITY =
BASELINES =
ZONES =
COUNTIES =
COUNTIES_CRS = file
COUNTIES_ID =
COUNTIES_NAME =
COUNTIES_NAME_EN =
COUNTIES_PART_OF =
BLOCK_M = 10000
POPULATION =
OFFICIAL =
OFFICIAL_KEY =
OFFICIAL_VALUE =
OFFICIAL_NAME =

override REFERENCE_DATA := $(abspath $(REFERENCE_DATA))
ifneq ($(wildcard $(REFERENCE_DATA)),)
export REFERENCE_DATA
endif
area := $(AREAS)/$(AOI)
areas := $(patsubst $(AREAS)/%/settings.mk,%,$(wildcard $(AREAS)/*/settings.mk))
wanted := $(patsubst heatmap-%,%,$(filter heatmap-%,$(MAKECMDGOALS))) $(if $(filter map scenes,$(MAKECMDGOALS)),$(AOI))
$(if $(filter-out $(areas),$(wanted)),$(error $(filter-out $(areas),$(wanted)): no such area; there are: $(areas)))
-include $(area)/settings.mk
$(if $(filter change,$(MAKECMDGOALS)),$(if $(BEFORE),,$(error name an earlier area of the same ground: make change AOI=kangwon-human BEFORE=kangwon-human-2016)))
$(if $(filter-out $(areas),$(BEFORE)),$(error BEFORE=$(BEFORE): no such area; there are: $(areas)))

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
pins := $(shell awk -F '\t' '!/^#/ && NF { print $$1 "=" $$2 }' $(area)/granules.tsv 2> /dev/null)
granules := $(foreach pin,$(pins),$(firstword $(subst =, ,$(pin))))
$(foreach pin,$(pins),$(eval item-$(pin)))
choices := $(granules:%=$(raw)/%.scene.parquet)
tiles := $(granules:%=$(work)/tiles/%.parquet)
labels := $(granules:%=$(work)/labels/%.parquet)
scores := $(granules:%=$(work)/scores/%.parquet)
corr-rasters := $(QUALITY) $(foreach named,$(BASELINES),$(lastword $(subst =, ,$(named))))
# One map a zone where ZONES says so; the report by county needs one of all granules besides.
maps := $(ZONES:%=heatmap-%) $(if $(and $(ZONES),$(if $(COUNTIES)$(BEFORE),,none)),,heatmap)
supplied := $(SUPPLIED) $(ORDERS) $(NIGHT_LIGHTS) $(corr-rasters) $(PUBLISHED) $(PUBLISHED_FOOTPRINTS)

quote = '$(subst ','\'',$1)'
same = $(and $(findstring x$1x,x$2x),$(findstring x$2x,x$1x))
each = $(addprefix --$1 ,$2)

# The flags of each stage, inputs included: recipes use them, and $(work)/flags keeps what they were.
fetch-flags = --catalogue $(call quote,$(CATALOGUE)) --collection $(COLLECTION) --assets $(ASSETS) $(if $(FROM),--from $(FROM) --to $(TO)) $(call each,dates,$(DATES)) $(call each,months,$(MONTHS)) --max-cloud-share $(MAX_CLOUD_SHARE) $(call each,area,$(WITHIN)) $(if $(COMPOSITE),--composite $(COMPOSITE) --scenes $(SCENES)) $(call classes,--scl-out)
lock-flags = --lock $(raw)/scenes.lock $(if $(REFRESH),--refresh)
split-flags = --tile-px $(TILE_PX) --edge $(EDGE) $(call classes,--scl) $(if $(MAX_TILE_CLOUD_SHARE),--max-cloud-share $(MAX_TILE_CLOUD_SHARE))
# A granule's classification of clouds; where flags are kept for all granules, % stands for each.
classes = $(if $(CLOUDS),$1 $(raw)/$(or $*,%).scl.tif)
judge-flags-local = --heads $(HEADS) --weights $(WEIGHTS)
judge-flags-openai = --model $(call quote,$(MODEL)) --record $1 $(if $(BATCH),--batch $(1:.jsonl=-batches)) $(call each,max-tokens,$(MAX_TOKENS)) $(call each,temperature,$(TEMPERATURE)) \
  $(call each,max-cost,$(MAX_COST)) $(call each,max-calls,$(MAX_CALLS)) $(call each,requests-per-minute,$(RPM)) $(call each,tokens-per-minute,$(TPM)) $(call each,concurrency,$(CALLS_AT_ONCE))
judge-flags-replay = --replay $(REPLAY)
judge-flags = --judge $(JUDGE) $(call judge-flags-$(JUDGE),$1) --canaries $(CANARIES) --max-failed $(MAX_FAILED_SHARE)
judge-files := $(if $(filter local,$(JUDGE)),$(HEADS) $(WEIGHTS)) $(if $(filter replay,$(JUDGE)),$(REPLAY))
classify-flags = --prompt $(CLASS_PROMPT) $(judge-flags) $(if $(filter openai,$(JUDGE)),--repeats $(CLASS_REPEATS))
net-flags = --weights $(WEIGHTS) --input-px $(INPUT_PX) --device $(DEVICE)
cluster-flags = $(call each,tiles,$(tiles)) $(call each,labels,$(labels)) --backbone $(BACKBONE) $(net-flags) --k-min $(K_MIN) --k-max $(K_MAX) --seed $(SEED)
import-flags = --images $(TRAIN_IMAGES) $(if $(LABELLED),--labelled $(LABELLED) --labelled-images $(LABELLED_IMAGES) --labelled-class $(LABELLED_CLASS) --labelled-cluster $(LABELLED_CLUSTER)) $(call each,class,$(CLASSES)) $(call each,labels-out,$(imported-labels))
# Pictures of no cluster whose classes are known: a ridge learns from them too.
imported-labels := $(if $(and $(LABELLED),$(CLASSES)),$(trained)/imported-labels.parquet)
vote-prompts = $(if $(filter local,$(JUDGE)),$(CLASS_PROMPT),$(PERSONAS))
asked := $(if $(PAIRS),pairs,votes)
vote-flags = $(if $(PAIRS),--pairs $(PAIRS)) $(call each,tiles,$(tiles)) $(call each,prompt,$(vote-prompts)) $(judge-flags) $(if $(filter openai,$(JUDGE)),--repeats $(REPEATS)) --images-per-cluster $(IMAGES_PER_CLUSTER) --seed $(SEED)
aggregate-flags = $(if $(ORDERS),--orders $(ORDERS) $(if $(ORDER_RATERS),--raters $(ORDER_RATERS)),--$(asked) $(work)/$(asked).parquet) --clusters $(trained)/clusters.parquet $(call each,tiles,$(learn-tiles)) $(call each,lowest,$(LOWEST)) --seed $(SEED)
learn-tiles := $(if $(ORDERS),$(trained)/imported.parquet,$(tiles))
# A network of the area's own beside ImageNet's: members of the ensemble see through one or the other.
own-weights := $(if $(PRETRAIN_EPOCHS),$(trained)/network.safetensors)
pretrain-flags = $(call each,tiles,$(learn-tiles)) --backbone $(BACKBONE) --weights $(WEIGHTS) --epochs $(PRETRAIN_EPOCHS) --learning-rate $(PRETRAIN_RATE) --device $(DEVICE) --seed $(SEED)
train-flags = $(call each,tiles,$(learn-tiles)) --backbone $(BACKBONE) $(net-flags) $(call each,weights,$(own-weights)) --train $(TRAIN) --recipe $(RECIPE) $(train-flags-$(TRAIN)) --steps $(STEPS) --seed $(SEED)
train-flags-head = --features $(FEATURES) --normalise $(NORMALISE) --components $(COMPONENTS) --members $(MEMBERS) $(if $(filter ridge,$(RECIPE)),$(call each,labels,$(imported-labels)))
train-flags-whole = --members 1
score-flags = $(call each,weights,$(WEIGHTS) $(own-weights)) --device $(DEVICE)
published-flags = --table $(PUBLISHED) --footprints $(PUBLISHED_FOOTPRINTS) --tile-m $(PUBLISHED_TILE_M)
map-flags = --pixel-m $(PIXEL_M) --title $(call quote,$(TITLE)) --credit $(call quote,$(CREDIT))
corr-flags = $(call each,quality,$(QUALITY)) $(call each,min-quality,$(MIN_QUALITY)) $(call each,baseline,$(BASELINES)) --title $(call quote,$(TITLE)) --credit $(call quote,$(CREDIT); night light: $(NIGHT_LIGHTS_CREDIT))
summary-flags = --title $(call quote,$(TITLE)) $(call each,scenes,$(choices)) $(call each,tiles,$(tiles)) $(call each,scores,$(scores)) \
  $(if $(ORDERS)$(PUBLISHED),,--clusters $(trained)/clusters.parquet) $(if $(PUBLISHED),,--pog $(trained)/pog.parquet --raters $(trained)/raters.parquet) $(call each,metrics,$(metrics)) \
  $(call each,stage-ledger,$(ledgers)) $(foreach map,$(maps),--see $(out)/$(map).png --see $(out)/$(map).tif) \
  $(if $(ORDERS)$(PUBLISHED),,$(addprefix --see $(OUT)/$(TRAINED_IN)/clusters/,places.png k.png))

map-metrics := $(if $(word 2,$(granules)),$(maps:heatmap%=$(out)/seams%.parquet)) $(if $(NIGHT_LIGHTS),$(maps:heatmap%=$(out)/corr%.parquet) $(maps:heatmap%=$(out)/corr-details%.parquet))
metrics := $(if $(ORDERS),,$(trained)/clusters-k.parquet $(trained)/quality.parquet) $(trained)/health.parquet $(trained)/training.parquet $(map-metrics)
learnt := $(addprefix $(trained)/,$(if $(ORDERS),imported.parquet $(notdir $(imported-labels)),$(asked).parquet answers.parquet canaries.parquet) clusters.parquet pog.parquet raters.parquet $(notdir $(own-weights)) model.safetensors)
pictures := $(if $(ORDERS),,$(out)/quality.md) $(addprefix $(OUT)/$(TRAINED_IN)/,order.svg order.dot) $(maps:%=$(out)/%.png) $(maps:%=$(out)/%-colour.tif) $(if $(NIGHT_LIGHTS),$(maps:heatmap%=$(out)/viirs%.png))
ledger-of = $(work)/ledger/$1.json
learnt-ledger-of = $(trained)/ledger/$1.json
ledgers := $(foreach stage,fetch split $(if $(ORDERS),,classify),$(granules:%=$(call ledger-of,$(stage)-%))) \
  $(foreach stage,$(if $(ORDERS),import,cluster vote) aggregate $(if $(own-weights),pretrain) train,$(call learnt-ledger-of,$(stage))) \
  $(granules:%=$(call ledger-of,score-%)) $(maps:heatmap%=$(call ledger-of,map%)) $(if $(NIGHT_LIGHTS),$(maps:heatmap%=$(call ledger-of,corr%)))

# Scores that somebody published: no scene, tile or model.
ifdef PUBLISHED
choices :=
tiles :=
labels :=
learnt :=
metrics := $(map-metrics)
pictures := $(maps:%=$(out)/%.png) $(maps:%=$(out)/%-colour.tif) $(if $(NIGHT_LIGHTS),$(maps:heatmap%=$(out)/viirs%.png))
ledgers := $(call ledger-of,published) $(maps:heatmap%=$(call ledger-of,map%)) $(if $(NIGHT_LIGHTS),$(maps:heatmap%=$(call ledger-of,corr%)))
endif

# What changed since BEFORE: both areas must have been trained in one, or their scores are not of one scale.
earlier := $(if $(BEFORE),$(OUT)/$(BEFORE)/heatmap.tif)
changed := $(if $(BEFORE),$(out)/change.tif)
change-flags = --title $(call quote,$(TITLE) since $(BEFORE)) --credit $(call quote,$(CREDIT))
ifdef BEFORE
metrics += $(out)/change.parquet
pictures += $(out)/change.png $(changed)
ledgers += $(call ledger-of,change)
summary-flags += --see $(out)/change.png --see $(changed)
endif

# The report by county needs one map of all granules.
report := $(if $(COUNTIES),$(out)/report/index.html)
report-flags = --zones $(COUNTIES) --zones-crs $(COUNTIES_CRS) $(call each,zone-id,$(COUNTIES_ID)) $(call each,zone-name,$(COUNTIES_NAME)) \
  $(call each,zone-name-en,$(COUNTIES_NAME_EN)) $(call each,zone-part-of,$(COUNTIES_PART_OF)) --block-m $(BLOCK_M) $(call each,night-lights,$(NIGHT_LIGHTS)) \
  $(call each,population,$(POPULATION)) $(call each,change,$(changed)) $(if $(OFFICIAL),--official $(OFFICIAL) --official-key $(OFFICIAL_KEY) --official-value '$(OFFICIAL_VALUE)' --official-name '$(OFFICIAL_NAME)') \
  --title $(call quote,$(TITLE)) --credit $(call quote,$(CREDIT)$(if $(NIGHT_LIGHTS),; night light: $(NIGHT_LIGHTS_CREDIT))) $(call each,scores,$(scores)) $(call each,scenes,$(choices)) \
  $(if $(ORDERS)$(PUBLISHED),,--clusters $(trained)/clusters.parquet --sheets $(OUT)/$(TRAINED_IN)/clusters $(if $(PAIRS),,--votes $(trained)/votes.parquet)) $(if $(PUBLISHED),,--pog $(trained)/pog.parquet) --seed $(SEED) \
  $(if $(PUBLISHED)$(word 2,$(granules)),,--imagery $(granules:%=$(raw)/%.tif))
ifneq ($(report),)
supplied += $(COUNTIES) $(OFFICIAL) $(POPULATION)
metrics += $(out)/regions-metrics.parquet
pictures += $(report) $(out)/regions.parquet $(out)/regions.md $(out)/targeting.parquet
ledgers += $(call ledger-of,report)
summary-flags += --see $(report)
endif

# The map and the page say what the offline judge was trained on, and how far this ground lies from that.
judge-card := $(if $(filter local,$(JUDGE)),$(if $(ORDERS)$(PUBLISHED),,$(HEADS:.safetensors=.json)))
map-flags += $(call each,judge,$(judge-card)) $(if $(judge-card),$(if $(call same,$(TRAINED_IN),$(AOI)),$(call each,judge-ledger,$(granules:%=$(call ledger-of,classify-%)))))
summary-flags += $(call each,judge,$(judge-card))

define flags-file # folder, stage, flags
$1/flags/$2: $$(if $$(call same,$$(strip $3),$$(strip $$(file <$1/flags/$2))),,FORCE)
	@mkdir -p $$(@D) && printf '%s\n' $$(call quote,$$(strip $3)) > $$@
endef
keep-flags = $(eval $(call flags-file,$1,$2,$3))
$(foreach granule,$(granules),$(call keep-flags,$(work),fetch-$(granule),$$(fetch-flags) $$(item-$(granule))))
$(foreach stage,split classify score published map corr summary $(if $(BEFORE),change),$(call keep-flags,$(work),$(stage),$$($(stage)-flags)))
$(if $(report),$(call keep-flags,$(work),report,$$(report-flags)))
$(foreach stage,cluster import vote aggregate pretrain train,$(call keep-flags,$(trained),$(stage),$$($(stage)-flags)))

## Commands

help: ## this page
	@sed -nE 's/^([a-z%-]+):[^#]*## (.*)/\1                  \2/p; s/^## ?//p' Makefile | sed -E 's/^([^ ]*) {18,}/\1 @/' | awk -F @ 'NF > 1 { printf "%-18s %s\n", $$1, $$2; next } 1'
	@echo 'Areas: $(areas)'

demo: heatmap-accomack ## the map of the embedded scene, and a page about it
	@cat $(OUT)/accomack/summary.txt

## heatmap-AREA       the map of an area, such as heatmap-sichuan
$(areas:%=heatmap-%): heatmap-%: FORCE
	@$(MAKE) --no-print-directory AOI=$* map

map: $(supplied) $(out)/summary.txt ## the map of AOI

change: map ## the map of AOI, and what changed since BEFORE, the same ground in another area: map, picture, report
	@echo "$(out)/change.png"

scenes: $(granules:%=$(raw)/%.tif) ## the scenes of AOI, fetched and no more

serve: ## the page of AOI by county, at http://127.0.0.1:PORT
	@test -f $(out)/report/index.html || { echo "$(out)/report/index.html: want the page, found none; make AOI=$(AOI) map, for an area with COUNTIES" >&2; exit 1; }
	python3 -m http.server $(PORT) --bind 127.0.0.1 --directory $(out)/report

why: ## which prerequisite is newer than TARGET
	@$(if $(TARGET),,$(error name a file: make why TARGET=data/work/accomack/pog.parquet)) \
	$(MAKE) --no-print-directory -n --debug=basic AOI=$(target-area) BUILD= $(TARGET) 2>&1 \
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

bench-imagery: build ## fetch and split beside what people run instead, figures in OUT/bench
	@test -f $(PEERS)/README.md || { echo "$(PEERS): want the peers, found none; name their folder with PEERS=" >&2; exit 1; }
	scripts/install --bench
	cargo build --locked --release --workspace --examples
	python=$$(scripts/bench/setup) servers=$$(scripts/test-servers) && $$python scripts/bench/imagery.py \
	  --bin $(BIN) --peers $(PEERS) --servers $$servers --floor $(BIN)/examples/floor --work $(WORK)/bench --out $(OUT)/bench/imagery.json

bench-judges: build ## aggregation and judges beside what people run instead, figures in OUT/bench
	@test -f $(PEERS)/README.md || { echo "$(PEERS): want the peers, found none; name their folder with PEERS=" >&2; exit 1; }
	scripts/install --bench
	cargo build --locked --release --workspace --examples
	python=$$(scripts/bench/setup) servers=$$(scripts/test-servers) && $$python scripts/bench/judges.py \
	  --bin $(BIN) --peers $(PEERS) --reference $(REFERENCE_DATA) --servers $$servers --work $(WORK)/bench --out $(OUT)/bench/judges.json

bench-learning: build ## clustering, networks and the contest beside what people run instead, figures in OUT/bench
	@test -f $(PEERS)/README.md || { echo "$(PEERS): want the peers, found none; name their folder with PEERS=" >&2; exit 1; }
	scripts/install --bench
	cargo build --locked --release --workspace --examples
	python=$(or $(PYTHON),$$(scripts/bench/setup learning)) && $$python scripts/bench/learning.py \
	  --bin $(BIN) --peers $(PEERS) --reference $(REFERENCE_DATA) --work $(WORK)/bench --out $(OUT)/bench/learning.json

bench-maps: build ## maps, night light and zones beside what people run instead, figures in OUT/bench
	@test -f $(PEERS)/README.md || { echo "$(PEERS): want the peers, found none; name their folder with PEERS=" >&2; exit 1; }
	scripts/install --bench
	cargo build --locked --release --workspace --examples
	python=$(or $(PYTHON),$$(scripts/bench/setup maps)) && $$python scripts/bench/maps.py \
	  --bin $(BIN) --peers $(PEERS) --reference $(REFERENCE_DATA) --work $(WORK)/bench --out $(OUT)/bench/maps.json

# The kernel on an NVIDIA card: no part of the default build. PTX is made by clang alone.
bench-cuda: ## the fill of 1, 6 and 15 granules on this machine's NVIDIA card
	@ldconfig -p | grep -q 'libcuda\.so\.1 ' || { echo "libcuda.so.1: want the driver of an NVIDIA card, found none; \`make bench-maps\` times the same fill on the processor" >&2; exit 1; }
	scripts/kernels build
	$(BIN)/heatmap-fill-cuda bench

check-cuda: ## that the kernel's PTX is fresh and its program builds; needs no card, downloads what the default build does not
	scripts/kernels check
	scripts/kernels build

ifneq ($(BUILD),)
sources := Cargo.toml Cargo.lock $(shell find crates -name tests -prune -o -type f -print)
$(programs) &: $(sources)
	scripts/install
	cargo build --locked --release --workspace --bins && touch $(programs)
else
$(programs):
	@echo "$@: want this program, found none; make build" >&2; exit 1
endif

# Stages. Rules with several targets are patterns, over granules or areas, and not `&:`: one run makes all targets either way, but a
# dry run of make 4.3 forgets that a `&:` group was made, and would show half of the plan.

$(filter-out $(raw)/% $(work)/%,$(supplied)):
	@echo "$@: want this file, found none; data/aoi/README.md says what it is and where to get it" >&2; exit 1

$(raw)/%.tif $(if $(CLOUDS),$(raw)/%.scl.tif) $(raw)/%.scene.parquet $(work)/ledger/fetch-%.json: $(work)/flags/fetch-% $(SUPPLIED) $(WITHIN) $(if $(REFRESH),FORCE) | $(supplied) $(BIN)/s2-fetch
	$(BIN)/s2-fetch fetch --granule $* $(fetch-flags) $(call each,item,$(item-$*)) $(lock-flags) --ledger $(work)/ledger/fetch-$*.json --scene-out $(raw)/$*.scene.parquet --out $(raw)/$*.tif

$(work)/tiles/%.parquet $(work)/ledger/split-%.json: $(raw)/%.tif $(if $(CLOUDS),$(raw)/%.scl.tif) $(work)/flags/split | $(BIN)/granule-split-mpi
	$(if $(filter-out 1,$(RANKS)),$(MPIRUN) -np $(RANKS)) $(BIN)/granule-split-mpi --scene $< --granule $* $(split-flags) --ledger $(work)/ledger/split-$*.json --out $(work)/tiles/$*.parquet

$(work)/labels/%.parquet $(work)/ledger/classify-%.json: $(work)/tiles/%.parquet $(CLASS_PROMPT) $(judge-files) $(work)/flags/classify | $(BIN)/vlm-label
	$(BIN)/vlm-label classify --tiles $< $(call classify-flags,$(work)/answers/classify-$*.jsonl) --ledger $(work)/ledger/classify-$*.json --out $(work)/labels/$*.parquet

ifdef ORDERS
$(WORK)/%/imported.parquet $(if $(imported-labels),$(WORK)/%/imported-labels.parquet) $(WORK)/%/clusters.parquet $(WORK)/%/ledger/import.json: $(LABELLED) $(trained)/flags/import | $(BIN)/stage1-cluster
	$(BIN)/stage1-cluster import $(import-flags) --ledger $(trained)/ledger/import.json --tiles-out $(trained)/imported.parquet --out $(trained)/clusters.parquet
else
$(WORK)/%/clusters.parquet $(WORK)/%/clusters-k.parquet $(WORK)/%/ledger/cluster.json: $(tiles) $(labels) $(WEIGHTS) $(work)/flags/cluster | $(BIN)/stage1-cluster
	$(BIN)/stage1-cluster tiles $(cluster-flags) --sheets $(out)/clusters --metrics-out $(work)/clusters-k.parquet --ledger $(work)/ledger/cluster.json --out $(work)/clusters.parquet

$(WORK)/%/$(asked).parquet $(WORK)/%/answers.parquet $(WORK)/%/canaries.parquet $(WORK)/%/ledger/vote.json: $(work)/clusters.parquet $(tiles) $(vote-prompts) $(judge-files) $(work)/flags/vote | $(BIN)/vlm-label
	$(BIN)/vlm-label $(if $(PAIRS),pair,vote) --clusters $< $(call vote-flags,$(work)/answers/vote.jsonl) --answers-out $(work)/answers.parquet --canaries-out $(work)/canaries.parquet --ledger $(work)/ledger/vote.json --out $(work)/$(asked).parquet

$(WORK)/%/quality.parquet $(OUT)/%/quality.md: $(work)/$(asked).parquet $(work)/answers.parquet $(work)/canaries.parquet | $(BIN)/vlm-label
	$(BIN)/vlm-label quality --$(asked) $(work)/$(asked).parquet --answers $(work)/answers.parquet --canaries $(work)/canaries.parquet --page $(out)/quality.md --out $(work)/quality.parquet
endif

$(WORK)/%/pog.parquet $(WORK)/%/raters.parquet $(WORK)/%/health.parquet $(OUT)/%/order.svg $(OUT)/%/order.dot $(WORK)/%/ledger/aggregate.json: $(or $(ORDERS),$(work)/$(asked).parquet) $(ORDER_RATERS) $(trained)/clusters.parquet $(learn-tiles) $(trained)/flags/aggregate | $(BIN)/pog-aggregate
	$(BIN)/pog-aggregate $(aggregate-flags) --raters-out $(trained)/raters.parquet --health-out $(trained)/health.parquet --dot-out $(OUT)/$(TRAINED_IN)/order.dot --picture-out $(OUT)/$(TRAINED_IN)/order.svg --ledger $(trained)/ledger/aggregate.json --out $(trained)/pog.parquet

ifdef PRETRAIN_EPOCHS
$(WORK)/%/network.safetensors $(WORK)/%/network.jsonl $(WORK)/%/ledger/pretrain.json: $(learn-tiles) $(WEIGHTS) $(trained)/flags/pretrain | $(BIN)/stage1-cluster
	$(BIN)/stage1-cluster deepcluster $(pretrain-flags) --checkpoints $(trained)/checkpoints --log $(trained)/network.jsonl --ledger $(trained)/ledger/pretrain.json --out $(trained)/network.safetensors
endif

$(WORK)/%/model.safetensors $(WORK)/%/training.parquet $(WORK)/%/ledger/train.json: $(learn-tiles) $(imported-labels) $(trained)/clusters.parquet $(trained)/pog.parquet $(WEIGHTS) $(own-weights) $(trained)/flags/train | $(BIN)/stage3-train
	$(BIN)/stage3-train train $(train-flags) --clusters $(trained)/clusters.parquet --pog $(trained)/pog.parquet --checkpoints $(trained)/checkpoints --metrics-out $(trained)/training.parquet --ledger $(trained)/ledger/train.json --out $(trained)/model.safetensors

ifdef PUBLISHED
$(foreach granule,$(granules),$(WORK)/%/scores/$(granule).parquet) $(WORK)/%/ledger/published.json: $(PUBLISHED) $(PUBLISHED_FOOTPRINTS) $(work)/flags/published | $(BIN)/heatmap-stitch
	$(BIN)/heatmap-stitch published $(published-flags) --ledger $(call ledger-of,published) --out $(work)/scores
else
$(work)/scores/%.parquet $(work)/ledger/score-%.json: $(work)/tiles/%.parquet $(trained)/model.safetensors $(WEIGHTS) $(own-weights) $(work)/flags/score | $(BIN)/stage3-train
	$(BIN)/stage3-train score --tiles $< --model $(trained)/model.safetensors $(score-flags) --ledger $(work)/ledger/score-$*.json --out $(work)/scores/$*.parquet
endif

define map-rules # zone with its hyphen, or nothing; scores of the zone
$(OUT)/%/heatmap$1.tif $(OUT)/%/heatmap$1-colour.tif $(OUT)/%/heatmap$1.png $(OUT)/%/heatmap$1.qml $(if $(word 2,$2),$(OUT)/%/seams$1.parquet) $(WORK)/%/ledger/map$1.json: $2 $(work)/flags/map | $(BIN)/heatmap-stitch
	$(BIN)/heatmap-stitch map $(call each,scores,$2) $$(map-flags) --ledger $(call ledger-of,map$1) $(if $(word 2,$2),--seams-out $(out)/seams$1.parquet) --out-qml $(out)/heatmap$1.qml --out-png $(out)/heatmap$1.png --out-colour $(out)/heatmap$1-colour.tif --out $(out)/heatmap$1.tif

$(OUT)/%/corr$1.parquet $(OUT)/%/corr-details$1.parquet $(if $(word 2,$2),$(OUT)/%/granules$1.md $(OUT)/%/granules$1.csv) $(OUT)/%/viirs$1.png $(WORK)/%/ledger/corr$1.json: $(out)/heatmap$1.tif $2 $(NIGHT_LIGHTS) $(corr-rasters) $(work)/flags/corr | $(BIN)/viirs-corr
	$(BIN)/viirs-corr --heatmap $(out)/heatmap$1.tif --night-lights $(NIGHT_LIGHTS) $(if $(word 2,$2),$(call each,scores,$2) --table-out $(out)/granules$1.md --table-out $(out)/granules$1.csv) $$(corr-flags) --ledger $(call ledger-of,corr$1) --details-out $(out)/corr-details$1.parquet --out-png $(out)/viirs$1.png --out $(out)/corr$1.parquet
endef
$(foreach zone,$(ZONES),$(eval $(call map-rules,-$(zone),$(filter $(work)/scores/$(zone)%,$(scores)))))
$(if $(filter heatmap,$(maps)),$(eval $(call map-rules,,$(scores))))

ifneq ($(report),)
$(OUT)/%/report/index.html $(OUT)/%/regions.parquet $(OUT)/%/regions.md $(OUT)/%/regions-metrics.parquet $(OUT)/%/targeting.parquet $(WORK)/%/ledger/report.json: $(out)/heatmap.tif $(changed) $(COUNTIES) $(OFFICIAL) $(POPULATION) $(NIGHT_LIGHTS) $(scores) $(choices) $(if $(PUBLISHED),,$(trained)/pog.parquet) $(if $(ORDERS)$(PUBLISHED),,$(trained)/clusters.parquet) $(work)/flags/report | $(BIN)/region-report
	maplibre=$$(scripts/page-tools) && $(BIN)/region-report report --heatmap $(out)/heatmap.tif $(report-flags) $${maplibre:+--maplibre $$maplibre} --page $(out)/report --metrics-out $(out)/regions-metrics.parquet --targeting-out $(out)/targeting.parquet --out-md $(out)/regions.md --ledger $(call ledger-of,report) --out $(out)/regions.parquet
endif

ifdef BEFORE
# The earlier area, then the later one: one after the other, as both may train the same model.
$(earlier): $(out)/heatmap.tif FORCE
	@$(MAKE) --no-print-directory AOI=$(BEFORE) BEFORE= COUNTIES= map

$(OUT)/%/change.tif $(OUT)/%/change.png $(OUT)/%/change.parquet $(WORK)/%/ledger/change.json: $(out)/heatmap.tif $(earlier) $(work)/flags/change | $(BIN)/heatmap-stitch
	$(BIN)/heatmap-stitch change --before $(earlier) --after $(out)/heatmap.tif $(change-flags) --ledger $(call ledger-of,change) --metrics-out $(out)/change.parquet --out-png $(out)/change.png --out $(out)/change.tif
endif

# All results are named here, or Make would take some for scratch files and delete them. What others read comes first, for dry runs.
$(out)/summary.txt: $(if $(CLOUDS),$(granules:%=$(raw)/%.scl.tif)) $(scores) $(maps:%=$(out)/%.tif) $(metrics) $(tiles) $(if $(ORDERS),,$(labels)) $(choices) $(learnt) $(pictures) $(ledgers) $(work)/flags/summary | $(BIN)/heatmap-stitch
	$(BIN)/heatmap-stitch summary $(summary-flags) --out $@ > /dev/null
