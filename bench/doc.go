// Package bench is the fixture of the feature store's figures: the feature set gaming64 and the events of simulated
// players, any number of them, the same every time.
//
// It measures nothing by itself: its benchmarks and `pitboss bench` do. Nothing that serves imports it. Start reading at
// Players.
package bench

import (
	_ "embed" // the feature set
	"fmt"

	"pitboss/features"
)

// Gaming64 is the feature set's file.
//
//go:embed gaming64.yaml
var Gaming64 []byte

// CompileGaming64 gives the feature set.
func CompileGaming64(kinds *features.Kinds) (*features.Set, error) {
	set, err := features.CompileSet(Gaming64, "bench/gaming64.yaml", features.CompileOptions{Kinds: kinds})
	if err != nil {
		return nil, fmt.Errorf("cannot compile the fixture's feature set: %w", err)
	}
	return set, nil
}
