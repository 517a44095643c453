package registry

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"pitboss/features"
)

type reactionFile struct {
	Type  string `yaml:"type"`
	Scope string `yaml:"scope"`
	TTL   string `yaml:"ttl"`
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
