package models

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sort"

	"pitboss/floats"
)

// CalibrationKind says how margins become calibrated probabilities.
type CalibrationKind string

// The kinds of calibration; train/BUNDLE.md has their formulas.
const (
	// CalibrationIdentity keeps the model's own score, which must be a probability.
	CalibrationIdentity CalibrationKind = "identity"
	// CalibrationPlatt is a logistic function of the margin (Platt 1999).
	CalibrationPlatt CalibrationKind = "platt"
	// CalibrationIsotonic is piecewise linear in the margin, never falling, flat outside its knots.
	CalibrationIsotonic CalibrationKind = "isotonic"
	// CalibrationBeta is the beta calibration of Kull et al. 2017 on the model's own score.
	CalibrationBeta CalibrationKind = "beta"
)

const (
	calibrationFormat   = 1
	maxCalibrationBytes = 1 << 20
	maxKnots            = 4096
)

// Calibration turns a margin and the model's own score into a probability. It is a value that never
// changes, safe for concurrent use. The same inputs give the same bits everywhere.
type Calibration struct {
	kind    CalibrationKind
	a, b, c float64
	x, y    []float64
}

// calibrationFile is calibration.json.
type calibrationFile struct {
	Format int             `json:"format"`
	Kind   CalibrationKind `json:"kind"`
	A      *float64        `json:"a,omitempty"`
	B      *float64        `json:"b,omitempty"`
	C      *float64        `json:"c,omitempty"`
	X      []float64       `json:"x,omitempty"`
	Y      []float64       `json:"y,omitempty"`
}

// ParseCalibration reads calibration.json. Unknown keys, keys of another kind, and values that could
// give anything but a probability that never falls with the margin are errors.
func ParseCalibration(data []byte) (*Calibration, error) {
	if len(data) > maxCalibrationBytes {
		return nil, fmt.Errorf("cannot read a calibration of %d bytes, at most %d: %w", len(data), maxCalibrationBytes, ErrLimit)
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	var f calibrationFile
	if err := d.Decode(&f); err != nil {
		return nil, fmt.Errorf("cannot read calibration: %w", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("cannot read calibration: something follows the object")
	}
	if f.Format != calibrationFormat {
		return nil, fmt.Errorf("cannot read calibration: format %d, want %d", f.Format, calibrationFormat)
	}
	c, err := f.check()
	if err != nil {
		return nil, fmt.Errorf("cannot use calibration %q: %w", f.Kind, err)
	}
	return c, nil
}

// check makes a Calibration of a file that has exactly the keys of its kind.
func (f *calibrationFile) check() (*Calibration, error) {
	c := &Calibration{kind: f.Kind, x: f.X, y: f.Y}
	wantA, wantB, wantC, wantKnots := false, false, false, false
	switch f.Kind {
	case CalibrationIdentity:
	case CalibrationPlatt:
		wantA, wantB = true, true
	case CalibrationIsotonic:
		wantKnots = true
	case CalibrationBeta:
		wantA, wantB, wantC = true, true, true
	default:
		return nil, ErrUnsupported
	}
	for _, p := range []struct {
		name string
		from *float64
		to   *float64
		want bool
	}{{"a", f.A, &c.a, wantA}, {"b", f.B, &c.b, wantB}, {"c", f.C, &c.c, wantC}} {
		if (p.from != nil) != p.want {
			return nil, fmt.Errorf("key %q is there: %v, wanted: %v", p.name, p.from != nil, p.want)
		}
		if p.from != nil {
			*p.to = *p.from
		}
	}
	if !wantKnots && (f.X != nil || f.Y != nil) {
		return nil, errors.New("it has knots")
	}
	if err := c.validate(); err != nil {
		return nil, err
	}
	return c, nil
}

// validate makes sure that the result is a probability and never falls when the margin rises.
func (c *Calibration) validate() error {
	switch c.kind {
	case CalibrationIdentity:
	case CalibrationPlatt:
		if !(c.a > 0) {
			return fmt.Errorf("a is %v, want more than 0: the score would fall with the margin", c.a)
		}
	case CalibrationBeta:
		if !(c.a >= 0 && c.b >= 0 && c.a+c.b > 0) {
			return fmt.Errorf("a is %v and b is %v, want both at least 0 and one more: the score would fall with the margin", c.a, c.b)
		}
	case CalibrationIsotonic:
		return c.validateKnots()
	}
	return nil
}

func (c *Calibration) validateKnots() error {
	n := len(c.x)
	if n == 0 || n != len(c.y) || n > maxKnots {
		return fmt.Errorf("%d x and %d y, want as many of both, 1 to %d", n, len(c.y), maxKnots)
	}
	for i := range n {
		if !(c.y[i] >= 0 && c.y[i] <= 1) {
			return fmt.Errorf("y[%d] is %v, want 0 to 1", i, c.y[i])
		}
		if i > 0 && !(c.x[i] > c.x[i-1]) {
			return fmt.Errorf("x[%d] is %v after %v, want more", i, c.x[i], c.x[i-1])
		}
		if i > 0 && c.y[i] < c.y[i-1] {
			return fmt.Errorf("y[%d] is %v after %v, want no less", i, c.y[i], c.y[i-1])
		}
	}
	return nil
}

// Kind returns the kind of calibration.
func (c *Calibration) Kind() CalibrationKind { return c.kind }

// NeedsProbability says that Apply uses the model's own score, which then has to be a probability
// (Info.Probability).
func (c *Calibration) NeedsProbability() bool {
	return c.kind == CalibrationIdentity || c.kind == CalibrationBeta
}

// Apply returns the calibrated probability of a row with the given margin and own score (of one
// output). It fails when the inputs are not numbers, or when the score is needed and is no probability.
func (c *Calibration) Apply(margin, score float64) (float64, error) {
	if margin != margin || c.NeedsProbability() && !(score >= 0 && score <= 1) {
		return 0, fmt.Errorf("cannot calibrate margin %v and score %v: not a probability", margin, score)
	}
	switch c.kind {
	case CalibrationPlatt:
		return logistic(float64(c.a*margin) + c.b), nil
	case CalibrationIsotonic:
		return c.interpolate(margin), nil
	case CalibrationBeta:
		return c.beta(score), nil
	default:
		return score, nil
	}
}

// beta is 1/(1+exp(-(a*ln(s) - b*ln(1-s) + c))). At the ends, where a logarithm is infinite, the limit is
// taken unless its parameter is 0.
func (c *Calibration) beta(s float64) float64 {
	z := c.c
	if c.a != 0 {
		z += float64(c.a * floats.Log(s))
	}
	if c.b != 0 {
		z -= float64(c.b * floats.Log(1-s))
	}
	return logistic(z)
}

func (c *Calibration) interpolate(margin float64) float64 {
	n := len(c.x)
	i := sort.SearchFloat64s(c.x, margin) // the first knot at or above
	if i == 0 {
		return c.y[0]
	}
	if i == n {
		return c.y[n-1]
	}
	x0, y0, x1, y1 := c.x[i-1], c.y[i-1], c.x[i], c.y[i]
	// Halves, so that knots at both ends of the number line do not overflow.
	left := float64(x0 / 2)
	share := (float64(margin/2) - left) / (float64(x1/2) - left)
	return min(max(y0+float64(share*(y1-y0)), y0), y1)
}

// MarshalJSON writes calibration.json.
func (c *Calibration) MarshalJSON() ([]byte, error) {
	f := calibrationFile{Format: calibrationFormat, Kind: c.kind, X: c.x, Y: c.y}
	if c.kind == CalibrationPlatt || c.kind == CalibrationBeta {
		f.A, f.B = &c.a, &c.b
	}
	if c.kind == CalibrationBeta {
		f.C = &c.c
	}
	out, err := json.Marshal(f)
	if err != nil {
		return nil, fmt.Errorf("cannot write calibration %q: %w", c.kind, err)
	}
	return out, nil
}

// IdentityCalibration returns the calibration that keeps the model's own score.
func IdentityCalibration() *Calibration { return &Calibration{kind: CalibrationIdentity} }
