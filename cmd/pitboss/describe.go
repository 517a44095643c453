package main

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/tiles"
)

func newDescribeCmd() *cobra.Command {
	var set, config string
	var asJSON bool
	cmd := &cobra.Command{
		Use:   "describe --set SET.yaml [--config C] [--json]",
		Short: "Say what each feature of a set promises",
		Long: `Prints what each feature promises: its class (DESIGN.md), whose windows it reads, the step (hop) in which the window's old
edge moves, how long a time is really covered, the largest error at that edge, what stands in the vector for values of some
statuses, how each aggregate's value is made, and what the set keeps of one entity of a kind at most. docs/features.md has
the words.`,
		Example: `  pitboss features describe --set examples/casino/features.yaml`,
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if set == "" {
				return &codedError{exitUsage, errors.New("--set is needed: the feature set to describe")}
			}
			s, err := loadSetAlone(set, config)
			if err != nil {
				return err
			}
			if asJSON {
				out := json.NewEncoder(cmd.OutOrStdout())
				out.SetIndent("", " ")
				return out.Encode(describeSet(s))
			}
			return describeSet(s).write(cmd.OutOrStdout())
		},
	}
	cmd.Flags().StringVar(&set, "set", "", "feature set")
	cmd.Flags().StringVarP(&config, "config", "c", "", "configuration, for its kinds and lists")
	cmd.Flags().BoolVar(&asJSON, "json", false, "JSON instead of tables")
	return cmd
}

// loadSetAlone compiles a set by the kinds and lists of a configuration, or by those that it names itself.
func loadSetAlone(set, config string) (*features.Set, error) {
	if config == "" {
		kinds, err := looseKinds(nil, set, "")
		if err != nil {
			return nil, err
		}
		return loadSet(set, kinds, []features.Source{features.ListHits{}, idleTimeline()})
	}
	cfg, err := LoadConfig(config)
	if err != nil {
		return nil, err
	}
	e, err := edge.New(cfg.Edge)
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	return loadSet(set, cfg.Engine.Kinds, featureSources(e))
}

// setDescription is what `features describe` says, in the form of its JSON.
type setDescription struct {
	Name     string               `json:"name"`
	Version  string               `json:"version"`
	Hash     string               `json:"hash"`
	Features []featureDescription `json:"features"`
	// Aggregates says how the values of those that the set uses are made.
	Aggregates []aggregateDescription `json:"aggregates"`
	Groups     []groupDescription     `json:"groups"`
	// Bytes bounds what one entity of each kind comes to in the state.
	Bytes map[string]int `json:"max_bytes_per_entity"`
}

type featureDescription struct {
	Name            string  `json:"name"`
	Aggregate       string  `json:"aggregate"`
	Class           string  `json:"class"`
	Entity          string  `json:"entity,omitempty"`
	Group           string  `json:"group,omitempty"`
	Window          string  `json:"window,omitempty"`
	HopSeconds      float64 `json:"hop_s,omitempty"`
	SpanMinSeconds  float64 `json:"span_min_s,omitempty"`
	SpanMaxSeconds  float64 `json:"span_max_s,omitempty"`
	EdgeSeconds     float64 `json:"edge_error_s,omitempty"`
	ExactUpTo       int     `json:"exact_up_to,omitempty"`
	ExcludesCurrent bool    `json:"excludes_current"`
	Expression      string  `json:"expression,omitempty"`
	Unlowered       string  `json:"unlowered,omitempty"`
	On              string  `json:"on,omitempty"`
	Contract        string  `json:"contract,omitempty"`
}

type aggregateDescription struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

type groupDescription struct {
	Name    string   `json:"name"`
	Entity  string   `json:"entity"`
	Hash    string   `json:"hash"`
	Windows []string `json:"windows"`
	Bytes   int      `json:"max_bytes_per_entity"`
}

func describeSet(s *features.Set) *setDescription {
	d := &setDescription{Name: s.Name, Version: s.Version, Hash: hex.EncodeToString(s.Hash[:]), Bytes: map[string]int{}}
	for _, f := range s.Features {
		fd := featureDescription{
			Name: f.Name, Aggregate: f.Aggregate, Class: f.Class, Entity: f.Kind, Group: f.Group, Window: f.Window, ExactUpTo: f.Exact,
			ExcludesCurrent: f.ExcludesCurrent, Expression: f.Expression, Unlowered: f.Unlowered, On: f.Policy, Contract: f.Contract,
		}
		if w, err := tiles.ParseWindow(f.Window); err == nil && f.Newest == 0 {
			c := w.Contract()
			fd.HopSeconds, fd.EdgeSeconds = c.Hop.Seconds(), c.EdgeError.Seconds()
			fd.SpanMinSeconds, fd.SpanMaxSeconds = c.SpanMin.Seconds(), c.SpanMax.Seconds()
		}
		d.Features = append(d.Features, fd)
	}
	for _, a := range features.Aggregates() {
		if slices.ContainsFunc(d.Features, func(f featureDescription) bool { return f.Aggregate == a.Name }) {
			d.Aggregates = append(d.Aggregates, aggregateDescription{a.Name, a.Value})
		}
	}
	for _, g := range s.Groups {
		d.Groups = append(d.Groups, groupDescription{Name: g.Name, Entity: g.Kind, Hash: hex.EncodeToString(g.Hash[:]), Windows: g.Windows, Bytes: g.WorstBytes})
		d.Bytes[g.Kind] += g.WorstBytes
	}
	return d
}

func (d *setDescription) write(out io.Writer) error {
	fmt.Fprintf(out, "feature set %s %s: %d features, hash %s\n\n", d.Name, d.Version, len(d.Features), d.Hash[:16])
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "feature\taggregate\tclass\tentity\tgroup\twindow\thop\tcovers\tedge error\tcurrent\ton\tcontract")
	for i := range d.Features {
		f := &d.Features[i]
		hop, span, edgeError, current := "", "", "", ""
		if f.HopSeconds > 0 {
			hop, edgeError = seconds(f.HopSeconds), "under "+seconds(f.EdgeSeconds)
			span = seconds(f.SpanMinSeconds) + " to " + seconds(f.SpanMaxSeconds)
		}
		if f.ExcludesCurrent {
			current = "excluded"
		}
		contract := []string{f.Expression, f.Contract, ""}
		if f.Unlowered != "" {
			contract[2] = "runs in cel-go: " + f.Unlowered + " is not lowered"
		}
		contract = slices.DeleteFunc(contract, func(part string) bool { return part == "" })
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", f.Name, f.Aggregate, f.Class, f.Entity, f.Group, f.Window, hop, span,
			edgeError, current, f.On, strings.Join(contract, "; "))
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	fmt.Fprintln(out)
	fmt.Fprintln(t, "aggregate\tvalue")
	for _, a := range d.Aggregates {
		fmt.Fprintf(t, "%s\t%s\n", a.Name, a.Value)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	fmt.Fprintln(out)
	fmt.Fprintln(t, "group\tentity\twindows\tat most, of one entity")
	for _, g := range d.Groups {
		fmt.Fprintf(t, "%s\t%s\t%v\t%d bytes\n", g.Name, g.Entity, g.Windows, g.Bytes)
	}
	for _, kind := range slices.Sorted(maps.Keys(d.Bytes)) {
		fmt.Fprintf(t, "all of\t%s\t\t%d bytes\n", kind, d.Bytes[kind])
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	return nil
}
