package registry_test

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitboss/features"
	"pitboss/models"
	"pitboss/registry"
)

const tiny = "testdata/tiny"

func config(t testing.TB) registry.Config {
	t.Helper()
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	return registry.Config{Kinds: kinds}
}

// copyTiny copies the tiny bundle into a directory of its own.
func copyTiny(t testing.TB) string {
	t.Helper()
	return copyOf(t, tiny)
}

func copyOf(t testing.TB, bundle string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(bundle)); err != nil {
		t.Fatal(err)
	}
	return dir
}

func read(t testing.TB, dir, file string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func write(t testing.TB, dir, file, text string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, file), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// edited copies the tiny bundle with before replaced by after in a file, and lists the file anew in the manifest, so that
// nothing but the change itself can be wrong.
func edited(t testing.TB, file, before, after string) string {
	t.Helper()
	return editedOf(t, tiny, file, before, after)
}

// editedOf does so with a copy of another bundle.
func editedOf(t testing.TB, bundle, file, before, after string) string {
	t.Helper()
	dir := copyOf(t, bundle)
	text := read(t, dir, file)
	if !strings.Contains(text, before) {
		t.Fatalf("%s does not contain %q", file, before)
	}
	text = strings.Replace(text, before, after, 1)
	write(t, dir, file, text)
	if file != registry.ManifestName {
		line := regexp.MustCompile(`- \{name: ` + regexp.QuoteMeta(file) + `, .*`)
		listed := fmt.Sprintf(`- {name: %s, size: %d, sha256: "%x"}`, file, len(text), sha256.Sum256([]byte(text)))
		write(t, dir, registry.ManifestName, line.ReplaceAllString(read(t, dir, registry.ManifestName), listed))
	}
	return dir
}

func TestLoad(t *testing.T) {
	b, err := registry.Load(tiny, config(t))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := b.Hash, sha256.Sum256([]byte(read(t, tiny, registry.ManifestName))); got != want {
		t.Errorf("hash is %x, want that of bundle.yaml, %x", got, want)
	}
	if b.Name != "tiny" || b.Version != "1" || b.Ref.BundleHash != fmt.Sprintf("%x", b.Hash) {
		t.Errorf("loaded %q %q, ref %v", b.Name, b.Version, b.Ref)
	}
	if !b.Leaves.Served || b.Leaves.Rows != 24 {
		t.Errorf("the independent check says %+v", b.Leaves)
	}
	// The model's columns are in another order than the set, and the set has a feature that the model does not use.
	model := b.Model.Info().FeatureNames()
	if len(b.Set.Features) != len(model)+1 {
		t.Errorf("the set has %d features, the model %d", len(b.Set.Features), len(model))
	}
	for i, at := range b.Columns {
		if got := b.Set.Features[at].Name; got != model[i] {
			t.Errorf("column %d is mapped to %q, want %q", i, got, model[i])
		}
	}
	vector, row := make([]float64, len(b.Set.Features)), make([]float64, len(model))
	for i := range vector {
		vector[i] = float64(i)
	}
	b.Row(vector, row)
	if diff := cmp.Diff([]float64{2, 0, 1, 3, 4, 5, 6, 7, 8, 9}, row); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"vip", "default"}, b.Policy.Segments()); diff != "" {
		t.Errorf("segments (-want +got):\n%s", diff)
	}
}

// What is wrong inside a file whose hash is right.
func TestLoadRefuses(t *testing.T) {
	for _, test := range []struct{ file, old, new, want string }{
		// bundle.yaml
		{"bundle.yaml", "format: 1", "format: 2", `cannot read "bundle.yaml": format is 2; this program reads 1`},
		{"bundle.yaml", "name: tiny", "name: Tiny", `name: "Tiny" must match`},
		{"bundle.yaml", `version: "1"`, `version: "../1"`, `version: "../1" must match`},
		{"bundle.yaml", "format: lightgbm}", "format: catboost}", `model.format: "catboost" is not one of lightgbm, xgboost, onnx`},
		{"bundle.yaml", "features: {file: features.yaml}", "features: {file: ../features.yaml}", `features.file: "../features.yaml" is not a plain file name`},
		{"bundle.yaml", "features: {file: features.yaml}", "features: {file: /etc/passwd}", `is not a plain file name`},
		{"bundle.yaml", "features: {file: features.yaml}", "features: {file: .hidden}", `is not a plain file name`},
		{"bundle.yaml", "features: {file: features.yaml}", "features: {file: bundle.yaml}", `is not a plain file name`},
		{"bundle.yaml", "features: {file: features.yaml}", "features: {file: model.txt}", `features.file: "model.txt" plays another part already`},
		{"bundle.yaml", "rows: 24", "rows: 0", `golden.rows: 0 is not 1 to 256`},
		{"bundle.yaml", "rows: 24", "rows: 23", `more rows than the 23 that bundle.yaml says`},
		{"bundle.yaml", "rows: 24", "rows: 25", `24 rows; bundle.yaml says 25`},
		{"bundle.yaml", "rows: 24}", "rows: 24, extra: 1}", `unknown field "extra"`},
		{"bundle.yaml", "name: tiny\n", "name: tiny\nname: tiny\n", `already defined`},
		{"bundle.yaml", "name: tiny\n", "name: &a tiny\n", `[2:7] anchors (&), aliases (*), merge keys (<<) and tags (!) are not read`},
		{"bundle.yaml", "seed: 7", "seed: [[[[[[[[[[[[[[[[[7]]]]]]]]]]]]]]]]]", `nested deeper than 16`},
		{"bundle.yaml", "seed: 7", "seed:\n    - - - - - - - - - - - - - - - - - 7", `nested deeper than 16`},
		{"bundle.yaml", "files:\n", "files:\n  - {name: model.txt, size: 71215, sha256: \"00\"}\n", `files: must be sorted by name`},
		{"bundle.yaml", "{name: golden.csv, size: 8300", "{name: golden.csv, size: 8301", `"golden.csv" has 8300 bytes; bundle.yaml says 8301`},
		{"bundle.yaml", "{name: golden.csv, size: 8300", "{name: golden.csv, size: 8299", `"golden.csv" has 8300 bytes; bundle.yaml says 8299: it changed since the bundle was built`},
		{"bundle.yaml", "size: 71215", "size: 1000000000000", `files[3] "model.txt": size 1000000000000 is not 0 to`},
		{"bundle.yaml", `sha256: "a`, `sha256: "A`, `is not 64 hex digits in lower case`},
		{"bundle.yaml", `sha256: "a`, `sha256: "b`, `"golden.csv" has the SHA-256 a0`},
		{"bundle.yaml", "libraries:", "--- \nlibraries:", `more than one document`},
		// features.yaml and model.txt
		{"features.yaml", "  - {name: ip_bets_1h,", "  - {name: ip_bets_2h,", `the model wants features that the feature set does not have: "ip_bets_1h"`},
		{"features.yaml", "version", "verzion", "verzion"},
		{"model.txt", "tree\n", "forest\n", `cannot read "model.txt"`},
		{"model.txt", "\nleaf_value=-1.", "\nleaf_value=-2.", `golden row 1: `},
		// calibration.json
		{"calibration.json", `"a": 0.9`, `"a": 0.8`, `golden row 1: score is`},
		{"calibration.json", `"kind": "platt"`, `"kind": "magic"`, `cannot read "calibration.json"`},
		// thresholds.yaml
		{"thresholds.yaml", "format: 1", "format: 9", `cannot read "thresholds.yaml": format is 9`},
		{"thresholds.yaml", "  - name: default", "  - name: rest", `segments[1] "rest": the last segment, and no other, must be named default`},
		{"thresholds.yaml", "    match: {brand: [acme-vip]}\n", "", `segments[0] "vip": every segment but default needs a match`},
		{"thresholds.yaml", "match: {brand: [acme-vip]}", "match: {brand: []}", `match.brand: 0 values; needs 1 to 256`},
		{"thresholds.yaml", "match: {brand: [acme-vip]}", "match: {brand: [1.5]}", `match.brand: 1.5 (float64) is not a text, an integer or a truth value`},
		{"thresholds.yaml", "match: {brand: [acme-vip]}", `match: {"br and": x}`, `match.br and: not a field's name`},
		{"thresholds.yaml", "{challenge: 0.9, block: 0.99}", "{challenge: 0.9, block: 0.8}", `thresholds: block at 0.8 is below challenge at 0.9`},
		{"thresholds.yaml", "{challenge: 0.9, block: 0.99}", "{challenge: 0}", `thresholds: challenge: 0 is not in (0, 1]`},
		{"thresholds.yaml", "{challenge: 0.9, block: 0.99}", "{challenge: .nan}", `thresholds: challenge: NaN is not in (0, 1]`},
		{"thresholds.yaml", "{challenge: 0.9, block: 0.99}", "{allow: 0.5}", `thresholds: "allow" is not one of challenge, limit, hold, block`},
		{"thresholds.yaml", "{challenge: 0.9, block: 0.99}", "{}", `thresholds: at least one is needed`},
		{"thresholds.yaml", "{medium: 0.3, high: 0.6, severe: 0.9}", "{medium: 0.3, high: 0.2}", `risk_levels: high at 0.2 is below medium at 0.3`},
		{"thresholds.yaml", "review_from: 0.25", "review_from: 2", `review_from: 2 is not in (0, 1]`},
		{"thresholds.yaml", "type: step_up", "type: shout", `reactions.challenge[0].type: "shout" is not one of`},
		{"thresholds.yaml", "scope: session, ttl: 15m", "scope: sessions, ttl: 15m", `reactions.challenge[0].scope: no entity kind is named "sessions"`},
		{"thresholds.yaml", ", ttl: 15m", "", `reactions.challenge[0].ttl: needed: a reaction that can be lifted must end by itself`},
		{"thresholds.yaml", "ttl: 15m", "ttl: 900h", `ttl: "900h" is not whole seconds from 1s to 720h0m0s`},
		{"thresholds.yaml", "ttl: 15m", "ttl: soon", `ttl: "soon" is not a duration`},
		{"thresholds.yaml", "effect: allow", "effect: maybe", `lists.trusted: effect: "maybe" is not allow or block`},
		{"thresholds.yaml", "effect: allow", "effect: allow\n    overridable: true", `lists.trusted: overridable: only a block list has it`},
		{"thresholds.yaml", "code: TRUSTED", "code: trusted", `lists.trusted: code: "trusted" must match`},
		{"thresholds.yaml", "large_from: 10000, ", "", `fallback.default.large_from: needed`},
		{"thresholds.yaml", "large: {outcome: hold, review: true}}\n  types", "large: {outcome: lock}}\n  types", `fallback.default.large.outcome: "lock" is not an outcome`},
		{"thresholds.yaml", "small: {outcome: allow, review: true}", "small: {outcome: block}", `fallback.default: large must not be milder than small`},
		{"thresholds.yaml", "payment.withdrawal_requested", "Withdrawal", `fallback.types: "Withdrawal" is not an event type`},
		// reasons.yaml
		{"reasons.yaml", "code: GAME_CHOICE", "code: BET_VELOCITY", `reasons[2] "BET_VELOCITY": code is used twice`},
		{"reasons.yaml", "code: GAME_CHOICE", "code: GAME_MISSING", `code must match`},
		{"reasons.yaml", "features: [games_24h]", "features: [games_24h, bets_1h]", `features: "bets_1h" is in reason "BET_VELOCITY" already`},
		{"reasons.yaml", "features: [games_24h]", "features: [games_24h, unused_by_the_model]", `features: the model has no "unused_by_the_model"`},
		{"reasons.yaml", "stake_share, amount]", "stake_share]", `features of the model without a reason: amount`},
		{"reasons.yaml", "day: {value}", "day: {valu}", `text: en: placeholder {valu} is not known here; known are {feature}, {value}, {baseline}, {percentile}, {share}`},
		{"reasons.yaml", "day: {value}", "day: {value", `a brace in "Games within a day: {value" belongs to no placeholder`},
		{"reasons.yaml", "day: {value}", "day: <b>{value}</b>", `control or format character or an angle bracket at byte 20`},
		{"reasons.yaml", "day: {value}", `day: \u202e{value}`, `control or format character or an angle bracket`},
		{"reasons.yaml", "day: {value}", `day: \n{value}`, `control or format character or an angle bracket`},
		{"reasons.yaml", `{en: "Games`, `{de: "Games`, `text: a text in "en" is needed`},
		{"reasons.yaml", "Your device", "Your device: {value}", `player_text: en: placeholder {value} is not known here; known are none`},
		{"reasons.yaml", "Your device", "Your device_bets_1h", `player_text: names the feature "`},
		{"reasons.yaml", "baselines: {bets_1m: 2, bets_1h: 20}", "baselines: {bets_1m: 2}", `{baseline} is used, so baselines must have every one of the reason's features`},
		{"reasons.yaml", "baselines: {bets_1m: 2, bets_1h: 20}", "baselines: {bets_1m: 2, bets_1h: .inf}", `baselines.bets_1h: +Inf is not a number`},
		// golden.csv
		{"golden.csv", "stake_1h,", "stake_2h,", `column 1 is "stake_2h" and must be "stake_1h"`},
		{"golden.csv", "\n", ",\n", `golden.csv`},
		{"golden.csv", ",margin", ",Margin", `column 11 is "Margin" and must be "margin"`},
	} {
		_, err := registry.Load(edited(t, test.file, test.old, test.new), config(t))
		if err == nil {
			t.Errorf("%s with %q for %q was loaded; want %q", test.file, test.new, test.old, test.want)
		} else if !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s with %q for %q:\n got %v\nwant %s", test.file, test.new, test.old, err, test.want)
		}
	}
}

// TestUnknownFeatures: a model's features must all be in the feature set, also those that none of its trees tests; the error names
// every one.
func TestUnknownFeatures(t *testing.T) {
	text := read(t, tiny, "model.txt")
	at, end := strings.Index(text, "max_feature_idx=9"), strings.Index(text, "feature_infos=")
	head := text[at:end] + "feature_infos="
	more := strings.NewReplacer("max_feature_idx=9", "max_feature_idx=11", " amount\n", " amount never_tested ever_tested\n", "feature_infos=", "feature_infos=none none ").Replace(head)
	if _, err := models.Load([]byte(strings.Replace(text, head, more, 1)), models.DefaultLimits()); err != nil {
		t.Fatalf("the model alone: %v", err)
	}
	_, err := registry.Load(edited(t, "model.txt", head, more), config(t))
	if want := `the model wants features that the feature set does not have: "never_tested", "ever_tested"`; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// What is wrong with the directory itself.
func TestLoadRefusesFiles(t *testing.T) {
	for _, test := range []struct {
		want   string
		change func(dir string) error
	}{
		{`bundle.yaml does not name the file "notes.txt"`, func(dir string) error {
			return os.WriteFile(filepath.Join(dir, "notes.txt"), nil, 0o600)
		}},
		{`bundle.yaml names "golden.csv", which is not there`, func(dir string) error {
			return os.Remove(filepath.Join(dir, "golden.csv"))
		}},
		{`there is no bundle.yaml in it`, func(dir string) error {
			return os.Remove(filepath.Join(dir, "bundle.yaml"))
		}},
		{`"model.txt" is not a plain file (a symbolic link)`, func(dir string) error {
			path := filepath.Join(dir, "model.txt")
			return errors.Join(os.Rename(path, dir+".model"), os.Symlink(dir+".model", path))
		}},
		{`"sub" is not a plain file (a directory)`, func(dir string) error {
			return os.Mkdir(filepath.Join(dir, "sub"), 0o700)
		}},
		{`it has 64 entries or more`, func(dir string) error {
			var err error
			for i := range 70 {
				err = errors.Join(err, os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600))
			}
			return err
		}},
		{`"bundle.yaml" has 2000000 bytes; at most 262144`, func(dir string) error {
			return os.Truncate(filepath.Join(dir, "bundle.yaml"), 2_000_000)
		}},
		{`cannot read "bundle.yaml": it is empty`, func(dir string) error {
			return os.Truncate(filepath.Join(dir, "bundle.yaml"), 0)
		}},
	} {
		dir := copyTiny(t)
		if err := test.change(dir); err != nil {
			t.Fatal(err)
		}
		if _, err := registry.Load(dir, config(t)); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("got %v, want %s", err, test.want)
		}
	}
	if _, err := registry.Load(filepath.Join(t.TempDir(), "nothing"), config(t)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("an absent directory: got %v, want os.ErrNotExist", err)
	}
}

// A bit that changes anywhere in a bundle is noticed: a file no longer has its hash, or the bundle is another bundle.
func TestEveryFileIsHashed(t *testing.T) {
	original, err := registry.Load(tiny, config(t))
	if err != nil {
		t.Fatal(err)
	}
	entries, err := os.ReadDir(tiny)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		dir := copyTiny(t)
		text := []byte(read(t, dir, e.Name()))
		for at := 0; at < len(text); at += 1 + len(text)/16 {
			text[at] ^= 1
			write(t, dir, e.Name(), string(text))
			b, err := registry.Load(dir, config(t))
			if err == nil && b.Hash == original.Hash {
				t.Errorf("%s with byte %d changed is still the same bundle", e.Name(), at)
			}
			text[at] ^= 1
		}
	}
}

// A bundle that does not give what its trainer wrote down is refused, and the error says which figure differs.
func TestGoldenRowsDecide(t *testing.T) {
	lines := strings.Split(read(t, tiny, "golden.csv"), "\n")
	header := strings.Split(lines[0], ",")
	for _, test := range []struct {
		column string
		change func(string) string
	}{
		{"margin", func(s string) string {
			v, _ := strconv.ParseFloat(s, 64)
			return strconv.FormatFloat(math.Nextafter(v, 0), 'g', -1, 64) // one bit
		}},
		{"score", func(s string) string { return s[:12] }},
		{"base", func(s string) string { return s[:8] }},
		{"contrib_stake_1h", func(string) string { return "2e-9" }},
		{"contrib_amount", func(string) string { return "0.5" }},
	} {
		row := 3
		cells := strings.Split(lines[row], ",")
		for i, name := range header {
			if name == test.column {
				cells[i] = test.change(cells[i])
			}
		}
		_, err := registry.Load(edited(t, "golden.csv", lines[row], strings.Join(cells, ",")), config(t))
		var golden *registry.GoldenError
		if !errors.As(err, &golden) {
			t.Errorf("%s: got %v, want a GoldenError", test.column, err)
			continue
		}
		if golden.Row != row || golden.Value != test.column || golden.Got == golden.Want {
			t.Errorf("%s: got %+v", test.column, golden)
		}
	}
	// The sum tells a model that answers otherwise from a trainer whose contributions are wrong in themselves.
	for _, test := range []struct {
		add    map[string]float64
		blamed bool
	}{
		{map[string]float64{"contrib_stake_1h": -0.5, "contrib_amount": 0.5}, false},
		{map[string]float64{"contrib_stake_1h": 0.5}, true},
	} {
		cells := strings.Split(lines[2], ",")
		for i, name := range header {
			if d := test.add[name]; d != 0 {
				v, _ := strconv.ParseFloat(cells[i], 64)
				cells[i] = strconv.FormatFloat(v+d, 'g', -1, 64)
			}
		}
		_, err := registry.Load(edited(t, "golden.csv", lines[2], strings.Join(cells, ",")), config(t))
		if err == nil || strings.Contains(err.Error(), "LightGBM cannot explain trees that deep") != test.blamed {
			t.Errorf("%+v: got %v", test, err)
		}
	}
	for _, test := range []struct{ old, new string }{{",", ",x"}, {",", ",NaN"}, {",", ",1e999"}} {
		line := strings.Replace(lines[2], test.old, test.new, 1)
		if _, err := registry.Load(edited(t, "golden.csv", lines[2], line), config(t)); err == nil || !strings.Contains(err.Error(), `row 2`) {
			t.Errorf("%q: got %v, want an error about row 2", test.new, err)
		}
	}
}
