package registry

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"

	"pitboss/models"
)

// maxGoldenRows bounds golden.csv.
const maxGoldenRows = 256

// scoreTolerance is how far from the trainer's own calibrated probability a bundle's may be; inexactTolerance how far, and a
// margin too, that of a model whose bits are not the same on every machine may be.
const (
	scoreTolerance   = 1e-12
	inexactTolerance = 1e-5
)

// tolerances are how far from the trainer's figures a bundle may be: train/BUNDLE.md says the same.
type tolerances struct {
	margin       float64 // of the larger of 1 and the margin; 0 for the same bits
	score        float64
	contribution float64 // of the largest contribution of the row, and of the base
}

// tolerancesOf gives those of a library. LightGBM computes in float64. XGBoost does so in float32, and its margins begin
// with a logarithm of base_score by the C library of the trainer's machine, whose last bit is its own.
func tolerancesOf(format models.Format) tolerances {
	switch format {
	case models.FormatXGBoost:
		return tolerances{margin: 1e-6, score: scoreTolerance, contribution: 2e-5}
	case models.FormatONNX:
		return tolerances{margin: inexactTolerance, score: inexactTolerance, contribution: 2e-5}
	default:
		return tolerances{score: scoreTolerance, contribution: 1e-9}
	}
}

// libraryOf names a library in messages.
func libraryOf(format models.Format) string {
	switch format {
	case models.FormatXGBoost:
		return "XGBoost"
	case models.FormatONNX:
		return "what explained them"
	default:
		return "LightGBM"
	}
}

// GoldenError says where a bundle does not give what its trainer wrote down. The bundle is refused: what would be
// served is not what was trained.
type GoldenError struct {
	// Row counts from 1, without the header.
	Row int
	// Value names the column: margin, score, base or contrib_<feature>.
	Value string
	// Got is ours, Want the trainer's; Tolerance is how far they may be apart, 0 for the same bits.
	Got, Want, Tolerance float64
}

// Error names row, value, both figures and the tolerance.
func (e *GoldenError) Error() string {
	return fmt.Sprintf("golden row %d: %s is %v here and %v by the trainer (tolerance %v)", e.Row, e.Value, e.Got, e.Want,
		e.Tolerance)
}

// goldenRow is one row with the trainer's own figures.
type goldenRow struct {
	row                 []float64
	margin, score, base float64
	contributions       []float64
}

// parseGolden reads golden.csv for a model with these features. Base and contributions may be left out where the trainer's library
// may know nothing of them (optional): of a model that explains nothing, or only by a reference sample.
func parseGolden(file string, data []byte, names []string, rows int, optional bool) ([]goldenRow, error) {
	want := goldenHeader(names)
	r := csv.NewReader(bytes.NewReader(data))
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: header: %w", file, err)
	}
	if optional && len(header) == len(names)+2 {
		want = want[:len(header)]
	}
	if len(header) != len(want) {
		return nil, fmt.Errorf("cannot read %q: header: %d columns; the model has %d features, so that there must be %d", file, len(header), len(names), len(want))
	}
	for i, want := range want {
		if header[i] != want {
			return nil, fmt.Errorf("cannot read %q: column %d is %q and must be %q", file, i+1, header[i], want)
		}
	}
	var out []goldenRow
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read %q: %w", file, err)
		}
		if len(out) == rows {
			return nil, fmt.Errorf("cannot read %q: more rows than the %d that %s says", file, rows, ManifestName)
		}
		row, err := parseGoldenRow(record, len(names))
		if err != nil {
			return nil, fmt.Errorf("cannot read %q: row %d: %w", file, len(out)+1, err)
		}
		out = append(out, row)
	}
	if len(out) != rows {
		return nil, fmt.Errorf("cannot read %q: %d rows; %s says %d", file, len(out), ManifestName, rows)
	}
	return out, nil
}

func goldenHeader(names []string) []string {
	header := append(slices.Clone(names), "margin", "score", "base")
	for _, n := range names {
		header = append(header, "contrib_"+n)
	}
	return header
}

// parseNumbers reads the cells of a row; those of the first features columns may be empty, for a missing value.
func parseNumbers(record []string, features int) ([]float64, error) {
	values := make([]float64, len(record))
	for i, cell := range record {
		if cell == "" && i < features {
			values[i] = math.NaN()
			continue
		}
		v, err := strconv.ParseFloat(cell, 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
			return nil, fmt.Errorf("column %d: %.32q is not a finite number", i+1, cell)
		}
		values[i] = v
	}
	return values, nil
}

func parseGoldenRow(record []string, n int) (goldenRow, error) {
	values, err := parseNumbers(record, n)
	if err != nil {
		return goldenRow{}, err
	}
	g := goldenRow{row: values[:n], margin: values[n], score: values[n+1]}
	if len(values) > n+2 {
		g.base, g.contributions = values[n+2], values[n+3:]
	}
	return g, nil
}

func goldenInputs(rows []goldenRow) [][]float64 {
	out := make([][]float64, len(rows))
	for i := range rows {
		out[i] = rows[i].row
	}
	return out
}

// checkGolden scores the rows again and gives the first difference as a *GoldenError.
func (b *Bundle) checkGolden(rows []goldenRow) error {
	var s models.Scratch
	var margin, leaves, work [1]float64
	contributions := make([]float64, len(b.Columns))
	for i := range rows {
		g := &rows[i]
		if err := b.Model.Predict(g.row, &s, margin[:]); err != nil {
			return fmt.Errorf("golden row %d: %w", i+1, err)
		}
		if t := float64(b.tolerances().margin * math.Max(1, math.Abs(g.margin))); !same(margin[0], g.margin, t) {
			return &GoldenError{i + 1, "margin", margin[0], g.margin, t}
		}
		score, err := b.Score(margin[0], work[:])
		if err != nil {
			return fmt.Errorf("golden row %d: %w", i+1, err)
		}
		if t := b.tolerances().score; !within(score, g.score, t) {
			return &GoldenError{i + 1, "score", score, g.score, t}
		}
		if b.Model.Info().Unexplainable != "" {
			continue
		}
		if err := b.Model.Explain(g.row, &s, leaves[:], contributions); err != nil {
			return fmt.Errorf("golden row %d: %w", i+1, err)
		}
		if g.contributions == nil {
			continue
		}
		if err := b.checkContributions(i+1, g, contributions); err != nil {
			if sum := g.checkSum(b.Model.Info().Format); sum != nil {
				return fmt.Errorf("%w; %w", err, sum)
			}
			return err
		}
	}
	return nil
}

// checkSum says when it is the trainer's figures that are wrong. LightGBM's TreeSHAP loses its digits on paths of some 40
// features or more; base and contributions then miss the margin.
func (g *goldenRow) checkSum(format models.Format) error {
	sum, scale := g.base, math.Max(1, math.Abs(g.margin))
	for _, c := range g.contributions {
		sum += c
		scale = math.Max(scale, math.Abs(c))
	}
	if within(sum, g.margin, float64(tolerancesOf(format).contribution*scale)) {
		return nil
	}
	return fmt.Errorf("the trainer's own base and contributions add up to %v and its margin is %v: "+
		"%s cannot explain trees that deep; train with fewer leaves or a max_depth", sum, g.margin, libraryOf(format))
}

func (b *Bundle) checkContributions(row int, g *goldenRow, got []float64) error {
	base, tolerance := b.Model.Info().Base[0], b.tolerances().contribution
	if t := float64(tolerance * math.Max(1, math.Abs(g.base))); !within(base, g.base, t) {
		return &GoldenError{row, "base", base, g.base, t}
	}
	largest := 1.0
	for _, c := range g.contributions {
		largest = math.Max(largest, math.Abs(c))
	}
	for i, want := range g.contributions {
		if t := float64(tolerance * largest); !within(got[i], want, t) {
			return &GoldenError{row, "contrib_" + b.names[i], got[i], want, t}
		}
	}
	return nil
}

func (b *Bundle) tolerances() tolerances {
	if b.Model.Info().Tolerance > 0 {
		return tolerances{margin: inexactTolerance, score: inexactTolerance}
	}
	return tolerancesOf(b.Model.Info().Format)
}

// same compares bits where nothing else is tolerated.
func same(got, want, tolerance float64) bool {
	if tolerance == 0 {
		return math.Float64bits(got) == math.Float64bits(want)
	}
	return within(got, want, tolerance)
}

// within is false where one of the two is NaN.
func within(got, want, tolerance float64) bool { return math.Abs(got-want) <= tolerance }
