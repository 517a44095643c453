package main

import (
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml/token"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"pitboss/features"
	"pitboss/features/edge"
)

const exampleConfig = "../../examples/pitboss.yaml"

// sameConfig compares what a file can say.
func sameConfig() cmp.Options {
	return cmp.Options{
		cmp.AllowUnexported(Config{}),
		cmpopts.IgnoreFields(Config{}, "dir"),
		cmpopts.IgnoreTypes(&features.Kinds{}),
		cmp.FilterPath(func(p cmp.Path) bool { return p.Last().String() == ".Dir" }, cmp.Ignore()),
		cmpopts.EquateEmpty(),
	}
}

func readExample(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile(exampleConfig)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// The example file is the defaults, but for what has none.
func TestExampleConfigIsTheDefaults(t *testing.T) {
	got, err := LoadConfig(exampleConfig)
	if err != nil {
		t.Fatal(err)
	}
	want := DefaultConfig()
	want.Edge.Tenants = map[string]edge.TenantConfig{"acme": {BaseCurrency: edge.DefaultBaseCurrency}}
	want.Edge.KeysFile = "pitboss-alias-keys.yaml"
	if diff := cmp.Diff(&want, got, sameConfig()); diff != "" {
		t.Errorf("the example is not the defaults (-default +example):\n%s", diff)
	}
}

// TestExampleConfigNamesEveryKey holds also for the keys of list entries, which stand in examples.
func TestExampleConfigNamesEveryKey(t *testing.T) {
	text := readExample(t)
	r := configReader{file: exampleConfig, at: nil}
	r.at = map[string]*token.Token{}
	cfg := DefaultConfig()
	if err := r.read([]byte(text), &cfg); err != nil {
		t.Fatal(err)
	}
	for _, key := range keysOf(reflect.TypeFor[Config](), "") {
		if r.at[key] == nil {
			t.Errorf("%s is not in the example", key)
		}
	}
	r.at = map[string]*token.Token{}
	if err := r.read([]byte(withExamples(text)), &cfg); err != nil {
		t.Fatal(err)
	}
	var entries func(t reflect.Type, path string) []string
	entries = func(t reflect.Type, path string) []string {
		switch t.Kind() {
		case reflect.Struct:
			var all []string
			for _, name := range namesOf(t) {
				f, _ := fieldOf(t, name)
				all = append(all, entries(f.Type, join(path, name))...)
			}
			return all
		case reflect.Slice:
			return entries(t.Elem(), path+"[0]")
		case reflect.Map:
			if t.Elem().Kind() != reflect.Struct {
				return []string{path}
			}
			return entries(t.Elem(), path+".acme")
		default:
			return []string{path}
		}
	}
	for _, key := range entries(reflect.TypeFor[Config](), "") {
		if r.at[key] == nil {
			t.Errorf("%s is in no example of the example file", key)
		}
	}
}

var example = regexp.MustCompile(`^( *)#([^ #].*| {2}.*)$`)

// withExamples puts a file's examples in the places of the values before them.
func withExamples(text string) string {
	var out []string
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		m := example.FindStringSubmatch(line)
		if m == nil || strings.HasPrefix(m[2], "  ") && !inside {
			inside = false
			out = append(out, line)
			continue
		}
		if !strings.HasPrefix(m[2], " ") {
			key, _, _ := strings.Cut(m[2], ":")
			if last := out[len(out)-1]; strings.HasPrefix(last, m[1]+key+":") {
				out = out[:len(out)-1]
			}
		}
		inside = true
		out = append(out, m[1]+m[2])
	}
	return strings.Join(out, "\n")
}

// What the example file shows in its comments works too, all together.
func TestExampleConfigsExamplesAreValid(t *testing.T) {
	text := withExamples(readExample(t))
	text = strings.Replace(text, "feature_set: \"\"\n", "", 1)
	cfg, err := parseConfig([]byte(text), exampleConfig)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if len(cfg.EntityKinds) != 1 || len(cfg.Edge.Lists) != 1 || len(cfg.Server.Keys) != 1 || len(cfg.Server.Certificates) != 1 || len(cfg.Kafka.Brokers) != 2 {
		t.Errorf("examples were not taken: %+v", cfg)
	}
	dir, err := filepath.Abs("../../examples")
	if err != nil {
		t.Fatal(err)
	}
	if got, want := cfg.Server.TLS.Cert, filepath.Join(dir, "server.pem"); got != want {
		t.Errorf("server.tls.cert is %q, want %q: relative paths start at the file's directory", got, want)
	}
	if cfg.Kafka.Dir != dir || cfg.Edge.Dir != dir {
		t.Errorf("directories are %q and %q, want %q", cfg.Kafka.Dir, cfg.Edge.Dir, dir)
	}
}

// Each key has a comment, on its line or on those before it.
func TestExampleConfigExplainsEveryKey(t *testing.T) {
	key := regexp.MustCompile(`^ *[a-z_]+:`)
	section := regexp.MustCompile(`^ *[a-z_]+:$`)
	explained := false
	for i, line := range strings.Split(readExample(t), "\n") {
		switch {
		case strings.HasPrefix(strings.TrimSpace(line), "#"):
			explained = true
		case strings.TrimSpace(line) == "":
			explained = false
		case key.MatchString(line) && !explained && !section.MatchString(line) && !strings.Contains(line, " #"):
			t.Errorf("%s:%d: %q has no comment", exampleConfig, i+1, line)
		}
	}
}

const minimalConfig = "edge: {tenants: {acme: {}}, keys_file: keys.yaml}\n"

func TestConfigReads(t *testing.T) {
	f := func(text string, change func(*Config)) {
		t.Helper()
		got, err := parseConfig([]byte(text), "pitboss.yaml")
		if err != nil {
			t.Errorf("%q: %v", text, err)
			return
		}
		want := DefaultConfig()
		want.Edge.Tenants, want.Edge.KeysFile = map[string]edge.TenantConfig{"acme": {}}, "keys.yaml"
		change(&want)
		if diff := cmp.Diff(&want, got, sameConfig()); diff != "" {
			t.Errorf("%q (-want +got):\n%s", text, diff)
		}
	}
	f(minimalConfig, func(*Config) {})
	f("# a comment\n---\n"+minimalConfig, func(*Config) {})
	f("\ufeff"+minimalConfig, func(*Config) {})
	f(minimalConfig+"journal: {segment_bytes: 0x10000, keep_bytes: 1_000}\n", func(c *Config) {
		c.Journal.SegmentBytes, c.Journal.KeepBytes = 0x10000, 1000
	})
	f(minimalConfig+"data_dir: \"0\"\n", func(c *Config) { c.DataDir = "0" })
	f(minimalConfig+"data_dir: >-\n  here and\n  there\n", func(c *Config) { c.DataDir = "here and there" })
	f(minimalConfig+"entity_kinds: [{name: terminal, personal: false}]\n", func(c *Config) {
		no := false
		c.EntityKinds = []features.KindConfig{{Name: "terminal", Personal: &no}}
	})
	f(minimalConfig+"kafka: {topics: [a, b]}\n", func(c *Config) { c.Kafka.Topics = []string{"a", "b"} })
	f(minimalConfig+"server:\r\n  grpc: \"\"\r\n", func(c *Config) { c.Server.GRPC = "" })
}

var rewrite = os.Getenv("PITBOSS_REWRITE") != ""

// Every refusal has a file that meets it: testdata/config/NAME.bad.yml, and NAME.want with what is said of it. With
// PITBOSS_REWRITE=1 the .want files are written anew, for a reviewer to read.
func TestConfigRefusals(t *testing.T) {
	files, err := filepath.Glob("testdata/config/*.bad.yml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no refusals: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Base(file)
		cfg, err := parseConfig(data, name)
		if err == nil {
			t.Errorf("%s: read as %+v, want a refusal", name, cfg)
			continue
		}
		got := err.Error() + "\n"
		wantFile := strings.TrimSuffix(file, ".bad.yml") + ".want"
		if rewrite {
			if err = os.WriteFile(wantFile, []byte(got), 0o600); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(wantFile)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(string(want), got); diff != "" {
			t.Errorf("%s is refused otherwise (-want +got):\n%s", name, diff)
		}
		for line := range strings.Lines(got) {
			if !strings.HasPrefix(line, name+":") {
				t.Errorf("%s: the error %q does not begin with the file", name, line)
			}
		}
	}
}

// Refusals too large, or too strange, for a file.
func TestConfigRefusesHostileFiles(t *testing.T) {
	f := func(text, want string) {
		t.Helper()
		_, err := parseConfig([]byte(text), "c.yaml")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%.60q…: error %v, want one with %q", text, err, want)
		}
		if err != nil && len(err.Error()) > 2000 {
			t.Errorf("%.60q…: an error of %d bytes", text, len(err.Error()))
		}
	}
	f(strings.Repeat("#", maxConfigBytes+1), "c.yaml: more than 1048576 bytes")
	f("edge: "+strings.Repeat("[", 100_000), "c.yaml:1:23: nested deeper than 16")
	f(strings.Repeat("- ", 100_000), "nested deeper than 16")
	f("\xff\xfe", "c.yaml: not UTF-8 text")
	f("data_dir: "+strings.Repeat("[x, ", 10)+strings.Repeat("]", 10), "data_dir: must be text, not a list")
	f("durability: "+strings.Repeat("x", 100_000), "durability: ")
	f(strings.Repeat("x", 100_000)+": 1", "no such key")
	f("journal: {segment_bytes: 99999999999999999999}", "c.yaml:1:26: journal.segment_bytes: ")
	f("journal: {segment_bytes: 18446744073709551615}", "journal.segment_bytes: 18446744073709551615 is too large")
	f("memory_limit: 1e3", "c.yaml:1:15: memory_limit: must be a whole number, not \"1e3\"")
	f("memory_limit: .inf", "memory_limit: must be a whole number, not .inf")
	f("a: &a [1]\nb: *a", "c.yaml:1:4: anchors")
	f("<<: {data_dir: x}", "c.yaml:1:1: anchors")
	f("data_dir: !!binary aGk=", "c.yaml:1:11: anchors")
}

// Where a flag and a key mean the same, their defaults are the same.
func TestFlagDefaultsAreTheConfigurationsDefaults(t *testing.T) {
	cfg := DefaultConfig()
	root := newRoot(nil, nil)
	f := func(command, flag, want string) {
		t.Helper()
		cmd, _, err := root.Find(strings.Fields(command))
		if err != nil {
			t.Fatal(err)
		}
		fl := cmd.Flags().Lookup(flag)
		if fl == nil {
			t.Errorf("%s has no --%s", command, flag)
			return
		}
		if fl.DefValue != want {
			t.Errorf("%s --%s is %q by default, the configuration has %q", command, flag, fl.DefValue, want)
		}
	}
	f("keys new", "master-key", cfg.MasterKeyFile)
	f("decide", "addr", cfg.Server.GRPC)
	f("sim", "topic", cfg.Kafka.Topics[0])
	f("features eval", "base-currency", edge.DefaultBaseCurrency)
	example, err := LoadConfig(exampleConfig)
	if err != nil {
		t.Fatal(err)
	}
	f("keys new", "alias-keys", example.Edge.KeysFile)
}

func FuzzConfig(f *testing.F) {
	seeds, err := filepath.Glob("testdata/config/*.bad.yml")
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range append(seeds, exampleConfig) {
		data, err := os.ReadFile(file)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(minimalConfig))
	f.Fuzz(func(t *testing.T, data []byte) {
		cfg, err := parseConfig(data, "c.yaml")
		if err != nil {
			for line := range strings.Lines(err.Error()) {
				if !strings.HasPrefix(line, "c.yaml:") {
					t.Errorf("%q: error line %q does not begin with the file", data, line)
				}
			}
			return
		}
		// What is read is valid, and is read the same again.
		if err = cfg.Validate(); err != nil {
			t.Errorf("%q: read, and not valid: %v", data, err)
		}
		again, err := parseConfig(data, "c.yaml")
		if err != nil || !cmp.Equal(cfg, again, sameConfig()) {
			t.Errorf("%q: read otherwise the second time: %v\n%s", data, err, cmp.Diff(cfg, again, sameConfig()))
		}
	})
}

// check says what is kept of the log, and what that costs corrections.
func TestRetentionInWords(t *testing.T) {
	f := func(c JournalConfig, want string) {
		t.Helper()
		c.SegmentBytes = 4096
		if got := c.retention(); !strings.Contains(got, want) {
			t.Errorf("retention of %+v is %q, want %q in it", c, got, want)
		}
	}
	f(JournalConfig{}, "nothing is ever removed")
	f(JournalConfig{KeepBytes: 5000}, "segments of 4096 bytes are removed while all are larger than 5000 bytes; a correction")
	f(JournalConfig{KeepFor: time.Hour}, "once older than 1h0m0s; a correction")
	f(JournalConfig{KeepFor: 800 * time.Hour}, "once older than 800h0m0s")
	f(JournalConfig{KeepBytes: 1, KeepFor: 800 * time.Hour, KeepAtLeast: correctionBound}, "1 bytes or once older than 800h0m0s, never before 720h0m0s")
}
