package registry

import (
	"bytes"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
)

// maxReferenceRows bounds reference.csv.
const maxReferenceRows = 1000

// parseReference reads reference.csv for a model with these features: a header with their names, then a row of values for
// each example, an empty cell for a missing one.
func parseReference(file string, data []byte, names []string) ([][]float64, error) {
	r := csv.NewReader(bytes.NewReader(data))
	r.FieldsPerRecord = len(names)
	r.ReuseRecord = true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("cannot read %q: header: %w", file, err)
	}
	for i, want := range names {
		if header[i] != want {
			return nil, fmt.Errorf("cannot read %q: column %d is %.64q and must be %q", file, i+1, header[i], want)
		}
	}
	var out [][]float64
	for {
		record, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, fmt.Errorf("cannot read %q: %w", file, err)
		}
		if len(out) == maxReferenceRows {
			return nil, fmt.Errorf("cannot read %q: more than %d rows", file, maxReferenceRows)
		}
		row, err := parseNumbers(record, len(names))
		if err != nil {
			return nil, fmt.Errorf("cannot read %q: row %d: %w", file, len(out)+1, err)
		}
		out = append(out, row)
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("cannot read %q: it has no rows", file)
	}
	return out, nil
}
