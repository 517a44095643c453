package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/spf13/cobra"

	"pitboss/features"
	"pitboss/registry"
)

// verifyFlags are what `pitboss features verify` can be told.
type verifyFlags struct {
	config      string
	sets        []string
	onDisk      bool
	ramEntities int
	ahead       int
}

func newVerifyCmd() *cobra.Command {
	var f verifyFlags
	cmd := &cobra.Command{
		Use:   "verify --config C",
		Short: "Make every served vector again from the journal alone, and compare the bytes",
		Long: `Reads the journal of the configuration's data directory from its beginning and makes the vector of each decision again: each
entity as it stood at the position that the record pins, the event on the fly or inside, as the record says. Decisions that
were made side by side saw one another's events or not, and the pins say which; eval, which goes by the order of the frames,
cannot tell. Values and statuses are compared bit for bit. Exit code 1 if any differ or cannot be made again.

Not compared are values of lists, which the record keeps and the journal does not, and those of groups that were still warming
up. Where subjects were erased, what their events counted at addresses and games is in no frame any more: decisions after
that may differ, and are counted as unsure. Feature sets are those of the bundles in the data directory; --set names others.
No server may be running on the data directory.`,
		Example: "  pitboss features verify --config pitboss.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.config == "" {
				return &codedError{exitUsage, errors.New("say which configuration: --config C")}
			}
			return runVerify(cmd.Context(), cmd.OutOrStdout(), cmd.ErrOrStderr(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.config, "config", "c", "", "configuration, whose journal is read")
	fl.StringArrayVar(&f.sets, "set", nil, "feature set of decisions whose bundle is no longer in the data directory; may be given again")
	fl.BoolVar(&f.onDisk, "on-disk", false, "keep the state of entities that are not in memory in a temporary directory, not in memory")
	fl.IntVar(&f.ramEntities, "ram-entities", features.DefaultEngineConfig().MaxEntities, "entities kept in memory, at least 64")
	fl.IntVar(&f.ahead, "ahead", features.DefaultVerifyAhead, "frames read ahead, some 6 KB each: more than any decision's frame came after its vector was read")
	return cmd
}

func runVerify(ctx context.Context, stdout, stderr io.Writer, f verifyFlags) (err error) {
	a, err := openRecords(f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	first := max(a.journal.Tail().Offset, 1)
	total := int64(a.journal.Head().Offset-first) + 1
	bar := newProgress(stderr, "looking for feature sets", total, unitFrames)
	served, err := features.ServedSets(ctx, a.journal, func(frames uint64) { bar.set(int64(frames), frames) })
	if err != nil {
		return err
	}
	bar.finish()
	sets, err := a.servedSets(served, f.sets)
	if err != nil {
		return err
	}
	rest, drop, err := (&evalFlags{onDisk: f.onDisk}).states()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, drop()) }()
	cfg := a.cfg.Engine
	cfg.MaxEntities = f.ramEntities
	bar = newProgress(stderr, "verifying", total, unitFrames)
	report, err := features.Verify(ctx, features.VerifyConfig{
		Journal: a.journal, States: rest, Sets: sets, Served: served, Engine: cfg, Ahead: f.ahead,
		Progress: func(r *features.VerifyReport) { bar.step(int64(r.Frames), r.Frames) },
	})
	if err != nil {
		return err
	}
	bar.finish()
	return printVerified(stdout, report)
}

// printVerified says what was found; what differs is the error.
func printVerified(stdout io.Writer, r *features.VerifyReport) error {
	for _, f := range r.Findings {
		fmt.Fprintln(stdout, f)
	}
	fmt.Fprintf(stdout, "%d vectors in %d frames: %d the same bytes, %d different, %d could not be made again, %d unsure after %d erased frames\n",
		r.Decisions, r.Frames, r.Same, r.Different, r.Failed, r.Unsure, r.Erased)
	fmt.Fprintf(stdout, "%d values compared, %d taken from records; %d vectors read before another frame changed one of their entities, %d with the event inside; %d decisions have no vector\n",
		r.Values, r.Taken, r.Overtaken, r.Inside, r.Without)
	if !r.Identical() {
		return fmt.Errorf("%d of %d vectors are not what the journal gives", r.Different+r.Failed, r.Decisions)
	}
	return nil
}

// servedSets gives the feature sets that the journal's decisions name, out of files and of the bundles that made them. One that
// is not to be found is left out: its decisions are findings.
func (a *app) servedSets(served []*features.ServedSet, paths []string) ([]*features.Set, error) {
	var sets []*features.Set
	for _, path := range paths {
		set, err := loadSet(path, a.cfg.Engine.Kinds, featureSources(a.edge))
		if err != nil {
			return nil, err
		}
		sets = append(sets, set)
	}
	for _, s := range served {
		known := slices.ContainsFunc(sets, func(set *features.Set) bool { return bytes.Equal(set.Hash[:], s.Hash) })
		if known || len(s.BundleHash) != 32 {
			continue
		}
		b, err := a.registry.Get([32]byte(s.BundleHash))
		if errors.Is(err, registry.ErrUnknown) {
			continue
		}
		if err != nil {
			return nil, err
		}
		sets = append(sets, b.Set)
	}
	return sets, nil
}
