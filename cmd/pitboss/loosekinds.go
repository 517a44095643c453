package main

import (
	"slices"

	"github.com/goccy/go-yaml"

	"pitboss/features"
	"pitboss/plainyaml"
)

// looseKinds declares every kind that the set and the map name, so that a set can be tried without a configuration.
func looseKinds(extra []string, setFile, mapFile string) (*features.Kinds, error) {
	builtin, err := features.NewKinds(nil)
	if err != nil {
		return nil, err
	}
	var declared []features.KindConfig
	declare := func(name string) {
		_, have := builtin.Get(name)
		twice := slices.ContainsFunc(declared, func(k features.KindConfig) bool { return k.Name == name })
		if name != "" && !have && !twice {
			declared = append(declared, features.KindConfig{Name: name})
		}
	}
	for _, name := range extra {
		declare(name)
	}
	// Both files are read for their kinds only: what else is wrong with them is found, and said, when they are compiled.
	var set struct {
		Groups map[string]struct {
			Entity string `yaml:"entity"`
		} `yaml:"groups"`
	}
	if data, err := readBounded(setFile); err == nil && plainyaml.Check(data) == nil && yaml.Unmarshal(data, &set) == nil {
		names := make([]string, 0, len(set.Groups))
		for _, g := range set.Groups {
			names = append(names, g.Entity)
		}
		slices.Sort(names)
		for _, name := range names {
			declare(name)
		}
	}
	var mapping struct {
		Event struct {
			Entities []struct {
				Kind string `yaml:"kind"`
			} `yaml:"entities"`
		} `yaml:"event"`
	}
	if data, err := readBounded(mapFile); mapFile != "" && err == nil && plainyaml.Check(data) == nil && yaml.Unmarshal(data, &mapping) == nil {
		for _, entity := range mapping.Event.Entities {
			declare(entity.Kind)
		}
	}
	return features.NewKinds(declared)
}
