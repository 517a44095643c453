package main

import (
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"
	"google.golang.org/protobuf/proto"

	"pitboss/features"
	"pitboss/features/files"
	"pitboss/journal"
	pb "pitboss/proto/pitboss/v1"
)

// lakeFlags are what `pitboss events export` can be told.
type lakeFlags struct {
	config, out, tenant, from, before string
}

func newEventsCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "events",
		Short: "Work with the events of a data directory",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newEventsExportCmd())
	return cmd
}

func newEventsExportCmd() *cobra.Command {
	var f lakeFlags
	cmd := &cobra.Command{
		Use:   "export --config C --out DIR",
		Short: "Write all events as Parquet, by type and day",
		Long: `Writes the events of the journal for other tools: DIR/type=bet.placed/day=2026-11-22/part-0.parquet, the day being that of
occurred_at in UTC, as pyarrow, Spark and DuckDB read a partitioned data set. Columns are the envelope, an entity of each
kind (entity_player, …), what the edge added, and the payload's fields; money is NAME_minor, NAME_currency and
NAME_base_minor. There are no raw personal values: entities are aliases. Each event is there once; those of erased subjects
are left out and counted. The files' metadata has pitboss.schema_version, pitboss.event_type and pitboss.format.

DIR must not exist, and appears when it is whole. The data directory must not be in use by a server.`,
		Example: "  pitboss events export --config pitboss.yaml --from 2026-11-01T00:00:00Z --out lake",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := needAll(map[string]string{"config": f.config, "out": f.out}); err != nil {
				return err
			}
			return runEventsExport(cmd.Context(), cmd.ErrOrStderr(), f)
		},
	}
	fl := cmd.Flags()
	fl.StringVarP(&f.config, "config", "c", "", "configuration file")
	fl.StringVar(&f.out, "out", "", "directory, made anew")
	fl.StringVar(&f.tenant, "tenant", "", "events of one tenant")
	fl.StringVar(&f.from, "from", "", "occurred at or after this time (RFC 3339)")
	fl.StringVar(&f.before, "to", "", "occurred before this time")
	return cmd
}

func runEventsExport(ctx context.Context, stderr io.Writer, f lakeFlags) (err error) {
	var bounds pass
	err = readTimes(timeFlag{"--from", f.from, &bounds.from}, timeFlag{"--to", f.before, &bounds.until})
	if err != nil {
		return err
	}
	a, err := openJournalAlone(f.config)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.close()) }()
	lake, err := files.NewLake(f.out, a.cfg.Engine.Kinds)
	if err != nil {
		return err
	}
	read := journalRead{what: "exporting", journal: a.journal, stderr: stderr}
	err = read.each(ctx, func(frame *journal.Frame) error {
		if frame.Kind != features.FrameEvent {
			return nil
		}
		var event pb.EventFrame
		if torn := proto.Unmarshal(frame.Payload, &event); torn != nil {
			return fmt.Errorf("cannot decode an event: %w", torn)
		}
		ev := event.GetEvent()
		if event.GetAppliedAt() != nil || f.tenant != "" && ev.GetTenant() != f.tenant || !bounds.wanted(ev) {
			return nil // a later decision about an event that has its own frame, or not wanted
		}
		return lake.Write(ev)
	})
	if err != nil {
		return errors.Join(err, lake.Discard())
	}
	err = lake.Close()
	if err != nil {
		return err
	}
	fmt.Fprintf(stderr, "wrote %d events in %d files to %s; %d frames of erased subjects were left out\n", lake.Rows(), lake.Files(), f.out, read.erased)
	return nil
}
