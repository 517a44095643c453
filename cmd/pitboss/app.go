package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"math"
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"

	"pitboss/decide"
	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/states"
	"pitboss/features/timeline"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
	"pitboss/registry"
)

// app is the core that every command which opens a data directory runs on: everything between an accepted event and its
// record. Parts are opened in the order of the fields and closed in the reverse one.
type app struct {
	cfg      *Config
	log      *slog.Logger
	journal  journal.Journal
	states   features.States
	registry *registry.Registry
	edge     *edge.Edge
	engine   *features.Engine
	decider  *decide.Decider
	// timeline is a source of feature values; followed says that it is run.
	timeline *timeline.Source
	followed bool
	// set is the feature set that is kept without a bundle, nil with one; next is that of the bundle to come, nil without.
	set, next *features.Set
	// sets are all that the engine was opened with.
	sets []*features.Set

	closers []func() error
}

// appOptions differ between commands.
type appOptions struct {
	// history accepts events with their own received_at, or none: what batch and import read.
	history bool
	// past is where a backfill finds what came before the journal.
	past pastFlags
	// observe sees every answer; see decide.Config.
	observe func(*features.Event, *pb.Decision)
}

// openApp opens the data directory and everything in it. On error nothing stays open.
func openApp(ctx context.Context, cfg *Config, log *slog.Logger, opt appOptions) (_ *app, err error) {
	a := &app{cfg: cfg, log: log}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	setMemoryLimit(cfg.MemoryLimit)
	err = a.openJournal()
	if err != nil {
		return nil, err
	}
	err = a.openStates()
	if err != nil {
		return nil, err
	}
	err = a.openEdge(opt)
	if err != nil {
		return nil, err
	}
	a.timeline, err = timeline.NewSource(cfg.Timeline)
	if err != nil {
		return nil, fmt.Errorf("timeline: %w", err)
	}
	a.sets, err = a.openRegistry()
	if err != nil {
		return nil, err
	}
	if next := a.cfg.NextFeatureSet; next != "" {
		a.next, err = loadSet(a.cfg.path(next), a.cfg.Engine.Kinds, featureSources(a.edge, a.timeline))
		if err != nil {
			return nil, err
		}
		a.sets = append(a.sets, a.next)
	}
	a.followed = cfg.Timeline.Live || slices.ContainsFunc(a.sets, readsTimeline)
	err = a.openEngine(ctx, a.sets, opt.past)
	if err != nil {
		return nil, err
	}
	a.decider, err = decide.New(decide.Config{
		Engine: a.engine, Registry: a.registry, Build: buildString(), Budget: cfg.Server.Deadlines.Decide,
		Observe: opt.observe,
	})
	return a, err
}

// close ends everything in the reverse order of its start.
func (a *app) close() error {
	var errs []error
	for _, end := range slices.Backward(a.closers) {
		errs = append(errs, end())
	}
	a.closers = nil
	return errors.Join(errs...)
}

func (a *app) onClose(f func() error) { a.closers = append(a.closers, f) }

// needData refuses a data directory that nothing was ever recorded in: what would be read of it is a mistake in the words.
func (c *Config) needData() error {
	dir := filepath.Join(c.path(c.DataDir), journalDir)
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("data_dir: there is no journal at %q: nothing was recorded yet, or it is another directory", dir)
	} else if err != nil {
		return fmt.Errorf("cannot read the data directory: %w", err)
	}
	return nil
}

// journalDir is the journal's place in the data directory.
const journalDir = "journal"

func (a *app) openJournal() error {
	key, err := readMasterKey(a.cfg.path(a.cfg.MasterKeyFile))
	if err != nil {
		return err
	}
	dir := a.cfg.path(a.cfg.DataDir)
	if err = os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the data directory: %w", err)
	}
	c := a.cfg.Journal.config()
	c.Dir, c.MasterKey = filepath.Join(dir, journalDir), key
	j, report, err := journal.OpenFile(c)
	if err != nil {
		return fmt.Errorf("cannot open the journal: %w", err)
	}
	a.journal = j
	a.onClose(j.Close)
	a.log.Info("journal open", "head", report.Head, "segments", report.Segments, "bytes", report.Bytes, "clean", report.Clean || report.New,
		"truncated_bytes", report.TruncatedBytes, "took", report.Took)
	return nil
}

func (a *app) openStates() error {
	c := a.cfg.State
	c.Dir, c.Log = filepath.Join(a.cfg.path(a.cfg.DataDir), "state"), a.log
	s, err := states.OpenBadger(c)
	if err != nil {
		return fmt.Errorf("cannot open the state: %w", err)
	}
	a.states = s
	a.onClose(s.Close)
	return nil
}

// openEdge opens the edge and compares its keys with those that the state was built under.
func (a *app) openEdge(opt appOptions) error {
	cfg := a.cfg.Edge
	cfg.History = opt.history
	var err error
	if a.edge, err = edge.New(cfg); err != nil {
		return fmt.Errorf("edge: %w", err)
	}
	return a.checkAliasKeys()
}

// checkAliasKeys refuses another key under a known id, and another active key than the one that the state was built under
// (docs/decisions/011): no player would be found again, and nobody would notice.
func (a *app) checkAliasKeys() error {
	for _, f := range a.edge.Fingerprints() {
		if _, same, err := a.noted("alias_key/"+f.Tenant+"/"+f.KeyID, f.Value); err != nil {
			return err
		} else if !same {
			return fmt.Errorf("edge.keys_file: key %q of tenant %q is another key than the one this data directory was built under; "+
				"give back the old file", f.KeyID, f.Tenant)
		}
		if !f.Active {
			continue
		}
		if have, same, err := a.noted("alias_key_active/"+f.Tenant, f.KeyID); err != nil {
			return err
		} else if !same {
			return fmt.Errorf("edge.keys_file: key %q of tenant %q is active, and this data directory was built under key %q: no player would be "+
				"found again, since state does not move to another key yet; make %q active again, or begin a data directory of its own",
				f.KeyID, f.Tenant, have, have)
		}
	}
	return nil
}

// noted compares a value with the one that the state was built under, and notes it where there is none.
func (a *app) noted(name, value string) (have string, same bool, err error) {
	data, err := a.states.Meta(name)
	switch {
	case err != nil:
		return "", false, fmt.Errorf("cannot read the state's keys: %w", err)
	case data != nil:
		return string(data), string(data) == value, nil
	}
	if err := a.states.PutMeta(name, []byte(value)); err != nil {
		return "", false, fmt.Errorf("cannot note a key: %w", err)
	}
	return value, true, nil
}

// openRegistry opens the registry, loads the bundle if there is one, and gives the feature sets to keep.
func (a *app) openRegistry() ([]*features.Set, error) {
	var err error
	a.registry, err = registry.Open(a.registryConfig())
	if err != nil {
		return nil, err
	}
	switch {
	case a.cfg.Bundle != "":
		b, err := a.registry.Use(a.cfg.path(a.cfg.Bundle))
		if err != nil {
			return nil, err
		}
		a.log.Info("bundle loaded", bundleAttrs(b)...)
		return []*features.Set{b.Set}, nil
	case a.cfg.FeatureSet != "":
		set, err := loadSet(a.cfg.path(a.cfg.FeatureSet), a.cfg.Engine.Kinds, featureSources(a.edge, a.timeline))
		if err != nil {
			return nil, err
		}
		a.set = set
		return []*features.Set{set}, nil
	}
	a.log.Warn("no bundle: every decision is the default outcome, marked degraded")
	return nil, nil
}

// bundleAttrs say of a loaded bundle what the log has of it: also who else scored its golden rows, and whether it explains.
func bundleAttrs(b *registry.Bundle) []any {
	info := b.Model.Info()
	attrs := []any{"name", b.Name, "version", b.Version, "hash", hex.EncodeToString(b.Hash[:8]), "explains", info.Unexplainable == ""}
	if info.Backend != "" {
		attrs = append(attrs, "backend", info.Backend, "row_us", math.Round(info.Cost.PredictMicros))
	}
	if b.Leaves.Served {
		return append(attrs, "rows_as_by_leaves", b.Leaves.Rows)
	}
	return append(attrs, "not_by_leaves", b.Leaves.Reason)
}

func (a *app) registryConfig() registry.Config {
	return registry.Config{
		Store: a.cfg.bundleStore(), Kinds: a.cfg.Engine.Kinds, Sources: featureSources(a.edge, a.timeline),
		ONNXRuntime: a.cfg.onnxRuntime(), MaxRow: a.cfg.ONNXRuntime.MaxRow,
	}
}

func (a *app) openEngine(ctx context.Context, sets []*features.Set, from pastFlags) error {
	cfg := a.cfg.Engine
	cfg.Log = a.log
	cfg.Durable = a.cfg.Durability == durabilityDisk
	side := a.cfg.State
	side.Dir, side.Log = filepath.Join(a.cfg.path(a.cfg.DataDir), "backfill"), a.log
	log := a.cfg.Journal.config()
	var err error
	if log.MasterKey, err = readMasterKey(a.cfg.path(a.cfg.MasterKeyFile)); err != nil {
		return err
	}
	cfg.Sides = states.Sides{Config: side, Log: log}
	if cfg.Past, err = a.past(from); err != nil {
		return err
	}
	if a.engine, err = features.OpenEngine(ctx, cfg, a.journal, a.states, sets...); err != nil {
		return fmt.Errorf("cannot open the feature store: %w", err)
	}
	a.onClose(a.engine.Close)
	return nil
}

// loadSet compiles a feature set from a file.
func loadSet(path string, kinds *features.Kinds, sources []features.Source) (*features.Set, error) {
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("cannot read the feature set: %w", err)
	}
	return features.CompileSet(data, path, features.CompileOptions{Kinds: kinds, Sources: sources})
}

// featureSources are the values that feature sets can name from elsewhere. The timeline is one that runs; without one its
// values are missing.
func featureSources(e *edge.Edge, live ...*timeline.Source) []features.Source {
	lists := features.ListHits{}
	for _, l := range e.Lists() {
		lists.Names = append(lists.Names, l.Name)
	}
	if len(live) > 0 {
		return []features.Source{lists, live[0]}
	}
	return []features.Source{lists, idleTimeline()}
}

func readsTimeline(s *features.Set) bool { return slices.Contains(s.Sources(), timeline.SourceName) }

// idleTimeline is a timeline that nobody runs.
func idleTimeline() *timeline.Source {
	s, err := timeline.NewSource(timeline.DefaultLiveConfig())
	if err != nil {
		panic("BUG: the default timeline is refused: " + err.Error())
	}
	return s
}

// setMemoryLimit tells the collector how much there is: the configured limit, or three quarters of the machine.
func setMemoryLimit(limit int64) {
	if os.Getenv("GOMEMLIMIT") != "" {
		return // whoever set it knows better
	}
	if limit == 0 {
		limit = machineMemory() / 4 * 3
	}
	if limit > 0 {
		debug.SetMemoryLimit(limit)
	}
}
