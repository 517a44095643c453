package registry

import (
	"encoding/hex"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"pitboss/models"
)

// ManifestName is the one file of a bundle whose name is fixed. Its SHA-256 is the bundle's identity: it holds the
// SHA-256 of every other file.
const ManifestName = "bundle.yaml"

var (
	bundleName    = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]{0,62}$`)
	bundleVersion = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$`)
	fileName      = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,126}$`)
)

// manifest is bundle.yaml.
type manifest struct {
	Format int    `yaml:"format"`
	Name   string `yaml:"name"`
	// Version is unique within the name.
	Version string `yaml:"version"`
	Model   struct {
		File   string        `yaml:"file"`
		Format models.Format `yaml:"format"`
		// Backend is what runs the model: native (default), or onnxruntime for format onnx.
		Backend string `yaml:"backend"`
		// Columns are the features that the model's columns hold, in order, where its file names none.
		Columns []string `yaml:"columns"`
		// Baseline is what contributions start from: model (default: the training rows, as the file counted them) or reference
		// (the reference sample; all that ONNX has).
		Baseline string `yaml:"baseline"`
	} `yaml:"model"`
	// AllowUnexplained lets a model decide that has no exact contributions.
	AllowUnexplained bool `yaml:"allow_unexplained"`

	Features    fileRef `yaml:"features"`
	Calibration fileRef `yaml:"calibration"`
	Thresholds  fileRef `yaml:"thresholds"`
	Reasons     fileRef `yaml:"reasons"`
	Golden      struct {
		File string `yaml:"file"`
		Rows int    `yaml:"rows"`
	} `yaml:"golden"`
	// Profile and Reference are nil where the bundle has none.
	Profile   *fileRef       `yaml:"profile"`
	Reference *fileRef       `yaml:"reference"`
	Files     []manifestFile `yaml:"files"`
	// CreatedFrom and Libraries are evidence for people; that they parse is all that is asked of them.
	CreatedFrom any `yaml:"created_from"`
	Libraries   any `yaml:"libraries"`
}

// modelFormats are those of a model that a bundle may have.
var modelFormats = []models.Format{models.FormatLightGBM, models.FormatXGBoost, models.FormatONNX}

// What may run a model, and what its contributions start from.
const (
	backendNative      = "native"
	backendONNXRuntime = "onnxruntime"

	baselineModel     = "model"
	baselineReference = "reference"
)

type fileRef struct {
	File string `yaml:"file"`
}

// manifestFile is one line of the list of files.
type manifestFile struct {
	Name   string `yaml:"name"`
	Size   int64  `yaml:"size"`
	SHA256 string `yaml:"sha256"`
}

// role is a part that a file plays in a bundle, with the most bytes it may have.
type role struct {
	name, file string
	limit      int64
}

// roles gives the parts of the bundle.
func (m *manifest) roles(modelLimit int64) []role {
	r := []role{
		{"model", m.Model.File, modelLimit},
		{"features", m.Features.File, 256 << 10},
		{"calibration", m.Calibration.File, 1 << 20},
		{"thresholds", m.Thresholds.File, 256 << 10},
		{"reasons", m.Reasons.File, 1 << 20},
		{"golden", m.Golden.File, 32 << 20},
	}
	if m.Profile != nil {
		r = append(r, role{"profile", m.Profile.File, 64 << 20})
	}
	if m.Reference != nil {
		r = append(r, role{"reference", m.Reference.File, 64 << 20})
	}
	return r
}

// parseManifest reads bundle.yaml and checks that it is complete in itself.
func parseManifest(data []byte, modelLimit int64) (*manifest, error) {
	var m manifest
	if err := decodeYAML(ManifestName, data, &m); err != nil {
		return nil, err
	}
	if err := m.check(modelLimit); err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", ManifestName, err)
	}
	return &m, nil
}

func (m *manifest) check(modelLimit int64) error {
	switch {
	case m.Format != 1:
		return fmt.Errorf("format is %d; this program reads 1", m.Format)
	case !bundleName.MatchString(m.Name):
		return fmt.Errorf("name: %q must match %s", m.Name, bundleName)
	case !bundleVersion.MatchString(m.Version):
		return fmt.Errorf("version: %q must match %s", m.Version, bundleVersion)
	case !slices.Contains(modelFormats, m.Model.Format):
		return fmt.Errorf("model.format: %q is not one of %s, %s, %s", m.Model.Format, modelFormats[0], modelFormats[1], modelFormats[2])
	case m.Model.Backend != "" && m.Model.Backend != backendNative && m.Model.Backend != backendONNXRuntime:
		return fmt.Errorf("model.backend: %q is not %s or %s", m.Model.Backend, backendNative, backendONNXRuntime)
	case m.Model.Backend == backendONNXRuntime && m.Model.Format != models.FormatONNX:
		return fmt.Errorf("model.backend: %s runs format %s, and this is %s", backendONNXRuntime, models.FormatONNX, m.Model.Format)
	case m.Model.Columns != nil && m.Model.Format != models.FormatONNX:
		return fmt.Errorf("model.columns: a file of %s names its columns itself", m.Model.Format)
	case m.Golden.Rows < 1 || m.Golden.Rows > maxGoldenRows:
		return fmt.Errorf("golden.rows: %d is not 1 to %d", m.Golden.Rows, maxGoldenRows)
	}
	if err := m.checkBaseline(); err != nil {
		return err
	}
	limits := map[string]int64{}
	for _, r := range m.roles(modelLimit) {
		if !fileName.MatchString(r.file) || strings.EqualFold(r.file, ManifestName) {
			return fmt.Errorf("%s.file: %q is not a plain file name (%s, not %s)", r.name, r.file, fileName, ManifestName)
		}
		if _, ok := limits[r.file]; ok {
			return fmt.Errorf("%s.file: %q plays another part already", r.name, r.file)
		}
		limits[r.file] = r.limit
	}
	return m.checkFiles(limits)
}

func (m *manifest) checkBaseline() error {
	switch b := m.Model.Baseline; {
	case b != "" && b != baselineModel && b != baselineReference:
		return fmt.Errorf("model.baseline: %q is not %s or %s", b, baselineModel, baselineReference)
	case b == baselineReference && m.Reference == nil:
		return fmt.Errorf("model.baseline: %s, and there is no reference sample (reference: {file: …})", b)
	case b != "" && m.Model.Backend == backendONNXRuntime:
		return fmt.Errorf("model.baseline: what %s runs has no contributions", backendONNXRuntime)
	case b == baselineModel && m.Model.Format == models.FormatONNX:
		return fmt.Errorf("model.baseline: a file of %s has counted no training rows", m.Model.Format)
	}
	return nil
}

// byReference says that contributions go by the reference sample.
func (m *manifest) byReference() bool {
	if m.Reference == nil || m.Model.Backend == backendONNXRuntime {
		return false
	}
	return m.Model.Baseline == baselineReference || m.Model.Format == models.FormatONNX
}

// checkFiles holds the list of files against the parts that they play.
func (m *manifest) checkFiles(limits map[string]int64) error {
	if !slices.IsSortedFunc(m.Files, func(a, b manifestFile) int { return strings.Compare(a.Name, b.Name) }) {
		return fmt.Errorf("files: must be sorted by name")
	}
	for i, f := range m.Files {
		limit, ok := limits[f.Name]
		switch {
		case !ok:
			return fmt.Errorf("files[%d]: %q plays no part in the bundle, or is there twice", i, f.Name)
		case f.Size < 0 || f.Size > limit:
			return fmt.Errorf("files[%d] %q: size %d is not 0 to %d", i, f.Name, f.Size, limit)
		}
		if raw, err := hex.DecodeString(f.SHA256); err != nil || len(raw) != 32 || strings.ToLower(f.SHA256) != f.SHA256 {
			return fmt.Errorf("files[%d] %q: sha256 %q is not 64 hex digits in lower case", i, f.Name, f.SHA256)
		}
		delete(limits, f.Name)
	}
	for _, r := range m.roles(0) {
		if _, ok := limits[r.file]; ok {
			return fmt.Errorf("files: %q (%s) is not listed", r.file, r.name)
		}
	}
	return nil
}
