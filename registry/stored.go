package registry

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"slices"

	"pitboss/models"
)

// costsDir, in the store, has a note for each bundle of what its model costs, as it was predicted when the bundle was last used:
// what no manifest can say, since the price is that of the build that serves.
const costsDir = "costs"

// cost is a note of costsDir.
type cost struct {
	PredictMicros float64 `json:"predict_micros"`
	ExplainMicros float64 `json:"explain_micros"`
	Bytes         int     `json:"bytes"`
}

// noteCost writes what the bundle's model costs beside its copy, where that is not written already.
func noteCost(store string, b *Bundle) error {
	info := b.Model.Info()
	text, err := json.Marshal(cost{info.Cost.PredictMicros, info.Cost.ExplainMicros, info.Bytes})
	if err != nil {
		return fmt.Errorf("a price that is no number: %w", err)
	}
	text = append(text, '\n')
	name := hex.EncodeToString(b.Hash[:])
	if old, err := os.ReadFile(filepath.Join(store, costsDir, name)); err == nil && bytes.Equal(old, text) {
		return nil
	}
	return writeNote(store, costsDir, name, string(text))
}

// Stored is a bundle of the store, as far as it is known without loading it.
type Stored struct {
	Name, Version string
	Hash          [32]byte
	Format        models.Format
	// Cost is the predicted price of a row and Bytes the size of the compiled model, as the build predicted them that used the
	// bundle last; Priced is false where none has written it down.
	Cost   models.Cost
	Bytes  int
	Priced bool
}

// ListStored gives the bundles of a store by name, version and hash. It compiles nothing and writes nothing; a store that was never
// made has none. A copy whose manifest is not what its name says is an error.
func ListStored(store string) ([]Stored, error) {
	entries, err := os.ReadDir(store)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	} else if err != nil {
		return nil, fmt.Errorf("cannot list the store: %w", err)
	}
	var list []Stored
	for _, e := range entries {
		hash, err := hex.DecodeString(e.Name())
		if err != nil || len(hash) != 32 {
			continue // notes, and what is being written
		}
		s, err := readStored(store, [32]byte(hash))
		if err != nil {
			return nil, fmt.Errorf("the copy %q is damaged: %w", filepath.Join(store, e.Name()), err)
		}
		list = append(list, s)
	}
	slices.SortFunc(list, func(a, b Stored) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Version, b.Version), bytes.Compare(a.Hash[:], b.Hash[:]))
	})
	return list, nil
}

func readStored(store string, hash [32]byte) (_ Stored, err error) {
	name := hex.EncodeToString(hash[:])
	root, err := os.OpenRoot(filepath.Join(store, name))
	if err != nil {
		return Stored{}, fmt.Errorf("cannot open its directory: %w", err)
	}
	defer func() { err = errors.Join(err, root.Close()) }()
	data, err := readFile(root, ManifestName, maxManifestBytes)
	if err != nil {
		return Stored{}, err
	}
	if got := sha256.Sum256(data); got != hash {
		return Stored{}, fmt.Errorf("its hash is %x", got)
	}
	m, err := parseManifest(data, math.MaxInt64)
	if err != nil {
		return Stored{}, err
	}
	s := Stored{Name: m.Name, Version: m.Version, Hash: hash, Format: m.Model.Format}
	var c cost
	if text, err := os.ReadFile(filepath.Join(store, costsDir, name)); err == nil && json.Unmarshal(text, &c) == nil {
		s.Cost, s.Bytes, s.Priced = models.Cost{PredictMicros: c.PredictMicros, ExplainMicros: c.ExplainMicros}, c.Bytes, true
	}
	return s, nil
}
