package registry_test

import (
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"pitboss/models"
	"pitboss/registry"
)

// TestListStored holds that a store tells of its bundles what they cost without loading them, that a note which is not there, or no
// note at all, is no price, and that a copy which is not what its name says is an error.
func TestListStored(t *testing.T) {
	cfg := config(t)
	cfg.Store = filepath.Join(t.TempDir(), "bundles")
	if list, err := registry.ListStored(cfg.Store); err != nil || len(list) > 0 {
		t.Fatalf("of a store that was never made: %v, %v", list, err)
	}
	r := open(t, cfg)
	second, err := r.Use(version(t, "2"))
	if err != nil {
		t.Fatal(err)
	}
	first, err := r.Use(tiny)
	if err != nil {
		t.Fatal(err)
	}
	check := func(priced bool) {
		t.Helper()
		list, err := registry.ListStored(cfg.Store)
		if err != nil || len(list) != 2 {
			t.Fatalf("got %v, %v", list, err)
		}
		for i, b := range []*registry.Bundle{first, second} {
			info := b.Model.Info()
			want := registry.Stored{Name: b.Name, Version: b.Version, Hash: b.Hash, Format: info.Format, Cost: info.Cost, Bytes: info.Bytes, Priced: true}
			if i == 0 && !priced {
				want.Cost, want.Bytes, want.Priced = models.Cost{}, 0, false
			}
			if list[i] != want {
				t.Errorf("got %+v, want %+v", list[i], want)
			}
		}
	}
	check(true)
	note := filepath.Join(cfg.Store, "costs", hex.EncodeToString(first.Hash[:]))
	for _, text := range []string{"", "{", `{"predict_micros": "x"}`} {
		if err := os.WriteFile(note, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		check(false)
	}
	if _, err := r.Use(tiny); err != nil { // writes it anew
		t.Fatal(err)
	}
	check(true)
	if err := os.Remove(note); err != nil {
		t.Fatal(err)
	}
	check(false)
	manifest := filepath.Join(cfg.Store, hex.EncodeToString(first.Hash[:]), registry.ManifestName)
	if err := os.WriteFile(manifest, []byte("format: 1\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := registry.ListStored(cfg.Store); err == nil || !strings.Contains(err.Error(), "is damaged") {
		t.Errorf("a changed manifest: got %v", err)
	}
}
