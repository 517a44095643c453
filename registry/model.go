package registry

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"pitboss/models"
	"pitboss/models/onnxruntime"
)

// ErrNotServable says that a bundle is sound, and must not decide: Bundle.Servable has the reason.
var ErrNotServable = errors.New("must not decide")

// addModel loads the model and finds its features in the set.
func (b *Bundle) addModel(c *contents, cfg Config) error {
	var err error
	if b.Model, err = b.loadModel(c, cfg); err != nil {
		return fmt.Errorf("cannot read %q: %w", c.manifest.Model.File, err)
	}
	info := b.Model.Info()
	switch {
	case info.Format != c.manifest.Model.Format:
		return fmt.Errorf("cannot use %q: it is %s, and %s says %s", c.manifest.Model.File, info.Format, ManifestName, c.manifest.Model.Format)
	case info.Outputs != 1:
		return fmt.Errorf("cannot use %q: it has %d outputs; a decision needs one margin", c.manifest.Model.File, info.Outputs)
	}
	if b.names == nil {
		if err = b.addColumns(info.FeatureNames(), c.manifest.Model.Columns); err != nil {
			return fmt.Errorf("cannot use %q: %w", c.manifest.Model.File, err)
		}
	}
	b.allowUnexplained = c.manifest.AllowUnexplained
	return nil
}

// addColumns finds the model's columns in the set, by its own names or those of the manifest.
func (b *Bundle) addColumns(own, said []string) (err error) {
	if b.names, err = columnNames(own, said); err != nil {
		return fmt.Errorf("model.columns: %w", err)
	}
	if b.Columns, err = mapColumns(b.names, b.Set.Features); err != nil {
		return err
	}
	b.columnOf = make([]int, len(b.Set.Features))
	for i := range b.columnOf {
		b.columnOf[i] = -1
	}
	for i, at := range b.Columns {
		b.columnOf[at] = i
	}
	return nil
}

// loadModel gives the model to the engine that the manifest asks for. Where contributions go by the reference sample, that is read
// when its columns are known.
func (b *Bundle) loadModel(c *contents, cfg Config) (models.Model, error) {
	m := c.manifest
	if m.Model.Backend == backendONNXRuntime {
		o := onnxruntime.Options{Columns: m.Model.Columns, Limits: cfg.limits(), TryOn: func(columns []string) [][]float64 {
			rows, _ := parseGolden(m.Golden.File, c.files[m.Golden.File], columns, m.Golden.Rows, true) // what is wrong with it is said when it is compared
			return goldenInputs(rows)
		}}
		model, err := onnxruntime.Load(c.files[m.Model.File], tryOnce(cfg.Store, c.hash, cfg.ONNXRuntime), o)
		return model, err //nolint:wrapcheck // addModel names the file
	}
	o := models.Options{Limits: cfg.limits(), Names: m.Model.Columns}
	if m.byReference() {
		o.ReferenceFrom = func(columns []string) ([][]float64, error) {
			if err := b.addColumns(columns, m.Model.Columns); err != nil {
				return nil, err
			}
			err := b.addReference(c)
			return b.Reference, err
		}
	}
	model, err := models.LoadWith(c.files[m.Model.File], o)
	if errors.Is(err, models.ErrUnsupported) && m.Model.Format == models.FormatONNX {
		return nil, fmt.Errorf("%w; model.backend: %s may run it", err, backendONNXRuntime)
	}
	return model, err //nolint:wrapcheck // addModel names the file
}

// columnNames gives the names of a model's columns: its own, or for a file that names none those of the manifest.
func columnNames(own, said []string) ([]string, error) {
	if said == nil || slices.Equal(own, said) {
		return own, nil
	}
	if len(own) != len(said) {
		return nil, fmt.Errorf("the model has %d columns, and %d are named", len(own), len(said))
	}
	for i, name := range own {
		if name != "f"+strconv.Itoa(i) {
			return nil, fmt.Errorf("the model itself calls its column %d %.64q", i, name)
		}
	}
	return said, nil
}

// Servable says what keeps a bundle from being the one that decides, nil if nothing does: a model without exact contributions
// that the manifest does not allow (allow_unexplained), or one whose row may take longer than maxRow, where that is not 0: a
// model cannot be interrupted. It wraps ErrNotServable. Such a bundle is loaded all the same, to replay old records.
func (b *Bundle) Servable(maxRow time.Duration) error {
	info := b.Model.Info()
	if info.Unexplainable != "" && !b.allowUnexplained {
		return fmt.Errorf("bundle %q %s: %w: its decisions would have no reasons (%s); allow_unexplained: true in %s allows it",
			b.Name, b.Version, ErrNotServable, info.Unexplainable, ManifestName)
	}
	price := time.Duration(info.Cost.PredictMicros * float64(time.Microsecond))
	if maxRow > 0 && price > maxRow {
		return fmt.Errorf("bundle %q %s: %w: a row takes %v, and at most %v may be taken: a model cannot be interrupted",
			b.Name, b.Version, ErrNotServable, price.Round(time.Microsecond), maxRow)
	}
	return nil
}
