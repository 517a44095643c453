# The demo's bundle, from simulated players alone. It is committed: make casino-bundle is for who changes its features.
casino := examples/casino

.PHONY: casino-bundle
casino-bundle: build venv ## Build the demo's bundle again (about 10 minutes).
	rm -rf $(casino)/out && mkdir -p $(casino)/out
	./pitboss keys new --tenant demo --alias-keys $(casino)/out/alias-keys.yaml --master-key $(casino)/out/master.key
	./pitboss sim --seed 41 --players 300 --duration 672h --only --agent metronome_bot=0.03,bonus_ring=0.15 --out $(casino)/out/events.jsonl
	./pitboss features eval -c $(casino)/config.yaml --in-order --set $(casino)/features.yaml \
	  --source $(casino)/out/events.jsonl --out $(casino)/out/vectors.parquet
	$(cache)/venv/bin/python $(casino)/labels.py $(casino)/out/events.jsonl $(casino)/out/labels.csv
	rm -rf $(casino)/bundle
	$(cache)/venv/bin/python train/train.py --vectors $(casino)/out/vectors.parquet --labels $(casino)/out/labels.csv \
	  --feature-set $(casino)/features.yaml --reasons $(casino)/reasons.yaml --policy $(casino)/thresholds.yaml --name casino --version 1 \
	  --trees 200 --leaves 31 --params learning_rate=0.04,min_data_in_leaf=30 --out $(casino)/bundle
	rm -rf $(casino)/out
