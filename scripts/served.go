//go:build ignore

// Writes the vectors that decisions were answered with (batch --explain full) as features eval --status writes its own:
// served.go DECISIONS.jsonl HEADER.csv, the second for the order of the columns.
package main

import (
	"bufio"
	"encoding/csv"
	"encoding/json"
	"io"
	"log"
	"os"
	"strconv"
	"strings"
	"time"
)

// decision is what is read of an answer.
type decision struct {
	EventID      string    `json:"event_id"`
	FeaturesAsOf time.Time `json:"features_as_of"`
	Features     []struct {
		Name   string   `json:"name"`
		Value  *float64 `json:"value"`
		Status string   `json:"status"`
	} `json:"features"`
}

func main() {
	log.SetFlags(0)
	if len(os.Args) != 3 {
		log.Fatal("served: DECISIONS.jsonl HEADER.csv")
	}
	if err := run(os.Args[1], os.Args[2], os.Stdout); err != nil {
		log.Fatalf("served: %v", err)
	}
}

func run(decisions, header string, out io.Writer) error {
	head, err := os.Open(header)
	if err != nil {
		return err
	}
	columns, err := csv.NewReader(bufio.NewReader(head)).Read()
	if err != nil {
		return err
	}
	in, err := os.Open(decisions)
	if err != nil {
		return err
	}
	w := csv.NewWriter(bufio.NewWriterSize(out, 1<<18))
	if err := w.Write(columns); err != nil {
		return err
	}
	for dec := json.NewDecoder(bufio.NewReaderSize(in, 1<<18)); ; {
		var d decision
		if err := dec.Decode(&d); err == io.EOF {
			w.Flush()
			return w.Error()
		} else if err != nil {
			return err
		}
		if err := w.Write(d.row(columns)); err != nil {
			return err
		}
	}
}

func (d *decision) row(columns []string) []string {
	cells := map[string]string{"event_id": d.EventID, "t": d.FeaturesAsOf.UTC().Format("2006-01-02T15:04:05.000000Z")}
	for _, f := range d.Features {
		cells[f.Name+"__status"] = strings.TrimSpace(f.Status)
		if f.Value != nil {
			cells[f.Name] = strconv.FormatFloat(*f.Value, 'g', -1, 64)
		}
	}
	row := make([]string, len(columns))
	for i, c := range columns {
		row[i] = cells[c]
	}
	return row
}
