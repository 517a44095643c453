package registry

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"sort"
)

// maxProfilePoints bounds the points of one feature, maxProfileRows the rows that they count.
const (
	maxProfilePoints = 1024
	maxProfileRows   = 1 << 53
)

// Profile is the reference profile, profile.json: how the values of each feature of the model were distributed over the
// training rows.
type Profile struct {
	// Rows is how many training rows there were.
	Rows int64

	columns []profileColumn // in the model's order
}

// profileColumn is the distribution of one feature at some of its values; all of them where there were few.
type profileColumn struct {
	x      []float64 // ascending
	below  []int64   // rows with a value below x
	atMost []int64   // rows with a value of at most x
	rows   float64   // with any value
}

type profileFile struct {
	Format   int                  `json:"format"`
	Rows     int64                `json:"rows"`
	Features []profileFeatureFile `json:"features"`
}

type profileFeatureFile struct {
	Name    string    `json:"name"`
	Missing int64     `json:"missing"`
	X       []float64 `json:"x"`
	Below   []int64   `json:"below"`
	AtMost  []int64   `json:"at_most"`
}

// Percentile gives the percentile rank of a value, 0 to 100, for a column of the model: the share of the training rows
// with any value that have a lower one, and half of those with the same; between the profile's points it is linear. It is false for
// a missing value, and where no training row had one.
func (p *Profile) Percentile(column int, value float64) (float64, bool) {
	c := &p.columns[column]
	if value != value || len(c.x) == 0 {
		return 0, false
	}
	i := sort.SearchFloat64s(c.x, value) // the first point at or above
	switch {
	case i == len(c.x):
		return 100, true
	case c.x[i] == value:
		return float64(50*float64(c.below[i]+c.atMost[i])) / c.rows, true
	case i == 0:
		return 0, true
	}
	// Halves, so that points at both ends of the number line do not overflow.
	low := float64(c.x[i-1] / 2)
	share := (float64(value/2) - low) / (float64(c.x[i]/2) - low)
	from, to := float64(c.atMost[i-1]), float64(c.below[i])
	return float64(100*(from+float64(share*(to-from)))) / c.rows, true
}

// parseProfile reads profile.json for a model with these features.
func parseProfile(file string, data []byte, names []string) (*Profile, error) {
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var f profileFile
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", file, err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, fmt.Errorf("cannot read %q: something follows the object", file)
	}
	switch {
	case f.Format != 1:
		return nil, fmt.Errorf("cannot read %q: format is %d; this program reads 1", file, f.Format)
	case f.Rows < 1 || f.Rows > maxProfileRows:
		return nil, fmt.Errorf("cannot read %q: rows is %d, want 1 to %d", file, f.Rows, int64(maxProfileRows))
	case len(f.Features) != len(names):
		return nil, fmt.Errorf("cannot read %q: %d features, the model has %d", file, len(f.Features), len(names))
	}
	p := &Profile{Rows: f.Rows, columns: make([]profileColumn, len(names))}
	for i, name := range names {
		one := &f.Features[i]
		if one.Name != name {
			return nil, fmt.Errorf("cannot read %q: features[%d] is %.64q and must be %q, as in the model", file, i, one.Name, name)
		}
		var err error
		if p.columns[i], err = one.compile(f.Rows); err != nil {
			return nil, fmt.Errorf("cannot read %q: features[%d] %q: %w", file, i, name, err)
		}
	}
	return p, nil
}

// compile checks that the points are a distribution of all rows but the missing.
func (f *profileFeatureFile) compile(rows int64) (profileColumn, error) {
	n := len(f.X)
	if f.Missing < 0 || f.Missing > rows {
		return profileColumn{}, fmt.Errorf("missing is %d of %d rows", f.Missing, rows)
	}
	if n > maxProfilePoints || len(f.Below) != n || len(f.AtMost) != n {
		return profileColumn{}, fmt.Errorf("%d x, %d below and %d at_most: want as many of each, at most %d", n, len(f.Below), len(f.AtMost), maxProfilePoints)
	}
	present := rows - f.Missing
	if n == 0 {
		if present != 0 {
			return profileColumn{}, fmt.Errorf("no x, and %d rows with a value", present)
		}
		return profileColumn{}, nil
	}
	last := int64(0)
	for i, x := range f.X {
		switch {
		case math.IsNaN(x) || math.IsInf(x, 0) || i > 0 && x <= f.X[i-1]:
			return profileColumn{}, fmt.Errorf("x[%d] is %v, want a number above the one before", i, x)
		case f.Below[i] < last || f.AtMost[i] <= f.Below[i]:
			return profileColumn{}, fmt.Errorf("at x[%d] %d rows are below and %d at most that, with %d at most the one before",
				i, f.Below[i], f.AtMost[i], last)
		}
		last = f.AtMost[i]
	}
	if f.Below[0] != 0 || last != present {
		return profileColumn{}, fmt.Errorf("%d rows are below the first x and %d at most the last, want 0 and %d", f.Below[0], last, present)
	}
	return profileColumn{x: f.X, below: f.Below, atMost: f.AtMost, rows: float64(present)}, nil
}
