package main

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"pitboss/models"
)

// maxReferenceRows bounds a reference sample of the command line.
const maxReferenceRows = 100_000

func addReferenceFlag(cmd *cobra.Command, reference *string) {
	cmd.Flags().StringVar(reference, "reference", "", "CSV file of rows that contributions start from (default: the training rows)")
}

// loadNative loads a model; its contributions go by the rows of the CSV file reference, if there is one.
func loadNative(data []byte, reference string) (models.Model, error) {
	var o models.Options
	if reference != "" {
		o.ReferenceFrom = func(columns []string) ([][]float64, error) {
			rows, err := readReference(reference, columns)
			if err != nil {
				err = fmt.Errorf("reference sample %s: %w", reference, err)
			}
			return rows, err
		}
	}
	return models.LoadWith(data, o)
}

// readReference reads the rows of a CSV file with a header, as model score reads those that it scores.
func readReference(path string, names []string) ([][]float64, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("cannot open it: %w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	in, err := newRowReader(f)
	if err != nil {
		return nil, err
	}
	columns, err := matchColumns(names, in.header)
	if err != nil {
		return nil, err
	}
	var rows [][]float64
	for {
		cells, err := in.next()
		switch {
		case errors.Is(err, io.EOF) && len(rows) == 0:
			return nil, errors.New("it has no rows")
		case errors.Is(err, io.EOF):
			return rows, nil
		case err != nil:
			return nil, fmt.Errorf("line %d: %w", in.line, err)
		case len(rows) == maxReferenceRows:
			return nil, fmt.Errorf("it has more than %d rows", maxReferenceRows)
		}
		row := make([]float64, len(names))
		for j, i := range columns {
			if row[j], err = parseCell(cells[i]); err != nil {
				return nil, fmt.Errorf("line %d, column %q: %w", in.line, in.header[i], err)
			}
		}
		rows = append(rows, row)
	}
}
