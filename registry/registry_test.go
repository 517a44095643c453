package registry_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"pitboss/registry"
)

func open(t testing.TB, cfg registry.Config) *registry.Registry {
	t.Helper()
	r, err := registry.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// version makes a copy of the tiny bundle that is another version of it.
func version(t testing.TB, v string) string {
	t.Helper()
	return edited(t, registry.ManifestName, `version: "1"`, fmt.Sprintf("version: %q", v))
}

func TestUse(t *testing.T) {
	r := open(t, config(t))
	if b := r.Active(); b != nil {
		t.Errorf("a new registry has the active bundle %v", b.Ref)
	}
	first, err := r.Use(tiny)
	if err != nil {
		t.Fatal(err)
	}
	if r.Active() != first {
		t.Error("the used bundle is not the active one")
	}
	if _, err = r.Use(edited(t, "model.txt", "\nleaf_value=-1.", "\nleaf_value=-2.")); err == nil {
		t.Error("a bundle with other leaves was used")
	}
	if r.Active() != first {
		t.Error("a refused bundle changed the active one")
	}
	second, err := r.Use(version(t, "2"))
	if err != nil {
		t.Fatal(err)
	}
	if r.Active() != second || second.Hash == first.Hash {
		t.Errorf("active is %v, want %v", r.Active().Ref, second.Ref)
	}
	for _, b := range []*registry.Bundle{first, second} {
		if got, err := r.Get(b.Hash); err != nil || got != b {
			t.Errorf("bundle %s: got %v, %v", b.Version, got, err)
		}
	}
	if _, err := r.Get([32]byte{1}); !errors.Is(err, registry.ErrUnknown) {
		t.Errorf("an unknown hash: got %v, want ErrUnknown", err)
	}
	if back, err := r.Use(tiny); err != nil || back != first {
		t.Errorf("using the first bundle again gave %p, %v; want %p: it is in memory already", back, err, first)
	}
}

// checkActivate holds that a registry with a store makes only what the store has the active bundle.
func checkActivate(t *testing.T, r *registry.Registry, dir string, cfg registry.Config) {
	t.Helper()
	loaded, err := registry.Load(dir, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if r.Activate(loaded) == nil {
		t.Error("a registry with a store activated what it does not have")
	}
	before := r.Active()
	prepared, err := r.Prepare(dir)
	if err != nil || r.Active() != before {
		t.Errorf("Prepare: %v, and it changed what is active", err)
	}
	if err := r.Activate(prepared); err != nil || r.Active() != prepared {
		t.Errorf("Activate of what Prepare gave: %v", err)
	}
}

// Bundles live as long as their records: what was used once is found by its hash ever after.
func TestStoreKeepsWhatWasUsed(t *testing.T) {
	cfg := config(t)
	cfg.Store = filepath.Join(t.TempDir(), "state", "bundles")
	r := open(t, cfg)
	var hashes [][32]byte
	for i := range 9 { // more than are kept in memory
		b, err := r.Use(version(t, fmt.Sprint(i+1)))
		if err != nil {
			t.Fatal(err)
		}
		hashes = append(hashes, b.Hash)
	}
	check := func(r *registry.Registry) {
		t.Helper()
		for i, h := range hashes {
			b, err := r.Get(h)
			if err != nil || b.Hash != h || b.Version != fmt.Sprint(i+1) {
				t.Errorf("version %d: got %v, %v", i+1, b, err)
			}
		}
	}
	check(r)
	// A process that dies while it writes a bundle leaves a directory that was never moved into its place.
	torn := filepath.Join(cfg.Store, ".new-123")
	if err := os.Mkdir(torn, 0o700); err != nil {
		t.Fatal(err)
	}
	checkActivate(t, r, version(t, "8"), cfg)
	r = open(t, cfg)
	if _, err := os.Stat(torn); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was left of a torn copy is still there: %v", err)
	}
	if r.Active() != nil {
		t.Error("the store has no say in what is active")
	}
	check(r)
	entries, err := os.ReadDir(cfg.Store)
	if err != nil || len(entries) != len(hashes)+1 { // and the costs
		t.Errorf("the store has %d entries (%v), want %d", len(entries), err, len(hashes)+1)
	}
}

func TestDamagedStore(t *testing.T) {
	cfg := config(t)
	cfg.Store = t.TempDir()
	b, err := open(t, cfg).Use(tiny)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(cfg.Store, fmt.Sprintf("%x", b.Hash), "thresholds.yaml")
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, append(text, ' '), 0o600); err != nil {
		t.Fatal(err)
	}
	r := open(t, cfg)
	if _, err := r.Get(b.Hash); err == nil || !strings.Contains(err.Error(), `"thresholds.yaml" has`) {
		t.Errorf("Get of a damaged copy: got %v", err)
	}
	if _, err := r.Use(tiny); err == nil || !strings.Contains(err.Error(), "is damaged (take it away to have it written anew)") {
		t.Errorf("Use over a damaged copy: got %v", err)
	}
	if r.Active() != nil {
		t.Error("a bundle that could not be kept is active")
	}
}

func TestOpenRefuses(t *testing.T) {
	if _, err := registry.Open(registry.Config{}); err == nil || !strings.Contains(err.Error(), "Config.Kinds is needed") {
		t.Errorf("without kinds: got %v", err)
	}
	cfg := config(t)
	cfg.Store = filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(cfg.Store, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.Open(cfg); err == nil || !strings.Contains(err.Error(), "cannot open the registry's store") {
		t.Errorf("a file as the store: got %v", err)
	}
}

// A decision takes the active bundle once, and it is whole: while bundles are swapped, every reader sees one of them.
func TestSwapIsAtomic(t *testing.T) {
	r := open(t, config(t))
	dirs := []string{tiny, version(t, "2")}
	if _, err := r.Use(dirs[0]); err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
				}
				b := r.Active()
				if got, err := r.Get(b.Hash); err != nil || got != b {
					t.Errorf("the active bundle %v is not to be had by its hash: %v", b.Ref, err)
					return
				}
			}
		})
	}
	for i := range 10 {
		if _, err := r.Use(dirs[i%2]); err != nil {
			t.Error(err)
		}
	}
	close(done)
	wg.Wait()
}
