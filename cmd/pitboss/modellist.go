package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"pitboss/registry"
)

func newModelListCmd() *cobra.Command {
	var config string
	cmd := &cobra.Command{
		Use:   "list --config C",
		Short: "The bundles that a data directory keeps, and what their models cost",
		Long: `Lists every bundle that decided from the configuration's data directory: bundles live as long as the records made by them.
What a row costs to score and to explain, and the memory of the model, are what the build predicted that used the bundle last; where that
was before costs were kept there is a dash, until it is used again. Nothing is loaded and nothing is changed; a server may go on beside it.`,
		Example: "  pitboss model list --config pitboss.yaml",
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if config == "" {
				return &codedError{exitUsage, errors.New("say whose bundles: --config FILE")}
			}
			cfg, err := LoadConfig(config)
			if err != nil {
				return err
			}
			return listModels(cmd.OutOrStdout(), cfg)
		},
	}
	cmd.Flags().StringVarP(&config, "config", "c", "", "configuration, whose data directory is read")
	return cmd
}

// bundleStore is where the registry keeps every bundle that was used.
func (c *Config) bundleStore() string { return filepath.Join(c.path(c.DataDir), "bundles") }

func listModels(out io.Writer, cfg *Config) error {
	list, err := registry.ListStored(cfg.bundleStore())
	if err != nil {
		return err
	}
	if len(list) == 0 {
		fmt.Fprintf(out, "no bundle was used yet: %q has none\n", cfg.bundleStore())
		return nil
	}
	t := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "name\tversion\thash\tformat\tscore a row\texplain it\tmemory")
	for i := range list {
		b := &list[i]
		score, explain, memory := "-", "-", "-"
		if b.Priced {
			score, memory = fmt.Sprintf("%.1f us", b.Cost.PredictMicros), fmt.Sprintf("%.1f KB", float64(b.Bytes)/1e3)
			if b.Cost.ExplainMicros > 0 {
				explain = fmt.Sprintf("%.1f us", b.Cost.ExplainMicros)
			}
		}
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", b.Name, b.Version, hex.EncodeToString(b.Hash[:8]), b.Format, score, explain, memory)
	}
	if err := t.Flush(); err != nil {
		return fmt.Errorf("cannot write: %w", err)
	}
	return nil
}
