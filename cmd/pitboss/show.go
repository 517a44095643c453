package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// showFlags are what `pitboss features show` can be told.
type showFlags struct {
	config, set, tenant, at string
	alias                   bool
	events                  int
}

// maxShown bounds how many events are kept to be shown.
const maxShown = 10_000

func newShowCmd() *cobra.Command {
	var f showFlags
	cmd := &cobra.Command{
		Use:   "show --config C --set SET.yaml KIND ID",
		Short: "Print an entity's features, and the events behind them",
		Long: `Reads the journal of the configuration's data directory again, as eval does, and prints what the set's features of one
entity are at a time, and the newest events that name it, each with the groups that it counts in. No server may be running on
the data directory. ID is what the producer calls the entity; with --alias, what the journal does.`,
		Example: `  pitboss features show --config pitboss.yaml --set features.yaml player 4711`,
		Args:    cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch {
			case f.config == "" || f.set == "":
				return &codedError{exitUsage, errors.New("--config and --set are needed")}
			case f.events < 0 || f.events > maxShown:
				return &codedError{exitUsage, fmt.Errorf("--events is from 0 to %d", maxShown)}
			}
			return runShow(cmd.Context(), cmd.ErrOrStderr(), cmd.OutOrStdout(), f, args[0], args[1])
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.config, "config", "c", "", "configuration, whose journal is read")
	fl.StringVar(&f.set, "set", "", "feature set")
	fl.StringVar(&f.tenant, "tenant", "", "tenant; needed where there are several")
	fl.StringVar(&f.at, "at", "", "time of the features (RFC 3339), and no later event is read; the newest event's without")
	fl.BoolVar(&f.alias, "alias", false, "ID is the alias that the journal has")
	fl.IntVar(&f.events, "events", 20, "newest events to show")
	return cmd
}

func runShow(ctx context.Context, stderr, stdout io.Writer, f showFlags, kindName, id string) (err error) {
	cfg, err := LoadConfig(f.config)
	if err != nil {
		return err
	}
	e, err := edge.New(cfg.Edge)
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	ref, tenant, err := f.entity(e, cfg.Engine.Kinds, kindName, id)
	if err != nil {
		return err
	}
	set, err := loadSet(f.set, cfg.Engine.Kinds, featureSources(e))
	if err != nil {
		return err
	}
	engineCfg := features.DefaultEngineConfig()
	engineCfg.Kinds, engineCfg.Log = cfg.Engine.Kinds, slog.New(slog.DiscardHandler)
	engine, err := features.OpenEngine(ctx, engineCfg, journal.NewMemory(journal.MemoryConfig{Forget: true}), states.NewMemory(), set)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	s := &shown{
		evaluation: evaluation{engine: engine, set: set, kinds: cfg.Engine.Kinds, frame: &pb.EventFrame{}, flags: &evalFlags{config: f.config, final: true}},
		ref:        ref, most: f.events,
	}
	if err := s.upTo(f.at); err != nil {
		return err
	}
	if err := s.read(ctx, cfg, stderr); err != nil {
		return err
	}
	fmt.Fprintf(stdout, "%s %s of tenant %s, stored as %s, by feature set %s %s\n", kindName, id, tenant, ref.Alias, set.Name, set.Version)
	return s.print(ctx, stdout)
}

// entity is whom the words mean.
func (f *showFlags) entity(e *edge.Edge, kinds *features.Kinds, kindName, id string) (ref features.EntityRef, tenant string, err error) {
	kind, ok := kinds.Get(kindName)
	if !ok {
		return ref, "", fmt.Errorf("%q is not an entity kind of the configuration", kindName)
	}
	tenant = f.tenant
	if tenants := e.Tenants(); tenant == "" {
		if len(tenants) != 1 {
			return ref, "", &codedError{exitUsage, fmt.Errorf("--tenant is needed: one of %s", strings.Join(tenants, ", "))}
		}
		tenant = tenants[0]
	}
	if !f.alias {
		stored, err := e.Alias(tenant, kindName, &pb.Identifier{Kind: kindName, Value: id, Form: pb.Form_FORM_RAW})
		if err != nil {
			return ref, "", fmt.Errorf("cannot make the alias: %w", err)
		}
		id = stored.GetValue()
	}
	return features.EntityRef{Key: features.MakeEntityKey(tenant, kind, id), Kind: kindName, Alias: id}, tenant, nil
}

// shown is one entity's events, and the state of all.
type shown struct {
	evaluation
	ref    features.EntityRef
	events []shownEvent // the newest, oldest first
	most   int
	count  int
}

type shownEvent struct {
	pos              journal.Pos
	at               int64
	id, kind, groups string
}

// upTo sets the time of the features.
func (s *shown) upTo(at string) error {
	if at == "" {
		return nil
	}
	t, err := time.Parse(time.RFC3339, at)
	if err != nil {
		return &codedError{exitUsage, fmt.Errorf("--at: %w", err)}
	}
	s.until = t.Add(time.Microsecond)
	return nil
}

// read runs the journal through the engine, and keeps the entity's newest events.
func (s *shown) read(ctx context.Context, cfg *Config, stderr io.Writer) (err error) {
	a := &app{cfg: cfg, log: slog.New(slog.DiscardHandler)}
	defer func() { err = errors.Join(err, a.close()) }()
	err = a.openJournal()
	if err != nil {
		return err
	}
	r := journalRead{what: "reading", journal: a.journal, stderr: stderr}
	return r.each(ctx, func(f *journal.Frame) error {
		if err := s.replayFrame(ctx, f); err != nil {
			return err
		}
		if f.Kind == features.FrameEvent {
			s.note(f.Pos)
		}
		return nil
	})
}

// note keeps the event that was applied last, if it names the entity.
func (s *shown) note(pos journal.Pos) {
	ev := &s.ev
	if ref, ok := ev.Entity(s.ref.Kind); !ok || ref.Key != s.ref.Key || !s.until.IsZero() && ev.OccurredAt >= s.until.UnixMicro() {
		return
	}
	s.count++
	if s.most == 0 {
		return
	}
	if len(s.events) == s.most {
		s.events = append(s.events[:0], s.events[1:]...)
	}
	s.events = append(s.events, shownEvent{
		pos: pos, at: ev.OccurredAt, id: strings.Clone(ev.ID), kind: strings.Clone(ev.Type), groups: strings.Join(s.set.GroupsOf(ev), ", "),
	})
}

func (s *shown) print(ctx context.Context, out io.Writer) error {
	at := s.final.last
	if !s.until.IsZero() {
		at = s.until.Add(-time.Microsecond).UnixMicro()
	}
	if err := s.engine.Features(ctx, s.ref, at, s.set, &s.vec); err != nil {
		return fmt.Errorf("cannot read the features: %w", err)
	}
	fmt.Fprintf(out, "at %s; %s\n\n", moment(at), s.age(at))
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "feature\tvalue\tstatus\tgroup\twindow")
	for i, f := range s.set.Features {
		if f.Kind == s.ref.Kind || f.Kind == "" {
			fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\n", f.Name, valueText(s.vec.Values[i]), s.vec.Status[i], f.Group, f.Window)
		}
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	fmt.Fprintf(out, "\n%d events name it, the newest %d in the journal's order:\n", s.count, len(s.events))
	fmt.Fprintln(t, "position\toccurred at\ttype\tevent\tcounts in")
	for _, ev := range s.events {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s\n", ev.pos.Offset, moment(ev.at), ev.kind, ev.id, ev.groups)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	return nil
}

// age says how old what the entity's features are made of is.
func (s *shown) age(at int64) string {
	if len(s.vec.Pins) == 0 || s.vec.Pins[0].Newest == 0 {
		return "nothing is known of it"
	}
	newest := s.vec.Pins[0].Newest
	return fmt.Sprintf("its newest event is of %s, %v before", moment(newest), (time.Duration(at-newest) * time.Microsecond).Round(time.Millisecond))
}

func moment(at int64) string { return time.UnixMicro(at).UTC().Format(time.RFC3339Nano) }
