package registry

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"pitboss/features"
	"pitboss/models"
	pb "pitboss/proto/pitboss/v1"
)

// compile builds a bundle of its files, from the feature set outwards: each part is checked against those before it.
func compile(c *contents, cfg Config) (*Bundle, error) {
	m := c.manifest
	b := &Bundle{
		Name: m.Name, Version: m.Version, Hash: c.hash,
		Ref: &pb.ModelRef{Name: m.Name, Version: m.Version, BundleHash: hex.EncodeToString(c.hash[:]), Role: "champion"},
	}
	var err error
	opt := features.CompileOptions{Kinds: cfg.Kinds, Sources: cfg.Sources}
	if b.Set, err = features.CompileSet(c.files[m.Features.File], m.Features.File, opt); err != nil {
		return nil, fmt.Errorf("cannot compile its feature set: %w", err)
	}
	err = b.addModel(c, cfg)
	if err != nil {
		return nil, err
	}
	err = b.addSamples(c)
	if err != nil {
		return nil, err
	}
	b.CalibrationHash = sha256.Sum256(c.files[m.Calibration.File])
	if b.Calibration, err = models.ParseCalibration(c.files[m.Calibration.File]); err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", m.Calibration.File, err)
	}
	if b.Calibration.NeedsProbability() && !b.Model.Info().Probability {
		return nil, fmt.Errorf("cannot use %q: calibration %q needs a model whose score is a probability, and this one has the objective %q",
			m.Calibration.File, b.Calibration.Kind(), b.Model.Info().Objective)
	}
	if b.Policy, err = parsePolicy(m.Thresholds.File, c.files[m.Thresholds.File], cfg.Kinds); err != nil {
		return nil, err
	}
	if b.Reasons, err = parseReasons(m.Reasons.File, c.files[m.Reasons.File], b.Set.Features, b.Columns, b.Profile != nil); err != nil {
		return nil, err
	}
	b.addLanguages()
	info := b.Model.Info()
	rows, err := parseGolden(m.Golden.File, c.files[m.Golden.File], b.names, m.Golden.Rows, info.Unexplainable != "" || info.Reference > 0)
	if err != nil {
		return nil, err
	}
	if err = b.checkGolden(rows); err != nil {
		return nil, fmt.Errorf("it does not give here what it gave its trainer: %w", err)
	}
	if b.Leaves, err = models.CheckWithLeaves(b.Model, c.files[m.Model.File], goldenInputs(rows)); err != nil {
		return nil, fmt.Errorf("an independent implementation scores %q otherwise: %w", m.Model.File, err)
	}
	return b, nil
}

// addSamples reads what the bundle knows of its training rows.
func (b *Bundle) addSamples(c *contents) (err error) {
	if f := c.manifest.Profile; f != nil {
		if b.Profile, err = parseProfile(f.File, c.files[f.File], b.names); err != nil {
			return err
		}
	}
	if c.manifest.Reference != nil && b.Reference == nil {
		return b.addReference(c)
	}
	return nil
}

// addReference reads the reference sample.
func (b *Bundle) addReference(c *contents) (err error) {
	f := c.manifest.Reference
	b.Reference, err = parseReference(f.File, c.files[f.File], b.names)
	return err
}
