package registry

import (
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"time"

	"pitboss/features"
	pb "pitboss/proto/pitboss/v1"
)

// Bounds on a policy; far above what anyone can oversee.
const (
	maxSegments    = 64
	maxConditions  = 16
	maxValues      = 256
	maxReactions   = 8
	maxLists       = 256
	maxTypes       = 256
	maxReactionTTL = 30 * 24 * time.Hour
)

var (
	namePattern  = regexp.MustCompile(`^[a-z][a-z0-9_-]{0,62}$`)
	typePattern  = regexp.MustCompile(`^[a-z][a-z0-9_]*(\.[a-z0-9_]+)+$`)
	fieldPattern = regexp.MustCompile(`^[a-z][a-z0-9_]{0,79}$`)
)

// policyFile is thresholds.yaml as it is written.
type policyFile struct {
	Format   int                 `yaml:"format"`
	Segments []segmentFile       `yaml:"segments"`
	Lists    map[string]listFile `yaml:"lists"`
	Fallback *struct {
		Default *fallbackFile           `yaml:"default"`
		Types   map[string]fallbackFile `yaml:"types"`
	} `yaml:"fallback"`
}

type segmentFile struct {
	Name       string                    `yaml:"name"`
	Match      map[string]any            `yaml:"match"`
	Thresholds map[string]float64        `yaml:"thresholds"`
	Risks      map[string]float64        `yaml:"risk_levels"`
	ReviewFrom *float64                  `yaml:"review_from"`
	Reactions  map[string][]reactionFile `yaml:"reactions"`
}

// parsePolicy reads thresholds.yaml. Without kinds, scopes of reactions are not checked.
func parsePolicy(file string, data []byte, kinds *features.Kinds) (*Policy, error) {
	var f policyFile
	if err := decodeYAML(file, data, &f); err != nil {
		return nil, err
	}
	p := &Policy{Types: map[string]Fallback{}}
	p.Hash, p.Version = policyHash(data)
	if f.Format != 1 {
		return nil, fmt.Errorf("cannot read %q: format is %d; this program reads 1", file, f.Format)
	}
	for _, step := range []func() error{
		func() error { return p.addSegments(f.Segments, kinds) },
		func() error { return p.addLists(f.Lists) },
		func() error { return p.addFallback(&f) },
	} {
		if err := step(); err != nil {
			return nil, fmt.Errorf("cannot read %q: %w", file, err)
		}
	}
	return p, nil
}

func (p *Policy) addSegments(files []segmentFile, kinds *features.Kinds) error {
	if n := len(files); n == 0 || n > maxSegments {
		return fmt.Errorf("segments: %d given; needs 1 to %d, the last of them named default", n, maxSegments)
	}
	seen := map[string]bool{}
	for i := range files {
		f := &files[i]
		last := i == len(files)-1
		at := fmt.Sprintf("segments[%d] %q", i, f.Name)
		switch {
		case !namePattern.MatchString(f.Name):
			return fmt.Errorf("%s: name must match %s", at, namePattern)
		case seen[f.Name]:
			return fmt.Errorf("%s: name is used twice", at)
		case last != (f.Name == "default"):
			return fmt.Errorf("%s: the last segment, and no other, must be named default", at)
		case last != (len(f.Match) == 0):
			return fmt.Errorf("%s: every segment but default needs a match, and default must have none", at)
		}
		seen[f.Name] = true
		s, err := f.compile(kinds)
		if err != nil {
			return fmt.Errorf("%s: %w", at, err)
		}
		p.segments = append(p.segments, s)
	}
	return nil
}

func (f *segmentFile) compile(kinds *features.Kinds) (Segment, error) {
	s := Segment{Name: f.Name}
	var err error
	if s.match, err = compileMatch(f.Match); err != nil {
		return s, err
	}
	if s.thresholds, err = compileLevels(f.Thresholds, "challenge", "limit", "hold", "block"); err != nil {
		return s, fmt.Errorf("thresholds: %w", err)
	}
	if len(f.Thresholds) == 0 {
		return s, fmt.Errorf("thresholds: at least one is needed, or the score would decide nothing")
	}
	if s.risks, err = f.compileRisks(&s); err != nil {
		return s, fmt.Errorf("risk_levels: %w", err)
	}
	if f.ReviewFrom != nil {
		if s.reviewFrom, err = compileThreshold(*f.ReviewFrom); err != nil {
			return s, fmt.Errorf("review_from: %w", err)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(f.Reactions)) {
		o, ok := parseOutcome(name)
		if !ok || o == pb.Outcome_OUTCOME_ALLOW {
			return s, fmt.Errorf("reactions: %q is not challenge, limit, hold or block", name)
		}
		if s.reactions[o], err = compileReactions(f.Reactions[name], kinds); err != nil {
			return s, fmt.Errorf("reactions.%s%w", name, err)
		}
	}
	return s, nil
}

// compileRisks takes the levels as given. Where none are, they follow the outcomes: what is challenged or limited is
// medium, what is held high, what is blocked severe.
func (f *segmentFile) compileRisks(s *Segment) (levels, error) {
	if len(f.Risks) > 0 {
		given, err := compileLevels(f.Risks, "medium", "high", "severe")
		// compileLevels counts from challenge, which is 2; risks count from 1.
		var l levels
		copy(l[1:], given[2:])
		return l, err
	}
	t := &s.thresholds
	var l levels
	l[1] = t[pb.Outcome_OUTCOME_CHALLENGE]
	if !l[1].set {
		l[1] = t[pb.Outcome_OUTCOME_LIMIT]
	}
	l[2], l[3] = t[pb.Outcome_OUTCOME_HOLD], t[pb.Outcome_OUTCOME_BLOCK]
	return l, nil
}

// compileLevels puts the thresholds of names, which must not fall, at 2, 3, …: where outcomes after allow are.
func compileLevels(given map[string]float64, names ...string) (levels, error) {
	var l levels
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if !slices.Contains(names, name) {
			return l, fmt.Errorf("%q is not one of %s", name, strings.Join(names, ", "))
		}
	}
	afterAllow := l[2:]
	below, belowName := 0.0, ""
	for i, name := range names {
		at, ok := given[name]
		if !ok {
			continue
		}
		t, err := compileThreshold(at)
		if err != nil {
			return l, fmt.Errorf("%s: %w", name, err)
		}
		if at < below {
			return l, fmt.Errorf("%s at %v is below %s at %v", name, at, belowName, below)
		}
		below, belowName = at, name
		afterAllow[i] = t
	}
	return l, nil
}

func compileThreshold(at float64) (threshold, error) {
	if math.IsNaN(at) || at <= 0 || at > 1 {
		return threshold{}, fmt.Errorf("%v is not in (0, 1]", at)
	}
	return threshold{at: at, set: true}, nil
}

func compileMatch(match map[string]any) ([]condition, error) {
	if len(match) > maxConditions {
		return nil, fmt.Errorf("match: %d fields; at most %d", len(match), maxConditions)
	}
	conditions := make([]condition, 0, len(match))
	for _, name := range slices.Sorted(maps.Keys(match)) {
		c := condition{field: name}
		if attribute, ok := strings.CutPrefix(name, "attributes."); ok {
			c.field = "attr_" + attribute
		}
		if !fieldPattern.MatchString(c.field) {
			return nil, fmt.Errorf("match.%s: not a field's name", name)
		}
		values, ok := match[name].([]any)
		if !ok {
			values = []any{match[name]}
		}
		if len(values) == 0 || len(values) > maxValues {
			return nil, fmt.Errorf("match.%s: %d values; needs 1 to %d", name, len(values), maxValues)
		}
		for _, v := range values {
			if err := c.add(v); err != nil {
				return nil, fmt.Errorf("match.%s: %w", name, err)
			}
		}
		conditions = append(conditions, c)
	}
	return conditions, nil
}

func (c *condition) add(v any) error {
	switch v := v.(type) {
	case string:
		c.texts = append(c.texts, v)
	case bool:
		c.truths = append(c.truths, v)
	case int64:
		c.ints = append(c.ints, v)
	case uint64:
		if v > math.MaxInt64 {
			return fmt.Errorf("%d is beyond a 64-bit integer", v)
		}
		c.ints = append(c.ints, int64(v))
	default:
		return fmt.Errorf("%v (%T) is not a text, an integer or a truth value", v, v)
	}
	return nil
}
