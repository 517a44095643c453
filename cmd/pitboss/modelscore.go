package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strconv"
	"sync"

	"pitboss/models"
)

// blockRows is how many rows go through together: enough that what a block costs beside them does not count.
const blockRows = 256

// scoreBlock is some rows on their way from the input to the output.
type scoreBlock struct {
	first int      // number of the first row, from 1
	lines []int    // by row: where it stands in the file
	cells []string // of the model's columns, row by row
	text  []byte   // what is written of them, up to the first error
	err   error
	done  chan struct{}
}

// fail notes what is wrong with a row of the block.
func (b *scoreBlock) fail(row, line int, err error) {
	b.err = fmt.Errorf("row %d (line %d): %w", b.first+row, line, err)
}

// fill reads rows, and says whether there may be more.
func (b *scoreBlock) fill(rows *rowReader, columns []int, first int) bool {
	b.first, b.lines, b.cells, b.err = first, b.lines[:0], b.cells[:0], nil
	for len(b.lines) < blockRows {
		cells, err := rows.next()
		if errors.Is(err, io.EOF) {
			return false
		}
		if err != nil {
			b.fail(len(b.lines), rows.line, err)
			return false
		}
		for _, i := range columns {
			b.cells = append(b.cells, cells[i])
		}
		b.lines = append(b.lines, rows.line)
	}
	return true
}

// scoreRows reads rows, scores them on all processors, and writes them in their order.
func scoreRows(ctx context.Context, model models.Model, in io.Reader, name string, out io.Writer, contrib bool) error {
	rows, err := newRowReader(in)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	scorers := make([]*scorer, runtime.GOMAXPROCS(0))
	for i := range scorers {
		if scorers[i], err = newScorer(model, rows.header, contrib); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	header := csv.NewWriter(out)
	if err = header.Write(scorers[0].headerOut); err == nil {
		header.Flush()
		err = header.Error()
	}
	if err != nil {
		return fmt.Errorf("cannot write the output: %w", err)
	}
	inner, stop := context.WithCancel(ctx)
	// All blocks fit into each channel, so that nothing waits but for a free block, for work, and for the next to write.
	n := 2*len(scorers) + 1
	free, work, ordered := make(chan *scoreBlock, n), make(chan *scoreBlock, n), make(chan *scoreBlock, n)
	for range n {
		free <- &scoreBlock{done: make(chan struct{}, 1)}
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		readBlocks(inner, rows, scorers[0].columns, free, work, ordered)
		close(work)
		close(ordered)
	})
	for _, s := range scorers {
		wait.Go(func() {
			for b := range work {
				s.score(b)
				b.done <- struct{}{}
			}
		})
	}
	err = writeBlocks(ordered, free, name, out)
	stop()
	wait.Wait()
	return errors.Join(ctx.Err(), err)
}

// readBlocks reads until the end, an error, or ctx is done.
func readBlocks(ctx context.Context, rows *rowReader, columns []int, free <-chan *scoreBlock, work, ordered chan<- *scoreBlock) {
	for n, more := 1, true; more && ctx.Err() == nil; {
		select {
		case b := <-free:
			more = b.fill(rows, columns, n)
			n += len(b.lines)
			work <- b
			ordered <- b
		case <-ctx.Done():
		}
	}
}

// writeBlocks writes what has been scored, up to the first error.
func writeBlocks(ordered <-chan *scoreBlock, free chan<- *scoreBlock, name string, out io.Writer) error {
	for b := range ordered {
		<-b.done
		if _, err := out.Write(b.text); err != nil {
			return fmt.Errorf("cannot write the output: %w", err)
		}
		if b.err != nil {
			return fmt.Errorf("%s: %w", name, b.err)
		}
		free <- b
	}
	return nil
}

// scorer scores blocks of rows.
type scorer struct {
	model     models.Model
	contrib   bool
	names     []string
	columns   []int // of the input, by feature
	scratch   models.Scratch
	rows      []float64
	margins   []float64
	scores    []float64
	sums      []float64
	parts     []float64
	headerOut []string
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
		model: model, contrib: contrib, names: names, columns: columns,
		rows: make([]float64, blockRows*len(names)), margins: make([]float64, blockRows*info.Outputs),
		scores: make([]float64, info.Outputs), sums: make([]float64, info.Outputs), parts: make([]float64, info.Outputs*len(names)),
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

// score makes the text of a block.
func (s *scorer) score(b *scoreBlock) {
	b.text = b.text[:0]
	features, outputs := len(s.names), len(s.scores)
	n := 0
	for ; n < len(b.lines); n++ {
		if err := s.parse(b.cells[n*features:][:features], s.rows[n*features:]); err != nil {
			b.fail(n, b.lines[n], err)
			break
		}
	}
	if at, err := s.predict(n); err != nil {
		b.fail(at, b.lines[at], err)
		n = at
	}
	for i := range n {
		end := len(b.text)
		if err := s.write(b, s.rows[i*features:][:features], s.margins[i*outputs:][:outputs]); err != nil {
			b.text = b.text[:end]
			b.fail(i, b.lines[i], err)
			return
		}
	}
}

// parse reads the cells of a row.
func (s *scorer) parse(cells []string, row []float64) error {
	for j, cell := range cells {
		v, err := parseCell(cell)
		if err != nil {
			return fmt.Errorf("column %q: %w", s.names[j], err)
		}
		row[j] = v
	}
	return nil
}

// predict finds the margins of the first n rows; with an error comes the row that it is about.
func (s *scorer) predict(n int) (int, error) {
	features, outputs := len(s.names), len(s.scores)
	if models.PredictBatch(s.model, s.rows[:n*features], &s.scratch, s.margins[:n*outputs]) == nil {
		return n, nil
	}
	for i := range n { // which row, in the words of a single one
		if err := s.model.Predict(s.rows[i*features:][:features], &s.scratch, s.margins[i*outputs:][:outputs]); err != nil {
			return i, err
		}
	}
	return n, nil
}

// write appends the line of one row.
func (s *scorer) write(b *scoreBlock, row, margins []float64) error {
	if err := s.model.Score(margins, s.scores); err != nil {
		return err
	}
	b.add(margins...)
	b.add(s.scores...)
	if s.contrib {
		if err := s.model.Explain(row, &s.scratch, s.sums, s.parts); err != nil {
			return err
		}
		n := len(row)
		for k, base := range s.model.Info().Base {
			b.add(s.parts[k*n : (k+1)*n]...)
			b.add(base)
		}
	}
	b.text[len(b.text)-1] = '\n'
	return nil
}

// add appends values, each with a comma. A number needs no quotes.
func (b *scoreBlock) add(values ...float64) {
	for _, v := range values {
		b.text = append(strconv.AppendFloat(b.text, v, 'g', -1, 64), ',')
	}
}
