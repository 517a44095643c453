package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	pb "pitboss/proto/pitboss/v1"
)

// What decides without a score: lists, and the fallback.

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
	if l.Player, err = compileTexts(f.Player); err != nil {
		return l, fmt.Errorf("player_text: %w", err)
	}
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
