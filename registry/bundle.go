package registry

import (
	"fmt"
	"strings"

	"pitboss/features"
	"pitboss/models"
	pb "pitboss/proto/pitboss/v1"
)

// Bundle is a model with all that belongs to it. It never changes: any number of goroutines may use it, and a decision
// that began with a bundle ends with it, whatever is swapped in meanwhile.
type Bundle struct {
	// Name and Version are the manifest's.
	Name, Version string
	// Hash is the SHA-256 of bundle.yaml, which holds the SHA-256 of every other file: the bundle's identity.
	Hash [32]byte
	// Set is the feature set that the vectors were and are computed with.
	Set *features.Set
	// Model scores rows of its own columns.
	Model models.Model
	// Columns has, for each column of the model, the feature's index in the set. The set may have more features.
	Columns []int
	// Calibration turns margins into probabilities; CalibrationHash is the SHA-256 of its file.
	Calibration     *models.Calibration
	CalibrationHash [32]byte
	// Policy says what follows from a score.
	Policy *Policy
	// Reasons words the contributions.
	Reasons *Reasons
	// Languages are those that every text of the bundle has; DefaultLanguage is one of them.
	Languages []string
	// Profile says how common a value of a feature was in training; nil where the bundle has none.
	Profile *Profile
	// Reference is a sample of training rows in the model's order, to compare other rows with; nil where the bundle has
	// none.
	Reference [][]float64
	// Leaves is what an independent implementation said of the model on the golden rows; it can be silent, but not of
	// another opinion.
	Leaves models.LeavesCheck
	// Ref is how decisions name the bundle. It is shared: nobody may change it.
	Ref *pb.ModelRef

	columnOf []int // by feature of the set: its column in the model, -1 where the model does not use it
	// names are those of the model's columns.
	names            []string
	allowUnexplained bool
	// stored says that the registry's store has it, so that what it decides can be replayed.
	stored bool
}

// Load reads, checks and compiles the bundle in a directory. Every file is held against bundle.yaml, every feature of
// the model against the feature set, and the golden rows are scored again, by an independent implementation too; whatever is
// wrong, the error says where.
func Load(dir string, cfg Config) (*Bundle, error) {
	b, _, err := load(dir, cfg)
	return b, err
}

func load(dir string, cfg Config) (*Bundle, *contents, error) {
	limits := cfg.limits()
	c, err := readBundle(dir, int64(limits.MaxFileBytes))
	if err != nil {
		return nil, nil, fmt.Errorf("cannot load bundle %q: %w", dir, err)
	}
	b, err := compile(c, cfg)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot load bundle %q: %w", dir, err)
	}
	return b, c, nil
}

// Score gives the calibrated probability of a margin. work is one float64 of working memory.
func (b *Bundle) Score(margin float64, work []float64) (float64, error) {
	work[0] = margin
	if err := b.Model.Score(work[:1], work[:1]); err != nil {
		return 0, fmt.Errorf("cannot score margin %v: %w", margin, err)
	}
	score, err := b.Calibration.Apply(margin, work[0])
	if err != nil {
		return 0, fmt.Errorf("cannot calibrate margin %v: %w", margin, err)
	}
	return score, nil
}

// Row gathers the model's columns from a vector in the feature set's order into row, which has len(Columns) values.
func (b *Bundle) Row(vector, row []float64) {
	for i, at := range b.Columns {
		row[i] = vector[at]
	}
}

// Percentile gives the percentile rank of a value among the training rows, 0 to 100. It is false for a missing value, a
// feature that the model does not use, and a bundle without a profile.
func (b *Bundle) Percentile(feature int, value float64) (float64, bool) {
	if b.Profile == nil || b.columnOf[feature] < 0 {
		return 0, false
	}
	return b.Profile.Percentile(b.columnOf[feature], value)
}

// mapColumns finds each feature of the model in the set, and names all that are not there.
func mapColumns(model []string, set []features.FeatureInfo) ([]int, error) {
	places := make(map[string]int, len(set))
	for i := range set {
		places[set[i].Name] = i
	}
	columns := make([]int, 0, len(model))
	var unknown []string
	for _, name := range model {
		at, ok := places[name]
		if !ok {
			unknown = append(unknown, fmt.Sprintf("%.64q", name))
			continue
		}
		columns = append(columns, at)
	}
	const shown = 20
	if n := len(unknown); n > shown {
		unknown = append(unknown[:shown], fmt.Sprintf("and %d more", n-shown))
	}
	if len(unknown) > 0 {
		return nil, fmt.Errorf("the model wants features that the feature set does not have: %s", strings.Join(unknown, ", "))
	}
	return columns, nil
}
