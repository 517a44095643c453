package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"pitboss/audit"
	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/files"
	"pitboss/registry"
)

// exportFlags are what `pitboss features export` can be told.
type exportFlags struct {
	config, out, tenant      string
	from, before, knownBy    string
	maturity                 string
	set, sample, sampleSeed  string
	vectorsOnly, statusesOff bool
}

func newExportCmd() *cobra.Command {
	var f exportFlags
	cmd := &cobra.Command{
		Use:   "export --config C --out FILE.parquet|.csv|.jsonl",
		Short: "Write the vectors that were served, with the labels that came",
		Long: `Writes one row per recorded decision: event_id, t (evaluation time), each feature with exactly the value that was served
(nothing where it was missing) and its status, then what was decided, by which model, and the label of the event with its
own times: label, fraud, label_source, label_confidence_ppm, label_occurred_at, label_received_at. Of several labels the one
that was received last counts. label_mature says that the label is there, or has had --label-maturity to come, counted to
the watermark of the newest event, or to --labels-known-by. Rows of erased subjects are left out and counted.

--sample keeps a share of each class (fraud, honest, unlabelled). The draw is a function of the event's id and --sample-seed
alone; propensity is the row's share and weight is 1 / propensity.

One file has the vectors of one feature set: that of the newest decision, or the one that --set-hash names. A column of ours
whose name a feature has is called pitboss_NAME. The data directory must not be in use by a server.`,
		Example: `  pitboss features export --config pitboss.yaml --label-maturity 720h --out train.parquet
  pitboss features export --config pitboss.yaml --from 2026-11-01T00:00:00Z --sample fraud=1,honest=0.1,unlabelled=0.02 --out s.parquet`,
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needAll(map[string]string{"config": f.config, "out": f.out}); err != nil {
				return err
			}
			return runExport(cmd.Context(), cmd.ErrOrStderr(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.config, "config", "c", "", "configuration file")
	fl.StringVar(&f.out, "out", "", "file of vectors")
	fl.StringVar(&f.tenant, "tenant", "", "decisions of one tenant")
	fl.StringVar(&f.from, "from", "", "evaluated at or after this time (RFC 3339)")
	fl.StringVar(&f.before, "to", "", "evaluated before this time")
	fl.StringVar(&f.knownBy, "labels-known-by", "", "leave out labels that came in after this time")
	fl.StringVar(&f.maturity, "label-maturity", "720h", "how long a label may take to come")
	fl.StringVar(&f.set, "set-hash", "", "the feature set, by the start of its hash; default: that of the newest decision")
	fl.StringVar(&f.sample, "sample", "", "shares to keep, as fraud=1,honest=0.1,unlabelled=0.02; default: all")
	fl.StringVar(&f.sampleSeed, "sample-seed", "", "another seed makes another draw")
	fl.BoolVar(&f.statusesOff, "no-status", false, "leave the columns of statuses out")
	fl.BoolVar(&f.vectorsOnly, "vectors-only", false, "event_id, t, features and statuses alone, as features eval writes them")
	return cmd
}

// options reads the words.
func (f *exportFlags) options() (cfg audit.ExportConfig, err error) {
	cfg = audit.ExportConfig{Tenant: f.tenant, SampleSeed: f.sampleSeed}
	err = readTimes(timeFlag{"--from", f.from, &cfg.From}, timeFlag{"--to", f.before, &cfg.Before},
		timeFlag{"--labels-known-by", f.knownBy, &cfg.LabelsKnownBy})
	if err != nil {
		return cfg, err
	}
	if cfg.Maturity, err = time.ParseDuration(f.maturity); err != nil || cfg.Maturity < 0 {
		return cfg, fmt.Errorf("--label-maturity: %q is no length of time, such as 720h", f.maturity)
	}
	if cfg.Set, err = hex.DecodeString(f.set); err != nil {
		return cfg, fmt.Errorf("--set-hash: %q is not hex digits, an even number of them", f.set)
	}
	if f.sample == "" {
		return cfg, nil
	}
	shares := map[string]*float64{"fraud": &cfg.Sample.Fraud, "honest": &cfg.Sample.Honest, "unlabelled": &cfg.Sample.Unlabelled}
	for part := range strings.SplitSeq(f.sample, ",") {
		class, text, _ := strings.Cut(part, "=")
		share, err := strconv.ParseFloat(text, 64)
		if shares[class] == nil || err != nil || !(share > 0 && share <= 1) {
			return cfg, fmt.Errorf("--sample: %q is not fraud, honest or unlabelled = a share above 0 and at most 1", part)
		}
		*shares[class] = share
	}
	return cfg, nil
}

func runExport(ctx context.Context, stderr io.Writer, f exportFlags) (err error) {
	cfg, err := f.options()
	if err != nil {
		return &codedError{exitUsage, err}
	}
	a, err := openRecords(f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	cfg.Journal, cfg.Registry, cfg.Engine = a.journal, a.registry, a.cfg.Engine
	var bar *progress
	cfg.OnProgress = func(done, total int64, examples uint64) {
		if bar == nil {
			bar = newProgress(stderr, "exporting", total, unitFrames)
		}
		bar.step(done, examples)
	}
	out := exportFile{flags: &f}
	began := time.Now()
	s, err := audit.Export(ctx, cfg, out.open, out.write)
	if bar != nil {
		bar.events = uint64(out.rows())
		bar.finish()
	}
	if err != nil {
		return errors.Join(err, out.discard())
	}
	if err := out.w.Close(); err != nil {
		return err
	}
	fmt.Fprintf(stderr, "wrote %d vectors of %d features (set %s %s, hash %s) to %s: %.0f rows/s\n", s.Examples, len(s.Set.Features), s.Set.Name, s.Set.Version,
		hex.EncodeToString(s.Set.Hash[:8]), f.out, float64(s.Examples)/max(time.Since(began).Seconds(), 1e-3))
	fmt.Fprintf(stderr, "%d have a label, of %d labels; left out: %d by the draw, %d by tenant and time, %d of other feature sets, %d without a vector, %d frames of erased subjects\n",
		s.Joined, s.Labels, s.Sampled, s.Outside, s.OtherSets, s.Unscored, s.Erased)
	return nil
}

// openRecords opens what is needed to read records: the journal and the bundles, and no state.
func openRecords(config string) (_ *app, err error) {
	a, err := openJournalAlone(config)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, a.close())
		}
	}()
	if a.edge, err = edge.New(a.cfg.Edge); err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	a.registry, err = registry.Open(a.registryConfig())
	return a, err
}

// exportColumns are what stands beside a vector.
func exportColumns() []files.Column {
	return []files.Column{
		{Name: "tenant", Type: files.ColumnText}, {Name: "type", Type: files.ColumnText}, {Name: "decision_id", Type: files.ColumnText},
		{Name: "event_inside", Type: files.ColumnBool}, {Name: "outcome", Type: files.ColumnText}, {Name: "score", Type: files.ColumnNumber},
		{Name: "margin", Type: files.ColumnNumber}, {Name: "model", Type: files.ColumnText}, {Name: "model_version", Type: files.ColumnText},
		{Name: "label", Type: files.ColumnText}, {Name: "fraud", Type: files.ColumnInt}, {Name: "label_source", Type: files.ColumnText},
		{Name: "label_confidence_ppm", Type: files.ColumnInt}, {Name: "label_occurred_at", Type: files.ColumnTime},
		{Name: "label_received_at", Type: files.ColumnTime}, {Name: "label_mature", Type: files.ColumnBool},
		{Name: "weight", Type: files.ColumnNumber}, {Name: "propensity", Type: files.ColumnNumber}, {Name: "feature_set_hash", Type: files.ColumnText},
	}
}

// exportFile is the file that examples go to.
type exportFile struct {
	flags *exportFlags
	w     *files.VectorWriter
	cells []files.Cell
	hash  string
}

func (o *exportFile) open(set *features.Set) (err error) {
	opt := files.VectorOptions{Status: !o.flags.statusesOff}
	if !o.flags.vectorsOnly {
		opt.Kept = exportColumns()
	}
	for i, c := range opt.Kept {
		if slices.ContainsFunc(set.Features, func(f features.FeatureInfo) bool { return f.Name == c.Name }) {
			opt.Kept[i].Name = "pitboss_" + c.Name
		}
	}
	o.hash = hex.EncodeToString(set.Hash[:])
	o.w, err = files.NewVectorWriter(o.flags.out, set, opt)
	return err
}

func (o *exportFile) write(ex *audit.Example) error {
	if o.flags.vectorsOnly {
		return o.w.Write(ex.EventID, &ex.Vector, nil)
	}
	label := []files.Cell{{}, {}, {}, {}, {}, {}}
	if l := ex.Label; l != nil {
		fraud := int64(0)
		if l.Fraud {
			fraud = 1
		}
		label = []files.Cell{
			files.TextCell(l.Name), files.IntCell(fraud), files.TextCell(l.Source), files.IntCell(l.ConfidencePPM),
			files.TimeCell(l.OccurredAt), files.TimeCell(l.ReceivedAt),
		}
	}
	o.cells = append(o.cells[:0], files.TextCell(ex.Tenant), files.TextCell(ex.EventType), files.TextCell(ex.DecisionID),
		files.BoolCell(ex.Vector.Inside), files.TextCell(outcomeName(ex.Outcome)), numberOrNone(ex.Score), numberOrNone(ex.Margin),
		files.TextCell(ex.Model), files.TextCell(ex.ModelVersion))
	o.cells = append(o.cells, label...)
	o.cells = append(o.cells, files.BoolCell(ex.Mature), files.NumberCell(1/ex.Propensity), files.NumberCell(ex.Propensity), files.TextCell(o.hash))
	return o.w.Write(ex.EventID, &ex.Vector, o.cells)
}

func numberOrNone(v *float64) files.Cell {
	if v == nil {
		return files.NumberCell(math.NaN())
	}
	return files.NumberCell(*v)
}

func (o *exportFile) rows() int64 {
	if o.w == nil {
		return 0
	}
	return o.w.Rows()
}

func (o *exportFile) discard() error {
	if o.w == nil {
		return nil
	}
	return o.w.Discard()
}
