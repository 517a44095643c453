package main

import (
	"crypto/sha256"
	"encoding/csv"
	"fmt"
	"math"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

func TestKeysNewNeverOverwrites(t *testing.T) {
	dir := t.TempDir()
	master, alias := filepath.Join(dir, "m.key"), filepath.Join(dir, "a.yaml")
	args := []string{"keys", "new", "--tenant", "acme", "--tenant", "other", "--master-key", master, "--alias-keys", alias}
	must(t, args...)
	before := []string{read(t, master), read(t, alias)}
	for _, file := range []string{master, alias} {
		info, err := os.Stat(file)
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != 0o600 {
			t.Errorf("%s has mode %v, want it to be its owner's alone", file, got)
		}
	}
	if key, err := readMasterKey(master); err != nil || len(key) != masterKeyBytes {
		t.Errorf("the master key reads as %d bytes, %v", len(key), err)
	}
	refused(t, exitFailed, []string{"master key", "exists"}, args...)
	args[len(args)-3] = filepath.Join(dir, "m2.key")
	refused(t, exitFailed, []string{"exists"}, args...)
	// What failed leaves no key behind that would be in the way of the next attempt.
	if _, err := os.Stat(filepath.Join(dir, "m2.key")); !os.IsNotExist(err) {
		t.Errorf("a master key was left behind: %v", err)
	}
	refused(t, exitFailed, []string{`"" is no name`}, "keys", "new", "--tenant", "", "--master-key", filepath.Join(dir, "m4.key"),
		"--alias-keys", filepath.Join(dir, "a4.yaml"))
	if after := []string{read(t, master), read(t, alias)}; !slices.Equal(before, after) {
		t.Error("a file of keys was changed")
	}
	other := filepath.Join(dir, "m3.key")
	must(t, "keys", "new", "--tenant", "acme", "--master-key", other, "--alias-keys", filepath.Join(dir, "a3.yaml"))
	if read(t, other) == before[0] {
		t.Error("two master keys are the same")
	}
}

// The entry that keys api prints goes into a configuration as it is.
func TestKeysAPIEntryIsAConfiguration(t *testing.T) {
	r := must(t, "keys", "api", "--tenant", "acme", "--id", "eu1", "--name", "engine-eu-1", "--role", "engine", "--role", "analyst")
	_, entry, found := strings.Cut(r.out, "holds no secret:\n")
	if !found {
		t.Fatalf("%v", r)
	}
	cfg, err := parseConfig([]byte(minimalConfig+"server:\n  keys:\n"+entry), "c.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if k := cfg.Server.Keys[0]; k.ID != "eu1" || k.Tenant != "acme" || k.Name != "engine-eu-1" || !slices.Equal(k.Roles, []string{"engine", "analyst"}) {
		t.Errorf("the entry reads as %+v", k)
	}
	secret := strings.Split(r.out, "\n")[1]
	if strings.Contains(entry, secret) {
		t.Error("the entry holds the secret")
	}
}

func TestCheck(t *testing.T) {
	h := newHouse(t)
	r := must(t, "check", "--config", h.config)
	for _, want := range []string{": ok, tenants [demo]", "bundle " + h.path("bundle") + ": ok, ", "us to score"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
	if entries, err := os.ReadDir(h.path("data")); err == nil {
		t.Errorf("check made a data directory: %v", entries)
	}
	r = must(t, "check", "--set", "../../examples/casino/features.yaml")
	if !strings.Contains(r.out, "bets_1h") {
		t.Errorf("%v, want the features by name", r)
	}
	must(t, "check", "--bundle", "../../examples/casino/bundle")

	set := h.path("bad.yaml")
	write(t, set, "format: 1\nname: bad\nversion: \"1\"\ngroups:\n  bets: {entity: player, match: {type: bet.placed}}\nfeatures:\n  - {name: a, group: bet, aggregate: count, window: 1h}\n")
	refused(t, exitFailed, []string{set + ":7:", "bets"}, "check", "--set", set)
	refused(t, exitFailed, []string{"nowhere.yaml"}, "check", "--config", h.path("nowhere.yaml"))
	refused(t, exitFailed, []string{"nowhere"}, "check", "--bundle", h.path("nowhere"))

	model := h.path("bundle/model.txt")
	text := read(t, model)
	write(t, model, text+" ")
	refused(t, exitFailed, []string{"model.txt"}, "check", "--config", h.config)
	write(t, model, text)
	must(t, "check", "--config", h.config)

	if err := os.Chmod(h.path("master.key"), 0o604); err != nil {
		t.Fatal(err)
	}
	refused(t, exitFailed, []string{"can be read by everyone", "chmod 600"}, "check", "--config", h.config)
	if err := os.Remove(h.path("master.key")); err != nil {
		t.Fatal(err)
	}
	refused(t, exitFailed, []string{"master.key", "pitboss keys new"}, "check", "--config", h.config)
}

func TestCheckReadsWhatTheServerWouldRead(t *testing.T) {
	h := newHouse(t)
	h.edit(t, `server:\n`, "server:\n  tls: {cert: nowhere.pem, key: nowhere-key.pem}\n")
	refused(t, exitFailed, []string{"server.tls", h.path("nowhere.pem")}, "check", "--config", h.config)
	h = newHouse(t)
	h.edit(t, `brokers: \[\]`, "brokers: [\"127.0.0.1:1\"]\n  sasl_user: me\n  sasl_password_file: nowhere")
	refused(t, exitFailed, []string{"kafka.sasl_password_file", h.path("nowhere")}, "check", "--config", h.config)
	h = newHouse(t)
	h.edit(t, `rates_file: rates.yaml`, "rates_file: nowhere.yaml")
	refused(t, exitFailed, []string{"nowhere.yaml"}, "check", "--config", h.config)
}

// Feature services are of the set that is served: check says so before the first caller hears it, a start refuses it, and so
// does a reload.
func TestFeatureServicesAreChecked(t *testing.T) {
	h := newHouse(t)
	h.edit(t, `server:\n`, "server:\n  feature_services: {velocity: [bets_1m, bets_1h], mistake: [bets_1m, bets_2m]}\n")
	says := []string{`server.feature_services.mistake`, `casino 1 has no feature "bets_2m"`}
	refused(t, exitFailed, says, "check", "--config", h.config)
	refused(t, exitFailed, says, "serve", "--config", h.config)
	const more = "  - {name: bets_2m, group: bets, aggregate: count, window: 1m}\n" // that the model does not read
	h.bundleVersion(t, "2", "", more)
	must(t, "check", "--config", h.config)
	r := serve(t, h)
	set := h.path("bundle/features.yaml")
	write(t, set, strings.TrimSuffix(read(t, set), more))
	h.bundleVersion(t, "3", "", "")
	if code, body := r.reload(t); code != http.StatusConflict {
		t.Errorf("a bundle without a feature that is served: %d %s", code, body)
	}
	h.bundleVersion(t, "4", "", more)
	if code, body := r.reload(t); code != http.StatusOK {
		t.Errorf("a bundle with all that are served: %d %s", code, body)
	}
	if err := r.stop(); err != nil {
		t.Error(err)
	}
	h.edit(t, `bundle: bundle\n`, "bundle: \"\"\nnext_feature_set: nowhere.yaml\n")
	refused(t, exitFailed, []string{"nowhere.yaml"}, "check", "--config", h.config)
}

func TestSimTwiceTheSameBytes(t *testing.T) {
	dir := t.TempDir()
	sim := func(name string, more ...string) (string, string) {
		t.Helper()
		events, truth := filepath.Join(dir, name+".jsonl"), filepath.Join(dir, name+"-truth.jsonl")
		must(t, append([]string{"sim", "--players", "50", "--duration", "3h", "--out", events, "--truth", truth}, more...)...)
		return read(t, events), read(t, truth)
	}
	e1, t1 := sim("one", "--seed", "5")
	e2, t2 := sim("two", "--seed", "5")
	e3, _ := sim("three", "--seed", "6")
	if e1 != e2 || t1 != t2 {
		t.Error("the same seed gave other bytes")
	}
	if e1 == e3 {
		t.Error("another seed gave the same bytes")
	}
	if n := strings.Count(e1, "\n"); n < 1000 || n != strings.Count(t1, "\n") {
		t.Errorf("%d events and %d truths", n, strings.Count(t1, "\n"))
	}
	if strings.Contains(e1, "fraud") || !strings.Contains(t1, "fraud") {
		t.Error("the truth is in the events, or is not in the truth")
	}
	e4, _ := sim("four", "--seed", "5", "--events", "100")
	if !strings.HasPrefix(e1, e4) || strings.Count(e4, "\n") != 100 {
		t.Error("the first 100 events are others")
	}
}

const smallSet = `format: 1
name: small
version: "1"
groups:
  deposits: {entity: player, match: {type: payment.deposit_requested}}
features:
  - {name: deposits_1h, group: deposits, aggregate: count, window: 1h}
  - {name: deposited_1h, group: deposits, aggregate: sum, value: amount_base, window: 1h}
  - {name: since_s, group: deposits, aggregate: time_since}
`

const smallMap = `format: 1
event:
  type: payment.deposit_requested
  tenant: acme
  event_id: {column: id}
  occurred_at: {column: at, unit: s}
  entities: [{kind: player, column: who, form: raw}]
  payload: {method: card, amount: {column: amount, scale: 100, currency: EUR}}
keep: [truth]
`

// Two players, whose deposits are counted by hand.
const smallRows = `id,at,who,amount,truth
a,1767225600,alice,10.00,0
b,1767225660,bob,5.50,1
c,1767226200,alice,20.25,0
d,1767229260,alice,1.00,0
`

func TestFeaturesEval(t *testing.T) {
	dir := t.TempDir()
	set, mapping, rows, out := filepath.Join(dir, "set.yaml"), filepath.Join(dir, "map.yaml"), filepath.Join(dir, "rows.csv"), filepath.Join(dir, "out.csv")
	write(t, set, smallSet)
	write(t, mapping, smallMap)
	write(t, rows, smallRows)
	r := must(t, "features", "eval", "--set", set, "--source", rows, "--map", mapping, "--out", out)
	if !strings.Contains(r.errOut, "wrote 4 vectors of 3 features") {
		t.Errorf("%v", r)
	}
	table := readCSV(t, out)
	f := func(row int, column, want string) {
		t.Helper()
		if got := table.cell(t, row, column); got != want {
			t.Errorf("row %d, %s: got %q, want %q", row, column, got, want)
		}
	}
	// The event itself counts, and what lies outside the window does not; the first deposit has none before it.
	for row, want := range [][]string{
		{"a", "1", "1000", "0"}, {"b", "1", "550", "1"}, {"c", "2", "3025", "0"}, {"d", "2", "2125", "0"}, // in cents
	} {
		f(row, "event_id", want[0])
		f(row, "deposits_1h", want[1])
		f(row, "deposited_1h", want[2])
		f(row, "truth", want[3])
	}
	f(0, "since_s", "")
	f(2, "since_s", "600")

	// The same from JSON lines out of order, but for the row that is refused.
	jsonl := filepath.Join(dir, "events.jsonl")
	event := func(id, at, who, minor string) string {
		return `{"eventId":"` + id + `","type":"payment.deposit_requested","tenant":"acme","occurredAt":"` + at + `","entities":[{"kind":"player","value":"` + who +
			`","form":"FORM_RAW"}],"paymentDepositRequested":{"method":"card","amount":{"amountMinor":"` + minor + `","currency":"EUR"}}}` + "\n"
	}
	write(t, jsonl, event("c", "2026-01-01T00:10:00Z", "alice", "2025")+"{not json}\n"+event("a", "2026-01-01T00:00:00Z", "alice", "1000"))
	refused(t, exitRejected, []string{"rejected: " + jsonl + ": row 2: malformed", "1 of ", "wrote 2 vectors"}, "features", "eval", "--set", set, "--source", jsonl, "--out", out)
	table = readCSV(t, out)
	f(0, "event_id", "c") // rows are in the order of the file, whatever the order of time
	f(0, "deposited_1h", "3025")
	f(1, "deposited_1h", "1000")

	refused(t, exitFailed, []string{"map"}, "features", "eval", "--set", set, "--source", rows, "--out", out)
	refused(t, exitFailed, []string{"nowhere.csv"}, "features", "eval", "--set", set, "--source", filepath.Join(dir, "nowhere.csv"), "--map", mapping, "--out", out)
}

// table is a CSV file with a header.
type table [][]string

func readCSV(t *testing.T, file string) table {
	t.Helper()
	rows, err := csv.NewReader(strings.NewReader(read(t, file))).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	return rows
}

func (tb table) cell(t *testing.T, row int, column string) string {
	t.Helper()
	i := slices.Index(tb[0], column)
	if i < 0 || row+1 >= len(tb) {
		t.Fatalf("no column %q or row %d in %v", column, row, tb)
	}
	return tb[row+1][i]
}

func (tb table) number(t *testing.T, row int, column string) float64 {
	t.Helper()
	v, err := strconv.ParseFloat(tb.cell(t, row, column), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// A bundle that will give no reasons, or that nobody else has scored, says so when it is checked.
func TestCheckSaysWhatABundleLacks(t *testing.T) {
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS("../../examples/casino/bundle")); err != nil {
		t.Fatal(err)
	}
	model, manifest := filepath.Join(dir, "model.txt"), filepath.Join(dir, "bundle.yaml")
	text := regexp.MustCompile(`(?m)^(leaf_count|tree_sizes)=.*\n`).ReplaceAllString(read(t, model), "")
	write(t, model, text)
	listed := regexp.MustCompile(`(name: model\.txt\s+size: )\d+(\s+sha256: )\S+`)
	if !listed.MatchString(read(t, manifest)) {
		t.Fatal("the manifest does not list the model as expected")
	}
	write(t, manifest, listed.ReplaceAllString(read(t, manifest), fmt.Sprintf("${1}%d${2}%x", len(text), sha256.Sum256([]byte(text)))))
	refused(t, exitFailed, []string{"must not decide", "tree 0 has no training counts", "allow_unexplained: true in bundle.yaml allows it"}, "check", "--bundle", dir)
	write(t, manifest, read(t, manifest)+"allow_unexplained: true\n")
	r := must(t, "check", "--bundle", dir)
	for _, want := range []string{"no reasons from it: tree 0 has no training counts", "not by an independent implementation (leaves needs the key tree_sizes)"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
}

// What an independent implementation scores with the same bits is said as well.
func TestCheckSaysWhoElseScored(t *testing.T) {
	r := must(t, "check", "--bundle", "../../examples/casino/bundle")
	if want := "scored by an independent implementation too, with the same bits"; !strings.Contains(r.out, want) {
		t.Errorf("%v, want %q", r, want)
	}
}

const goldenModel = "../../models/testdata/golden/binary_nan"

// What model score says of a model of LightGBM is what LightGBM says of it, in whatever order the columns come.
func TestModelScore(t *testing.T) {
	golden := readCSV(t, goldenModel+".csv")
	for i, name := range golden[0] {
		if n, ok := strings.CutPrefix(name, "x"); ok {
			golden[0][i] = "Column_" + n // as the model has it
		}
	}
	out := filepath.Join(t.TempDir(), "out.csv")
	compare := func(rows string) {
		t.Helper()
		must(t, "model", "score", goldenModel+".txt", "--rows", rows, "--contrib", "--out", out)
		got := readCSV(t, out)
		if len(got) != len(golden) {
			t.Fatalf("%d rows, want %d", len(got), len(golden))
		}
		missing := 0
		for row := range len(golden) - 1 {
			pairs := [][2]string{{"margin", "margin0"}, {"score", "score0"}, {"base", "b0"}}
			for i := range 6 {
				pairs = append(pairs, [2]string{"contrib_Column_" + strconv.Itoa(i), "c0_" + strconv.Itoa(i)})
				if golden.cell(t, row, "Column_"+strconv.Itoa(i)) == "" {
					missing++
				}
			}
			for _, p := range pairs {
				if g, w := got.number(t, row, p[0]), golden.number(t, row, p[1]); math.Abs(g-w) > 1e-9 {
					t.Errorf("row %d: %s is %v, LightGBM has %v", row, p[0], g, w)
				}
			}
		}
		if missing == 0 {
			t.Error("no cell was missing: nothing was learned of those")
		}
	}
	compare(writeCSV(t, golden))
	backwards := make(table, len(golden))
	for i, row := range golden {
		backwards[i] = slices.Clone(row)
		slices.Reverse(backwards[i])
	}
	compare(writeCSV(t, backwards))
}

// So is what it says of one of XGBoost, and a bundle with one checks.
func TestModelScoreXGBoost(t *testing.T) {
	golden := readCSV(t, "../../models/testdata/xgboost/v32_softmax.csv")
	for i, name := range golden[0] {
		if n, ok := strings.CutPrefix(name, "x"); ok {
			golden[0][i] = "f" + n // as XGBoost calls columns without a name
		}
	}
	out := filepath.Join(t.TempDir(), "out.csv")
	must(t, "model", "score", "../../models/testdata/xgboost/v32_softmax.ubj", "--rows", writeCSV(t, golden), "--contrib", "--out", out)
	got := readCSV(t, out)
	if len(got) != len(golden) {
		t.Fatalf("%d rows, want %d", len(got), len(golden))
	}
	for row := range len(golden) - 1 {
		for k := range 3 {
			pairs := map[string]string{fmt.Sprintf("score_%d", k): fmt.Sprintf("score%d", k), fmt.Sprintf("base_%d", k): fmt.Sprintf("b%d", k)}
			for i := range 6 {
				pairs[fmt.Sprintf("contrib_f%d_%d", i, k)] = fmt.Sprintf("c%d_%d", k, i)
			}
			for mine, theirs := range pairs {
				if g, w := got.number(t, row, mine), golden.number(t, row, theirs); math.Abs(g-w) > 1e-6 {
					t.Errorf("row %d: %s is %v, XGBoost has %v", row, mine, g, w)
				}
			}
			if g, w := got.number(t, row, fmt.Sprintf("margin_%d", k)), golden.number(t, row, fmt.Sprintf("margin%d", k)); g != w {
				t.Errorf("row %d: margin %d is %v, XGBoost has %v", row, k, g, w)
			}
		}
	}
	r := must(t, "check", "--bundle", "../../registry/testdata/xgboost")
	if want := "leaves cannot read the file's format"; !strings.Contains(r.out, want) {
		t.Errorf("%v, want %q", r, want)
	}
}

// What model inspect prints of a model: the same figures as models has, in the order of worth, and what is in the way.
func TestModelInspect(t *testing.T) {
	r := must(t, "model", "inspect", "../../models/testdata/xgboost/v34_early_stopped.json")
	for _, want := range []string{"xgboost 3.4.1, gbtree", "binary:logistic: scores are probabilities", "5 in 5 iterations",
		"early stopping found 3 iterations best, and all are scored", "31 splits and 36 leaves", "exact, from base 2.25406",
		"7  137.3       31.7 %       42.08  f5\n"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
	if at := strings.Index(r.out, "f5\n"); at < 0 || at > strings.Index(r.out, "f2\n") || strings.Index(r.out, "f2\n") > strings.Index(r.out, "f3\n") {
		t.Errorf("%v, want the most valuable feature first", r)
	}
	r = must(t, "model", "inspect", "../../models/testdata/golden/linear.txt")
	for _, want := range []string{"none: linear models in the leaves", "never tested: 1 of 6 features: Column_3"} {
		if !strings.Contains(r.out, want) {
			t.Errorf("%v, want %q", r, want)
		}
	}
	linear := filepath.Join(t.TempDir(), "linear.json")
	write(t, linear, `{"learner":{"gradient_booster":{"model":{"boosted_rounds":"3","weights":[1,2]},"name":"gblinear"}},"version":[3,2,0]}`)
	refused(t, exitFailed, []string{"gblinear: unsupported model", linear}, "model", "inspect", linear)
}

func writeCSV(t *testing.T, tb table) string {
	t.Helper()
	var text strings.Builder
	if err := csv.NewWriter(&text).WriteAll(tb); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "rows.csv")
	write(t, file, text.String())
	return file
}

func TestModelScoreRefuses(t *testing.T) {
	rows := filepath.Join(t.TempDir(), "rows.csv")
	f := func(text string, texts ...string) {
		t.Helper()
		write(t, rows, strings.ReplaceAll(text, "x", "Column_"))
		refused(t, exitFailed, append(texts, rows), "model", "score", goldenModel+".txt", "--rows", rows)
	}
	f("x0,x1,x2,x3\n1,2,3,4\n", "lacks the model's features Column_4, Column_5")
	f("x0,x1,x2,x3,x4,x5,x0\n1,2,3,4,5,6,7\n", `column "Column_0" is there twice`)
	f("x0,x1,x2,x3,x4,x5\n1,2,3,4,5,6\n1,2,three,4,5,6\n", "row 2 (line 3)", `column "Column_2"`, `"three" is no number`)
	f("x0,x1,x2,x3,x4,x5\n1,2,3\n", "row 1 (line 2)", "wrong number of fields")
	f("x0;x1;x2;x3;x4;x5\n1;2;3;4;5;6\n", "Column_4 and 1 more", `it begins with "Column_0;Column_1;`, "has 1 columns")
	f("1,2,3,4,,6\n1,2,3,4,5,6\n", "the first line holds numbers")
	f("", "header: the file is empty")
	write(t, rows, "no model")
	refused(t, exitFailed, []string{`model "` + rows + `": cannot load a model: no known format`}, "model", "score", rows, "--rows", rows)
	refused(t, exitFailed, []string{"cannot load a model: open nowhere.txt"}, "model", "score", "nowhere.txt", "--rows", rows)
	refused(t, exitFailed, []string{"nowhere.csv"}, "model", "score", goldenModel+".txt", "--rows", "nowhere.csv")
	// A file without known names and with as many columns is taken by position; a byte order mark is no part of a name.
	for _, header := range []string{"a,b,c,d,e,f", "0,1,2,3,4,5", "\ufeffColumn_0,Column_1,Column_2,Column_3,Column_4,Column_5"} {
		write(t, rows, header+"\n1,2,3,4,,6\n")
		if r := must(t, "model", "score", goldenModel+".txt", "--rows", rows); strings.Count(r.out, "\n") != 2 {
			t.Errorf("%v", r)
		}
	}
}

// A blank line in a file of one column may be a row whose value is missing: it is never passed over in silence.
func TestModelScoreOneColumn(t *testing.T) {
	const model = "../../models/testdata/golden/one_feature.txt"
	rows := filepath.Join(t.TempDir(), "rows.csv")
	for _, text := range []string{"Column_0\n1\n\n2\n", "Column_0\n\n2\n", "Column_0\n1\n\n"} {
		write(t, rows, text)
		line := 1 + strings.Count(text[:strings.Index(text, "\n\n")+1], "\n")
		refused(t, exitFailed, []string{fmt.Sprintf("(line %d): the line is blank", line)}, "model", "score", model, "--rows", rows)
	}
	write(t, rows, "Column_0\n1\n\"\"\nnan\n2")
	if r := must(t, "model", "score", model, "--rows", rows); strings.Count(r.out, "\n") != 5 {
		t.Errorf("%v", r)
	}
}

// What is read is never written over, under whatever name.
func TestOutIsNoInput(t *testing.T) {
	dir := t.TempDir()
	file, link := filepath.Join(dir, "rows.csv"), filepath.Join(dir, "link.csv")
	const text = "Column_0\n1\n"
	write(t, file, text)
	if err := os.Symlink(file, link); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{
		{"model", "score", "../../models/testdata/golden/one_feature.txt", "--rows", file},
		{"model", "score", file, "--rows", "../../models/testdata/golden/one_feature.csv"},
		{"batch", "--config", "../../examples/pitboss.yaml", "--source", file},
		{"batch", "--config", "../../examples/pitboss.yaml", "--source", "nowhere.csv", "--map", file},
		{"features", "eval", "--set", "../../examples/casino/features.yaml", "--source", file},
	} {
		r := pitboss(append(args, "--out", link)...)
		if r.code == 0 || read(t, file) != text {
			t.Errorf("%v: exit code %d, and the file is now %q", args, r.code, read(t, file))
		}
	}
	refused(t, exitUsage, []string{"--out " + link + " is the same file as the input " + file}, "model", "score",
		"../../models/testdata/golden/one_feature.txt", "--rows", file, "--out", link)
}
