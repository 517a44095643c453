package registry

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"

	"pitboss/features"
)

// Bounds on a catalogue.
const (
	maxReasons       = 1024
	maxReasonMembers = 4096
)

// missingSuffix makes the code of a reason whose strongest member has no value.
const missingSuffix = "_MISSING"

// Reason is one entry of the catalogue: a group of features that say the same thing, and how to word it.
type Reason struct {
	// Code is stable: consumers branch on it. MissingCode is the code where the strongest member is missing.
	Code, MissingCode string
	// Members are indexes into the feature set, in its order; only features that the model uses.
	Members []int
	// Text is for the analyst and may name {feature}, {value}, {baseline}, {percentile} and {share}; MissingText, which
	// stands in for it where the value is missing, {feature} and {share}.
	Text, MissingText Texts
	// Player may be shown to a player. It has no placeholders, so it can reveal no value.
	Player Texts
	// Immutable says that what the reason is about cannot be changed by anyone: never propose to.
	Immutable bool

	baselines map[int]float64
}

// Baseline gives the usual value of a feature, if the catalogue declares one.
func (r *Reason) Baseline(feature int) (float64, bool) {
	v, ok := r.baselines[feature]
	return v, ok
}

// Reasons is the catalogue, reasons.yaml: every feature of the model is in exactly one reason.
type Reasons struct {
	// List is in the order of the file.
	List []Reason
	// Phrases belong to no reason.
	Phrases Phrases

	ofFeature []int // by feature of the set: its reason in List, -1 where the model does not use it
}

// Of gives the reason that a feature of the set is in; nil where the model does not use it.
func (r *Reasons) Of(feature int) *Reason {
	if at := r.ofFeature[feature]; at >= 0 {
		return &r.List[at]
	}
	return nil
}

type reasonsFile struct {
	Format  int          `yaml:"format"`
	Reasons []reasonFile `yaml:"reasons"`
	Phrases phrasesFile  `yaml:"phrases"`
}

type reasonFile struct {
	Code        string             `yaml:"code"`
	Features    []string           `yaml:"features"`
	Text        map[string]string  `yaml:"text"`
	MissingText map[string]string  `yaml:"missing_text"`
	Player      map[string]string  `yaml:"player_text"`
	Baselines   map[string]float64 `yaml:"baselines"`
	Immutable   bool               `yaml:"immutable"`
}

// parseReasons reads reasons.yaml for a model whose columns are at these places of the feature set. profiled says that the
// bundle has a profile, without which nothing has a percentile.
func parseReasons(file string, data []byte, set []features.FeatureInfo, columns []int, profiled bool) (*Reasons, error) {
	var f reasonsFile
	if err := decodeYAML(file, data, &f); err != nil {
		return nil, err
	}
	if f.Format != 1 {
		return nil, fmt.Errorf("cannot read %q: format is %d; this program reads 1", file, f.Format)
	}
	if n := len(f.Reasons); n == 0 || n > maxReasons {
		return nil, fmt.Errorf("cannot read %q: %d reasons; needs 1 to %d", file, n, maxReasons)
	}
	c := &catalogue{profiled: profiled, places: map[string]int{}, codes: map[string]bool{}, taken: map[string]string{}}
	for i := range set {
		c.names = append(c.names, set[i].Name)
	}
	for _, at := range columns {
		c.places[c.names[at]] = at
	}
	for i := range f.Reasons {
		if err := c.add(&f.Reasons[i]); err != nil {
			return nil, fmt.Errorf("cannot read %q: reasons[%d] %q: %w", file, i, f.Reasons[i].Code, err)
		}
	}
	var err error
	if c.out.Phrases, err = f.Phrases.compile(); err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", file, err)
	}
	if err := c.complete(); err != nil {
		return nil, fmt.Errorf("cannot read %q: %w", file, err)
	}
	return &c.out, nil
}

// catalogue collects reasons and what they must not share.
type catalogue struct {
	profiled bool
	names    []string          // of the set's features
	places   map[string]int    // feature of the model -> index in the set
	codes    map[string]bool   // codes in use, _MISSING ones too
	taken    map[string]string // feature -> code of its reason
	out      Reasons
}

func (c *catalogue) add(f *reasonFile) error {
	r := Reason{Code: f.Code, MissingCode: f.Code + missingSuffix, Immutable: f.Immutable, baselines: map[int]float64{}}
	if !codePattern.MatchString(f.Code) || strings.HasSuffix(f.Code, missingSuffix) {
		return fmt.Errorf("code must match %s and not end in %s", codePattern, missingSuffix)
	}
	if c.codes[r.Code] {
		return fmt.Errorf("code is used twice")
	}
	c.codes[r.Code] = true
	if err := c.addMembers(f, &r); err != nil {
		return err
	}
	if err := c.addTexts(f, &r); err != nil {
		return err
	}
	c.out.List = append(c.out.List, r)
	return nil
}

func (c *catalogue) addMembers(f *reasonFile, r *Reason) error {
	if n := len(f.Features); n == 0 || n > maxReasonMembers {
		return fmt.Errorf("features: %d given; needs 1 to %d", n, maxReasonMembers)
	}
	for _, name := range f.Features {
		at, ok := c.places[name]
		if !ok {
			return fmt.Errorf("features: the model has no %q", name)
		}
		if other, ok := c.taken[name]; ok {
			return fmt.Errorf("features: %q is in reason %q already", name, other)
		}
		c.taken[name] = f.Code
		r.Members = append(r.Members, at)
	}
	slices.Sort(r.Members)
	for _, name := range slices.Sorted(maps.Keys(f.Baselines)) {
		if !slices.Contains(f.Features, name) {
			return fmt.Errorf("baselines: %q is not one of the reason's features", name)
		}
		if v := f.Baselines[name]; math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("baselines.%s: %v is not a number", name, v)
		}
		r.baselines[c.places[name]] = f.Baselines[name]
	}
	return nil
}

func (c *catalogue) addTexts(f *reasonFile, r *Reason) error {
	var err error
	if r.Text, err = compileTexts(f.Text, "feature", "value", "baseline", "percentile", "share"); err != nil {
		return fmt.Errorf("text: %w", err)
	}
	if r.Text.uses("baseline") && len(r.baselines) != len(r.Members) {
		return fmt.Errorf("text: {baseline} is used, so baselines must have every one of the reason's features")
	}
	if r.Text.uses("percentile") && !c.profiled {
		return fmt.Errorf("text: {percentile} is used, so the bundle must have a profile")
	}
	missing := f.MissingText
	if len(missing) == 0 {
		missing = map[string]string{DefaultLanguage: "No value for {feature}"}
	}
	if r.MissingText, err = compileTexts(missing, "feature", "share"); err != nil {
		return fmt.Errorf("missing_text: %w", err)
	}
	if r.Player, err = compileTexts(f.Player); err != nil {
		return fmt.Errorf("player_text: %w", err)
	}
	for i := range r.Player {
		text := strings.ToLower(r.Player[i].template.Execute(nil))
		for _, name := range c.names {
			// A feature may be called "amount"; only names that no sentence has are looked for.
			if strings.Contains(name, "_") && strings.Contains(text, name) {
				return fmt.Errorf("player_text: names the feature %q", name)
			}
		}
	}
	return nil
}

// complete checks that every feature of the model has its reason.
func (c *catalogue) complete() error {
	var without []string
	for name := range c.places {
		if _, ok := c.taken[name]; !ok {
			without = append(without, name)
		}
	}
	if len(without) > 0 {
		slices.Sort(without)
		return fmt.Errorf("features of the model without a reason: %s", strings.Join(without, ", "))
	}
	c.out.ofFeature = make([]int, len(c.names))
	for i := range c.out.ofFeature {
		c.out.ofFeature[i] = -1
	}
	for i := range c.out.List {
		for _, at := range c.out.List[i].Members {
			c.out.ofFeature[at] = i
		}
	}
	return nil
}
