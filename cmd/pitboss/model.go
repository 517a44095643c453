package main

import (
	"bufio"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"pitboss/models"
)

func newModelCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Work with a model file, without a server",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newModelScoreCmd())
	return cmd
}

func newModelScoreCmd() *cobra.Command {
	var rows, out string
	var contrib bool
	cmd := &cobra.Command{
		Use:   "score MODEL --rows rows.csv [--contrib] [--out out.csv]",
		Short: "Score rows: margins, scores and exact contributions",
		Long: `Scores every row of a CSV file with a header that names the model's features, in any order (other columns are left
alone). Where no name fits and the number of columns does, columns are taken by position. An empty cell is missing.

The output has a header: margin, score, and with --contrib one contrib_<feature> per feature and base, in margin units,
at full precision; a model with K outputs has margin_0 to margin_K-1 and so on.`,
		Example: "  pitboss model score model.txt --rows rows.csv --contrib --out scored.csv",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if rows == "" {
				return &codedError{exitUsage, errors.New("say which rows: --rows FILE")}
			}
			model, err := models.LoadFile(args[0], models.DefaultLimits())
			if err != nil {
				return fmt.Errorf("cannot load model %q: %w", args[0], err)
			}
			in, err := os.Open(rows)
			if err != nil {
				return fmt.Errorf("cannot open the rows: %w", err)
			}
			defer func() { _ = in.Close() }() // it was only read
			w, closeOut, err := createOut(out, cmd.OutOrStdout())
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, closeOut()) }()
			return scoreRows(cmd.Context(), model, in, rows, w, contrib)
		},
	}
	cmd.Flags().StringVar(&rows, "rows", "", "CSV file with a header")
	cmd.Flags().StringVar(&out, "out", "-", "CSV file to write; - is standard output")
	cmd.Flags().BoolVar(&contrib, "contrib", false, "add every feature's exact contribution")
	return cmd
}

// createOut makes the output file; close says whether everything got there.
func createOut(path string, stdout io.Writer) (io.Writer, func() error, error) {
	if path == "" || path == "-" {
		buf := bufio.NewWriter(stdout)
		return buf, buf.Flush, nil
	}
	f, err := os.Create(path)
	if err != nil {
		return nil, nil, fmt.Errorf("cannot make the output: %w", err)
	}
	buf := bufio.NewWriterSize(f, 1<<16)
	return buf, func() error { return errors.Join(buf.Flush(), f.Close()) }, nil
}

// scorer scores one row after the other.
type scorer struct {
	model     models.Model
	contrib   bool
	columns   []int // of the input, by feature
	row       []float64
	scratch   models.Scratch
	margins   []float64
	scores    []float64
	sums      []float64
	parts     []float64
	record    []string
	headerOut []string
}

func scoreRows(ctx context.Context, model models.Model, in io.Reader, name string, out io.Writer, contrib bool) error {
	r := csv.NewReader(bufio.NewReaderSize(in, 1<<16))
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return fmt.Errorf("cannot read the header of %q: %w", name, err)
	}
	s, err := newScorer(model, header, contrib)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	w := csv.NewWriter(out)
	if err := w.Write(s.headerOut); err != nil {
		return fmt.Errorf("cannot write the output: %w", err)
	}
	for n := 1; ctx.Err() == nil; n++ {
		cells, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = s.score(cells)
		}
		if err != nil {
			line, _ := r.FieldPos(0)
			return fmt.Errorf("%s: row %d (line %d): %w", name, n, line, err)
		}
		if err := w.Write(s.record); err != nil {
			return fmt.Errorf("cannot write the output: %w", err)
		}
	}
	w.Flush()
	return errors.Join(ctx.Err(), w.Error())
}

func newScorer(model models.Model, header []string, contrib bool) (*scorer, error) {
	info := model.Info()
	if contrib && info.Unexplainable != "" {
		return nil, fmt.Errorf("the model has no exact contributions (%s); leave --contrib out", info.Unexplainable)
	}
	names := info.FeatureNames()
	columns, err := matchColumns(names, header)
	if err != nil {
		return nil, err
	}
	s := &scorer{
		model: model, contrib: contrib, columns: columns, row: make([]float64, len(names)),
		margins: make([]float64, info.Outputs), scores: make([]float64, info.Outputs),
		sums: make([]float64, info.Outputs), parts: make([]float64, info.Outputs*len(names)),
	}
	s.headerOut = append(outputNames("margin", info.Outputs), outputNames("score", info.Outputs)...)
	if contrib {
		for k := range info.Outputs {
			suffix := ""
			if info.Outputs > 1 {
				suffix = "_" + strconv.Itoa(k)
			}
			for _, f := range names {
				s.headerOut = append(s.headerOut, "contrib_"+f+suffix)
			}
			s.headerOut = append(s.headerOut, "base"+suffix)
		}
	}
	return s, nil
}

func outputNames(name string, n int) []string {
	if n == 1 {
		return []string{name}
	}
	names := make([]string, n)
	for k := range names {
		names[k] = name + "_" + strconv.Itoa(k)
	}
	return names
}

func matchColumns(names, header []string) ([]int, error) {
	at := map[string]int{}
	for i, h := range header {
		if _, twice := at[h]; twice && slices.Contains(names, h) {
			return nil, fmt.Errorf("column %q is there twice", h)
		}
		at[h] = i
	}
	columns := make([]int, len(names))
	var missing []string
	for j, n := range names {
		i, ok := at[n]
		if !ok {
			missing = append(missing, n)
		}
		columns[j] = i
	}
	switch {
	case len(missing) == 0:
		return columns, nil
	case len(missing) == len(names) && len(header) == len(names):
		for j := range columns {
			columns[j] = j
		}
		return columns, nil
	}
	const shown = 5
	more := ""
	if len(missing) > shown {
		more = fmt.Sprintf(" and %d more", len(missing)-shown)
		missing = missing[:shown]
	}
	return nil, fmt.Errorf("the header lacks the model's features %s%s", strings.Join(missing, ", "), more)
}

// score fills record with what the model says of one row of cells.
func (s *scorer) score(cells []string) error {
	for j, i := range s.columns {
		v, err := parseCell(cells[i])
		if err != nil {
			return fmt.Errorf("column %q: %w", s.model.Info().Features[j].Name, err)
		}
		s.row[j] = v
	}
	if err := s.model.Predict(s.row, &s.scratch, s.margins); err != nil {
		return err
	}
	if err := s.model.Score(s.margins, s.scores); err != nil {
		return err
	}
	s.record = s.record[:0]
	s.add(s.margins...)
	s.add(s.scores...)
	if !s.contrib {
		return nil
	}
	if err := s.model.Explain(s.row, &s.scratch, s.sums, s.parts); err != nil {
		return err
	}
	n := len(s.row)
	for k, base := range s.model.Info().Base {
		s.add(s.parts[k*n : (k+1)*n]...)
		s.add(base)
	}
	return nil
}

func (s *scorer) add(values ...float64) {
	for _, v := range values {
		s.record = append(s.record, strconv.FormatFloat(v, 'g', -1, 64))
	}
}

// parseCell reads a number; an empty cell and nan are missing.
func parseCell(cell string) (float64, error) {
	cell = strings.TrimSpace(cell)
	if cell == "" {
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(cell, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number", cell)
	}
	return v, nil
}
