# make help lists the targets. Nothing here is needed to build or to run: go build ./cmd/pitboss does that.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

root := $(CURDIR)
cache := $(root)/.cache
# The pinned tools come first, whatever else is installed.
export PATH := $(cache)/bin:$(PATH)
GO ?= go

# Random tests take their seed from here; each prints the one it used. It differs from commit to commit, and is the same
# for one commit.
SEED ?= $(shell git rev-list --count HEAD 2>/dev/null || echo 1)
export PITBOSS_SEED := $(SEED)

# Packages that start goroutines, in their code or in their tests: those that the race detector has to see.
racing = $(shell scripts/packages-with.sh goroutines)
# Packages whose tests talk to a real Kafka when PITBOSS_KAFKA names one.
with_kafka = $(shell scripts/packages-with.sh kafka)
# Packages whose tests run ONNX Runtime when PITBOSS_ONNXRUNTIME names its shared library.
with_onnxruntime = $(shell scripts/packages-with.sh onnxruntime)

.PHONY: help
help: ## This list.
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } /^[a-z0-9-]+:.*## / { printf "  %-20s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

##@ Build and test

.PHONY: build
build: ## The binary, into ./pitboss.
	$(GO) build -trimpath -o pitboss ./cmd/pitboss

.PHONY: test
test: ## All tests that need Go alone.
	$(GO) test ./...

.PHONY: race
race: ## The tests of every package with goroutines, under the race detector (needs a C compiler).
	@[ -n "$(racing)" ] || { echo "no package starts goroutines"; exit 1; }
	CGO_ENABLED=1 scripts/gotest.sh -race -timeout 15m $(racing)

# What a record holds has the same bits whatever the compiler and the processor may use. v3 needs a processor of the last ten years.
.PHONY: test-bits
test-bits: ## Goldens and old records, compiled for GOAMD64=v1 and v3, and without fused multiply-add (cpu.fma=off).
	for level in v1 v3; do GOAMD64=$$level scripts/gotest.sh $(same_bits); done
	GODEBUG=cpu.fma=off scripts/gotest.sh $(same_bits)
same_bits := -run 'Bits|Equals|Golden|EveryVersion|ElementaryFunctions' ./floats ./models ./features/tiles ./registry ./audit

# The only tests that need a processor with AVX-512; elsewhere an emulator of one runs them (Debian, as root or with Bochs installed).
.PHONY: test-avx512
test-avx512: ## The AVX-512 kernel's bits: on this processor, or in an emulator (three minutes of processor time; the kernel of Linux once).
	scripts/avx512.sh

.PHONY: cover
cover: ## Test coverage for each package, and the whole in .cache/cover.html.
	mkdir -p $(cache)
	$(GO) test -coverprofile=$(cache)/cover.out -coverpkg=./... ./...
	$(GO) tool cover -html=$(cache)/cover.out -o $(cache)/cover.html
	$(GO) tool cover -func=$(cache)/cover.out | tail -n 1

# For each fuzz target: FUZZTIME=30s long, PKG=./journal one package only.
FUZZTIME ?= 30s
PKG ?= ./...
.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZTIME (30s each).
	scripts/fuzz.sh $(FUZZTIME) $(PKG)

# BENCH selects, COUNT repeats; keep .cache/bench.txt of before and compare: make bench-compare OLD=before.txt.
BENCH ?= .
COUNT ?= 6
.PHONY: bench
bench: ## Go benchmarks (BENCH=regexp COUNT=6 PKG=./...), into .cache/bench.txt.
	mkdir -p $(cache)
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) $(PKG) | tee $(cache)/bench.txt

.PHONY: bench-compare
bench-compare: ## Compare OLD=file with .cache/bench.txt.
	scripts/tools.sh benchstat
	benchstat '$(OLD)' $(cache)/bench.txt

# ROUNDS_OF_MODELS rounds (10) over 4,096 rows; about five minutes on a quiet machine, and ten more the first time.
.PHONY: bench-models
bench-models: ## The model engine beside LightGBM, XGBoost, onnxruntime and leaves: one table, into .cache/rivals/table.md.
	scripts/rivals.sh $(or $(ROUNDS_OF_MODELS),10)

.PHONY: bench-sim
bench-sim: build ## A casino of 20,000 players for 14 days, to nowhere: events, time and memory (47 million events; 7 minutes on a quiet core).
	GOMAXPROCS=1 ./pitboss sim --players 20000 --duration 336h --out /dev/null

##@ Check

.PHONY: check
check: check-fmt check-vet check-arch check-proto check-gen check-text check-scripts ## All that is quick: format, vet, import table, generated code, forbidden text.

.PHONY: check-fmt
check-fmt:
	@bad=$$(gofmt -l $$(git ls-files -co --exclude-standard -- '*.go')); \
	  [ -z "$$bad" ] || { echo "not formatted (gofmt -w them):"; echo "$$bad"; exit 1; }

# samebits: no floating point in a record's way whose bits depend on the machine (tools/samebits).
.PHONY: check-vet
check-vet:
	$(GO) vet ./...
	$(GO) -C tools vet ./... && $(GO) -C tools test ./...
	$(GO) -C tools build -o $(cache)/bin/samebits ./samebits
	$(GO) vet -vettool=$(cache)/bin/samebits ./...

.PHONY: check-arch
check-arch:
	scripts/gotest.sh -run 'TestImportTable|TestModule|TestDependencies|TestSourceStyle' ./cmd/pitboss

.PHONY: check-proto
check-proto:
	scripts/tools.sh buf
	buf lint
	buf format --diff --exit-code

.PHONY: check-gen
check-gen:
	scripts/gen.sh --check

.PHONY: check-text
check-text:
	scripts/check-text.sh

# shellcheck is not installed for this: where it is there, it is used.
.PHONY: check-scripts
check-scripts:
	@for script in scripts/*.sh .ci/run; do bash -n "$$script" || exit 1; done
	@if command -v shellcheck >/dev/null; then shellcheck scripts/*.sh .ci/run; else echo "no shellcheck here: the scripts were only parsed"; fi

.PHONY: lint
lint: ## golangci-lint, everything on but what .golangci.yml gives a reason for.
	scripts/tools.sh golangci-lint
	golangci-lint config verify
	golangci-lint run ./...

.PHONY: fmt
fmt: ## Format Go (imports in three groups) and .proto files.
	scripts/tools.sh golangci-lint buf
	golangci-lint fmt ./...
	buf format --write

##@ Generate and rename

.PHONY: gen
gen: ## Generated code and docs/events.md, from the .proto files; the vector kernels of models.
	scripts/gen.sh

# Compares with AGAINST, another state of the repository: make breaking AGAINST='.git#tag=v1.0.0'
AGAINST ?= .git\#ref=HEAD
.PHONY: breaking
breaking: ## Does a change of the .proto files break who speaks or stored the old ones?
	scripts/tools.sh buf
	buf breaking --against '$(AGAINST)'

.PHONY: rename-module
rename-module: ## Give the module another path: make rename-module MODULE=example.com/you/pitboss
	@[ -n "$(MODULE)" ] || { echo "say which: make rename-module MODULE=example.com/you/pitboss"; exit 1; }
	$(GO) run scripts/rename_module.go '$(MODULE)'
	scripts/gen.sh
	gofmt -w $$(git ls-files -co --exclude-standard -- '*.go' 2>/dev/null || find . -name '*.go' -not -path './.cache/*')
	$(GO) build ./...
	$(GO) vet ./...

.PHONY: test-rename-module
test-rename-module: ## Rename a copy and back again: it builds, and the second time nothing has changed.
	scripts/test-rename-module.sh

##@ Real Kafka, ONNX Runtime, Python

.PHONY: kafka-start kafka-stop kafka-wipe
kafka-start: ## A real Kafka on loopback (Java; Maven the first time); prints its address.
	@scripts/kafka.sh start
kafka-stop: ## Stop it; its data stays.
	@scripts/kafka.sh stop
kafka-wipe: ## Stop it and drop its data.
	@scripts/kafka.sh wipe

# Own broker, own data: what a developer has in the default one is left alone. A test that has no Kafka here fails.
.PHONY: test-kafka
test-kafka: ## The tests against a real Kafka, with a broker of their own.
	@[ -n "$(with_kafka)" ] || { echo "no test names PITBOSS_KAFKA"; exit 1; }
	export KAFKA_DATA=$(cache)/kafka/test; \
	  trap 'scripts/kafka.sh wipe' EXIT; \
	  scripts/kafka.sh wipe; \
	  address=$$(scripts/kafka.sh start); \
	  PITBOSS_KAFKA=$$address PITBOSS_REQUIRE_KAFKA=1 scripts/gotest.sh --no-skips -timeout 10m -run Kafka $(with_kafka)

.PHONY: test-registry
test-registry: ## The tests against a real schema registry (Apicurio), which is started and stopped (Java; Maven the first time).
	@trap 'scripts/registry.sh stop' EXIT; \
	  url=$$(scripts/registry.sh start); \
	  PITBOSS_REGISTRY=$$url PITBOSS_REQUIRE_REGISTRY=1 scripts/gotest.sh --no-skips -timeout 5m -run 'TestRegistry$$' ./features/wire

.PHONY: onnxruntime test-onnxruntime
onnxruntime: ## The shared library of ONNX Runtime, into .cache/onnxruntime (Python fetches it); prints where it lies.
	@scripts/onnxruntime.sh

# A test that has no library here fails, and so does a build without cgo.
test-onnxruntime: ## The tests that run ONNX Runtime, with the library that make onnxruntime fetches (needs a C compiler).
	@[ -n "$(with_onnxruntime)" ] || { echo "no test asks for ONNX Runtime"; exit 1; }
	export CGO_ENABLED=1 PITBOSS_REQUIRE_ONNXRUNTIME=1 PITBOSS_ONNXRUNTIME; \
	  PITBOSS_ONNXRUNTIME=$$(scripts/onnxruntime.sh); \
	  scripts/gotest.sh --no-skips -timeout 5m -run ONNX $(with_onnxruntime); \
	  scripts/gotest.sh --no-skips -race -timeout 10m -run ONNX ./models/onnxruntime; \
	  unset PITBOSS_REQUIRE_ONNXRUNTIME PITBOSS_ONNXRUNTIME; export CGO_ENABLED=0; \
	  $(GO) build ./... && $(GO) test ./models/onnxruntime

.PHONY: venv
venv: ## Python's packages, as pinned in train/requirements.txt, into .cache/venv.
	scripts/venv.sh

.PHONY: test-python
test-python: venv ## The training script's tests, that the committed goldens are what it writes, and that pandas reads what we export.
	$(GO) build -trimpath -o $(cache)/bin/pitboss ./cmd/pitboss
	PITBOSS=$(cache)/bin/pitboss $(cache)/venv/bin/python -m pytest -q -p no:cacheprovider --ignore train/feast train

.PHONY: test-feast
test-feast: ## Feast's own client reads features from a running pitboss (its packages, 600 MB, into .cache/venv-feast).
	scripts/venv.sh venv-feast train/feast/requirements.txt
	$(GO) build -trimpath -o $(cache)/bin/pitboss ./cmd/pitboss
	PITBOSS=$(cache)/bin/pitboss $(cache)/venv-feast/bin/python -m pytest -q -p no:cacheprovider train/feast

include long.mk
include examples/cards/cards.mk examples/casino/casino.mk

.PHONY: clean
clean: ## Drop .cache and what was built (Kafka is stopped first).
	scripts/kafka.sh stop
	scripts/registry.sh stop
	rm -rf $(cache) pitboss
