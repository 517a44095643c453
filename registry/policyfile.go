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

type reactionFile struct {
	Type  string `yaml:"type"`
	Scope string `yaml:"scope"`
	TTL   string `yaml:"ttl"`
}

type listFile struct {
	Effect      string            `yaml:"effect"`
	Overridable *bool             `yaml:"overridable"`
	Code        string            `yaml:"code"`
	Text        map[string]string `yaml:"text"`
	Player      map[string]string `yaml:"player_text"`
}

type fallbackFile struct {
	LargeFrom *int64       `yaml:"large_from"`
	Small     *defaultFile `yaml:"small"`
	Large     *defaultFile `yaml:"large"`
}

type defaultFile struct {
	Outcome string `yaml:"outcome"`
	Review  bool   `yaml:"review"`
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
		l[i+2] = t
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

// reactionTypes says of each reaction whether lifting it undoes it. The others are done once, and done.
func reactionTypes() map[string]bool {
	return map[string]bool{
		"throttle": true, "cap_stake": true, "step_up": true, "pause": true, "freeze_reward": true, "delay_payout": true,
		"disable_feature": true, "lower_limits": true, "flag_table": true,
		"block_action": false, "confirm_anew": false, "close_session": false, "hand_over": false,
	}
}

func compileReactions(files []reactionFile, kinds *features.Kinds) ([]Reaction, error) {
	if len(files) > maxReactions {
		return nil, fmt.Errorf(": %d reactions; at most %d", len(files), maxReactions)
	}
	types := reactionTypes()
	var out []Reaction
	for i, f := range files {
		reversible, ok := types[f.Type]
		if !ok {
			return nil, fmt.Errorf("[%d].type: %q is not one of %s", i, f.Type, strings.Join(slices.Sorted(maps.Keys(types)), ", "))
		}
		if f.Scope == "" {
			return nil, fmt.Errorf("[%d].scope: needed: the entity kind that it holds for", i)
		}
		if kinds != nil {
			if _, ok := kinds.Get(f.Scope); !ok {
				return nil, fmt.Errorf("[%d].scope: no entity kind is named %q", i, f.Scope)
			}
		}
		ttl, err := reactionTTL(f.TTL, reversible)
		if err != nil {
			return nil, fmt.Errorf("[%d].ttl: %w", i, err)
		}
		r := Reaction{Type: f.Type, Scope: f.Scope, TTL: ttl, Reversible: reversible}
		if slices.ContainsFunc(out, func(o Reaction) bool { return o.Type == r.Type && o.Scope == r.Scope }) {
			return nil, fmt.Errorf("[%d]: %s of %s is there twice", i, r.Type, r.Scope)
		}
		out = append(out, r)
	}
	return out, nil
}

// reactionTTL reads a lifetime. What can be lifted must end by itself too: nobody stays restricted because somebody
// forgot to lift it.
func reactionTTL(text string, reversible bool) (uint32, error) {
	if text == "" {
		if reversible {
			return 0, fmt.Errorf("needed: a reaction that can be lifted must end by itself")
		}
		return 0, nil
	}
	d, err := time.ParseDuration(text)
	switch {
	case err != nil:
		return 0, fmt.Errorf("%q is not a duration such as 90s, 15m or 24h", text)
	case d < time.Second || d > maxReactionTTL || d%time.Second != 0:
		return 0, fmt.Errorf("%q is not whole seconds from 1s to %v", text, maxReactionTTL)
	}
	return uint32(d / time.Second), nil
}

func (p *Policy) addLists(files map[string]listFile) error {
	if len(files) > maxLists {
		return fmt.Errorf("lists: %d given; at most %d", len(files), maxLists)
	}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		f := files[name]
		l, err := f.compile(name)
		if err != nil {
			return fmt.Errorf("lists.%s: %w", name, err)
		}
		p.lists = append(p.lists, l)
	}
	return nil
}

func (f *listFile) compile(name string) (List, error) {
	l := List{Name: name, Code: f.Code, Allow: f.Effect == "allow", Overridable: f.Overridable == nil || *f.Overridable}
	switch {
	case !namePattern.MatchString(name):
		return l, fmt.Errorf("name must match %s", namePattern)
	case f.Effect != "allow" && f.Effect != "block":
		return l, fmt.Errorf("effect: %q is not allow or block", f.Effect)
	case l.Allow && f.Overridable != nil:
		return l, fmt.Errorf("overridable: only a block list has it")
	case !codePattern.MatchString(f.Code):
		return l, fmt.Errorf("code: %q must match %s", f.Code, codePattern)
	}
	var err error
	if l.Text, err = compileTexts(f.Text, "list", "version", "kind"); err != nil {
		return l, fmt.Errorf("text: %w", err)
	}
	player, err := compileTexts(f.Player)
	if err != nil {
		return l, fmt.Errorf("player_text: %w", err)
	}
	l.Player = player.Execute(nil)
	return l, nil
}

func (p *Policy) addFallback(f *policyFile) error {
	if f.Fallback == nil || f.Fallback.Default == nil {
		return fmt.Errorf("fallback.default: needed: what to recommend when there is no score")
	}
	if len(f.Fallback.Types) > maxTypes {
		return fmt.Errorf("fallback.types: %d given; at most %d", len(f.Fallback.Types), maxTypes)
	}
	var err error
	if p.Base, err = f.Fallback.Default.compile(); err != nil {
		return fmt.Errorf("fallback.default%w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Fallback.Types)) {
		if !typePattern.MatchString(name) {
			return fmt.Errorf("fallback.types: %q is not an event type", name)
		}
		file := f.Fallback.Types[name]
		if p.Types[name], err = file.compile(); err != nil {
			return fmt.Errorf("fallback.types.%s%w", name, err)
		}
	}
	return nil
}

func (f *fallbackFile) compile() (Fallback, error) {
	var out Fallback
	if f.LargeFrom == nil || *f.LargeFrom < 0 {
		return out, fmt.Errorf(".large_from: needed, in minor units of the base currency, at least 0")
	}
	if f.Small == nil || f.Large == nil {
		return out, fmt.Errorf(": small and large are both needed")
	}
	out.LargeFrom = *f.LargeFrom
	var ok bool
	if out.Small.Outcome, ok = parseOutcome(f.Small.Outcome); !ok {
		return out, fmt.Errorf(".small.outcome: %q is not an outcome", f.Small.Outcome)
	}
	if out.Large.Outcome, ok = parseOutcome(f.Large.Outcome); !ok {
		return out, fmt.Errorf(".large.outcome: %q is not an outcome", f.Large.Outcome)
	}
	if out.Large.Outcome < out.Small.Outcome {
		return out, fmt.Errorf(": large must not be milder than small")
	}
	out.Small.Review, out.Large.Review = f.Small.Review, f.Large.Review
	return out, nil
}

// parseOutcome reads an outcome as files write it: allow, challenge, limit, hold, block.
func parseOutcome(name string) (pb.Outcome, bool) {
	v, ok := pb.Outcome_value["OUTCOME_"+strings.ToUpper(name)]
	return pb.Outcome(v), ok && v != 0 && strings.ToLower(name) == name
}
