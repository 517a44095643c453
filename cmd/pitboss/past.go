package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"

	"github.com/spf13/cobra"

	"pitboss/features"
	"pitboss/features/edge"
	"pitboss/features/feed"
	"pitboss/features/files"
)

// pastFlags say where a backfill finds what came before the journal.
type pastFlags struct {
	source, mapFor string
	whole          bool
	// prefix is that of the flags' names; stderr shows how far a file is read, nil for nobody.
	prefix string
	stderr io.Writer
}

// kafkaSource is the source that is no file.
const kafkaSource = "kafka"

func (f *pastFlags) flags(cmd *cobra.Command, prefix string) {
	fl := cmd.Flags()
	f.prefix = prefix
	fl.StringVar(&f.source, prefix+"source", "", "where new groups find what came before the journal: a file of events, or kafka")
	fl.StringVar(&f.mapFor, prefix+"map", "", "which column of that file is which field")
	fl.BoolVar(&f.whole, prefix+"whole", false, "there was nothing before the first event of that source: the groups need not warm up")
}

// check says what is wrong with the words.
func (f *pastFlags) check() error {
	switch {
	case f.source == "" && (f.mapFor != "" || f.whole):
		return fmt.Errorf("--%smap and --%swhole are about a source: give --%ssource", f.prefix, f.prefix, f.prefix)
	case f.source == kafkaSource && f.mapFor != "":
		return fmt.Errorf("--%smap is about a file", f.prefix)
	case f.source == "" || f.source == kafkaSource:
		return nil
	}
	format, err := files.FormatOf(f.source)
	if err != nil {
		return err
	}
	if format != files.JSONL && f.mapFor == "" {
		return fmt.Errorf("%q needs --%smap, which says which column is which field (docs/mapping.md)", f.source, f.prefix)
	}
	return nil
}

// past gives what the engine reads a source by, nil without one. A file or a map that cannot be read is refused at once.
func (a *app) past(f pastFlags) (*features.Past, error) {
	switch f.source {
	case "":
		return nil, nil //nolint:nilnil // no past is a setting, not a failure
	case kafkaSource:
		return a.kafkaPast(f)
	}
	path, err := filepath.Abs(f.source)
	if err != nil {
		return nil, fmt.Errorf("cannot find %q: %w", f.source, err)
	}
	cfg := a.cfg.Edge
	cfg.History = true
	accept, err := edge.New(cfg)
	if err != nil {
		return nil, fmt.Errorf("edge: %w", err)
	}
	if f.stderr == nil {
		f.stderr = io.Discard
	}
	p := &pass{what: "gathering", source: f.source, mapFor: f.mapFor, sort: f.mapFor == "", edge: accept, stderr: f.stderr}
	if err := p.open(); err != nil {
		return nil, err
	}
	if err := p.close(); err != nil {
		return nil, err
	}
	return &features.Past{Name: "file " + path, Whole: f.whole, Read: func(ctx context.Context, _ features.PastLimits, each func(*features.Event) error) (since int64, err error) {
		p.each = func(_ context.Context, _ *files.Row, ev *features.Event) error { return each(ev) }
		err = p.open()
		if err != nil {
			return 0, err
		}
		defer func() { err = errors.Join(err, p.close()) }()
		res, err := p.run(ctx)
		if err != nil {
			return 0, err
		}
		if res.rejected > 0 {
			a.log.Warn("rows of the source of a backfill were rejected", "rejected", res.rejected, "of", res.rows)
		}
		return 0, nil
	}}, nil
}

// kafkaPast reads the configured topics.
func (a *app) kafkaPast(f pastFlags) (*features.Past, error) {
	if len(a.cfg.Kafka.Brokers) == 0 {
		return nil, errors.New("the configuration has no kafka.brokers to read from")
	}
	cfg := a.cfg.Kafka
	cfg.Dir = a.cfg.dir
	reader, err := feed.New(cfg, nil, a.edge, a.log)
	if err != nil {
		return nil, err
	}
	return &features.Past{Name: kafkaSource, Whole: f.whole, Read: reader.ReadPast}, nil
}
