package features_test

import (
	"encoding/hex"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"pitboss/features"
)

var rewrite = flag.Bool("rewrite", false, "write the messages of testdata/sets anew")

// vpnList is a source that knows one list.
type vpnList struct{}

func (vpnList) Name() string { return "lists" }
func (vpnList) Check(key string) error {
	if key != "vpn" {
		return errors.New("there is vpn")
	}
	return nil
}

func (vpnList) Value(ev *features.Event, _ string) (float64, features.Status, string) {
	if f, ok := ev.Field("address_class"); ok {
		return map[bool]float64{true: 1}[f.Text == "vpn"], features.Present, "v7"
	}
	return 0, features.Missing, ""
}

func compileOptions(t testing.TB) features.CompileOptions {
	t.Helper()
	kinds, err := features.NewKinds(nil)
	if err != nil {
		t.Fatal(err)
	}
	return features.CompileOptions{Kinds: kinds, Sources: []features.Source{vpnList{}}}
}

// TestBadSets compiles every testdata/sets/*.bad.yml: the comments at its end are the messages. -rewrite writes them.
func TestBadSets(t *testing.T) {
	files, err := filepath.Glob("testdata/sets/*.bad.yml")
	if err != nil || len(files) < 50 {
		t.Fatalf("only %d files: %v", len(files), err)
	}
	for _, file := range files {
		source, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		body, want, _ := strings.Cut(string(source), "# refused:\n")
		_, err = features.CompileSet(source, filepath.Base(file), compileOptions(t))
		if err == nil {
			t.Errorf("%s is accepted", file)
			continue
		}
		var got strings.Builder
		for line := range strings.SplitSeq(err.Error(), "\n") {
			fmt.Fprintf(&got, "# %s\n", line)
		}
		if *rewrite {
			if err := os.WriteFile(file, []byte(body+"# refused:\n"+got.String()), 0o644); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if got.String() != want {
			t.Errorf("%s: got\n%swant\n%s", file, got.String(), want)
		}
	}
}

// TestSet compiles the example of the documentation and looks at what came out.
func TestSet(t *testing.T) {
	source, err := os.ReadFile("testdata/sets/casino.yml")
	if err != nil {
		t.Fatal(err)
	}
	set, err := features.CompileSet(append([]byte("\ufeff"), source...), "casino.yml", compileOptions(t)) // as some editors write it
	if err != nil {
		t.Fatal(err)
	}
	if set.Name != "casino" || set.Version != "1" {
		t.Errorf("the set is %q %q", set.Name, set.Version)
	}
	want := []features.FeatureInfo{
		{Name: "bets_1m", Kind: "player", Group: "bets", Aggregate: "count", Window: "1m", Class: "integer"},
		{Name: "stake_1h", Kind: "player", Group: "bets", Aggregate: "sum", Window: "1h", Class: "integer"},
		{Name: "stake_24h", Kind: "player", Group: "bets", Aggregate: "sum", Window: "24h", Class: "integer"},
		{Name: "stake_mean_24h", Kind: "player", Group: "bets", Aggregate: "mean", Window: "24h", Class: "integer", ExcludesCurrent: true},
		{Name: "games_24h", Kind: "player", Group: "bets", Aggregate: "distinct", Window: "24h", Class: "semilattice"},
		{Name: "since_deposit_s", Kind: "player", Group: "deposits", Aggregate: "time_since", Class: "semilattice", ExcludesCurrent: true},
		{Name: "bet_share", Aggregate: "ratio", Class: "read_time", Expression: "stake_1h / stake_24h"},
		{Name: "amount", Aggregate: "value", Class: "value"},
		{Name: "ip_on_vpn_list", Aggregate: "source", Class: "source"},
		{Name: "ip_logins_24h", Kind: "ip24", Group: "ip_logins", Aggregate: "count", Window: "24h", Class: "integer"},
		{Name: "euros_30d", Kind: "player", Group: "euros", Aggregate: "sum", Window: "30d", Class: "integer"},
		{Name: "odds_24h", Kind: "player", Group: "bets", Aggregate: "mean", Window: "24h", Class: "integer"},
	}
	got := slices.Clone(set.Features)
	for i := range got {
		if got[i].Contract == "" {
			t.Errorf("%s promises nothing", got[i].Name)
		}
		got[i].Contract = ""
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("features (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"lists"}, set.Sources()); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	if g := set.Groups[0]; len(set.Groups) != 4 || g.Name != "bets" || g.Kind != "player" || !slices.Equal(g.Windows, []string{"1m", "1h", "24h"}) ||
		g.WorstBytes < 1000 || g.WorstBytes > 100_000 {
		t.Errorf("groups are %+v", set.Groups)
	}
	// The hash is in records and bundles: it changes only where vectors may.
	const hash = "b679423d0e0019f7b9999088e5497a5fd8d9de2f02be145390deaadac804e3a6"
	if got := hex.EncodeToString(set.Hash[:]); got != hash {
		t.Errorf("the set's hash is %s, want %s", got, hash)
	}
}

// TestSetHash changes a set's file, and says whether it is another set then.
func TestSetHash(t *testing.T) {
	source, err := os.ReadFile("testdata/sets/casino.yml")
	if err != nil {
		t.Fatal(err)
	}
	hash := func(text string) [32]byte {
		t.Helper()
		set, err := features.CompileSet([]byte(text), "casino.yml", compileOptions(t))
		if err != nil {
			t.Fatal(err)
		}
		return set.Hash
	}
	f := func(old, changed string, same bool) {
		t.Helper()
		text := strings.ReplaceAll(string(source), old, changed)
		if text == string(source) {
			t.Fatalf("%q is not in the file", old)
		}
		if (hash(text) == hash(string(source))) != same {
			t.Errorf("with %q for %q the hash is the same: %v, want %v", changed, old, !same, same)
		}
	}
	f("name: casino", "name: another", true)
	f(`version: "1"`, `version: "2"`, true)
	renamed := strings.NewReplacer("deposits: ", "payins: ", "group: deposits", "group: payins").Replace(string(source))
	if hash(renamed) != hash(string(source)) {
		t.Errorf("the name of a group is in the hash")
	}
	f("# a group = the events an aggregate counts", "# something else", true)
	f("[payment.deposit_requested, payment.deposit_settled]", "[payment.deposit_settled, payment.deposit_requested]", true)
	f("name: bets_1m", "name: bets_60s", false)
	f("window: 1m", "window: 5m", false)
	f("type: auth.login", "type: auth.failed", false)
	f("entity: ip24", "entity: ip", false)
	f("entity: ip24", "count: placed, entity: ip24", true)
	f("entity: ip24", "count: attempted, entity: ip24", false)
	f("current: exclude", "current: include", false)
	f("default: 0", "default: 1", false)
	f("scale: 100", "scale: 1000", false)
	f("numerator: stake_1h", "numerator: stake_24h", false)
	f("key: vpn", `key: "vpn"`, true)
}
