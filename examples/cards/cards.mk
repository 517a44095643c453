# The example of examples/cards: make cards. Each step is done again when what it is made from has changed.
# CARDS_DATA is the data set, which is not ours to ship (examples/cards/README.md says where it comes from).
CARDS_DATA ?= $(or $(PITBOSS_SHARED),$(root)/../shared/data)/cards/2018-04_to_07.parquet
cards := examples/cards
cards_python := $(cache)/venv/bin/python

.PHONY: cards cards-bundle cards-compare cards-exact cards-figures cards-clean
cards: cards-compare cards-exact cards-figures ## The card payments: vectors, comparison, bundle, decisions, figures (about 10 minutes).

$(CARDS_DATA):
	@echo "the data set $(CARDS_DATA) is absent: set CARDS_DATA=FILE (examples/cards/README.md)"; exit 1

# The vectors of all payments, by the engine that serves.
$(cards)/out/vectors.parquet: $(CARDS_DATA) $(cards)/features.yaml $(cards)/map.yaml $(cards)/config.yaml | build
	mkdir -p $(cards)/out
	./pitboss features eval --kind terminal --set $(cards)/features.yaml --source $(CARDS_DATA) --map $(cards)/map.yaml --out $@

# Trained on payments to 23 June, whose labels were all known by 30 June. Thresholds and calibration are those of a model trained
# to 16 June on the payments of 17 to 23 June, which it had not seen; the bundle's is then trained on these too.
$(cards)/bundle/bundle.yaml: $(cards)/out/vectors.parquet $(cards)/reasons.yaml train/train.py | venv
	rm -rf $(cards)/bundle
	$(cards_python) train/train.py --vectors $< --label-column TX_FRAUD --feature-set $(cards)/features.yaml \
	  --reasons $(cards)/reasons.yaml --name cards --version 1 --train-before 2018-06-17 --valid-before 2018-06-24 --refit \
	  --trees 200 --leaves 31 --params learning_rate=0.03,min_data_in_leaf=100 --out $(cards)/bundle

cards-bundle: $(cards)/bundle/bundle.yaml ## The bundle of the card payments (never committed: the data is not ours).

# Every payment once, in order of time, with its label a week later; July's are what is measured.
$(cards)/out/decisions.jsonl: $(cards)/bundle/bundle.yaml $(cards)/config.yaml $(cards)/map.yaml | build
	rm -rf $(cards)/out/data $(cards)/out/*key*
	./pitboss keys new --tenant cards --alias-keys $(cards)/out/alias-keys.yaml --master-key $(cards)/out/master.key
	./pitboss batch --config $(cards)/config.yaml --explain none --source $(CARDS_DATA) --map $(cards)/map.yaml --out $@

cards-compare: $(cards)/out/vectors.parquet | venv ## Each published column against ours: the share of equal rows, and why the rest differ.
	$(cards_python) $(cards)/compare.py --vectors $< --source $(CARDS_DATA)

# The same windows in exact mode, with the status of each value.
$(cards)/out/exact.parquet: $(CARDS_DATA) $(cards)/exact.yaml $(cards)/map.yaml | build
	mkdir -p $(cards)/out
	./pitboss features eval --kind terminal --set $(cards)/exact.yaml --source $(CARDS_DATA) --map $(cards)/map.yaml --status --out $@

cards-exact: $(cards)/out/exact.parquet | venv ## Each published column against ours in exact mode: all rows equal but 17, whose published order is arbitrary.
	$(cards_python) $(cards)/exact.py --vectors $< --source $(CARDS_DATA)

cards-figures: $(cards)/out/vectors.parquet $(cards)/out/decisions.jsonl | venv ## AP, AUC and CP@100 of July's decisions, beside LightGBM on the published columns.
	$(cards_python) $(cards)/protocol.py --vectors $< --decisions $(cards)/out/decisions.jsonl --bundle $(cards)/bundle --source $(CARDS_DATA)

cards-clean: ## Drop what make cards made.
	rm -rf $(cards)/out $(cards)/bundle
