# Long jobs: what finds the rare thing by doing the same many times. Each job is a pair of targets, slice-JOB (seeded,
# minutes, part of .ci/run) and long-JOB (as long as you like). A job takes its size and seed from the environment, and a
# test that reads them prints both:
#   PITBOSS_SEED    where its randomness starts (make sets it from SEED)
#   PITBOSS_ROUNDS  how many rounds it runs; each test has a small default for go test ./...
# A job without its rules here makes long and long-slice fail: nothing passes by being left out.
# By name: TestCrash... kills (a process, a disk, a broker) and compares; TestProperty... holds a law on random input;
# TestInterleave... plays the same events in other orders, by many callers, and changes what must not matter.
JOBS := crash property interleave demo-replay skew

##@ Long jobs

.PHONY: long long-slice
long: $(JOBS:%=long-%) ## All long jobs at full length (about 3 hours on two cores; ROUNDS=2000 SEEDS=6 INTERLEAVE_ROUNDS=200 EVENTS=1000000).
long-slice: $(JOBS:%=slice-%) ## A seeded slice of each, as .ci/run does it.

ROUNDS ?= 2000
SEEDS ?= 6
INTERLEAVE_ROUNDS ?= 200
with_crash = $(shell scripts/packages-with.sh TestCrash)
with_property = $(shell scripts/packages-with.sh TestProperty)
with_interleave = $(shell scripts/packages-with.sh TestInterleave)

# many ROUNDS SEEDS PATTERN PACKAGES: a run for each seed from SEED on. No package is an error, not a success.
define many
	@[ -n "$(strip $(4))" ] || { echo "no package has a test called $(3)..."; exit 1; }
	@for seed in $$(seq $(SEED) $$(($(SEED) + $(2) - 1))); do \
	  echo "== $(3)... with PITBOSS_SEED=$$seed PITBOSS_ROUNDS=$(1)"; \
	  PITBOSS_SEED=$$seed PITBOSS_ROUNDS=$(1) scripts/gotest.sh -timeout 12h -run '^$(3)' $(4) || exit 1; \
	done
endef

.PHONY: slice-crash long-crash slice-property long-property
slice-crash: ## 20 rounds of every crash test.
	$(call many,20,1,TestCrash,$(with_crash))
long-crash:
	$(call many,$(ROUNDS),1,TestCrash,$(with_crash))
slice-property: ## 3 seeds of every property test.
	$(call many,200,3,TestProperty,$(with_property))
long-property:
	$(call many,$(ROUNDS),$(SEEDS),TestProperty,$(with_property))

# The callers of a round run at once, so that a seed gives the same events and not the same order.
.PHONY: slice-interleave long-interleave
slice-interleave: ## 15 rounds of every test in which the same events come in other ways.
	$(call many,15,1,TestInterleave,$(with_interleave))
long-interleave:
	$(call many,$(INTERLEAVE_ROUNDS),1,TestInterleave,$(with_interleave))

# EVENTS is how many the long one decides about.
EVENTS ?= 1000000
.PHONY: slice-demo-replay long-demo-replay
slice-demo-replay: ## 20,000 events of the demo, live: every decision and every vector made again to the byte.
	scripts/demo-replay.sh demo 20000
long-demo-replay: ## A million events through batch (EVENTS=1000000), and every decision and vector made again.
	scripts/demo-replay.sh batch $(EVENTS)

.PHONY: slice-skew long-skew
slice-skew: ## 50,000 simulated events: vectors served, exported and evaluated again are the same bytes.
	scripts/skew.sh 50000
long-skew: ## A million (EVENTS=1000000).
	scripts/skew.sh $(EVENTS)
