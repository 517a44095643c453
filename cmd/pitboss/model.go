package main

import (
	"bufio"
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
)

func newModelCmd() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "model",
		Short: "Work with a model file, or the bundles that were used, without a server",
		Args:  cobra.NoArgs,
	}
	cmd.AddCommand(newModelScoreCmd(), newModelInspectCmd(), newModelBenchCmd(), newModelListCmd())
	return cmd
}

func newModelScoreCmd() *cobra.Command {
	var rows, out string
	var contrib bool
	var backend backendFlags
	cmd := &cobra.Command{
		Use:   "score MODEL --rows rows.csv [--contrib [--reference sample.csv]] [--backend native] [--out out.csv]",
		Short: "Score rows: margins, scores and exact contributions",
		Long: `Scores every row of a CSV file with a header that names the model's features, in any order (other columns are left
alone). Where no name fits and the number of columns does, columns are taken by position. An empty cell or nan is missing;
what is infinite or no number at all ends the run with its row and column.

The output has a header: margin, score, and with --contrib one contrib_<feature> per feature and base, in margin units,
at full precision; a model with K outputs has margin_0 to margin_K-1 and so on.

Contributions start from the mean over the training rows, which LightGBM and XGBoost have counted in their files. ONNX has not: there, and
wherever another baseline is wanted, --reference gives rows to start from, in a file like that of the rows.

--backend leaves scores a LightGBM file by another implementation, onnxruntime any ONNX graph by ONNX Runtime; neither has
contributions.`,
		Example: "  pitboss model score model.txt --rows rows.csv --contrib --out scored.csv",
		Args:    cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) (err error) {
			if rows == "" {
				return &codedError{exitUsage, errors.New("say which rows: --rows FILE")}
			}
			model, err := backend.load(args[0])
			if err != nil {
				return err
			}
			in, err := os.Open(rows)
			if err != nil {
				return fmt.Errorf("cannot open the rows: %w", err)
			}
			defer func() { _ = in.Close() }() // it was only read
			w, closeOut, err := createOut(out, cmd.OutOrStdout(), rows, args[0])
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
	backend.add(cmd)
	return cmd
}

// rowReader reads the lines of a CSV file behind its header.
type rowReader struct {
	csv    *csv.Reader
	header []string
	line   int // of the row that was read last
	end    int64
}

func newRowReader(in io.Reader) (*rowReader, error) {
	buf := bufio.NewReaderSize(in, 1<<16)
	const mark = "\ufeff" // spreadsheets write a byte order mark, which is no part of the first name
	if start, err := buf.Peek(len(mark)); err == nil && string(start) == mark {
		if _, err = buf.Discard(len(mark)); err != nil {
			return nil, fmt.Errorf("cannot read the header: %w", err)
		}
	}
	r := &rowReader{csv: csv.NewReader(buf), line: 1}
	header, err := r.csv.Read()
	if errors.Is(err, io.EOF) {
		return nil, errors.New("cannot read the header: the file is empty")
	} else if err != nil {
		return nil, fmt.Errorf("cannot read the header: %w", err)
	}
	r.header, r.end, r.csv.ReuseRecord = header, r.csv.InputOffset(), true
	return r, nil
}

// next returns the cells of the next row. The reader passes over blank lines; in a file of one column such a line is a row
// whose value is missing, or nothing, which only its writer knows.
func (r *rowReader) next() ([]string, error) {
	cells, err := r.csv.Read()
	before, last := r.line, r.end
	r.end = r.csv.InputOffset()
	if errors.Is(err, io.EOF) {
		if len(r.header) == 1 && r.end > last {
			r.line++
			return nil, errBlankLine
		}
		return nil, io.EOF
	}
	r.line, _ = r.csv.FieldPos(0)
	if err == nil && len(r.header) == 1 && r.line > before+1 {
		r.line = before + 1
		return nil, errBlankLine
	}
	return cells, err
}

var errBlankLine = errors.New(`the line is blank: write "" or nan for a missing value, or take the line away`)

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
		if allNumbers(header) {
			return nil, errors.New("the first line holds numbers, not the names of columns: put a header before it")
		}
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
	return nil, fmt.Errorf("the header lacks the model's features %s%s; it begins with %.60q and has %d columns (commas separate them)",
		strings.Join(missing, ", "), more, strings.Join(header, ","), len(header))
}

// allNumbers says that a header is a row: all of its cells are values, and not the numbers 0, 1, 2 … of the columns.
func allNumbers(header []string) bool {
	numbered := true
	for i, cell := range header {
		if _, err := parseCell(cell); err != nil {
			return false
		}
		numbered = numbered && strings.TrimSpace(cell) == strconv.Itoa(i)
	}
	return !numbered
}

// parseCell reads a number; an empty cell and nan are missing.
func parseCell(cell string) (float64, error) {
	cell = strings.TrimSpace(cell)
	if cell == "" {
		return math.NaN(), nil
	}
	v, err := strconv.ParseFloat(cell, 64)
	if err != nil {
		return 0, fmt.Errorf("%q is no number; the cell of a missing value is empty or nan", cell)
	}
	return v, nil
}
