package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"go.uber.org/goleak"
)

// childEnv makes the test binary be pitboss: for tests that kill it.
const childEnv = "PITBOSS_TEST_CHILD"

func TestMain(m *testing.M) {
	if os.Getenv(childEnv) != "" || len(os.Args) == 2 && os.Args[1] == tryGraph { // the trial of a graph has no environment
		main()
		return
	}
	// Badger's cache and glog start goroutines that they never end.
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("github.com/golang/glog.(*fileSink).flushDaemon"),
		goleak.IgnoreAnyFunction("github.com/dgraph-io/ristretto/v2/z.(*AllocatorPool).freeupAllocators"),
	)
}

// ran is what a command did.
type ran struct {
	code        int
	out, errOut string
}

func (r ran) String() string {
	return fmt.Sprintf("exit code %d, output %q, errors %q", r.code, r.out, r.errOut)
}

// pitboss runs a command line.
func pitboss(args ...string) ran {
	var out, errOut bytes.Buffer
	code := run(context.Background(), args, &out, &errOut)
	return ran{code, out.String(), errOut.String()}
}

// must runs a command line that works.
func must(t *testing.T, args ...string) ran {
	t.Helper()
	r := pitboss(args...)
	if r.code != exitOK {
		t.Fatalf("pitboss %s: %v", strings.Join(args, " "), r)
	}
	return r
}

// refused runs a command line that must fail with a code, and say all of the texts.
func refused(t *testing.T, code int, texts []string, args ...string) {
	t.Helper()
	r := pitboss(args...)
	if r.code != code {
		t.Errorf("pitboss %s: %v, want exit code %d", strings.Join(args, " "), r, code)
	}
	for _, text := range texts {
		if !strings.Contains(r.errOut, text) {
			t.Errorf("pitboss %s: errors %q, want them to say %q", strings.Join(args, " "), r.errOut, text)
		}
	}
	if strings.Contains(r.errOut, "goroutine ") || strings.Contains(r.errOut, "BUG") {
		t.Errorf("pitboss %s: %v", strings.Join(args, " "), r)
	}
}

// house is a directory with a whole configuration in it, as an operator makes it: no Kafka, the casino's bundle.
type house struct {
	dir, config, key string
}

func newHouse(t *testing.T) house {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "house")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	_, key, err := demoConfig(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	h := house{dir: dir, config: filepath.Join(dir, "pitboss.yaml"), key: key}
	h.edit(t, `http: \S+`, "http: 127.0.0.1:0")
	h.edit(t, `grpc: \S+`, "grpc: 127.0.0.1:0")
	return h
}

// path gives a file in the house.
func (h house) path(name string) string { return filepath.Join(h.dir, name) }

// edit replaces one place of the configuration.
func (h house) edit(t *testing.T, pattern, with string) {
	t.Helper()
	data, err := os.ReadFile(h.config)
	if err != nil {
		t.Fatal(err)
	}
	re := regexp.MustCompile(pattern)
	if !re.Match(data) {
		t.Fatalf("nothing in the configuration matches %q:\n%s", pattern, data)
	}
	write(t, h.config, re.ReplaceAllString(string(data), with))
}

// sim writes a small casino's events and gives the file.
func (h house) sim(t *testing.T, events int, more ...string) string {
	t.Helper()
	file := h.path(fmt.Sprintf("events-%d.jsonl", events))
	must(t, append([]string{"sim", "--tenant", demoTenant, "--players", "150", "--duration", "6h", "--seed", "3", "--events", fmt.Sprint(events), "--out", file}, more...)...)
	return file
}

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, file string) string {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// Whoever asks any command for help gets what it is for, and what to type.
func TestHelpOfEveryCommand(t *testing.T) {
	var each func(cmd *cobra.Command)
	each = func(cmd *cobra.Command) {
		for _, sub := range cmd.Commands() {
			each(sub)
		}
		words := slices.Concat(strings.Fields(cmd.CommandPath())[1:], []string{"--help"})
		r := must(t, words...)
		if !strings.Contains(r.out, "Usage:") || r.errOut != "" {
			t.Errorf("%v: %v", words, r)
		}
		if cmd.Short == "" || strings.HasSuffix(cmd.Short, ".") {
			t.Errorf("%v: the short help is %q", words, cmd.Short)
		}
		leaf := !cmd.HasSubCommands() && cmd.Name() != "version" && cmd.Name() != "help"
		if leaf && cmd.Long == "" && cmd.Example == "" {
			t.Errorf("%v: neither says more than its short help nor shows an example", words)
		}
		if cmd.Example != "" && !strings.Contains(cmd.Example, "pitboss "+strings.Join(words[:len(words)-1], " ")) {
			t.Errorf("%v: the example does not show the command: %q", words, cmd.Example)
		}
	}
	each(newRoot(nil, nil))
}

func TestWrongWordsExitTwo(t *testing.T) {
	f := func(line string, texts ...string) {
		t.Helper()
		refused(t, exitUsage, texts, strings.Fields(line)...)
	}
	f("--bogus", "unknown flag: --bogus", "`pitboss --help`")
	f("bogus", `unknown command "bogus"`, "`pitboss --help`")
	f("serve", "--config FILE")
	f("serve --config", "flag needs an argument", "`pitboss serve --help`")
	f("serve extra --config x", `"extra"`)
	f("keys bogus", `"bogus"`, "`pitboss keys --help`")
	f("keys new", "--tenant NAME")
	f("bench --only all", "not one of decide, ingest")
	f("replay --config c.yaml 42", `"42"`, "32 hex digits")
	f("keys api --tenant acme --id UPPER --name x", "id")
	f("keys api --tenant acme --id a --name x --role king", "king")
	f("check", "--config FILE")
	f("replay --config x", "one decision id or --all")
	f("replay --config x --all 123", "one decision id or --all")
	f("replay --config x 1 2", "at most 1 arg")
	f("batch --config x", "--source is needed", "--out is needed")
	f("batch --config x --source y --out z --explain some", "--explain", `"some" is not none, top or full`)
	f("decide --event x", "--key")
	f("features eval --set x", "--source")
	f("model score", "accepts 1 arg")
	f("model score x", "--rows")
	f("model inspect", "accepts 1 arg")
	f("sim", "--out FILE")
	f("sim --out x --brokers y", "one of --out FILE")
	f("sim --out x --start tomorrow", "--start")
	f("sim --out x --players many", "invalid argument")
	f("sim --out x --speed -1", "--speed")
	f("bench --only nothing", "--only")
	f("bench --runs 0", "--runs")
}

func TestBareGroupsShowHelp(t *testing.T) {
	for _, group := range []string{"", "keys", "model", "features"} {
		if r := must(t, strings.Fields(group)...); !strings.Contains(r.out, "Available Commands:") {
			t.Errorf("%q: %v", group, r)
		}
	}
}

func TestVersion(t *testing.T) {
	if r := must(t, "version"); !strings.HasPrefix(r.out, "pitboss ") || !strings.Contains(r.out, "go1.") {
		t.Errorf("%v", r)
	}
}
