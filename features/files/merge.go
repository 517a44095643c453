package files

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// merger puts the labels of a sorted file between its events, each at its time. A label goes before an event of the same
// moment: it was known then.
type merger struct {
	read    func() (*Row, []*Row, error)
	ahead   *Row // the event that comes next in the file
	done    bool
	pending rowHeap
	pushed  int64
}

func (m *merger) next() (*Row, error) {
	if m.ahead == nil && !m.done {
		if err := m.fill(); err != nil {
			return nil, err
		}
	}
	if len(m.pending) > 0 && (m.ahead == nil || m.pending[0].at <= micros(m.ahead.Event)) {
		return m.pending.pop(), nil
	}
	if m.ahead == nil {
		return nil, io.EOF
	}
	row := m.ahead
	before := micros(row.Event)
	if err := m.fill(); err != nil {
		return nil, err
	}
	if m.ahead != nil && micros(m.ahead.Event) < before {
		return nil, fmt.Errorf("row %d goes back in time, from %s to %s: let it be sorted (order: unsorted in the map, or --sort)",
			m.ahead.Number, time.UnixMicro(before).UTC().Format(time.RFC3339Nano), m.ahead.ReceivedAt().Format(time.RFC3339Nano))
	}
	return row, nil
}

// fill reads the row after and lets its labels wait.
func (m *merger) fill() error {
	row, labels, err := m.read()
	m.ahead = row
	if errors.Is(err, io.EOF) {
		m.ahead, m.done = nil, true
		return nil
	}
	if err != nil {
		return err
	}
	for _, l := range labels {
		m.pushed++
		m.pending.push(timedRow{l, micros(l.Event), m.pushed})
	}
	if len(m.pending) > maxPending {
		return fmt.Errorf("more than %d labels wait for their time: let the file be sorted on disk (order: unsorted in the map, or --sort)", maxPending)
	}
	return nil
}

func (m *merger) close() error { return nil }

// timedRow is a row with its time; order keeps rows of the same moment in the order they came.
type timedRow struct {
	*Row
	at, order int64
}

func (t timedRow) before(o timedRow) bool { return t.at < o.at || t.at == o.at && t.order < o.order }

// rowHeap has the earliest row first.
type rowHeap []timedRow

func (h *rowHeap) push(row timedRow) {
	*h = append(*h, row)
	rows := *h
	for i := len(rows) - 1; i > 0; {
		parent := (i - 1) / 2
		if !rows[i].before(rows[parent]) {
			return
		}
		rows[i], rows[parent] = rows[parent], rows[i]
		i = parent
	}
}

func (h *rowHeap) pop() *Row {
	rows := *h
	first, n := rows[0], len(rows)-1
	rows[0], rows[n] = rows[n], timedRow{}
	rows = rows[:n]
	*h = rows
	for i := 0; ; {
		child := 2*i + 1
		if child >= n {
			return first.Row
		}
		if right := child + 1; right < n && rows[right].before(rows[child]) {
			child = right
		}
		if !rows[child].before(rows[i]) {
			return first.Row
		}
		rows[i], rows[child] = rows[child], rows[i]
		i = child
	}
}
