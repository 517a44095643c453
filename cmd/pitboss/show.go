package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/types/known/timestamppb"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/states"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/server"
)

// showFlags are what `pitboss features show` can be told.
type showFlags struct {
	config, set, tenant, at, addr, key string
	alias, all                         bool
	events, newest                     int
	features                           []string
}

// maxShown bounds how many events are kept to be shown, and how many tiles of a feature.
const maxShown = 10_000

func newShowCmd() *cobra.Command {
	var f showFlags
	cmd := &cobra.Command{
		Use:   "show (--addr HOST:PORT | --config C [--set SET.yaml]) KIND ID",
		Short: "Print an entity's features, with the tiles and events behind them",
		Long: `Prints each feature's value and status, what its window covers, and the tiles and events that it was made of.

With --addr it asks a running server (the key comes from --key or from ` + apiKeyEnv + `; its role is analyst or admin). With
--config it opens the data directory as serve does, where no server runs on it, and reads the set that would be served. With
--set it reads the whole journal through another set, and prints the newest events that name the entity as well.

ID is what the producer calls the entity; with --alias, what the journal does. A decision's id begins as the events' do.`,
		Example: `  pitboss features show --addr 127.0.0.1:9090 player 4711 --feature bets_1h
  pitboss features show --config pitboss.yaml player 4711
  pitboss features show --config pitboss.yaml --set features.yaml player 4711`,
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := f.check(); err != nil {
				return &codedError{exitUsage, err}
			}
			return runShow(cmd.Context(), cmd.ErrOrStderr(), cmd.OutOrStdout(), f, args[0], args[1])
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.config, "config", "c", "", "configuration, whose data directory is read")
	fl.StringVar(&f.set, "set", "", "another feature set, by which the journal is read")
	fl.StringVar(&f.addr, "addr", "", "gRPC address of a running server")
	fl.StringVar(&f.key, "key", "", "API key, with --addr")
	fl.StringVar(&f.tenant, "tenant", "", "tenant; needed with --config where there are several")
	fl.StringVar(&f.at, "at", "", "time of the features (RFC 3339); with --set no later event is read. Without, a server's now, or the newest event's")
	fl.BoolVar(&f.alias, "alias", false, "ID is the alias that the journal has")
	fl.StringSliceVar(&f.features, "feature", nil, "only this feature")
	fl.IntVar(&f.newest, "newest", 20, "newest tiles and events of each group to show")
	fl.BoolVar(&f.all, "all", false, "all tiles and events")
	fl.IntVar(&f.events, "events", 20, "newest events that name the entity to show, with --set")
	return cmd
}

func (f *showFlags) check() error {
	switch {
	case (f.addr == "") == (f.config == ""):
		return errors.New("say where from: --addr of a running server, or --config of a data directory that none runs on")
	case f.set != "" && f.config == "":
		return errors.New("--set needs --config: a server has its own")
	case f.events < 0 || f.events > maxShown || f.newest < 1 || f.newest > maxShown:
		return fmt.Errorf("--events is from 0 and --newest from 1 to %d", maxShown)
	}
	if f.addr != "" {
		if f.key == "" {
			f.key = os.Getenv(apiKeyEnv)
		}
		if f.key == "" {
			return errors.New("--addr needs a key: --key, or " + apiKeyEnv)
		}
	}
	if f.all {
		f.newest = maxShown
	}
	if f.at != "" {
		if _, err := time.Parse(time.RFC3339, f.at); err != nil {
			return fmt.Errorf("--at: %w", err)
		}
	}
	return nil
}

func runShow(ctx context.Context, stderr, stdout io.Writer, f showFlags, kindName, id string) error {
	switch {
	case f.addr != "":
		return f.fromServer(ctx, stdout, kindName, id)
	case f.set != "":
		return f.fromJournal(ctx, stderr, stdout, kindName, id)
	}
	return f.fromState(ctx, stdout, kindName, id)
}

// fromServer asks a running server.
func (f *showFlags) fromServer(ctx context.Context, stdout io.Writer, kindName, id string) (err error) {
	conn, err := dial(f.addr, f.key)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close()) }()
	req := &pb.ExplainEntityFeaturesRequest{
		Tenant: f.tenant, Entity: &pb.Identifier{Kind: kindName, Value: id, Form: pb.Form_FORM_RAW}, Features: f.features, Newest: uint32(f.newest),
	}
	if f.alias {
		req.Entity.Form = pb.Form_FORM_ALIAS
	}
	if at, wrong := time.Parse(time.RFC3339, f.at); wrong == nil {
		req.At = timestamppb.New(at)
	}
	x, err := pb.NewFeatureServiceClient(conn).ExplainEntityFeatures(ctx, req)
	if err != nil {
		return fmt.Errorf("the server does not show it: %w", err)
	}
	fmt.Fprintf(stdout, "%s %s, stored as %s, by feature set %s %s\n", kindName, id, x.GetEntity().GetValue(), x.GetFeatureSet(), x.GetFeatureSetVersion())
	return printExplained(stdout, x)
}

// fromState opens the data directory as serve does.
func (f *showFlags) fromState(ctx context.Context, stdout io.Writer, kindName, id string) (err error) {
	cfg, err := LoadConfig(f.config)
	if err != nil {
		return err
	}
	err = cfg.needData()
	if err != nil {
		return err
	}
	a, err := openApp(ctx, cfg, slog.New(slog.DiscardHandler), appOptions{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	set, err := server.Store{Engine: a.engine, Registry: a.registry, Kinds: cfg.Engine.Kinds, Set: a.set}.FeatureSet()
	if err != nil {
		return errors.New("the configuration serves no features: it has neither bundle nor feature_set; name one by --set")
	}
	return f.show(ctx, stdout, a.edge, a.engine, set, cfg.Engine.Kinds, 0, [2]string{kindName, id})
}

// show prints an entity out of an engine of this process. At is 0 for the time of the entity's newest event.
func (f *showFlags) show(
	ctx context.Context, stdout io.Writer, e *edge.Edge, engine *features.Engine, set *features.Set, kinds *features.Kinds, at int64, who [2]string,
) error {
	ref, tenant, err := f.entity(e, kinds, who[0], who[1])
	if err != nil {
		return err
	}
	if t, wrong := time.Parse(time.RFC3339, f.at); wrong == nil {
		at = t.UnixMicro()
	}
	var vec features.Vector
	if at == 0 {
		if err = engine.Features(ctx, ref, time.Now().UnixMicro(), set, &vec); err != nil {
			return fmt.Errorf("cannot read the features: %w", err)
		}
		at = time.Now().UnixMicro()
		if len(vec.Pins) > 0 && vec.Pins[0].Newest != 0 {
			at = vec.Pins[0].Newest
		}
	}
	explained, err := engine.Explain(ctx, ref, at, set, &vec)
	if err != nil {
		return fmt.Errorf("cannot read the features: %w", err)
	}
	for _, name := range f.features {
		if !slices.ContainsFunc(set.Features, func(have features.FeatureInfo) bool { return have.Name == name }) {
			return fmt.Errorf("the feature set %s has no feature %q", set.Name, name)
		}
	}
	fmt.Fprintf(stdout, "%s %s of tenant %s, stored as %s, by feature set %s %s\n", who[0], who[1], tenant, ref.Alias, set.Name, set.Version)
	id := &pb.Identifier{Kind: ref.Kind, Value: ref.Alias}
	return printExplained(stdout, server.ExplainedFeatures(id, set, &vec, explained, f.features, f.newest))
}

// fromJournal reads the whole journal through a set.
func (f *showFlags) fromJournal(ctx context.Context, stderr, stdout io.Writer, kindName, id string) (err error) {
	cfg, err := LoadConfig(f.config)
	if err != nil {
		return err
	}
	e, err := edge.New(cfg.Edge)
	if err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	ref, _, err := f.entity(e, cfg.Engine.Kinds, kindName, id)
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
	if t, wrong := time.Parse(time.RFC3339, f.at); wrong == nil {
		s.until = t.Add(time.Microsecond)
	}
	if err := s.read(ctx, cfg, stderr); err != nil {
		return err
	}
	if err := f.show(ctx, stdout, e, engine, set, cfg.Engine.Kinds, s.final.last, [2]string{kindName, id}); err != nil {
		return err
	}
	return s.print(stdout)
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
	pos                        journal.Pos
	at                         int64
	id, kind, decision, groups string
}

// read runs the journal through the engine, and keeps the entity's newest events.
func (s *shown) read(ctx context.Context, cfg *Config, stderr io.Writer) (err error) {
	a, err := openJournalOf(cfg)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
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
		pos: pos, at: ev.OccurredAt, id: strings.Clone(ev.ID), kind: strings.Clone(ev.Type), decision: ev.Key.String()[:8], groups: strings.Join(s.set.GroupsOf(ev), ", "),
	})
}

// print lists the events.
func (s *shown) print(out io.Writer) error {
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "\n%d events name it, the newest %d in the journal's order:\n", s.count, len(s.events))
	fmt.Fprintln(t, "position\toccurred at\ttype\tevent\tdecision\tcounts in")
	for _, ev := range s.events {
		fmt.Fprintf(t, "%d\t%s\t%s\t%s\t%s…\t%s\n", ev.pos.Offset, moment(ev.at), ev.kind, ev.id, ev.decision, ev.groups)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot print: %w", err)
	}
	return nil
}

func moment(at int64) string { return time.UnixMicro(at).UTC().Format(time.RFC3339Nano) }
